package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

func rename(name string) func(*Manifest) error {
	return func(m *Manifest) error { m.Name = name; return nil }
}

func TestAWriterOfALaterEpochStopsTheOlder(t *testing.T) {
	f := newFixture(t, 1, true, objstore.NewMemory())
	if _, _, err := f.space.Load(t.Context()); !errors.Is(err, ErrNoBackup) {
		t.Fatal(err)
	}
	a := f.writer(3)
	if err := a.Commit(t.Context(), rename("a")); err != nil {
		t.Fatal(err)
	}
	b := f.writer(5)
	if b.Manifest().Name != "a" {
		t.Error("it doesn't go on from the manifest before")
	}
	var fenced *FencedError
	if err := a.Commit(t.Context(), rename("late")); !errors.As(err, &fenced) || *fenced != (FencedError{3, 5}) || !errors.Is(err, ErrFenced) {
		t.Errorf("a deposed writer: %v", err)
	}
	f.commit()
	if _, err := a.PutLog(t.Context(), f.log(1, 1)); !errors.Is(err, ErrFenced) {
		t.Errorf("it goes on putting: %v", err)
	}
	if _, err := a.Collect(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("it goes on deleting: %v", err)
	}
	if _, err := f.space.Writer(t.Context(), 4); !errors.As(err, &fenced) || *fenced != (FencedError{4, 5}) {
		t.Errorf("an older epoch: %v", err)
	}
	c := f.writer(5) // the same leadership in another process
	if err := b.Commit(t.Context(), rename("b")); !errors.Is(err, ErrFenced) {
		t.Errorf("two writers of one epoch: %v", err)
	}
	if err := c.Commit(t.Context(), rename("c")); err != nil {
		t.Error(err)
	}
}

func TestAChangeThatFailsLeavesEverythingAsItWas(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	w := f.writer(1)
	before := w.Manifest().Sequence
	no := errors.New("no")
	for name, change := range map[string]func(*Manifest) error{
		"an error":          func(*Manifest) error { return no },
		"an impossible key": func(m *Manifest) error { m.AddLog(logOf(1, 2)); m.Logs[0].Key = "x"; return nil },
		"another epoch":     func(m *Manifest) error { m.Epoch = 9; return nil },
		"another sequence":  func(m *Manifest) error { m.Sequence++; return nil },
		"garbage comes back": func(m *Manifest) error {
			m.AddLog(logOf(1, 2))
			m.Garbage = []Garbage{{Key: m.Logs[0].Key}}
			return nil
		},
	} {
		if err := w.Commit(t.Context(), change); err == nil || name == "an error" && !errors.Is(err, no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, _, err := f.space.Load(t.Context()); err != nil || m.Sequence != before {
		t.Errorf("the manifest was replaced: %v", err)
	}
	if err := w.Commit(t.Context(), rename("x")); err != nil {
		t.Error(err)
	}
}

// manifestPuts decides on the puts of manifests, which are counted from 0.
func manifestPuts(b objstore.Bucket, fault func(n int) faulty.Fault) *faulty.Bucket {
	n := -1
	var mu sync.Mutex
	return faulty.New(b, func(c faulty.Call) faulty.Fault {
		mu.Lock()
		defer mu.Unlock()
		if c.Op != "put" || !strings.HasSuffix(c.Key, "/"+manifestName) {
			return faulty.Fault{}
		}
		n++
		return fault(n)
	})
}

func TestALostAnswerToASwapIsNoticed(t *testing.T) {
	lost := func(int) faulty.Fault { return faulty.Fault{After: objstore.ErrUnavailable} }
	for name, bucket := range map[string]objstore.Bucket{
		"as it is": manifestPuts(objstore.NewMemory(), lost),
		// The second attempt is refused, because the first has replaced the manifest.
		"with retries": objstore.Retry(manifestPuts(objstore.NewMemory(), lost), objstore.RetryOptions{Sleep: func(context.Context, time.Duration) error { return nil }}),
	} {
		f := newFixture(t, 1, false, bucket)
		w := f.writer(1)
		times := 0
		for i := range 5 {
			err := w.Commit(t.Context(), func(m *Manifest) error { times++; m.Name += fmt.Sprint(i); return nil })
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if m, _, err := f.space.Load(t.Context()); err != nil || m.Name != "01234" || times != 5 {
			t.Errorf("%s: %q after %d calls (%v)", name, m.Name, times, err)
		}
	}
}

func TestASwapThatFailsOrIsCancelledCanBeTriedAgain(t *testing.T) {
	f := newFixture(t, 1, false, manifestPuts(objstore.NewMemory(), func(n int) faulty.Fault {
		if n == 1 {
			return faulty.Fault{Before: objstore.ErrUnavailable}
		}
		return faulty.Fault{}
	}))
	w := f.writer(1)
	if err := w.Commit(t.Context(), rename("a")); !errors.Is(err, objstore.ErrUnavailable) {
		t.Fatal(err)
	}
	if w.Manifest().Name != "" || w.Stopped() != nil {
		t.Error("it counts as done")
	}
	if err := w.Commit(t.Context(), rename("b")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Commit(ctx, rename("c")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := w.Commit(t.Context(), func(m *Manifest) error { m.Name += "d"; return nil }); err != nil || w.Manifest().Name != "bd" {
		t.Errorf("%q (%v)", w.Manifest().Name, err)
	}
}

// A request that was given up comes through later: before the next one, or after it.
func TestALateSwapDoesNoHarm(t *testing.T) {
	for _, when := range []string{"before", "while", "after"} {
		mem := objstore.NewMemory()
		f := newFixture(t, 1, false, mem)
		b := newWatched(t, mem, f.space, 1)
		f.o.Bucket = b
		w, err := Open(f.o).Writer(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		b.force = later
		if err := w.Commit(t.Context(), func(m *Manifest) error { m.Name += "a"; return nil }); !errors.Is(err, objstore.ErrUnavailable) {
			t.Fatal(err)
		}
		b.mu.Lock()
		late := b.late
		b.late, b.force = nil, fine
		b.mu.Unlock()
		run := func() {
			for _, l := range late {
				l()
			}
		}
		if when == "before" {
			run()
		}
		calls := 0
		err = w.Commit(t.Context(), func(m *Manifest) error {
			if calls++; calls == 1 && when == "while" {
				run()
			}
			m.Name += "b"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "ab"
		if when == "after" {
			want = "b"
			run()
		}
		if m, _, err := f.space.Load(t.Context()); err != nil || m.Name != want || w.Manifest().Name != want {
			t.Errorf("%s: %q (%v)", when, m.Name, err)
		}
	}
}

// Two writers race, with answers that are lost and requests that come late. Whatever happens, each manifest names only
// what is there, epochs don't go back, and nothing that is named is deleted.
func TestADeposedWriterDoesNoDamage(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			mem := objstore.NewMemory()
			f := newFixture(t, seed, seed%2 == 0, mem)
			for range 40 {
				f.commit()
			}
			b := newWatched(t, mem, f.space, seed)
			b.rate = 15
			f.o.Bucket = b
			f.o.Grace = time.Minute
			var wg sync.WaitGroup
			for n := range 3 {
				rng := rand.New(rand.NewPCG(seed, uint64(n)))
				wg.Go(func() {
					for life := range 3 {
						raceWriter(f, rng, uint64(1+n+2*life))
					}
				})
			}
			wg.Wait()
			b.settle()
			w := f.writer(100)
			f.verified(f.space)
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.clock.Add(time.Hour)
			if _, err := w.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.clock.Add(tombstone)
			if _, err := w.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.verified(f.space)
			onlyNamed(t, f, w)
		})
	}
}

// onlyNamed checks that the bucket has what the manifest names and nothing else.
func onlyNamed(t testing.TB, f *fixture, w *Writer) {
	t.Helper()
	names := w.Manifest().names()
	for info, err := range f.space.Objects().List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if folderOf(info.Key) != "" && folderOf(info.Key) != "pins" && !has(names, info.Key) {
			t.Errorf("%s is left over", info.Key)
		}
	}
	if n := len(w.Manifest().Garbage); n > 0 {
		t.Errorf("%d entries of garbage are left: %+v", n, w.Manifest().Garbage)
	}
}

// raceWriter does what a leader does, until it is deposed.
func raceWriter(f *fixture, rng *rand.Rand, epoch uint64) {
	ctx := context.Background()
	w, err := Open(f.o).Writer(ctx, epoch)
	if err != nil {
		return
	}
	for range 25 {
		if w.Stopped() != nil {
			return
		}
		m := w.Manifest()
		switch rng.IntN(8) {
		case 0, 1, 2:
			first := m.newestObject() + 1
			last := min(first+page.TXID(rng.IntN(4)), 40)
			if first > last {
				continue
			}
			o, err := f.pages(w, first, last, []Purpose{PurposeUpload, PurposeIncremental}[rng.IntN(2)])
			if err != nil {
				continue
			}
			_ = w.Commit(ctx, func(m *Manifest) error {
				if m.newestObject() >= o.Max {
					return errors.New("it is there already")
				}
				m.Add(o)
				return nil
			})
		case 3:
			first := page.TXID(1)
			for _, l := range m.Logs {
				first = max(first, l.Last+1)
			}
			last := min(first+page.TXID(rng.IntN(6)), 40)
			if first > last {
				continue
			}
			l, err := w.PutLog(ctx, f.log(first, last))
			if err != nil {
				continue
			}
			_ = w.Commit(ctx, func(m *Manifest) error { m.AddLog(l); return nil })
		case 4:
			if g := NextMerge(m, Policy{Chain: 2, LogObjects: 2, FullBytes: 1}); g != nil {
				_ = w.Merge(ctx, g, MergeOptions{})
			}
		case 5:
			_, _, _ = w.Expire(ctx, Retention{Last: 1, Log: -1})
		case 6:
			f.clock.Add(time.Minute)
			_, _ = w.Collect(ctx)
		case 7:
			_, _ = w.Sweep(ctx)
		}
	}
}

// After a crash at any request, a new writer finds a whole backup, goes on, and leaves nothing behind.
func TestACrashAtAnyRequestLeavesAWholeBackup(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		for n := 1; ; n += 1 + n/25 {
			mem := objstore.NewMemory()
			f := newFixture(t, 11, sealed, mem)
			for range 40 {
				f.commit()
			}
			clean := f.space
			b := newWatched(t, mem, clean, uint64(n))
			b.stop = n
			f.o.Bucket, f.o.Grace = b, time.Minute
			done, committed := scenario(f, Open(f.o))
			b.settle()
			w := f.writer(50)
			f.verified(clean)
			if committed > 0 {
				f.restored(clean, Target{TXID: committed}, committed)
			}
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				f.clock.Add(tombstone)
				if _, err := w.Collect(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			onlyNamed(t, f, w)
			f.verified(clean)
			if committed > 0 {
				f.restored(clean, Target{TXID: committed}, committed)
			}
			if done {
				t.Logf("sealed=%v: %d requests", sealed, n)
				break
			}
			if t.Failed() {
				t.Fatalf("sealed=%v, crash at request %d", sealed, n)
			}
		}
	}
}

// scenario is some of everything. It returns the newest transaction that a commit has confirmed.
func scenario(f *fixture, s *Space) (done bool, committed page.TXID) {
	ctx := f.t.Context()
	w, err := s.Writer(ctx, 1)
	if err != nil {
		return false, 0
	}
	for id := page.TXID(1); id <= 40; id += 4 {
		first := w.Manifest().newestObject() + 1
		if f.putPages(w, first, id+1, PurposeUpload) != nil {
			return
		}
		if f.putLog(w, id, id+3) != nil {
			return
		}
		committed = id + 3
		if id%8 == 1 && f.putPages(w, id+2, id+3, PurposeIncremental) != nil {
			return
		}
		for {
			g := NextMerge(w.Manifest(), Policy{Chain: 3, LogObjects: 3, FullBytes: 1})
			if g == nil {
				break
			}
			if w.Merge(ctx, g, MergeOptions{}) != nil {
				return
			}
		}
		if id%12 == 1 {
			if _, _, err := w.Expire(ctx, Retention{Last: 2, Log: 3 * time.Second}); err != nil {
				return
			}
			f.clock.Add(2 * time.Minute)
			if _, err := w.Collect(ctx); err != nil {
				return
			}
		}
	}
	return true, committed
}

func TestAFolderServesAsABucket(t *testing.T) {
	dir, err := objstore.OpenDir(filepath.Join(t.TempDir(), "bucket"))
	if err != nil {
		t.Skip(err)
	}
	f := newFixture(t, 4, true, dir)
	for range 40 {
		f.commit()
	}
	if done, _ := scenario(f, f.space); !done {
		t.Fatal("something failed")
	}
	f.verified(f.space)
	f.restored(f.space, Target{Latest: true}, 40)
}
