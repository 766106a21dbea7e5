package zframe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// region is what Verify has to call the place of a byte.
func region(s *Summary, at int64) string {
	for i := range s.Frames() {
		if off, n := s.Range(i, i+1); at >= off && at < off+n {
			return fmt.Sprintf("frame %d", i)
		}
	}
	if at < s.at+int64(len(s.encode())) {
		return "summary"
	}
	return "seek table"
}

func TestEachFlippedBitIsFoundAndItsRegionNamed(t *testing.T) {
	plain := sample(3000, 2)
	file, whole := write(t, plain, Options{FrameBytes: minFrame, Meta: []byte("meta")})
	for i := range file {
		for bit := range 8 {
			bad := bytes.Clone(file)
			bad[i] ^= 1 << bit
			_, err := Verify(t.Context(), bytes.NewReader(bad), int64(len(bad)))
			if c := (*CorruptError)(nil); !errors.As(err, &c) || c.Region != region(whole, int64(i)) {
				t.Fatalf("bit %d of byte %d, in the %s: %v", bit, i, region(whole, int64(i)), err)
			}
			s, err := ReadSummary(bytes.NewReader(bad), int64(len(bad)))
			if err != nil {
				continue
			}
			r := NewReader(bytes.NewReader(bad), s)
			for off := 0; off < len(plain); off += 500 {
				b := make([]byte, 500)
				n, err := r.ReadAt(b, int64(off))
				if !bytes.Equal(b[:n], plain[off:off+n]) || n < len(b) && err == nil {
					t.Fatalf("bit %d of byte %d: wrong data", bit, i)
				}
			}
		}
	}
}

func TestATruncatedFileIsRefused(t *testing.T) {
	file, _ := write(t, sample(3000, 2), Options{FrameBytes: minFrame})
	for n := range file {
		_, err := Verify(t.Context(), bytes.NewReader(file[:n]), int64(n))
		if c := (*CorruptError)(nil); !errors.As(err, &c) {
			t.Fatalf("%d of %d bytes: %v", n, len(file), err)
		}
	}
}

func TestAFileThatIsShorterThanWasSaidIsRefused(t *testing.T) {
	file, _ := write(t, sample(3000, 2), Options{FrameBytes: minFrame})
	for _, size := range []int64{-1, 0, int64(len(file)) + 1} {
		_, err := ReadSummary(bytes.NewReader(file), size)
		if c := (*CorruptError)(nil); !errors.As(err, &c) {
			t.Errorf("%d bytes were said: %v", size, err)
		}
	}
}

func TestANewerVersionIsNoDamage(t *testing.T) {
	file, s := write(t, sample(3000, 2), Options{FrameBytes: minFrame})
	binary.LittleEndian.PutUint32(file[s.at+16:], version+1)
	file = sealed(file)
	_, err := ReadSummary(bytes.NewReader(file), int64(len(file)))
	if c := (*CorruptError)(nil); !errors.Is(err, ErrNewer) || errors.As(err, &c) {
		t.Fatal(err)
	}
}

func TestASummaryWhoseNumbersDontFitIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		field int64 // offset in the summary
	}{
		{"frame size", 20},
		{"length of the original", 24},
		{"offset of the summary", 32},
		{"number of frames", 40},
		{"length of the caller's data", 44},
		{"length of a frame", 48},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range []uint32{0, 1, 1 << 20, 1 << 31, 1<<32 - 1} {
				file, s := write(t, sample(3000, 2), Options{FrameBytes: minFrame, Meta: []byte("meta")})
				binary.LittleEndian.PutUint32(file[s.at+c.field:], v)
				file = sealed(file)
				_, err := ReadSummary(bytes.NewReader(file), int64(len(file)))
				if c := (*CorruptError)(nil); !errors.As(err, &c) || c.Region != "summary" {
					t.Errorf("%d: %v", v, err)
				}
			}
		})
	}
}

func TestAFrameThatHoldsMoreThanItShouldTakesNoMemory(t *testing.T) {
	const size = 1000
	e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	right, more := e.EncodeAll(make([]byte, size), nil), e.EncodeAll(make([]byte, 12<<20), nil)
	for _, c := range []struct {
		name   string
		packed []byte
	}{
		{"one frame of 12 MiB", more},
		{"a right one with 12 MiB behind it", append(bytes.Clone(right), more...)},
		{"a right one twice", append(bytes.Clone(right), right...)},
		{"nothing", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Summary{Size: size, FrameBytes: minFrame, frames: []frame{{0, uint32(len(c.packed)), crc(c.packed)}}, at: int64(len(c.packed))}
			s.Decode(nil, 0, c.packed) // the pool gets its decoder
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := s.Decode(nil, 0, c.packed)
			runtime.ReadMemStats(&after)
			if e := (*CorruptError)(nil); !errors.As(err, &e) {
				t.Error(err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
}
