package zframe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
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

func TestBadOptionsAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		o    Options
	}{
		{"a frame of a byte", 0, Options{FrameBytes: 1}},
		{"a frame that is a byte too short", 0, Options{FrameBytes: minFrame - 1}},
		{"a frame that is a byte too long", 0, Options{FrameBytes: maxFrame + 1}},
		{"an original of less than nothing", -1, Options{}},
		{"a level that there isn't", 0, Options{Level: 99}},
		{"more frames than a summary may have", 8 << 30, Options{FrameBytes: minFrame}},
		{"a size at the end of the numbers", 1<<63 - 1, Options{}},
		{"more of the caller's than a summary may have", 0, Options{Meta: make([]byte, maxSummary)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var file bytes.Buffer
			if _, err := Write(&file, zeros{}, c.size, c.o); err == nil || file.Len() > 0 {
				t.Fatalf("%d bytes written, %v", file.Len(), err)
			}
		})
	}
}

// zeros is an original of whatever size; it gives up where a refused one would have been read for long.
type zeros struct{}

func (zeros) ReadAt(b []byte, off int64) (int, error) {
	if off > 1<<20 {
		return 0, errors.New("it was read far")
	}
	clear(b)
	return len(b), nil
}

func TestTheLargestFrameIsRead(t *testing.T) {
	plain := make([]byte, maxFrame+5)
	copy(plain, sample(1<<20, 1)) // a part that can't be compressed
	file, _ := write(t, plain, Options{FrameBytes: maxFrame})
	if _, err := Verify(t.Context(), bytes.NewReader(file), int64(len(file))); err != nil {
		t.Fatal(err)
	}
}

func TestAnOriginalThatEndsEarlyIsNoDamage(t *testing.T) {
	_, err := Write(io.Discard, bytes.NewReader(sample(1500, 2)), 3000, Options{FrameBytes: minFrame})
	if c := (*CorruptError)(nil); !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &c) {
		t.Fatal(err)
	}
}

// TestOtherReadersFindTheirWay reads by the seek table alone, as the description of zstd's seekable format says.
func TestOtherReadersFindTheirWay(t *testing.T) {
	plain := sample(10_000, 2)
	file, _ := write(t, plain, Options{FrameBytes: minFrame, Meta: []byte("meta")})
	u32 := func(off int) int { return int(binary.LittleEndian.Uint32(file[off:])) }
	n := u32(len(file) - 9)
	table := len(file) - 9 - 12*n - 8
	if u32(len(file)-4) != 0x8F92EAB1 || file[len(file)-5] != 0x80 || u32(table) != 0x184D2A5E || u32(table+4) != len(file)-table-8 {
		t.Fatalf("% x", file[table:])
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var got []byte
	at := 0
	for i := range n {
		e := table + 8 + 12*i
		b, err := d.DecodeAll(file[at:at+u32(e)], nil)
		if err != nil || len(b) != u32(e+4) || len(b) > 0 && int(uint32(xxhash.Sum64(b))) != u32(e+8) {
			t.Fatalf("frame %d: %d bytes, %v", i, len(b), err)
		}
		got, at = append(got, b...), at+u32(e)
	}
	if !bytes.Equal(got, plain) || at != table {
		t.Fatalf("%d bytes, the frames end at %d, the table begins at %d", len(got), at, table)
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
