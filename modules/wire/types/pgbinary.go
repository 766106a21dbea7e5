package types

import (
	"encoding/binary"
	"math"
	"math/big"
	"net/netip"
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

func decodeNumericBinary(b []byte) (Decimal, bool) {
	if len(b) < 8 {
		return Decimal{}, false
	}
	n := int(binary.BigEndian.Uint16(b))
	weight := int(int16(binary.BigEndian.Uint16(b[2:])))
	sign := binary.BigEndian.Uint16(b[4:])
	scale := int32(binary.BigEndian.Uint16(b[6:]))
	if len(b) != 8+2*n {
		return Decimal{}, false
	}
	switch sign {
	case numericNaN:
		return NaN, true
	case numericPInf:
		return Infinity, true
	case numericNInf:
		return NegativeInfinity, true
	case numericPositive, numericNegative:
	default:
		return Decimal{}, false
	}
	if scale > MaxDecimalScale || weight > MaxDecimalDigits/4 || n > (MaxDecimalDigits+MaxDecimalScale)/4+2 {
		return Decimal{}, false
	}
	text := make([]byte, 0, n*4+1)
	for i := range n {
		g := binary.BigEndian.Uint16(b[8+2*i:])
		if g > 9999 {
			return Decimal{}, false
		}
		text = appendWidth(text, int(g), 4)
	}
	if n == 0 {
		return Decimal{scale: scale}, true
	}
	m, ok := new(big.Int).SetString(string(text), 10)
	if !ok {
		return Decimal{}, false
	}
	// The value is m × 10000^(weight - n + 1).
	d, err := fromBig(sign == numericNegative, m, 0).shift(4 * (weight - n + 1))
	if err != nil {
		return Decimal{}, false
	}
	return d.Trunc(scale), true
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

func decodeBitBinary(b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	if n > 1<<30 || len(b) != int(n+7)/8 {
		return nil, false
	}
	bits := make([]byte, n)
	for i := range bits {
		bits[i] = '0' + b[i/8]>>(7-i%8)&1
	}
	return bits, true
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

// DecodePGBinary reads the binary form of a value of type t that a client sent. The Value may share b's memory.
func DecodePGBinary(t Type, b []byte) (Value, error) {
	bad := func() (Value, error) { return Value{}, errBadBinary(t) }
	switch t.Kind {
	case Bool:
		if len(b) != 1 {
			return bad()
		}
		return BoolValue(b[0] != 0), nil
	case Int1, Int2, Int3, Int4, Int8, Year, Oid, Xid, Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole, Money:
		return decodeIntBinary(t, b)
	case Float4, Float8:
		var f float64
		switch {
		case len(b) == 4 && t.Kind == Float4:
			f = float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
		case len(b) == 8 && t.Kind == Float8:
			f = math.Float64frombits(binary.BigEndian.Uint64(b))
		default:
			return bad()
		}
		if math.IsNaN(f) {
			return Value{}, errNaN(t)
		}
		return FloatValue(f), nil
	case Numeric:
		d, ok := decodeNumericBinary(b)
		if !ok {
			return bad()
		}
		d, err := d.Fit(t)
		if err != nil {
			return Value{}, err
		}
		return DecimalValue(d), nil
	case Date:
		if len(b) != 4 {
			return bad()
		}
		d := int32(binary.BigEndian.Uint32(b))
		if d != InfiniteDate && d != MinusInfiniteDate && !DateInRange(int(d)) {
			return Value{}, sqlerr.New("22008", "date out of range")
		}
		return DateValue(d), nil
	case Time:
		if len(b) != 8 {
			return bad()
		}
		us := int64(binary.BigEndian.Uint64(b))
		if us < 0 || us > MicrosPerDay {
			return Value{}, sqlerr.New("22008", "time out of range")
		}
		return TimeValue(RoundMicros(us, t.fraction())), nil
	case TimeTZ:
		if len(b) != 12 {
			return bad()
		}
		us, off := int64(binary.BigEndian.Uint64(b)), -int(int32(binary.BigEndian.Uint32(b[8:])))
		if us < 0 || us > MicrosPerDay || off < -16*3600 || off > 16*3600 {
			return Value{}, sqlerr.New("22008", "time out of range")
		}
		return Value{Class: String, B: AppendTimeTZ(nil, RoundMicros(us, t.fraction()), off)}, nil
	case Timestamp, TimestampTZ:
		if len(b) != 8 {
			return bad()
		}
		ts := int64(binary.BigEndian.Uint64(b))
		if ts != InfiniteTimestamp && ts != MinusInfiniteTimestamp && !TimestampInRange(ts) {
			return Value{}, sqlerr.New("22008", "timestamp out of range")
		}
		return TimestampValue(RoundMicros(ts, t.fraction())), nil
	case Interval:
		if len(b) != 16 {
			return bad()
		}
		return SpanValue(Span{
			Micros: int64(binary.BigEndian.Uint64(b)),
			Days:   int32(binary.BigEndian.Uint32(b[8:])),
			Months: int32(binary.BigEndian.Uint32(b[12:])),
		}), nil
	case Bytes:
		return BlobValue(b), nil
	case UUID:
		if len(b) != 16 {
			return bad()
		}
		return Value{Class: String, B: appendUUID(make([]byte, 0, 36), [16]byte(b))}, nil
	case JSONB:
		if len(b) == 0 || b[0] != 1 {
			return Value{}, sqlerr.New("XX000", "unsupported jsonb version number")
		}
		return ParseText(t, b[1:], nil)
	case Bit:
		bits, ok := decodeBitBinary(b)
		if !ok {
			return bad()
		}
		return BitValue(t, bits, false)
	case Array:
		return decodeArrayBinary(t, b)
	case Inet, Cidr:
		n, ok := decodeInet(b)
		if !ok {
			return bad()
		}
		return Value{Class: String, B: n.AppendText(nil, t.Kind == Cidr)}, nil
	case Macaddr:
		if len(b) != 6 {
			return bad()
		}
		return Value{Class: String, B: appendMac(nil, [6]byte(b))}, nil
	case Point:
		if len(b) != 16 {
			return bad()
		}
		x := math.Float64frombits(binary.BigEndian.Uint64(b))
		y := math.Float64frombits(binary.BigEndian.Uint64(b[8:]))
		return Value{Class: String, B: appendPoint(nil, x, y, 1)}, nil
	case Int2Vector, OidVector:
		elem := Int2
		if t.Kind == OidVector {
			elem = Oid
		}
		v, err := decodeArrayBinary(ArrayOf(elem), b)
		if err != nil {
			return v, err
		}
		a, _ := ParseStoredArray(v.B, elem)
		var out []byte
		for i, e := range a.Elems {
			if i > 0 {
				out = append(out, ' ')
			}
			out = strconv.AppendInt(out, e.I, 10)
		}
		return Value{Class: String, B: out}, nil
	case Void:
		return StringValue(""), nil
	case InternalChar:
		if len(b) == 1 && b[0] == 0 {
			return StringValue(""), nil
		}
	case Other:
		if t.OID == varbitOID {
			bits, ok := decodeBitBinary(b)
			if !ok {
				return bad()
			}
			return Value{Class: String, B: bits}, nil
		}
	}
	if !t.HasPGBinary() {
		return Value{}, errNoBinary(t, "input")
	}
	return ParseText(t, b, nil)
}

func decodeIntBinary(t Type, b []byte) (Value, error) {
	var i int64
	unsigned := t.Kind >= Oid && t.Kind <= Regrole || t.Kind == Xid
	if unsigned && len(b) != 4 || t.Kind == Money && len(b) != 8 {
		return Value{}, errBadBinary(t)
	}
	switch len(b) {
	case 2:
		i = int64(int16(binary.BigEndian.Uint16(b)))
	case 4:
		if unsigned {
			i = int64(binary.BigEndian.Uint32(b))
		} else {
			i = int64(int32(binary.BigEndian.Uint32(b)))
		}
	case 8:
		i = int64(binary.BigEndian.Uint64(b))
	default:
		return Value{}, errBadBinary(t)
	}
	if !unsigned && t.Kind != Money {
		if low, high := t.IntRange(); i < low || i > high {
			return Value{}, sqlerr.New("22003", "%s out of range", t.PGName())
		}
	}
	return IntValue(i), nil
}

func decodeInet(b []byte) (v InetValue, ok bool) {
	if len(b) < 4 {
		return v, false
	}
	switch {
	case b[0] == familyIPv4 && b[3] == 4 && len(b) == 8:
		v.Addr = netip.AddrFrom4([4]byte(b[4:]))
	case b[0] == familyIPv6 && b[3] == 16 && len(b) == 20:
		v.Addr = netip.AddrFrom16([16]byte(b[4:]))
	default:
		return v, false
	}
	v.Bits = int(b[1])
	return v, v.Bits <= v.Addr.BitLen()
}

func decodeArrayBinary(t Type, b []byte) (Value, error) {
	bad := func() (Value, error) { return Value{}, errBadBinary(t) }
	if len(b) < 12 {
		return bad()
	}
	n := binary.BigEndian.Uint32(b)
	sent := binary.BigEndian.Uint32(b[8:])
	b = b[12:]
	if n > maxArrayDims {
		return Value{}, sqlerr.New("54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", n, maxArrayDims)
	}
	elem := t.ElemType()
	if want := elem.PGOID(); t.Elem != Enum && t.Elem != Other && sent != want && sent != 0 {
		st, ok := FromOID(sent, -1)
		// A driver may send text for varchar and the like.
		if !ok || !(st.IsString() && elem.IsString()) {
			return Value{}, sqlerr.New("42804", "binary data has array element type %d instead of expected %d", sent, want)
		}
	}
	var a ArrayValue
	count := uint64(1)
	for range n {
		if len(b) < 8 {
			return bad()
		}
		d := binary.BigEndian.Uint32(b)
		if d > maxArrayElems {
			return bad()
		}
		count *= uint64(d)
		if count > maxArrayElems {
			return bad()
		}
		a.Dims = append(a.Dims, int(d))
		b = b[8:]
	}
	if n == 0 || count == 0 {
		return StringValue("[]"), nil
	}
	if count*4 > uint64(len(b)) {
		return bad()
	}
	a.Elems = make([]Value, 0, count)
	for range count {
		if len(b) < 4 {
			return bad()
		}
		l := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if l == -1 {
			a.Elems = append(a.Elems, Value{})
			continue
		}
		if l < 0 || int(l) > len(b) {
			return bad()
		}
		v, err := DecodePGBinary(elem, b[:l])
		if err != nil {
			return Value{}, err
		}
		a.Elems = append(a.Elems, v)
		b = b[l:]
	}
	if len(b) != 0 {
		return bad()
	}
	return Value{Class: String, B: a.AppendStored(nil)}, nil
}

// DecodePGText reads the text form of a value of type t that a client sent: ParseText under the protocol's name.
func DecodePGText(t Type, b []byte, in *Input) (Value, error) { return ParseText(t, b, in) }
