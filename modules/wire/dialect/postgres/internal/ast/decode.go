package ast

import (
	"errors"
	"math"
)

// ErrMalformed is returned for bytes that are not a parse tree.
var ErrMalformed = errors.New("malformed parse tree")

// maxDepth bounds the recursion of the decoder; the parser refuses texts nested deeper long before.
const maxDepth = 40000

// Node is a pointer to one of the structs of this package, or nil.
type Node any

// Other is a node that has no struct here.
type Other struct{ Name string }

// Decode decodes a ParseResult.
func Decode(b []byte) (*ParseResult, error) {
	r := reader{s: string(b)}
	m := &ParseResult{}
	m.decode(&r, len(r.s))
	if r.bad || r.i != len(r.s) {
		return nil, ErrMalformed
	}
	return m, nil
}

// reader walks protobuf bytes. They were made a string once, so that every string field shares that memory.
type reader struct {
	s     string
	i     int
	depth int
	bad   bool
}

func (r *reader) varint() uint64 {
	var x uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if r.i >= len(r.s) {
			break
		}
		c := r.s[r.i]
		r.i++
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return x
		}
	}
	r.fail()
	return 0
}

// fail makes every loop over the input end.
func (r *reader) fail() {
	r.bad = true
	r.i = math.MaxInt
}

// length reads a length prefix and returns where what it covers ends.
func (r *reader) length(end int) int {
	n := r.varint()
	if r.bad || r.i > end || n > uint64(end-r.i) {
		r.fail()
		return r.i
	}
	return r.i + int(n)
}

func (r *reader) str(end int) string {
	to := r.length(end)
	if r.bad {
		return ""
	}
	s := r.s[r.i:to]
	r.i = to
	return s
}

// enter and leave bound the recursion.
func (r *reader) enter() bool {
	r.depth++
	if r.depth > maxDepth {
		r.fail()
		return false
	}
	return true
}

func (r *reader) leave() { r.depth-- }

// finish checks that a message ended where its length said.
func (r *reader) finish(end int) {
	if r.i != end {
		r.fail()
	}
}

// skip passes over a field that the structs don't have.
func (r *reader) skip(wire uint64, end int) {
	switch wire {
	case 0:
		r.varint()
	case 1:
		r.i += 8
	case 2:
		r.i = r.length(end)
	case 5:
		r.i += 4
	default:
		r.fail()
	}
	if r.bad || r.i > end {
		r.fail()
	}
}
