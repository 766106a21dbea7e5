package plan

import (
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// numeric converts an operand of MySQL arithmetic to a number.
func (b *builder) numeric(n *node) *node {
	switch {
	case n.isNull() || isNumberMySQL(n.typ):
		return n
	case n.typ.Kind == types.Enum && b.enum(n.typ) != nil:
		return atom(b.enumOrder(n), types.T(types.Int8)) // the label's number
	case n.value != nil && n.value.Class == types.String && n.typ.IsString():
		if v, err := types.ParseText(types.T(types.Float8), n.value.B, nil); err == nil {
			return b.folded(n, v, types.T(types.Float8))
		}
	}
	if n.typ.IsTime() || n.typ.Kind == types.Bytes {
		if c := b.cast(n, types.T(types.Numeric), explicit); c != nil {
			return c
		}
	}
	return b.coerce(n, types.T(types.Float8), explicit)
}

// operatorMySQL makes the node of an arithmetic or other operator of MySQL.
func (b *builder) operatorMySQL(op string, l, r *node, pos int) *node {
	if r.interval != nil {
		name := "date_add"
		if op == "-" {
			name = "date_sub"
		}
		return b.internal(name, spread([]*node{b.settle(l), r})...)
	}
	if l.interval != nil && op == "+" {
		return b.internal("date_add", spread([]*node{b.settle(r), l})...)
	}
	switch op {
	case "+", "-", "*", "DIV", "%", "/":
		l, r = b.openNumber(l, r), b.openNumber(r, l)
		l, r = b.numeric(l), b.numeric(r)
		if l.isNull() || r.isNull() {
			return constant(types.Value{}, types.T(types.Float8))
		}
		li, ri := wholeMySQL(l.typ), wholeMySQL(r.typ)
		switch {
		case li && ri && op != "/":
			return b.wholeMySQL(op, l, r)
		case (isFloat(l.typ) || isFloat(r.typ)) && (op == "+" || op == "-" || op == "*" || op == "/"):
			t := types.T(types.Float8)
			n := raw(b.coerce(l, t, explicit).arg()+" "+op+" "+b.coerce(r, t, explicit).arg(), t)
			n.notNull = l.notNull && r.notNull && op != "/"
			return n
		}
	case "&", "|", "<<", ">>", "^", "#":
		l, r = b.openNumber(l, r), b.openNumber(r, l)
		if op != "^" && op != "#" && wholeMySQL(l.typ) && wholeMySQL(r.typ) && l.span.known && l.span.lo >= 0 && r.span.known && r.span.lo >= 0 {
			if op == "&" || op == "|" || r.span.hi < 64 && op == ">>" {
				return raw(l.arg()+" "+op+" "+r.arg(), types.Type{Kind: types.Int8, Unsigned: true})
			}
		}
	case "||":
		l, r = b.settle(l), b.settle(r)
		if l.typ.IsString() && r.typ.IsString() {
			n := raw(l.arg()+" || "+r.arg(), types.T(types.Text))
			b.setCollation(n)
			return n
		}
	case "REGEXP", "NOT REGEXP", "RLIKE", "NOT RLIKE", "SOUNDS LIKE":
		l, r = b.settle(l), b.settle(r)
	case "->", "->>":
		l, r = b.settle(l), b.settle(r)
	}
	return b.signatureOperator(op, l, r, pos)
}

// openNumber gives an open operand of arithmetic its partner's type, or a float's.
func (b *builder) openNumber(n, other *node) *node {
	if !n.open {
		return n
	}
	t := types.T(types.Float8)
	if !other.open && isNumberMySQL(other.typ) {
		t = base(other.typ)
		if t.IsInteger() {
			t = types.T(types.Int8)
		}
	}
	return b.close(n, t, implicit)
}

func wholeMySQL(t types.Type) bool {
	return t.IsInteger() || t.Kind == types.Bool || t.Kind == types.Bit
}

// wholeMySQL is arithmetic of two integers: plain where 64 bits hold the result, else the dialect's checked operator.
func (b *builder) wholeMySQL(op string, l, r *node) *node {
	t := types.Type{Kind: types.Int8, Unsigned: l.typ.Unsigned || r.typ.Unsigned}
	switch op {
	case "DIV", "%":
		if op == "DIV" {
			op = "/"
		}
		n := raw(l.number()+" "+op+" "+r.number(), t)
		if op == "%" {
			n.typ.Unsigned = l.typ.Unsigned
		}
		return n
	}
	s := l.span.apply(op, r.span)
	fast := l.number() + " " + op + " " + r.number()
	if s.known && (!t.Unsigned || s.lo >= 0) {
		n := raw(fast, t)
		n.span, n.notNull = s, l.notNull && r.notNull
		return n
	}
	var n *node
	if sig, args := b.choose(funcs.Operators(b.d, op), []*node{l, r}, true); sig != nil {
		n = b.apply(sig, args)
	} else {
		n = raw(fast, t)
	}
	n.typ, n.fast, n.span = t, fast, s
	n.notNull = l.notNull && r.notNull
	return n
}

// likeMySQL prints LIKE: by the collation of its operands, with a backslash as escape.
func (b *builder) likeMySQL(not bool, v, p, esc *node) *node {
	if v.open && !p.open {
		v = b.settle(v)
	}
	v, p = b.settle(v), b.settle(p)
	if !v.typ.IsString() && v.typ.Kind != types.Bytes {
		v = b.coerce(v, types.T(types.Text), explicit)
	}
	if !p.typ.IsString() && p.typ.Kind != types.Bytes {
		p = b.coerce(p, types.T(types.Text), explicit)
	}
	word := ""
	if not {
		word = "NOT "
	}
	coll := b.pairCollation(v, p)
	if coll == "" && p.value != nil && (esc == nil || esc.value != nil) {
		escape := `\`
		if esc != nil {
			escape = string(esc.value.B)
		}
		if glob, exact, ok := globPattern(string(p.value.B), escape); ok && !exact {
			return b.boolean(v.arg() + " " + word + "GLOB " + stringSQL(glob))
		}
	}
	name := "LIKE"
	if coll == "" {
		name = "LIKE BINARY"
	}
	args := []*node{v, p}
	if esc != nil {
		args = append(args, esc)
	}
	if s, as := b.choose(funcs.Operators(b.d, name), args, false); s != nil {
		n := b.apply(s, as)
		n.typ = b.boolType()
		if not {
			return b.boolean("NOT " + n.arg())
		}
		return n
	}
	if coll == "" {
		b.unsupported("LIKE of binary strings with a pattern that isn't constant")
	}
	escape := `'\'`
	if esc != nil {
		escape = esc.arg()
	}
	return b.boolean(v.arg() + " " + word + "LIKE " + p.arg() + " ESCAPE " + escape)
}

// intervalOf is INTERVAL n UNIT as an argument: functions get the number and the unit's name.
func (b *builder) intervalOf(x *ir.IntervalOf, sc *level) *node {
	n := b.expr(x.X, sc)
	if n.open {
		n = b.close(n, types.T(types.Text), implicit)
	}
	c := *n
	c.interval = constant(types.StringValue(x.Unit), types.T(types.Text))
	return &c
}

// spread puts the units of intervals behind them as arguments of their own.
func spread(args []*node) []*node {
	for i, a := range args {
		if a.interval != nil {
			plain := *a
			plain.interval = nil
			out := append([]*node{}, args[:i]...)
			out = append(out, &plain, a.interval)
			return append(out, spread(args[i+1:])...)
		}
	}
	return args
}

// insertedValue is VALUES(col) in ON DUPLICATE KEY UPDATE.
func (b *builder) insertedValue(f *ir.Func, sc *level) *node {
	ref, ok := f.Args[0].(*ir.ColumnRef)
	if !ok {
		return nil
	}
	for l := sc; l != nil; l = l.outer {
		for _, it := range l.items {
			if !it.excluded {
				continue
			}
			for _, c := range it.columns {
				if b.same(c.name, ref.Name) {
					return c.node()
				}
			}
			b.failAt(sqlerr.New("42703", "column \"%s\" does not exist", ref.Name).
				My(1054, "Unknown column '%s' in 'field list'", ref.Name), ref.Pos)
		}
	}
	return constant(types.Value{}, types.T(types.Text)) // outside of ON DUPLICATE KEY UPDATE it is NULL
}
