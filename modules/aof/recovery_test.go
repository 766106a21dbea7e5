package aof_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// segmentFiles returns the names of a disk's segment files, oldest first.
func segmentFiles(disk *crashfs.FS) (names []string) {
	for _, name := range disk.Files("/log/") {
		if strings.HasSuffix(name, ".seg") {
			names = append(names, name)
		}
	}
	return names
}

// content returns the bytes of a file.
func content(t *testing.T, disk *crashfs.FS, name string) []byte {
	t.Helper()
	f, err := disk.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, _ := f.Size()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// removeCatalog leaves a log to what its segments say of themselves.
func removeCatalog(t *testing.T, disk *crashfs.FS, dir string) {
	t.Helper()
	if err := disk.Remove(dir + "/catalog"); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func failSyncs(op crashfs.Op) error {
	if op.Kind == crashfs.Sync {
		return syscall.EIO
	}
	return nil
}

func TestRecovery(t *testing.T) {
	const dir = "/log"
	t.Run("what opening shows after a failed fsync survives the next crash", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 3, 100)
		disk.Inject(failSyncs)
		if _, err := l.Append(t.Context(), record(4, 100), aof.Fsync); !errors.Is(err, aof.ErrPoisoned) {
			t.Fatalf("got %v", err)
		}
		disk.Inject(nil)
		l.Close()
		l = open(t, dir, small(disk))
		_, next := l.Bounds()
		if l.Durable() != next-1 {
			t.Fatalf("durable %d, next %d", l.Durable(), next)
		}
		image := disk.Image(crashfs.Lost, 0)
		l = open(t, dir, small(image))
		if n := readAll(t, l, 100); n != int(next)-1 || len(l.Damage()) > 0 {
			t.Fatalf("%d records, damage %v", n, l.Damage())
		}
	})
	t.Run("a damaged mark takes no acknowledged record with it", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 2, 100)
		l.Close() // leaves a mark
		l = open(t, dir, small(disk))
		appendN(t, l, 1, 100)
		image := disk.Image(crashfs.Kept, 0)
		name := segmentFiles(image)[0]
		b := content(t, image, name)
		var marks []int
		for at := 4096; at < len(b)-4; at += 8 {
			if bytes.Equal(b[at:at+4], []byte("BAT1")) && bytes.Equal(b[at+4:at+12], make([]byte, 8)) {
				marks = append(marks, at)
			}
		}
		if len(marks) != 1 {
			t.Fatalf("%d marks", len(marks))
		}
		for at := range int64(48) {
			flipped := image.Image(crashfs.Kept, 0)
			flipped.Flip(name, int64(marks[0])+at, 1)
			l := open(t, dir, small(flipped))
			if n := readAll(t, l, 100); n != 3 {
				t.Fatalf("byte %d of the mark: %d records left, damage %v", at, n, l.Damage())
			}
			l.Close()
		}
	})
	t.Run("one damaged copy of a header is named and costs nothing", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 3, 100)
		l.Close()
		name := segmentFiles(disk)[0]
		for _, at := range []int64{0, 8, 9, 17, 2048, 2048 + 8, 2048 + 60} {
			image := disk.Image(crashfs.Kept, 0)
			image.Flip(name, at, 3)
			l := open(t, dir, small(image))
			if d := l.Damage(); len(d) != 1 || d[0].File != name || d[0].Offset != at/2048*2048 {
				t.Fatalf("byte %d: damage %v", at, d)
			}
			if n := readAll(t, l, 100); n != 3 {
				t.Fatalf("byte %d: %d records", at, n)
			}
			l.Close()
		}
	})
	t.Run("a segment without a header is named with what it held, and the others are readable", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 300, 1000)
		lost := l.Segments()[1]
		l.Close()
		f, err := disk.OpenFile(lost.File, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt(make([]byte, 4096), 0)
		f.WriteAt(make([]byte, 64), lost.Bytes-64)
		for _, cataloged := range []bool{true, false} {
			if !cataloged {
				removeCatalog(t, disk, dir)
			}
			l = open(t, dir, small(disk))
			good, bad := 0, 0
			r, err := l.Reader(1)
			if err != nil {
				t.Fatal(err)
			}
			for {
				rec, err := r.TryNext()
				if errors.Is(err, aof.ErrTail) {
					break
				}
				var damage *aof.DamageError
				switch {
				case errors.As(err, &damage):
					bad++
				case err != nil || !bytes.Equal(rec.Data, record(rec.Position, 1000)):
					t.Fatalf("with a catalog %v, position %d: %v", cataloged, rec.Position, err)
				default:
					good++
				}
			}
			if good+int(lost.Next-lost.First) != 300 || bad != 1 {
				t.Fatalf("with a catalog %v: %d readable, %d gaps", cataloged, good, bad)
			}
			d := l.Damage()
			if len(d) != 1 || d[0].File != lost.File || d[0].First != lost.First || d[0].Last != lost.Next-1 {
				t.Fatalf("with a catalog %v: damage %v, want %s %d to %d", cataloged, d, lost.File, lost.First, lost.Next-1)
			}
			r.Close()
			l.Close()
		}
	})
	t.Run("a last segment without a header is refused, because its positions were given", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 3, 100)
		l.Close()
		f, err := disk.OpenFile(segmentFiles(disk)[0], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt(make([]byte, 4096), 0)
		if _, err := aof.Open(dir, small(disk)); !errors.Is(err, aof.ErrDamaged) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a damaged footer costs no record", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 5, 100)
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		appendN(t, l, 3, 100)
		sealed := l.Segments()[0]
		l.Close()
		for _, cataloged := range []bool{true, false} {
			if !cataloged {
				removeCatalog(t, disk, dir)
			}
			for at := sealed.Used; at < sealed.Bytes; at++ {
				if at == sealed.Used+128 {
					at = sealed.Bytes - 64
				}
				image := disk.Image(crashfs.Kept, 0)
				image.Flip(sealed.File, at, uint8(at%8))
				l := open(t, dir, small(image))
				if n := readAll(t, l, 100); n != 8 {
					t.Fatalf("with a catalog %v, offset %d: %d records, damage %v", cataloged, at, n, l.Damage())
				}
				l.Close()
			}
		}
	})
	t.Run("damage in a sealed segment is found by reading and named", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 5, 100)
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		appendN(t, l, 3, 100)
		sealed := l.Segments()[0]
		l.Close()
		for at := int64(4096); at < sealed.Used; at += 3 {
			image := disk.Image(crashfs.Kept, 0)
			image.Flip(sealed.File, at, uint8(at%8))
			l := open(t, dir, small(image))
			bad := 0
			for p := aof.Position(1); p <= 8; p++ {
				rec, err := l.ReadAt(t.Context(), p)
				var damage *aof.DamageError
				switch {
				case err == nil && !bytes.Equal(rec, record(p, 100)):
					t.Fatalf("offset %d: position %d reads %.20q", at, p, rec)
				case errors.As(err, &damage):
					if bad++; damage.File != sealed.File || p < damage.First || p > damage.Last {
						t.Fatalf("offset %d: position %d: %v", at, p, err)
					}
				case err != nil:
					t.Fatalf("offset %d: position %d: %v", at, p, err)
				}
			}
			if bad > 1 || bad != len(l.Damage()) {
				t.Fatalf("offset %d: %d records lost, damage %v", at, bad, l.Damage())
			}
			l.Close()
		}
	})
	t.Run("segments that a crash left without a footer are not scanned again", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, dir, small(disk))
		appendN(t, l, 10, 100)
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		appendN(t, l, 10, 100)
		first := l.Segments()[0]
		l.Close()
		f, err := disk.OpenFile(first.File, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt(make([]byte, 64), first.Bytes-64)
		removeCatalog(t, disk, dir)
		open(t, dir, small(disk)).Close()
		l = open(t, dir, small(disk.Image(crashfs.Lost, 0)))
		if !l.Segments()[0].Sealed {
			t.Fatal("still without a footer")
		}
		if n := readAll(t, l, 100); n != 20 {
			t.Fatalf("%d records", n)
		}
	})
}

func TestReaderAfterTruncation(t *testing.T) {
	l := open(t, "/log", small(crashfs.New()))
	appendN(t, l, 10, 100)
	behind, err := l.Reader(10)
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	if _, err := behind.TryNext(); err != nil {
		t.Fatal(err)
	}
	before, err := l.Reader(4)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := l.TruncateAfter(5); err != nil {
		t.Fatal(err)
	}
	appendN(t, l, 8, 50)
	if rec, err := behind.TryNext(); !errors.Is(err, aof.ErrTruncated) {
		t.Errorf("a reader behind the cut: %d, %v", rec.Position, err)
	}
	for p := aof.Position(4); p <= 13; p++ {
		size := 100
		if p > 5 {
			size = 50
		}
		rec, err := before.TryNext()
		if err != nil || rec.Position != p || !bytes.Equal(rec.Data, record(p, size)) {
			t.Fatalf("a reader before the cut at %d: %d %.20q, %v", p, rec.Position, rec.Data, err)
		}
	}
}

func TestCallbacks(t *testing.T) {
	t.Run("each runs once although one of them panics", func(t *testing.T) {
		disk := crashfs.New()
		l := open(t, "/log", small(disk))
		hold, held := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		disk.Inject(func(op crashfs.Op) error {
			if op.Kind == crashfs.Write && first.CompareAndSwap(false, true) {
				close(held)
				<-hold
			}
			return nil
		})
		const n = 6
		var calls [n]atomic.Int32
		called := make(chan int, 2*n)
		add := func(i int) {
			t.Helper()
			if err := l.AppendAsync(t.Context(), [][]byte{{byte(i)}}, aof.Fsync, func(aof.Position, error) {
				calls[i].Add(1)
				called <- i
				if i == 2 {
					panic("a callback's own fault")
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		add(0)
		<-held
		for i := 1; i < n; i++ {
			add(i) // all in the second batch
		}
		close(hold)
		for i := range n {
			if got := <-called; got != i {
				t.Fatalf("callback %d came as number %d", got, i)
			}
		}
		if _, err := l.Append(t.Context(), []byte("x"), aof.Fsync); !errors.Is(err, aof.ErrPoisoned) {
			t.Fatalf("the committer that died took a record: %v", err)
		}
		for i := range calls {
			if c := calls[i].Load(); c != 1 {
				t.Errorf("callback %d ran %d times", i, c)
			}
		}
	})
	t.Run("a queue that never becomes empty keeps nobody from the committer", func(t *testing.T) {
		l := open(t, "/log", small(crashfs.New()))
		stop := make(chan struct{})
		ended := make(chan struct{})
		var again func(aof.Position, error)
		again = func(aof.Position, error) {
			select {
			case <-stop:
				close(ended)
			default:
				switch err := l.TryAppend(make([]byte, 100), aof.OS, again); {
				case errors.Is(err, aof.ErrBackpressure):
					go again(0, nil) // sealing holds admission back, and needs this callback to return
				case err != nil:
					t.Error(err)
					close(ended)
				}
			}
		}
		again(0, nil)
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(stop)
		<-ended
	})
}
