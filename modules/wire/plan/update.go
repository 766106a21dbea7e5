package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// setting is the assignment of one column.
type setting struct {
	column *schema.Column
	own    string // the column's old value, printed
	node   *node
	// several columns from one subquery are printed as (a, b) = (SELECT …).
	group   []*schema.Column
	printed string
}

func (b *builder) updatePlan(s *ir.Update) *Plan {
	p := &Plan{Verb: "UPDATE", Class: Write}
	sc := &level{}
	with := ""
	if s.With != nil {
		with = b.with(s.With, sc)
	}
	var out strings.Builder
	out.WriteString(with)
	if tab, ok := s.Target.(*ir.Table); ok {
		b.updateTable(s, tab, sc, p, &out)
	} else {
		b.updateJoin(s, sc, p, &out)
	}
	p.SQL = out.String()
	return b.finish(p)
}

// updateTable is the UPDATE of one named table, with PostgreSQL's FROM or MySQL's ORDER BY and LIMIT.
func (b *builder) updateTable(s *ir.Update, tab *ir.Table, sc *level, p *Plan, out *strings.Builder) {
	t := b.writable(tab.Name, "update")
	p.Table = t
	it := b.dmlItem(t, tab.Alias)
	sc.items = []*item{it}
	from := ""
	if len(s.From) > 0 {
		fsc := &level{outer: sc.outer, ctes: sc.ctes}
		from = b.from(s.From, fsc)
		for _, f := range fsc.items {
			b.addItem(f, sc)
		}
	}
	where := ""
	if s.Where != nil {
		where = b.condition(s.Where, sc, inWhere, "WHERE")
	}
	set := b.settings(s.Set, it, sc)
	b.touch(t, "UPDATE", "")
	out.WriteString("UPDATE ")
	if s.Ignore {
		out.WriteString("OR IGNORE ")
	}
	out.WriteString(quote(t.SQLName) + " SET " + b.printSettings(set, t, it))
	if from != "" {
		out.WriteString(" FROM " + from)
	}
	where = b.limitRows(s.OrderBy, s.Limit, t, it, where, sc)
	if b.my() && !b.env.FoundRows {
		where = and(where, b.changed(set))
	}
	if where != "" {
		out.WriteString(" WHERE " + where)
	}
	p.Columns = b.returning(s.Returning, it, sc.items[1:], out)
}

func and(a, c string) string {
	switch {
	case a == "":
		return c
	case c == "":
		return a
	}
	return "(" + a + ") AND (" + c + ")"
}

// limitRows adds MySQL's ORDER BY and LIMIT of UPDATE and DELETE to a condition.
func (b *builder) limitRows(order []ir.Order, limit ir.Expr, t *schema.Table, it *item, where string, sc *level) string {
	if limit == nil {
		return where // without LIMIT the order of the changes shows nowhere
	}
	id := rowid(t)
	var s strings.Builder
	s.WriteString(it.ref + "." + id + " IN (SELECT " + it.ref + "." + id + " FROM " + quote(t.SQLName))
	if where != "" {
		s.WriteString(" WHERE " + where)
	}
	if len(order) > 0 {
		saved := sc.clause
		sc.clause = inOrder
		s.WriteString(" ORDER BY " + b.orderInside(order, sc))
		sc.clause = saved
	}
	if l := b.limitExpr(limit, sc, "LIMIT"); l != "" {
		s.WriteString(" LIMIT " + l)
	}
	s.WriteString(")")
	return s.String()
}

// assignments prints the SET list of an upsert, and the condition under which it changes its row where MySQL counts only
// such rows.
func (b *builder) assignments(list []ir.Assign, it *item, sc *level) (set, changed string) {
	settings := b.settings(list, it, sc)
	if b.my() && !b.env.FoundRows {
		changed = b.changed(settings)
	}
	return b.printSettings(settings, it.table, it), changed
}

// settings resolves a SET list.
func (b *builder) settings(list []ir.Assign, it *item, sc *level) []setting {
	t := it.table
	if b.my() {
		// MySQL assigns from left to right: later expressions see the new values.
		sc.assigned = map[string]*node{}
		defer func() { sc.assigned = nil }()
	}
	var out []setting
	seen := map[*schema.Column]bool{}
	for _, a := range list {
		columns := make([]*schema.Column, len(a.Columns))
		for i, ref := range a.Columns {
			if ref.Table != "" && b.pg() {
				b.failAt(sqlerr.New("42703", "column \"%s\" of relation \"%s\" does not exist", ref.Table, t.Name), ref.Pos)
			}
			c := b.targetColumn(t, ref.Name, ref.Pos)
			if seen[c] && b.pg() {
				b.failAt(sqlerr.New("42601", "multiple assignments to same column \"%s\"", c.Name), ref.Pos)
			}
			seen[c] = true
			columns[i] = c
			b.touch(t, "UPDATE", c.Name)
		}
		if len(columns) == 1 {
			out = b.addSetting(out, b.setting(columns[0], a.Value, it, sc), it, sc)
			continue
		}
		switch v := a.Value.(type) {
		case *ir.Row:
			if len(v.Elems) != len(columns) {
				b.failAt(sqlerr.New("42601", "number of columns does not match number of values"), v.Pos)
			}
			for i, e := range v.Elems {
				out = b.addSetting(out, b.setting(columns[i], e, it, sc), it, sc)
			}
		case *ir.Subquery:
			rel := b.query(v.Query, sc)
			outs := rel.outputs()
			if len(outs) != len(columns) {
				b.failAt(sqlerr.New("42601", "number of columns does not match number of values"), v.Pos)
			}
			for i, o := range outs {
				to := b.assignType(columns[i], o.node)
				if b.pg() && !o.node.open && !b.convertible(o.node.typ, to, assignment) {
					b.cannotAssign(columns[i], o.node.typ, o.node.pos)
				}
				rel.coerce(b, i, to, assignment)
			}
			out = append(out, setting{group: columns, printed: b.printScalar(rel, v.Query)})
		default:
			b.unsupported("assignment of this expression to several columns")
		}
	}
	return out
}

func (b *builder) addSetting(list []setting, s setting, it *item, sc *level) []setting {
	if s.node == nil {
		return list
	}
	if sc.assigned != nil {
		n := *s.node
		n.atom = n.atom || n.value != nil
		n.column = nil
		sc.assigned[s.own] = &n
		list = slices.DeleteFunc(list, func(o setting) bool { return o.column == s.column })
	}
	return append(list, s)
}

// setting resolves the value of one column; a nil node says that there is nothing to do.
func (b *builder) setting(c *schema.Column, e ir.Expr, it *item, sc *level) setting {
	t := it.table
	own := it.ref + "." + quote(c.Name)
	if _, isDefault := e.(*ir.Default); isDefault {
		if generated(c) {
			return setting{}
		}
		n := b.defaultNode(c, t)
		if n.isNull() && b.my() && c.NotNull {
			n = b.implicitDefault(c)
		}
		return setting{column: c, own: own, node: n}
	}
	if generated(c) {
		b.fail(sqlerr.New("428C9", "column \"%s\" can only be updated to DEFAULT", c.Name).
			My(3105, "The value specified for generated column '%s' in table '%s' is not allowed.", c.Name, t.Name))
	}
	if c.Identity == "ALWAYS" && b.pg() {
		err := sqlerr.New("428C9", "column \"%s\" can only be updated to DEFAULT", c.Name)
		err.Detail = "Column \"" + c.Name + "\" is an identity column defined as GENERATED ALWAYS."
		b.fail(err)
	}
	n := b.single(b.expr(e, sc))
	if b.my() {
		if plain := b.wholeNumber(c, n, t); plain != nil {
			return setting{column: c, own: own, node: plain}
		}
		return setting{column: c, own: own, node: b.coerce(n, b.assignType(c, n), assignment)}
	}
	return setting{column: c, own: own, node: b.assign(c, n, t)}
}

// printSettings prints a SET list, with the columns that follow the clock.
func (b *builder) printSettings(list []setting, t *schema.Table, it *item) string {
	parts := make([]string, 0, len(list)+1)
	assigned := map[*schema.Column]bool{}
	for _, s := range list {
		if s.group != nil {
			names := make([]string, len(s.group))
			for i, c := range s.group {
				names[i] = quote(c.Name)
				assigned[c] = true
			}
			parts = append(parts, "("+strings.Join(names, ", ")+") = "+s.printed)
			continue
		}
		assigned[s.column] = true
		parts = append(parts, quote(s.column.Name)+" = "+s.node.text())
	}
	for _, c := range t.Columns {
		if c.OnUpdateNow && !assigned[c] {
			now := b.now(c.Type)
			if changed := b.changed(list); changed != "" && b.env.FoundRows {
				// Without FoundRows the statement leaves rows alone that don't change.
				now = "CASE WHEN " + changed + " THEN " + now + " ELSE " + it.ref + "." + quote(c.Name) + " END"
			}
			parts = append(parts, quote(c.Name)+" = "+now)
		}
	}
	if len(parts) == 0 {
		// Only generated columns were set to DEFAULT.
		c := t.Columns[0]
		parts = append(parts, quote(c.Name)+" = "+quote(c.Name))
	}
	return strings.Join(parts, ", ")
}

// now prints MySQL's CURRENT_TIMESTAMP for a column.
func (b *builder) now(t types.Type) string {
	var args []*node
	if t.Len > 1 {
		args = append(args, constant(types.IntValue(int64(t.Len-1)), types.T(types.Int4)))
	}
	saved := b.d
	b.d = ir.MySQL
	n := b.coerce(b.internal("now", args...), t, explicit)
	b.d = saved
	return n.text()
}

// changed prints whether any assignment changes its row, "" if that can't be said simply.
func (b *builder) changed(list []setting) string {
	var terms []string
	for _, s := range list {
		if s.group != nil {
			return ""
		}
		coll := ""
		if s.column.Type.IsString() && collationOf(s.column) != "" {
			coll = " COLLATE BINARY"
		}
		if s.own == "" {
			return ""
		}
		terms = append(terms, s.own+coll+" IS NOT "+s.node.arg())
	}
	return strings.Join(terms, " OR ")
}

// updateJoin is MySQL's UPDATE of joined tables. The new values are computed by a query over the join and brought to
// the changed table by its row number.
func (b *builder) updateJoin(s *ir.Update, sc *level, p *Plan, out *strings.Builder) {
	if len(s.OrderBy) > 0 || s.Limit != nil {
		b.fail(sqlerr.New("42601", "ORDER BY and LIMIT can't be used when several tables are updated").
			My(1221, "Incorrect usage of UPDATE and ORDER BY"))
	}
	from := b.from([]ir.TableExpr{s.Target}, sc)
	var target *item
	for _, a := range s.Set {
		for _, ref := range a.Columns {
			it := b.assignTarget(&ref, sc)
			if target != nil && target != it {
				b.unsupported("UPDATE of columns of several tables in one statement")
			}
			target = it
		}
	}
	if target == nil || target.table == nil || target.table.View {
		b.fail(sqlerr.New("42809", "the target of UPDATE is not a table").My(1288, "The target table of the UPDATE is not updatable"))
	}
	t := target.table
	p.Table = t
	b.touch(t, "UPDATE", "")
	where := ""
	if s.Where != nil {
		where = b.condition(s.Where, sc, inWhere, "WHERE")
	}
	plain := make([]ir.Assign, len(s.Set))
	for i, a := range s.Set {
		plain[i] = a
		plain[i].Columns = slices.Clone(a.Columns)
		for k := range plain[i].Columns {
			plain[i].Columns[k].Table, plain[i].Columns[k].Schema = "", ""
		}
	}
	set := b.settings(plain, target, sc)
	if !b.env.FoundRows {
		where = and(where, b.changed(set))
	}
	id := rowid(t)
	if target.outer {
		where = and(where, target.ref+"."+id+" IS NOT NULL")
	}
	var inner strings.Builder
	inner.WriteString("SELECT " + target.ref + "." + id + ` AS "__bop_row"`)
	ref := quote(b.alias("__bop_new"))
	for i := range set {
		if set[i].group != nil {
			b.unsupported("assignment of a subquery to several columns in an UPDATE of joined tables")
		}
		name := `"__bop_value` + strconv.Itoa(i+1) + `"`
		inner.WriteString(", " + set[i].node.text() + " AS " + name)
		n := *set[i].node
		n.sql, n.value, n.atom = ref+"."+name, nil, true
		set[i].node = &n
	}
	inner.WriteString(" FROM " + from)
	if where != "" {
		inner.WriteString(" WHERE " + where)
	}
	b.used[strings.ToLower(t.SQLName)] = struct{}{}
	own := b.tableItem(t, t.Name, quote(t.SQLName))
	out.WriteString("UPDATE ")
	if s.Ignore {
		out.WriteString("OR IGNORE ")
	}
	for i := range set {
		set[i].own = own.ref + "." + quote(set[i].column.Name)
	}
	out.WriteString(quote(t.SQLName) + " SET " + b.printSettings(set, t, own) + " FROM (" + inner.String() + ") AS " + ref +
		" WHERE " + own.ref + "." + id + " = " + ref + `."__bop_row"`)
}

// assignTarget finds the table whose column an UPDATE of a join assigns.
func (b *builder) assignTarget(ref *ir.ColumnRef, sc *level) *item {
	if ref.Table != "" {
		it, _ := b.findItem(sc, ref.Schema, ref.Table)
		if it == nil {
			b.noColumn(ref, sc)
		}
		return it
	}
	var found *item
	for _, it := range sc.items {
		if !it.named {
			continue
		}
		for _, c := range it.columns {
			if !b.same(c.name, ref.Name) {
				continue
			}
			if found != nil {
				b.failAt(sqlerr.New("42702", "column reference \"%s\" is ambiguous", ref.Name).
					My(1052, "Column '%s' in field list is ambiguous", ref.Name), ref.Pos)
			}
			found = it
		}
	}
	if found == nil {
		b.noColumn(ref, sc)
	}
	return found
}
