package plan

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func (b *builder) binary(x *ir.Binary, sc *level) *node {
	switch x.Op {
	case "AND", "OR":
		return b.logic(x, sc)
	case "XOR":
		l, r := b.settle(b.expr(x.Left, sc)), b.settle(b.expr(x.Right, sc))
		return b.boolean("(NOT " + l.arg() + ") <> (NOT " + r.arg() + ")")
	}
	l, r := b.expr(x.Left, sc), b.interval(x.Right, sc)
	n := b.operator(x.Op, l, r, x.Pos)
	n.pos = x.Pos
	return n
}

// interval resolves an operand that may be MySQL's INTERVAL n UNIT; see intervalCall.
func (b *builder) interval(e ir.Expr, sc *level) *node {
	if iv, ok := e.(*ir.IntervalOf); ok {
		return b.intervalOf(iv, sc)
	}
	return b.expr(e, sc)
}

func (b *builder) unary(x *ir.Unary, sc *level) *node {
	switch x.Op {
	case "NOT", "!":
		if x.Op == "!" && b.pg() {
			break
		}
		n := b.settle(b.mustBool(b.expr(x.X, sc), "NOT", posOf(x.X)))
		out := b.boolean("NOT " + n.arg())
		out.notNull = n.notNull
		return out
	}
	n := b.expr(x.X, sc)
	if x.Op == "-" || x.Op == "+" {
		if n.value != nil && !n.isNull() && !n.open && n.typ.IsNumber() {
			if c := negated(n, x.Op); c != nil {
				return c
			}
		}
		if n.open && n.param == 0 {
			n = b.close(n, types.T(types.Float8), implicit)
		}
		if b.my() {
			n = b.numeric(b.settleNumber(n))
		}
		switch classOf(n.typ) {
		case intClass, floatClass:
			if x.Op == "+" {
				return n
			}
			out := raw("-"+n.arg(), n.typ)
			if n.sql != "" && n.sql[0] == '-' {
				out.sql = "-(" + n.sql + ")"
			}
			out.span = span{0, 0, true}.apply("-", n.span)
			return out
		}
	}
	if x.Op == "~" && (n.typ.IsInteger() || n.open) {
		n = b.settleNumber(n)
		return raw("~"+n.arg(), n.typ)
	}
	sigs := funcs.Operators(b.d, x.Op)
	var unary []*funcs.Signature
	for _, s := range sigs {
		if len(s.Args) == 1 {
			unary = append(unary, s)
		}
	}
	if s, args := b.choose(unary, []*node{n}, false); s != nil {
		return b.apply(s, args)
	}
	b.failAt(sqlerr.New("42883", "operator does not exist: %s %s", x.Op, typeName(n.typ)).
		WithHint("No operator matches the given name and argument type. You might need to add an explicit type cast."), x.Pos)
	return nil
}

// negated folds a sign into a constant; nil when it can't.
func negated(n *node, op string) *node {
	v := *n.value
	if op == "+" {
		return n
	}
	switch v.Class {
	case types.Int:
		if v.I == -v.I && v.I != 0 {
			return nil
		}
		v.I = -v.I
	case types.Float:
		v.F = -v.F
	case types.String:
		s := string(v.B)
		switch {
		case strings.HasPrefix(s, "-"):
			s = s[1:]
		case strings.Trim(s, "0.") == "":
		default:
			s = "-" + s
		}
		if s == "-9223372036854775808" {
			c := constant(types.IntValue(-1<<63), types.T(types.Int8))
			c.pos = n.pos
			return c
		}
		v = types.StringValue(s)
	default:
		return nil
	}
	c := constant(v, n.typ)
	c.pos, c.coll = n.pos, n.coll
	return c
}

// settleNumber gives an open operand of MySQL arithmetic a number type.
func (b *builder) settleNumber(n *node) *node {
	if !n.open {
		return n
	}
	if b.my() {
		return b.close(n, types.T(types.Float8), implicit)
	}
	return b.settle(n)
}

// operator makes the node of l op r.
func (b *builder) operator(op string, l, r *node, pos int) *node {
	switch op {
	case "=", "<>", "<", "<=", ">", ">=", "<=>", "IS DISTINCT FROM":
		return b.compare(op, l, r, pos)
	case "!=":
		return b.compare("<>", l, r, pos)
	case "LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE", "~~", "!~~", "~~*", "!~~*":
		kind, not := "LIKE", strings.HasPrefix(op, "NOT ") || op[0] == '!'
		if strings.HasSuffix(op, "ILIKE") || strings.HasSuffix(op, "*") {
			kind = "ILIKE"
		}
		return b.matchLike(kind, not, l, r, nil, pos)
	case "XOR", "AND", "OR":
		return b.boolean(b.settle(l).arg() + " " + op + " " + b.settle(r).arg())
	}
	if b.my() {
		return b.operatorMySQL(op, l, r, pos)
	}
	if n := b.native(op, l, r); n != nil {
		return n
	}
	return b.signatureOperator(op, l, r, pos)
}

// native prints operators that SQLite has with the same meaning; nil when there is none for these operands.
func (b *builder) native(op string, l, r *node) *node {
	if op == "||" {
		return b.concatenation(l, r)
	}
	switch {
	case l.open && !r.open && nativeOperand(r.typ):
		l = b.close(l, base(r.typ), implicit)
	case r.open && !l.open && nativeOperand(l.typ):
		r = b.close(r, base(l.typ), implicit)
	case l.open || r.open:
		return nil
	}
	lt, rt := l.typ, r.typ
	switch op {
	case "+", "-", "*", "/", "%", "&", "|", "<<", ">>":
		if lt.IsInteger() && rt.IsInteger() && lt.Kind != types.Oid && rt.Kind != types.Oid {
			return b.wholeNumbers(op, l, r)
		}
		lf, rf := isFloat(lt), isFloat(rt)
		if (lf || lt.IsInteger()) && (rf || rt.IsInteger()) && (lf || rf) && op != "%" && op != "&" && op != "|" && op != "<<" && op != ">>" {
			if op == "/" && (r.value == nil || r.value.I == 0 && r.value.F == 0) {
				return nil
			}
			t := types.T(types.Float8)
			if lt.Kind == types.Float4 && rt.Kind == types.Float4 {
				return nil
			}
			ls, rs := l.arg(), r.arg()
			if !lf {
				ls = b.coerce(l, t, implicit).arg()
			}
			if !rf {
				rs = b.coerce(r, t, implicit).arg()
			}
			n := raw(ls+" "+op+" "+rs, t)
			n.notNull = l.notNull && r.notNull
			return n
		}
	}
	return nil
}

// concatenation is || of strings, and of a string and any other value but an array: by its text. nil for the others.
func (b *builder) concatenation(l, r *node) *node {
	text := func(n *node) bool { return n.open || classOf(n.typ) == textClass }
	other := func(n, beside *node) bool {
		switch n.typ.Kind {
		case types.Array, types.TSVector, types.Record:
			return false
		case types.JSONB, types.Bytes, types.Bit:
			return !beside.open // an untyped string beside them is of their type
		}
		return true
	}
	switch {
	case l.open && !r.open && !other(r, l) && r.typ.Kind != types.Array:
		return b.signatureOperator("||", b.close(l, base(r.typ), implicit), r, r.pos)
	case r.open && !l.open && !other(l, r) && l.typ.Kind != types.Array:
		return b.signatureOperator("||", l, b.close(r, base(l.typ), implicit), l.pos)
	}
	if !(text(l) && text(r)) && !(text(l) && other(r, l)) && !(text(r) && other(l, r)) {
		return nil
	}
	lc, rc := b.textOf(l), b.textOf(r)
	if lc == nil || rc == nil {
		return nil
	}
	n := raw(lc.arg()+" || "+rc.arg(), types.T(types.Text))
	n.notNull = l.notNull && r.notNull
	return n
}

func isFloat(t types.Type) bool { return t.Kind == types.Float4 || t.Kind == types.Float8 }

// nativeOperand reports whether an untyped operand beside a value of type t takes a type that native handles.
func nativeOperand(t types.Type) bool {
	return t.IsInteger() && t.Kind != types.Oid || isFloat(t)
}

// wholeNumbers is arithmetic of two integers. The plain operator serves where its result always fits; else the
// dialect's checked one does, and the plain one is kept for places that check the result themselves.
func (b *builder) wholeNumbers(op string, l, r *node) *node {
	t := l.typ
	if spanOf(r.typ).hi > spanOf(t).hi {
		t = r.typ
	}
	t = types.T(t.Kind)
	switch op {
	case "<<", ">>":
		return nil
	case "&", "|":
		return raw(l.arg()+" "+op+" "+r.arg(), t)
	case "/", "%":
		if r.value == nil || r.value.I == 0 || r.value.I == -1 {
			return nil
		}
		n := raw(l.number()+" "+op+" "+r.arg(), t)
		n.notNull = l.notNull
		return n
	}
	s := l.span.apply(op, r.span)
	fast := l.number() + " " + op + " " + r.number()
	if s.known && s.within(t) {
		n := raw(fast, t)
		n.span = s
		n.notNull = l.notNull && r.notNull
		return n
	}
	var n *node
	if sig, args := b.choose(funcs.Operators(b.d, op), []*node{l, r}, true); sig != nil {
		n = b.apply(sig, args)
	} else {
		n = raw(fast, t)
	}
	n.typ = t
	n.fast, n.span = fast, s
	n.notNull = l.notNull && r.notNull
	return n
}

// signatureOperator resolves an operator among the dialect's.
func (b *builder) signatureOperator(op string, l, r *node, pos int) *node {
	var sigs []*funcs.Signature
	for _, s := range funcs.Operators(b.d, op) {
		if len(s.Args) == 2 {
			sigs = append(sigs, s)
		}
	}
	if s, args := b.choose(sigs, []*node{l, r}, true); s != nil {
		return b.apply(s, args)
	}
	if op == "||" && l.typ.Kind == types.Bytes && r.typ.Kind == types.Bytes {
		return atom("CAST("+l.arg()+" || "+r.arg()+" AS BLOB)", types.T(types.Bytes))
	}
	b.noOperator(op, l.typ, r.typ, pos)
	return nil
}

// textOf is a value as text; nil when the dialect has no such conversion.
func (b *builder) textOf(n *node) *node {
	if n.open {
		return b.settle(n)
	}
	if !b.convertible(n.typ, types.T(types.Text), explicit) {
		return nil
	}
	return b.coerce(n, types.T(types.Text), explicit)
}

func (b *builder) like(x *ir.Like, sc *level) *node {
	v, p := b.expr(x.X, sc), b.expr(x.Pattern, sc)
	var esc *node
	if x.Escape != nil {
		esc = b.settle(b.expr(x.Escape, sc))
	}
	return b.matchLike(x.Kind, x.Not, v, p, esc, x.Pos)
}

// matchLike prints LIKE, ILIKE and SIMILAR TO.
func (b *builder) matchLike(kind string, not bool, v, p, esc *node, pos int) *node {
	if b.my() {
		return b.likeMySQL(not, v, p, esc)
	}
	v, p = b.likeOperand(v, kind, p, pos), b.likeOperand(p, kind, v, pos)
	word := ""
	if not {
		word = "NOT "
	}
	if kind == "LIKE" && p.value != nil && (esc == nil || esc.value != nil) && p.typ.Kind != types.Bytes {
		escape := `\`
		if esc != nil {
			escape = string(esc.value.B)
		}
		if glob, exact, ok := globPattern(string(p.value.B), escape); ok {
			if exact {
				op := "="
				if not {
					op = "<>"
				}
				return b.boolean(v.arg() + " " + op + " " + stringSQL(glob))
			}
			return b.boolean(v.arg() + " " + word + "GLOB " + stringSQL(glob))
		}
	}
	op := kind
	args := []*node{v, p}
	if esc != nil {
		args = append(args, esc)
	}
	if s, as := b.choose(funcs.Operators(b.d, op), args, false); s != nil {
		n := b.apply(s, as)
		if not {
			return b.boolean("NOT " + n.arg())
		}
		return n
	}
	if kind != "SIMILAR" {
		// The pattern matching of MySQL's binary strings is that of PostgreSQL's.
		if kind == "ILIKE" {
			args[0], args[1] = b.internal("lower", args[0]), b.internal("lower", args[1])
		}
		if s, as := b.choose(funcs.Operators(ir.MySQL, "LIKE BINARY"), args, false); s != nil {
			n := b.apply(s, as)
			if not {
				return b.boolean("NOT " + n.arg())
			}
			return b.boolean(n.text())
		}
	}
	b.unsupported(kind + " with this pattern")
	return nil
}

func (b *builder) likeOperand(n *node, kind string, other *node, pos int) *node {
	if n.open {
		if other.typ.Kind == types.Bytes {
			return b.close(n, other.typ, implicit)
		}
		return b.settle(n)
	}
	if classOf(n.typ) != textClass && n.typ.Kind != types.Bytes && n.typ.Kind != types.Enum {
		op := map[string]string{"LIKE": "~~", "ILIKE": "~~*", "SIMILAR": "~"}[kind]
		b.noOperator(op, n.typ, other.typ, pos)
	}
	return n
}

// globPattern turns a LIKE pattern into SQLite's GLOB, which tells upper from lower case and can use an index. exact: the
// pattern is a plain string.
func globPattern(p, escape string) (glob string, exact, ok bool) {
	if len(escape) > 1 {
		return "", false, false
	}
	var s strings.Builder
	exact = true
	for i := 0; i < len(p); i++ {
		c := p[i]
		if escape != "" && c == escape[0] {
			i++
			if i == len(p) {
				return "", false, false // an error when it runs
			}
			c = p[i]
		} else {
			switch c {
			case '%':
				s.WriteByte('*')
				exact = false
				continue
			case '_':
				s.WriteByte('?')
				exact = false
				continue
			}
		}
		switch c {
		case '*', '?', '[':
			s.WriteString("[" + string(c) + "]")
		default:
			s.WriteByte(c)
		}
	}
	if exact {
		plain, _ := unescapeLike(p, escape)
		return plain, true, true
	}
	return s.String(), false, true
}

func unescapeLike(p, escape string) (string, bool) {
	if escape == "" {
		return p, true
	}
	var s strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == escape[0] && i+1 < len(p) {
			i++
		}
		s.WriteByte(p[i])
	}
	return s.String(), true
}
