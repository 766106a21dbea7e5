package plan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
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

func (b *builder) between(x *ir.Between, sc *level) *node {
	v, low, high := b.expr(x.X, sc), b.expr(x.Low, sc), b.expr(x.High, sc)
	if v.open && !low.open {
		v = b.close(v, partner(low.typ), implicit)
	} else if v.open && !high.open {
		v = b.close(v, partner(high.typ), implicit)
	}
	plain := func(low, high *node) *node {
		l, lo, c1, ok1 := b.comparable(v, low)
		h, hi, c2, ok2 := b.comparable(v, high)
		if ok1 && ok2 && l.text() == h.text() && c1 == c2 {
			return b.boolean(l.arg() + c1 + " BETWEEN " + lo.arg() + " AND " + hi.arg())
		}
		return b.boolean(b.compare(">=", v, low, x.Pos).arg() + " AND " + b.compare("<=", v, high, x.Pos).arg())
	}
	n := plain(low, high)
	if x.Symmetric {
		n = b.boolean(n.arg() + " OR " + plain(high, low).arg())
	}
	if x.Not {
		n = b.boolean("NOT (" + n.text() + ")")
	}
	return n
}

func (b *builder) in(x *ir.In, sc *level) *node {
	v := b.expr(x.X, sc)
	not := ""
	if x.Not {
		not = "NOT "
	}
	if x.Query != nil {
		return b.inQuery(v, x.Query, not, x.Pos, sc)
	}
	elems := b.exprs(x.List, sc)
	if v.row != nil && v.sql == "" {
		return b.inRows(v, elems, x, not)
	}
	if v.open {
		for _, el := range elems {
			if !el.open {
				v = b.close(v, partner(el.typ), implicit)
				break
			}
		}
	}
	v = b.settle(v)
	if b.pg() {
		// All take one type if they have one in common, as PostgreSQL makes an array of the list.
		all := append([]*node{v}, elems...)
		if same := b.tryCommon(all); same.Kind != types.Unknown {
			for i, el := range elems {
				if el.open {
					elems[i] = b.close(el, same, implicit)
				}
			}
		}
	}
	var items []string
	left, coll := "", ""
	for i, el := range elems {
		l, r, c, ok := b.comparable(v, el)
		if !ok || i > 0 && (l.arg() != left || c != coll) {
			items = nil
			break
		}
		left, coll = l.arg(), c
		items = append(items, r.text())
	}
	if len(items) > 0 {
		return b.boolean(left + coll + " " + not + "IN (" + strings.Join(items, ", ") + ")")
	}
	var terms []string
	for _, el := range elems {
		terms = append(terms, b.compare("=", v, el, x.Pos).arg())
	}
	n := b.boolean(balanced(terms, " OR "))
	if x.Not {
		n = b.boolean("NOT (" + n.text() + ")")
	}
	return n
}

// tryCommon is commonType without its error: Unknown when there is none.
func (b *builder) tryCommon(ns []*node) (t types.Type) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			t = types.Type{}
		default:
			panic(f)
		}
	}()
	return b.commonType(ns, "IN")
}

func (b *builder) inRows(v *node, elems []*node, x *ir.In, not string) *node {
	var terms []string
	for _, el := range elems {
		terms = append(terms, b.compare("=", v, el, x.Pos).arg())
	}
	n := b.boolean(balanced(terms, " OR "))
	if x.Not {
		n = b.boolean("NOT (" + n.text() + ")")
	}
	return n
}

// inQuery is X IN (SELECT …).
func (b *builder) inQuery(v *node, q *ir.Query, not string, pos int, sc *level) *node {
	rel := b.query(q, sc)
	outs := rel.outputs()
	left := []*node{v}
	if v.row != nil && v.sql == "" {
		left = v.row
	}
	if len(outs) != len(left) {
		msg := "subquery has too many columns"
		if len(outs) < len(left) {
			msg = "subquery has too few columns"
		}
		b.failAt(sqlerr.New("42601", "%s", msg).My(1241, "Operand should contain %d column(s)", len(left)), pos)
	}
	terms := make([]string, len(left))
	for i, l := range left {
		r := outs[i].node
		if l.open && r.open {
			l = b.settle(l)
		}
		if r.open {
			rel.coerce(b, i, partner(l.typ), implicit)
			r = rel.outputs()[i].node
		}
		// The column is compared through a stand-in: what it must be converted to is then done inside the query.
		stand := &node{sql: "\x00", typ: r.typ, atom: true, coll: r.coll, bare: r.bare}
		lc, rc, coll, ok := b.comparable(l, stand)
		if !ok {
			b.noOperator("=", l.typ, r.typ, pos)
		}
		if rc.typ != r.typ {
			rel.coerce(b, i, rc.typ, implicit)
		}
		terms[i] = lc.arg() + coll
	}
	sql := terms[0]
	if len(terms) > 1 {
		sql = "(" + strings.Join(terms, ", ") + ")"
	}
	return b.boolean(sql + " " + not + "IN (" + rel.print(b, nil) + ")")
}

// quantified is X op ANY or ALL of a subquery or an array.
func (b *builder) quantified(x *ir.Quantified, sc *level) *node {
	v := b.expr(x.X, sc)
	if x.Query != nil {
		if x.Op == "=" && !x.All {
			return b.inQuery(v, x.Query, "", x.Pos, sc)
		}
		if x.Op == "<>" && x.All {
			return b.inQuery(v, x.Query, "NOT ", x.Pos, sc)
		}
		rel := b.query(x.Query, sc)
		if len(rel.outputs()) != 1 {
			b.failAt(sqlerr.New("42601", "subquery has too many columns").My(1241, "Operand should contain 1 column(s)"), x.Pos)
		}
		if rel.outputs()[0].node.open && !v.open {
			rel.coerce(b, 0, partner(v.typ), implicit)
		}
		rel.settle(b)
		ref := quote(b.alias("q"))
		names := rel.uniqueNames()
		c := rel.itemColumns(ref, names)[0]
		return b.anyAll(v, x, c.node(), "("+rel.print(b, names)+") AS "+ref, nil)
	}

	arr := b.expr(x.Array, sc)
	if arr.array != nil {
		return b.anyOfList(v, x, arr.array)
	}
	if arr.open {
		t := types.ArrayOf(types.Text)
		if !v.open {
			t = b.arrayOf(v.typ)
		}
		arr = b.close(arr, t, implicit)
	}
	elem, source := b.elements(arr, x.Pos)
	if arr.isNull() {
		return constant(types.Value{}, b.boolType())
	}
	if v.open {
		v = b.close(v, partner(elem), implicit)
	}
	if list := constantElements(arr, elem); list != nil {
		return b.anyOfList(v, x, list)
	}
	ref := quote(b.alias("e"))
	value := &node{sql: ref + ".value", typ: elem, atom: true}
	b.setCollation(value)
	from := "json_each(" + source + ") AS " + ref
	if x.Op == "=" && !x.All || x.Op == "<>" && x.All {
		lc, rc, coll, ok := b.comparable(v, value)
		if ok {
			not := ""
			if x.All {
				not = "NOT "
			}
			sql := lc.arg() + coll + " " + not + "IN (SELECT " + rc.text() + " FROM " + from + ")"
			if arr.notNull || !x.All && (sc.clause == inWhere || sc.clause == inJoin) {
				return b.boolean(sql) // in a condition false does for unknown, and an index can be used
			}
			n := b.boolean("CASE WHEN " + arr.arg() + " IS NOT NULL THEN " + sql + " END")
			n.atom = true
			return n
		}
	}
	return b.anyAll(v, x, value, from, arr)
}

// anyAll prints the general form: true, false or unknown as PostgreSQL defines ANY and ALL.
func (b *builder) anyAll(v *node, x *ir.Quantified, elem *node, from string, arr *node) *node {
	cmp := b.operator(x.Op, v, elem, x.Pos)
	test := cmp.arg()
	found, otherwise := "1", "0"
	if x.All {
		test, found, otherwise = "NOT "+test, "0", "1"
	}
	sql := "CASE "
	if arr != nil && !arr.notNull {
		sql += "WHEN " + arr.arg() + " IS NULL THEN NULL "
	}
	sql += "WHEN EXISTS (SELECT 1 FROM " + from + " WHERE " + test + ") THEN " + found +
		" WHEN EXISTS (SELECT 1 FROM " + from + " WHERE " + cmp.arg() + " IS NULL) THEN NULL ELSE " + otherwise + " END"
	n := b.boolean(sql)
	n.atom = true
	return n
}

// anyOfList is X op ANY (ARRAY[…]).
func (b *builder) anyOfList(v *node, x *ir.Quantified, elems []*node) *node {
	if len(elems) == 0 {
		if x.All {
			return b.boolean("1")
		}
		return b.boolean("0")
	}
	var terms, items []string
	left, coll, plain := "", "", x.Op == "=" && !x.All || x.Op == "<>" && x.All
	for i, el := range elems {
		if plain {
			l, r, c, ok := b.comparable(v, el)
			if ok && (i == 0 || l.arg() == left && c == coll) {
				left, coll = l.arg(), c
				items = append(items, r.text())
				continue
			}
			plain = false
		}
	}
	if plain {
		not := ""
		if x.All {
			not = "NOT "
		}
		return b.boolean(left + coll + " " + not + "IN (" + strings.Join(items, ", ") + ")")
	}
	for _, el := range elems {
		terms = append(terms, b.operator(x.Op, v, el, x.Pos).arg())
	}
	if x.All {
		return b.boolean(balanced(terms, " AND "))
	}
	return b.boolean(balanced(terms, " OR "))
}

// constantElements are the elements of a constant array of one dimension, nil if it isn't one: conditions of columns and
// indexes can't have the subquery that reads others.
func constantElements(arr *node, elem types.Type) []*node {
	if arr.value == nil || arr.value.Class != types.String || arr.typ.Kind != types.Array {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(arr.value.B))
	dec.UseNumber()
	var values []any
	if dec.Decode(&values) != nil || len(values) == 0 || len(values) > 1000 {
		return nil
	}
	out := make([]*node, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case nil:
			out[i] = constant(types.Value{}, elem)
		case string:
			out[i] = constant(types.StringValue(v), elem)
		case bool:
			out[i] = constant(types.BoolValue(v), elem)
		case json.Number:
			if n, err := v.Int64(); err == nil && !isFloat(elem) {
				out[i] = constant(types.IntValue(n), elem)
				continue
			}
			f, err := v.Float64()
			if err != nil {
				return nil
			}
			out[i] = constant(types.FloatValue(f), elem)
		default:
			return nil
		}
		if elem.Kind == types.Numeric {
			out[i].coll = "bop_decimal"
		}
		if elem.Kind == types.Bytes {
			return nil
		}
	}
	return out
}

// elements is the element type of an array, and the JSON array to read them from.
func (b *builder) elements(arr *node, pos int) (types.Type, string) {
	switch arr.typ.Kind {
	case types.Array:
		return b.elemType(arr.typ), arr.text()
	case types.Int2Vector:
		return types.T(types.Int2), "'[' || replace(" + arr.text() + ", ' ', ',') || ']'"
	case types.OidVector:
		return types.T(types.Oid), "'[' || replace(" + arr.text() + ", ' ', ',') || ']'"
	}
	b.failAt(sqlerr.New("42809", "op ANY/ALL (array) requires array on right side"), pos)
	return types.Type{}, ""
}

// elemType is the type of an array's elements.
func (b *builder) elemType(t types.Type) types.Type {
	e := t.ElemType()
	if e.Kind == types.Enum && e.OID == 0 && b.env.Schema != nil {
		for _, en := range b.env.Schema.Enums {
			if en.ArrayOID == t.OID {
				e.OID = en.OID
			}
		}
	}
	return e
}

// arrayOf is the array type of elements of type t.
func (b *builder) arrayOf(t types.Type) types.Type {
	a := types.Type{Kind: types.Array, Elem: t.Kind, Len: t.Len, Scale: t.Scale}
	if t.Kind == types.Enum {
		if e := b.enum(t); e != nil {
			a.OID = e.ArrayOID
		}
	}
	if t.Kind == types.Array {
		return t // PostgreSQL's arrays of arrays are arrays of more dimensions
	}
	return a
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
	n := atom("("+rel.print(b, nil)+")", o.typ)
	n.coll, n.span = o.coll, o.span
	return n
}

// jsonElement prints a value as json_array and json_group_array must get it, to be stored as an array's element.
func (b *builder) jsonElement(n *node) string {
	switch n.typ.Kind {
	case types.Array:
		return "json(" + n.text() + ")"
	case types.JSON, types.JSONB:
		return n.arg() + " || ''" // a string, without the mark that would splice it in as JSON
	}
	return n.text()
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

func (b *builder) arrayExpr(x *ir.ArrayExpr, sc *level) *node {
	elems := b.exprs(x.Elems, sc)
	if len(elems) == 0 {
		b.failAt(sqlerr.New("42P18", "cannot determine type of empty array").
			WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."), x.Pos)
	}
	t := b.commonType(elems, "ARRAY")
	if t.Kind == types.Unknown {
		t = types.T(types.Text)
	}
	return b.makeArray(elems, t, x.Pos)
}

func (b *builder) arrayCast(x *ir.ArrayExpr, t types.Type, sc *level) *node {
	et := b.elemType(t)
	elems := make([]*node, len(x.Elems))
	for i, e := range x.Elems {
		if in, ok := e.(*ir.ArrayExpr); ok {
			elems[i] = b.arrayCast(in, t, sc)
			continue
		}
		elems[i] = b.coerce(b.expr(e, sc), et, explicit)
	}
	n := b.makeArray(elems, et, x.Pos)
	n.typ = t
	return n
}

func (b *builder) makeArray(elems []*node, t types.Type, pos int) *node {
	parts := make([]string, len(elems))
	for i := range elems {
		if elems[i].typ.Kind != types.Array {
			elems[i] = b.coerce(elems[i], t, implicit)
		}
		parts[i] = b.jsonElement(elems[i])
	}
	n := atom("json_array("+strings.Join(parts, ", ")+")", b.arrayOf(t))
	n.array, n.pos, n.notNull = elems, pos, true
	if len(elems) > 0 && elems[0].typ.Kind == types.Array {
		n.array = nil
	}
	return n
}

// index is X[i] or X[low:high].
func (b *builder) index(x *ir.Index, sc *level) *node {
	v := b.settle(b.expr(x.X, sc))
	switch v.typ.Kind {
	case types.JSONB:
		i := b.expr(x.I, sc)
		if i.open {
			i = b.close(i, types.T(types.Text), implicit)
		}
		return b.operator("->", v, i, x.Pos)
	case types.Array, types.Int2Vector, types.OidVector:
	case types.Name:
		if x.Slice {
			break
		}
		i := b.coerce(b.expr(x.I, sc), types.T(types.Int4), assignment) // a fixed array of characters, from 0
		return atom("substr("+v.text()+", "+i.arg()+" + 1, 1)", types.T(types.InternalChar))
	default:
		b.failAt(sqlerr.New("42804", "cannot subscript type %s because it does not support subscripting", typeName(v.typ)), x.Pos)
	}
	elem, source := b.elements(v, x.Pos)
	first := int64(1)
	if v.typ.Kind != types.Array {
		first = 0
		source = "(" + source + ")"
	} else {
		source = v.arg()
	}
	if x.Slice {
		ref := quote(b.alias("e"))
		cond := []string{}
		bound := func(e ir.Expr, op string) {
			if e == nil {
				return
			}
			n := b.coerce(b.expr(e, sc), types.T(types.Int4), assignment)
			cond = append(cond, ref+".key "+op+" "+n.arg()+" - "+strconv.FormatInt(first, 10))
		}
		bound(x.Low, ">=")
		bound(x.High, "<=")
		sql := "(SELECT json_group_array(" + ref + ".value) FROM json_each(" + source + ") AS " + ref
		if len(cond) > 0 {
			sql += " WHERE " + strings.Join(cond, " AND ")
		}
		return atom("CASE WHEN "+source+" IS NOT NULL THEN "+sql+") END", v.typ)
	}
	i := b.coerce(b.expr(x.I, sc), types.T(types.Int4), assignment)
	t := elem
	if i.value != nil && !i.value.IsNull() {
		if i.value.I < first {
			return constant(types.Value{}, t)
		}
		n := raw(source+" ->> "+strconv.FormatInt(i.value.I-first, 10), t)
		b.setCollation(n)
		return n
	}
	n := atom("CASE WHEN "+i.arg()+" >= "+strconv.FormatInt(first, 10)+" THEN "+source+" ->> ("+i.arg()+" - "+strconv.FormatInt(first, 10)+") END", t)
	b.setCollation(n)
	return n
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
