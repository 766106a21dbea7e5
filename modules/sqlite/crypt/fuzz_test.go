package crypt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func typed(err error, kinds ...error) bool {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

func FuzzKeyring(f *testing.F) {
	p := local(f, "k1 "+hexKey)
	k := newRing(f, p)
	f.Add(k.Encode(), false)
	two, err := k.Rotate(f.Context(), p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(two.Encode(), true)
	f.Add([]byte(keyringMagic), true)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend && len(b) >= 4 {
			b = mendKeyring(b)
		}
		infos, generation, err := PeekKeyring(b)
		if err != nil && !typed(err, ErrDamaged, ErrNewer) {
			t.Errorf("peeking: %v", err)
		}
		got, openErr := DecodeKeyring(t.Context(), p, database, b)
		if openErr != nil {
			if !typed(openErr, ErrDamaged, ErrNewer, ErrNoKey, ErrWrongKey) {
				t.Errorf("decoding: %v", openErr)
			}
			return
		}
		if err != nil || generation != got.Generation() || len(infos) != len(got.Keys()) {
			t.Errorf("peeking: generation %d, %d keys, %v", generation, len(infos), err)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Error("two forms of a keyring open")
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("a " + hexKey + "\n# b\nold " + base64Key))
	f.Add([]byte(hexKey))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseKeys(text)
		if err != nil {
			return
		}
		for name := range l.keys {
			if err := CheckName(name); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		wrapped, by, err := l.Wrap(t.Context(), []byte("x"), nil)
		if err != nil || by != l.current {
			t.Fatal(by, err)
		}
		if got, err := l.Unwrap(t.Context(), wrapped, nil, by); err != nil || string(got) != "x" {
			t.Errorf("%q %v", got, err)
		}
	})
}

// FuzzObject changes an object at will: either all of it opens as it was, or nothing of what opens is anything else.
func FuzzObject(f *testing.F) {
	k := ringOf(database, 2)
	plain := pattern(ObjectChunk + 100)
	good := sealed(f, k, "a", plain)
	f.Add(uint32(70), uint64(1), uint32(0), false, int64(0), int64(100))
	f.Add(uint32(8), uint64(2), uint32(100), true, int64(ObjectChunk), int64(100))
	f.Add(uint32(0), uint64(0), uint32(0), true, int64(ObjectChunk-1), int64(2))
	f.Fuzz(func(t *testing.T, at uint32, change uint64, cut uint32, mend bool, off, n int64) {
		b := bytes.Clone(good)
		if i := int(at) % (len(b) - 8); change != 0 {
			binary.LittleEndian.PutUint64(b[i:], binary.LittleEndian.Uint64(b[i:])^change)
		}
		if mend {
			copy(b, mendHeader(b))
		}
		b = b[:len(b)-int(cut)%len(b)]
		same := bytes.Equal(b, good)
		o, err := k.OpenObject(b[:min(ObjectHeaderBytes, len(b))], lineage, "a", int64(len(b)))
		if err != nil {
			if same || !typed(err, ErrDamaged, ErrNewer, ErrNoKey, ErrForged) {
				t.Errorf("opening: %v", err)
			}
			return
		}
		got, err := io.ReadAll(o.Reader(bytes.NewReader(b[ObjectHeaderBytes:])))
		if same != (err == nil) || err != nil && !typed(err, ErrForged) || !bytes.HasPrefix(plain, got) {
			t.Errorf("reading: %d bytes, %v", len(got), err)
		}
		from, length := o.Range(off, n)
		if from < ObjectHeaderBytes || length < 0 || from+length > int64(len(b)) {
			t.Fatalf("[%d, +%d) is said to be in [%d, +%d)", off, n, from, length)
		}
		part, err := o.Open(nil, b[from:from+length], off, n)
		if err != nil {
			if same || !typed(err, ErrForged) {
				t.Errorf("[%d, +%d): %v", off, n, err)
			}
			return
		}
		if len(part) > 0 && !bytes.HasPrefix(plain[off:], part) {
			t.Errorf("[%d, +%d): other plain text", off, n)
		}
	})
}

func FuzzObjectHeader(f *testing.F) {
	k := ringOf(database, 2)
	f.Add(sealed(f, k, "a", nil)[:ObjectHeaderBytes], int64(80), true)
	f.Fuzz(func(t *testing.T, b []byte, size int64, mend bool) {
		if mend && len(b) >= 60 {
			b = mendHeader(b)
		}
		o, err := k.OpenObject(b, lineage, "a", size)
		if err != nil {
			if !typed(err, ErrDamaged, ErrNewer, ErrNoKey, ErrForged) {
				t.Error(err)
			}
			return
		}
		if SealedSize(o.Size()) != size {
			t.Errorf("%d sealed bytes are said to be %d", size, o.Size())
		}
	})
}

func FuzzSealedBytes(f *testing.F) {
	k := ringOf(database, 2)
	f.Add(k.Blocks("page", 1).Seal(nil, []byte("x"), nil))
	f.Add(k.LogSealer(1).Seal(nil, []byte("x"), nil))
	fresh := ringOf(database, 2)
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, open := range map[string]func() ([]byte, error){
			"block":  func() ([]byte, error) { return fresh.Blocks("page", 2).Open(nil, b, nil) },
			"record": func() ([]byte, error) { return fresh.OpenLog(nil, b, nil, 2, 2) },
		} {
			if got, err := open(); got != nil || !typed(err, ErrForged, ErrNoKey) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	})
}
