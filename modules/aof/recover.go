package aof

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Damage is a part of the log that isn't as it was written.
type Damage struct {
	File        string
	Offset      int64    // of the first bad byte range in File
	First, Last Position // the records that are lost; both 0: none is
	Reason      string
}

// recover finds the segments and the end of the log.
func (l *Log) recover() error {
	l.spares.l, l.committer.l = l, l
	var headless []string // segments of which nothing can be read
	names, err := l.o.FS.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("aof: listing the folder: %w", err)
	}
	if err := l.recall(names); err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case l.recalled(name):
		case strings.HasSuffix(name, warmSuffix):
			if err := l.openWarm(name); err != nil {
				return fmt.Errorf("aof: opening compressed segment %s: %w", name, err)
			}
		case strings.HasSuffix(name, ".seg"):
			s, err := l.openSegment(filepath.Join(l.dir, name))
			if errors.Is(err, ErrDamaged) {
				headless = append(headless, name)
				continue
			}
			if err != nil {
				return fmt.Errorf("aof: opening segment %s: %w", name, err)
			}
			for _, off := range s.badCopy {
				l.damage = append(l.damage, Damage{File: s.name, Offset: off, Reason: "a copy of the segment's header is damaged, the other one is used"})
			}
			s.fresh, s.closed = true, time.Unix(0, s.header.created)
			l.segments = append(l.segments, s)
		case strings.HasSuffix(name, newSuffix), isPart(name):
			// A spare that was being prepared, a segment that was being moved.
			if err := l.o.FS.Remove(filepath.Join(l.dir, name)); err != nil {
				return fmt.Errorf("aof: removing %s: %w", name, err)
			}
		}
	}
	if err := l.spares.find(names); err != nil {
		return fmt.Errorf("aof: looking at spare files: %w", err)
	}
	l.gather()
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
	if err := l.missing(headless); err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.join(); err != nil {
		return err
	}
	tail := l.segments[len(l.segments)-1]
	if err := l.harden(tail); err != nil {
		return fmt.Errorf("aof: making the end of %s durable: %w", tail.name, err)
	}
	l.visible = tail.next
	c := &l.committer
	c.durable.Store(uint64(tail.next - 1))
	c.marked = tail.marked || tail.end == dataStart
	if !c.fresh {
		// What was recovered is durable from now on, and damage to it must not look like a torn end.
		if err := c.mark(true); err != nil {
			return fmt.Errorf("aof: leaving a mark: %w", err)
		}
	}
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
	if err := s.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.hot()
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
		if found == nil {
			s.badCopy = append(s.badCopy, off)
		} else if h == nil {
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
		return &DamageError{Damage{File: s.name, Reason: noHeader}}
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
	var pending []Damage // before the last good batch, not yet known to be damage
	commit := func(h *batchHeader, off int64) {
		s.scarred = s.scarred || len(pending) > 0
		l.damage = append(l.damage, pending...)
		pending = nil
		s.note(h, off)
		s.watermark = max(s.watermark, h.durable)
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
				s.scarred = true
				l.damage = append(l.damage, Damage{s.name, at, expect, after - 1, "the batches at the segment's end are damaged"})
			}
			break
		}
		// A bad place that held no record was a mark: the records behind it may have been acknowledged.
		if w.expect > expect {
			pending = append(pending, Damage{s.name, at, expect, w.expect - 1, "checksum mismatch"})
		}
	}
	if tail && len(doubtful) > 0 {
		// Unsynced batches of which an earlier one is missing: nobody was told of them. A new segment, with a new salt,
		// keeps them from ever being taken for good.
		l.committer.fresh = true
	}
	return nil
}

// missing deals with segments that have no header. What they held shows between their neighbours; but if it was the last
// one nobody knows which positions were given, so the log can't go on.
func (l *Log) missing(names []string) error {
	for _, name := range names {
		path := filepath.Join(l.dir, name)
		var sequence uint64
		if _, err := fmt.Sscanf(name, "%016x", &sequence); err != nil {
			return fmt.Errorf("aof: %s is not a segment's name", path)
		}
		i, _ := slices.BinarySearchFunc(l.segments, sequence, func(s *segment, q uint64) int { return cmp.Compare(s.header.sequence, q) })
		if i == len(l.segments) || l.segments[i].header.sequence < sequence {
			return &DamageError{Damage{File: path, Reason: noHeader + ", and it is the last segment: what it held must be restored from elsewhere"}}
		}
		d := Damage{File: path, Last: l.segments[i].base - 1, Reason: noHeader}
		if i > 0 {
			d.First = l.segments[i-1].next
		}
		if d.First <= d.Last {
			l.damage = append(l.damage, d)
		}
		l.headless = append(l.headless, headless{path, sequence})
	}
	return nil
}

// harden makes what recovery found at the end durable. It writes the bytes again that nothing proves to be on disk: after
// a failed fsync the system may still show bytes that it will never write, and a later fsync says nothing of them.
func (l *Log) harden(tail *segment) error {
	off := tail.end
	e := tail.entry(tail.watermark + 1)
	w := walker{s: tail, off: e.off, expect: e.first, stop: tail.end}
	for w.off < tail.end {
		h, at, _, err := w.next()
		if err != nil {
			return err
		}
		if h == nil { // a damaged place, which stays as it is
			if !w.resync() {
				break
			}
			continue
		}
		if h.count > 0 && h.last() > tail.watermark {
			off = at
			break
		}
	}
	b := make([]byte, min(1<<20, tail.end-off))
	for ; off < tail.end; off += int64(len(b)) {
		b = b[:min(int64(len(b)), tail.end-off)]
		if err := readFull(tail.file, b, off); err != nil {
			return err
		}
		if _, err := tail.file.WriteAt(b, off); err != nil {
			return err
		}
	}
	return tail.file.Sync()
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
	if err := l.dropAll(l.takeDead()); err != nil {
		return fmt.Errorf("aof: removing truncated segments: %w", err)
	}
	// Those that a crash kept from getting a footer get it now, or each opening would have to scan them.
	for _, s := range l.segments[:len(l.segments)-1] {
		if s.sealed || s.scarred {
			continue
		}
		if err := s.seal(); err != nil {
			l.o.Logger.Warn("sealing a segment failed; it will be read by scanning", "segment", s.name, "err", err)
			continue
		}
		s.sealed, s.fresh, s.closed = true, true, l.o.Tiers.Clock.Now()
	}
	return nil
}

// headless is a segment file of which nothing can be read. It is left for whoever can, until the log's beginning is
// behind it.
type headless struct {
	name     string
	sequence uint64
}

// noHeader is why a segment can't be read at all.
const noHeader = "both copies of the segment's header are damaged"

// takeDead takes the segments of which nothing is valid any more out of the list, but never the tail. mu is held, or the
// log isn't shared yet; the caller drops them.
func (l *Log) takeDead() (dead []*segment) {
	kept := make([]*segment, 0, len(l.segments))
	for i, s := range l.segments {
		if i < len(l.segments)-1 && s.limit != 0 && s.limit <= s.base {
			dead = append(dead, s)
			continue
		}
		kept = append(kept, s)
	}
	l.segments = kept
	return dead
}

// dropAll drops segments that were taken out of the list, in order.
func (l *Log) dropAll(dead []*segment) error {
	var errs []error
	for _, s := range dead {
		errs = append(errs, l.drop(s))
	}
	return errors.Join(errs...)
}

// drop gives up all copies of a segment that was taken out of the log.
func (l *Log) drop(s *segment) error {
	var errs []error
	for t, f := range s.forms {
		if f != nil {
			s.forms[t] = nil
			errs = append(errs, l.dropForm(s, f))
		}
	}
	return errors.Join(errs...)
}

// dropForm gives up a copy: a segment file is kept as a spare if nobody reads it, other files are removed. Objects are
// removed by the uploader, which finds that no segment has them.
func (l *Log) dropForm(s *segment, f *form) error {
	switch {
	case f.tier == Cold:
		l.cache.forget(l.bucket(), f.name)
		return f.release()
	case f.tier == Hot && f.refs.Load() == 1:
		f.gone = func() error { return l.spares.recycle(f.name, f.bytes) }
		return f.release()
	}
	l.keepOpen(s, f)
	err := errors.Join(ignoreNotExist(l.o.FS.Remove(f.name)), l.o.FS.SyncDir(l.dir))
	return errors.Join(err, f.release())
}

// keepOpen opens a file that is about to be removed for those who have a reference and haven't read yet. They find out if
// it can't be opened.
func (l *Log) keepOpen(s *segment, f *form) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.refs.Load() == 1:
	case f.tier == Warm:
		_ = l.openFile(f)
	case f.file == nil:
		_ = l.openHot(s, f)
	}
}

// Damage lists what recovery and reads have found damaged since the log was opened.
func (l *Log) Damage() []Damage {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.damage)
}
