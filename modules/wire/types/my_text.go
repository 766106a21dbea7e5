package types

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// MyFormat says how values are printed for a MySQL client. nil is UTC.
type MyFormat struct {
	Location *time.Location // of TIMESTAMP values
}

func (f *MyFormat) location() *time.Location {
	if f == nil || f.Location == nil {
		return time.UTC
	}
	return f.Location
}

// AppendMySQLText appends the text that a MySQL client gets for v, a value of type t in storage form, without the length
// before it. NULL appends nothing: the protocol has a byte of its own for it.
func AppendMySQLText(dst []byte, t Type, v Value, f *MyFormat) []byte {
	switch v.Class {
	case Null:
		return dst
	case Int:
		switch t.Kind {
		case Bit:
			return appendMyBit(dst, t, v)
		case Money:
			return NewDecimal(v.I, 2).AppendText(dst)
		case Year:
			return appendWidth(dst, int(max(v.I, 0)), 4)
		case Float4, Float8:
			return AppendMySQLFloat(dst, float64(v.I), t.Kind == Float4)
		}
		return strconv.AppendInt(dst, v.I, 10)
	case Float:
		return AppendMySQLFloat(dst, v.F, t.Kind == Float4)
	}
	switch t.Kind {
	case Timestamp:
		if len(v.B) < 19 { // STR_TO_DATE gives dates and times as well
			return append(dst, v.B...)
		}
		return appendMyFraction(dst, v.B, int(t.Len)-1)
	case TimestampTZ:
		ts, ok := ParseStoredTimestamp(v.B)
		if !ok || ts == InfiniteTimestamp || ts == MinusInfiniteTimestamp {
			return appendMyFraction(dst, v.B, int(t.Len)-1)
		}
		ts, _, _ = LocalTimestamp(ts, f.location())
		var buf [32]byte
		return appendMyFraction(dst, AppendTimestamp(buf[:0], ts), int(t.Len)-1)
	case Time:
		return appendMyFraction(dst, v.B, int(t.Len)-1)
	case Interval:
		return AppendPGText(dst, t, v, nil)
	}
	return append(dst, v.B...)
}

// appendMyFraction appends a stored time or timestamp with exactly n digits of fraction; n below 0: six, or none when they
// are zero.
func appendMyFraction(dst, b []byte, n int) []byte {
	if len(b) == 0 || !isDigit(b[len(b)-1]) {
		return append(dst, b...)
	}
	point := len(b)
	for i, c := range b {
		if c == '.' && i > 0 {
			point = i
			break
		}
	}
	dst = append(dst, b[:point]...)
	digits := b[min(point+1, len(b)):]
	if n < 0 {
		n = 6
		if len(bytes.Trim(digits, "0")) == 0 {
			n = 0
		}
	}
	if n == 0 {
		return dst
	}
	dst = append(dst, '.')
	for i := range n {
		if i < len(digits) {
			dst = append(dst, digits[i])
		} else {
			dst = append(dst, '0')
		}
	}
	return dst
}

func appendMyBit(dst []byte, t Type, v Value) []byte {
	n := (max(int(t.Len), 1) + 7) / 8
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v.I>>(min(i, 7)*8)))
	}
	return dst
}

// AppendMySQLFloat appends f as MySQL prints it: the shortest digits that read back the same (six significant ones for
// FLOAT), with an exponent only where the number is long without it.
func AppendMySQLFloat(dst []byte, f float64, single bool) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return AppendFloat(dst, f, 64, 1)
	}
	if f == 0 {
		return append(dst, '0')
	}
	var buf [32]byte
	var e []byte
	if single {
		e = strconv.AppendFloat(buf[:0], f, 'e', 5, 32)
	} else {
		e = strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	}
	exp := floatExponent(e)
	limit := 15
	if exp >= limit || exp < -15 {
		i := 0
		for e[i] != 'e' {
			i++
		}
		start := len(dst)
		dst = append(trimFraction(append(dst, e[:i]...), start), 'e')
		return strconv.AppendInt(dst, int64(exp), 10)
	}
	if single {
		start := len(dst)
		x, _ := strconv.ParseFloat(string(e), 64)
		return trimFraction(strconv.AppendFloat(dst, x, 'f', max(5-exp, 0), 64), start)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}
