package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// insertion is the state of one INSERT.
type insertion struct {
	table   *schema.Table
	item    *item
	columns []*schema.Column // that get values, in the order of the printed column list
	given   int              // how many of them the statement names
	s       *ir.Insert
}

func columnByNum(t *schema.Table, num int16) *schema.Column {
	for _, c := range t.Columns {
		if c.Num == num {
			return c
		}
	}
	return nil
}

func (b *builder) columnNamed(t *schema.Table, name string) *schema.Column {
	for _, c := range t.Columns {
		if b.same(c.Name, name) {
			return c
		}
	}
	return nil
}

// targetColumn finds a column that a statement writes.
func (b *builder) targetColumn(t *schema.Table, name string, pos int) *schema.Column {
	c := b.columnNamed(t, name)
	if c == nil {
		b.failAt(sqlerr.New("42703", "column \"%s\" of relation \"%s\" does not exist", name, t.Name).
			My(1054, "Unknown column '%s' in 'field list'", name), pos)
	}
	return c
}

func generated(c *schema.Column) bool { return c.Generated != "" || c.GeneratedSQL != "" }

func (b *builder) insertPlan(s *ir.Insert) *Plan {
	p := &Plan{Verb: "INSERT", Class: Write}
	if s.Replace {
		p.Verb = "REPLACE"
	}
	sc := &level{}
	with := ""
	if s.With != nil {
		with = b.with(s.With, sc)
	}
	t := b.writable(s.Table, "insert into")
	ins := &insertion{table: t, item: b.dmlItem(t, s.Alias), s: s}
	p.Table = t
	b.insertColumns(ins)
	for _, c := range ins.columns[:ins.given] {
		b.touch(t, "INSERT", c.Name)
	}
	b.touch(t, "INSERT", "")
	p.AutoColumn = autoColumn(t)

	var out strings.Builder
	out.WriteString(with)
	switch {
	case s.Replace:
		out.WriteString("REPLACE INTO ")
		b.touch(t, "DELETE", "")
	case s.Ignore:
		out.WriteString("INSERT OR IGNORE INTO ")
	default:
		out.WriteString("INSERT INTO ")
	}
	out.WriteString(quote(t.SQLName))
	source := b.insertSource(ins, sc)
	if len(ins.columns) > 0 {
		names := make([]string, len(ins.columns))
		for i, c := range ins.columns {
			names[i] = quote(c.Name)
		}
		out.WriteString(" (" + strings.Join(names, ", ") + ")")
	}
	out.WriteString(" " + source)
	if s.OnConflict != nil {
		out.WriteString(b.onConflict(ins, s.OnConflict, sc))
	}
	p.Columns = b.returning(s.Returning, ins.item, nil, &out)
	p.SQL = out.String()
	return b.finish(p)
}

// autoColumn is the column whose generated value clients ask for.
func autoColumn(t *schema.Table) *schema.Column {
	for _, c := range t.Columns {
		if c.AutoIncrement || c.Sequence != 0 {
			return c
		}
	}
	return nil
}

// insertColumns decides which columns get values: those of the statement, then those with a default of their own.
func (b *builder) insertColumns(ins *insertion) {
	t, s := ins.table, ins.s
	if len(s.Columns) > 0 {
		for _, name := range s.Columns {
			c := b.targetColumn(t, name, s.Table.Pos)
			if slices.Contains(ins.columns, c) {
				b.fail(sqlerr.New("42701", "column \"%s\" specified more than once", name).My(1110, "Column '%s' specified twice", name))
			}
			ins.columns = append(ins.columns, c)
		}
	} else if s.Source != nil || b.my() {
		ins.columns = slices.Clone(t.Columns)
		if n := sourceWidth(s.Source); b.pg() && n >= 0 && n < len(ins.columns) {
			ins.columns = ins.columns[:n] // PostgreSQL: fewer values fill the first columns
		}
	}
	b.dropGenerated(ins)
	ins.given = len(ins.columns)
	for _, c := range t.Columns {
		if slices.Contains(ins.columns, c) || generated(c) {
			continue
		}
		if c.AutoIncrement {
			continue
		}
		if c.DefaultSQL != "" || c.Missing != "" || c == t.RowID {
			ins.columns = append(ins.columns, c)
			continue
		}
		if b.my() && b.env.Strict && c.NotNull && !s.Ignore {
			b.fail(sqlerr.New("23502", "null value in column \"%s\" of relation \"%s\" violates not-null constraint", c.Name, t.Name).
				My(1364, "Field '%s' doesn't have a default value", c.Name))
		}
		if b.my() && c.NotNull {
			ins.columns = append(ins.columns, c)
		}
	}
}

// dropGenerated takes generated columns out of the list, and their DEFAULTs out of VALUES: SQLite allows neither.
func (b *builder) dropGenerated(ins *insertion) {
	i := slices.IndexFunc(ins.columns, generated)
	if i < 0 {
		return
	}
	var v *ir.Values
	if ins.s.Source != nil {
		v, _ = ins.s.Source.Body.(*ir.Values)
	}
	if v == nil {
		if ins.s.Source == nil || len(ins.s.Columns) == 0 && b.my() {
			ins.columns = slices.DeleteFunc(ins.columns, generated)
		}
		return
	}
	width := len(ins.columns)
	rows := make([][]ir.Expr, len(v.Rows))
	for r, row := range v.Rows {
		if len(row) != width {
			if b.pg() || len(row) > 0 {
				b.checkWidth(&insertion{given: width}, len(row), r+1)
			}
			rows[r] = row
			continue
		}
		for k, e := range row {
			if generated(ins.columns[k]) {
				_, isDefault := e.(*ir.Default)
				b.checkGenerated(ins, ins.columns[k], isDefault)
				continue
			}
			rows[r] = append(rows[r], e)
		}
	}
	ins.columns = slices.DeleteFunc(ins.columns, generated)
	insert, source := *ins.s, *ins.s.Source
	source.Body = &ir.Values{Rows: rows}
	insert.Source = &source
	ins.s = &insert
}

// sourceWidth is the number of values of each VALUES row, -1 for other sources.
func sourceWidth(q *ir.Query) int {
	if q == nil {
		return -1
	}
	if v, ok := q.Body.(*ir.Values); ok && len(v.Rows) > 0 {
		return len(v.Rows[0])
	}
	if s, ok := q.Body.(*ir.Select); ok {
		for _, it := range s.Items {
			if _, star := it.Expr.(*ir.Star); star {
				return -1
			}
		}
		return len(s.Items)
	}
	return -1
}

// insertSource prints VALUES, SELECT or DEFAULT VALUES with the defaults of the columns that have none.
func (b *builder) insertSource(ins *insertion, sc *level) string {
	s := ins.s
	if s.Source == nil {
		if len(ins.columns) == 0 {
			return "DEFAULT VALUES"
		}
		return "VALUES (" + strings.Join(b.defaults(ins, 0), ", ") + ")"
	}
	if v, ok := s.Source.Body.(*ir.Values); ok && s.Source.With == nil && len(s.Source.OrderBy) == 0 && s.Source.Limit == nil && s.Source.Offset == nil {
		return b.insertValues(ins, v, sc)
	}
	rel := b.query(s.Source, sc)
	outs := rel.outputs()
	b.checkWidth(ins, len(outs), 1)
	for i, o := range outs {
		c := ins.columns[i]
		b.checkGenerated(ins, c, false)
		t := b.assignType(c, o.node)
		if b.pg() && !o.node.open && !b.convertible(o.node.typ, t, assignment) {
			b.cannotAssign(c, o.node.typ, o.node.pos)
		}
		if rel.set != nil || rel.core.rows != nil {
			rel.coerce(b, i, t, assignment)
			continue
		}
		rel.core.outputs[i].node = b.assign(c, o.node, ins.table)
	}
	wrapped := len(ins.columns) > ins.given || rel.set != nil
	needsRow := false
	for _, c := range ins.columns[:ins.given] {
		needsRow = needsRow || (c == ins.table.RowID && b.pg())
	}
	if !wrapped && !(needsRow && rel.set != nil) {
		sql := rel.print(b, nil)
		if s.OnConflict != nil && rel.core != nil && (rel.core.where == "" || rel.limit != "" || rel.order != nil) {
			names := rel.uniqueNames()
			return "SELECT * FROM (" + rel.print(b, names) + ") WHERE 1"
		}
		return sql
	}
	names := rel.uniqueNames()
	ref := quote(b.alias("q"))
	parts := make([]string, 0, len(ins.columns))
	for i := range outs {
		part := ref + "." + quote(names[i])
		if rel.set != nil {
			n := &node{sql: part, atom: true, typ: rel.outputs()[i].node.typ}
			part = b.guardRowID(ins.columns[i], n, ins.table).text()
		}
		parts = append(parts, part)
	}
	parts = append(parts, b.defaults(ins, ins.given)...)
	tail := ""
	if len(rel.order) > 0 && rel.limit == "" && rel.offset == "" {
		rel.limit = "-1" // keeps the order of the rows that the defaults are computed for
	}
	if s.OnConflict != nil {
		tail = " WHERE 1"
	}
	return "SELECT " + strings.Join(parts, ", ") + " FROM (" + rel.print(b, names) + ") AS " + ref + tail
}

func (b *builder) insertValues(ins *insertion, v *ir.Values, sc *level) string {
	var out strings.Builder
	out.WriteString("VALUES ")
	vl := &level{outer: sc, clause: inValues}
	if b.my() {
		// Columns named before are visible: INSERT INTO t (a, b) VALUES (1, a + 1).
		vl.items = []*item{{name: ins.table.Name, columns: ins.item.columns, visible: true, named: true}}
	}
	for i, row := range v.Rows {
		if b.my() && len(row) == 0 && len(ins.s.Columns) == 0 {
			row = make([]ir.Expr, len(ins.columns))
			for k := range row {
				row[k] = &ir.Default{}
			}
		}
		b.checkWidth(ins, len(row), i+1)
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteByte('(')
		vl.assigned = nil
		if b.my() && slices.ContainsFunc(row, readsColumns) {
			vl.assigned = make(map[string]*node, len(ins.item.columns))
			for _, c := range ins.item.columns {
				n := constant(types.Value{}, c.typ)
				if c.source.DefaultSQL != "" {
					n = b.defaultNode(c.source, ins.table)
				}
				vl.assigned[c.sql] = n
			}
		}
		for k, e := range row {
			if k > 0 {
				out.WriteString(", ")
			}
			c := ins.columns[k]
			var n *node
			if _, isDefault := e.(*ir.Default); isDefault {
				n = b.defaultNode(c, ins.table)
			} else {
				b.checkGenerated(ins, c, false)
				n = b.assign(c, b.single(b.expr(e, vl)), ins.table)
			}
			if vl.assigned != nil {
				vl.assigned[quote(ins.table.SQLName)+"."+quote(c.Name)] = n
			}
			out.WriteString(n.text())
		}
		for k, d := range b.defaults(ins, ins.given) {
			if k+len(row) > 0 {
				out.WriteString(", ")
			}
			out.WriteString(d)
		}
		out.WriteByte(')')
	}
	return out.String()
}

// readsColumns reports whether a value of MySQL's VALUES may read columns assigned before it.
func readsColumns(e ir.Expr) bool {
	switch e.(type) {
	case *ir.Literal, *ir.Param, *ir.Default:
		return false
	}
	found := false
	walk(e, func(e ir.Expr) bool {
		_, is := e.(*ir.ColumnRef)
		found = found || is
		return !found
	})
	return found
}

// checkWidth compares the number of values with that of the columns.
func (b *builder) checkWidth(ins *insertion, n, row int) {
	switch {
	case n == ins.given:
	case n > ins.given:
		b.fail(sqlerr.New("42601", "INSERT has more expressions than target columns").
			My(1136, "Column count doesn't match value count at row %d", row))
	default:
		b.fail(sqlerr.New("42601", "INSERT has more target columns than expressions").
			My(1136, "Column count doesn't match value count at row %d", row))
	}
}

// checkGenerated refuses values for columns that compute their own.
func (b *builder) checkGenerated(ins *insertion, c *schema.Column, isDefault bool) {
	if generated(c) && !isDefault {
		b.fail(sqlerr.New("428C9", "cannot insert a non-DEFAULT value into column \"%s\"", c.Name).
			My(3105, "The value specified for generated column '%s' in table '%s' is not allowed.", c.Name, ins.table.Name))
	}
	if c.Identity == "ALWAYS" && !isDefault && ins.s.Overriding == "" && b.pg() {
		e := sqlerr.New("428C9", "cannot insert a non-DEFAULT value into column \"%s\"", c.Name).
			WithHint("Use OVERRIDING SYSTEM VALUE to override.")
		e.Detail = "Column \"" + c.Name + "\" is an identity column defined as GENERATED ALWAYS."
		b.fail(e)
	}
}

// returning prints RETURNING and describes its columns. SQLite knows there only the changed table.
func (b *builder) returning(items []ir.Item, it *item, others []*item, out *strings.Builder) []Column {
	if len(items) == 0 {
		return nil
	}
	sc := &level{items: []*item{it}, clause: inReturning}
	rel := &relation{core: &core{}}
	for _, x := range items {
		if star, ok := x.Expr.(*ir.Star); ok && star.Table == "" && len(others) > 0 {
			b.unsupported("RETURNING * with other tables: name the columns of the changed table")
		}
		if len(others) > 0 {
			walk(x.Expr, func(e ir.Expr) bool {
				if r, ok := e.(*ir.ColumnRef); ok && b.columnOf(r, others) && !b.columnOf(r, []*item{it}) {
					b.unsupported("RETURNING of columns of other tables than the changed one")
				}
				return true
			})
		}
		rel.core.outputs = append(rel.core.outputs, b.item(x, sc)...)
	}
	rel.settle(b)
	if b.through != nil {
		b.through.apply(b, rel)
	}
	out.WriteString(" RETURNING ")
	rel.core.printOutputs(b, out, nil)
	return rel.columns()
}

func (b *builder) columnOf(r *ir.ColumnRef, items []*item) bool {
	for _, it := range items {
		if r.Table != "" && !b.sameTable(it.name, r.Table) {
			continue
		}
		for _, c := range it.columns {
			if b.same(c.name, r.Name) {
				return true
			}
		}
	}
	return false
}
