package sqlite_test

import (
	"context"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite"
)

// heldLog is a log in memory that answers proposals when the test says so.
type heldLog struct {
	mu       sync.Mutex
	epoch    uint64
	refuse   error // what Epoch and Lead answer
	records  []heldRecord
	waiting  []heldProposal
	hold     bool
	proposed int
	watchers []func(sqlite.LogEvent)
	covered  map[sqlite.SegmentID]sqlite.Position
}

type heldRecord struct {
	seg sqlite.SegmentID
	rec []byte
}

type heldProposal struct {
	heldRecord
	done func(sqlite.Position, error)
}

func newHeldLog() *heldLog { return &heldLog{covered: map[sqlite.SegmentID]sqlite.Position{}} }

func (l *heldLog) Lead(_ context.Context, atLeast uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return 0, l.refuse
	}
	l.epoch = max(l.epoch, atLeast) + 1
	return l.epoch, nil
}

func (l *heldLog) Epoch() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch, l.refuse
}

func (l *heldLog) Admit(ctx context.Context, _ int) error { return ctx.Err() }

func (l *heldLog) Propose(_ context.Context, seg sqlite.SegmentID, rec []byte, done func(sqlite.Position, error)) {
	l.mu.Lock()
	l.proposed++
	l.waiting = append(l.waiting, heldProposal{heldRecord{seg, slices.Clone(rec)}, done})
	hold := l.hold
	l.mu.Unlock()
	if !hold {
		go l.commit(1)
	}
}

// setHold makes proposals wait, or answers them all.
func (l *heldLog) setHold(hold bool) {
	l.mu.Lock()
	l.hold = hold
	l.mu.Unlock()
	if !hold {
		l.commit(1 << 30)
	}
}

// commit answers the n oldest proposals.
func (l *heldLog) commit(n int) {
	l.answer(n, nil, true)
}

// fail answers the n oldest proposals with err; keep says whether they are in the log all the same.
func (l *heldLog) fail(n int, err error, keep bool) { l.answer(n, err, keep) }

var answering sync.Mutex // answers leave in order

func (l *heldLog) answer(n int, err error, keep bool) {
	answering.Lock()
	defer answering.Unlock()
	for range n {
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.mu.Unlock()
			return
		}
		p := l.waiting[0]
		l.waiting = l.waiting[1:]
		if keep {
			l.records = append(l.records, p.heldRecord)
		}
		pos := sqlite.Position(len(l.records))
		l.mu.Unlock()
		p.done(pos, err)
	}
}

func (l *heldLog) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

func (l *heldLog) Committed() sqlite.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sqlite.Position(len(l.records))
}

func (l *heldLog) Replay(_ context.Context, from sqlite.Position, fn func(sqlite.Position, sqlite.SegmentID, []byte) error) error {
	l.mu.Lock()
	records := slices.Clone(l.records)
	l.mu.Unlock()
	for i := max(from, 1); int(i) <= len(records); i++ {
		r := records[i-1]
		if err := fn(i, r.seg, slices.Clone(r.rec)); err != nil {
			return err
		}
	}
	return nil
}

func (l *heldLog) Checkpointed(seg sqlite.SegmentID, upTo sqlite.Position) {
	l.mu.Lock()
	l.covered[seg] = upTo
	l.mu.Unlock()
}

func (l *heldLog) Forget(sqlite.SegmentID) {}

func (l *heldLog) Watch(fn func(sqlite.LogEvent)) func() {
	l.mu.Lock()
	l.watchers = append(l.watchers, fn)
	l.mu.Unlock()
	return func() {}
}

// lose ends the leadership: nothing is accepted, and the watchers are told.
func (l *heldLog) lose(err error) {
	l.mu.Lock()
	l.refuse = err
	e := sqlite.LogEvent{Epoch: l.epoch, Err: err}
	watchers := slices.Clone(l.watchers)
	l.mu.Unlock()
	for _, fn := range watchers {
		fn(e)
	}
}

// regain begins a new leadership.
func (l *heldLog) regain() {
	l.mu.Lock()
	l.refuse = nil
	l.epoch++
	l.mu.Unlock()
}

func (l *heldLog) Close() error {
	l.setHold(false)
	return nil
}
