package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestTheVectorsOfTheSpecification(t *testing.T) {
	for _, v := range []struct {
		key               byte
		associated, plain string
		want              string
	}{
		{1, "", "XAES-256-GCM", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		k, err := newKey(bytes.Repeat([]byte{v.key}, KeyBytes))
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.seal(nil, [NonceBytes]byte([]byte("ABCDEFGHIJKLMNOPQRSTUVWX")), []byte(v.plain), []byte(v.associated))
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got[NonceBytes:]) != v.want {
			t.Errorf("got %x, want %s", got[NonceBytes:], v.want)
		}
	}
}

func TestSealing(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, KeyBytes), bytes.Repeat([]byte{2}, KeyBytes)
	old, err := New(1, map[uint32][]byte{1: one})
	if err != nil {
		t.Fatal(err)
	}
	both, err := New(2, map[uint32][]byte{1: one, 2: two})
	if err != nil {
		t.Fatal(err)
	}
	sealed, id, err := old.Seal([]byte("head"), []byte("secret"), []byte("where"))
	if err != nil || id != 1 {
		t.Fatal(id, err)
	}
	sealed = sealed[len("head"):]
	t.Run("the key it was sealed by opens it after a rotation", func(t *testing.T) {
		got, err := both.Open([]byte("x"), sealed, []byte("where"), 1)
		if err != nil || string(got) != "xsecret" {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("new texts have the new key's number", func(t *testing.T) {
		_, id, err := both.Seal(nil, nil, nil)
		if err != nil || id != 2 {
			t.Error(id, err)
		}
	})
	t.Run("an unknown key is named", func(t *testing.T) {
		_, err := old.Open(nil, sealed, []byte("where"), 2)
		if !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
	})
	t.Run("each flipped bit is found", func(t *testing.T) {
		for i := range sealed {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := old.Open(nil, bad, []byte("where"), 1); err == nil {
				t.Errorf("byte %d", i)
			}
		}
		if _, err := old.Open(nil, sealed, []byte("elsewhere"), 1); err == nil {
			t.Error("other associated data")
		}
	})
	t.Run("keys of a wrong length are refused", func(t *testing.T) {
		if _, err := New(1, map[uint32][]byte{1: one[:31]}); err == nil {
			t.Error("taken")
		}
		if _, err := New(3, map[uint32][]byte{1: one}); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
	})
}
