package types

import (
	"sync"
)

// Builtin is one of PostgreSQL's own types, as pg_type has it.
type Builtin struct {
	OID       uint32
	Name      string // typname
	SQLName   string // as format_type prints it without a typmod
	Len       int16  // typlen: bytes, -1 variable, -2 C string
	ByVal     bool
	Type      byte // typtype: b base, p pseudo, r range, m multirange
	Category  byte // typcategory
	Preferred bool
	Delim     byte
	Elem      uint32 // typelem
	Array     uint32 // typarray
	Align     byte
	Storage   byte
	Subscript string
	Input     string
	Output    string
	Receive   string
	Send      string
	ModIn     string
	ModOut    string
}

// Builtins returns PostgreSQL's own types ordered by OID. The slice must not be changed.
func Builtins() []Builtin { return builtins }

// IsArray reports whether b is a true array type (int2vector and oidvector aren't).
func (b *Builtin) IsArray() bool { return b.Category == 'A' && b.Len == -1 && b.Name[0] == '_' }

// kindOIDs gives the PostgreSQL type that a kind is shown as. MySQL's own kinds appear as the type that holds their values.
var kindOIDs = [...]uint32{
	Unknown:      705,
	Void:         2278,
	Bool:         16,
	Int1:         21,
	Int2:         21,
	Int3:         23,
	Int4:         23,
	Int8:         20,
	Float4:       700,
	Float8:       701,
	Numeric:      1700,
	Text:         25,
	Varchar:      1043,
	Char:         1042,
	Name:         19,
	InternalChar: 18,
	Bytes:        17,
	Date:         1082,
	Time:         1083,
	TimeTZ:       1266,
	Timestamp:    1114,
	TimestampTZ:  1184,
	Interval:     1186,
	Year:         23,
	Bit:          1560,
	JSON:         114,
	JSONB:        3802,
	UUID:         2950,
	Enum:         25,
	Set:          25,
	Array:        2277,
	Inet:         869,
	Cidr:         650,
	Macaddr:      829,
	Money:        790,
	XML:          142,
	Oid:          26,
	Regclass:     2205,
	Regtype:      2206,
	Regproc:      24,
	Regprocedure: 2202,
	Regnamespace: 4089,
	Regrole:      4096,
	Int2Vector:   22,
	OidVector:    30,
	PgNodeTree:   194,
	AclItem:      1033,
	Xid:          28,
	Record:       2249,
	TSVector:     3614,
	Point:        600,
	Other:        25,
}

type oidIndex struct {
	byOID  map[uint32]*Builtin
	byName map[string]*Builtin
	kinds  map[uint32]Kind // of the types that a kind stands for
}

var oids = sync.OnceValue(func() *oidIndex {
	x := &oidIndex{
		byOID:  make(map[uint32]*Builtin, len(builtins)),
		byName: make(map[string]*Builtin, 2*len(builtins)),
		kinds:  make(map[uint32]Kind, len(kindOIDs)),
	}
	for i := range builtins {
		b := &builtins[i]
		x.byOID[b.OID] = b
		x.byName[b.Name] = b
	}
	for i := range builtins {
		b := &builtins[i]
		if _, taken := x.byName[b.SQLName]; !taken {
			x.byName[b.SQLName] = b
		}
	}
	for _, k := range [...]Kind{
		Unknown, Void, Bool, Int2, Int4, Int8, Float4, Float8, Numeric, Text, Varchar, Char, Name, InternalChar, Bytes,
		Date, Time, TimeTZ, Timestamp, TimestampTZ, Interval, Bit, JSON, JSONB, UUID, Inet, Cidr, Macaddr, Money, XML,
		Oid, Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole, Int2Vector, OidVector, PgNodeTree, AclItem,
		Xid, Record, TSVector, Point,
	} {
		x.kinds[kindOIDs[k]] = k
	}
	return x
})

// BuiltinByOID returns the builtin type of that OID.
func BuiltinByOID(oid uint32) (*Builtin, bool) {
	b, ok := oids().byOID[oid]
	return b, ok
}

// BuiltinByName returns the builtin type of that name: pg_type's (int4, _int4) or SQL's ("double precision").
func BuiltinByName(name string) (*Builtin, bool) {
	if b, ok := oids().byName[name]; ok {
		return b, true
	}
	switch name {
	case "int":
		name = "int4"
	case "decimal", "dec":
		name = "numeric"
	case "float":
		name = "float8"
	case "char":
		name = "bpchar"
	case "timestamp":
		name = "timestamp"
	default:
		return nil, false
	}
	b, ok := oids().byName[name]
	return b, ok
}

// PGOID returns the OID that the PostgreSQL protocol gives for values of type t. The OID of an Array whose Elem is Enum
// or Other is t.OID itself: there it names the array type.
func (t Type) PGOID() uint32 {
	switch t.Kind {
	case Enum, Other:
		if t.OID != 0 {
			return t.OID
		}
	case Int4, Int3:
		if t.Unsigned && t.Kind == Int4 {
			return 20
		}
	case Int2:
		if t.Unsigned {
			return 23
		}
	case Array:
		if t.OID != 0 {
			return t.OID
		}
		if b, ok := oids().byOID[T(t.Elem).PGOID()]; ok && b.Array != 0 {
			return b.Array
		}
		return 1009
	}
	if int(t.Kind) < len(kindOIDs) {
		return kindOIDs[t.Kind]
	}
	return 25
}

// ElemType returns the type of the elements of the array t; its parameters are those of t.
func (t Type) ElemType() Type {
	e := Type{Kind: t.Elem, Unsigned: t.Unsigned, Binary: t.Binary, Len: t.Len, Scale: t.Scale}
	if t.Elem == Enum || t.Elem == Other {
		if b, ok := oids().byOID[t.OID]; ok {
			e.OID = b.Elem
		}
	}
	return e
}

// Typmod returns PostgreSQL's type modifier of t, -1 if it has none.
func (t Type) Typmod() int32 {
	k := t.Kind
	if k == Array {
		k = t.Elem
	}
	switch k {
	case Varchar, Char:
		if t.Len > 0 {
			return t.Len + 4
		}
	case Numeric:
		if t.Len > 0 {
			return (t.Len<<16 | t.Scale&0x7ff) + 4
		}
	case Time, TimeTZ, Timestamp, TimestampTZ:
		if t.Len > 0 {
			return t.Len - 1
		}
	case Interval:
		if t.Len > 0 {
			return 0x7fff<<16 | (t.Len - 1)
		}
	case Bit:
		if t.Len > 0 {
			return t.Len
		}
	}
	return -1
}

// FromOID returns the type that a PostgreSQL OID and typmod (-1: none) name. Types without a kind of their own are of kind
// Other and keep the OID. ok is false for an OID that isn't builtin: the schema knows whether it is an enum or a domain.
func FromOID(oid uint32, typmod int32) (t Type, ok bool) {
	x := oids()
	if k, known := x.kinds[oid]; known {
		return T(k).WithTypmod(typmod), true
	}
	b, ok := x.byOID[oid]
	if !ok {
		return Type{Kind: Other, OID: oid}, false
	}
	if b.IsArray() {
		if k, known := x.kinds[b.Elem]; known {
			return ArrayOf(k).WithTypmod(typmod), true
		}
		return Type{Kind: Array, Elem: Other, OID: oid}, true
	}
	return Type{Kind: Other, OID: oid}, true
}

// WithTypmod returns t with the parameters that a PostgreSQL typmod encodes.
func (t Type) WithTypmod(typmod int32) Type {
	if typmod < 0 {
		return t
	}
	k := t.Kind
	if k == Array {
		k = t.Elem
	}
	switch k {
	case Varchar, Char:
		t.Len = max(typmod-4, 0)
	case Numeric:
		if typmod >= 4 {
			m := typmod - 4
			t.Len = m >> 16 & 0xffff
			t.Scale = (m&0x7ff ^ 1024) - 1024
		}
	case Time, TimeTZ, Timestamp, TimestampTZ:
		t.Len = min(typmod, 6) + 1
	case Interval:
		if p := typmod & 0xffff; p <= 6 {
			t.Len = p + 1
		}
	case Bit:
		t.Len = typmod
	}
	return t
}

// TypLen returns pg_type.typlen of t: bytes, or -1 for a variable length.
func (t Type) TypLen() int16 {
	if t.Kind == Enum {
		return 4
	}
	if b, ok := oids().byOID[t.PGOID()]; ok {
		return b.Len
	}
	return -1
}

// Code packs t into an integer for internal function calls; an OID is not kept.
func (t Type) Code() int64 {
	c := int64(t.Kind) | int64(t.Elem)<<8 | int64(uint32(t.Scale)&0xfff)<<18 | int64(uint32(t.Len)&0x3fffffff)<<30
	if t.Unsigned {
		c |= 1 << 16
	}
	if t.Binary {
		c |= 1 << 17
	}
	return c
}

// FromCode is the inverse of Code.
func FromCode(c int64) Type {
	return Type{
		Kind:     Kind(c),
		Elem:     Kind(c >> 8),
		Unsigned: c>>16&1 != 0,
		Binary:   c>>17&1 != 0,
		Scale:    int32(c>>18&0xfff^0x800) - 0x800,
		Len:      int32(c >> 30 & 0x3fffffff),
	}
}
