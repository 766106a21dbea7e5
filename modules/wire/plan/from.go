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

// from resolves a FROM list into sc.items and returns its SQL.
func (b *builder) from(list []ir.TableExpr, sc *level) string {
	var s strings.Builder
	for i, te := range list {
		sql, items := b.tableExpr(te, sc)
		for _, it := range items {
			b.addItem(it, sc)
		}
		switch {
		case i == 0:
			s.WriteString(sql)
		case needsParens(te):
			s.WriteString(", (" + sql + ")")
		default:
			s.WriteString(", " + sql)
		}
	}
	return s.String()
}

// needsParens reports whether a FROM element means something else when SQLite reads it after a comma, from left to
// right: only RIGHT and FULL joins do.
func needsParens(te ir.TableExpr) bool {
	j, ok := te.(*ir.Join)
	if !ok {
		return false
	}
	return j.Kind == ir.RightJoin || j.Kind == ir.FullJoin || needsParens(j.Left)
}

func (b *builder) addItem(it *item, sc *level) {
	if it.named && it.name != "" {
		for _, other := range sc.items {
			if other.named && b.sameTable(other.name, it.name) && b.conflict(other, it) {
				b.fail(sqlerr.New("42712", "table name \"%s\" specified more than once", it.name).
					My(1066, "Not unique table/alias: '%s'", it.name))
			}
		}
	}
	sc.items = append(sc.items, it)
}

// conflict reports whether two FROM elements of one name can't stand together: unaliased tables of different schemas can.
func (b *builder) conflict(x, y *item) bool {
	return x.namespace == "" || y.namespace == "" || x.namespace == y.namespace
}

// tableExpr resolves one FROM element. Items that it can refer to (LATERAL, functions) are in sc already; its own are
// returned.
func (b *builder) tableExpr(te ir.TableExpr, sc *level) (string, []*item) {
	switch t := te.(type) {
	case *ir.Table:
		return b.tableRef(t, sc)
	case *ir.Join:
		return b.join(t, sc)
	case *ir.Derived:
		return b.derived(t, sc)
	case *ir.TableFunc:
		return b.tableFunc(t, sc)
	}
	b.fail(sqlerr.New("XX000", "plan: unknown FROM element %T", te))
	return "", nil
}

func (b *builder) tableRef(t *ir.Table, sc *level) (string, []*item) {
	name := t.Alias
	if name == "" {
		name = t.Name.Name
	}
	if t.Name.Schema == "" && t.Name.Catalog == "" {
		if c := b.findCTE(sc, t.Name.Name); c != nil {
			ref := quote(b.alias(name))
			it := &item{name: name, ref: ref, visible: true, named: true}
			it.columns = rebase(c.columns, ref)
			b.renameColumns(it, t.Columns)
			it.aliasColumns()
			sql := quote(c.sql)
			if sql != ref {
				sql += " AS " + ref
			}
			return sql, []*item{it}
		}
		if b.my() && strings.EqualFold(t.Name.Name, "dual") && b.findTable(t.Name) == nil {
			return "(SELECT 1) AS " + quote(b.alias("dual")), nil
		}
	}
	tab := b.findTable(t.Name)
	if tab == nil {
		if sql, it := b.sequenceRef(t, name); it != nil {
			return sql, []*item{it}
		}
		b.noTable(t.Name)
	}
	b.touch(tab, "SELECT", "")
	ref := quote(b.alias(name))
	it := b.tableItem(tab, name, ref)
	if t.Alias != "" {
		it.namespace = ""
	}
	b.renameColumns(it, t.Columns)
	sql := quote(tab.SQLName)
	if sql != ref {
		sql += " AS " + ref
	}
	return sql, []*item{it}
}

// sequenceRef reads a sequence as the table of one row that it is in PostgreSQL; nil when there is none of that name.
func (b *builder) sequenceRef(t *ir.Table, name string) (string, *item) {
	if b.my() || b.env.Schema == nil {
		return "", nil
	}
	q, ok := b.env.Schema.Relation(b.env.SearchPath, t.Name.Schema, t.Name.Name).(*schema.Sequence)
	if !ok {
		return "", nil
	}
	b.sequence = true
	ref := quote(b.alias(name))
	it := &item{name: name, namespace: q.Namespace, ref: ref, visible: true, named: true}
	for _, c := range [...]struct {
		name string
		kind types.Kind
	}{{"last_value", types.Int8}, {"log_cnt", types.Int8}, {"is_called", types.Bool}} {
		it.columns = append(it.columns, &column{name: c.name, alias: name, sql: ref + "." + quote(c.name), typ: types.T(c.kind), notNull: true, span: spanOf(types.T(c.kind))})
	}
	b.renameColumns(it, t.Columns)
	prefix := ""
	if q.Namespace == schema.TempNamespace {
		prefix = "temp."
	}
	return "(SELECT value AS \"last_value\", 0 AS \"log_cnt\", called AS \"is_called\" FROM " + prefix + "\"__bop_sequences\" WHERE oid = " +
		constantInt(int64(q.OID)) + ") AS " + ref, it
}

// rebase copies columns under another alias.
func rebase(columns []*column, ref string) []*column {
	out := make([]*column, len(columns))
	for i, c := range columns {
		n := *c
		n.sql = ref + "." + unqualified(c.sql)
		if c.fields != nil {
			n.fields = rebase(c.fields, ref)
		}
		out[i] = &n
	}
	return out
}

// unqualified cuts the alias from "alias"."column".
func unqualified(sql string) string {
	if len(sql) == 0 || sql[0] != '"' {
		return sql
	}
	for i := 1; i < len(sql); i++ {
		if sql[i] != '"' {
			continue
		}
		if i+1 < len(sql) && sql[i+1] == '"' {
			i++
			continue
		}
		if i+1 < len(sql) && sql[i+1] == '.' {
			return sql[i+2:]
		}
		break
	}
	return sql
}

// renameColumns gives an item the column names of its alias.
func (b *builder) renameColumns(it *item, names []string) {
	if len(names) == 0 {
		return
	}
	visible := 0
	for _, c := range it.columns {
		if !c.hidden {
			visible++
		}
	}
	if len(names) > visible {
		b.fail(sqlerr.New("42P10", "table \"%s\" has %d columns available but %d columns specified", it.name, visible, len(names)).
			My(1353, "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts"))
	}
	if b.my() && len(names) < visible {
		b.fail(sqlerr.New("42P10", "table \"%s\" has %d columns available but %d columns specified", it.name, visible, len(names)).
			My(1353, "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts"))
	}
	for i, name := range names {
		c := *it.columns[i]
		c.name = name
		it.columns[i] = &c
	}
}

// aliasColumns tells the columns what the item is called.
func (it *item) aliasColumns() {
	for _, c := range it.columns {
		c.alias = it.name
	}
}

// join resolves both sides and the condition.
func (b *builder) join(j *ir.Join, sc *level) (string, []*item) {
	leftSQL, left := b.tableExpr(j.Left, sc)
	if _, nested := j.Left.(*ir.Join); nested && j.Left.(*ir.Join).Alias != "" {
		leftSQL = "(" + leftSQL + ")"
	}
	before := len(sc.items)
	if lateral(j.Right) {
		sc.items = append(sc.items, left...)
	}
	rightSQL, right := b.tableExpr(j.Right, sc)
	sc.items = sc.items[:before]
	if _, nested := j.Right.(*ir.Join); nested {
		rightSQL = "(" + rightSQL + ")"
	}
	for _, r := range right {
		for _, l := range left {
			if r.named && l.named && r.name != "" && b.sameTable(l.name, r.name) && b.conflict(l, r) {
				b.fail(sqlerr.New("42712", "table name \"%s\" specified more than once", r.name).
					My(1066, "Not unique table/alias: '%s'", r.name))
			}
		}
	}
	if j.Kind == ir.LeftJoin || j.Kind == ir.FullJoin {
		nullable(right)
	}
	if j.Kind == ir.RightJoin || j.Kind == ir.FullJoin {
		nullable(left)
	}
	items := slices.Concat(left, right)

	using := j.Using
	if j.Natural {
		using = b.commonColumns(left, right)
	}
	var cond string
	var merged *item
	switch {
	case j.Natural || len(using) > 0:
		merged, cond = b.merge(j, using, left, right, sc)
		items = append(items, merged)
	case j.On != nil:
		// The condition sees the join's own two sides and the outer queries, not the elements further left.
		saved, savedClause := sc.items, sc.clause
		sc.items, sc.hidden, sc.clause = items, saved, inJoin
		n := b.mustBool(b.expr(j.On, sc), "JOIN/ON", -1)
		cond = b.truth(n)
		sc.items, sc.hidden, sc.clause = saved, nil, savedClause
	}
	if j.Alias != "" {
		if merged == nil {
			merged = &item{}
			for _, it := range items {
				if it.visible {
					merged.columns = append(merged.columns, it.columns...)
				}
			}
			items = append(items, merged)
		}
		for _, it := range items {
			it.visible, it.named = false, false
		}
		merged.name, merged.visible, merged.named = j.Alias, true, true
	}

	word := " JOIN "
	switch j.Kind {
	case ir.LeftJoin:
		word = " LEFT JOIN "
	case ir.RightJoin:
		word = " RIGHT JOIN "
	case ir.FullJoin:
		word = " FULL JOIN "
	}
	sql := leftSQL + word + rightSQL
	switch {
	case cond != "":
		sql += " ON " + cond
	case j.Kind != ir.InnerJoin && j.Kind != ir.CrossJoin:
		sql += " ON 1"
	}
	return sql, items
}

// lateral reports whether a FROM element may refer to the ones before it.
func lateral(te ir.TableExpr) bool {
	switch t := te.(type) {
	case *ir.TableFunc:
		return true
	case *ir.Derived:
		return t.Lateral
	case *ir.Join:
		return lateral(t.Left) || lateral(t.Right)
	}
	return false
}

func nullable(items []*item) {
	for _, it := range items {
		it.outer = true
		for _, c := range it.columns {
			c.notNull = false
		}
	}
}

func (b *builder) visibleColumns(items []*item) []*column {
	var out []*column
	for _, it := range items {
		if it.visible {
			for _, c := range it.columns {
				if !c.hidden {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// commonColumns are the names that NATURAL joins by, in the left side's order.
func (b *builder) commonColumns(left, right []*item) []string {
	var out []string
	r := b.visibleColumns(right)
	for _, c := range b.visibleColumns(left) {
		if slices.ContainsFunc(r, func(o *column) bool { return b.same(o.name, c.name) }) {
			out = append(out, c.name)
		}
	}
	return out
}

// merge joins by columns of the same name: the result has one column for each pair, first.
func (b *builder) merge(j *ir.Join, names []string, left, right []*item, sc *level) (*item, string) {
	l, r := b.visibleColumns(left), b.visibleColumns(right)
	find := func(in []*column, name, side string) *column {
		var found *column
		for _, c := range in {
			if !b.same(c.name, name) {
				continue
			}
			if found != nil {
				b.fail(sqlerr.New("42702", "common column name \"%s\" appears more than once in %s table", name, side).
					My(1052, "Column '%s' in from clause is ambiguous", name))
			}
			found = c
		}
		if found == nil {
			b.fail(sqlerr.New("42703", "column \"%s\" specified in USING clause does not exist in %s table", name, side).
				My(1054, "Unknown column '%s' in 'from clause'", name))
		}
		return found
	}
	m := &item{visible: true}
	var conds []string
	var taken []*column
	for _, name := range names {
		lc, rc := find(l, name, "left"), find(r, name, "right")
		for _, c := range [...]*column{lc, rc} {
			if c.source != nil {
				b.touch(c.table, "SELECT", c.source.Name)
			}
		}
		conds = append(conds, b.compare("=", lc.node(), rc.node(), -1).text())
		taken = append(taken, lc, rc)
		switch {
		case j.Kind == ir.FullJoin:
			x, y := lc.node(), rc.node()
			t := b.commonType([]*node{x, y}, "JOIN/USING")
			x, y = b.coerce(x, t, implicit), b.coerce(y, t, implicit)
			m.columns = append(m.columns, &column{name: lc.name, sql: "ifnull(" + x.text() + ", " + y.text() + ")", typ: t, coll: lc.coll})
		case j.Kind == ir.RightJoin:
			c := *rc
			c.name = lc.name
			m.columns = append(m.columns, &c)
		default:
			m.columns = append(m.columns, lc)
		}
	}
	for _, c := range slices.Concat(l, r) {
		if !slices.Contains(taken, c) {
			m.columns = append(m.columns, c)
		}
	}
	for _, it := range slices.Concat(left, right) {
		it.visible = false
	}
	return m, strings.Join(conds, " AND ")
}

// derived is a subquery in FROM.
func (b *builder) derived(d *ir.Derived, sc *level) (string, []*item) {
	outer := sc
	if !d.Lateral {
		outer = sc.outer
		if len(sc.ctes) > 0 {
			outer = &level{outer: sc.outer, ctes: sc.ctes}
		}
	}
	if b.my() && d.Alias == "" {
		b.fail(sqlerr.New("42601", "subquery in FROM must have an alias").My(1248, "Every derived table must have its own alias"))
	}
	used := sc.uses
	rel := b.query(d.Query, outer)
	rel.settle(b)
	alias := d.Alias
	if alias == "" {
		alias = "unnamed_subquery"
	}
	ref := quote(b.alias(alias))
	it := &item{name: d.Alias, ref: ref, visible: true, named: d.Alias != ""}
	names := rel.uniqueNames()
	it.columns = rel.itemColumns(ref, names)
	sql := "(" + rel.print(b, names) + ") AS " + ref
	if d.Lateral && sc.uses != used {
		sql = b.lateralSQL(rel, it, ref, names)
	}
	b.renameColumns(it, d.Columns)
	it.aliasColumns()
	return sql, []*item{it}
}

// lateralSQL prints a subquery that refers to the FROM elements before it. SQLite knows only functions that do, so the
// rows travel through json_each: each is an array of the columns' values.
func (b *builder) lateralSQL(rel *relation, it *item, ref string, names []string) string {
	inner := quote(b.alias("q"))
	var values []string
	i := 0
	var pack func(c *column)
	pack = func(c *column) {
		if c.fields != nil {
			for _, f := range c.fields {
				pack(f)
			}
			return
		}
		v := inner + "." + unqualified(c.sql)
		at := "(" + ref + ".value ->> " + strconv.Itoa(i) + ")"
		switch c.typ.Kind {
		case types.Bytes:
			v, at = "hex("+v+")", "unhex"+at
		case types.JSON, types.JSONB, types.Array:
			v += " || ''" // without the mark that would splice it in as JSON
		}
		values = append(values, v)
		c.sql, c.bare = at, false
		i++
	}
	sql := rel.print(b, names)
	for _, c := range it.columns {
		pack(c)
	}
	return "json_each((SELECT json_group_array(json_array(" + strings.Join(values, ", ") + ")) FROM (" + sql + ") AS " + inner + ")) AS " + ref
}

// dmlItem makes the target of an UPDATE, INSERT or DELETE: it is printed under its own name, as RETURNING needs.
func (b *builder) dmlItem(t *schema.Table, alias string) *item {
	b.alias(t.SQLName)
	name := t.Name
	if alias != "" {
		name = alias
	}
	it := b.tableItem(t, name, quote(t.SQLName))
	if alias != "" {
		it.namespace = ""
	}
	return it
}

// writable is the table that a statement changes, or an error that says why it can't be.
func (b *builder) writable(name ir.Name, verb string) *schema.Table {
	t := b.table(name)
	switch {
	case t.View:
		b.failAt(sqlerr.New("55000", "cannot %s view \"%s\"", verb, t.Name).
			WithHint("Change the tables that the view reads.").
			My(1288, "The target table %s of the statement is not updatable", t.Name), name.Pos)
	case b.isSystem(t):
		b.failAt(sqlerr.New("42501", "permission denied: \"%s\" is a system catalog", t.Name).
			My(1142, "%s command denied for table '%s'", strings.ToUpper(verb), t.Name), name.Pos)
	}
	return t
}
