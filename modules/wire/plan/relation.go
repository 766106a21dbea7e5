package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// relation is a resolved query whose columns can still be converted: it is printed last.
type relation struct {
	with   string
	core   *core
	set    *setOp
	order  []sortKey
	limit  string
	offset string
}

// core is a SELECT or VALUES.
type core struct {
	outputs  []output
	rows     [][]*node // VALUES; outputs then carry the names and types
	distinct bool
	on       []*node // DISTINCT ON
	from     string
	where    string
	group    string
	having   string
	windows  string
	rollup   []*core // WITH ROLLUP: the same with ever fewer grouping keys
	keys     []string
	expanded bool // a set-returning function of the select list makes rows
}

// sortKey is an element of ORDER BY. ordinal counts from 1; 0: the expression node.
type sortKey struct {
	node    *node
	ordinal int
	desc    bool
	nulls   int8
}

// outputs are the columns, nodes as far as they are expressions of one SELECT.
func (r *relation) outputs() []output {
	if r.set != nil {
		return r.set.outputs
	}
	return r.core.outputs
}

// coerce converts column i; it must not be printed yet.
func (r *relation) coerce(b *builder, i int, t types.Type, level funcs.Level) {
	if r.set != nil {
		r.set.left.coerce(b, i, t, level)
		r.set.right.coerce(b, i, t, level)
		n := *r.set.outputs[i].node
		n.typ, n.open = t, false
		r.set.outputs[i].node = &n
		return
	}
	c := r.core
	if c.rows != nil {
		for _, row := range c.rows {
			row[i] = b.coerce(row[i], t, level)
		}
		n := *c.outputs[i].node
		n.typ, n.open = t, false
		c.outputs[i].node = &n
		return
	}
	c.outputs[i].node = b.coerce(c.outputs[i].node, t, level)
	for _, rc := range c.rollup {
		rc.outputs[i].node = b.coerce(rc.outputs[i].node, t, level)
	}
}

// settle gives columns of unknown type the type text.
func (r *relation) settle(b *builder) {
	for i, o := range r.outputs() {
		if o.node.open {
			r.coerce(b, i, b.openType(o.node), implicit)
		}
	}
}

// openType is the type of an expression that no context gave one.
func (b *builder) openType(n *node) types.Type {
	return types.T(types.Text)
}

// uniqueNames are the output names, changed so that SQLite can tell them apart.
func (r *relation) uniqueNames() []string {
	outs := r.outputs()
	names := make([]string, len(outs))
	taken := make(map[string]bool, len(outs)) // false: some column's own name, not given out yet
	for _, o := range outs {
		taken[strings.ToLower(o.name)] = false
	}
	for i, o := range outs {
		name := o.name
		if taken[strings.ToLower(name)] {
			for n := 2; ; n++ {
				name = o.name + "_" + strconv.Itoa(n)
				if _, known := taken[strings.ToLower(name)]; !known {
					break
				}
			}
		}
		taken[strings.ToLower(name)] = true
		names[i] = name
	}
	return names
}

// itemColumns are the columns that a FROM element made of r has.
func (r *relation) itemColumns(ref string, names []string) []*column {
	outs := r.outputs()
	columns := make([]*column, len(outs))
	for i, o := range outs {
		n := o.node
		c := &column{name: o.name, sql: ref + "." + quote(names[i]), typ: n.typ, notNull: n.notNull && r.set == nil,
			coll: n.coll, bare: n.bare && r.set == nil, span: n.span}
		if n.column != nil && r.set == nil {
			c.source, c.table = n.column.source, n.column.table
		}
		if n.row != nil {
			for k, f := range n.row {
				name := "f" + strconv.Itoa(k+1)
				if n.names != nil {
					name = n.names[k]
				}
				c.fields = append(c.fields, &column{name: name, sql: ref + "." + quote(names[i]+"."+name), typ: f.typ, coll: f.coll, bare: f.bare})
			}
		}
		columns[i] = c
	}
	return columns
}

// columns describes the result.
func (r *relation) columns() []Column {
	outs := r.outputs()
	cs := make([]Column, len(outs))
	for i, o := range outs {
		cs[i] = Column{Name: o.name, Type: o.node.typ, NotNull: o.node.notNull && r.set == nil}
		if c := o.node.column; c != nil && r.set == nil {
			cs[i].Table, cs[i].Source = c.table, c.source
			cs[i].TableName = o.node.column.alias
		}
	}
	return cs
}

// print writes the query; names, if given, name the columns (a FROM element's), else they are left to the caller.
func (r *relation) print(b *builder, names []string) string {
	var s strings.Builder
	s.WriteString(r.with)
	if r.set != nil && slices.ContainsFunc(r.order, func(k sortKey) bool { return b.sortsByExpression(r.set.outputs[k.ordinal-1].node.typ) }) {
		r.printSorted(b, &s, names)
		r.printLimit(&s)
		return s.String()
	}
	if names == nil && r.core != nil && r.core.rows != nil && (len(r.order) > 0 || r.limit != "" || r.offset != "") {
		names = r.uniqueNames() // VALUES by itself can't be sorted or limited in SQLite
	}
	if r.set != nil {
		r.set.print(b, &s, names)
	} else {
		r.core.print(b, &s, names, r)
	}
	if r.core == nil || len(r.core.on) == 0 {
		r.printOrder(b, &s)
	}
	r.printLimit(&s)
	return s.String()
}

// printSorted prints a set operation that is sorted by expressions of its columns: SQLite sorts one by columns only.
func (r *relation) printSorted(b *builder, s *strings.Builder, names []string) {
	if names == nil {
		names = r.uniqueNames()
	}
	ref := quote(b.alias("q"))
	for i, name := range names {
		word := ", "
		if i == 0 {
			word = "SELECT "
		}
		s.WriteString(word + ref + "." + quote(name))
	}
	s.WriteString(" FROM (")
	r.set.print(b, s, names)
	s.WriteString(") AS " + ref)
	word := " ORDER BY "
	for _, k := range r.order {
		n := *r.set.outputs[k.ordinal-1].node
		n.sql, n.atom = ref+"."+quote(names[k.ordinal-1]), true
		s.WriteString(word + b.sortExpr(&n) + b.direction(k, &n))
		word = ", "
	}
}

func (r *relation) printLimit(s *strings.Builder) {
	if r.limit != "" {
		s.WriteString(" LIMIT " + r.limit)
	}
	if r.offset != "" {
		if r.limit == "" {
			s.WriteString(" LIMIT -1")
		}
		s.WriteString(" OFFSET " + r.offset)
	}
}

func (r *relation) printOrder(b *builder, s *strings.Builder) {
	word := " ORDER BY "
	for _, k := range r.order {
		key := r.key(b, k)
		if key == "" {
			continue
		}
		s.WriteString(word + key)
		word = ", "
	}
}

// key prints a sort key, "" if it sorts nothing.
func (r *relation) key(b *builder, k sortKey) string {
	n := k.node
	sql := ""
	if k.ordinal > 0 {
		n = r.outputs()[k.ordinal-1].node
		if n.value == nil || r.set != nil {
			sql = strconv.Itoa(k.ordinal)
		}
		if r.set == nil && b.sortsByExpression(n.typ) {
			sql = ""
		}
	}
	if sql == "" {
		if n.value != nil {
			return ""
		}
		sql = b.sortExpr(n)
	} else if c := b.collate(n); c != "" {
		sql += c
	}
	return sql + b.direction(k, n)
}

func (b *builder) direction(k sortKey, n *node) string {
	sql := ""
	if k.desc {
		sql = " DESC"
	}
	nulls := k.nulls
	if nulls == 0 && b.pg() {
		nulls = -1
		if k.desc {
			nulls = 1
		}
	}
	// SQLite sorts NULLs first, or last with DESC: saying so again would keep it from using an index.
	switch {
	case nulls == 1 && k.desc && !n.notNull:
		sql += " NULLS FIRST"
	case nulls == -1 && !k.desc && !n.notNull:
		sql += " NULLS LAST"
	}
	return sql
}

func (c *core) print(b *builder, s *strings.Builder, names []string, r *relation) {
	if c.rows != nil {
		c.printValues(b, s, names)
		return
	}
	if len(c.on) > 0 {
		c.printDistinctOn(b, s, names, r)
		return
	}
	if len(c.rollup) > 0 {
		c.printRollup(b, s, names, len(r.order) == 0)
		return
	}
	c.printSelect(b, s, names, "")
}

func (c *core) printSelect(b *builder, s *strings.Builder, names []string, extra string) {
	s.WriteString("SELECT ")
	if c.distinct {
		s.WriteString("DISTINCT ")
	}
	c.printOutputs(b, s, names)
	s.WriteString(extra)
	if c.from != "" {
		s.WriteString(" FROM " + c.from)
	}
	if c.where != "" {
		s.WriteString(" WHERE " + c.where)
	}
	if c.group != "" {
		s.WriteString(" GROUP BY " + c.group)
	}
	if c.having != "" {
		s.WriteString(" HAVING " + c.having)
	}
	if c.windows != "" {
		s.WriteString(" WINDOW " + c.windows)
	}
}

func (c *core) printOutputs(b *builder, s *strings.Builder, names []string) {
	if len(c.outputs) == 0 {
		// PostgreSQL allows an empty select list: rows without columns.
		s.WriteString("NULL")
		return
	}
	for i, o := range c.outputs {
		if i > 0 {
			s.WriteString(", ")
		}
		if o.node.row != nil && o.node.sql == "" {
			if names == nil {
				s.WriteString(b.recordText(o.node))
				continue
			}
			for k, f := range o.node.row {
				if k > 0 {
					s.WriteString(", ")
				}
				name := "f" + strconv.Itoa(k+1)
				if o.node.names != nil {
					name = o.node.names[k]
				}
				f = b.settle(f)
				s.WriteString(f.text() + " AS " + quote(names[i]+"."+name))
			}
			continue
		}
		sql := o.node.text()
		if c.distinct {
			sql = b.keyed(o.node)
		}
		s.WriteString(sql)
		if names != nil {
			s.WriteString(" AS " + quote(names[i]))
		}
	}
}

func (c *core) printValues(b *builder, s *strings.Builder, names []string) {
	if names != nil {
		// The columns of VALUES can't be named in SQLite: they are column1, column2 …
		s.WriteString("SELECT ")
		for i := range c.outputs {
			if i > 0 {
				s.WriteString(", ")
			}
			s.WriteString("column" + strconv.Itoa(i+1) + " AS " + quote(names[i]))
		}
		s.WriteString(" FROM (")
		defer s.WriteString(")")
	}
	s.WriteString("VALUES ")
	for i, row := range c.rows {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteByte('(')
		s.WriteString(list(row))
		s.WriteByte(')')
	}
}

// printDistinctOn keeps the first row of each group by numbering the rows of each.
func (c *core) printDistinctOn(b *builder, s *strings.Builder, names []string, r *relation) {
	if names == nil {
		names = make([]string, len(c.outputs))
		for i := range names {
			names[i] = "c" + strconv.Itoa(i+1)
		}
	}
	var extra, order strings.Builder
	extra.WriteString(", row_number() OVER (PARTITION BY ")
	for i, n := range c.on {
		if i > 0 {
			extra.WriteString(", ")
		}
		extra.WriteString(b.keyed(n))
	}
	r.printOrderExprs(b, &extra)
	extra.WriteString(`) AS "__bop_row"`)
	for i, k := range r.order {
		n := k.node
		if k.ordinal > 0 {
			n = c.outputs[k.ordinal-1].node
		}
		if n.value != nil {
			continue
		}
		name := `"__bop_key` + strconv.Itoa(i+1) + `"`
		extra.WriteString(", " + b.sortExpr(n) + " AS " + name)
		if order.Len() > 0 {
			order.WriteString(", ")
		}
		order.WriteString(name + b.collate(n) + b.direction(k, n))
	}
	s.WriteString("SELECT ")
	first := true
	for i, o := range c.outputs {
		columns := []string{names[i]}
		if o.node.row != nil && o.node.sql == "" {
			columns = columns[:0]
			for _, f := range o.node.names {
				columns = append(columns, names[i]+"."+f)
			}
		}
		for _, name := range columns {
			if !first {
				s.WriteString(", ")
			}
			first = false
			s.WriteString(quote(name))
		}
	}
	s.WriteString(" FROM (")
	c.printSelect(b, s, names, extra.String())
	s.WriteString(`) WHERE "__bop_row" = 1`)
	if order.Len() > 0 {
		s.WriteString(" ORDER BY " + order.String())
	}
}

func (r *relation) printOrderExprs(b *builder, s *strings.Builder) {
	word := " ORDER BY "
	for _, k := range r.order {
		n := k.node
		if k.ordinal > 0 {
			n = r.outputs()[k.ordinal-1].node
		}
		if n.value != nil {
			continue
		}
		s.WriteString(word + b.sortExpr(n) + b.direction(k, n))
		word = ", "
	}
}

// query resolves a query inside of outer.
func (b *builder) query(q *ir.Query, outer *level) *relation {
	r := &relation{}
	sc := &level{outer: outer}
	if q.With != nil {
		r.with = b.with(q.With, sc)
	}
	if q.Lock.Strength != ir.NoLock {
		b.writes = true
	}
	switch body := q.Body.(type) {
	case *ir.Select:
		b.selectBody(body, q, r, sc)
	case *ir.Values:
		b.valuesBody(body, r, sc)
		b.orderOutputs(q.OrderBy, r, sc)
	case *ir.SetOp:
		b.setBody(body, r, sc)
		b.orderOutputs(q.OrderBy, r, sc)
	}
	if q.CalcFoundRows {
		plain := *r
		plain.order = nil
		plain.settle(b)
		b.calc = "SELECT count(*) FROM (" + plain.print(b, plain.uniqueNames()) + ")"
	}
	r.limit = b.limitExpr(q.Limit, sc, "LIMIT")
	r.offset = b.limitExpr(q.Offset, sc, "OFFSET")
	return r
}

// limitExpr prints LIMIT or OFFSET, "" for none.
func (b *builder) limitExpr(e ir.Expr, sc *level, clause string) string {
	if e == nil {
		return ""
	}
	n := b.expr(e, &level{outer: &level{ctes: sc.ctes, outer: sc.outer}})
	n = b.coerce(n, types.T(types.Int8), assignment)
	if n.value != nil {
		if n.value.IsNull() {
			return ""
		}
		if n.value.Class == types.Int && n.value.I < 0 {
			state, num := "2201W", uint16(1064)
			if clause == "OFFSET" {
				state = "2201X"
			}
			b.fail(sqlerr.New(state, "%s must not be negative", clause).My(num, "%s must not be negative", clause))
		}
		return n.text()
	}
	if clause == "OFFSET" {
		return "ifnull(" + n.text() + ", 0)"
	}
	return "ifnull(" + n.text() + ", -1)"
}

// valuesBody resolves VALUES.
func (b *builder) valuesBody(v *ir.Values, r *relation, sc *level) {
	c := &core{}
	sc.clause = inValues
	for i, row := range v.Rows {
		if i > 0 && len(row) != len(v.Rows[0]) {
			b.fail(sqlerr.New("42601", "VALUES lists must all be the same length").My(1136, "Column count doesn't match value count at row %d", i+1))
		}
		nodes := make([]*node, len(row))
		for k, e := range row {
			nodes[k] = b.single(b.expr(e, sc))
		}
		c.rows = append(c.rows, nodes)
	}
	for k := range v.Rows[0] {
		column := make([]*node, len(c.rows))
		for i := range c.rows {
			column[i] = c.rows[i][k]
		}
		t := b.commonType(column, "VALUES")
		open := t.Kind == types.Unknown
		n := raw("column"+strconv.Itoa(k+1), t)
		n.open, n.atom = open, true
		n.coll = column[0].coll
		name := "column" + strconv.Itoa(k+1)
		if b.my() {
			name = "column_" + strconv.Itoa(k)
		}
		if !open {
			for i := range c.rows {
				c.rows[i][k] = b.coerce(c.rows[i][k], t, implicit)
			}
		}
		c.outputs = append(c.outputs, output{name, n})
	}
	r.core = c
}

// ordinal is the number of a result column, checked.
func (b *builder) ordinal(l *ir.Literal, n int, clause string) int {
	if i := l.Value.I; i >= 1 && i <= int64(n) {
		return int(i)
	}
	where := "order clause"
	if clause == "GROUP BY" {
		where = "group statement"
	}
	b.failAt(sqlerr.New("42P10", "%s position %d is not in select list", clause, l.Value.I).
		My(1054, "Unknown column '%d' in '%s'", l.Value.I, where), l.Pos)
	return 0
}
