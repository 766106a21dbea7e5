package plan

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

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
