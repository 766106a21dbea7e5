package plan

import (
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

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
