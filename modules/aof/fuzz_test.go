package aof_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// FuzzSegment opens a log whose segment was overwritten with other bytes: it may say that it is damaged, but it opens
// or refuses in words, ends, and returns only records that were written.
func FuzzSegment(f *testing.F) {
	disk := crashfs.New()
	o := small(disk)
	l, err := aof.Open("/log", o)
	if err != nil {
		f.Fatal(err)
	}
	const n = 6
	for p := range aof.Position(n) {
		if _, err := l.Append(f.Context(), record(p+1, 40), aof.Fsync); err != nil {
			f.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	name := segmentFiles(disk)[0]
	f.Add(uint16(4096), []byte("BAT1"))
	f.Add(uint16(4100), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint16(0), make([]byte, 64))
	f.Add(uint16(65472), []byte("BOPAOFTR"))
	f.Fuzz(func(t *testing.T, at uint16, b []byte) {
		image := disk.Image(crashfs.Kept, 0)
		x, err := image.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b = b[:min(len(b), 64<<10-int(at))]
		if _, err := x.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
		o := small(image)
		l, err := aof.Open("/log", o)
		if err != nil {
			if !errors.Is(err, aof.ErrDamaged) && !errors.Is(err, aof.ErrNewerFormat) {
				t.Fatal(err)
			}
			return
		}
		defer l.Close()
		first, next := l.Bounds()
		for p := first; p < next; p++ {
			rec, err := l.ReadAt(t.Context(), p)
			if err == nil && !bytes.Equal(rec, record(p, 40)) {
				t.Fatalf("position %d reads %q", p, rec)
			}
			if err != nil && !errors.Is(err, aof.ErrDamaged) {
				t.Fatalf("position %d: %v", p, err)
			}
		}
	})
}
