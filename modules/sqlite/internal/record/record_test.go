package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

var sample = Header{
	Database: page.ID{1, 2, 3, 15: 16}, Lineage: 0x1122334455667788, Epoch: 3, TXID: 300, Prev: 299,
	Time: 1_700_000_000_000_000, Size: 512,
}

// build makes the record of one page that changed in two places.
func build() (rec, before, after []byte) {
	before = bytes.Repeat([]byte{7}, 512)
	after = bytes.Clone(before)
	copy(after[10:], "hello")
	copy(after[500:], "world")
	var w Writer
	w.Begin(sample)
	w.Page(2, after, before)
	w.Page(5, page.Zeros(512), nil)
	return w.Finish(Commit{Pages: 5, PrevChecksum: 11, Checksum: 12}), before, after
}

func TestARecordComesBackAsItWas(t *testing.T) {
	rec, before, after := build()
	r, err := Decode(rec)
	if err != nil {
		t.Fatal(err)
	}
	want := sample
	want.Part = 1
	if r.Header != want || !r.Last || r.Commit != (Commit{5, 11, 12}) {
		t.Fatalf("got %+v", r)
	}
	var nos []uint32
	if err := r.Pages(func(no uint32, d Delta) error {
		nos = append(nos, no)
		if no == 2 {
			got := bytes.Clone(before)
			if d.Apply(got); !bytes.Equal(got, after) {
				t.Error("the page differs")
			}
		}
		return nil
	}); err != nil || len(nos) != 2 || nos[0] != 2 || nos[1] != 5 {
		t.Fatalf("pages %v, %v", nos, err)
	}
	const golden = "b00101" + "01020300000000000000000000000010" + "8877665544332211" + "00401e18240a0600" + "09" + "03ac020101" +
		"020a0568656c6c6f" + "e50305776f726c64" + "0000" + "030000" + "00" + "05" + "0b00000000000000" + "0c00000000000000" + "a7a5c761"
	if got := hex.EncodeToString(rec); got != golden {
		t.Errorf("the format has changed: %s", got)
	}
}

func TestPartsFollowEachOther(t *testing.T) {
	var w Writer
	w.Begin(sample)
	w.Page(9, page.Zeros(512), nil)
	first := w.Part()
	w.Page(3, page.Zeros(512), nil)
	last := w.Finish(Commit{Pages: 9})
	a, err1 := Decode(first)
	b, err2 := Decode(last)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if a.Last || a.Part != 1 || !b.Last || b.Part != 2 || a.TXID != b.TXID {
		t.Fatalf("got %+v and %+v", a, b)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	rec, _, _ := build()
	for i := range rec {
		for bit := range 8 {
			b := bytes.Clone(rec)
			b[i] ^= 1 << bit
			if _, err := Decode(b); err == nil {
				t.Fatalf("bit %d of byte %d is missed", bit, i)
			}
		}
		if _, err := Decode(rec[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestANewerVersionIsSaidToBeOne(t *testing.T) {
	rec, _, _ := build()
	rec[1] = Version + 1
	if _, err := Decode(rec); !errors.Is(err, ErrNewerVersion) {
		t.Fatalf("got %v", err)
	}
}

func TestDeltasOfRandomPages(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		size := 512 << r.IntN(4)
		before := make([]byte, size)
		for i := range before {
			before[i] = byte(r.IntN(3))
		}
		after := bytes.Clone(before)
		for range r.IntN(20) {
			at := r.IntN(size)
			for k := at; k < min(size, at+r.IntN(40)); k++ {
				after[k] = byte(r.IntN(256))
			}
		}
		d := appendDelta(nil, after, before)
		in := reader{b: d}
		if !skipDelta(&in, uint32(size)) || len(in.b) != 0 {
			t.Fatal("the delta has no end")
		}
		got := bytes.Clone(before)
		if (Delta{uint32(size), d}).Apply(got); !bytes.Equal(got, after) {
			t.Fatal("the page differs")
		}
	}
}

func FuzzDecode(f *testing.F) {
	rec, _, _ := build()
	f.Add(rec)
	f.Add(rec[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		// A fuzzer doesn't guess a CRC.
		if len(b) >= fixedLen+crcLen {
			b = seal(b)
		}
		r, err := Decode(b)
		if err != nil {
			return
		}
		var last uint32
		buf := make([]byte, r.Size)
		if err := r.Pages(func(no uint32, d Delta) error {
			if no <= last {
				t.Fatalf("page %d after %d", no, last)
			}
			last = no
			d.Apply(buf)
			return nil
		}); err != nil {
			t.Fatalf("decoded, but: %v", err)
		}
	})
}

func seal(b []byte) []byte {
	b = bytes.Clone(b)
	body := b[:len(b)-crcLen]
	sum := crc32.Checksum(body, castagnoli)
	binary.LittleEndian.PutUint32(b[len(body):], sum)
	return b
}
