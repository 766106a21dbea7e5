package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

// printScalar prints a subquery that stands for one row of values. SQLite takes the first row of several; both dialects
// refuse them. The second row is looked for only where it can't be ruled out.
func (b *builder) printScalar(r *relation, q *ir.Query) string {
	if b.oneRow(r, q) {
		return "(" + r.print(b, nil) + ")"
	}
	if r.core == nil || len(r.core.on) == 0 {
		if r.limit == "" && r.offset == "" {
			r.order = nil // one row needs no order
		}
	}
	if r.limit == "" {
		r.limit = "2"
	}
	ref, names := quote(b.alias("q")), r.uniqueNames()
	items := make([]string, len(names))
	for i, name := range names {
		items[i] = ref + "." + quote(name)
	}
	// Beside count(*) the columns are those of the only row, NULL if there is none.
	items[0] = "CASE WHEN count(*) > 1 THEN " + funcs.ManyRows + "() ELSE " + items[0] + " END"
	return "(SELECT " + strings.Join(items, ", ") + " FROM (" + r.print(b, names) + ") AS " + ref + ")"
}

// oneRow reports whether a query is sure to have no more than one row.
func (b *builder) oneRow(r *relation, q *ir.Query) bool {
	if r.limit == "1" || r.limit == "0" {
		return true
	}
	if r.set != nil || len(r.core.rollup) > 0 {
		return false
	}
	if r.core.rows != nil {
		return len(r.core.rows) == 1
	}
	if r.core.from == "" {
		return true
	}
	s, ok := q.Body.(*ir.Select)
	if !ok || r.core.expanded {
		return false
	}
	if len(s.GroupBy) == 0 && (s.Having != nil || b.aggregates(s, q.OrderBy)) {
		return true
	}
	return len(s.GroupBy) == 0 && b.looksUp(s)
}

// looksUp reports whether a SELECT reads one table by all columns of a unique key.
func (b *builder) looksUp(s *ir.Select) bool {
	if len(s.From) != 1 || s.Where == nil || b.env.Schema == nil {
		return false
	}
	from, ok := s.From[0].(*ir.Table)
	if !ok {
		return false
	}
	t := b.findTable(from.Name)
	if t == nil || b.isSystem(t) || len(from.Columns) > 0 {
		return false
	}
	name := from.Alias
	if name == "" {
		name = from.Name.Name
	}
	fixed := map[int16]bool{}
	b.fixedColumns(s.Where, t, name, fixed)
	if len(fixed) == 0 {
		return false
	}
	all := func(columns []int16) bool {
		return len(columns) > 0 && !slices.ContainsFunc(columns, func(n int16) bool { return !fixed[n] })
	}
	for _, k := range t.Constraints {
		if (k.Kind == schema.PrimaryKey || k.Kind == schema.Unique) && all(k.Columns) {
			return true
		}
	}
	for _, x := range b.env.Schema.Indices(t) {
		columns := make([]int16, len(x.Columns))
		for i, c := range x.Columns {
			columns[i] = c.Column // 0, an expression, is never fixed
		}
		if x.Unique && x.Where == "" && all(columns) {
			return true
		}
	}
	return false
}

// fixedColumns collects the columns of t, called name, that a condition compares with what is one value for all its rows.
func (b *builder) fixedColumns(e ir.Expr, t *schema.Table, name string, fixed map[int16]bool) {
	x, ok := e.(*ir.Binary)
	if !ok {
		return
	}
	switch x.Op {
	case "AND":
		b.fixedColumns(x.Left, t, name, fixed)
		b.fixedColumns(x.Right, t, name, fixed)
	case "=":
		for _, side := range [2][2]ir.Expr{{x.Left, x.Right}, {x.Right, x.Left}} {
			if c := ownColumn(side[0], t, name); c != nil && b.constantFor(c, side[1], t, name) {
				fixed[c.Num] = true
			}
		}
	}
}

// ownColumn is the column of t that e names, nil if it names none.
func ownColumn(e ir.Expr, t *schema.Table, name string) *schema.Column {
	r, ok := e.(*ir.ColumnRef)
	if !ok || r.Table != "" && !strings.EqualFold(r.Table, name) {
		return nil
	}
	for _, c := range t.Columns {
		if strings.EqualFold(c.Name, r.Name) {
			return c
		}
	}
	return nil
}

// constantFor reports whether e is the same for all rows of t, and equal to no two values of c that the key keeps apart.
func (b *builder) constantFor(c *schema.Column, e ir.Expr, t *schema.Table, name string) bool {
	if b.my() && !c.Type.IsInteger() {
		// MySQL compares strings with numbers as numbers: many strings are the same one.
		l, ok := e.(*ir.Literal)
		return ok && l.Value.Class == types.String
	}
	switch e := e.(type) {
	case *ir.Literal, *ir.Param:
		return true
	case *ir.ColumnRef:
		return e.Table != "" && !strings.EqualFold(e.Table, name) || e.Table == "" && ownColumn(e, t, name) == nil
	case *ir.Cast:
		return b.constantFor(c, e.X, t, name)
	}
	return false
}
