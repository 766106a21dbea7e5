package zframe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
)

// counted counts the reads of a file.
type counted struct {
	r     io.ReaderAt
	reads atomic.Int64
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.r.ReadAt(b, off)
}

func TestTheSummaryIsFoundInAtMostTwoReads(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames int
		meta   int
		reads  int64
	}{
		{"no frames", 0, 0, 1},
		{"a segment of 64 MiB in frames of 32 KiB", 2048, 16<<10 + 200, 1},
		{"a summary that is longer than the first read", 2400, 40 << 10, 2},
		{"a seek table that is longer than the first read", 6000, 96 << 10, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, _ := write(t, make([]byte, c.frames*minFrame), Options{FrameBytes: minFrame, Meta: make([]byte, c.meta)})
			r := &counted{r: bytes.NewReader(file)}
			s, err := ReadSummary(r, int64(len(file)))
			if err != nil || s.Frames() != c.frames || len(s.Meta) != c.meta || r.reads.Load() != c.reads {
				t.Fatalf("%d reads, %v", r.reads.Load(), err)
			}
		})
	}
}

func TestASummaryIsFoundThoughTheSeekTableIsWrongAboutIt(t *testing.T) {
	file, _ := write(t, make([]byte, 6000*minFrame), Options{FrameBytes: minFrame, Meta: make([]byte, 96<<10)})
	entry := len(file) - seekFoot - seekEntry
	for _, told := range []uint32{0, minSummary, 1 << 16, 1 << 17, 1<<32 - 1} {
		binary.LittleEndian.PutUint32(file[entry:], told)
		if s, err := ReadSummary(bytes.NewReader(file), int64(len(file))); err != nil || s.Frames() != 6000 {
			t.Errorf("%d: %v", told, err)
		}
		_, err := Verify(t.Context(), bytes.NewReader(file), int64(len(file)))
		if c := (*CorruptError)(nil); !errors.As(err, &c) || c.Region != "seek table" {
			t.Errorf("%d: %v", told, err)
		}
	}
}

func TestReadingOnDecodesEachFrameOnce(t *testing.T) {
	plain := sample(20*minFrame+1, 2)
	file, s := write(t, plain, Options{FrameBytes: minFrame})
	src := &counted{r: bytes.NewReader(file)}
	r := NewReader(src, s)
	for off := 0; off < len(plain); off += 100 {
		want := plain[off:min(off+100, len(plain))]
		b := make([]byte, len(want))
		if _, err := r.ReadAt(b, int64(off)); err != nil || !bytes.Equal(b, want) {
			t.Fatalf("at %d: %v", off, err)
		}
	}
	if n := src.reads.Load(); n != 21 {
		t.Fatalf("%d reads of 21 frames", n)
	}
}

func TestAReaderServesManyAtOnce(t *testing.T) {
	plain := sample(30*minFrame, 2)
	file, s := write(t, plain, Options{FrameBytes: minFrame})
	r := NewReader(bytes.NewReader(file), s)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			b := make([]byte, 1500)
			for i := range 200 {
				off := (i*7919 + g*4001) % (len(plain) - len(b))
				if n, err := r.ReadAt(b, int64(off)); err != nil || !bytes.Equal(b[:n], plain[off:off+n]) {
					t.Errorf("at %d: %d, %v", off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// flaky fails its first reads.
type flaky struct {
	r    io.ReaderAt
	fail int
}

var errFlaky = errors.New("not now")

func (f *flaky) ReadAt(b []byte, off int64) (int, error) {
	if f.fail > 0 {
		f.fail--
		return 0, errFlaky
	}
	return f.r.ReadAt(b, off)
}

func TestAReadThatFailedIsNoDamageAndCanBeRepeated(t *testing.T) {
	plain := sample(3*minFrame, 2)
	file, s := write(t, plain, Options{FrameBytes: minFrame})
	src := &flaky{r: bytes.NewReader(file)}
	r := NewReader(src, s)
	for i, off := range []int64{0, 2 * minFrame, minFrame - 10} {
		t.Run(fmt.Sprint("offset ", off), func(t *testing.T) {
			src.fail = 1
			b := make([]byte, 20)
			n, err := r.ReadAt(b, off)
			if !errors.Is(err, errFlaky) || n > 0 && !bytes.Equal(b[:n], plain[off:off+int64(n)]) {
				t.Fatalf("%d: %d bytes, %v", i, n, err)
			}
			if _, err := r.ReadAt(b, off); err != nil || !bytes.Equal(b, plain[off:off+20]) {
				t.Fatalf("%d, again: %v", i, err)
			}
		})
	}
}

func TestOffsetsOutsideAreTheEndOrAnError(t *testing.T) {
	plain := sample(100, 2)
	file, s := write(t, plain, Options{})
	r := NewReader(bytes.NewReader(file), s)
	for _, c := range []struct {
		off  int64
		n    int
		want error // nil: any error but io.EOF
	}{{100, 0, io.EOF}, {1 << 40, 0, io.EOF}, {99, 1, io.EOF}, {-1, 0, nil}} {
		n, err := r.ReadAt(make([]byte, 10), c.off)
		if n != c.n || err == nil || (err == io.EOF) != (c.want == io.EOF) {
			t.Errorf("at %d: %d, %v", c.off, n, err)
		}
	}
}
