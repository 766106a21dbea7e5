package aof_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
)

// tiered opens a log of small segments.
func tiered(t testing.TB, dir string, change func(*aof.Options)) *aof.Log {
	t.Helper()
	o := aof.Options{SegmentBytes: 64 << 10, Logger: quiet(), Tiers: aof.Tiers{Retry: time.Millisecond}}
	if change != nil {
		change(&o)
	}
	l, err := aof.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func rec(i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("record %d ", i), 50))
}

// fill appends records from the log's end up to n, sealing now and then.
func fill(t testing.TB, l *aof.Log, n int) {
	t.Helper()
	_, next := l.Bounds()
	for i := int(next); i <= n; i++ {
		if _, err := l.Append(t.Context(), rec(i), aof.OS); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// wantAll checks that the log gives all its records.
func wantAll(t testing.TB, l *aof.Log, from, to int) {
	t.Helper()
	r, err := l.Reader(aof.Position(from))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := from; i <= to; i++ {
		got, err := r.Next(t.Context())
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if int(got.Position) != i || string(got.Data) != string(rec(i)) {
			t.Fatalf("record %d at %d is %.20q", i, got.Position, got.Data)
		}
	}
	if _, err := r.TryNext(); !errors.Is(err, aof.ErrTail) {
		t.Fatalf("behind the end: %v", err)
	}
}

// until waits for a condition of the log.
func until(t testing.TB, l *aof.Log, what string, ok func(aof.Stats) bool) aof.Stats {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		st := l.Stats()
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			for _, s := range l.Segments() {
				t.Logf("%+v", s)
			}
			t.Fatalf("%s doesn't come: %+v", what, st)
		}
		runtime.Gosched()
	}
}

// where counts segments by the tiers that have a copy: "hc" is hot and cold.
func where(l *aof.Log) map[string]int {
	count := map[string]int{}
	for _, s := range l.Segments() {
		key := ""
		for _, c := range s.Copies {
			key += c.Tier.String()[:1]
		}
		count[key]++
	}
	return count
}

func TestSegmentsMoveThroughTheTiers(t *testing.T) {
	all := func(l *aof.Log, key string) func(aof.Stats) bool {
		return func(aof.Stats) bool { w := where(l); return w[key] == 8 && w["h"] == 1 }
	}
	for _, c := range []struct {
		name   string
		change func(*aof.Options, objstore.Bucket)
		want   string // copies of each sealed segment
	}{
		{"nothing moves by default", func(*aof.Options, objstore.Bucket) {}, ""},
		{"without a bucket they end compressed", func(o *aof.Options, _ objstore.Bucket) { o.Tiers.Hot.Segments = -1 }, "w"},
		{"with a bucket each is uploaded and stays hot", func(o *aof.Options, b objstore.Bucket) { o.Tiers.Bucket = b }, "hc"},
		{"or stays compressed", func(o *aof.Options, b objstore.Bucket) { o.Tiers.Bucket = b; o.Tiers.Hot.Segments = -1 }, "wc"},
		{"or is in the bucket alone", func(o *aof.Options, b objstore.Bucket) {
			o.Tiers.Bucket, o.Tiers.Hot.Bytes, o.Tiers.Warm.Segments = b, -1, -1
		}, "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, bucket := t.TempDir(), objstore.NewMemory()
			change := func(o *aof.Options) { c.change(o, bucket) }
			l := tiered(t, dir, change)
			fill(t, l, 420)
			if c.want == "" {
				if w := where(l); w["h"] != 9 {
					t.Fatal(w)
				}
			} else {
				until(t, l, c.want, all(l, c.want))
			}
			wantAll(t, l, 1, 420)
			if got, err := l.ReadAt(t.Context(), 77); err != nil || string(got) != string(rec(77)) {
				t.Fatal(err)
			}
			for _, lose := range []string{"nothing", "the catalog"} {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if lose == "the catalog" {
					if err := os.Remove(filepath.Join(dir, "catalog")); err != nil {
						t.Fatal(err)
					}
				}
				l = tiered(t, dir, change)
				if c.want != "" {
					until(t, l, c.want+" again", all(l, c.want))
				}
				wantAll(t, l, 1, 420)
				if d := l.Damage(); len(d) != 0 {
					t.Fatal(d)
				}
			}
		})
	}
}

func TestTruncationReachesAllTiers(t *testing.T) {
	dir, bucket := t.TempDir(), objstore.NewMemory()
	cold := func(o *aof.Options) { o.Tiers.Bucket, o.Tiers.Hot.Segments, o.Tiers.Warm.Segments = bucket, -1, -1 }
	objects := func() (n int) {
		for _, err := range bucket.List(t.Context(), "segments/", "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	l := tiered(t, dir, cold)
	fill(t, l, 420)
	until(t, l, "all cold", func(aof.Stats) bool { return where(l)["c"] == 8 })
	if err := l.TruncateBefore(125); err != nil {
		t.Fatal(err)
	}
	if first, _ := l.Bounds(); first != 101 {
		t.Fatal(first)
	}
	until(t, l, "objects of the head removed", func(aof.Stats) bool { return objects() == 6 })
	if err := l.TruncateAfter(330); err != nil {
		t.Fatal(err)
	}
	until(t, l, "objects of the end removed", func(aof.Stats) bool { return objects() == 5 })
	for i := 331; i <= 400; i++ {
		if _, err := l.Append(t.Context(), rec(i), aof.Fsync); err != nil {
			t.Fatal(err)
		}
	}
	wantAll(t, l, 101, 400)
	l.Close()
	os.Remove(filepath.Join(dir, "catalog"))
	l = tiered(t, dir, cold)
	until(t, l, "attached", func(aof.Stats) bool { first, _ := l.Bounds(); return first == 101 })
	wantAll(t, l, 101, 400)
}

func TestHydration(t *testing.T) {
	bucket := objstore.NewMemory()
	l := tiered(t, t.TempDir(), func(o *aof.Options) { o.Tiers.Bucket, o.Tiers.Hot.Segments, o.Tiers.Warm.Segments = bucket, -1, 2 })
	fill(t, l, 420)
	until(t, l, "6 cold", func(aof.Stats) bool { w := where(l); return w["c"] == 6 && w["wc"] == 2 })
	if err := l.Hydrate(t.Context(), 60, 70); err != nil {
		t.Fatal(err)
	}
	st := until(t, l, "one is let go for it", func(aof.Stats) bool { w := where(l); return w["c"] == 6 && w["wc"] == 2 })
	if s := l.Segments()[1]; len(s.Copies) != 2 || st.Hydrating != 0 {
		t.Fatalf("%+v", s)
	}
	unpin, err := l.Pin(t.Context(), 110, 260)
	if err != nil {
		t.Fatal(err)
	}
	until(t, l, "the pinned ones stay", func(aof.Stats) bool { return where(l)["wc"] == 4 })
	unpin()
	until(t, l, "and go", func(aof.Stats) bool { return where(l)["wc"] == 2 })
	wantAll(t, l, 1, 420)
}

func TestTheLocalBudget(t *testing.T) {
	t.Run("appends go on as long as the bucket takes what leaves", func(t *testing.T) {
		l := tiered(t, t.TempDir(), func(o *aof.Options) { o.Tiers.Bucket, o.Tiers.LocalBytes = objstore.NewMemory(), 500<<10 })
		for i := 1; i <= 4000; i++ {
			if _, err := l.Append(t.Context(), rec(i), aof.OS); err != nil {
				t.Fatal(err)
			}
			if st := l.Stats(); st.Bytes > 500<<10 {
				t.Fatalf("%d bytes on disk", st.Bytes)
			}
		}
		wantAll(t, l, 1, 4000)
	})
	t.Run("without a bucket appends wait for a truncation", func(t *testing.T) {
		l := tiered(t, t.TempDir(), func(o *aof.Options) { o.Tiers.LocalBytes, o.Sealer = 500<<10, nil })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var full *aof.BackpressureError
		i := 1
		for ; full == nil; i++ {
			err := l.TryAppend(noise(i), aof.OS, nil)
			if err != nil && !errors.As(err, &full) {
				t.Fatal(err)
			}
			if full != nil && full.Kind == aof.Admission {
				full = nil
				if err := l.Sync(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		if full.Kind != aof.Rollover {
			t.Fatal(full)
		}
		_, next := l.Bounds()
		if err := l.TruncateBefore(next); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(ctx, noise(i), aof.Fsync); err != nil {
			t.Fatalf("%v %+v %v", err, l.Stats(), where(l))
		}
	})
}

func TestHydrationHoldsAppendsUp(t *testing.T) {
	open := make(chan struct{})
	var gate atomic.Bool
	b := faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
		if c.Op == "get" && gate.Load() {
			return faulty.Fault{Wait: open}
		}
		return faulty.Fault{}
	})
	l := tiered(t, t.TempDir(), func(o *aof.Options) { alone(b)(o); o.Tiers.LocalBytes, o.Spare = 6*64<<10, -1 })
	for i := 1; i <= 60; i++ { // nothing is saved by compressing these
		if _, err := l.Append(t.Context(), noise(i), aof.OS); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, l, "all cold", allCold(l))
	gate.Store(true)
	done := make(chan error)
	go func() { done <- l.Hydrate(context.Background(), 1, 1) }()
	until(t, l, "a hydration", func(st aof.Stats) bool { return st.Hydrating > 0 })
	var held *aof.BackpressureError
	for i := 61; held == nil; i++ {
		err := l.TryAppend(noise(i), aof.OS, nil)
		if err == nil {
			continue
		}
		if !errors.As(err, &held) {
			t.Fatal(err)
		}
		if held.Kind != aof.Hydration {
			held = nil
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), noise(0), aof.OS); err != nil {
		t.Fatal(err)
	}
}

func TestMemoryStaysWithinTheQueue(t *testing.T) {
	disk := crashfs.New()
	stuck, once := make(chan struct{}), sync.Once{}
	o := small(disk)
	o.MaxQueueBytes = 1 << 20
	l := open(t, "/log", o)
	disk.Inject(func(op crashfs.Op) error {
		if op.Kind == crashfs.Write && op.Len > 4096 {
			<-stuck
		}
		return nil
	})
	defer once.Do(func() { close(stuck) })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if err := l.AppendAsync(ctx, [][]byte{make([]byte, 10_000)}, aof.OS, nil); err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	until(t, l, "a full queue", func(st aof.Stats) bool { return st.Queued > 1<<20-20_000 })
	if st := l.Stats(); st.Queued > 1<<20 {
		t.Errorf("%d bytes wait", st.Queued)
	}
	cancel()
	wg.Wait()
	once.Do(func() { close(stuck) })
}

// noise is a record that can't be compressed.
func noise(i int) []byte {
	b := make([]byte, 1000)
	rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(b)
	return b
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
