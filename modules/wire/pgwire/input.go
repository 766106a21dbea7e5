package pgwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Buffers of a connection. What is bigger than keepBuffer is given back when it isn't needed.
const (
	inputBuffer = 4 << 10
	keepBuffer  = 32 << 10
)

// maxSkipped is the length of the longest message that is read over; a longer one ends the connection.
const maxSkipped = 1 << 30

// errWoken: the wait for the next message was ended by wake.
var errWoken = errors.New("woken")

// tooLongError is a message that was read over because it is longer than allowed.
type tooLongError struct {
	kind       byte
	size, most int
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("a message of %d bytes is longer than the %d that are allowed", e.size, e.most)
}

// errFraming: the stream of messages makes no sense any more.
var errFraming = errors.New("invalid message length")

// input reads messages.
type input struct {
	conn    net.Conn
	patient time.Duration // how long a message that has begun may take, apart from the time that its length needs
	buf     []byte        // nil when empty
	r, w    int           // unread: buf[r:w]
	limited bool          // a deadline is set
	read    func(n int)   // counts bytes

	// mu guards what follows.
	mu      sync.Mutex
	waiting bool // between messages, in Read
	woken   bool
}

// wake ends the present or the next wait for a message with errWoken. It may be called by any goroutine.
func (in *input) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.woken = true
	if in.waiting {
		in.conn.SetReadDeadline(past)
	}
}

var past = time.Unix(1, 0)

// buffered tells whether the next message, or a part of it, is already here.
func (in *input) buffered() bool { return in.w > in.r }

// next returns the next message; body is valid until the next call. most tells how long messages of a kind may be.
func (in *input) next(most func(kind byte) int) (kind byte, body []byte, err error) {
	if err := in.want(5, true); err != nil {
		return 0, nil, err
	}
	kind = in.buf[in.r]
	size := int(int32(binary.BigEndian.Uint32(in.buf[in.r+1:]))) - 4
	if size < 0 || size > maxSkipped {
		return kind, nil, errFraming
	}
	if limit := most(kind); size > limit {
		in.r += 5
		if err := in.skip(size); err != nil {
			return kind, nil, err
		}
		return kind, nil, &tooLongError{kind, size, limit}
	}
	if err := in.want(5+size, false); err != nil {
		return kind, nil, err
	}
	body = in.buf[in.r+5 : in.r+5+size : in.r+5+size]
	in.r += 5 + size
	return kind, body, nil
}

// peek returns the kind of the next message if its head is already here, else 0.
func (in *input) peek() byte {
	if in.w-in.r < 5 {
		return 0
	}
	return in.buf[in.r]
}

// startup returns a message without a kind, as they come before a session begins.
func (in *input) startup() ([]byte, error) {
	if err := in.want(4, false); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(in.buf[in.r:])))
	if size < 8 || size > 10_000 {
		return nil, errFraming
	}
	if err := in.want(size, false); err != nil {
		return nil, err
	}
	body := in.buf[in.r+4 : in.r+size]
	in.r += size
	return body, nil
}

// first returns the first byte without taking it.
func (in *input) first() (byte, error) {
	if err := in.want(1, false); err != nil {
		return 0, err
	}
	return in.buf[in.r], nil
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
		if idle && in.r == in.w {
			m, err = in.wait()
		} else if in.patient > 0 {
			if began.IsZero() {
				began = time.Now()
			}
			// Slow lines may be slow, but not so slow that somebody can hold many connections with few bytes.
			in.conn.SetReadDeadline(began.Add(in.patient + time.Duration(got/(64<<10))*time.Second))
			in.limited = true
			m, err = in.conn.Read(in.buf[in.w:])
		} else {
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

// wait reads between two messages.
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
		// The message goes first; the next wait ends at once.
	}
	return n, err
}

// skip reads over n bytes.
func (in *input) skip(n int) error {
	for n > 0 {
		if in.r == in.w {
			if err := in.want(1, false); err != nil {
				return err
			}
		}
		m := min(n, in.w-in.r)
		in.r += m
		n -= m
	}
	return nil
}

// idle gives back what an idle connection doesn't need.
func (in *input) idle() {
	if in.r == in.w && len(in.buf) > inputBuffer {
		in.buf, in.r, in.w = nil, 0, 0
	}
}
