package s3proxy

import (
	"errors"
	"io"
	"sync/atomic"
)

var (
	errCut  = errors.New("s3proxy: a fault cuts the body")
	errDown = errors.New("s3proxy: a fault resets the connection")
)

// body is one that passes through, with the faults of its request.
type body struct {
	x    *passage
	r    io.Reader
	n    int64         // how many bytes have passed
	sum  *atomic.Int64 // the same, for others
	cut  int64         // after so many it breaks; -1: never
	bits []int64
}

// body makes one of size bytes, or -1; faulty: Cut and Flip are about it.
func (x *passage) body(r io.Reader, size int64, sum *atomic.Int64, faulty bool) io.Reader {
	b := &body{x: x, r: r, sum: sum, cut: -1}
	for _, h := range x.met {
		if faulty && h.Cut != 0 && (b.cut < 0 || h.Cut < b.cut) {
			b.cut = max(h.Cut, 0)
		}
		if faulty && h.Flip != 0 {
			b.bits = append(b.bits, x.p.bit(h.Fault, size))
		}
	}
	return b
}

func (b *body) Read(to []byte) (int, error) {
	if b.x.p.down(b.x.Request) {
		return 0, errDown
	}
	to = to[:min(len(to), chunk)]
	if b.cut >= 0 {
		if b.n >= b.cut {
			return 0, errCut
		}
		to = to[:min(int64(len(to)), b.cut-b.n)]
	}
	n, err := b.r.Read(to)
	for _, bit := range b.bits {
		if at := bit / 8; bit >= 0 && b.n <= at && at < b.n+int64(n) {
			to[at-b.n] ^= 1 << (bit % 8)
		}
	}
	b.n += int64(n)
	b.sum.Add(int64(n))
	for _, h := range b.x.met {
		if h.Bandwidth > 0 && n > 0 {
			b.x.wait(h.reserve(n))
		}
	}
	return n, err
}
