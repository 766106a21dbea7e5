package aof

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// cataloged are options of a log whose segments are small.
func cataloged(disk *crashfs.FS) Options {
	return Options{FS: disk, SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)}
}

// sealedSegments makes a log of n sealed segments with three records each, which begins behind the first one.
func sealedSegments(t testing.TB, disk *crashfs.FS, n int) {
	t.Helper()
	l, err := Open("/log", cataloged(disk))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for range 3 {
			if _, err := l.Append(t.Context(), []byte(strings.Repeat("x", 100)), OS); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.remember(); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := l.TruncateBefore(4); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func catalogBytes(t testing.TB, disk *crashfs.FS) []byte {
	t.Helper()
	f, err := disk.OpenFile("/log/"+catalogName, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, _ := f.Size()
	b := make([]byte, n)
	if err := readFull(f, b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantOpened opens the log of sealedSegments and closes it again. It returns how many segments the catalog vouched for.
func wantOpened(t *testing.T, disk *crashfs.FS, n int) (vouched int) {
	t.Helper()
	l, err := Open("/log", cataloged(disk))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	if first, next := l.Bounds(); first != 4 || next != Position(3*n)+1 {
		t.Fatalf("it goes from %d to %d", first, next)
	}
	if d := l.Damage(); len(d) > 0 {
		t.Fatal(d)
	}
	return len(l.vouched)
}

func TestACatalogOfWhichABitIsFlippedIsMadeAnew(t *testing.T) {
	disk := crashfs.New()
	sealedSegments(t, disk, 5)
	if n := wantOpened(t, disk, 5); n != 4 {
		t.Fatalf("a whole catalog vouches for %d segments", n)
	}
	whole := catalogBytes(t, disk)
	size := len(whole)
	for bit := range 8 * size {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeCatalog(b); err == nil {
			t.Fatalf("bit %d of byte %d of %d: it is read", bit%8, bit/8, size)
		}
	}
	for at := 0; at < size; at += 23 {
		image := disk.Image(crashfs.Kept, 0)
		image.Flip("/log/"+catalogName, int64(at), uint8(at%8))
		if n := wantOpened(t, image, 5); n != 0 {
			t.Fatalf("byte %d of %d: it vouches for %d segments", at, size, n)
		}
		if n := wantOpened(t, image, 5); n != 4 {
			t.Fatalf("byte %d of %d: made anew it vouches for %d segments", at, size, n)
		}
	}
}

func TestACatalogThatWasCutOffIsMadeAnew(t *testing.T) {
	disk := crashfs.New()
	sealedSegments(t, disk, 5)
	whole := catalogBytes(t, disk)
	ends := []int{catalogHeader}
	for end := catalogHeader; end < len(whole); ends = append(ends, end) {
		end += catalogFrame + int(uint32(whole[end])|uint32(whole[end+1])<<8)
	}
	for size := range whole {
		st, err := decodeCatalog(whole[:size])
		if between := !slices.Contains(ends, size); between != (err != nil) || between && size > catalogHeader && !errors.Is(err, errTorn) {
			t.Fatalf("%d of %d bytes: %v", size, len(whole), err)
		}
		if size < len(whole)/2 || size%11 != 0 {
			continue
		}
		image := disk.Image(crashfs.Kept, 0)
		f, err := image.OpenFile("/log/"+catalogName, 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(int64(size)), f.Close()); err != nil {
			t.Fatal(err)
		}
		if st.head == 4 { // else records that were truncated could be there, had their segment not been given up
			wantOpened(t, image, 5)
		}
	}
}

func TestACatalogStaysSmall(t *testing.T) {
	disk := crashfs.New()
	l, err := Open("/log", cataloged(disk))
	if err != nil {
		t.Fatal(err)
	}
	largest := 0
	for i := range 600 {
		if _, err := l.Append(t.Context(), []byte("x"), OS); err != nil {
			t.Fatal(err)
		}
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.TruncateBefore(Position(max(i, 4) - 3)); err != nil {
			t.Fatal(err)
		}
		if err := l.remember(); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(catalogBytes(t, disk)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// Some five entries of 300 bytes count at any time.
	if limit := catalogGarbage + 2*3000; largest < catalogGarbage/2 || largest > limit {
		t.Fatalf("it grew to %d bytes, at most %d are in order", largest, limit)
	}
	for range 3 {
		l, err := Open("/log", cataloged(disk))
		if err != nil {
			t.Fatal(err)
		}
		if _, next := l.Bounds(); next != 601 {
			t.Fatal(next)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAChangeThatCouldntBeWrittenComesWithTheNext(t *testing.T) {
	for _, kind := range []crashfs.OpKind{crashfs.Write, crashfs.Sync} {
		t.Run(kind.String(), func(t *testing.T) {
			disk := crashfs.New()
			sealedSegments(t, disk, 3)
			l, err := Open("/log", cataloged(disk))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := l.Append(t.Context(), []byte(strings.Repeat("x", 100)), OS); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			failed := false
			disk.Inject(func(op crashfs.Op) error {
				if op.Kind == kind && strings.Contains(op.Name, catalogName) {
					failed = true
					return errors.New("the disk is ill")
				}
				return nil
			})
			if err := l.remember(); err == nil && !failed {
				t.Fatal("nothing was written")
			}
			disk.Inject(nil)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if n := wantOpened(t, disk, 4); n != 3 {
				t.Fatalf("it vouches for %d segments", n)
			}
		})
	}
}

func TestTheCatalogOfAnEarlierVersionGoes(t *testing.T) {
	disk := crashfs.New()
	sealedSegments(t, disk, 3)
	if err := disk.Rename("/log/"+catalogName, "/log/"+legacyCatalog); err != nil {
		t.Fatal(err)
	}
	if n := wantOpened(t, disk, 3); n != 0 {
		t.Fatalf("it vouches for %d segments", n)
	}
	if n := wantOpened(t, disk, 3); n != 2 {
		t.Fatalf("made anew it vouches for %d segments", n)
	}
	if files := disk.Files("/log/" + legacyCatalog); len(files) > 0 {
		t.Fatal(files)
	}
}

func FuzzCatalog(f *testing.F) {
	disk := crashfs.New()
	sealedSegments(f, disk, 3)
	whole := catalogBytes(f, disk)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(whole[:catalogHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decodeCatalog(b)
		if err == nil && st.end != int64(len(b)) {
			t.Fatalf("%d of %d bytes were read", st.end, len(b))
		}
		for q, e := range st.entries {
			if e == nil || e.Sequence != q || e.valid() != nil {
				t.Fatalf("segment %d: %+v", q, e)
			}
		}
	})
}
