package types

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// HasPGBinary reports whether type t has a binary form here.
func (t Type) HasPGBinary() bool {
	switch t.Kind {
	case Record, AclItem, TSVector, PgNodeTree:
		return false
	case Other:
		switch t.OID {
		case 0, varbitOID, 1790, 2275: // unnamed, varbit, refcursor, cstring
			return true
		}
		return t.OID >= firstSchemaOID
	case Array:
		return t.ElemType().HasPGBinary()
	}
	return true
}

// varbitOID is bit varying, which has no kind of its own: its storage is that of a bit string without a length.
const varbitOID = 1562

// firstSchemaOID is the first OID that isn't PostgreSQL's own.
const firstSchemaOID = 16384

func errNoBinary(t Type, dir string) error {
	return sqlerr.New("42883", "no binary %s function available for type %s", dir, t.PGName())
}

func errBadBinary(t Type) error {
	return sqlerr.New("22P03", "incorrect binary data format for type %s", t.PGName())
}

// errNotOfType: the stored value can't be shown as its type in binary.
func errNotOfType(t Type, v Value) error {
	return sqlerr.New("22P03", "stored value is not a valid %s", t.PGName())
}

// AppendPGBinary appends the binary form of v, a value of type t in storage form. NULL appends nothing. f is only asked
// for element OIDs of arrays; it may be nil.
func AppendPGBinary(dst []byte, t Type, v Value, f *PGFormat) ([]byte, error) {
	if v.Class == Null {
		return dst, nil
	}
	switch t.Kind {
	case Bool:
		i, ok := intOf(v)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		if i != 0 {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case Int1, Int2, Int3, Int4, Int8, Year, Oid, Xid, Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole, Money:
		i, ok := intOf(v)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		return appendIntOID(dst, t, i)
	case Float4, Float8:
		f, ok := floatOf(v)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		if t.Kind == Float4 {
			return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
		}
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), nil
	case Numeric:
		d, ok := decimalOf(v)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		return appendNumericBinary(dst, d)
	case Date:
		if d, ok := ParseStoredDate(v.B); ok {
			return binary.BigEndian.AppendUint32(dst, uint32(d)), nil
		}
		return dst, errNotOfType(t, v)
	case Time:
		if us, ok := ParseStoredTime(v.B); ok {
			return binary.BigEndian.AppendUint64(dst, uint64(us)), nil
		}
		return dst, errNotOfType(t, v)
	case TimeTZ:
		if us, off, ok := ParseStoredTimeTZ(v.B); ok {
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, uint64(us)), uint32(-off)), nil
		}
		return dst, errNotOfType(t, v)
	case Timestamp, TimestampTZ:
		if ts, ok := ParseStoredTimestamp(v.B); ok {
			return binary.BigEndian.AppendUint64(dst, uint64(ts)), nil
		}
		return dst, errNotOfType(t, v)
	case Interval:
		if s, ok := ParseStoredInterval(v.B); ok {
			dst = binary.BigEndian.AppendUint64(dst, uint64(s.Micros))
			dst = binary.BigEndian.AppendUint32(dst, uint32(s.Days))
			return binary.BigEndian.AppendUint32(dst, uint32(s.Months)), nil
		}
		return dst, errNotOfType(t, v)
	case Bytes:
		if v.Class == Blob || v.Class == String {
			return append(dst, v.B...), nil
		}
		return dst, errNotOfType(t, v)
	case UUID:
		u, ok := parseUUID(v.B)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		return append(dst, u[:]...), nil
	case JSONB:
		return AppendPGText(append(dst, 1), t, v, f), nil
	case Bit:
		return appendBitBinary(dst, AppendBits(nil, t, v)), nil
	case Array:
		return appendArrayBinary(dst, t, v, f)
	case Inet, Cidr:
		n, ok := ParseInet(v.B, t.Kind == Cidr)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		return n.appendBinary(dst, t.Kind == Cidr), nil
	case Macaddr:
		m, ok := parseMac(v.B)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		return append(dst, m[:]...), nil
	case Point:
		x, y, ok := pointOf(v.B)
		if !ok {
			return dst, errNotOfType(t, v)
		}
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(x))
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(y)), nil
	case Int2Vector, OidVector:
		return appendVectorBinary(dst, t, v)
	case InternalChar:
		if len(v.B) == 0 {
			return append(dst, 0), nil
		}
	case Void:
		return dst, nil
	case Other:
		if t.OID == varbitOID {
			return appendBitBinary(dst, AppendPGText(nil, t, v, f)), nil
		}
	}
	if !t.HasPGBinary() {
		return dst, errNoBinary(t, "output")
	}
	return AppendPGText(dst, t, v, f), nil
}

// appendIntOID appends i in the width of the PostgreSQL type that stands for t.
func appendIntOID(dst []byte, t Type, i int64) ([]byte, error) {
	switch t.PGOID() {
	case 20, 790:
		return binary.BigEndian.AppendUint64(dst, uint64(i)), nil
	case 21:
		if i < math.MinInt16 || i > math.MaxInt16 {
			return dst, sqlerr.New("22003", "smallint out of range")
		}
		return binary.BigEndian.AppendUint16(dst, uint16(i)), nil
	case 23:
		if i < math.MinInt32 || i > math.MaxInt32 {
			return dst, sqlerr.New("22003", "integer out of range")
		}
	}
	return binary.BigEndian.AppendUint32(dst, uint32(i)), nil
}

func intOf(v Value) (int64, bool) {
	switch v.Class {
	case Int:
		return v.I, true
	case Float:
		i := int64(v.F)
		return i, float64(i) == v.F
	case String:
		i, syntax, fits := parseInt(trimSpace(v.B))
		return i, syntax && fits
	}
	return 0, false
}

func floatOf(v Value) (float64, bool) {
	switch v.Class {
	case Int:
		return float64(v.I), true
	case Float:
		return v.F, true
	case String:
		f, err := strconv.ParseFloat(string(trimSpace(v.B)), 64)
		return f, err == nil
	}
	return 0, false
}

// decimalOf reads a number in any class.
func decimalOf(v Value) (Decimal, bool) {
	switch v.Class {
	case Int:
		return DecimalFromInt(v.I), true
	case Float:
		return DecimalFromFloat(v.F, 15), true
	case String:
		d, err := ParseDecimal(v.B)
		return d, err == nil
	}
	return Decimal{}, false
}

// The signs of numeric's binary form.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPInf     = 0xD000
	numericNInf     = 0xF000
)

func appendNumericBinary(dst []byte, d Decimal) ([]byte, error) {
	head := func(digits, weight int, sign, scale uint16) {
		dst = binary.BigEndian.AppendUint16(dst, uint16(digits))
		dst = binary.BigEndian.AppendUint16(dst, uint16(int16(weight)))
		dst = binary.BigEndian.AppendUint16(dst, sign)
		dst = binary.BigEndian.AppendUint16(dst, scale)
	}
	switch d.class {
	case notANumber:
		head(0, 0, numericNaN, 0)
		return dst, nil
	case positiveInfinity:
		head(0, 0, numericPInf, 0x20)
		return dst, nil
	case negativeInfinity:
		head(0, 0, numericNInf, 0x20)
		return dst, nil
	}
	sign := uint16(numericPositive)
	if d.neg {
		sign = numericNegative
	}
	if d.IsZero() {
		head(0, 0, sign, uint16(d.scale))
		return dst, nil
	}
	// The digits, filled up so that groups of four meet at the point.
	var buf [64]byte
	text := buf[:0]
	if d.big != nil {
		text = d.big.Append(text, 10)
	} else {
		text = strconv.AppendUint(text, d.small, 10)
	}
	for range (4 - int(d.scale)%4) % 4 {
		text = append(text, '0')
	}
	lead := (4 - len(text)%4) % 4
	groups := (len(text) + lead) / 4
	weight := groups - (int(d.scale)+3)/4 - 1
	group := func(g int) int {
		n := 0
		for i := g*4 - lead; i < g*4-lead+4; i++ {
			n *= 10
			if i >= 0 {
				n += int(text[i] - '0')
			}
		}
		return n
	}
	last := groups
	for last > 0 && group(last-1) == 0 {
		last--
	}
	head(last, weight, sign, uint16(d.scale))
	for g := range last {
		dst = binary.BigEndian.AppendUint16(dst, uint16(group(g)))
	}
	return dst, nil
}

func appendBitBinary(dst, bits []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(bits)))
	for i := 0; i < len(bits); i += 8 {
		var c byte
		for j := range 8 {
			c <<= 1
			if i+j < len(bits) {
				c |= bits[i+j] & 1
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// The address families of inet's binary form.
const (
	familyIPv4 = 2
	familyIPv6 = 3
)

func (v InetValue) appendBinary(dst []byte, cidr bool) []byte {
	is := byte(0)
	if cidr {
		is = 1
	}
	if v.Addr.Is4() {
		a := v.Addr.As4()
		return append(append(dst, familyIPv4, byte(v.Bits), is, 4), a[:]...)
	}
	a := v.Addr.As16()
	return append(append(dst, familyIPv6, byte(v.Bits), is, 16), a[:]...)
}

func appendArrayBinary(dst []byte, t Type, v Value, f *PGFormat) ([]byte, error) {
	a, ok := ParseStoredArray(v.B, t.Elem)
	if !ok {
		return dst, errNotOfType(t, v)
	}
	elem := t.ElemType()
	oid := elem.PGOID()
	if t.Elem == Enum && f != nil && f.ElemOID != nil {
		if o := f.ElemOID(t.OID); o != 0 {
			oid = o
		}
	}
	hasNull := uint32(0)
	for _, e := range a.Elems {
		if e.IsNull() {
			hasNull = 1
		}
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Dims)))
	dst = binary.BigEndian.AppendUint32(dst, hasNull)
	dst = binary.BigEndian.AppendUint32(dst, oid)
	for _, d := range a.Dims {
		dst = binary.BigEndian.AppendUint32(dst, uint32(d))
		dst = binary.BigEndian.AppendUint32(dst, 1)
	}
	var err error
	for _, e := range a.Elems {
		at := len(dst)
		dst = binary.BigEndian.AppendUint32(dst, 0xffffffff)
		if e.IsNull() {
			continue
		}
		if dst, err = AppendPGBinary(dst, elem, e, f); err != nil {
			return dst, err
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst, nil
}

func appendVectorBinary(dst []byte, t Type, v Value) ([]byte, error) {
	var items []int64
	start := -1
	for i := 0; i <= len(v.B); i++ {
		if i < len(v.B) && !isSpace(v.B[i]) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			n, syntax, _ := parseInt(v.B[start:i])
			if !syntax {
				return dst, errNotOfType(t, v)
			}
			items = append(items, n)
			start = -1
		}
	}
	elem, width := uint32(21), uint32(2)
	if t.Kind == OidVector {
		elem, width = 26, 4
	}
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, elem)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(items)))
	dst = binary.BigEndian.AppendUint32(dst, 0)
	for _, n := range items {
		dst = binary.BigEndian.AppendUint32(dst, width)
		if width == 2 {
			dst = binary.BigEndian.AppendUint16(dst, uint16(n))
		} else {
			dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		}
	}
	return dst, nil
}
