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

// defaults prints the defaults of the columns from the given one on.
func (b *builder) defaults(ins *insertion, from int) []string {
	var out []string
	for _, c := range ins.columns[from:] {
		out = append(out, b.defaultNode(c, ins.table).text())
	}
	return out
}

// defaultNode is the default of a column.
func (b *builder) defaultNode(c *schema.Column, t *schema.Table) *node {
	switch {
	case c.DefaultSQL != "":
		b.volatile = b.volatile || c.Sequence != 0
		n := raw(c.DefaultSQL, c.Type)
		n.atom = isCall(c.DefaultSQL)
		return n
	case c.AutoIncrement:
		return constant(types.Value{}, c.Type)
	case c == t.RowID && b.pg():
		return atom("''", c.Type) // refused by SQLite; see the package comment
	case b.my() && c.NotNull:
		if b.env.Strict {
			b.fail(sqlerr.New("23502", "null value in column \"%s\" of relation \"%s\" violates not-null constraint", c.Name, t.Name).
				My(1364, "Field '%s' doesn't have a default value", c.Name))
		}
		return b.implicitDefault(c)
	}
	return constant(types.Value{}, c.Type)
}

// implicitDefault is what MySQL without strict mode stores in a NOT NULL column that gets no value.
func (b *builder) implicitDefault(c *schema.Column) *node {
	t := c.Type
	switch {
	case t.Kind == types.Numeric:
		return b.coerce(constant(types.StringValue("0"), types.T(types.Numeric)), t, explicit)
	case isNumberMySQL(t):
		if isFloat(t) {
			return constant(types.FloatValue(0), t)
		}
		return constant(types.IntValue(0), t)
	case t.Kind == types.Date:
		return constant(types.StringValue("0000-00-00"), t)
	case t.Kind == types.Timestamp || t.Kind == types.TimestampTZ:
		return constant(types.StringValue("0000-00-00 00:00:00.000000"), t)
	case t.Kind == types.Time:
		return constant(types.StringValue("00:00:00"), t)
	case t.Kind == types.Bytes:
		return constant(types.BlobValue([]byte{}), t)
	case t.Kind == types.Enum:
		if e := b.enum(t); e != nil && len(e.Labels) > 0 {
			return constant(types.StringValue(e.Labels[0]), t)
		}
	}
	return constant(types.StringValue(""), t)
}

func (b *builder) cannotAssign(c *schema.Column, from types.Type, pos int) {
	b.failAt(sqlerr.New("42804", "column \"%s\" is of type %s but expression is of type %s", c.Name, typeName(c.Type), typeName(from)).
		WithHint("You will need to rewrite or cast the expression."), pos)
}

// assignType is the type that a value for a column is converted to. Lengths of strings and ranges of integers are
// left to the column's own checks, which name the column.
func (b *builder) assignType(c *schema.Column, n *node) types.Type {
	t := c.Type
	if t.Kind == types.Varchar || t.Kind == types.Bytes {
		t.Len = 0
	}
	return t
}

// assign converts a value for a column.
func (b *builder) assign(c *schema.Column, n *node, t *schema.Table) *node {
	if n.row != nil && n.sql == "" {
		b.unsupported("a row as the value of column " + c.Name)
	}
	to := b.assignType(c, n)
	if b.my() {
		return b.guardRowID(c, b.assignMySQL(c, n, to, t), t)
	}
	if !n.open && !b.convertible(n.typ, to, assignment) {
		b.cannotAssign(c, n.typ, n.pos)
	}
	if plain := b.wholeNumber(c, n, t); plain != nil {
		return b.guardRowID(c, plain, t)
	}
	return b.guardRowID(c, b.coerce(n, to, assignment), t)
}

func (b *builder) assignMySQL(c *schema.Column, n *node, to types.Type, t *schema.Table) *node {
	if c.AutoIncrement {
		return b.autoValue(n, to)
	}
	if plain := b.wholeNumber(c, n, t); plain != nil {
		return plain
	}
	return b.coerce(n, to, assignment)
}

// wholeNumber is a whole number on its way into a column of whole numbers: the column checks the range, so plain
// arithmetic serves. nil when the value must be converted.
func (b *builder) wholeNumber(c *schema.Column, n *node, t *schema.Table) *node {
	if n.open || t.Foreign || !c.Type.IsInteger() || !n.typ.IsInteger() || b.my() && !b.env.Strict || n.row != nil {
		return nil
	}
	switch {
	case n.fast == "":
		plain := *n
		plain.typ = c.Type
		return &plain
	case c == t.RowID && !n.span.known:
		return nil // an overflow would look like a NULL
	}
	plain := *n
	plain.sql, plain.fast, plain.atom, plain.typ = n.fast, "", false, c.Type
	return &plain
}

// autoValue is a value for an AUTO_INCREMENT column: NULL and 0 ask for the next one.
func (b *builder) autoValue(n *node, t types.Type) *node {
	n = b.coerce(n, t, assignment)
	if n.value != nil {
		if n.value.Class == types.Int && n.value.I == 0 && !b.env.NoAutoValueOnZero {
			return constant(types.Value{}, t)
		}
		return n
	}
	if b.env.NoAutoValueOnZero || n.span.known && (n.span.lo > 0 || n.span.hi < 0) {
		return n
	}
	return atom("nullif("+n.text()+", 0)", t)
}

// guardRowID keeps SQLite from generating a value for a NULL in its row number; see the package comment.
func (b *builder) guardRowID(c *schema.Column, n *node, t *schema.Table) *node {
	if c != t.RowID || c.AutoIncrement || n.notNull {
		return n
	}
	if b.my() && t.Dialect != "mysql" && c.Sequence != 0 {
		// A serial column of PostgreSQL behaves as AUTO_INCREMENT for MySQL's clients.
		return atom("ifnull(nullif("+n.text()+", 0), "+c.DefaultSQL+")", c.Type)
	}
	g := *n
	if n.isNull() {
		g.sql, g.value, g.atom = "''", nil, true
		return &g
	}
	g.sql, g.value, g.atom = "ifnull("+n.text()+", '')", nil, true
	return &g
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

// onConflict prints SQLite's upsert.
func (b *builder) onConflict(ins *insertion, oc *ir.OnConflict, outer *level) string {
	var s strings.Builder
	s.WriteString(" ON CONFLICT")
	t := ins.table
	if !oc.AnyKey {
		if target := b.conflictTarget(ins, oc); target != "" {
			s.WriteString(" " + target)
		}
	}
	if len(oc.Update) == 0 {
		s.WriteString(" DO NOTHING")
		return s.String()
	}
	s.WriteString(" DO UPDATE SET ")
	ex := &item{name: "excluded", named: true, excluded: true, visible: b.pg()}
	if b.my() && oc.RowAlias != "" {
		ex.name = oc.RowAlias
	}
	for _, c := range ins.item.columns {
		k := *c
		k.sql = "excluded." + quote(c.source.Name)
		k.notNull = false
		ex.columns = append(ex.columns, &k)
	}
	sc := &level{outer: outer, items: []*item{ins.item, ex}}
	set, where := b.assignments(oc.Update, ins.item, sc)
	s.WriteString(set)
	if oc.UpdateIf != nil {
		where = b.condition(oc.UpdateIf, sc, inWhere, "WHERE")
	}
	if where != "" {
		s.WriteString(" WHERE " + where)
	}
	for _, a := range oc.Update {
		for _, c := range a.Columns {
			b.touch(t, "UPDATE", c.Name)
		}
	}
	return s.String()
}

// conflictTarget prints the columns that a conflict is about, "" for any.
func (b *builder) conflictTarget(ins *insertion, oc *ir.OnConflict) string {
	t := ins.table
	var parts []string
	if oc.Constraint != "" {
		k := t.Constraint(oc.Constraint)
		if k == nil || k.Kind != 'p' && k.Kind != 'u' {
			b.fail(sqlerr.New("42704", "constraint \"%s\" for table \"%s\" does not exist", oc.Constraint, t.Name))
		}
		for _, num := range k.Columns {
			parts = append(parts, quote(columnByNum(t, num).Name))
		}
		return "(" + strings.Join(parts, ", ") + ")"
	}
	if len(oc.Columns) == 0 {
		return ""
	}
	sc := &level{items: []*item{bareItem(ins.item)}}
	for _, c := range oc.Columns {
		if c.Column != "" {
			parts = append(parts, quote(b.targetColumn(t, c.Column, ins.s.Table.Pos).Name))
			continue
		}
		parts = append(parts, b.settle(b.expr(c.Expr, sc)).arg())
	}
	if oc.Where == nil && !b.hasKey(t, oc.Columns) {
		b.fail(sqlerr.New("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification"))
	}
	target := "(" + strings.Join(parts, ", ") + ")"
	if oc.Where != nil {
		target += " WHERE " + b.condition(oc.Where, sc, inWhere, "WHERE")
	}
	return target
}

// bareItem is an item whose columns are printed without a qualifier, as indexes need.
func bareItem(it *item) *item {
	c := *it
	c.columns = make([]*column, len(it.columns))
	for i, col := range it.columns {
		k := *col
		k.sql = unqualified(col.sql)
		c.columns[i] = &k
	}
	return &c
}

// hasKey reports whether the schema has a unique key of exactly these columns. Expressions are left to SQLite.
func (b *builder) hasKey(t *schema.Table, columns []ir.IndexColumn) bool {
	var nums []int16
	for _, c := range columns {
		if c.Column == "" {
			return true
		}
		nums = append(nums, b.columnNamed(t, c.Column).Num)
	}
	slices.Sort(nums)
	equal := func(cols []int16) bool {
		cols = slices.Clone(cols)
		slices.Sort(cols)
		return slices.Equal(cols, nums)
	}
	if t.Foreign {
		return true
	}
	for _, k := range t.Constraints {
		if (k.Kind == 'p' || k.Kind == 'u') && equal(k.Columns) {
			return true
		}
	}
	if b.env.Schema != nil {
		for _, x := range b.env.Schema.Indices(t) {
			if !x.Unique {
				continue
			}
			var cols []int16
			for _, c := range x.Columns {
				cols = append(cols, c.Column)
			}
			if equal(cols) {
				return true
			}
		}
	}
	return false
}
