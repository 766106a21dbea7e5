package types

import (
	"net/netip"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// InetValue is an address with the length of its network prefix.
type InetValue struct {
	Addr netip.Addr
	Bits int
}

// ParseInet reads address[/bits]; cidr also accepts shortened networks (10.1/16) and refuses bits right of the mask.
func ParseInet(text []byte, cidr bool) (InetValue, bool) {
	s := string(trimSpace(text))
	addr, mask := s, ""
	for i := range len(s) {
		if s[i] == '/' {
			addr, mask = s[:i], s[i+1:]
			break
		}
	}
	a, err := netip.ParseAddr(addr)
	shortened := -1
	if err != nil && (cidr || mask != "") {
		a, shortened, err = shortNetwork(addr)
	}
	if err != nil || a.Zone() != "" {
		return InetValue{}, false
	}
	v := InetValue{a, a.BitLen()}
	if mask != "" {
		n, err := strconv.Atoi(mask)
		if err != nil || n < 0 || n > a.BitLen() || mask[0] == '+' {
			return InetValue{}, false
		}
		v.Bits = n
	} else if shortened >= 0 {
		v.Bits = shortened
	} else if len(s) != len(addr) {
		return InetValue{}, false
	}
	return v, true
}

// shortNetwork reads an IPv4 network of fewer than four parts, with the bits of its class.
func shortNetwork(s string) (netip.Addr, int, error) {
	var ip [4]byte
	parts := 0
	n := -1
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' {
			if n < 0 || n > 255 || parts == 4 {
				return netip.Addr{}, 0, errDecimalSyntax
			}
			ip[parts] = byte(n)
			parts++
			n = -1
			continue
		}
		if !isDigit(s[i]) {
			return netip.Addr{}, 0, errDecimalSyntax
		}
		n = max(n, 0)*10 + int(s[i]-'0')
		if n > 255 {
			return netip.Addr{}, 0, errDecimalSyntax
		}
	}
	bits := parts * 8
	switch {
	case ip[0] >= 240:
		bits = max(bits, 32)
	case ip[0] >= 224:
		bits = max(bits, 8)
	case ip[0] >= 192:
		bits = max(bits, 24)
	case ip[0] >= 128:
		bits = max(bits, 16)
	default:
		bits = max(bits, 8)
	}
	return netip.AddrFrom4(ip), bits, nil
}

// AppendText prints v as PostgreSQL does; always says that the prefix length is printed for single addresses too.
func (v InetValue) AppendText(dst []byte, always bool) []byte {
	dst = v.Addr.AppendTo(dst)
	if always || v.Bits != v.Addr.BitLen() {
		dst = strconv.AppendInt(append(dst, '/'), int64(v.Bits), 10)
	}
	return dst
}

// Cmp orders as PostgreSQL does: family, common network bits, prefix length, whole address.
func (v InetValue) Cmp(w InetValue) int {
	if v.Addr.BitLen() != w.Addr.BitLen() {
		return cmpInt(v.Addr.BitLen(), w.Addr.BitLen())
	}
	n := min(v.Bits, w.Bits)
	p, err1 := v.Addr.Prefix(n)
	q, err2 := w.Addr.Prefix(n)
	if err1 == nil && err2 == nil {
		if c := p.Addr().Compare(q.Addr()); c != 0 {
			return c
		}
	}
	if v.Bits != w.Bits {
		return cmpInt(v.Bits, w.Bits)
	}
	return v.Addr.Compare(w.Addr)
}

func parseInet(text []byte, cidr bool) (Value, error) {
	name := "inet"
	if cidr {
		name = "cidr"
	}
	v, ok := ParseInet(text, cidr)
	if !ok {
		return Value{}, errSyntax("22P02", name, text)
	}
	if cidr {
		if p, err := v.Addr.Prefix(v.Bits); err != nil || p.Addr() != v.Addr {
			e := sqlerr.New("22P02", "invalid cidr value: \"%s\"", printable(text))
			e.Detail = "Value has bits set to right of mask."
			return Value{}, e
		}
	}
	return Value{Class: String, B: v.AppendText(nil, cidr)}, nil
}

// parseMac reads the six forms of PostgreSQL: 08:00:2b:01:02:03, with hyphens, 08002b:010203, 0800.2b01.0203 …
func parseMac(b []byte) (m [6]byte, ok bool) {
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == ':' || c == '-' || c == '.' {
			if i == 0 || i == len(b)-1 || n%2 != 0 {
				return m, false
			}
			continue
		}
		h, good := unhex(c)
		if !good || n == 12 {
			return m, false
		}
		m[n/2] = m[n/2]<<4 | h
		n++
	}
	return m, n == 12
}

func appendMac(dst []byte, m [6]byte) []byte {
	for i, c := range m {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// parseUUID reads 32 hexadecimal digits, in braces or not, with a hyphen allowed after each group of four.
func parseUUID(b []byte) (u [16]byte, ok bool) {
	if len(b) == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-' {
		n := 0
		for i := 0; i < 36; i += 2 {
			if b[i] == '-' {
				i++
			}
			hi, ok1 := unhex(b[i])
			lo, ok2 := unhex(b[i+1])
			if !ok1 || !ok2 {
				return u, false
			}
			u[n] = hi<<4 | lo
			n++
		}
		return u, true
	}
	b = trimSpace(b)
	if len(b) > 2 && b[0] == '{' {
		if b[len(b)-1] != '}' {
			return u, false
		}
		b = b[1 : len(b)-1]
	}
	n := 0
	for i, c := range b {
		if c == '-' {
			if n == 0 || n%4 != 0 || n == 32 || b[i-1] == '-' {
				return u, false
			}
			continue
		}
		h, good := unhex(c)
		if !good || n == 32 {
			return u, false
		}
		u[n/2] = u[n/2]<<4 | h
		n++
	}
	return u, n == 32
}

func appendUUID(dst []byte, u [16]byte) []byte {
	for i, c := range u {
		switch i {
		case 4, 6, 8, 10:
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// parseMoney reads an amount in dollars: $1,234.56, -$5, ($5.00).
func parseMoney(text []byte) (Value, error) {
	b := trimSpace(text)
	neg := false
	if len(b) > 1 && b[0] == '(' && b[len(b)-1] == ')' {
		neg = true
		b = b[1 : len(b)-1]
	}
	digits := make([]byte, 0, len(b)+1)
	sawDollar := false
	for i, c := range b {
		switch {
		case c == '$' && !sawDollar:
			sawDollar = true
		case c == '-' && (i == 0 || i == len(b)-1 || i == 1 && sawDollar):
			neg = true
		case c == ',' || isSpace(c) || c == '+' && i == 0:
		case isDigit(c) || c == '.':
			digits = append(digits, c)
		default:
			return Value{}, errSyntax("22P02", "money", text)
		}
	}
	d, err := ParseDecimal(digits)
	if err != nil {
		return Value{}, errSyntax("22P02", "money", text)
	}
	if neg {
		d = d.Neg()
	}
	cents, ok := d.Mul(DecimalFromInt(100)).Int64()
	if !ok {
		return Value{}, sqlerr.New("22003", "value \"%s\" is out of range for type money", printable(text))
	}
	return IntValue(cents), nil
}

// appendMoney prints cents as dollars with thousands separated.
func appendMoney(dst []byte, cents int64) []byte {
	u := uint64(cents)
	if cents < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = append(dst, '$')
	dst = appendGrouped(dst, strconv.AppendUint(nil, u/100, 10))
	return append2(append(dst, '.'), int(u%100))
}

// appendGrouped appends digits with a comma before each group of three.
func appendGrouped(dst, digits []byte) []byte {
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, c)
	}
	return dst
}
