// Package logtest has the contract of sqlite.Log as tests. Every implementation must pass them.
//
//	func TestContract(t *testing.T) {
//		logtest.Run(t, func(t *testing.T, dir string) sqlite.Log { … })
//	}
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
)

// Open opens the log in a folder, with what an earlier opening left there. It leads, or can.
type Open func(t *testing.T, dir string) sqlite.Log

// Run runs the contract tests.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Open){
		"epochs rise with every leadership, also over an opening":         epochsRise,
		"answers come once and in the order of the proposals":             answersInOrder,
		"what was answered is replayed, in order, from any position":      replay,
		"what was answered is there after an opening":                     survives,
		"records of all sizes come back as they were":                     sizes,
		"a segment that needs its records keeps them":                     keepsWhatIsNeeded,
		"a checkpointed segment doesn't keep the head, however idle":      dropsWhatIsNot,
		"proposals at closing time get an answer, and a true one":         closing,
		"admission ends with the context and proposing doesn't need room": admission,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func opened(t *testing.T, open Open, dir string) sqlite.Log {
	t.Helper()
	l := open(t, dir)
	t.Cleanup(func() { l.Close() })
	if err := l.Replay(t.Context(), 0, func(sqlite.Position, sqlite.SegmentID, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Lead(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return l
}

// entry is a record with what became of it.
type entry struct {
	seg sqlite.SegmentID
	rec []byte
	pos sqlite.Position
}

// propose hands over records and waits for all answers, which must be good and in order.
func propose(t *testing.T, l sqlite.Log, entries []*entry) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	last := map[sqlite.SegmentID]sqlite.Position{}
	for i, e := range entries {
		if err := l.Admit(t.Context(), len(e.rec)); err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		l.Propose(t.Context(), e.seg, e.rec, func(p sqlite.Position, err error) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			if err != nil || p <= last[e.seg] {
				t.Errorf("proposal %d of segment %d: position %d after %d, %v", i, e.seg, p, last[e.seg], err)
			}
			last[e.seg] = p
			e.pos = p
		})
	}
	wg.Wait()
}

func some(n int, segments uint64) []*entry {
	list := make([]*entry, n)
	for i := range list {
		list[i] = &entry{seg: sqlite.SegmentID(uint64(i) % segments), rec: fmt.Appendf(nil, "record %d", i)}
	}
	return list
}

// same checks that Replay gives exactly these.
func same(t *testing.T, l sqlite.Log, from sqlite.Position, want []*entry) {
	t.Helper()
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b *entry) int { return int(a.pos) - int(b.pos) })
	i := 0
	err := l.Replay(t.Context(), from, func(pos sqlite.Position, seg sqlite.SegmentID, rec []byte) error {
		if i >= len(want) {
			return fmt.Errorf("record at %d is too many", pos)
		}
		if w := want[i]; pos != w.pos || seg != w.seg || !bytes.Equal(rec, w.rec) {
			return fmt.Errorf("record at %d of segment %d, %d bytes; want %d of %d, %d bytes", pos, seg, len(rec), w.pos, w.seg, len(w.rec))
		}
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Fatalf("replayed %d of %d: %v", i, len(want), err)
	}
}

func epochsRise(t *testing.T, open Open) {
	dir := t.TempDir()
	var last uint64
	for range 3 {
		l := opened(t, open, dir)
		e, err := l.Epoch()
		if err != nil || e <= last {
			t.Fatalf("epoch %d after %d, %v", e, last, err)
		}
		last = e + 1000
		if e, err := l.Lead(t.Context(), last-1); err != nil || e < last {
			t.Fatalf("epoch %d, %v", e, err)
		} else {
			last = e
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func answersInOrder(t *testing.T, open Open) {
	l := opened(t, open, t.TempDir())
	var wg sync.WaitGroup
	for seg := range sqlite.SegmentID(4) {
		wg.Go(func() {
			entries := some(200, 1)
			for _, e := range entries {
				e.seg = seg + 1
			}
			propose(t, l, entries)
		})
	}
	wg.Wait()
	if l.Committed() == 0 {
		t.Fatal("nothing is committed")
	}
}

func replay(t *testing.T, open Open) {
	l := opened(t, open, t.TempDir())
	entries := some(100, 3)
	propose(t, l, entries)
	same(t, l, 0, entries)
	slices.SortFunc(entries, func(a, b *entry) int { return int(a.pos) - int(b.pos) })
	same(t, l, entries[40].pos, entries[40:])
	same(t, l, l.Committed()+1, nil)
	stop := errors.New("stop")
	if err := l.Replay(t.Context(), 0, func(sqlite.Position, sqlite.SegmentID, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
}

func survives(t *testing.T, open Open) {
	dir := t.TempDir()
	var all []*entry
	for range 3 {
		l := opened(t, open, dir)
		same(t, l, 0, all)
		more := some(50, 2)
		propose(t, l, more)
		all = append(all, more...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func sizes(t *testing.T, open Open) {
	dir := t.TempDir()
	l := opened(t, open, dir)
	var entries []*entry
	for _, n := range []int{1, 2, 127, 128, 4095, 4096, 65536, 1 << 20, 1<<20 + 70_000} {
		entries = append(entries, &entry{seg: 300, rec: bytes.Repeat([]byte{byte(n)}, n)})
	}
	propose(t, l, entries)
	same(t, l, 0, entries)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, opened(t, open, dir), 0, entries)
}

func keepsWhatIsNeeded(t *testing.T, open Open) {
	dir := t.TempDir()
	l := opened(t, open, dir)
	entries := some(40, 2)
	propose(t, l, entries)
	l.Checkpointed(1, l.Committed())
	more := some(40, 1)
	for _, e := range more {
		e.seg = 1
		e.rec = bytes.Repeat(e.rec, 1000)
	}
	propose(t, l, more)
	l.Checkpointed(1, l.Committed())
	got := 0
	count := func(l sqlite.Log) {
		t.Helper()
		got = 0
		if err := l.Replay(t.Context(), 0, func(_ sqlite.Position, seg sqlite.SegmentID, _ []byte) error {
			if seg == 0 {
				got++
			}
			return nil
		}); err != nil || got != 20 {
			t.Fatalf("%d records of the segment that needs 20, %v", got, err)
		}
	}
	count(l)
	l.Close()
	count(opened(t, open, dir))
}

func dropsWhatIsNot(t *testing.T, open Open) {
	l := opened(t, open, t.TempDir())
	head, ok := l.(sqlite.HeadLog)
	if !ok {
		t.Skip("the log does not tell where its head is")
	}
	entries := some(2, 1)
	propose(t, l, entries)
	l.Checkpointed(0, l.Committed())
	first, _ := head.Head()
	deadline := time.Now().Add(20 * time.Second)
	for {
		big := &entry{seg: 1, rec: make([]byte, 64<<10)}
		propose(t, l, []*entry{big})
		l.Checkpointed(1, big.pos)
		if now, _ := head.Head(); now > first+2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the head never goes")
		}
	}
}

func closing(t *testing.T, open Open) {
	dir := t.TempDir()
	l := opened(t, open, dir)
	entries := some(300, 1)
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := map[string]bool{}
	for i, e := range entries {
		wg.Add(1)
		l.Propose(t.Context(), e.seg, e.rec, func(_ sqlite.Position, err error) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				good[string(e.rec)] = true
			case errors.Is(err, sqlite.ErrNotCommitted):
				good[string(e.rec)] = false
			}
		})
		if i == 200 {
			go l.Close()
		}
	}
	wg.Wait()
	l.Close()
	found := map[string]bool{}
	if err := opened(t, open, dir).Replay(t.Context(), 0, func(_ sqlite.Position, _ sqlite.SegmentID, rec []byte) error {
		found[string(rec)] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for rec, ok := range good {
		if ok != found[rec] {
			t.Errorf("%s: the answer was committed=%v, found %v", rec, ok, found[rec])
		}
	}
}

func admission(t *testing.T, open Open) {
	l := opened(t, open, t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	done := make(chan struct{})
	var wg sync.WaitGroup
	go func() {
		defer close(done)
		// More than fits: Propose must not block all the same.
		for range 64 {
			wg.Add(1)
			l.Propose(t.Context(), 1, make([]byte, 1<<20), func(sqlite.Position, error) { wg.Done() })
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Propose blocks")
	}
	cancel(why)
	if err := l.Admit(ctx, 1<<30); err != nil && !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	wg.Wait()
	if err := l.Admit(t.Context(), 1<<30); err != nil {
		t.Fatalf("an empty log must admit anything: %v", err)
	}
}
