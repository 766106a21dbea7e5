package mywire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Buffers of a connection. What is bigger than keepBuffer is given back when it isn't needed.
const (
	inputBuffer = 4 << 10
	keepBuffer  = 32 << 10
	// mostPayload is the length of a part that says: another follows.
	mostPayload = 1<<24 - 1
	// maxSkipped is the length of the longest packet that is read over; a longer one ends the connection.
	maxSkipped = 1 << 30
)

// errWoken: the wait for the next packet was ended by wake.
var errWoken = errors.New("woken")

// tooLongError is a packet that was read over because it is longer than allowed.
type tooLongError struct {
	command    byte
	size, most int
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("a packet of %d bytes is longer than the %d that are allowed", e.size, e.most)
}

// errOrder: the packets' numbers make no sense any more.
var errOrder = sqlerr.New("08S01", "got packets out of order").My(1156, "Got packets out of order")

// input reads packets.
type input struct {
	conn    net.Conn
	patient time.Duration // how long a packet that has begun may take, apart from the time that its length needs
	buf     []byte        // nil when empty
	r, w    int           // unread: buf[r:w]
	limited bool          // a deadline is set
	read    func(n int)   // counts bytes

	// mu guards what follows.
	mu      sync.Mutex
	waiting bool // between commands, in Read
	woken   bool
}

// wake ends the present or the next wait for a command with errWoken. It may be called by any goroutine.
func (in *input) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.woken = true
	if in.waiting {
		in.conn.SetReadDeadline(past)
	}
}

var past = time.Unix(1, 0)

// buffered tells whether the next packet, or a part of it, is already here.
func (in *input) buffered() bool { return in.w > in.r }

// take returns a copy of what is here and forgets it.
func (in *input) take() []byte {
	b := append([]byte(nil), in.buf[in.r:in.w]...)
	in.r, in.w = 0, 0
	return b
}

// next returns the next packet, which is valid until the next call, and moves the sequence number on. idle: the wait for
// its beginning has no end and can be woken.
func (in *input) next(seq *byte, most int, idle bool) ([]byte, error) {
	if err := in.want(4, idle); err != nil {
		return nil, err
	}
	size, err := in.head(seq)
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, in.skip(seq, size, most)
	}
	if size < mostPayload {
		if err := in.want(size, false); err != nil {
			return nil, err
		}
		p := in.buf[in.r : in.r+size : in.r+size]
		in.r += size
		return p, nil
	}
	return in.long(seq, most)
}

// head takes the head of a part.
func (in *input) head(seq *byte) (size int, err error) {
	h := in.buf[in.r : in.r+4]
	if h[3] != *seq {
		return 0, errOrder
	}
	*seq++
	in.r += 4
	return int(h[0]) | int(h[1])<<8 | int(h[2])<<16, nil
}

// long returns a packet of several parts, the first of which is next.
func (in *input) long(seq *byte, most int) ([]byte, error) {
	var p []byte
	for size := mostPayload; ; {
		if err := in.want(size, false); err != nil {
			return nil, err
		}
		p = append(p, in.buf[in.r:in.r+size]...)
		in.r += size
		if size < mostPayload {
			return p, nil
		}
		if err := in.want(4, false); err != nil {
			return nil, err
		}
		var err error
		if size, err = in.head(seq); err != nil {
			return nil, err
		}
		if len(p)+size > most {
			command := p[0]
			p = nil
			err := in.skip(seq, size, most)
			if long := (*tooLongError)(nil); errors.As(err, &long) {
				long.command = command
			}
			return nil, err
		}
	}
}

// skip reads over a packet from a part of which the head was taken.
func (in *input) skip(seq *byte, size, most int) error {
	long := &tooLongError{most: most}
	for first := true; ; {
		long.size += size
		if long.size > maxSkipped {
			return fmt.Errorf("a packet is longer than %d bytes", maxSkipped)
		}
		for rest := size; rest > 0; {
			if in.r == in.w {
				if err := in.want(1, false); err != nil {
					return err
				}
			}
			if first {
				long.command, first = in.buf[in.r], false
			}
			n := min(rest, in.w-in.r)
			in.r += n
			rest -= n
		}
		if size < mostPayload {
			return long
		}
		if err := in.want(4, false); err != nil {
			return err
		}
		var err error
		if size, err = in.head(seq); err != nil {
			return err
		}
	}
}

// want reads until n bytes are unread. idle: as long as nothing has come, the wait has no end and can be woken.
func (in *input) want(n int, idle bool) error {
	if in.w-in.r >= n {
		return nil
	}
	if in.r == in.w {
		in.r, in.w = 0, 0
		if len(in.buf) > keepBuffer {
			in.buf = nil
		}
	}
	began, got := time.Time{}, 0
	for in.w-in.r < n {
		in.room(n)
		var m int
		var err error
		switch {
		case idle && in.r == in.w:
			m, err = in.wait()
		case in.patient > 0:
			if began.IsZero() {
				began = time.Now()
			}
			// Slow lines may be slow, but not so slow that somebody can hold many connections with few bytes.
			in.conn.SetReadDeadline(began.Add(in.patient + time.Duration(got/(64<<10))*time.Second))
			in.limited = true
			m, err = in.conn.Read(in.buf[in.w:])
		default:
			m, err = in.conn.Read(in.buf[in.w:])
		}
		in.w += m
		got += m
		in.read(m)
		if err != nil && in.w-in.r < n {
			if err == io.EOF && in.w > in.r {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// room makes place for more of n unread bytes. The buffer grows with what has come, not with what was promised.
func (in *input) room(n int) {
	if in.buf == nil {
		in.buf = make([]byte, inputBuffer)
	}
	if in.w < len(in.buf) {
		return
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
		if in.w < len(in.buf) {
			return
		}
	}
	bigger := make([]byte, min(max(2*len(in.buf), inputBuffer), max(n, inputBuffer)))
	in.w = copy(bigger, in.buf[:in.w])
	in.buf = bigger
}

// wait reads between two commands.
func (in *input) wait() (int, error) {
	if in.limited {
		in.limited = false
		in.conn.SetReadDeadline(time.Time{})
	}
	in.mu.Lock()
	if in.woken {
		in.woken = false
		in.mu.Unlock()
		return 0, errWoken
	}
	in.waiting = true
	in.mu.Unlock()

	n, err := in.conn.Read(in.buf[in.w:])

	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting = false
	if in.woken {
		in.conn.SetReadDeadline(time.Time{})
		if n == 0 && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)) {
			in.woken = false
			return 0, errWoken
		}
		// The command goes first; the next wait ends at once.
	}
	return n, err
}

// idle gives back what an idle connection doesn't need.
func (in *input) idle() {
	if in.r == in.w && len(in.buf) > inputBuffer {
		in.buf, in.r, in.w = nil, 0, 0
	}
}
