package mywire

import (
	"bytes"
	"encoding/binary"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// errMalformed is the error for a packet that isn't what its command says.
var errMalformed = sqlerr.New("08P01", "malformed packet").My(1835, "Malformed communication packet.")

// reader takes a packet apart. After the first thing that isn't there everything is empty, and bad says so.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) int16() uint16 {
	if p := r.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (r *reader) int32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// lenenc reads a length-encoded integer.
func (r *reader) lenenc() uint64 {
	switch b := r.byte(); b {
	case 0xfc:
		return uint64(r.int16())
	case 0xfd:
		if p := r.take(3); p != nil {
			return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16
		}
		return 0
	case 0xfe:
		if p := r.take(8); p != nil {
			return binary.LittleEndian.Uint64(p)
		}
		return 0
	case 0xfb, 0xff:
		r.bad = true
		return 0
	default:
		return uint64(b)
	}
}

// bytes reads a string with its length before it.
func (r *reader) bytes() []byte {
	n := r.lenenc()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	return r.take(int(n))
}

// zero reads a string up to a zero byte.
func (r *reader) zero() string {
	s, rest, ok := bytes.Cut(r.b, []byte{0})
	if !ok {
		r.b, r.bad = nil, true
		return ""
	}
	r.b = rest
	return string(s)
}

// last reads a string up to a zero byte or the end.
func (r *reader) last() string {
	s, rest, _ := bytes.Cut(r.b, []byte{0})
	r.b = rest
	return string(s)
}
