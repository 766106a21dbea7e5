package plan

import (
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// category groups kinds as pg_type.typcategory does.
func category(t types.Type) byte {
	switch t.Kind {
	case types.Unknown:
		return 'X'
	case types.Array:
		return 'A'
	case types.Enum:
		return 'E'
	case types.Record:
		return 'P'
	case types.Int1, types.Int3, types.Year:
		return 'N'
	case types.Set:
		return 'S'
	case types.Other:
		if bt, ok := types.BuiltinByOID(t.OID); ok {
			return bt.Category
		}
		return 'U'
	}
	if bt, ok := types.BuiltinByOID(t.PGOID()); ok {
		return bt.Category
	}
	return 'U'
}

// preferred reports whether t is the preferred type of its category.
func preferred(t types.Type) bool {
	switch t.Kind {
	case types.Bool, types.Float8, types.Oid, types.Text, types.TimestampTZ, types.Interval, types.Inet:
		return true
	}
	return false
}

// commonType is the type that UNION, CASE, VALUES and the like give to several expressions; Unknown when all are open.
func (b *builder) commonType(ns []*node, what string) types.Type {
	if b.my() {
		return commonMySQL(ns)
	}
	var t types.Type
	same, first := true, true
	for _, n := range ns {
		if n.open {
			continue
		}
		if n.typ.Kind == types.Unknown {
			continue
		}
		if first {
			t, first = n.typ, false
			continue
		}
		if n.typ == t {
			continue
		}
		same = false
		switch {
		case base(n.typ) == base(t):
			t = base(t)
		case category(n.typ) != category(t):
			b.failAt(sqlerr.New("42804", "%s types %s and %s cannot be matched", what, typeName(t), typeName(n.typ)), n.pos)
		case !preferred(t) && b.convertible(t, n.typ, implicit) && !b.convertible(n.typ, t, implicit):
			t = base(n.typ)
		}
	}
	if !same {
		t = base(t)
	}
	return t
}

// commonMySQL is MySQL's rule for UNION, CASE, IF and the like.
func commonMySQL(ns []*node) types.Type {
	var t types.Type
	for _, n := range ns {
		if n.open || n.isNull() && n.typ.Kind == types.Unknown {
			continue
		}
		if t.Kind == types.Unknown {
			t = n.typ
			continue
		}
		t = mergeMySQL(t, n.typ)
	}
	return t
}

func mergeMySQL(a, c types.Type) types.Type {
	switch {
	case a == c:
		return a
	case a.Kind == c.Kind:
		if a.Kind == types.Numeric {
			scale := max(a.Scale, c.Scale)
			whole := max(a.Len-a.Scale, c.Len-c.Scale)
			return types.Type{Kind: types.Numeric, Len: min(whole+scale, 65), Scale: scale}
		}
		r := a
		r.Len = max(a.Len, c.Len)
		if a.Len == 0 || c.Len == 0 {
			r.Len = 0
		}
		r.Unsigned = a.Unsigned && c.Unsigned
		r.Binary = a.Binary && c.Binary
		if a.OID != c.OID {
			return types.T(types.Text)
		}
		return r
	case isNumberMySQL(a) && isNumberMySQL(c):
		switch {
		case a.Kind == types.Float8 || c.Kind == types.Float8 || a.Kind == types.Float4 || c.Kind == types.Float4:
			return types.T(types.Float8)
		case a.Kind == types.Numeric || c.Kind == types.Numeric:
			if a.Kind != types.Numeric {
				a, c = c, a
			}
			return types.Type{Kind: types.Numeric, Len: min(max(a.Len-a.Scale, 20)+a.Scale, 65), Scale: a.Scale}
		}
		if widthMySQL(a) < widthMySQL(c) {
			a, c = c, a
		}
		if a.Kind != types.Int8 && a.Unsigned != c.Unsigned {
			a.Unsigned = false
		}
		return a
	case a.IsTime() && c.IsTime():
		if a.Kind == types.TimestampTZ && c.Kind == types.TimestampTZ {
			return a
		}
		return types.Type{Kind: types.Timestamp, Len: max(a.Len, c.Len)}
	case a.Kind == types.Bytes || c.Kind == types.Bytes:
		return types.T(types.Bytes)
	case isJSON(a) && isJSON(c):
		return types.T(types.JSONB)
	}
	return types.T(types.Text)
}

func isJSON(t types.Type) bool { return t.Kind == types.JSON || t.Kind == types.JSONB }

func isNumberMySQL(t types.Type) bool {
	return t.IsNumber() || t.Kind == types.Bool || t.Kind == types.Bit
}

func widthMySQL(t types.Type) int {
	switch t.Kind {
	case types.Bool, types.Int1:
		return 1
	case types.Int2, types.Year:
		return 2
	case types.Int3:
		return 3
	case types.Int4:
		return 4
	}
	return 8
}
