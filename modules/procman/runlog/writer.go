package runlog

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// piece is how much of a long write becomes one block.
const piece = 64 << 10

// writer cuts chunks into lines.
type writer struct {
	l      *Log
	run    Run
	stream Stream

	// mu guards all below; it is taken before the log's.
	mu    sync.Mutex
	err   error
	carry []byte // the unfinished line
	buf   []byte // the block: head, run, lines; of buffers, during a call only
	count uint64
}

// buffers are shared, because most of many writers are silent at a moment. They hold *[]byte.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, blockHeadSize, piece+piece/8)
	return &b
}}

// maxBuffer is the capacity up to which buffers are kept for the next block.
const maxBuffer = 256 << 10

// maxCarry is the capacity up to which an empty carry is kept.
const maxCarry = 4 << 10

// Writer returns a writer for what a run prints to a stream: chunks as they come from a pipe, best of up to 64 KiB, each
// of which becomes one block with one time. Close ends an unfinished line as NoNewline.
//
// Write returns ErrClosed after Close of the writer or the log, ErrBadRun or ErrBadStream if the arguments were wrong,
// and nothing else: see the package's promises.
func (l *Log) Writer(run Run, stream Stream) io.WriteCloser {
	w := &writer{l: l, run: run, stream: stream}
	if _, err := ParseRun(string(run)); err != nil {
		w.err = fmt.Errorf("write run log: %w", err)
		return w
	}
	if !stream.valid() {
		w.err = fmt.Errorf("write run log: %s: %w", stream, ErrBadStream)
		return w
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		w.err = ErrClosed
		return w
	}
	l.writers[w] = struct{}{}
	return w
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	now := w.l.o.Clock()
	for done := 0; done < len(p); {
		chunk := p[done:min(done+piece, len(p))]
		if err := w.block(now, func() { w.cut(chunk) }); err != nil {
			w.err = err
			return done, err
		}
		done += len(chunk)
	}
	return len(p), nil
}

// Close implements io.Closer.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	err := w.block(w.l.o.Clock(), func() {
		if len(w.carry) > 0 {
			w.line(w.carry, nil, NoNewline)
		}
	})
	w.err, w.carry = ErrClosed, nil
	w.l.mu.Lock()
	delete(w.l.writers, w)
	w.l.mu.Unlock()
	return err
}

// block makes one block of the lines that fill puts, and hands it to the log.
func (w *writer) block(now time.Time, fill func()) error {
	shared := buffers.Get().(*[]byte)
	w.buf = append((*shared)[:blockHeadSize], w.run...)
	w.count = 0
	fill()
	err := w.flush(now)
	if cap(w.buf) <= maxBuffer {
		*shared = w.buf
		buffers.Put(shared)
	}
	w.buf = nil
	if len(w.carry) == 0 && cap(w.carry) > maxCarry {
		w.carry = nil
	}
	return err
}

// cut takes the lines of a chunk and keeps the rest.
func (w *writer) cut(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		if len(w.carry) > 0 {
			w.line(w.carry, p[:i], 0)
			w.carry = w.carry[:0]
		} else {
			w.line(p[:i], nil, 0)
		}
		p = p[i+1:]
	}
	if len(p) == 0 {
		return
	}
	w.carry = append(w.carry, p...)
	// A "\r" that may belong to the newline doesn't count, so that how a line is split doesn't depend on the chunks.
	limit := w.l.o.LineBytes
	rest := w.carry
	for len(rest) > limit && !(len(rest) == limit+1 && rest[limit] == '\r') {
		w.put(Partial, rest[:limit])
		rest = rest[limit:]
	}
	w.carry = w.carry[:copy(w.carry, rest)]
}

// line adds a line that ended; its two parts follow each other.
func (w *writer) line(a, b []byte, flags Flags) {
	if flags&NoNewline == 0 {
		if n := len(b); n > 0 && b[n-1] == '\r' {
			b, flags = b[:n-1], flags|CR
		} else if n := len(a); len(b) == 0 && n > 0 && a[n-1] == '\r' {
			a, flags = a[:n-1], flags|CR
		}
	}
	limit := w.l.o.LineBytes
	for len(a)+len(b) > limit {
		if len(a) >= limit {
			w.put(Partial, a[:limit])
			a = a[limit:]
			continue
		}
		k := limit - len(a)
		w.put(Partial, a, b[:k])
		a, b = b[k:], nil
	}
	w.put(flags, a, b)
}

func (w *writer) put(flags Flags, parts ...[]byte) {
	w.buf = appendLine(w.buf, flags, parts...)
	w.count++
}

// flush hands the block to the log.
func (w *writer) flush(now time.Time) error {
	if w.count == 0 {
		return nil
	}
	body := w.buf[blockHeadSize:]
	h := blockHead{
		size: uint32(len(body)), crc: crc(body), time: now.UnixNano(), count: w.count,
		kind: kindLines, stream: w.stream, run: uint8(len(w.run)),
	}
	return w.l.append(w.buf, h, now)
}
