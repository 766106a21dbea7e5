package types

import (
	"strconv"
	"unicode/utf8"
)

// AppendPGText appends the text that a PostgreSQL client gets for v, a value of type t in storage form. NULL appends
// nothing: its length is -1 on the wire. nil f: a new session's format. A value whose class isn't that of its type (from a
// table made by others) is printed as it is.
func AppendPGText(dst []byte, t Type, v Value, f *PGFormat) []byte {
	switch v.Class {
	case Null:
		return dst
	case Int:
		return appendPGInt(dst, t, v.I, f)
	case Float:
		if f == nil {
			f = defaultPGFormat
		}
		size := 64
		if t.Kind == Float4 {
			size = 32
		}
		return AppendFloat(dst, v.F, size, f.ExtraFloatDigits)
	case Blob:
		if f == nil {
			f = defaultPGFormat
		}
		if t.Kind == Bit {
			return AppendBits(dst, t, v)
		}
		return appendBytea(dst, v.B, f.ByteaEscape)
	}

	switch t.Kind {
	case Text, Varchar, Numeric, UUID, JSON, JSONB:
		return append(dst, v.B...)
	case Char:
		dst = append(dst, v.B...)
		for range max(int(t.Len)-utf8.RuneCount(v.B), 0) {
			dst = append(dst, ' ')
		}
		return dst
	}
	if f == nil {
		f = defaultPGFormat
	}
	switch t.Kind {
	case Date:
		if d, ok := ParseStoredDate(v.B); ok {
			return appendPGDate(dst, d, f)
		}
	case Timestamp, TimestampTZ:
		if t.Kind == Timestamp && f.DateStyle == ISO && len(v.B) == 26 && v.B[0] <= '9' && v.B[0] >= '0' {
			return appendTrimmed(dst, v.B)
		}
		if ts, ok := ParseStoredTimestamp(v.B); ok {
			return appendPGTimestamp(dst, ts, t.Kind == TimestampTZ, f)
		}
	case TimeTZ:
		if us, off, ok := ParseStoredTimeTZ(v.B); ok {
			return appendOffset(AppendTimeOfDay(dst, us), off, false)
		}
	case Interval:
		if s, ok := ParseStoredInterval(v.B); ok {
			return s.AppendPG(dst, f.IntervalStyle)
		}
	case Array:
		return appendArrayText(dst, t, v.B, f)
	case Bytes:
		return appendBytea(dst, v.B, f.ByteaEscape)
	case Float4, Float8:
		// A number that was stored as text.
		if x, err := strconv.ParseFloat(string(v.B), 64); err == nil {
			return AppendFloat(dst, x, 64, f.ExtraFloatDigits)
		}
	}
	return append(dst, v.B...)
}

// appendTrimmed appends a stored timestamp without the zeros at the end of its fraction.
func appendTrimmed(dst, b []byte) []byte {
	n := len(b)
	for n > 20 && b[n-1] == '0' {
		n--
	}
	if b[n-1] == '.' {
		n--
	}
	return append(dst, b[:n]...)
}

func appendPGInt(dst []byte, t Type, i int64, f *PGFormat) []byte {
	switch t.Kind {
	case Bool:
		if i != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case Money:
		return appendMoney(dst, i)
	case Bit:
		return AppendBits(dst, t, IntValue(i))
	case Oid, Xid:
		return strconv.AppendUint(dst, uint64(uint32(i)), 10)
	case Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole:
		if i == 0 {
			return append(dst, '-')
		}
		if f != nil && f.Name != nil {
			if name := f.Name(t.Kind, uint32(i)); name != "" {
				return append(dst, name...)
			}
		}
	case Float4, Float8:
		size := 64
		if t.Kind == Float4 {
			size = 32
		}
		if f == nil {
			f = defaultPGFormat
		}
		return AppendFloat(dst, float64(i), size, f.ExtraFloatDigits)
	}
	return strconv.AppendInt(dst, i, 10)
}
