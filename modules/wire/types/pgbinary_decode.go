package types

import (
	"encoding/binary"
	"math"
	"math/big"
	"net/netip"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

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
