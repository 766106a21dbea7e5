package aof_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/fsys"
)

// system runs the actors of the many logs that tests open for a moment.
var system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
	return slog.New(slog.DiscardHandler)
}))

// small makes segments that a few records fill.
func small(disk fsys.FS) aof.Options {
	return aof.Options{FS: disk, SegmentBytes: 64 << 10, Spare: -1, Logger: slog.New(slog.DiscardHandler), System: system}
}

func open(t *testing.T, dir string, o aof.Options) *aof.Log {
	t.Helper()
	l, err := aof.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func record(p aof.Position, size int) []byte {
	b := []byte(fmt.Sprintf("record %d ", p))
	for len(b) < size {
		b = append(b, byte(p), byte(len(b)))
	}
	return b
}

func appendN(t *testing.T, l *aof.Log, n, size int) {
	t.Helper()
	_, next := l.Bounds()
	for i := range n {
		p := next + aof.Position(i)
		got, err := l.Append(t.Context(), record(p, size), aof.Fsync)
		if err != nil || got != p {
			t.Fatalf("append %d: got %d, %v", p, got, err)
		}
	}
}

// readAll returns the records from the log's beginning and fails where they are not those that appendN writes.
func readAll(t *testing.T, l *aof.Log, size int) (n int) {
	t.Helper()
	first, next := l.Bounds()
	r, err := l.Reader(first)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p := first; p < next; p++ {
		rec, err := r.TryNext()
		if err != nil {
			t.Fatalf("reading %d: %v", p, err)
		}
		if rec.Position != p || !bytes.Equal(rec.Data, record(p, size)) {
			t.Fatalf("read %d %.20q, want %d", rec.Position, rec.Data, p)
		}
		n++
	}
	if _, err := r.TryNext(); !errors.Is(err, aof.ErrTail) {
		t.Fatalf("behind the last: %v", err)
	}
	return n
}

func TestLog(t *testing.T) {
	t.Run("records come back in order, across segments and reopening", func(t *testing.T) {
		dir := t.TempDir()
		o := aof.Options{SegmentBytes: 64 << 10}
		l := open(t, dir, o)
		appendN(t, l, 300, 1000)
		if n := readAll(t, l, 1000); n != 300 {
			t.Fatalf("read %d", n)
		}
		if n := len(l.Segments()); n < 4 {
			t.Fatalf("%d segments", n)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir, o)
		appendN(t, l, 10, 1000)
		if n := readAll(t, l, 1000); n != 310 {
			t.Fatalf("read %d", n)
		}
		for _, p := range []aof.Position{1, 63, 64, 299, 310} {
			if rec, err := l.ReadAt(t.Context(), p); err != nil || !bytes.Equal(rec, record(p, 1000)) {
				t.Fatalf("ReadAt %d: %v", p, err)
			}
		}
	})
	t.Run("empty records and records larger than a segment", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 64 << 10})
		for _, rec := range [][]byte{{}, bytes.Repeat([]byte{1}, 300<<10), nil, {7}} {
			p, err := l.Append(t.Context(), rec, aof.Fsync)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := l.ReadAt(t.Context(), p); err != nil || !bytes.Equal(got, rec) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
	})
	t.Run("a record beyond the limit is refused by name", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 64 << 10, MaxRecordBytes: 100})
		if _, err := l.Append(t.Context(), make([]byte, 101), aof.Fsync); !errors.Is(err, aof.ErrTooLarge) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("many appenders get positions without gaps", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 256 << 10})
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[aof.Position]bool{}
		for range 8 {
			wg.Go(func() {
				for range 200 {
					p, err := l.Append(t.Context(), make([]byte, 100), aof.Durability(rand.IntN(3)))
					mu.Lock()
					if err != nil || seen[p] {
						t.Errorf("position %d: %v", p, err)
					}
					seen[p] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, next := l.Bounds(); next != 1601 || l.Durable() != 1600 {
			t.Fatalf("next %d, durable %d", next, l.Durable())
		}
	})
	t.Run("callbacks come in the order of positions", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 256 << 10})
		var got []aof.Position
		for range 500 {
			if err := l.AppendAsync(t.Context(), [][]byte{{1}, {2}}, aof.OS, func(p aof.Position, err error) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, p)
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, p := range got {
			if p != aof.Position(2*i+1) {
				t.Fatalf("call %d has position %d", i, p)
			}
		}
		if len(got) != 500 {
			t.Fatalf("%d calls", len(got))
		}
	})
	t.Run("a reader waits at the tail and sees what comes", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 64 << 10})
		r, err := l.Reader(1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		go func() {
			for p := aof.Position(1); p <= 200; p++ {
				if _, err := l.Append(t.Context(), record(p, 700), aof.Fsync); err != nil {
					t.Error(err)
				}
			}
		}()
		for p := aof.Position(1); p <= 200; p++ {
			rec, err := r.Next(t.Context())
			if err != nil || rec.Position != p || !bytes.Equal(rec.Data, record(p, 700)) {
				t.Fatalf("at %d: %d, %v", p, rec.Position, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a second opening of the folder is refused", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, aof.Options{})
		if _, err := aof.Open(dir, aof.Options{}); !errors.Is(err, aof.ErrLocked) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("after closing, appends and readers are told", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 64 << 10})
		r, _ := l.Reader(1)
		waiting := make(chan error)
		go func() {
			_, err := r.Next(t.Context())
			waiting <- err
		}()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; !errors.Is(err, aof.ErrClosed) {
			t.Fatalf("reader: %v", err)
		}
		if _, err := l.Append(t.Context(), nil, aof.Fsync); !errors.Is(err, aof.ErrClosed) {
			t.Fatalf("append: %v", err)
		}
	})
}

func TestTruncate(t *testing.T) {
	t.Run("the end is cut and its positions are used again", func(t *testing.T) {
		dir := t.TempDir()
		o := aof.Options{SegmentBytes: 64 << 10}
		l := open(t, dir, o)
		appendN(t, l, 300, 1000)
		for _, p := range []aof.Position{290, 130, 129} {
			if err := l.TruncateAfter(p); err != nil {
				t.Fatal(err)
			}
			if _, next := l.Bounds(); next != p+1 {
				t.Fatalf("next is %d", next)
			}
			if n := readAll(t, l, 1000); n != int(p) {
				t.Fatalf("read %d", n)
			}
		}
		if _, err := l.Append(t.Context(), []byte("new"), aof.Fsync); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir, o)
		if _, next := l.Bounds(); next != 131 {
			t.Fatalf("after reopening next is %d", next)
		}
		if rec, err := l.ReadAt(t.Context(), 130); err != nil || string(rec) != "new" {
			t.Fatalf("%q, %v", rec, err)
		}
		if rec, err := l.ReadAt(t.Context(), 129); err != nil || !bytes.Equal(rec, record(129, 1000)) {
			t.Fatal(err)
		}
		if d := l.Damage(); len(d) > 0 {
			t.Fatalf("damage: %+v", d)
		}
	})
	t.Run("the beginning goes as whole segments", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 64 << 10, Spare: 2})
		appendN(t, l, 300, 1000)
		before := len(l.Segments())
		if err := l.TruncateBefore(200); err != nil {
			t.Fatal(err)
		}
		first, _ := l.Bounds()
		if first > 200 || first < 130 || len(l.Segments()) >= before {
			t.Fatalf("begins at %d with %d segments", first, len(l.Segments()))
		}
		if _, err := l.ReadAt(t.Context(), first-1); !errors.Is(err, aof.ErrTruncated) {
			t.Fatalf("got %v", err)
		}
		appendN(t, l, 100, 1000)
		readAll(t, l, 1000)
	})
	t.Run("a reader in a truncated segment is told", func(t *testing.T) {
		l := open(t, t.TempDir(), aof.Options{SegmentBytes: 64 << 10})
		appendN(t, l, 300, 1000)
		r, err := l.Reader(1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.TryNext(); err != nil {
			t.Fatal(err)
		}
		if err := l.TruncateBefore(250); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.TryNext()
		}
		if !errors.Is(err, aof.ErrTruncated) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	const dir = "/log"
	failSync := func(op crashfs.Op) error {
		if op.Kind == crashfs.Sync {
			return syscall.EIO
		}
		return nil
	}
	t.Run("after a failed fsync appends are refused until the log is opened again", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 20, 100)
		disk.Inject(failSync)
		if _, err := l.Append(t.Context(), record(21, 100), aof.Fsync); !errors.Is(err, syscall.EIO) || !errors.Is(err, aof.ErrPoisoned) {
			t.Fatalf("got %v", err)
		}
		disk.Inject(nil)
		if _, err := l.Append(t.Context(), record(21, 100), aof.Fsync); !errors.Is(err, aof.ErrPoisoned) {
			t.Fatalf("the next append: %v", err)
		}
		if n := readAll(t, l, 100); n != 20 {
			t.Fatalf("readers see %d", n)
		}
		disk.Crash()
		l.Close()
		for mode, image := range disk.Images(10) {
			l := open(t, dir, small(image))
			if n := readAll(t, l, 100); n < 20 || n > 21 {
				t.Fatalf("%s: %d records", mode, n)
			}
			l.Close()
		}
	})
	t.Run("a full disk refuses by name and the log goes on when there is room", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		disk.SetCapacity(100 << 10)
		var err error
		n := 0
		for ; err == nil && n < 1000; n++ {
			_, err = l.Append(t.Context(), record(aof.Position(n+1), 1000), aof.Fsync)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("after %d: %v", n, err)
		}
		n--
		if got := readAll(t, l, 1000); got != n {
			t.Fatalf("%d records, want %d", got, n)
		}
		disk.SetCapacity(0)
		appendN(t, l, 100, 1000)
		if got := readAll(t, l, 1000); got != n+100 {
			t.Fatalf("%d records", got)
		}
	})
	t.Run("a short write in the middle of a batch leaves nothing", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 3, 1000)
		disk.Inject(func(op crashfs.Op) error {
			if op.Kind == crashfs.Write {
				return &crashfs.ShortWrite{N: 500, Err: syscall.ENOSPC}
			}
			return nil
		})
		if _, err := l.Append(t.Context(), record(4, 1000), aof.Fsync); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v", err)
		}
		disk.Inject(nil)
		appendN(t, l, 3, 1000)
		if n := readAll(t, l, 1000); n != 6 {
			t.Fatalf("%d records", n)
		}
	})
	t.Run("a folder of a newer format is refused by file and version", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 1, 10)
		name := l.Segments()[0].File
		l.Close()
		f, err := disk.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 64)
		f.ReadAt(head, 0)
		head[8] = 3
		binary.LittleEndian.PutUint32(head[60:], crc32.Checksum(head[:60], crc32.MakeTable(crc32.Castagnoli)))
		f.WriteAt(head, 0)
		_, err = aof.Open(dir, small(disk))
		var newer *aof.NewerFormatError
		if !errors.As(err, &newer) || newer.Found != 3 || newer.File != name || !errors.Is(err, aof.ErrNewerFormat) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("TryAppend names what it would wait for", func(t *testing.T) {
		disk := crashfs.New()
		o := small(disk)
		o.MaxQueueBytes = 1000
		l := open(t, dir, o)
		hold, held := make(chan struct{}), make(chan struct{})
		var once sync.Once
		disk.Inject(func(op crashfs.Op) error {
			if op.Kind == crashfs.Write {
				once.Do(func() { close(held); <-hold })
			}
			return nil
		})
		answered := make(chan error, 1)
		if err := l.TryAppend(make([]byte, 900), aof.Fsync, func(_ aof.Position, err error) { answered <- err }); err != nil {
			t.Fatal(err)
		}
		<-held
		err := l.TryAppend(make([]byte, 900), aof.Fsync, func(aof.Position, error) { t.Error("called") })
		var bp *aof.BackpressureError
		if !errors.As(err, &bp) || bp.Kind != aof.Admission || !errors.Is(err, aof.ErrBackpressure) {
			t.Fatalf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Append(ctx, make([]byte, 900), aof.Fsync); !errors.Is(err, context.Canceled) {
			t.Fatalf("Append with a cancelled context: %v", err)
		}
		close(hold)
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), make([]byte, 900), aof.Fsync); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a committer that panics poisons the log and fails who waits", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 5, 100)
		disk.Inject(func(op crashfs.Op) error {
			if op.Kind == crashfs.Write {
				panic("bad")
			}
			return nil
		})
		if _, err := l.Append(t.Context(), record(6, 100), aof.Fsync); !errors.Is(err, aof.ErrPoisoned) {
			t.Fatalf("got %v", err)
		}
		disk.Inject(nil)
		if err := l.TruncateAfter(1); !errors.Is(err, aof.ErrPoisoned) {
			t.Fatalf("TruncateAfter: %v", err)
		}
		if n := readAll(t, l, 100); n != 5 {
			t.Fatalf("%d records", n)
		}
	})
}
