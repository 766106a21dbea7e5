package aof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
)

// Record is a record with its position.
type Record struct {
	Position Position
	Data     []byte // valid until the reader's next call
}

// ReadAt returns a copy of the record at p, whose checksum it has verified. Errors: ErrTail where no record is yet,
// ErrTruncated, *DamageError.
func (l *Log) ReadAt(ctx context.Context, p Position) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := l.Reader(p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	r.short = true
	buf := shortBuffers.Get().(*[]byte)
	r.walk.buf = *buf
	rec, err := r.try(ctx)
	data := bytes.Clone(rec.Data)
	*buf = r.walk.buf
	shortBuffers.Put(buf)
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// shortAhead is how much ReadAt reads at once from a compressed copy, each frame of which costs its decoding.
const shortAhead = 4 << 10

// shortBuffers are what ReadAt reads into.
var shortBuffers = sync.Pool{New: func() any { b := make([]byte, 0, indexEvery); return &b }}

// Reader goes through the records in order. It is used by one goroutine at a time.
type Reader struct {
	l       *Log
	next    Position
	seg     *segment // nil between segments
	left    *form    // the one before, which is to be released
	form    *form    // the copy of seg that is read, with a reference
	walk    walker
	until   Position // of seg, as far as known
	payload []byte   // records of the current batch that are still to come
	plain   []byte   // the current batch, if it was sealed
	at      Position // of the first of them
	short   bool     // one record is wanted: don't read far ahead
	cuts    uint64   // truncations at the end that it knows of
}

// Reader returns a reader that stands before the record at from, which may be one that is still to come.
func (l *Log) Reader(from Position) (*Reader, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return nil, ErrClosed
	}
	if from < l.segments[0].base && l.unattached() && from > l.head {
		return nil, ErrNotAttached
	}
	if from < l.segments[0].base {
		return nil, fmt.Errorf("%w: %d, the log begins at %d", ErrTruncated, from, l.segments[0].base)
	}
	return &Reader{l: l, next: from, cuts: l.cuts.made}, nil
}

// Next returns the next record and waits for it while ctx lasts. A record is shown once it has reached the highest
// level that any append of its batch asked for: one that was appended at Fsync is on disk when a reader sees it.
// A *DamageError names positions that are lost; the call after it goes on behind them. ErrTruncated: the records before
// which the reader stood were truncated, at either end; it takes a new reader to go on.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	for {
		rec, err := r.try(ctx)
		if err == nil || !errors.Is(err, ErrTail) {
			return rec, err
		}
		moved := r.l.movement()
		if rec, err = r.try(ctx); err == nil || !errors.Is(err, ErrTail) { // it may have come meanwhile
			return rec, err
		}
		if moved == nil {
			return Record{}, ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return Record{}, ctx.Err()
		}
	}
}

// TryNext is Next that returns ErrTail instead of waiting for the log to grow. It may wait for the bucket.
func (r *Reader) TryNext() (Record, error) { return r.try(context.Background()) }

func (r *Reader) try(ctx context.Context) (Record, error) {
	for {
		if r.cuts != r.l.cutCount.Load() {
			r.Close() // what it holds may be gone; enter decides
		}
		if len(r.payload) > 0 {
			if rec, ok, err := r.cut(); ok || err != nil {
				return rec, err
			}
			continue
		}
		if err := r.enter(ctx); err != nil {
			return Record{}, err
		}
		if err := r.batch(); err != nil && !errors.Is(err, errOtherCopy) {
			return Record{}, err
		}
	}
}

// errOtherCopy: what was read is damaged, and there is another copy.
var errOtherCopy = errors.New("another copy is to be read")

// Position is that of the record that Next will return.
func (r *Reader) Position() Position { return r.next }

// Close releases the reader's file.
func (r *Reader) Close() error {
	if r.seg == nil {
		return nil
	}
	f := r.form
	r.seg, r.form, r.payload, r.walk.src = nil, nil, nil, nil
	return f.release()
}

// cut takes the next record off the current batch; ok is false for one that comes before the reader's position.
func (r *Reader) cut() (Record, bool, error) {
	data, rest, ok := nextRecord(r.payload)
	if !ok {
		r.payload = nil
		return Record{}, false, r.damaged(r.next, r.next, "a batch with a good checksum holds fewer records than it says")
	}
	p := r.at
	r.payload, r.at = rest, p+1
	if p < r.next {
		return Record{}, false, nil
	}
	if p >= r.until {
		r.payload = nil // truncated while it was being read
		return Record{}, false, nil
	}
	r.next = p + 1
	return Record{p, data}, true, nil
}

// enter makes sure that r.seg is the segment that holds r.next, with what may be read of it.
func (r *Reader) enter(ctx context.Context) error {
	if o, ok := r.walk.src.(*plainReader); ok {
		o.use(ctx)
	}
	s, err := r.find()
	if f := r.left; f != nil {
		r.left = nil
		f.release() // not under the log's lock: it may be the last reference, and the file recycled
	}
	if err != nil || s == nil {
		return err
	}
	foot, err := r.l.open(ctx, s, r.form)
	if err != nil {
		f, until := r.form, r.until
		r.Close()
		if bad := (*DamageError)(nil); errors.As(err, &bad) {
			if r.l.distrust(s, f) {
				return r.enter(ctx)
			}
			d := Damage{f.name, bad.Offset, r.next, until - 1, bad.Reason}
			r.next = until
			return r.report(d)
		}
		return fmt.Errorf("aof: opening segment %s: %w", s.name, err)
	}
	l := r.l
	l.mu.Lock()
	if s.index == nil && foot != nil {
		s.index = foot.index
	}
	e := s.entry(r.next)
	r.walk = walker{s: s, src: l.plain(ctx, r.form), off: e.off, expect: e.first, stop: s.end, ahead: readAhead, buf: r.walk.buf[:0]}
	l.mu.Unlock()
	switch {
	case r.short && r.form.tier == Hot:
		r.walk.ahead = indexEvery
	case r.short:
		r.walk.ahead = shortAhead
	}
	return nil
}

// find takes hold of the segment that holds r.next, by its best copy. It returns nil if the reader is there already.
func (r *Reader) find() (*segment, error) {
	l := r.l
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return nil, ErrClosed
	}
	if after, any := l.cuts.since(r.cuts); any && r.next > after+1 {
		return nil, fmt.Errorf("%w: the reader stood before %d, the log was cut after %d", ErrTruncated, r.next, after)
	}
	r.cuts = l.cuts.made
	if r.next < l.segments[0].base {
		return nil, fmt.Errorf("%w: %d, the log begins at %d", ErrTruncated, r.next, l.segments[0].base)
	}
	if r.next >= l.visible {
		return nil, ErrTail
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > r.next }) - 1
	s := l.segments[i]
	if r.next >= s.until() {
		// Only damage leaves a gap between segments.
		last := l.visible - 1
		if i+1 < len(l.segments) {
			last = l.segments[i+1].base - 1
		}
		return nil, r.gap(s, last)
	}
	if r.seg == s {
		r.until, r.walk.stop = s.until(), s.end
		return nil, nil
	}
	r.left = r.form
	f := s.best()
	f.refs.Add(1)
	r.seg, r.form, r.until = s, f, s.until()
	return s, nil
}

// batch reads the next batch of the segment.
func (r *Reader) batch() error {
	if r.short {
		if err := r.walk.pass(r.next); err != nil {
			return fmt.Errorf("aof: reading %s: %w", r.seg.name, err)
		}
	}
	for {
		h, off, payload, err := r.walk.next()
		if err != nil {
			return fmt.Errorf("aof: reading %s: %w", r.seg.name, err)
		}
		if h == nil {
			return r.skip()
		}
		if h.count == 0 || h.last() < r.next {
			continue
		}
		if payload, err = r.unseal(h, off, payload); err != nil {
			r.next = h.last() + 1 // what is behind it may be sealed by another key
			return err
		}
		if h.first > r.next {
			// Recovery found this place damaged.
			lost := r.next
			r.next, r.payload, r.at = h.first, payload, h.first
			return r.lost(lost, h.first-1)
		}
		r.payload, r.at = payload, h.first
		return nil
	}
}

// skip goes on behind a bad place.
func (r *Reader) skip() error {
	if s, f := r.seg, r.form; r.l.distrust(s, f) {
		r.Close()
		return errOtherCopy
	}
	w := &r.walk
	at, bad := w.off, w.expect
	if bad < r.next {
		bad = r.next
	}
	if w.resync() {
		if w.expect <= r.next {
			return r.batch() // what is damaged lies before the position that was asked for
		}
		r.next = w.expect
		return r.report(Damage{r.seg.name, at, bad, w.expect - 1, "checksum mismatch"})
	}
	last := r.until - 1
	if last < bad {
		return ErrTail
	}
	r.next = last + 1
	return r.report(Damage{r.seg.name, at, bad, last, "checksum mismatch"})
}

// damaged is for a batch whose content contradicts its header.
func (r *Reader) damaged(first, last Position, reason string) error {
	r.next = last + 1
	return r.report(Damage{r.seg.name, r.walk.off, first, last, reason})
}

// lost returns the damage that recovery recorded for positions.
func (r *Reader) lost(first, last Position) error {
	for _, d := range r.l.Damage() {
		if d.First <= first && first <= d.Last {
			return &DamageError{d}
		}
	}
	return r.report(Damage{r.seg.name, r.walk.off, first, last, "records are missing"})
}

// gap is lost between segments. Log.mu is held for reading.
func (r *Reader) gap(s *segment, last Position) error {
	first := r.next
	r.next = last + 1
	for _, d := range r.l.damage {
		if d.First <= first && first <= d.Last {
			return &DamageError{d}
		}
	}
	return &DamageError{Damage{s.name, s.end, first, last, "records are missing"}}
}

// report remembers damage that a read found.
func (r *Reader) report(d Damage) error {
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.damage {
		if e == d {
			return &DamageError{d}
		}
	}
	l.damage = append(l.damage, d)
	l.o.Logger.Error("damage found", "file", d.File, "offset", d.Offset, "first", uint64(d.First), "last", uint64(d.Last), "reason", d.Reason)
	return &DamageError{d}
}

// movement is closed when the end of what readers see moves; nil when the log is closed.
func (l *Log) movement() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved != nil {
		l.watched = true
	}
	return l.moved
}

// publish lets readers see a batch that was written to the tail.
func (l *Log) publish(tail *segment, h *batchHeader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail.note(h, tail.end)
	l.visible = tail.next
	l.wakeReaders()
}

// wakeReaders wakes those that wait for movement. mu is held.
func (l *Log) wakeReaders() {
	if l.watched && l.moved != nil {
		close(l.moved)
		l.moved, l.watched = make(chan struct{}), false
	}
}

func (l *Log) tail() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return nil
	}
	return l.segments[len(l.segments)-1]
}

func (l *Log) tailNext() Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.visible
}
