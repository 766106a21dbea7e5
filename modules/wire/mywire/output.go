package mywire

import (
	"encoding/binary"
	"net"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/wire/types"
)

// flushAt is how much output is gathered before it is sent.
const flushAt = 16 << 10

// output gathers packets.
type output struct {
	conn    net.Conn
	buf     []byte
	seq     byte
	err     error // the client can't be reached
	wrote   func(n int)
	writing atomic.Uint64 // odd while a Write is under way
}

// flush sends what was gathered.
func (o *output) flush() error {
	if o.err != nil || len(o.buf) == 0 {
		return o.err
	}
	o.writing.Add(1)
	n, err := o.conn.Write(o.buf)
	o.writing.Add(1)
	o.wrote(n)
	o.err = err
	o.buf = o.buf[:0]
	if cap(o.buf) > keepBuffer+flushAt {
		o.buf = nil
	}
	return err
}

// full sends what was gathered when it is enough.
func (o *output) full() error {
	if len(o.buf) < flushAt {
		return o.err
	}
	return o.flush()
}

// idle gives back what an idle connection doesn't need.
func (o *output) idle() {
	if len(o.buf) == 0 && cap(o.buf) > 2<<10 {
		o.buf = nil
	}
}

// begin starts a packet; end writes its head.
func (o *output) begin() int {
	o.buf = append(o.buf, 0, 0, 0, 0)
	return len(o.buf)
}

func (o *output) end(at int) {
	n := len(o.buf) - at
	if n >= mostPayload {
		o.split(at)
		return
	}
	h := o.buf[at-4:]
	h[0], h[1], h[2], h[3] = byte(n), byte(n>>8), byte(n>>16), o.seq
	o.seq++
}

// split cuts a packet that is too long for one head into parts.
func (o *output) split(at int) {
	body := o.buf[at:]
	parts := len(body)/mostPayload + 1
	o.buf = append(o.buf, make([]byte, 4*(parts-1))...)
	body = o.buf[at : len(o.buf)-4*(parts-1)]
	// From the last part to the first, each moves behind the heads before it.
	for i := parts - 1; i >= 0; i-- {
		from := i * mostPayload
		n := min(len(body)-from, mostPayload)
		to := at + from + 4*i
		copy(o.buf[to:to+n], body[from:from+n])
		h := o.buf[to-4:]
		h[0], h[1], h[2], h[3] = byte(n), byte(n>>8), byte(n>>16), o.seq+byte(i)
	}
	o.seq += byte(parts)
}

func (o *output) byte(b byte)     { o.buf = append(o.buf, b) }
func (o *output) int16(v uint16)  { o.buf = binary.LittleEndian.AppendUint16(o.buf, v) }
func (o *output) int32(v uint32)  { o.buf = binary.LittleEndian.AppendUint32(o.buf, v) }
func (o *output) lenenc(v uint64) { o.buf = types.AppendLengthEncoded(o.buf, v) }

// text appends a string with its length before it.
func (o *output) text(s string) {
	o.lenenc(uint64(len(s)))
	o.buf = append(o.buf, s...)
}

// zero appends a string with a zero byte at its end.
func (o *output) zero(s string) { o.buf = append(append(o.buf, s...), 0) }
