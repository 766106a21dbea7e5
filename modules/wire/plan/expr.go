package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// expr resolves an expression.
func (b *builder) expr(e ir.Expr, sc *level) *node {
	if len(sc.nulled) > 0 && sc.inside == 0 {
		n := b.resolve(e, sc)
		if n.sql != "" && slices.Contains(sc.nulled, n.sql) {
			null := constant(types.Value{}, n.typ)
			null.pos = n.pos
			return null
		}
		return n
	}
	if !sc.checking || len(sc.groups) == 0 {
		return b.resolve(e, sc)
	}
	mark := len(sc.ungrouped)
	n := b.resolve(e, sc)
	if n.sql != "" && len(sc.ungrouped) > mark && slices.Contains(sc.groups, n.sql) {
		sc.ungrouped = sc.ungrouped[:mark]
	}
	return n
}

func (b *builder) exprs(es []ir.Expr, sc *level) []*node {
	ns := make([]*node, len(es))
	for i, e := range es {
		ns[i] = b.expr(e, sc)
	}
	return ns
}

func (b *builder) resolve(e ir.Expr, sc *level) *node {
	switch x := e.(type) {
	case *ir.Literal:
		return b.literal(x)
	case *ir.Param:
		return b.param(x)
	case *ir.ColumnRef:
		return b.columnRef(x, sc)
	case *ir.Unary:
		return b.unary(x, sc)
	case *ir.Binary:
		return b.binary(x, sc)
	case *ir.Like:
		return b.like(x, sc)
	case *ir.Is:
		return b.is(x, sc)
	case *ir.Between:
		return b.between(x, sc)
	case *ir.In:
		return b.in(x, sc)
	case *ir.Quantified:
		return b.quantified(x, sc)
	case *ir.Subquery:
		return b.subquery(x, sc)
	case *ir.Case:
		return b.caseExpr(x, sc)
	case *ir.Cast:
		return b.castExpr(x, sc)
	case *ir.Func:
		return b.call(x, sc)
	case *ir.ArrayExpr:
		return b.arrayExpr(x, sc)
	case *ir.Row:
		n := &node{typ: types.T(types.Record), atom: true, pos: x.Pos, row: []*node{}}
		for _, el := range x.Elems {
			n.row = append(n.row, b.expr(el, sc))
		}
		return n
	case *ir.Index:
		return b.index(x, sc)
	case *ir.Field:
		return b.field(x, sc)
	case *ir.Collate:
		return b.collated(x, sc)
	case *ir.Variable:
		return b.variable(x, sc)
	case *ir.Star:
		if x.Table != "" {
			if it, l := b.findItem(sc, x.Schema, x.Table); it != nil {
				return b.wholeRow(it, l, x.Pos)
			}
		}
		b.failAt(sqlerr.New("42601", "row expansion via \"*\" is not supported here").My(1064, "You have an error in your SQL syntax near '*'"), x.Pos)
	case *ir.Default:
		b.failAt(sqlerr.New("42601", "DEFAULT is not allowed in this context").My(1064, "You have an error in your SQL syntax near 'DEFAULT'"), x.Pos)
	case *ir.Match:
		b.unsupported("MATCH … AGAINST")
	case *ir.IntervalOf:
		b.failAt(sqlerr.New("42601", "INTERVAL is not allowed here").My(1064, "You have an error in your SQL syntax near 'INTERVAL'"), x.Pos)
	}
	b.fail(sqlerr.New("XX000", "plan: unknown expression %T", e))
	return nil
}

// boolType is the type of conditions.
func (b *builder) boolType() types.Type {
	if b.my() {
		return types.T(types.Int8)
	}
	return types.T(types.Bool)
}

// boolean makes the node of a printed condition.
func (b *builder) boolean(sql string) *node {
	return &node{sql: sql, typ: b.boolType(), span: span{0, 1, true}}
}

// single refuses rows where one value is needed.
func (b *builder) single(n *node) *node {
	if n.row != nil && b.my() {
		b.failAt(sqlerr.New("42601", "operand should contain 1 column").My(1241, "Operand should contain 1 column(s)"), n.pos)
	}
	return n
}

// logic resolves a chain of AND or OR as a balanced tree: SQLite bounds the depth of expressions.
func (b *builder) logic(x *ir.Binary, sc *level) *node {
	var terms []string
	notNull := true
	var collect func(e ir.Expr)
	collect = func(e ir.Expr) {
		if in, ok := e.(*ir.Binary); ok && in.Op == x.Op {
			collect(in.Left)
			collect(in.Right)
			return
		}
		n := b.settle(b.mustBool(b.single(b.expr(e, sc)), x.Op, posOf(e)))
		notNull = notNull && n.notNull
		terms = append(terms, n.arg())
	}
	collect(x)
	n := b.boolean(balanced(terms, " "+x.Op+" "))
	n.notNull = notNull
	return n
}

func balanced(terms []string, op string) string {
	if len(terms) <= 64 {
		return strings.Join(terms, op)
	}
	half := len(terms) / 2
	return "(" + balanced(terms[:half], op) + ")" + op + "(" + balanced(terms[half:], op) + ")"
}

func (b *builder) is(x *ir.Is, sc *level) *node {
	n := b.expr(x.X, sc)
	not := ""
	if x.Not {
		not = "NOT "
	}
	if n.row != nil && n.sql == "" && x.What == "NULL" {
		var terms []string
		for _, f := range n.row {
			terms = append(terms, b.settle(f).arg()+" IS "+not+"NULL")
		}
		if len(terms) == 0 {
			return b.boolean("1")
		}
		return b.boolean(strings.Join(terms, " AND "))
	}
	var out *node
	switch x.What {
	case "NULL":
		out = b.boolean(b.settle(n).arg() + " IS " + not + "NULL")
	case "JSON":
		n = b.settle(n)
		sql := "json_valid(" + n.text() + ")"
		if x.Not {
			sql = "NOT " + sql
		}
		return b.boolean(sql)
	case "UNKNOWN":
		n = b.settle(b.mustBool(n, "IS UNKNOWN", x.Pos))
		out = b.boolean(n.arg() + " IS " + not + "NULL")
	default:
		n = b.settle(b.mustBool(n, "IS "+x.What, x.Pos))
		out = b.boolean(n.arg() + " IS " + not + x.What)
	}
	out.notNull = true
	return out
}

func (b *builder) subquery(x *ir.Subquery, sc *level) *node {
	rel := b.query(x.Query, sc)
	if x.Exists {
		rel.settle(b)
		n := b.boolean("EXISTS (" + rel.print(b, nil) + ")")
		n.atom, n.notNull = true, true
		return n
	}
	outs := rel.outputs()
	if len(outs) != 1 {
		b.failAt(sqlerr.New("42601", "subquery must return only one column").My(1241, "Operand should contain 1 column(s)"), x.Pos)
	}
	rel.settle(b)
	o := rel.outputs()[0].node
	if x.Array {
		ref := quote(b.alias("q"))
		names := rel.uniqueNames()
		c := rel.itemColumns(ref, names)[0]
		n := atom("(SELECT json_group_array("+b.jsonElement(c.node())+") FROM ("+rel.print(b, names)+") AS "+ref+")", b.arrayOf(o.typ))
		n.notNull = true
		return n
	}
	n := atom(b.printScalar(rel, x.Query), o.typ)
	n.coll, n.span = o.coll, o.span
	return n
}

func (b *builder) caseExpr(x *ir.Case, sc *level) *node {
	var results []*node
	conds := make([]string, len(x.Whens))
	var head string
	if x.X != nil {
		v := b.expr(x.X, sc)
		whens := make([]*node, len(x.Whens))
		for i, w := range x.Whens {
			whens[i] = b.expr(w.Cond, sc)
			if v.open && !whens[i].open {
				v = b.close(v, partner(whens[i].typ), implicit)
			}
		}
		v = b.settle(v)
		for i, w := range whens {
			l, r, coll, ok := b.comparable(v, w)
			if !ok || i > 0 && l.arg()+coll != head {
				head = ""
				break
			}
			head = l.arg() + coll
			conds[i] = r.text()
		}
		if head == "" {
			for i, w := range whens {
				conds[i] = b.compare("=", v, w, x.Pos).text()
			}
		}
	} else {
		for i, w := range x.Whens {
			conds[i] = b.truth(b.mustBool(b.expr(w.Cond, sc), "CASE/WHEN", posOf(w.Cond)))
		}
	}
	for _, w := range x.Whens {
		results = append(results, b.expr(w.Then, sc))
	}
	ordered := results
	if x.Else != nil {
		results = append(results, b.expr(x.Else, sc))
		ordered = append(slices.Clone(results[len(results)-1:]), results[:len(results)-1]...) // ELSE counts first
	}
	t := b.commonType(ordered, "CASE")
	if t.Kind == types.Unknown {
		t = types.T(types.Text)
	}
	n := &node{typ: t, atom: true, pos: x.Pos}
	b.setCollation(n)
	n.notNull = x.Else != nil
	n.span = span{known: true, lo: 1, hi: 0}
	for i := range results {
		if i == 0 {
			n.coll = b.resultCollation(results)
		}
		results[i] = b.coerce(results[i], t, implicit)
		n.notNull = n.notNull && results[i].notNull
		n.span = n.span.join(results[i].span)
	}
	var s strings.Builder
	s.WriteString("CASE")
	if head != "" {
		s.WriteString(" " + head)
	}
	for i := range x.Whens {
		s.WriteString(" WHEN " + conds[i] + " THEN " + results[i].text())
	}
	if x.Else != nil {
		s.WriteString(" ELSE " + results[len(results)-1].text())
	}
	s.WriteString(" END")
	n.sql = s.String()
	return n
}

// join is the smallest span that holds both.
func (s span) join(o span) span {
	if !s.known || !o.known {
		return span{}
	}
	if s.lo > s.hi {
		return o
	}
	return span{min(s.lo, o.lo), max(s.hi, o.hi), true}
}

// resultCollation is the collation that one of several alternatives has.
func (b *builder) resultCollation(ns []*node) string {
	coll := ""
	for _, n := range ns {
		if n.column != nil {
			return n.coll
		}
		if n.coll != "" {
			coll = n.coll
		}
	}
	return coll
}

func (b *builder) castExpr(x *ir.Cast, sc *level) *node {
	t := b.typeOf(&x.To)
	if arr, ok := x.X.(*ir.ArrayExpr); ok && t.Kind == types.Array {
		return b.arrayCast(arr, t, sc)
	}
	n := b.expr(x.X, sc)
	if x.Assign {
		return b.settle(b.coerce(n, t, assignment))
	}
	if n.row != nil && n.sql == "" {
		if t.Kind == types.Record {
			return n
		}
		n = atom(b.recordText(n), types.T(types.Text))
	}
	if n.open && n.value != nil && !n.isNull() {
		c := *n
		c.pos = x.Pos
		if posOf(x.X) >= 0 {
			c.pos = posOf(x.X)
		}
		return b.parse(&c, t, explicit)
	}
	out := b.coerce(n, t, explicit)
	if out == n {
		c := *n
		out = &c
	}
	out.column = nil
	out.pos = x.Pos
	return out
}

// field is (X).name.
func (b *builder) field(x *ir.Field, sc *level) *node {
	v := b.expr(x.X, sc)
	if v.row != nil {
		for i, name := range v.names {
			if name == x.Name {
				return v.row[i]
			}
		}
	}
	b.failAt(sqlerr.New("42703", "column \"%s\" not found in data type %s", x.Name, typeName(v.typ)), x.Pos)
	return nil
}

func (b *builder) collated(x *ir.Collate, sc *level) *node {
	n := b.settle(b.expr(x.X, sc))
	name := strings.ToLower(x.Collation.Name)
	if b.pg() {
		switch name {
		case "default", "c", "posix", "ucs_basic", "c.utf8", "c.utf-8":
		default:
			if !strings.Contains(name, "utf") && !strings.Contains(name, "-x-icu") && !strings.HasPrefix(name, "bop_") {
				b.failAt(sqlerr.New("42704", "collation \"%s\" for encoding \"UTF8\" does not exist", x.Collation.Name), x.Pos)
			}
		}
		if !n.typ.IsString() && n.typ.Kind != types.Unknown {
			b.failAt(sqlerr.New("42804", "collations are not supported by type %s", typeName(n.typ)), x.Pos)
		}
	}
	coll := collationName(name)
	c := *n
	c.column, c.value = nil, nil
	printed := coll
	if printed == "" {
		printed = "BINARY"
	}
	if b.pg() && n.coll == "" && coll == "" {
		c.sql = n.text()
		return &c
	}
	c.sql, c.atom, c.coll, c.bare, c.forced = n.arg()+" COLLATE "+printed, false, coll, true, true
	return &c
}

// variable is MySQL's @name or @@name.
func (b *builder) variable(x *ir.Variable, sc *level) *node {
	name := constant(types.StringValue(x.Name), types.T(types.Text))
	if x.Assign != nil {
		b.volatile = true
		return b.internal("bop_set_user_var", name, b.settle(b.expr(x.Assign, sc)))
	}
	if x.User {
		return b.internal("bop_user_var", name)
	}
	return b.internal("bop_sys_var", name, constant(types.StringValue(x.Scope), types.T(types.Text)))
}
