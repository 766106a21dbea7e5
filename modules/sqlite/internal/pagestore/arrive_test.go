package pagestore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// shared is a log that several servers write: what is proposed waits until the test says what became of it.
type shared struct {
	epoch   uint64
	waiting []offered
}

type offered struct {
	rec  []byte
	done func(uint64, error)
}

func (l *shared) Admit(context.Context, int) error { return nil }
func (l *shared) Epoch() (uint64, error)           { return l.epoch, nil }
func (l *shared) Propose(_ context.Context, rec []byte, _ func(), done func(uint64, error)) {
	l.waiting = append(l.waiting, offered{rec, done})
}

// member is a server's store on such a log, with one transaction of an earlier leadership.
func member(t *testing.T) (*Store, *shared) {
	t.Helper()
	l := &shared{epoch: 5}
	s := New(Options{Identity: identity, Log: l, Arrives: true, TxnMemory: 1 << 20, Changed: func() {}, Dropped: func(error) {}}, pagefile.Empty())
	arrive(t, s, 1, 4, change1(record.Header{TXID: 1, Epoch: 4}, page.State{}, nil, fill(1)), Done)
	return s, l
}

func arrive(t *testing.T, s *Store, pos, epoch uint64, rec []byte, want Applied) {
	t.Helper()
	if got, err := s.Arrive(pos, epoch, rec); got != want || err != nil {
		t.Fatalf("position %d: got %v, %v", pos, got, err)
	}
}

// sized is fill with SQLite's field for the page size, which a commit looks at.
func sized(b byte) []byte {
	p := fill(b)
	p[16], p[17] = 512>>8, 512&0xff
	return p
}

// write commits page 1 with other bytes, on the executed head.
func write(t *testing.T, s *Store, b byte) *Pending {
	t.Helper()
	if err := s.AcquireWriter(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	var sn Snapshot
	if err := s.Pin(&sn, true); err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	o := s.Overlay(&sn)
	defer o.Close()
	if err := o.put(1, sized(b)); err != nil {
		t.Fatal(err)
	}
	p, err := s.Commit(t.Context(), &sn, o, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// outcome is what a waiter has heard; waiting is nothing.
var errWaits = errors.New("it waits")

func outcome(p *Pending) error {
	select {
	case err := <-p.done:
		return err
	default:
		return errWaits
	}
}

func TestWhatIsCommittedByALogOfSeveralServersArrives(t *testing.T) {
	heads := func(t *testing.T, s *Store, executed, committed page.TXID) {
		t.Helper()
		if h := s.Heads(); h.Executed.TXID != executed || h.Committed.TXID != committed {
			t.Fatalf("executed %d, committed %d", h.Executed.TXID, h.Committed.TXID)
		}
	}
	t.Run("a store recognises its own transactions, one behind the other", func(t *testing.T) {
		s, l := member(t)
		a, b := write(t, s, 2), write(t, s, 3)
		heads(t, s, 3, 1)
		arrive(t, s, 2, 5, l.waiting[0].rec, Done)
		if outcome(a) != nil || outcome(b) != errWaits {
			t.Fatal("the wrong one heard")
		}
		l.waiting[0].done(2, nil)
		arrive(t, s, 3, 5, l.waiting[1].rec, Done)
		if err := outcome(b); err != nil {
			t.Fatal(err)
		}
		heads(t, s, 3, 3)
	})
	t.Run("another leader's transaction takes the place of those that wait", func(t *testing.T) {
		s, _ := member(t)
		a, b := write(t, s, 2), write(t, s, 3)
		st := s.Heads().Committed
		arrive(t, s, 2, 6, change1(record.Header{TXID: 2, Prev: 1, Epoch: 6}, st, fill(1), fill(9)), Done)
		heads(t, s, 2, 2)
		for _, p := range []*Pending{a, b} {
			if err := outcome(p); !errors.Is(err, ErrNotCommitted) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("what was dropped at the end of a leadership is committed if the next leader has it", func(t *testing.T) {
		s, l := member(t)
		a, b := write(t, s, 2), write(t, s, 3)
		s.DropSpeculative()
		heads(t, s, 1, 1)
		if outcome(a) != errWaits {
			t.Fatal("it can't be known yet")
		}
		arrive(t, s, 2, 5, l.waiting[0].rec, Done)
		if err := outcome(a); err != nil {
			t.Fatal(err)
		}
		heads(t, s, 2, 2)
		st := s.Heads().Committed
		arrive(t, s, 3, 6, change1(record.Header{TXID: 3, Prev: 2, Epoch: 6}, st, sized(2), fill(9)), Done)
		if err := outcome(b); !errors.Is(err, ErrNotCommitted) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a record that the log took under another leadership is passed over", func(t *testing.T) {
		s, l := member(t)
		a := write(t, s, 2)
		arrive(t, s, 2, 6, l.waiting[0].rec, Passed)
		l.waiting[0].done(2, nil)
		if err := outcome(a); !errors.Is(err, ErrNotCommitted) {
			t.Fatalf("got %v", err)
		}
		heads(t, s, 1, 1)
	})
	t.Run("who waits too long hears that it isn't known", func(t *testing.T) {
		s, _ := member(t)
		a := write(t, s, 2)
		s.DropSpeculative()
		s.GiveUp(errors.New("no leader was seen"))
		if err := outcome(a); !errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrNotCommitted) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a refused proposal drops what stands on it", func(t *testing.T) {
		s, l := member(t)
		a, b := write(t, s, 2), write(t, s, 3)
		l.waiting[0].done(0, ErrNotCommitted)
		if err := outcome(a); !errors.Is(err, ErrNotCommitted) {
			t.Fatalf("got %v", err)
		}
		heads(t, s, 1, 1)
		// The second one is in the log, and follows nothing.
		arrive(t, s, 2, 5, l.waiting[1].rec, Passed)
		if err := outcome(b); !errors.Is(err, ErrNotCommitted) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("readers of a dropped state have to run again", func(t *testing.T) {
		s, _ := member(t)
		write(t, s, 2)
		epoch := s.Heads().Rollback
		gate := make(chan error, 1)
		go func() { gate <- s.WaitCommitted(context.Background(), 2, epoch) }()
		for s.waits() == 0 {
			time.Sleep(time.Millisecond)
		}
		s.DropSpeculative()
		if err := <-gate; !errors.Is(err, ErrSerialization) {
			t.Fatalf("got %v", err)
		}
	})
}

func (s *Store) waits() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.waiters)
}
