package aof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
)

// clock is a time that tests move.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer
}

type timer struct {
	at   time.Time
	f    func()
	done bool
}

func newClock() *clock { return &clock{now: time.Unix(1_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.now.Add(d), f: f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		was := !t.done
		t.done = true
		return was
	}
}

// pass lets time pass.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	c.timers = slices.DeleteFunc(c.timers, func(t *timer) bool {
		if t.done || t.at.After(c.now) {
			return t.done
		}
		t.done = true
		due = append(due, t.f)
		return true
	})
	c.mu.Unlock()
	for _, f := range due {
		go f()
	}
}

// alone lets nothing stay on the disk that the bucket has.
func alone(b objstore.Bucket) func(*aof.Options) {
	return func(o *aof.Options) { o.Tiers.Bucket, o.Tiers.Hot.Segments, o.Tiers.Warm.Segments = b, -1, -1 }
}

func allCold(l *aof.Log) func(aof.Stats) bool {
	return func(aof.Stats) bool { w := where(l); return w["c"] == len(l.Segments())-1 }
}

func TestTheBucketFails(t *testing.T) {
	down := objstore.ErrUnavailable
	t.Run("for ten minutes: appends go on while the local budget lasts, and nothing is lost", func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		b := faulty.New(objstore.NewMemory(), func(faulty.Call) faulty.Fault {
			if broken.Load() {
				return faulty.Fault{Before: down}
			}
			return faulty.Fault{}
		})
		c := newClock()
		l := tiered(t, t.TempDir(), func(o *aof.Options) {
			alone(b)(o)
			o.Tiers.Clock, o.Tiers.Retry, o.Tiers.LocalBytes = c, time.Second, 1<<20
		})
		n := 0
		var full *aof.BackpressureError
		for full == nil || full.Kind != aof.Upload {
			err := l.TryAppend(noise(n+1), aof.OS, nil)
			if err == nil {
				n++
				continue
			}
			if !errors.As(err, &full) {
				t.Fatal(err)
			}
			if err := l.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n < 300 {
			t.Fatalf("only %d records of 1 KB in a budget of 1 MiB", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error)
		go func() {
			_, err := l.Append(ctx, noise(0), aof.Fsync)
			waiting <- err
		}()
		for range 20 {
			before := b.Count("get")
			until(t, l, "another try", func(aof.Stats) bool {
				c.pass(30 * time.Second)
				return b.Count("get") > before
			})
		}
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if st := l.Stats(); st.Bytes > 1<<20 || st.Tier[aof.Cold] != 0 {
			t.Fatalf("%+v", st)
		}
		broken.Store(false)
		for stop := make(chan struct{}); stop != nil; {
			c.pass(time.Minute)
			if where(l)["c"] > 0 {
				close(stop)
				stop = nil
			}
		}
		if _, err := l.Append(t.Context(), noise(n+1), aof.Fsync); err != nil {
			t.Fatal(err)
		}
		r, err := l.Reader(1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i := 1; i <= n+1; i++ {
			rec, err := r.Next(t.Context())
			if err != nil || string(rec.Data) != string(noise(i)) {
				t.Fatalf("record %d: %v", i, err)
			}
		}
	})
	t.Run("closing doesn't wait for it", func(t *testing.T) {
		never := make(chan struct{})
		b := faulty.New(objstore.NewMemory(), func(faulty.Call) faulty.Fault { return faulty.Fault{Wait: never} })
		l := tiered(t, t.TempDir(), alone(b))
		fill(t, l, 120)
		until(t, l, "packed", func(aof.Stats) bool { return where(l)["w"] == 2 })
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("an object that the bucket took and then doesn't have isn't relied on", func(t *testing.T) {
		var lying atomic.Bool
		lying.Store(true)
		m := objstore.NewMemory()
		b := faulty.New(m, func(c faulty.Call) faulty.Fault {
			if c.Op == "head" && lying.Load() {
				m.Delete(context.Background(), c.Key)
			}
			return faulty.Fault{}
		})
		l := tiered(t, t.TempDir(), alone(b))
		fill(t, l, 120)
		until(t, l, "tries", func(aof.Stats) bool { return b.Count("head") > 5 && where(l)["w"] == 2 })
		lying.Store(false)
		until(t, l, "all cold", allCold(l))
		wantAll(t, l, 1, 120)
	})
	t.Run("answers to puts are lost", func(t *testing.T) {
		b := faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
			if c.Op == "put" && c.N%2 == 0 {
				return faulty.Fault{After: down}
			}
			return faulty.Fault{}
		})
		l := tiered(t, t.TempDir(), alone(b))
		fill(t, l, 420)
		until(t, l, "all cold", allCold(l))
		wantAll(t, l, 1, 420)
	})
	t.Run("a body is cut, and then another one has a flipped bit", func(t *testing.T) {
		b := faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
			if c.Op != "get" || !strings.HasPrefix(c.Key, "segments/") {
				return faulty.Fault{}
			}
			switch c.N {
			case 2:
				return faulty.Fault{Cut: 100}
			case 3, 5:
				return faulty.Fault{Flip: 4001}
			}
			return faulty.Fault{}
		})
		l := tiered(t, t.TempDir(), alone(b))
		fill(t, l, 420)
		until(t, l, "all cold", allCold(l))
		r, err := l.Reader(1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		failed := 0
		for i := 1; i <= 420; {
			got, err := r.Next(t.Context())
			switch {
			case errors.Is(err, down):
				failed++ // the next call asks again
			case err != nil:
				t.Fatalf("record %d: %v", i, err)
			case string(got.Data) != string(rec(i)):
				t.Fatalf("record %d is %.20q", i, got.Data)
			default:
				i++
			}
		}
		if failed != 1 {
			t.Errorf("%d failures", failed)
		}
	})
	t.Run("a stale list doesn't bring objects back", func(t *testing.T) {
		m := objstore.NewMemory()
		b := faulty.New(m, func(c faulty.Call) faulty.Fault { return faulty.Fault{Stale: c.N > 0} })
		l := tiered(t, t.TempDir(), alone(b))
		fill(t, l, 420)
		until(t, l, "all cold", allCold(l))
		lists := b.Count("list")
		if err := l.TruncateBefore(200); err != nil {
			t.Fatal(err)
		}
		until(t, l, "a list", func(aof.Stats) bool { return b.Count("list") > lists })
		wantAll(t, l, 151, 420)
	})
}

func TestConcurrentReadersOfAColdSegmentFetchItOnce(t *testing.T) {
	open := make(chan struct{})
	var gate atomic.Bool
	b := faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
		if c.Op == "get" && gate.Load() {
			return faulty.Fault{Wait: open}
		}
		return faulty.Fault{}
	})
	l := tiered(t, t.TempDir(), alone(b))
	fill(t, l, 60)
	until(t, l, "all cold", allCold(l))
	gate.Store(true)
	before := b.Count("get")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := l.ReadAt(context.Background(), 7); err != nil || string(got) != string(rec(7)) {
				t.Error(err)
			}
		})
	}
	until(t, l, "a fetch", func(aof.Stats) bool { return b.Count("get") > before })
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error)
	go func() {
		_, err := l.ReadAt(ctx, 8)
		given <- err
	}()
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("one that gives up: %v", err)
	}
	close(open)
	wg.Wait()
	if n := b.Count("get") - before; n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestFencing(t *testing.T) {
	m := objstore.NewMemory()
	at := func(epoch uint64, more ...func(*aof.Options)) func(*aof.Options) {
		return func(o *aof.Options) {
			alone(m)(o)
			o.Tiers.Epoch = epoch
			for _, f := range more {
				f(o)
			}
		}
	}
	first := tiered(t, t.TempDir(), at(1))
	fill(t, first, 120)
	until(t, first, "all cold", allCold(first))
	second := tiered(t, t.TempDir(), at(2, func(o *aof.Options) { o.Tiers.Adopt = true }))
	wantAll(t, second, 1, 100)
	until(t, second, "the bucket is taken over", func(aof.Stats) bool {
		body, _, err := m.Get(t.Context(), "manifest.json", 0, -1)
		if err != nil {
			return false
		}
		b := make([]byte, 40)
		n, _ := body.Read(b)
		return strings.Contains(string(b[:n]), `"epoch":2`)
	})
	t.Run("a deposed owner can't change what the bucket holds", func(t *testing.T) {
		fill(t, first, 170)
		st := until(t, first, "it notices", func(st aof.Stats) bool { return st.Bucket != nil })
		var fenced *aof.FencedError
		if !errors.As(st.Bucket, &fenced) || fenced.Found != 2 {
			t.Fatal(st.Bucket)
		}
		if err := first.TruncateBefore(100); err != nil {
			t.Fatal(err)
		}
		wantAll(t, first, 51, 170) // its own it still has
		wantAll(t, second, 1, 100)
	})
	t.Run("the new owner goes on", func(t *testing.T) {
		fill(t, second, 200)
		until(t, second, "all cold", allCold(second))
		wantAll(t, second, 1, 200)
	})
	t.Run("an owner of an older epoch that comes back is refused", func(t *testing.T) {
		l := tiered(t, t.TempDir(), at(1, func(o *aof.Options) { o.Tiers.Adopt = true }))
		until(t, l, "refusal", func(st aof.Stats) bool { return errors.Is(st.Bucket, aof.ErrFenced) })
	})
	t.Run("a folder that knows less than the bucket is refused", func(t *testing.T) {
		l := tiered(t, t.TempDir(), at(3))
		until(t, l, "refusal", func(st aof.Stats) bool { return errors.Is(st.Bucket, aof.ErrBucketAhead) })
	})
	t.Run("another log under the same prefix is refused", func(t *testing.T) {
		l := tiered(t, t.TempDir(), func(*aof.Options) {})
		fill(t, l, 420)
		dir := t.TempDir()
		l = tiered(t, dir, nil)
		fill(t, l, 420)
		l.Close()
		l = tiered(t, dir, at(3))
		until(t, l, "refusal", func(st aof.Stats) bool { return errors.Is(st.Bucket, aof.ErrForeignBucket) })
	})
}

func TestTheManifestIsMadeAnewOfTheObjects(t *testing.T) {
	m := objstore.NewMemory()
	l := tiered(t, t.TempDir(), alone(m))
	fill(t, l, 220)
	until(t, l, "all cold", allCold(l))
	l.Close()
	if err := m.Delete(t.Context(), "manifest.json"); err != nil {
		t.Fatal(err)
	}
	l = tiered(t, t.TempDir(), func(o *aof.Options) { alone(m)(o); o.Tiers.Adopt = true })
	wantAll(t, l, 1, 200)
	until(t, l, "a new manifest", func(aof.Stats) bool {
		_, err := m.Head(t.Context(), "manifest.json")
		return err == nil
	})
}

func TestDiskFullWhileMoving(t *testing.T) {
	m := objstore.NewMemory()
	disk := crashfs.New()
	full := func(op crashfs.Op) error {
		if op.Kind == crashfs.Write && strings.HasSuffix(op.Name, ".part") {
			return &crashfs.ShortWrite{N: 100, Err: syscall.ENOSPC}
		}
		return nil
	}
	disk.Inject(full)
	l := tiered(t, "/log", func(o *aof.Options) { alone(m)(o); o.FS, o.Spare = disk, -1 })
	fill(t, l, 220)
	until(t, l, "nothing can be packed, and appends go on", func(st aof.Stats) bool { return st.ToPack == 4 })
	disk.Inject(nil)
	until(t, l, "there is room again", allCold(l))
	disk.Inject(full)
	if err := l.Hydrate(t.Context(), 1, 10); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no room on the disk") {
		t.Fatalf("hydrating onto a full disk: %v", err)
	}
	for _, name := range disk.Files("/log") {
		if strings.HasSuffix(name, ".part") {
			t.Errorf("%s is left behind", name)
		}
	}
	wantAll(t, l, 1, 220) // cold reads need no disk
	disk.Inject(nil)
	if err := l.Hydrate(t.Context(), 1, 10); err != nil {
		t.Fatal(err)
	}
}

// copied is a bucket with the same objects.
func copied(t *testing.T, from *objstore.Memory) *objstore.Memory {
	t.Helper()
	to := objstore.NewMemory()
	for info, err := range from.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := from.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Put(t.Context(), info.Key, bytes.NewReader(b), info.Size, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestACrashWhileMovingLosesNothing(t *testing.T) {
	for at := 1; ; at += 7 {
		m := objstore.NewMemory()
		disk := crashfs.New()
		disk.CrashAt(at)
		done := 0
		change := func(o *aof.Options) { alone(m)(o); o.FS, o.Spare, o.System = disk, -1, system }
		func() {
			o := aof.Options{SegmentBytes: 64 << 10, Logger: quiet(), Tiers: aof.Tiers{Retry: time.Hour}}
			change(&o)
			l, err := aof.Open("/log", o)
			if err != nil {
				return
			}
			defer l.Close()
			for i := 1; i <= 220; i++ {
				if _, err := l.Append(t.Context(), rec(i), aof.Fsync); err != nil {
					return
				}
				done = i
				if i%50 == 0 && l.Seal(t.Context()) != nil {
					return
				}
			}
			until(t, l, "the crash, or the end", func(st aof.Stats) bool { return disk.Crashed() || allCold(l)(st) })
		}()
		if !disk.Crashed() {
			if at < 50 {
				t.Fatalf("only %d operations", at)
			}
			return
		}
		for mode, image := range disk.Images(2) {
			// A bucket of its own: what another image's log seals and uploads isn't there yet.
			o := aof.Options{FS: image, SegmentBytes: 64 << 10, Spare: -1, Logger: quiet(), System: system, Tiers: aof.Tiers{Bucket: copied(t, m), Retry: time.Millisecond}}
			l, err := aof.Open("/log", o)
			if err != nil {
				t.Fatalf("crash at %d, %v: %v", at, mode, err)
			}
			until(t, l, "the bucket's segments", func(st aof.Stats) bool { return st.First == 1 || st.Bucket != nil })
			_, next := l.Bounds()
			if int(next) <= done {
				t.Fatalf("crash at %d, %v: %d records of %d", at, mode, next-1, done)
			}
			wantAll(t, l, 1, int(next)-1)
			if d := l.Damage(); len(d) > 0 {
				t.Fatalf("crash at %d, %v: %+v", at, mode, d)
			}
			l.Close()
		}
	}
}

// counting counts the bytes that are got.
type counting struct {
	objstore.Bucket
	bytes atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	body, info, err := c.Bucket.Get(ctx, key, off, n)
	if n >= 0 {
		c.bytes.Add(n)
	}
	return body, info, err
}

func TestARecordIsReadFromALargeObjectWithoutFetchingAllOfIt(t *testing.T) {
	b := &counting{Bucket: objstore.NewMemory()}
	l := tiered(t, t.TempDir(), func(o *aof.Options) { alone(b)(o); o.SegmentBytes = 8 << 20 })
	for i := 1; i <= 6000; i++ {
		if _, err := l.Append(t.Context(), noise(i), aof.OS); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, l, "all cold", allCold(l))
	size := l.Stats().Tier[aof.Cold]
	before := b.bytes.Load()
	if got, err := l.ReadAt(t.Context(), 3000); err != nil || string(got) != string(noise(3000)) {
		t.Fatal(err)
	}
	if n := b.bytes.Load() - before; n > size/2 {
		t.Errorf("%d of %d bytes were fetched for one record", n, size)
	}
}

func TestSeveralLogsShareABudget(t *testing.T) {
	budget := aof.NewBudget(1 << 20)
	m := objstore.NewMemory()
	var logs []*aof.Log
	for i := range 2 {
		logs = append(logs, tiered(t, t.TempDir(), func(o *aof.Options) {
			o.Tiers.Bucket, o.Tiers.Prefix, o.Tiers.Budget = m, fmt.Sprint("log-", i), budget
		}))
	}
	for i := 1; i <= 3000; i++ {
		for _, l := range logs {
			if _, err := l.Append(t.Context(), noise(i), aof.OS); err != nil {
				t.Fatal(err)
			}
		}
		if used := budget.Used(); used > 1<<20 {
			t.Fatalf("%d bytes are used after %d records", used, i)
		}
	}
	if st := logs[0].Stats(); st.Tier[aof.Cold] == 0 {
		t.Errorf("%+v", st)
	}
	if err := logs[0].Close(); err != nil {
		t.Fatal(err)
	}
	// The movers of the other one are still at work, and what they free is told a moment after it is gone.
	until(t, logs[1], "what is used is what the log that is left has", func(st aof.Stats) bool { return budget.Used() <= st.Bytes+1 })
}

func TestSegmentsLeaveByAge(t *testing.T) {
	c := newClock()
	l := tiered(t, t.TempDir(), func(o *aof.Options) {
		o.Tiers.Bucket, o.Tiers.Clock = objstore.NewMemory(), c
		o.Tiers.Hot.Age, o.Tiers.Warm.Age = time.Hour, 2*time.Hour
	})
	fill(t, l, 120)
	until(t, l, "uploaded", func(aof.Stats) bool { return where(l)["hc"] == 2 })
	c.pass(61 * time.Minute)
	until(t, l, "after an hour they are compressed", func(aof.Stats) bool { c.pass(time.Millisecond); return where(l)["wc"] == 2 })
	c.pass(60 * time.Minute)
	until(t, l, "after another one in the bucket alone", func(aof.Stats) bool { c.pass(time.Millisecond); return where(l)["c"] == 2 })
	wantAll(t, l, 1, 120)
}
