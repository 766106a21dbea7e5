package zframe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// sample is text-like for even seeds and can't be compressed for odd ones, with a stretch of zeros in it.
func sample(size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < size {
		if seed%2 == 0 {
			b = fmt.Appendf(b, `{"id":%d,"name":"customer %d","city":"%x"}`, r.IntN(1e6), r.IntN(1e4), r.IntN(100))
		} else {
			b = append(b, byte(r.Uint32()))
		}
	}
	b = b[:size]
	if size > 3000 {
		clear(b[1000:2500])
	}
	return b
}

func write(t testing.TB, plain []byte, o Options) ([]byte, *Summary) {
	t.Helper()
	var file bytes.Buffer
	s, err := Write(&file, bytes.NewReader(plain), int64(len(plain)), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.File != int64(file.Len()) || s.CRC32C != crc(file.Bytes()) {
		t.Fatalf("the summary says %d bytes, %08x", s.File, s.CRC32C)
	}
	return file.Bytes(), s
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	const f = 1 << 10
	for seed, size := range []int{0, 1, f - 1, f, f + 1, 5*f + 100, 40 * f, 41*f - 1, 300 * f} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			plain := sample(size, uint64(seed))
			file, _ := write(t, plain, Options{FrameBytes: f, Meta: []byte("meta")})
			s, err := Verify(t.Context(), bytes.NewReader(file), int64(len(file)))
			if err != nil {
				t.Fatal(err)
			}
			if string(s.Meta) != "meta" || s.Size != int64(size) || s.Frames() != (size+f-1)/f {
				t.Fatalf("%+v", s)
			}
			r := NewReader(bytes.NewReader(file), s)
			got, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<40))
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			rnd := rand.New(rand.NewPCG(1, uint64(size)))
			for range 100 {
				off, n := rnd.IntN(size+1), rnd.IntN(3*f)
				b := make([]byte, n)
				m, err := r.ReadAt(b, int64(off))
				if want := plain[off:min(size, off+n)]; !bytes.Equal(b[:m], want) || (m < n) != (err == io.EOF) {
					t.Fatalf("%d bytes at %d: %d, %v", n, off, m, err)
				}
			}
			// Any decoder gives the original.
			d, err := zstd.NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if got, err = io.ReadAll(d); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("an ordinary decoder: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestASummaryLongerThanTheFirstReadIsFound(t *testing.T) {
	plain := make([]byte, 20_000<<10)
	file, _ := write(t, plain, Options{FrameBytes: 1 << 10, Meta: bytes.Repeat([]byte("m"), 100<<10)})
	s, err := ReadSummary(bytes.NewReader(file), int64(len(file)))
	if err != nil || s.Frames() != 20_000 || len(s.Meta) != 100<<10 {
		t.Fatal(err)
	}
}

func TestEachFlippedBitIsFound(t *testing.T) {
	plain := sample(3000, 2)
	file, _ := write(t, plain, Options{FrameBytes: 1 << 10, Meta: []byte("meta")})
	regions := map[string]bool{}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		_, err := Verify(t.Context(), bytes.NewReader(bad), int64(len(bad)))
		c := (*CorruptError)(nil)
		if !errors.As(err, &c) {
			t.Fatalf("byte %d: %v", i, err)
		}
		regions[c.Region] = true
		s, err := ReadSummary(bytes.NewReader(bad), int64(len(bad)))
		if err != nil {
			continue
		}
		r := NewReader(bytes.NewReader(bad), s)
		for off := 0; off < len(plain); off += 500 {
			b := make([]byte, 500)
			if n, _ := r.ReadAt(b, int64(off)); !bytes.Equal(b[:n], plain[off:off+n]) {
				t.Fatalf("byte %d: wrong data", i)
			}
		}
	}
	for _, want := range []string{"frame 0", "frame 2", "summary", "seek table"} {
		if !regions[want] {
			t.Errorf("%s is never named, of %v", want, regions)
		}
	}
}

func TestATruncatedFileIsRefused(t *testing.T) {
	file, _ := write(t, sample(3000, 2), Options{FrameBytes: 1 << 10})
	for n := range file {
		if _, err := Verify(context.Background(), bytes.NewReader(file[:n]), int64(n)); err == nil {
			t.Fatalf("%d of %d bytes", n, len(file))
		}
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for _, n := range []int{1, 1<<10 - 1, maxFrame + 1} {
		if _, err := Write(io.Discard, bytes.NewReader(nil), 0, Options{FrameBytes: n}); err == nil {
			t.Errorf("frames of %d bytes", n)
		}
	}
}

func FuzzReadSummary(f *testing.F) {
	var file bytes.Buffer
	Write(&file, bytes.NewReader(sample(5000, 2)), 5000, Options{FrameBytes: 1 << 10, Meta: []byte("meta")})
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSummary(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		r := NewReader(bytes.NewReader(b), s)
		buf := make([]byte, 100)
		for _, off := range []int64{0, s.Size / 2, s.Size - 1} {
			if off >= 0 {
				r.ReadAt(buf, off)
			}
		}
		Verify(context.Background(), bytes.NewReader(b), int64(len(b)))
	})
}

func FuzzDecode(f *testing.F) {
	plain := sample(1000, 2)
	file, s := write(f, plain, Options{FrameBytes: 1 << 10})
	_, n := s.Range(0, 1)
	f.Add(file[:n])
	f.Fuzz(func(t *testing.T, packed []byte) {
		s := &Summary{Size: 1000, FrameBytes: 1 << 10, frames: []frame{{0, uint32(len(packed)), crc(packed)}}, at: int64(len(packed))}
		got, err := s.Decode(nil, 0, packed)
		if err == nil && len(got) != 1000 {
			t.Fatalf("%d bytes", len(got))
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(sample(5000, 2), []byte("meta"))
	f.Fuzz(func(t *testing.T, plain, meta []byte) {
		file, _ := write(t, plain, Options{FrameBytes: 1 << 10, Meta: meta})
		s, err := Verify(context.Background(), bytes.NewReader(file), int64(len(file)))
		if err != nil || !bytes.Equal(s.Meta, meta) {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(NewReader(bytes.NewReader(file), s), 0, s.Size))
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatal(err)
		}
	})
}

func BenchmarkRandomRead(b *testing.B) {
	plain := sample(8<<20, 2)
	for _, size := range []int{16, 32, 64, 128} {
		b.Run(fmt.Sprintf("frames=%dKiB", size), func(b *testing.B) {
			file, s := write(b, plain, Options{FrameBytes: size << 10})
			buf := make([]byte, 1<<10)
			var took []time.Duration
			for b.Loop() {
				t := time.Now()
				r := NewReader(bytes.NewReader(file), s)
				if _, err := r.ReadAt(buf, rand.Int64N(int64(len(plain)-len(buf)))); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(t))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
			b.ReportMetric(float64(len(plain))/float64(len(file)), "ratio")
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	plain := sample(8<<20, 2)
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
		b.Run(level.String(), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				if _, err := Write(io.Discard, bytes.NewReader(plain), int64(len(plain)), Options{Level: level}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestTheExampleInTheDocumentation holds docs/formats/aof-warm.md to what is written.
func TestTheExampleInTheDocumentation(t *testing.T) {
	var text strings.Builder
	file, s := write(t, []byte("hello hello hello hello"), Options{Meta: []byte("meta")})
	for i := s.at; i < int64(len(file)); i += 16 {
		fmt.Fprintf(&text, "%04x  % x\n", i-s.at, file[i:min(i+16, int64(len(file)))])
	}
	doc, err := os.ReadFile("../../../../docs/formats/aof-warm.md")
	if errors.Is(err, os.ErrNotExist) {
		return // the module is used from outside the repository
	}
	if err != nil || !strings.Contains(string(doc), text.String()) {
		t.Errorf("the document doesn't have\n%s%v", text.String(), err)
	}
}
