package types

import (
	"math"
	"strconv"
)

// trimSpace cuts the white space that PostgreSQL's input functions skip.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlpha(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 0x20
	}
	return c
}

// hasFold reports whether b begins with word, which is in lower case.
func hasFold(b []byte, word string) bool {
	if len(b) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower(b[i]) != word[i] {
			return false
		}
	}
	return true
}

// equalFold reports whether b is word, which is in lower case.
func equalFold(b []byte, word string) bool { return len(b) == len(word) && hasFold(b, word) }

// parseInt reads a whole number with sign; the errors are 22P02 for syntax and 22003 for range, told apart by kind.
func parseInt(b []byte) (i int64, syntax, fits bool) {
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false, false
	}
	var u uint64
	fits = true
	for _, c := range b {
		if !isDigit(c) {
			return 0, false, false
		}
		if u > (math.MaxUint64-9)/10 {
			fits = false
			continue
		}
		u = u*10 + uint64(c-'0')
	}
	if neg {
		return -int64(u), true, fits && u <= 1<<63
	}
	return int64(u), true, fits && u < 1<<63
}

// AppendFloat appends f as PostgreSQL prints it: the shortest digits that read back the same (size 32 or 64 bits) when
// extra is 1 or more, else 15 (or 6) + extra significant digits.
func AppendFloat(dst []byte, f float64, size, extra int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if extra < 1 {
		prec := 15 + extra
		if size == 32 {
			prec = 6 + extra
		}
		return appendPercentG(dst, f, max(prec, 1), size)
	}
	limit := 15
	if size == 32 {
		limit = 6
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', -1, size)
	exp := floatExponent(e)
	if exp < -4 || exp >= limit {
		return append(dst, e...)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, size)
}

// appendPercentG is C's %.<prec>g.
func appendPercentG(dst []byte, f float64, prec, size int) []byte {
	var buf [40]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', prec-1, size)
	exp := floatExponent(e)
	start := len(dst)
	if exp < -4 || exp >= prec {
		i := len(e) - 1
		for e[i] != 'e' {
			i--
		}
		dst = trimFraction(append(dst, e[:i]...), start)
		return append(dst, e[i:]...)
	}
	dst = strconv.AppendFloat(dst, f, 'f', prec-1-exp, size)
	return trimFraction(dst, start)
}

// trimFraction cuts zeros at the end of the fraction of dst[start:].
func trimFraction(dst []byte, start int) []byte {
	point := -1
	for i := start; i < len(dst); i++ {
		if dst[i] == '.' {
			point = i
		}
	}
	if point < 0 {
		return dst
	}
	for len(dst) > 0 && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// floatExponent returns the exponent of strconv's 'e' format.
func floatExponent(e []byte) int {
	i := len(e) - 1
	for i > 0 && e[i] != 'e' {
		i--
	}
	n := 0
	for _, c := range e[i+2:] {
		n = n*10 + int(c-'0')
	}
	if e[i+1] == '-' {
		return -n
	}
	return n
}
