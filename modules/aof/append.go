package aof

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Append appends one record and returns its position when it has reached level d. It waits for admission while ctx
// lasts; once admitted it waits for the disk whatever ctx does, because the record can't be taken back.
func (l *Log) Append(ctx context.Context, rec []byte, d Durability) (Position, error) {
	return l.AppendBatch(ctx, [][]byte{rec}, d)
}

// AppendBatch appends records at successive positions, all or none of which are there after a crash, and returns the first.
func (l *Log) AppendBatch(ctx context.Context, recs [][]byte, d Durability) (first Position, err error) {
	started := time.Now()
	ctx, span := l.startSpan(ctx, recs)
	first, b, turn, err := l.queue.add(ctx, recs, d, nil, false)
	if turn {
		l.committer.serve(d != None)
	}
	if err == nil && d != None && b != nil {
		err = l.queue.await(context.Background(), b)
	}
	if span != nil {
		endSpan(span, err)
	}
	if err != nil {
		return 0, err
	}
	l.metrics.append.Record(ctx, time.Since(started).Seconds(), l.metrics.levels[d]...)
	return first, nil
}

// AppendAsync appends records without waiting for the disk. It returns when they are admitted; their positions follow
// the order of calls. done is called once, in the order of positions, by the committer: it must not block, so of the
// log's appends it may call TryAppend alone. The records are copied before AppendAsync returns. An error returned means
// that done is not called.
func (l *Log) AppendAsync(ctx context.Context, recs [][]byte, d Durability, done func(first Position, err error)) error {
	return l.addAsync(ctx, recs, d, done, false)
}

// TryAppend is AppendAsync of one record that never waits: a *BackpressureError tells what it would have waited for.
func (l *Log) TryAppend(rec []byte, d Durability, done func(Position, error)) error {
	return l.addAsync(context.Background(), [][]byte{rec}, d, done, true)
}

// TryAppendAsync is AppendAsync that never waits, as TryAppend. Of ctx it uses only the span.
func (l *Log) TryAppendAsync(ctx context.Context, recs [][]byte, d Durability, done func(first Position, err error)) error {
	return l.addAsync(ctx, recs, d, done, true)
}

func (l *Log) addAsync(ctx context.Context, recs [][]byte, d Durability, done func(Position, error), try bool) error {
	if done == nil {
		done = func(Position, error) {}
	}
	ctx, span := l.startSpan(ctx, recs)
	tell := done
	if span != nil {
		tell = func(first Position, err error) {
			endSpan(span, err)
			done(first, err)
		}
	}
	_, _, turn, err := l.queue.add(ctx, recs, d, tell, try)
	if turn {
		l.committer.serve(false)
	}
	if err != nil && span != nil {
		endSpan(span, err)
	}
	return err
}

// Sync returns when every record that was appended before is on disk.
func (l *Log) Sync(ctx context.Context) error {
	b, turn, err := l.queue.barrier()
	if err != nil {
		return err
	}
	if turn {
		l.committer.serve(false)
	}
	return l.queue.await(ctx, b)
}

// queue is where records wait for the committer, already laid out as they are written.
type queue struct {
	l       *Log
	mu      sync.Mutex
	filling *batch   // what the next records are added to; nil: none waits
	full    []*batch // before it, in order
	next    Position
	bytes   int           // of payload that the committer hasn't finished
	room    chan struct{} // closed when bytes fall; nil: nobody waits
	awake   bool          // somebody has to commit, or does, and will look again before the end
	paused  bool          // nothing is admitted while the committer gives positions anew
	crowded bool          // nor while the local budget has no room
	reason  BackpressureKind
	closed  bool
	failed  error       // why appends are refused
	rolling atomic.Bool // the committer is beginning a segment
	free    [][]byte    // buffers to use again
}

// batch is what is written and synced at once.
type batch struct {
	buf   []byte // the header's place, then the payload
	first Position
	count int
	size  int // what the queue counts it as
	sync  bool
	calls []call
	spans []trace.SpanContext
	err   error

	// Guarded by the queue's mu.
	finished bool          // err is set
	done     chan struct{} // closed then; nil as long as nobody waits
}

// call is a caller's callback.
type call struct {
	first   Position
	done    func(Position, error)
	level   Durability
	started time.Time
}

func (q *queue) init(l *Log) {
	q.l = l
	q.next = l.visible
}

// add lays records out in the batch that is filling. The batch is nil when there is nothing to wait for. turn tells the
// caller to have the queue served: nobody does yet.
func (q *queue) add(
	ctx context.Context, recs [][]byte, d Durability, done func(Position, error), try bool,
) (first Position, _ *batch, turn bool, err error) {
	size := 0
	for _, r := range recs {
		if len(r) > q.l.o.MaxRecordBytes {
			return 0, nil, false, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(r), q.l.o.MaxRecordBytes)
		}
		size += len(r) + 4
	}
	if size > maxBatchPayload/2 {
		return 0, nil, false, fmt.Errorf("%w: %d bytes in one batch", ErrTooLarge, size)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.admit(ctx, size, try); err != nil {
		return 0, nil, false, err
	}
	first = q.next
	if len(recs) == 0 {
		if done != nil {
			return 0, nil, false, fmt.Errorf("aof: no records to append")
		}
		return first, nil, false, nil
	}
	b := q.fill(size)
	for _, r := range recs {
		b.buf = appendRecord(b.buf, r)
	}
	b.count += len(recs)
	q.next += Position(len(recs))
	b.size += size
	q.bytes += size
	b.sync = b.sync || d == Fsync
	if done != nil {
		b.calls = append(b.calls, call{first, done, d, time.Now()})
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
		b.spans = append(b.spans, sc)
	}
	return first, b, q.wake(), nil
}

// admit waits until there is room for size bytes. A record larger than the whole queue is admitted when it is alone.
func (q *queue) admit(ctx context.Context, size int, try bool) error {
	for waited := false; ; waited = true {
		if err := q.refusal(); err != nil {
			return err
		}
		if !q.paused && !q.crowded && (q.bytes == 0 || q.bytes+size <= q.l.o.MaxQueueBytes) {
			return nil
		}
		kind := Admission
		switch {
		case q.paused || q.rolling.Load():
			kind = Rollover
		case q.crowded:
			kind = q.reason
		}
		if !waited {
			q.l.metrics.backpressure.Add(ctx, 1, q.l.metrics.kinds[kind]...)
		}
		if try {
			return &BackpressureError{kind}
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return fmt.Errorf("waiting for %s: %w", kind, ctx.Err())
		}
	}
}

func (q *queue) refusal() error {
	switch {
	case q.failed != nil:
		return fmt.Errorf("%w: %w", ErrPoisoned, q.failed)
	case q.closed:
		return ErrClosed
	}
	return nil
}

// fill returns the batch to add to.
func (q *queue) fill(size int) *batch {
	if b := q.filling; b != nil && b.count > 0 && len(b.buf)+size > q.l.o.MaxBatchBytes {
		q.full = append(q.full, b)
		q.filling = nil
	}
	if q.filling == nil {
		q.filling = &batch{first: q.next}
		if n := len(q.free); n > 0 {
			q.filling.buf, q.free = q.free[n-1], q.free[:n-1]
		}
		q.filling.buf = append(q.filling.buf[:0], make([]byte, batchBytes)...)
	}
	return q.filling
}

// barrier makes the last batch that waits, or an empty one, be synced.
func (q *queue) barrier() (_ *batch, turn bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.refusal(); err != nil {
		return nil, false, err
	}
	b := q.fill(0)
	b.sync = true
	return b, q.wake(), nil
}

// wake reports whether it is the caller who has to see that the queue is served. mu is held.
func (q *queue) wake() bool {
	turn := !q.awake
	q.awake = true
	return turn
}

// take returns the next batch, nil if none waits; then whoever adds the next one has to have the queue served.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.full) > 0 {
		b := q.full[0]
		q.full = q.full[1:]
		return b
	}
	b := q.filling
	q.filling = nil
	if b == nil {
		q.awake = false
	}
	return b
}

// await returns a batch's outcome.
func (q *queue) await(ctx context.Context, b *batch) error {
	q.mu.Lock()
	if b.finished {
		defer q.mu.Unlock()
		return b.err
	}
	if b.done == nil {
		b.done = make(chan struct{})
	}
	done := b.done
	q.mu.Unlock()
	select {
	case <-done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rest reports whether nothing waits; then whoever adds the next record has to have the queue served.
func (q *queue) rest() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awake = q.filling != nil || len(q.full) > 0
	return !q.awake
}

// finish tells everybody who waits for a batch how it went. If a callback panics, finishing the batch again tells those
// that weren't told yet.
func (q *queue) finish(b *batch, err error) {
	b.err = err
	for len(b.calls) > 0 {
		c := b.calls[0]
		b.calls = b.calls[1:]
		if err != nil {
			c.done(0, err)
		} else {
			c.done(c.first, nil)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b.finished = true
	if b.done != nil {
		close(b.done)
	}
	q.bytes -= b.size
	q.admitAgain()
	if len(q.free) < 2 && cap(b.buf) <= 2*q.l.o.MaxBatchBytes {
		q.free = append(q.free, b.buf)
	}
	b.buf = nil
}

// fail finishes b and everything that waits with err, because positions after b's can't be given any more. next is the
// position that the next record gets. A poisoned queue refuses from now on.
func (q *queue) fail(b *batch, err error, next Position, poison bool) {
	q.mu.Lock()
	waiting := q.full
	if q.filling != nil {
		waiting = append(waiting, q.filling)
	}
	q.full, q.filling = nil, nil
	q.next = next
	if poison && q.failed == nil {
		q.failed = err
	}
	if poison {
		err = fmt.Errorf("%w: %w", ErrPoisoned, err)
	}
	q.mu.Unlock()
	if b != nil {
		q.finish(b, err)
	}
	for _, w := range waiting {
		q.finish(w, err)
	}
}

// admitAgain lets those that wait look again. mu is held.
func (q *queue) admitAgain() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// pause keeps records out of the queue, or lets them in again.
func (q *queue) pause(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = on
	if !on {
		q.admitAgain()
	}
}

// crowd keeps records out while there is no room for another segment.
func (q *queue) crowd(on bool, why BackpressureKind) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.crowded && !on {
		q.admitAgain()
	}
	q.crowded, q.reason = on, why
}

// resume sets the position of the next record after a task that ended with err.
func (q *queue) resume(next Position, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = next
	if q.filling != nil { // a Sync that came meanwhile; it has no records
		q.filling.first = next
	}
	if err != nil && !errors.Is(err, errRefused) {
		q.failed = err
	}
}

func (q *queue) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.admitAgain()
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
