package aof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// TestBitFlips inverts a bit of every byte of a small log: it must be noticed, named, or harmless, never believed.
func TestBitFlips(t *testing.T) {
	const dir, n = "/log", 8
	disk := crashfs.New()
	o := small(disk)
	l := open(t, dir, o)
	appendN(t, l, n, 30)
	info := l.Segments()[0]
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	used := info.Used + 64 // the mark that closing leaves
	step := int64(1)
	for off := int64(0); off < used; off += step {
		if off >= 128 && off < 4096-8 && (off < 2040 || off > 2120) {
			continue // nothing is there
		}
		image := disk.Image(crashfs.Kept, 0)
		image.Flip(info.File, off, uint8(off%8))
		o.FS = image
		l, err := aof.Open(dir, o)
		if err != nil {
			t.Fatalf("offset %d: %v", off, err)
		}
		good := 0
		for p := aof.Position(1); p <= n; p++ {
			rec, err := l.ReadAt(t.Context(), p)
			var damage *aof.DamageError
			switch {
			case err == nil && !bytes.Equal(rec, record(p, 30)):
				t.Fatalf("offset %d: position %d reads %q", off, p, rec)
			case err == nil:
				good++
			case !errors.As(err, &damage) || p < damage.First || p > damage.Last || damage.File != info.File:
				t.Fatalf("offset %d: position %d: %v", off, p, err)
			}
		}
		if good < n-1 {
			t.Fatalf("offset %d: only %d of %d readable", off, good, n)
		}
		if _, next := l.Bounds(); next != n+1 {
			t.Fatalf("offset %d: the log ends at %d", off, next)
		}
		l.Close()
	}
}

// TestCrashes crashes a workload at each of its operations and looks at every disk that may be left.
func TestCrashes(t *testing.T) {
	const dir = "/log"
	for _, spare := range []int{-1, 1} {
		t.Run(fmt.Sprintf("with %d spare files", max(spare, 0)), func(t *testing.T) {
			points := 0
			for at := 1; ; at++ {
				disk := crashfs.New()
				disk.CrashAt(at)
				o := small(disk)
				o.Spare = spare
				w := workload{t: t, model: map[aof.Position][]byte{}, low: 1}
				w.run(dir, o)
				if !disk.Crashed() {
					break
				}
				points++
				for mode, image := range disk.Images(4) {
					o := small(image)
					l, err := aof.Open(dir, o)
					if err != nil {
						t.Fatalf("operation %d, %s: %v", at, mode, err)
					}
					w.check(l, fmt.Sprintf("operation %d, %s", at, mode))
					l.Close()
				}
			}
			if points < 40 {
				t.Fatalf("only %d crash points", points)
			}
		})
	}
}

// workload appends, truncates at both ends and reopens, and knows what has to be there.
type workload struct {
	t     *testing.T
	model map[aof.Position][]byte // durable, as the log said
	loose map[aof.Position][]byte // acknowledged at a lower level
	low   aof.Position            // before it records may be gone
	cut   aof.Position            // a truncation after it is under way; 0: none
	tried map[aof.Position][][]byte
	value int
}

func (w *workload) run(dir string, o aof.Options) {
	w.tried, w.loose = map[aof.Position][][]byte{}, map[aof.Position][]byte{}
	l, err := aof.Open(dir, o)
	if err != nil {
		return
	}
	defer func() {
		if l != nil {
			l.Close()
		}
	}()
	settle := func() {
		for p, rec := range w.loose {
			if p <= l.Durable() {
				w.model[p] = rec
				delete(w.loose, p)
			}
		}
	}
	addAt := func(d aof.Durability, n, size int) bool {
		for range n {
			w.value++
			rec := record(aof.Position(w.value), size)
			_, next := l.Bounds()
			w.tried[next] = append(w.tried[next], rec)
			p, err := l.Append(context.Background(), rec, d)
			if err != nil {
				return false
			}
			w.loose[p] = rec
			if settle(); d == aof.Fsync && w.model[p] == nil {
				w.t.Errorf("position %d was acknowledged and isn't durable", p)
			}
		}
		return true
	}
	add := func(n, size int) bool { return addAt(aof.Fsync, n, size) }
	loosely := func(n, size int) bool { return addAt(aof.OS, n, size) }
	after := func(p aof.Position) bool {
		w.cut = p
		if l.TruncateAfter(p) != nil {
			return false
		}
		settle()
		for _, held := range []map[aof.Position][]byte{w.model, w.loose} {
			for q := range held {
				if q > p {
					delete(held, q)
				}
			}
		}
		for q := range w.tried {
			if q > p {
				delete(w.tried, q)
			}
		}
		w.cut = 0
		return true
	}
	if !add(3, 20000) || !add(3, 200) || !after(5) || !add(2, 20000) || !after(3) || !add(4, 15000) {
		return
	}
	if !loosely(3, 700) || !add(1, 100) || !loosely(3, 30000) || !loosely(2, 300) || !after(14) || !loosely(2, 900) {
		return
	}
	w.low = 5
	if l.TruncateBefore(5) != nil || !add(2, 30000) || !loosely(2, 400) ||
		l.Seal(context.Background()) != nil || !loosely(2, 600) || !add(1, 100) {
		return
	}
	if l.Close() != nil {
		return
	}
	if l, err = aof.Open(dir, o); err == nil {
		add(2, 500)
	}
}

// check holds a recovered log against what was acknowledged.
func (w *workload) check(l *aof.Log, what string) {
	w.t.Helper()
	if d := l.Damage(); len(d) > 0 {
		w.t.Fatalf("%s: reports damage that is none: %+v", what, d)
	}
	first, next := l.Bounds()
	if first > w.low {
		w.t.Fatalf("%s: begins at %d, want at most %d", what, first, w.low)
	}
	for p, rec := range w.model {
		if p < first && p < w.low || w.cut != 0 && p > w.cut {
			continue
		}
		got, err := l.ReadAt(context.Background(), p)
		if err != nil || !bytes.Equal(got, rec) {
			w.t.Fatalf("%s: acknowledged position %d: %.20q, %v", what, p, got, err)
		}
	}
	for p := first; p < next; p++ {
		got, err := l.ReadAt(context.Background(), p)
		if err != nil {
			w.t.Fatalf("%s: position %d: %v", what, p, err)
		}
		known := false
		for _, rec := range w.tried[p] {
			known = known || bytes.Equal(rec, got)
		}
		if !known {
			w.t.Fatalf("%s: position %d holds %.20q, which was truncated or never appended", what, p, got)
		}
	}
	if p, err := l.Append(context.Background(), []byte("after"), aof.Fsync); err != nil || p != next {
		w.t.Fatalf("%s: appending after recovery: %d, %v", what, p, err)
	}
}
