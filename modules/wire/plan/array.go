package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

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
