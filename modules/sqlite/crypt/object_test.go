package crypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func sealed(t testing.TB, k *Keyring, name string, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := k.SealObject(&out, lineage, name)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(plain); n != len(plain) || err != nil {
		t.Fatal(n, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(w.Header(), out.Bytes()[:ObjectHeaderBytes]) {
		t.Errorf("header %x", w.Header())
	}
	if int64(out.Len()) != SealedSize(int64(len(plain))) {
		t.Errorf("%d bytes are sealed as %d, SealedSize says %d", len(plain), out.Len(), SealedSize(int64(len(plain))))
	}
	return out.Bytes()
}

// openAll opens b in the three ways that there are and compares.
func openAll(k *Keyring, name string, lineage uint64, b []byte) ([]byte, error) {
	o, err := k.OpenObject(b[:min(ObjectHeaderBytes, len(b))], lineage, name, int64(len(b)))
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(o.Reader(bytes.NewReader(b[ObjectHeaderBytes:])))
	from, length := o.Range(0, o.Size())
	ranged, rangeErr := o.Open(nil, b[from:from+length], 0, o.Size())
	if (err == nil) != (rangeErr == nil) || err == nil && !bytes.Equal(got, ranged) {
		panic(fmt.Sprintf("reading gives %d bytes, %v; opening as a whole %d bytes, %v", len(got), err, len(ranged), rangeErr))
	}
	return got, err
}

var sizes = []int{0, 1, 100, ObjectChunk - 1, ObjectChunk, ObjectChunk + 1, 2*ObjectChunk - 1, 2 * ObjectChunk, 3*ObjectChunk + 17}

func TestObjectsOfAllSizes(t *testing.T) {
	k := ringOf(database, 1)
	for _, n := range sizes {
		plain := pattern(n)
		b := sealed(t, k, "a", plain)
		got, err := openAll(k, "a", lineage, b)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
		for _, part := range []int{1, 7, 1000, ObjectChunk, ObjectChunk + 1} {
			if part == 1 && n > 1000 {
				continue
			}
			var out bytes.Buffer
			k2 := ringOf(database, 1)
			k2.draw = func(p []byte) { copy(p, b[20:]) }
			w, err := k2.SealObject(&out, lineage, "a")
			if err != nil {
				t.Fatal(err)
			}
			for rest := plain; len(rest) > 0; rest = rest[min(part, len(rest)):] {
				if _, err := w.Write(rest[:min(part, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil || !bytes.Equal(out.Bytes(), b) {
				t.Errorf("%d bytes written in parts of %d are sealed in another way, %v", n, part, err)
			}
		}
		o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(o.Reader(iotest.HalfReader(bytes.NewReader(b[ObjectHeaderBytes:]))), plain); err != nil {
			t.Error(err)
		}
	}
}

func TestRanges(t *testing.T) {
	k := ringOf(database, 1)
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range sizes {
		plain := pattern(size)
		b := sealed(t, k, "a", plain)
		o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", int64(len(b)))
		if err != nil || o.Size() != int64(size) {
			t.Fatal(o.Size(), err)
		}
		check := func(off, n int64) {
			from, length := o.Range(off, n)
			if length > n+2*ObjectChunk+3*tagBytes && n < math.MaxInt32 || from < ObjectHeaderBytes || from+length > int64(len(b)) {
				t.Fatalf("[%d, +%d) of %d is said to be in [%d, +%d)", off, n, size, from, length)
			}
			got, err := o.Open([]byte("head"), b[from:from+length], off, n)
			want := plain[min(off, int64(size)):]
			want = want[:min(n, int64(len(want)))]
			if err != nil || !bytes.Equal(got, append([]byte("head"), want...)) {
				t.Fatalf("[%d, +%d) of %d: %d bytes, %v", off, n, size, len(got), err)
			}
		}
		for _, off := range sizes {
			for _, n := range append(sizes, math.MaxInt64) {
				check(int64(off), int64(n))
			}
		}
		for range 200 {
			check(r.Int64N(int64(size)+10), r.Int64N(3*ObjectChunk))
		}
		check(math.MaxInt64, math.MaxInt64)
		if _, n := o.Range(-1, 5); n != 0 {
			t.Errorf("%d bytes before the beginning", n)
		}
		if _, n := o.Range(0, -1); n != 0 {
			t.Errorf("%d bytes for less than nothing", n)
		}
	}
}

func TestAnObjectOpensOnlyAsWhatItWasSealedAs(t *testing.T) {
	k := ringOf(database, 2)
	b := sealed(t, k, "ltx/1", []byte("some pages"))
	for name, c := range map[string]struct {
		ring    *Keyring
		name    string
		lineage uint64
		want    error
	}{
		"another name":     {k, "ltx/2", lineage, ErrForged},
		"another lineage":  {k, "ltx/1", lineage + 1, ErrForged},
		"another database": {ringOf(other, 2), "ltx/1", lineage, ErrForged},
		"a missing key":    {ringOf(database, 1), "ltx/1", lineage, ErrNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := openAll(c.ring, c.name, c.lineage, b)
			wantError(t, err, c.want)
			if len(got) > 0 {
				t.Errorf("got %q", got)
			}
		})
	}
	for _, plain := range []string{"", "some pages"} {
		b := sealed(t, k, "ltx/1", []byte(plain))
		for i, bad := range flipped(b) {
			_, err := openAll(k, "ltx/1", lineage, bad)
			if i < 8*ObjectHeaderBytes {
				wantError(t, err, ErrDamaged)
			} else {
				wantError(t, err, ErrForged)
			}
		}
		for bad := range cuts(b) {
			_, err := openAll(k, "ltx/1", lineage, bad)
			wantError(t, err, ErrForged, ErrDamaged)
		}
	}
}

// A forger who mends the checksum of the header gets no further.
func TestEveryBitOfAHeaderCounts(t *testing.T) {
	k := ringOf(database, 3) // so that some changed key numbers are there
	b := sealed(t, k, "a", []byte("x"))
	for i, bad := range flipped(b[:60]) {
		_, err := openAll(k, "a", lineage, append(mendHeader(bad), b[ObjectHeaderBytes:]...))
		if err == nil {
			t.Errorf("bit %d", i)
		}
	}
	for name, c := range map[string]struct {
		at   int
		to   byte
		want error
	}{
		"a newer version":                {8, 2, ErrNewer},
		"version 0":                      {8, 0, ErrDamaged},
		"no key":                         {12, 0, ErrDamaged},
		"a missing key":                  {12, 4, ErrNoKey},
		"chunks of no length":            {18, 0, ErrDamaged},
		"something in the nothing":       {36, 1, ErrDamaged},
		"something at the nothing's end": {59, 1, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Clone(b[:60])
			bad[c.at] = c.to
			_, err := k.OpenObject(mendHeader(bad), lineage, "a", int64(len(b)))
			wantError(t, err, c.want)
		})
	}
}

func TestChunksStayWhereTheyAre(t *testing.T) {
	k := ringOf(database, 1)
	size := 3*ObjectChunk + 100
	b := sealed(t, k, "a", pattern(size))
	second := sealed(t, k, "a", pattern(size))
	chunk := func(b []byte, i int) []byte { return b[ObjectHeaderBytes+i*sealedChunk:][:sealedChunk] }
	for name, change := range map[string]func([]byte) []byte{
		"swapped chunks": func(b []byte) []byte {
			one := bytes.Clone(chunk(b, 1))
			copy(chunk(b, 1), chunk(b, 0))
			copy(chunk(b, 0), one)
			return b
		},
		"a chunk of another object of that name": func(b []byte) []byte { copy(chunk(b, 1), chunk(second, 1)); return b },
		"a header of another object of that name": func(b []byte) []byte {
			copy(b, second[:ObjectHeaderBytes])
			return b
		},
		"cut after a chunk":        func(b []byte) []byte { return b[:ObjectHeaderBytes+2*sealedChunk] },
		"cut within a chunk":       func(b []byte) []byte { return b[:ObjectHeaderBytes+2*sealedChunk+1000] },
		"cut within a tag":         func(b []byte) []byte { return b[:ObjectHeaderBytes+2*sealedChunk+10] },
		"cut to a tag":             func(b []byte) []byte { return b[:ObjectHeaderBytes+2*sealedChunk+tagBytes] },
		"the first chunk left out": func(b []byte) []byte { return append(b[:ObjectHeaderBytes], b[ObjectHeaderBytes+sealedChunk:]...) },
		"the last chunk twice": func(b []byte) []byte {
			return append(b, b[ObjectHeaderBytes+3*sealedChunk:]...)
		},
		"a byte more": func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openAll(k, "a", lineage, change(bytes.Clone(b)))
			wantError(t, err, ErrForged)
		})
	}
}

// Who asks for what is past the end has to see whether the end is where it seems to be.
func TestTheEndOfACutObjectIsntBelieved(t *testing.T) {
	k := ringOf(database, 1)
	b := sealed(t, k, "a", pattern(2*ObjectChunk))
	for _, cut := range []int{ObjectHeaderBytes + sealedChunk, ObjectHeaderBytes + tagBytes} {
		b := b[:cut]
		o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		from, n := o.Range(o.Size(), 100)
		_, err = o.Open(nil, b[from:from+n], o.Size(), 100)
		wantError(t, err, ErrForged)
	}
}

func TestOpenTakesExactlyTheRange(t *testing.T) {
	k := ringOf(database, 1)
	b := sealed(t, k, "a", pattern(ObjectChunk+5))
	o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	from, n := o.Range(10, 20)
	for _, part := range [][]byte{nil, b[from : from+n-1], b[from : from+n+1], b[:n]} {
		_, err := o.Open(nil, part, 10, 20)
		wantError(t, err, ErrForged)
	}
}

func TestTheReaderFindsTheStreamTooShortOrTooLong(t *testing.T) {
	k := ringOf(database, 1)
	b := sealed(t, k, "a", pattern(2*ObjectChunk))
	o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	body := b[ObjectHeaderBytes:]
	broken := errors.New("connection lost")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"short":          {bytes.NewReader(body[:len(body)-1]), io.ErrUnexpectedEOF},
		"a chunk short":  {bytes.NewReader(body[:sealedChunk]), io.ErrUnexpectedEOF},
		"empty":          {bytes.NewReader(nil), io.ErrUnexpectedEOF},
		"long":           {io.MultiReader(bytes.NewReader(body), bytes.NewReader([]byte{0})), ErrForged},
		"broken":         {io.MultiReader(bytes.NewReader(body[:100]), iotest.ErrReader(broken)), broken},
		"broken at last": {io.MultiReader(bytes.NewReader(body), iotest.ErrReader(broken)), broken},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := io.ReadAll(o.Reader(c.r))
			wantError(t, err, c.want)
		})
	}
}

func TestSizesThatNoObjectHas(t *testing.T) {
	k := ringOf(database, 1)
	b := sealed(t, k, "a", nil)
	for _, size := range []int64{math.MinInt64, -1, 0, 63, 64, 79, math.MaxInt64, math.MaxInt64 - ObjectChunk,
		ObjectHeaderBytes + sealedChunk + 1, ObjectHeaderBytes + sealedChunk + tagBytes} {
		_, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", size)
		wantError(t, err, ErrForged)
	}
	for _, plain := range []int64{0, 1, ObjectChunk, 1 << 40, maxObject - ObjectChunk} {
		o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", SealedSize(plain))
		if err != nil || o.Size() != plain {
			t.Errorf("%d: %v", plain, err)
		}
	}
	for _, plain := range []int64{-1, maxObject, math.MaxInt64} {
		if SealedSize(plain) != math.MaxInt64 {
			t.Errorf("%d can be sealed", plain)
		}
	}
}

type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFileFull
	}
	return len(p), nil
}

func TestChunksOutOfTurnAreThoseOfTheStream(t *testing.T) {
	k := ringOf(database, 1)
	for _, size := range sizes {
		plain := pattern(size)
		want := sealed(t, k, "a", plain)
		again := ringOf(database, 1)
		again.draw = func(p []byte) { copy(p, want[20:]) }
		var out bytes.Buffer
		w, err := again.SealObject(&out, lineage, "a")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		copy(got, w.Header())
		for i := chunks(int64(size)) - 1; i >= 0; i-- {
			end := min((i+1)*ObjectChunk, int64(size))
			w.AppendChunk(got[ObjectHeaderBytes+i*sealedChunk:][:0], plain[i*ObjectChunk:end], i, end == int64(size))
		}
		if !bytes.Equal(got, want) || out.Len() != ObjectHeaderBytes {
			t.Errorf("%d bytes become something else", size)
		}
	}
}

func TestAFailedWriteEndsTheObject(t *testing.T) {
	k := ringOf(database, 1)
	_, err := k.SealObject(&failingWriter{}, lineage, "a")
	wantError(t, err, errFileFull)
	f := &failingWriter{left: ObjectHeaderBytes + sealedChunk}
	w, err := k.SealObject(f, lineage, "a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(pattern(5 * ObjectChunk))
	wantError(t, err, errFileFull)
	f.left = 1 << 30
	_, err = w.Write([]byte("x"))
	wantError(t, err, errFileFull)
	wantError(t, w.Close(), errFileFull)
	if f.left != 1<<30 {
		t.Error("it went on")
	}
}

func TestAClosedObjectTakesNothing(t *testing.T) {
	var out bytes.Buffer
	w, err := ringOf(database, 1).SealObject(&out, lineage, "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.Write([]byte("x")); err == nil || out.Len() != ObjectHeaderBytes+tagBytes {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}

func TestAnObjectIsReadConcurrently(t *testing.T) {
	k := ringOf(database, 1)
	plain := pattern(3 * ObjectChunk)
	b := sealed(t, k, "a", plain)
	o, err := k.OpenObject(b[:ObjectHeaderBytes], lineage, "a", int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			for j := range int64(50) {
				off, n := i*7000+j*1000, int64(5000)
				from, length := o.Range(off, n)
				got, err := o.Open(nil, b[from:from+length], off, n)
				if err != nil || !bytes.Equal(got, plain[off:off+n]) {
					t.Errorf("%d: %v", off, err)
				}
			}
		})
	}
	wg.Wait()
}
