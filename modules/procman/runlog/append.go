package runlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// append numbers the records of block b, whose body is complete, and writes them. Only ErrClosed is an error: what the
// disk refuses becomes a gap.
func (l *Log) append(b []byte, h blockHead, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	h.first = l.next
	l.next = h.end()
	err := l.prepare(now, len(b))
	if err == nil {
		h.put(b, l.head.marker)
		out := b
		if l.gap.count > 0 {
			// In one write: on a full disk, a gap alone often fits and would be written again and again.
			l.scratch = append(gapBlock(l.scratch[:0], l.gap, now.UnixNano(), l.head.marker), b...)
			out = l.scratch
		}
		err = l.write(out)
	}
	if err != nil {
		l.drop(h, err)
		return nil
	}
	l.recorded()
	l.written = l.next
	l.announce(false)
	return nil
}

// drop puts a block that could not be written into the gap. mu is held.
func (l *Log) drop(h blockHead, err error) {
	if l.dropped += h.count; l.gap.count == 0 || l.gap.reason == Torn {
		l.o.Logger.Warn("run log cannot write, lines are dropped", "dir", l.dir, "sequence", h.first, "error", err)
	}
	reason := WriteFailed
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		reason = DiskFull
	}
	// Nothing was written since the gap began, so the block follows it without a hole.
	if l.gap.count == 0 {
		l.gap.from = h.first
	}
	l.gap.count += h.count
	l.gap.reason = reason
}

// recorded ends the gap. mu is held.
func (l *Log) recorded() {
	if l.gap.count > 0 {
		l.o.Logger.Warn("run log recorded a gap", "dir", l.dir, "gap", l.gap)
		l.gap = hole{}
	}
	if cap(l.scratch) > 1<<20 {
		l.scratch = nil
	}
}

// recordGap writes the gap without a block behind it. mu is held.
func (l *Log) recordGap() error {
	if l.gap.count == 0 {
		return nil
	}
	now := l.o.Clock()
	err := l.prepare(now, blockHeadSize+1)
	if err == nil {
		l.scratch = gapBlock(l.scratch[:0], l.gap, now.UnixNano(), l.head.marker)
		err = l.write(l.scratch)
	}
	if err != nil {
		return fmt.Errorf("record the gap %s: %w", l.gap, err)
	}
	l.written = l.gap.from + l.gap.count
	l.recorded()
	l.announce(false)
	return nil
}

// prepare makes the active file one that takes n bytes more. mu is held.
func (l *Log) prepare(now time.Time, n int) error {
	if l.active == nil {
		return l.create(now)
	}
	if l.size > fileHeaderSize && (l.size+int64(n) > l.o.MaxBytes || l.aged(now)) {
		err := l.rotate(now)
		if err == nil {
			return nil
		}
		// A file that is too long is better than lines that are lost.
		if !l.refused {
			l.o.Logger.Warn("run log cannot rotate, goes on in the old file", "dir", l.dir, "error", err)
		}
		l.refused = true
	}
	if l.ragged {
		if err := l.active.Truncate(l.size); err != nil {
			return fmt.Errorf("cut an incomplete write: %w", err)
		}
		l.ragged = false
	}
	return nil
}

func (l *Log) aged(now time.Time) bool {
	return l.o.MaxAge > 0 && now.Sub(l.files[len(l.files)-1].created) >= l.o.MaxAge
}

// write appends b to the active file, as a whole or not at all. mu is held.
func (l *Log) write(b []byte) error {
	n, err := l.active.Write(b)
	if err != nil {
		if n > 0 {
			l.ragged = l.active.Truncate(l.size) != nil
		}
		return fmt.Errorf("write run log: %w", err)
	}
	l.size += int64(len(b))
	return nil
}

// create begins a file. mu is held.
func (l *Log) create(now time.Time) error {
	h := fileHeader{first: l.written, created: now.UnixNano()}
	rand.Read(h.marker[:])
	path := rawPath(l.dir, h.first)
	f, err := l.o.open(path, true)
	if err != nil {
		return fmt.Errorf("begin a file of the run log: %w", err)
	}
	if _, err := f.Write(h.append(nil)); err != nil {
		f.Close()
		return errors.Join(fmt.Errorf("begin a file of the run log: %w", err), remove(path))
	}
	l.active, l.head, l.size, l.ragged = f, h, fileHeaderSize, false
	l.files = append(l.files, kept{first: h.first, created: now})
	return nil
}

// rotate begins a new file and leaves the old one to the finisher. mu is held.
func (l *Log) rotate(now time.Time) error {
	old := l.active
	if l.ragged { // what cannot be cut stays; readers take it for the end
		l.ragged = old.Truncate(l.size) != nil
	}
	if err := l.create(now); err != nil {
		return err
	}
	l.refused = false
	if err := old.Close(); err != nil {
		l.o.Logger.Warn("run log closed a file", "dir", l.dir, "error", err)
	}
	l.prune(now)
	if !l.closed {
		l.busy = true
		select {
		case l.work <- struct{}{}:
		default:
		}
	}
	l.announce(false)
	return nil
}

// prune removes files by number and age. The last one stays. mu is held.
func (l *Log) prune(now time.Time) {
	for len(l.files) > 1 {
		// A file ends where the next one begins.
		old := l.o.Keep > 0 && now.Sub(l.files[1].created) > l.o.Keep
		if len(l.files) <= l.o.MaxFiles && !old {
			return
		}
		first := l.files[0].first
		if err := errors.Join(remove(rawPath(l.dir, first)), remove(zstPath(l.dir, first))); err != nil {
			l.o.Logger.Warn("run log cannot remove an old file", "dir", l.dir, "error", err)
			return
		}
		l.files = l.files[1:]
	}
}
