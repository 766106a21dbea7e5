package schema

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// columnType is ALTER COLUMN … TYPE.
func (a *alteration) columnType(act *ir.AlterAction) error {
	w, t := a.w, a.t
	c := w.column(t, act.Column)
	if c == nil {
		return noColumn(t, act.Column)
	}
	if t.Foreign {
		return sqlerr.Unsupported("another type for a column of a table that another program created")
	}
	for _, v := range w.dependentViews(t, c.Name) {
		e := sqlerr.New("0A000", "cannot alter type of a column used by a view or rule")
		e.Detail = "view " + v.Name + " depends on column \"" + c.Name + "\""
		return e
	}
	before := *c
	c.NotNull = before.NotNull
	c.DefaultSQL, c.Default = before.DefaultSQL, before.Default
	if err := w.setType(t, c, act.Type); err != nil {
		return err
	}
	if act.Collation != "" {
		c.Collation = act.Collation
	}
	if act.Using == nil && !assignable(before.Type, c.Type) {
		e := sqlerr.New("42804", "column \"%s\" cannot be cast automatically to type %s", c.Name, c.Declared).
			WithHint("You might need to specify \"USING %s::%s\".", quoteIdent(c.Name), c.Declared)
		return e
	}
	if err := a.convert(&before, c, act.Using); err != nil {
		return err
	}
	return a.convertDefault(&before, c)
}

// assignable tells whether PostgreSQL converts a column's values by itself.
func assignable(from, to types.Type) bool {
	if from.Kind == to.Kind && from.Elem == to.Elem && from.OID == to.OID {
		return true
	}
	switch {
	case to.Kind == types.Text || to.Kind == types.Varchar || to.Kind == types.Char || to.Kind == types.Name:
		return true
	case from.IsNumber() && to.IsNumber():
		return true
	case from.IsTime() && to.IsTime():
		return from.Kind != types.Time && from.Kind != types.TimeTZ && from.Kind != types.Date ||
			to.Kind == types.Timestamp || to.Kind == types.TimestampTZ || to.Kind == types.Interval ||
			(from.Kind == types.Time && to.Kind == types.TimeTZ) || (from.Kind == types.TimeTZ && to.Kind == types.Time)
	case from.Kind == types.JSON && to.Kind == types.JSONB, from.Kind == types.JSONB && to.Kind == types.JSON:
		return true
	case from.IsNumber() && to.Kind == types.Money, from.Kind == types.Money && to.IsNumber():
		return true
	case from.Kind == types.Time && to.Kind == types.Interval, from.Kind == types.Interval && to.Kind == types.Time:
		return true
	case from.Kind == types.Inet && to.Kind == types.Cidr, from.Kind == types.Cidr && to.Kind == types.Inet:
		return true
	case from.IsInteger() && (to.Kind == types.Oid || to.Kind >= types.Regclass && to.Kind <= types.Regrole):
		return true
	}
	return false
}

// convert gives a column's values their new type.
func (a *alteration) convert(before, c *Column, using ir.Expr) error {
	w := a.w
	e := using
	if e == nil {
		if sameValues(before.Type, c.Type) {
			if Storage(before.Type) == Storage(c.Type) {
				// Only the checks differ: the rows are validated instead of written.
				if !slices.Equal(w.s.typeChecks(before), w.s.typeChecks(c)) {
					for _, k := range w.s.typeChecks(c) {
						a.validate = append(a.validate, func() error { return w.validateCheck(a.t, k.name, k.sql) })
					}
				}
				return nil
			}
		}
		e = &ir.ColumnRef{Name: before.Name, Pos: -1}
	}
	to := c
	if w.mysql {
		e, to = &ir.Cast{X: e, To: ir.TypeName{Type: c.Type, Declared: c.Declared, Pos: -1}, Assign: true, Pos: -1}, nil
	}
	sql, _, err := w.expr(e, a.old, to)
	if err != nil {
		return err
	}
	a.values[c.Num] = sql
	return nil
}

// sameValues tells whether a value means the same in both types, as it is stored. A string that is too long for its
// new type is an error, not cut.
func sameValues(from, to types.Type) bool {
	isText := func(t types.Type) bool {
		return t.Kind == types.Text || t.Kind == types.Varchar || t.Kind == types.Char || t.Kind == types.Name
	}
	switch {
	case from == to:
		return true
	case isText(from) && isText(to), from.Kind == types.Enum && isText(to):
		return true
	case from.Kind == types.Enum && to.Kind == types.Enum, from.Kind == types.Set && to.Kind == types.Set:
		return true
	case from.IsInteger() && to.IsInteger() && from.Kind != types.Year && to.Kind != types.Year:
		return true
	case from.Kind == types.Bytes && to.Kind == types.Bytes:
		return true
	}
	return false
}

// convertDefault brings a constant default into the column's new type.
func (a *alteration) convertDefault(before, c *Column) error {
	if c.DefaultSQL == "" || c.NextVal != 0 || c.GeneratedSQL != "" || before.Type == c.Type {
		return nil
	}
	lit, ok := literalOf(c.DefaultSQL)
	if !ok {
		return nil
	}
	lit.Type = before.Type
	if before.Type.IsString() || lit.Value.Class == types.String && !before.Type.IsNumber() {
		lit.Type = types.Type{}
	}
	sql, _, err := a.w.expr(lit, nil, c)
	if err != nil {
		return sqlerr.New("42804", "default for column \"%s\" cannot be cast automatically to type %s", c.Name, c.Declared)
	}
	c.DefaultSQL = sql
	if !a.w.mysql {
		if i := strings.Index(c.Default, "::"); i >= 0 {
			c.Default = c.Default[:i] + "::" + baseName(c.Declared)
		}
	}
	return nil
}

// literalOf reads a constant of SQLite's SQL; ok is false for blobs and whatever isn't constant.
func literalOf(sql string) (*ir.Literal, bool) {
	sql = strings.TrimSpace(sql)
	for strings.HasPrefix(sql, "(") && strings.HasSuffix(sql, ")") {
		sql = strings.TrimSpace(sql[1 : len(sql)-1])
	}
	if !isLiteral(sql) {
		return nil, false
	}
	switch {
	case strings.EqualFold(sql, "null"):
		return &ir.Literal{Pos: -1}, true
	case strings.HasPrefix(sql, "'"):
		return &ir.Literal{Value: types.StringValue(strings.ReplaceAll(sql[1:len(sql)-1], "''", "'")), Pos: -1}, true
	case sql[0] == 'x' || sql[0] == 'X':
		return nil, false
	}
	digits := strings.ReplaceAll(sql, " ", "")
	if n, err := parseInt(digits); err == nil {
		return &ir.Literal{Value: types.IntValue(n), Type: types.T(types.Int8), Pos: -1}, true
	}
	return &ir.Literal{Value: types.StringValue(digits), Type: types.T(types.Numeric), Pos: -1}, true
}

// modifyColumn is MySQL's MODIFY and CHANGE: a column gets a whole new definition.
func (a *alteration) modifyColumn(act *ir.AlterAction) error {
	w, t := a.w, a.t
	def := act.Def
	c := t.Column(def.Name)
	if c == nil {
		return noColumn(t, def.Name)
	}
	if t.Foreign {
		return sqlerr.Unsupported("another definition for a column of a table that another program created")
	}
	before := *c
	if e, ok := w.s.ByOID[before.Type.OID].(*Enum); ok && e.Table == t.OID {
		if err := w.remove(e); err != nil {
			return err
		}
	}
	last := t.LastColumn
	n, err := w.newColumn(t, def)
	if err != nil {
		return err
	}
	t.LastColumn = last
	n.Num, n.Missing = before.Num, before.Missing
	pk := t.PrimaryKey()
	if pk != nil && slices.Contains(pk.Columns, n.Num) {
		n.NotNull = true
	}
	*c = *n
	if def.Generated != nil {
		if err := w.setGenerated(t, c, def.Generated); err != nil {
			return err
		}
	}
	if c.NotNull && !before.NotNull {
		a.validate = append(a.validate, func() error { return w.validateNotNull(a.t, c) })
	}
	switch {
	case c.GeneratedSQL != "":
		if before.GeneratedSQL == "" || before.GeneratedSQL != c.GeneratedSQL {
			a.force = a.force || c.Stored || before.GeneratedSQL == ""
		}
	case before.GeneratedSQL != "":
		a.values[c.Num] = quote(c.Name)
	default:
		if err := a.convert(&before, c, nil); err != nil {
			return err
		}
	}
	if act.First || act.After != "" {
		if err := a.move(c, act); err != nil {
			return err
		}
	}
	for i := range def.Constraints {
		k := &def.Constraints[i]
		// MODIFY … PRIMARY KEY on a column that is it already changes nothing.
		if k.Kind == ir.PrimaryKey && pk != nil && len(pk.Columns) == 1 && pk.Columns[0] == c.Num {
			continue
		}
		if err := a.addConstraint(k); err != nil {
			return err
		}
	}
	return nil
}
