package crypt

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"testing"
)

// The answers in this file were computed from docs/formats/crypt.md by another implementation (Python, with the
// primitives of OpenSSL), but for those of XAES, which are those of its specification.

func TestTheVectorsOfXAES(t *testing.T) {
	for _, v := range []struct {
		key               byte
		associated, plain string
		want              string
	}{
		{1, "", "XAES-256-GCM", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		a := newXAES(bytes.Repeat([]byte{v.key}, KeyBytes)).derive([12]byte(nonce))
		got := a.Seal(nil, nonce[12:], []byte(v.plain), []byte(v.associated))
		if hex.EncodeToString(got) != v.want {
			t.Errorf("got %x, want %s", got, v.want)
		}
	}
}

func TestTheAccumulatedVectorsOfXAES(t *testing.T) {
	s, d := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	take := func(n int) []byte {
		b := make([]byte, n)
		s.Read(b)
		return b
	}
	for range 10000 {
		key, nonce := take(KeyBytes), take(24)
		plain := take(int(take(1)[0]))
		associated := take(int(take(1)[0]))
		d.Write(newXAES(key).derive([12]byte(nonce)).Seal(nil, nonce[12:], plain, associated))
	}
	got := make([]byte, 32)
	d.Read(got)
	if want := "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

func TestKnownAnswersOfBlocks(t *testing.T) {
	k := ringOf(database, 1)
	k.draw = filled(2)
	b := k.Blocks("page", lineage)
	for _, want := range []string{
		"01000000020202020202020202020202000000000000000000000000e5880c102076e3d77fd68fdfcbb6b5948b380944f3d2",
		"01000000020202020202020202020202000000000100000000000000ef964a8c694c899484f8099e631421cc23df38b134ff",
	} {
		if got := b.Seal(nil, []byte("a page"), []byte("place 1")); hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
		plain, err := ringOf(database, 1).Blocks("page", lineage).Open(nil, unhex(t, want), []byte("place 1"))
		if err != nil || string(plain) != "a page" {
			t.Errorf("%q %v", plain, err)
		}
	}
}

func TestKnownAnswersOfTheLog(t *testing.T) {
	k := ringOf(database, 1)
	k.draw = filled(3)
	s := k.LogSealer(lineage)
	for _, want := range []string{
		"030303030303030303030303030303030000000000000000875eb7292c20f1162b24c1905d750a5ff6f05d833bffaa73",
		"030303030303030303030303030303030100000000000000a63fb1c23d15e05d905323200af8151f3ea80b51482182a3",
	} {
		if got := s.Seal(nil, []byte("a record"), []byte("tx 7")); hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
		plain, err := ringOf(database, 1).OpenLog(nil, unhex(t, want), []byte("tx 7"), 1, lineage)
		if err != nil || string(plain) != "a record" {
			t.Errorf("%q %v", plain, err)
		}
	}
}

func TestKnownAnswersOfObjects(t *testing.T) {
	k := ringOf(database, 1)
	k.draw = filled(4)
	head := "424f505345414c44010000000100000000000100040404040404040404040404040404040000000000000000000000000000000000000000000000000aae09cd"
	for plain, want := range map[string]string{
		"":           head + "cfb2ca2b629589aef034856c822c4dad",
		"some pages": head + "fdec10de9ac31305f6adc26a1d53becf6426568b6d9326feffb5",
	} {
		if got := sealed(t, k, "ltx/1", []byte(plain)); hex.EncodeToString(got) != want {
			t.Errorf("%q: got %x, want %s", plain, got, want)
		}
		got, err := openAll(ringOf(database, 1), "ltx/1", lineage, unhex(t, want))
		if err != nil || string(got) != plain {
			t.Errorf("%q %v", got, err)
		}
	}
	got := sealed(t, k, "ltx/1", pattern(200000))
	if want := "707c84ed6122b3b3458a915cecfb5b9e9c1e9e89e7c2375a00d5d611d4d96d0f"; sum(got) != want {
		t.Errorf("four chunks: got %s, want %s", sum(got), want)
	}
}

func TestKnownAnswerOfTheKeyring(t *testing.T) {
	p := local(t, "k1 "+hex.EncodeToString(bytes.Repeat([]byte{6}, 32)))
	p.draw = filled(7)
	d := &dataKey{id: 1, created: 1700000000000000}
	filled(1)(d.secret[:])
	d, err := d.wrap(t.Context(), p, database)
	if err != nil {
		t.Fatal(err)
	}
	k := newKeyring(database, 1, []*dataKey{d})
	want := "424f504b4559524701000000010000000100000000000000000102030405060708090a0b0c0d0e0f0100000000401e18240a060002003c006b31070707070707070707070707a3fef33587e6d20ebab8276c051630a676515b02f7c46e7b1ee4b9e74ac06ef8b9ff63a124ea5b0c1a5b2479a28e006d6b0a87a78e34295466433f7ff8e9938157916575c2324fb1a6fe17bac5112c7d1e47713c"
	if got := k.Encode(); hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	if k, err = DecodeKeyring(t.Context(), p, database, unhex(t, want)); err != nil || k.keys[0].secret != d.secret {
		t.Error(err)
	}
}

func TestKnownAnswerOfTheTemporaryFile(t *testing.T) {
	f := &memFile{}
	s := newScratch(f, bytes.Repeat([]byte{5}, 32))
	if _, err := s.WriteAt([]byte("temporary"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteAt(bytes.Repeat([]byte("x"), 4096), 4096); err != nil {
		t.Fatal(err)
	}
	if want := "c25fe38b782001380489b5ba221eb0d31120d739f5d89c4feeb769b48b1223c1"; len(f.b) != 8240 || sum(f.b) != want {
		t.Errorf("got %d bytes with %s, want %s", len(f.b), sum(f.b), want)
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
