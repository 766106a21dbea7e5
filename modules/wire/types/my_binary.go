package types

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// AppendLengthEncoded appends n as MySQL's length-encoded integer.
func AppendLengthEncoded(dst []byte, n uint64) []byte {
	switch {
	case n < 251:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xfe), n)
}

// lengthEncoded reads a length-encoded integer and returns the bytes it took, 0 if it is cut or not one.
func lengthEncoded(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch {
	case b[0] < 251:
		return uint64(b[0]), 1
	case b[0] == 0xfc && len(b) >= 3:
		return uint64(b[1]) | uint64(b[2])<<8, 3
	case b[0] == 0xfd && len(b) >= 4:
		return uint64(b[1]) | uint64(b[2])<<8 | uint64(b[3])<<16, 4
	case b[0] == 0xfe && len(b) >= 9:
		return binary.LittleEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

// AppendMySQLTextCell appends a value as a cell of a text row: length-encoded, or the NULL byte.
func AppendMySQLTextCell(dst []byte, t Type, v Value, f *MyFormat) []byte {
	if v.Class == Null {
		return append(dst, 0xfb)
	}
	return appendMyCell(dst, func(dst []byte) []byte { return AppendMySQLText(dst, t, v, f) })
}

// appendMyCell appends what text appends, with its length before it.
func appendMyCell(dst []byte, text func([]byte) []byte) []byte {
	at := len(dst)
	dst = text(append(dst, 0))
	n := len(dst) - at - 1
	if n < 251 {
		dst[at] = byte(n)
		return dst
	}
	var head [9]byte
	h := AppendLengthEncoded(head[:0], uint64(n))
	dst = append(dst, h[1:]...)
	copy(dst[at+len(h):], dst[at+1:at+1+n])
	copy(dst[at:], h)
	return dst
}

// AppendMySQLBinary appends a value as a cell of a binary row, in the form of t.MySQL().Type. NULL appends nothing: it is
// a bit of the row's head.
func AppendMySQLBinary(dst []byte, t Type, v Value, f *MyFormat) ([]byte, error) {
	if v.Class == Null {
		return dst, nil
	}
	switch code := t.MySQL().Type; code {
	case MyTiny, MyShort, MyYear, MyLong, MyInt24, MyLongLong:
		i, ok := intOf(v)
		if !ok {
			i = int64(mySQLNumber(v))
		}
		switch code {
		case MyTiny:
			return append(dst, byte(i)), nil
		case MyShort, MyYear:
			return binary.LittleEndian.AppendUint16(dst, uint16(i)), nil
		case MyLong, MyInt24:
			return binary.LittleEndian.AppendUint32(dst, uint32(i)), nil
		}
		return binary.LittleEndian.AppendUint64(dst, uint64(i)), nil
	case MyFloat, MyDouble:
		x, ok := floatOf(v)
		if !ok {
			x = mySQLNumber(v)
		}
		if code == MyFloat {
			return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(x))), nil
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(x)), nil
	case MyDate, MyDateTime, MyTimestamp:
		return appendMyBinaryDate(dst, t, v, f)
	case MyTimeOfDay:
		us, _, ok := ParseMySQLTime(v.B)
		if !ok {
			return append(dst, 0), nil
		}
		return appendMyBinaryTime(dst, us), nil
	}
	return appendMyCell(dst, func(dst []byte) []byte { return AppendMySQLText(dst, t, v, f) }), nil
}

// mySQLNumber reads any value as a number, as far as it is one.
func mySQLNumber(v Value) float64 {
	switch v.Class {
	case Int:
		return float64(v.I)
	case Float:
		return v.F
	}
	f, _ := MySQLFloat(v.B)
	return f
}

func appendMyBinaryDate(dst []byte, t Type, v Value, f *MyFormat) ([]byte, error) {
	var m MyTime
	switch v.Class {
	case String:
		if t.Kind == TimestampTZ {
			if ts, ok := ParseStoredTimestamp(v.B); ok && ts != InfiniteTimestamp && ts != MinusInfiniteTimestamp {
				ts, _, _ = LocalTimestamp(ts, f.location())
				m = MyTimeOf(ts)
				break
			}
		}
		var ok bool
		if m, ok = ParseMySQLDateTime(v.B); !ok {
			ts, ok := ParseStoredTimestamp(v.B)
			if !ok || ts == InfiniteTimestamp || ts == MinusInfiniteTimestamp {
				return append(dst, 0), nil
			}
			m = MyTimeOf(ts)
		}
	default:
		return append(dst, 0), nil
	}
	us := m.Micros % MicrosPerSecond
	sec := m.Micros / MicrosPerSecond
	head := func(n byte) {
		dst = append(dst, n)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(m.Year))
		dst = append(dst, byte(m.Month), byte(m.Day))
	}
	switch {
	case m.IsZero() && m.Micros == 0:
		return append(dst, 0), nil
	case t.Kind == Date || m.Micros == 0:
		head(4)
		return dst, nil
	case us == 0:
		head(7)
	default:
		head(11)
	}
	dst = append(dst, byte(sec/3600), byte(sec/60%60), byte(sec%60))
	if us != 0 {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(us))
	}
	return dst, nil
}

func appendMyBinaryTime(dst []byte, micros int64) []byte {
	if micros == 0 {
		return append(dst, 0)
	}
	neg := byte(0)
	if micros < 0 {
		neg = 1
		micros = -micros
	}
	us := micros % MicrosPerSecond
	sec := micros / MicrosPerSecond
	n := byte(8)
	if us != 0 {
		n = 12
	}
	dst = append(dst, n, neg)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(sec/86400))
	dst = append(dst, byte(sec/3600%24), byte(sec/60%60), byte(sec%60))
	if us != 0 {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(us))
	}
	return dst
}

// DecodeMySQLBinary reads a parameter of a prepared statement: code and unsigned are the type that the client sent for it.
// It returns the value in the storage form of type t, and the number of bytes it took. The Value may share b's memory.
func DecodeMySQLBinary(code byte, unsigned bool, b []byte) (v Value, t Type, n int, err error) {
	bad := func() (Value, Type, int, error) {
		return Value{}, t, 0, sqlerr.New("08P01", "malformed parameter in binary protocol").My(1835, "Malformed communication packet.")
	}
	t = FromMySQL(code, unsigned)
	switch code {
	case MyNull:
		return Value{}, t, 0, nil
	case MyTiny:
		if len(b) < 1 {
			return bad()
		}
		if unsigned {
			return IntValue(int64(b[0])), t, 1, nil
		}
		return IntValue(int64(int8(b[0]))), t, 1, nil
	case MyShort, MyYear:
		if len(b) < 2 {
			return bad()
		}
		u := binary.LittleEndian.Uint16(b)
		if unsigned || code == MyYear {
			return IntValue(int64(u)), t, 2, nil
		}
		return IntValue(int64(int16(u))), t, 2, nil
	case MyLong, MyInt24:
		if len(b) < 4 {
			return bad()
		}
		u := binary.LittleEndian.Uint32(b)
		if unsigned {
			return IntValue(int64(u)), t, 4, nil
		}
		return IntValue(int64(int32(u))), t, 4, nil
	case MyLongLong:
		if len(b) < 8 {
			return bad()
		}
		u := binary.LittleEndian.Uint64(b)
		if unsigned && u > math.MaxInt64 {
			return Value{Class: String, B: strconv.AppendUint(nil, u, 10)}, Type{Kind: Numeric}, 8, nil
		}
		return IntValue(int64(u)), t, 8, nil
	case MyFloat:
		if len(b) < 4 {
			return bad()
		}
		return FloatValue(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))), t, 4, nil
	case MyDouble:
		if len(b) < 8 {
			return bad()
		}
		return FloatValue(math.Float64frombits(binary.LittleEndian.Uint64(b))), t, 8, nil
	case MyDate, MyDateTime, MyTimestamp:
		m, n, ok := decodeMyDate(b)
		if !ok {
			return bad()
		}
		if code == MyDate && m.Micros == 0 {
			return Value{Class: String, B: m.AppendDate(nil)}, T(Date), n, nil
		}
		return Value{Class: String, B: m.AppendTimestamp(nil)}, T(Timestamp), n, nil
	case MyTimeOfDay:
		us, n, ok := decodeMyTime(b)
		if !ok {
			return bad()
		}
		return TimeValue(us), t, n, nil
	}
	l, n := lengthEncoded(b)
	if n == 0 || l > uint64(len(b)-n) {
		return bad()
	}
	data := b[n : n+int(l)]
	n += int(l)
	switch t.Kind {
	case Bytes:
		return BlobValue(data), t, n, nil
	case Numeric:
		d, _ := MySQLDecimal(data)
		return DecimalValue(d), t, n, nil
	}
	return Value{Class: String, B: data}, t, n, nil
}

func decodeMyDate(b []byte) (m MyTime, n int, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return m, 0, false
	}
	size := int(b[0])
	b = b[1:]
	switch size {
	case 0:
		return m, 1, true
	case 4, 7, 11:
	default:
		return m, 0, false
	}
	m.Year, m.Month, m.Day = int(binary.LittleEndian.Uint16(b)), int(b[2]), int(b[3])
	if m.Year > 9999 || m.Month > 12 || m.Day > 31 {
		return m, 0, false
	}
	if size >= 7 {
		if b[4] > 23 || b[5] > 59 || b[6] > 59 {
			return m, 0, false
		}
		m.HasTime = true
		m.Micros = int64(b[4])*MicrosPerHour + int64(b[5])*MicrosPerMinute + int64(b[6])*MicrosPerSecond
	}
	if size == 11 {
		us := binary.LittleEndian.Uint32(b[7:])
		if us >= MicrosPerSecond {
			return m, 0, false
		}
		m.Micros += int64(us)
	}
	return m, 1 + size, true
}

func decodeMyTime(b []byte) (micros int64, n int, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return 0, 0, false
	}
	size := int(b[0])
	b = b[1:]
	switch size {
	case 0:
		return 0, 1, true
	case 8, 12:
	default:
		return 0, 0, false
	}
	days := binary.LittleEndian.Uint32(b[1:])
	if days > 1e6 || b[5] > 23 || b[6] > 59 || b[7] > 59 {
		return 0, 0, false
	}
	micros = int64(days)*MicrosPerDay + int64(b[5])*MicrosPerHour + int64(b[6])*MicrosPerMinute + int64(b[7])*MicrosPerSecond
	if size == 12 {
		us := binary.LittleEndian.Uint32(b[8:])
		if us >= MicrosPerSecond {
			return 0, 0, false
		}
		micros += int64(us)
	}
	if b[0] != 0 {
		micros = -micros
	}
	return micros, 1 + size, true
}
