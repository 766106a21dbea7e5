package crypt

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

func mustWrite(t testing.TB, s *Scratch, b []byte, off int64) {
	t.Helper()
	if n, err := s.WriteAt(b, off); n != len(b) || err != nil {
		t.Fatalf("%d bytes at %d: %d, %v", len(b), off, n, err)
	}
}

func TestATemporaryFileIsLikeAFile(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := &memFile{}
		s := NewScratch(f)
		var model []byte
		most := int64(20 * scratchBlock)
		switch seed % 3 {
		case 0:
			most = 3 * regionBlocks * scratchBlock
		case 1:
			most = 3 * scratchBlock // where the same block comes up again and again
		}
		length := func() int64 {
			switch r.IntN(4) {
			case 0:
				return r.Int64N(10)
			case 1:
				return scratchBlock * r.Int64N(4)
			}
			return r.Int64N(5 * scratchBlock)
		}
		place := func() int64 {
			switch r.IntN(4) {
			case 0:
				return int64(len(model))
			case 1:
				return r.Int64N(most) / scratchBlock * scratchBlock
			}
			return r.Int64N(most)
		}
		for step := range 400 {
			switch op := r.IntN(10); {
			case op < 4:
				b := make([]byte, length())
				for i := range b {
					b[i] = byte(step) | 1
				}
				off := place()
				mustWrite(t, s, b, off)
				if end := int(off) + len(b); len(b) > 0 && end > len(model) {
					model = append(model, make([]byte, end-len(model))...)
				}
				copy(model[min(int(off), len(model)):], b)
			case op < 5:
				size := place()
				if r.IntN(4) == 0 {
					size = r.Int64N(100)
				}
				if err := s.Truncate(size); err != nil {
					t.Fatal(err)
				}
				model = append(model, make([]byte, max(int(size)-len(model), 0))...)[:size]
			default:
				off, b := place(), make([]byte, length()+1)
				b[0] = 99
				n, err := s.ReadAt(b, off)
				want := model[min(int(off), len(model)):]
				wantEOF := len(want) < len(b)
				want = want[:min(len(b), len(want))]
				if n != len(want) || !bytes.Equal(b[:n], want) || (err == io.EOF) != wantEOF || err != nil && err != io.EOF {
					t.Fatalf("seed %d step %d: %d bytes at %d of %d: got %d, %v", seed, step, len(b), off, len(model), n, err)
				}
			}
			if s.Size() != int64(len(model)) {
				t.Fatalf("seed %d step %d: size %d, want %d", seed, step, s.Size(), len(model))
			}
		}
		all := make([]byte, len(model))
		if n, err := s.ReadAt(all, 0); n != len(model) || err != nil || !bytes.Equal(all, model) {
			t.Errorf("seed %d: %d bytes of %d, %v", seed, n, len(model), err)
		}
	}
}

func TestWholeBlocksTakeOneCall(t *testing.T) {
	f := &memFile{}
	s := NewScratch(f)
	calls := func(what string, reads, writes int64) {
		t.Helper()
		if r, w := f.reads.Swap(0), f.writes.Swap(0); r != reads || w != writes {
			t.Errorf("%s: %d reads, %d writes, want %d and %d", what, r, w, reads, writes)
		}
	}
	b := pattern(256 * scratchBlock)
	mustWrite(t, s, b, 0)
	calls("writing", 0, 1)
	for _, off := range []int64{0, 100} {
		if _, err := s.ReadAt(b[:200*scratchBlock], off); err != nil {
			t.Error(err)
		}
		calls("reading", 1, 0)
	}
	for range 100 {
		mustWrite(t, s, []byte("a bit of a journal"), s.Size())
	}
	calls("appending", 0, 100)
	mustWrite(t, s, b[:10*scratchBlock], 100)
	calls("writing across blocks", 2, 1)
}

func TestEveryBitOfATemporaryFileCounts(t *testing.T) {
	f := &memFile{}
	s := NewScratch(f)
	mustWrite(t, s, pattern(scratchBlock+100), 0)
	good := f.b
	b := make([]byte, scratchBlock+100)
	for i, bad := range flipped(good) {
		if i%7 != 0 && i > 100 && i/8%scratchSlot > 16 && i/8%scratchSlot < scratchSlot-16 {
			continue // one of seven in the middle will do
		}
		f.b = bad
		if _, err := s.ReadAt(b, 0); err == nil {
			t.Fatalf("bit %d", i)
		} else if i%1000 == 0 {
			wantError(t, err, ErrForged)
		}
	}
	for _, bad := range [][]byte{nil, good[:100], good[:scratchSlot], good[:len(good)-1], make([]byte, len(good)),
		append(bytes.Clone(good[scratchSlot:]), good[:scratchSlot]...)} {
		f.b = bad
		_, err := s.ReadAt(b, 0)
		wantError(t, err, ErrForged)
	}
	f.b = bytes.Clone(good)
	mustWrite(t, s, []byte("newer"), 0)
	copy(f.b, good[:scratchSlot])
	_, err := s.ReadAt(b, 0)
	wantError(t, err, ErrForged)
	_, err = s.WriteAt([]byte("x"), 5000) // which keeps some of the block that it is in
	if err != nil {
		t.Error(err)
	}
	_, err = s.WriteAt([]byte("x"), 100)
	wantError(t, err, ErrForged)
	mustWrite(t, s, pattern(scratchBlock), 0)
	if _, err := s.ReadAt(b, 0); err != nil {
		t.Errorf("a block that was written anew: %v", err)
	}
}

func TestABlockIsNeverSealedTwiceTheSameWay(t *testing.T) {
	f := &memFile{}
	s := NewScratch(f)
	seen := map[string]bool{}
	for range 100 {
		mustWrite(t, s, []byte("same"), 0)
		if seen[string(f.b[:8])] || seen[string(f.b[8:40])] {
			t.Fatal("it was")
		}
		seen[string(f.b[:8])], seen[string(f.b[8:40])] = true, true
	}
	g := &memFile{}
	mustWrite(t, NewScratch(g), []byte("same"), 0)
	if seen[string(g.b[8:40])] {
		t.Error("two files have the same key")
	}
}

func TestAFullDiskLosesNoOtherBlock(t *testing.T) {
	f := &memFile{limit: 10*scratchSlot + 100}
	s := NewScratch(f)
	want := pattern(5*scratchBlock + 50)
	mustWrite(t, s, want, 0)
	n, err := s.WriteAt(pattern(10*scratchBlock), int64(len(want)))
	wantError(t, err, errFileFull)
	if n != 5*scratchBlock-50 || s.Size() != 10*scratchBlock {
		t.Errorf("%d bytes were written, the size is %d", n, s.Size())
	}
	got := make([]byte, 10*scratchBlock)
	if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, append(bytes.Clone(want), pattern(10 * scratchBlock)[:n]...)) {
		t.Errorf("what was written doesn't read: %v", err)
	}
	f.limit = 0
	mustWrite(t, s, []byte("on"), s.Size())
	if n, err := s.ReadAt(got[:2], 10*scratchBlock); n != 2 || err != nil || string(got[:2]) != "on" {
		t.Errorf("%q %v", got[:2], err)
	}
}

func TestAFailedPartialWriteIsntRemembered(t *testing.T) {
	f := &memFile{}
	s := NewScratch(f)
	mustWrite(t, s, []byte("old text"), 0)
	f.limit = 1
	if _, err := s.WriteAt([]byte("new"), 0); err == nil {
		t.Fatal("it was written")
	}
	f.limit = 0
	// One byte of the slot was overwritten: it is lost, and that is said.
	_, err := s.ReadAt(make([]byte, 8), 0)
	wantError(t, err, ErrForged)
	_, err = s.WriteAt([]byte("xyz"), 1)
	wantError(t, err, ErrForged)
	mustWrite(t, s, []byte("all of it"), 0)
	got := make([]byte, 9)
	if _, err := s.ReadAt(got, 0); err != nil || string(got) != "all of it" {
		t.Errorf("%q %v", got, err)
	}
}

func TestAPartThatIsWrittenAfterTheWholeKeepsTheWhole(t *testing.T) {
	s := NewScratch(&memFile{})
	mustWrite(t, s, []byte("part"), 10)
	whole := bytes.Repeat([]byte("w"), scratchBlock)
	mustWrite(t, s, whole, 0)
	mustWrite(t, s, []byte("PART"), 20)
	copy(whole[20:], "PART")
	got := make([]byte, scratchBlock)
	if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("%.30q %v", got, err)
	}
}

func TestFarPlacesOfATemporaryFile(t *testing.T) {
	s := NewScratch(nowhere{})
	for _, off := range []int64{-1, math.MaxInt64, maxScratch} {
		if n, err := s.WriteAt([]byte("x"), off); n != 0 || err == nil {
			t.Errorf("written at %d", off)
		}
		if err := s.Truncate(off); err == nil && off != maxScratch {
			t.Errorf("truncated to %d", off)
		}
	}
	if _, err := s.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Error(err)
	}
	mustWrite(t, s, []byte("x"), maxScratch-1)
	b := []byte{1, 2, 3}
	if n, err := s.ReadAt(b, maxScratch-1<<40); n != 3 || err != nil || !bytes.Equal(b, make([]byte, 3)) {
		t.Errorf("a hole: %v %v", b, err)
	}
	if n, err := s.ReadAt(nil, math.MaxInt64); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// nowhere takes everything and has nothing.
type nowhere struct{}

func (nowhere) ReadAt([]byte, int64) (int, error)        { return 0, io.EOF }
func (nowhere) WriteAt(b []byte, off int64) (int, error) { return len(b), nil }
func (nowhere) Truncate(int64) error                     { return errFileFull }
func (nowhere) Close() error                             { return nil }

func TestTruncatingFailsWithTheFile(t *testing.T) {
	s := NewScratch(nowhere{})
	mustWrite(t, s, pattern(2*scratchBlock), 0)
	wantError(t, s.Truncate(scratchBlock), errFileFull)
	if s.Size() != scratchBlock {
		t.Errorf("size %d", s.Size())
	}
	f := &memFile{}
	s = NewScratch(f)
	if err := s.Close(); err != nil || !f.closed {
		t.Error(err)
	}
}

func TestATemporaryFileIsReadConcurrently(t *testing.T) {
	s := NewScratch(&memFile{})
	size := 64 * scratchBlock
	mustWrite(t, s, make([]byte, size), 0)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			b := bytes.Repeat([]byte{byte(i)}, 3000)
			if _, err := s.WriteAt(b, int64(i*777%(size-3000))); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		wg.Go(func() {
			b := make([]byte, 3*scratchBlock)
			for i := range 200 {
				if _, err := s.ReadAt(b, int64(i*555%(size-len(b)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkScratch(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int64
	}{{"4KiBRandom", 4096}, {"1MiBSequential", 1 << 20}} {
		const size = 64 << 20
		at := func(i int) int64 {
			if c.n == 4096 {
				return int64(uint64(i)*0x9e3779b97f4a7c15>>20) % (size / 4096) * 4096
			}
			return int64(i) * c.n % size
		}
		buf := make([]byte, c.n)
		for _, sealed := range []bool{true, false} {
			open := func(b *testing.B) interface {
				io.ReaderAt
				io.WriterAt
			} {
				f := tempFile(b)
				if !sealed {
					return f
				}
				return NewScratch(f)
			}
			name := fmt.Sprintf("%s/sealed=%v", c.name, sealed)
			b.Run("Write/"+name, func(b *testing.B) {
				s := open(b)
				b.SetBytes(c.n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := s.WriteAt(buf, at(i)); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("Read/"+name, func(b *testing.B) {
				s := open(b)
				for off := int64(0); off < size; off += 1 << 20 {
					if _, err := s.WriteAt(make([]byte, 1<<20), off); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(c.n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := s.ReadAt(buf, at(i)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
