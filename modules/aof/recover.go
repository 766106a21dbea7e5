package aof

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Damage is a part of the log that can't be read any more.
type Damage struct {
	File        string
	Offset      int64 // of the first bad batch in File
	First, Last Position
	Reason      string
}

// recover finds the segments and the end of the log.
func (l *Log) recover() error {
	l.spares.l, l.committer.l = l, l
	names, err := l.o.FS.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("aof: listing the folder: %w", err)
	}
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".seg"):
			s, err := l.openSegment(filepath.Join(l.dir, name))
			if err != nil {
				return fmt.Errorf("aof: opening segment %s: %w", name, err)
			}
			l.segments = append(l.segments, s)
		case strings.HasSuffix(name, ".new"):
			// A spare that was being prepared.
			if err := l.o.FS.Remove(filepath.Join(l.dir, name)); err != nil {
				return fmt.Errorf("aof: removing %s: %w", name, err)
			}
		}
	}
	if err := l.spares.find(names); err != nil {
		return fmt.Errorf("aof: looking at spare files: %w", err)
	}
	slices.SortFunc(l.segments, func(a, b *segment) int { return int(int64(a.header.sequence) - int64(b.header.sequence)) })
	for i, s := range l.segments {
		if s.sealed {
			continue
		}
		after := Position(0) // what a later segment proves: everything before its base was durable or truncated
		if i+1 < len(l.segments) {
			after = l.segments[i+1].base
		}
		if err := l.scan(s, after, i == len(l.segments)-1); err != nil {
			return fmt.Errorf("aof: recovering %s: %w", s.name, err)
		}
	}
	if len(l.segments) == 0 {
		s, err := l.create(segmentHeader{sequence: 1, base: 1}, 0)
		if err != nil {
			return fmt.Errorf("aof: %w", err)
		}
		l.segments = append(l.segments, s)
	}
	if err := l.join(); err != nil {
		return err
	}
	tail := l.segments[len(l.segments)-1]
	// What recovery found must not be lost by the next crash: readers see it now.
	if err := tail.file.Sync(); err != nil {
		return fmt.Errorf("aof: syncing %s: %w", tail.name, err)
	}
	l.visible = tail.next
	l.committer.durable.Store(uint64(tail.next - 1))
	l.committer.marked = tail.end == dataStart
	for _, d := range l.damage {
		l.o.Logger.Error("damage found", "file", d.File, "offset", d.Offset, "first", uint64(d.First), "last", uint64(d.Last), "reason", d.Reason)
	}
	return nil
}

// openSegment reads a segment's header and, if it is sealed, its footer.
func (l *Log) openSegment(name string) (*segment, error) {
	f, err := l.o.FS.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &segment{name: name, file: f}
	s.refs.Store(1)
	if err := s.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *segment) load() (err error) {
	if s.bytes, err = s.file.Size(); err != nil {
		return err
	}
	var h *segmentHeader
	for _, off := range []int64{0, headerCopy} {
		b := make([]byte, headerBytes)
		if err := readFull(s.file, b, off); err != nil {
			return err
		}
		found, newer := decodeSegmentHeader(b)
		if newer != 0 {
			return &NewerFormatError{s.name, newer, formatVersion}
		}
		if h == nil {
			h = found
		}
	}
	foot, err := s.readFooter()
	if err != nil {
		return err
	}
	switch {
	case foot != nil && (h == nil || foot.header.salt == h.salt):
		s.header, s.sealed = foot.header, true
		s.next, s.end, s.sum, s.count, s.index = foot.next, foot.end, foot.sum, foot.count, foot.index
	case h != nil:
		s.header = *h
		s.next, s.end, s.sum = h.base, dataStart, h.prev
	default:
		return &DamageError{Damage{File: s.name, Reason: "no valid header: both copies are damaged"}}
	}
	s.base = s.header.base
	return nil
}

// readFooter returns nil when the segment isn't sealed; also when a footer is of an earlier use of the file, or torn.
func (s *segment) readFooter() (*footer, error) {
	b := make([]byte, trailerBytes)
	if s.bytes < dataStart+trailerBytes {
		return nil, nil
	}
	if err := readFull(s.file, b, s.bytes-trailerBytes); err != nil {
		return nil, err
	}
	salt, off, length, ok := decodeTrailer(b)
	if !ok || off < dataStart || length < 0 || int64(length) > s.bytes || off > s.bytes-int64(length) {
		return nil, nil
	}
	b = make([]byte, length)
	if err := readFull(s.file, b, off); err != nil {
		return nil, err
	}
	f, ok := decodeFooter(b)
	if !ok || f.header.salt != salt || f.end != off {
		return nil, nil
	}
	return f, nil
}

// readFull reads all of b; bytes beyond the file's end are zeros, which no checksum accepts.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if err == io.EOF {
		clear(b[n:])
		return nil
	}
	return err
}

// scan reads a segment that has no footer. after is the base of the next segment, 0 if there is none.
func (l *Log) scan(s *segment, after Position, tail bool) error {
	w := walker{s: s, off: dataStart, sum: s.header.prev, chained: true, expect: s.base}
	var pending []Damage // between the last good batch and the next, not yet known to be damage
	commit := func(h *batchHeader, off int64) {
		for _, d := range pending {
			l.damage = append(l.damage, d)
		}
		pending = nil
		s.note(h, off)
	}
	type found struct {
		h   batchHeader
		off int64
	}
	var doubtful []found // good batches behind a bad place that nothing has shown to be damage
	for {
		h, off, _, err := w.next()
		if err != nil {
			return err
		}
		if h != nil {
			if len(pending) > 0 && h.durable < pending[0].First && !(after != 0 && after > pending[0].First) {
				doubtful = append(doubtful, found{*h, off})
				continue
			}
			for _, d := range doubtful {
				commit(&d.h, d.off)
			}
			doubtful = nil
			commit(h, off)
			continue
		}
		at, expect := w.off, w.expect
		if !w.resync() {
			if after > expect && len(pending) == 0 {
				l.damage = append(l.damage, Damage{s.name, at, expect, after - 1, "the batches at the segment's end are damaged"})
			}
			break
		}
		if len(pending) == 0 || w.expect > expect {
			last := w.expect - 1
			pending = append(pending, Damage{s.name, at, expect, last, "checksum mismatch"})
		}
	}
	if tail && len(doubtful) > 0 {
		// Unsynced batches of which an earlier one is missing: nobody was told of them. A new segment, with a new salt,
		// keeps them from ever being taken for good.
		l.committer.fresh = true
	}
	return nil
}

// join checks that segments follow each other and cuts off what a later segment replaced.
func (l *Log) join() error {
	for i, s := range l.segments[:len(l.segments)-1] {
		next := l.segments[i+1]
		switch {
		case next.base < s.next:
			s.limit = next.base
		case next.base > s.next:
			d := Damage{s.name, s.end, s.next, next.base - 1, "records are missing before the next segment"}
			if !slices.ContainsFunc(l.damage, func(e Damage) bool { return e.First <= d.First && e.Last >= d.Last }) {
				l.damage = append(l.damage, d)
			}
		}
	}
	// A truncation that reached below a segment's base replaced it whole.
	for i := len(l.segments) - 1; i >= 0; i-- {
		for j := range i {
			if s := l.segments[j]; l.segments[i].base < s.next {
				if s.limit == 0 || l.segments[i].base < s.limit {
					s.limit = l.segments[i].base
				}
			}
		}
	}
	return l.dropDead()
}

// dropDead removes segments of which nothing is valid any more, but never the tail.
func (l *Log) dropDead() error {
	var errs []error
	kept := l.segments[:0]
	for i, s := range l.segments {
		if i < len(l.segments)-1 && s.limit != 0 && s.limit <= s.base {
			errs = append(errs, l.drop(s))
			continue
		}
		kept = append(kept, s)
	}
	clear(l.segments[len(kept):])
	l.segments = kept
	return errors.Join(errs...)
}

// drop takes a segment out of the log: its file is kept as a spare if nobody reads it, else it is removed.
func (l *Log) drop(s *segment) error {
	if s.refs.Load() == 1 {
		s.gone = func() error { return l.spares.recycle(s) }
		return s.release()
	}
	err := errors.Join(l.o.FS.Remove(s.name), l.o.FS.SyncDir(l.dir))
	return errors.Join(err, s.release())
}

// Damage lists what recovery and reads have found damaged since the log was opened.
func (l *Log) Damage() []Damage {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.damage)
}
