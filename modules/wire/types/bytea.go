package types

import (
	"math/big"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

const hexDigits = "0123456789abcdef"

func unhex(c byte) (byte, bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// parseBytea reads \x… or PostgreSQL's escape format.
func parseBytea(text []byte) ([]byte, error) {
	if len(text) >= 2 && text[0] == '\\' && text[1] == 'x' {
		out := make([]byte, 0, (len(text)-2)/2)
		for i := 2; i < len(text); {
			if isSpace(text[i]) {
				i++
				continue
			}
			hi, ok := unhex(text[i])
			if !ok {
				return nil, sqlerr.New("22023", "invalid hexadecimal digit: \"%s\"", printable(cutRune(text[i:])))
			}
			if i+1 == len(text) {
				return nil, sqlerr.New("22023", "invalid hexadecimal data: odd number of digits")
			}
			lo, ok := unhex(text[i+1])
			if !ok {
				return nil, sqlerr.New("22023", "invalid hexadecimal digit: \"%s\"", printable(cutRune(text[i+1:])))
			}
			out = append(out, hi<<4|lo)
			i += 2
		}
		return out, nil
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		rest := text[i+1:]
		switch {
		case len(rest) >= 1 && rest[0] == '\\':
			out = append(out, '\\')
			i++
		case len(rest) >= 3 && rest[0] >= '0' && rest[0] <= '3' && rest[1] >= '0' && rest[1] <= '7' && rest[2] >= '0' && rest[2] <= '7':
			out = append(out, (rest[0]-'0')<<6|(rest[1]-'0')<<3|(rest[2]-'0'))
			i += 3
		default:
			return nil, sqlerr.New("22P02", "invalid input syntax for type bytea")
		}
	}
	return out, nil
}

func cutRune(b []byte) []byte { return cutBytes(b, min(len(b), 4))[:min(len(b), 1)] }

// appendBytea prints bytes as PostgreSQL does: hex, or the escape format.
func appendBytea(dst, b []byte, escape bool) []byte {
	if !escape {
		dst = append(dst, '\\', 'x')
		for _, c := range b {
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		return dst
	}
	for _, c := range b {
		switch {
		case c == '\\':
			dst = append(dst, '\\', '\\')
		case c < 0x20 || c > 0x7e:
			dst = append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Bit strings: an INTEGER for 1 ≤ Len ≤ 63, a big-endian BLOB of (Len+7)/8 bytes beyond, and TEXT of 0s and 1s for bit
// strings without a declared length.

// parseBit reads 0101, B0101 or X5F.
func parseBit(t Type, b []byte, explicit bool) (Value, error) {
	hex := false
	if len(b) > 0 && (b[0]|0x20 == 'b' || b[0]|0x20 == 'x') {
		hex = b[0]|0x20 == 'x'
		b = b[1:]
	}
	bits := make([]byte, 0, len(b))
	for _, c := range b {
		if hex {
			h, ok := unhex(c)
			if !ok {
				return Value{}, sqlerr.New("22P02", "\"%c\" is not a valid hexadecimal digit", c)
			}
			bits = append(bits, '0'+h>>3&1, '0'+h>>2&1, '0'+h>>1&1, '0'+h&1)
			continue
		}
		if c != '0' && c != '1' {
			return Value{}, sqlerr.New("22P02", "\"%c\" is not a valid binary digit", c)
		}
		bits = append(bits, c)
	}
	return BitValue(t, bits, explicit)
}

// BitValue returns the storage form of a string of 0s and 1s. explicit: it is cut or filled on the right to fit; else a
// wrong length is error 22026.
func BitValue(t Type, bits []byte, explicit bool) (Value, error) {
	if t.Len <= 0 {
		return Value{Class: String, B: bits}, nil
	}
	if len(bits) != int(t.Len) {
		if !explicit {
			return Value{}, sqlerr.New("22026", "bit string length %d does not match type bit(%d)", len(bits), t.Len)
		}
		fit := make([]byte, t.Len)
		for i := range fit {
			fit[i] = '0'
		}
		copy(fit, bits)
		bits = fit
	}
	if t.Len <= 63 {
		var u int64
		for _, c := range bits {
			u = u<<1 | int64(c-'0')
		}
		return IntValue(u), nil
	}
	n, _ := new(big.Int).SetString(string(bits), 2)
	return BlobValue(n.FillBytes(make([]byte, (int(t.Len)+7)/8))), nil
}

// AppendBits appends a bit string's 0s and 1s.
func AppendBits(dst []byte, t Type, v Value) []byte {
	switch v.Class {
	case String:
		return append(dst, v.B...)
	case Int:
		for i := max(int(t.Len), 1) - 1; i >= 0; i-- {
			dst = append(dst, '0'+byte(v.I>>min(i, 63)&1))
		}
		return dst
	}
	n := int(t.Len)
	if n <= 0 {
		n = len(v.B) * 8
	}
	for i := n - 1; i >= 0; i-- {
		at := len(v.B) - 1 - i/8
		if at < 0 {
			dst = append(dst, '0')
			continue
		}
		dst = append(dst, '0'+v.B[at]>>(i%8)&1)
	}
	return dst
}
