package pagestore

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

var identity = pagefile.Identity{Database: page.ID{1}, Lineage: 7}

func replica() *Store {
	return New(Options{Identity: identity, TxnMemory: 1 << 20, Changed: func() {}, Dropped: func(error) {}}, pagefile.Empty())
}

// change1 is a record that sets page 1 of a one-page database.
func change1(h record.Header, st page.State, before, after []byte) []byte {
	h.Database, h.Lineage, h.Size = identity.Database, identity.Lineage, 512
	var w record.Writer
	w.Begin(h)
	w.Page(1, after, before)
	sum := st.Checksum ^ page.Sum(1, after)
	if before != nil {
		sum ^= page.Sum(1, before)
	}
	return w.Finish(record.Commit{Pages: 1, PrevChecksum: st.Checksum, Checksum: sum})
}

func fill(b byte) []byte { return bytes.Repeat([]byte{b}, 512) }

func TestApply(t *testing.T) {
	one := func(t *testing.T) (*Store, page.State) {
		s := replica()
		rec := change1(record.Header{TXID: 1, Epoch: 5, Time: 10}, page.State{}, nil, fill(1))
		if got, err := s.Apply(1, rec); got != Done || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		return s, s.Heads().Committed
	}
	expect := func(t *testing.T, s *Store, want page.State) {
		t.Helper()
		if h := s.Heads(); h.Committed != want || h.Executed != want {
			t.Fatalf("the state moved to %+v", h)
		}
	}
	t.Run("the next record is applied", func(t *testing.T) {
		s, st := one(t)
		got, err := s.Apply(2, change1(record.Header{TXID: 2, Prev: 1, Epoch: 5}, st, fill(1), fill(2)))
		if got != Done || err != nil || s.Heads().Committed.TXID != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
		var sn Snapshot
		if err := s.Pin(&sn, false); err != nil {
			t.Fatal(err)
		}
		defer sn.Release()
		b := make([]byte, 3)
		if err := sn.Read(context.Background(), 1, b, 100); err != nil || b[0] != 2 {
			t.Fatalf("got %v, %v", b, err)
		}
	})
	t.Run("a record that the store has is old", func(t *testing.T) {
		s, st := one(t)
		got, err := s.Apply(1, change1(record.Header{TXID: 1, Epoch: 5, Time: 10}, page.State{}, nil, fill(1)))
		if got != Old || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		expect(t, s, st)
	})
	t.Run("a record that does not follow is passed over", func(t *testing.T) {
		for name, h := range map[string]record.Header{
			"another previous transaction": {TXID: 3, Prev: 2, Epoch: 5},
			"the same number again":        {TXID: 1, Prev: 0, Epoch: 6},
			"an older epoch":               {TXID: 2, Prev: 1, Epoch: 4},
			"a gap in numbers":             {TXID: 3, Prev: 1, Epoch: 5},
		} {
			s, st := one(t)
			got, err := s.Apply(2, change1(h, st, fill(1), fill(2)))
			if got != Passed || err != nil {
				t.Fatalf("%s: got %v, %v", name, got, err)
			}
			expect(t, s, st)
		}
	})
	t.Run("a record of another leadership is applied if it follows", func(t *testing.T) {
		s, st := one(t)
		if got, err := s.Apply(9, change1(record.Header{TXID: 2, Prev: 1, Epoch: 6}, st, fill(1), fill(2))); got != Done || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
	})
	t.Run("a record that leads elsewhere is divergence", func(t *testing.T) {
		s, st := one(t)
		// Made on another content of page 1.
		rec := change1(record.Header{TXID: 2, Prev: 1, Epoch: 5}, st, append(fill(1)[:511], 9), append(fill(2)[:511], 9))
		if _, err := s.Apply(2, rec); !errors.Is(err, ErrDiverged) {
			t.Fatalf("got %v", err)
		}
		expect(t, s, st)
		other := st
		other.Checksum++
		if _, err := s.Apply(2, change1(record.Header{TXID: 2, Prev: 1, Epoch: 5}, other, fill(1), fill(2))); !errors.Is(err, ErrDiverged) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a record of another database or lineage is refused", func(t *testing.T) {
		s, st := one(t)
		h := record.Header{Database: page.ID{2}, Lineage: identity.Lineage, Size: 512, TXID: 2, Prev: 1, Epoch: 5}
		var w record.Writer
		w.Begin(h)
		if _, err := s.Apply(2, w.Finish(record.Commit{})); !errors.Is(err, ErrForeign) {
			t.Fatalf("got %v", err)
		}
		expect(t, s, st)
	})
	t.Run("parts make one transaction", func(t *testing.T) {
		s, st := one(t)
		first, last := twoParts(st, 5)
		if got, err := s.Apply(2, first); got != Part || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		expect(t, s, st)
		if got, err := s.Apply(3, last); got != Done || err != nil || s.Heads().Committed.Pages != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
	})
	t.Run("parts without their end are discarded by what comes next", func(t *testing.T) {
		s, st := one(t)
		first, last := twoParts(st, 5)
		if got, err := s.Apply(2, first); got != Part || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		if got, err := s.Apply(3, change1(record.Header{TXID: 2, Prev: 1, Epoch: 6}, st, fill(1), fill(2))); got != Done || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		if got, err := s.Apply(4, last); got != Passed || err != nil {
			t.Fatalf("the late end: got %v, %v", got, err)
		}
	})
	t.Run("parts of two leaderships don't mix", func(t *testing.T) {
		s, st := one(t)
		first, _ := twoParts(st, 5)
		_, last := twoParts(st, 6)
		if _, err := s.Apply(2, first); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Apply(3, last); got != Passed || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		expect(t, s, st)
	})
	t.Run("bytes that are no record are an error", func(t *testing.T) {
		s, st := one(t)
		if _, err := s.Apply(2, []byte("garbage")); !errors.Is(err, record.ErrCorrupt) {
			t.Fatalf("got %v", err)
		}
		expect(t, s, st)
	})
}

func twoParts(st page.State, epoch uint64) (first, last []byte) {
	var w record.Writer
	w.Begin(record.Header{Database: identity.Database, Lineage: identity.Lineage, Size: 512, TXID: 2, Prev: 1, Epoch: epoch})
	w.Page(1, fill(3), fill(1))
	first = w.Part()
	w.Page(2, fill(4), nil)
	return first, w.Finish(record.Commit{Pages: 2, PrevChecksum: st.Checksum,
		Checksum: st.Checksum ^ page.Sum(1, fill(1)) ^ page.Sum(1, fill(3)) ^ page.Sum(2, fill(4))})
}

func TestAGivenUpWaitLeavesTheQueue(t *testing.T) {
	s := replica()
	ctx := context.Background()
	if err := s.AcquireWriter(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.AcquireWriter(ctx, 0); !errors.Is(err, ErrLockTimeout) {
		t.Fatalf("got %v", err)
	}
	if err := s.AcquireWriter(ctx, 1); !errors.Is(err, ErrLockTimeout) || s.Stats().Writers != 0 {
		t.Fatalf("got %v, %d wait", err, s.Stats().Writers)
	}
	s.ReleaseWriter()
	if s.WriterTaken() {
		t.Fatal("the place went to somebody who had given up")
	}
}
