package crypt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAKeyringComesBack(t *testing.T) {
	old := GenerateKey("old")
	p := local(t, old)
	k := newRing(t, p)
	sealed := [][]byte{k.Blocks("page", 1).Seal(nil, []byte("one"), nil)}
	for range 2 {
		var err error
		if k, err = k.Rotate(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, k.Blocks("page", 1).Seal(nil, []byte("one"), nil))
	}
	if k.Generation() != 3 || k.Current() != 3 || !k.Has(1) || k.Has(4) || k.Has(0) {
		t.Errorf("generation %d, current %d", k.Generation(), k.Current())
	}
	both := local(t, GenerateKey("new")+old)
	k, err := k.Rewrap(t.Context(), both)
	if err != nil {
		t.Fatal(err)
	}
	b := k.Encode()
	if !bytes.Equal(b, k.Encode()) {
		t.Error("it is encoded in two ways")
	}
	for range 2 {
		again, err := DecodeKeyring(t.Context(), both, database, b)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again.Keys()) != fmt.Sprint(k.Keys()) || again.Generation() != 4 || again.Current() != 3 ||
			again.String() != k.String() || fmt.Sprintf("%#v", again) != k.String() {
			t.Errorf("%v, want %v", again, k)
		}
		for i, s := range sealed {
			if got, err := again.Blocks("page", 1).Open(nil, s, nil); err != nil || string(got) != "one" {
				t.Errorf("key %d: %v", i+1, err)
			}
		}
		if !bytes.Equal(again.Encode(), b) {
			t.Error("it isn't encoded as it was")
		}
	}
	infos, generation, err := PeekKeyring(b)
	if err != nil || generation != 4 || fmt.Sprint(infos) != fmt.Sprint(k.Keys()) {
		t.Errorf("%v %d %v", infos, generation, err)
	}
	for i, info := range infos {
		if info.ID != uint32(i+1) || info.WrappedBy != "new" || info.Current != (i == 2) || time.Since(info.Created).Abs() > time.Hour {
			t.Errorf("%+v", info)
		}
	}
	_, err = DecodeKeyring(t.Context(), local(t, old), database, b)
	wantError(t, err, ErrNoKey)
	if !strings.Contains(err.Error(), fmt.Sprintf("%x", database)) || !strings.Contains(err.Error(), `"new"`) {
		t.Errorf("%v doesn't name the database and the wrapping key", err)
	}
}

func TestKeysAreRemoved(t *testing.T) {
	p := local(t, GenerateKey("a"))
	k := newRing(t, p)
	if _, err := k.Without(1); err == nil {
		t.Error("the current key was removed")
	}
	two, err := k.Rotate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	one, err := two.Without(1)
	if err != nil {
		t.Fatal(err)
	}
	if one.Has(1) || !one.Has(2) || one.Generation() != 3 || len(one.Keys()) != 1 || !two.Has(1) {
		t.Error(one, two)
	}
	_, err = one.Without(1)
	wantError(t, err, ErrNoKey)
	if three, err := one.Rotate(t.Context(), p); err != nil || three.Current() != 3 {
		t.Error(three, err)
	}
	if k, err = DecodeKeyring(t.Context(), p, database, one.Encode()); err != nil || k.Current() != 2 {
		t.Error(k, err)
	}
}

func TestAKeyringHasABoundedNumberOfKeys(t *testing.T) {
	p := local(t, GenerateKey("a"))
	if _, err := ringOf(database, maxKeys).Rotate(t.Context(), p); err == nil {
		t.Error("one more was made")
	}
	k := ringOf(database, 1)
	k.keys[0].id = math.MaxUint32
	if _, err := k.Rotate(t.Context(), p); err == nil {
		t.Error("numbers began anew")
	}
	k, err := ringOf(database, maxKeys-1).Rotate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if infos, _, err := PeekKeyring(k.Encode()); err != nil || len(infos) != maxKeys {
		t.Errorf("%d keys, %v", len(infos), err)
	}
}

func TestAKeyringDoesntOpenWithout(t *testing.T) {
	text := GenerateKey("a")
	b := newRing(t, local(t, text)).Encode()
	swapped := bytes.Clone(b)
	copy(swapped[24:], other[:])
	for name, c := range map[string]struct {
		p        KeyProvider
		database [16]byte
		b        []byte
		want     error
	}{
		"a provider":              {nil, database, b, ErrNoProvider},
		"its wrapping key":        {local(t, GenerateKey("b")), database, b, ErrNoKey},
		"the same wrapping key":   {local(t, GenerateKey("a")), database, b, ErrWrongKey},
		"its database":            {local(t, text), other, b, ErrDamaged},
		"its database's wrapping": {local(t, text), other, mendKeyring(swapped), ErrWrongKey},
		"content":                 {local(t, text), database, nil, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := DecodeKeyring(t.Context(), c.p, c.database, c.b)
			wantError(t, err, c.want)
			if k != nil || !strings.Contains(err.Error(), fmt.Sprintf("%x", c.database)) {
				t.Error(k, err)
			}
		})
	}
}

func TestEveryBitOfAKeyringCounts(t *testing.T) {
	p := local(t, GenerateKey("a"))
	k := newRing(t, p)
	k, err := k.Rotate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	b := k.Encode()
	for i, bad := range flipped(b) {
		_, err := DecodeKeyring(t.Context(), p, database, bad)
		wantError(t, err, ErrDamaged)
		_, _, err = PeekKeyring(bad)
		wantError(t, err, ErrDamaged)
		if i < len(b)*8-32 {
			// A forger mends the checksum.
			if _, err := DecodeKeyring(t.Context(), p, database, mendKeyring(bad)); err == nil {
				t.Errorf("bit %d of a forged one", i)
			}
		}
	}
	for bad := range cuts(b) {
		_, err := DecodeKeyring(t.Context(), p, database, bad)
		wantError(t, err, ErrDamaged)
		if len(bad) > 4 {
			_, err = DecodeKeyring(t.Context(), p, database, mendKeyring(bad))
			wantError(t, err, ErrDamaged)
		}
	}
	newer := bytes.Clone(b)
	newer[8] = 2
	_, err = DecodeKeyring(t.Context(), nil, database, mendKeyring(newer))
	wantError(t, err, ErrNewer)
	_, _, err = PeekKeyring(mendKeyring(newer))
	wantError(t, err, ErrNewer)
}

func TestAKeyringIsntPutTogetherFromOthers(t *testing.T) {
	p := local(t, GenerateKey("a"))
	one := newRing(t, p)
	two, err := one.Rotate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	old := one.Encode()
	binary.LittleEndian.PutUint64(old[16:], two.Generation()+1)
	_, err = DecodeKeyring(t.Context(), p, database, mendKeyring(old))
	wantError(t, err, ErrDamaged) // or the old keyring would pass as the newest

	again, err := one.Rotate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	mixed := newKeyring(database, 2, []*dataKey{two.keys[0], again.keys[1]}).Encode()
	code := two.Encode()
	copy(mixed[len(mixed)-keyringTail:], code[len(code)-keyringTail:])
	_, err = DecodeKeyring(t.Context(), p, database, mendKeyring(mixed))
	wantError(t, err, ErrDamaged)
}

func TestKeyringsThatNobodyWrites(t *testing.T) {
	p := local(t, GenerateKey("a"))
	of := func(ids ...uint32) []byte {
		k := ringOf(database, len(ids))
		for i, id := range ids {
			var err error
			k.keys[i].id = id
			if k.keys[i], err = k.keys[i].wrap(t.Context(), p, database); err != nil {
				t.Fatal(err)
			}
		}
		return k.Encode()
	}
	if _, err := DecodeKeyring(t.Context(), p, database, of(1, 5)); err != nil {
		t.Error(err)
	}
	fewer, none, name := of(1, 2), of(1), of(1)
	fewer[12], none[12], name[keyringHead+keyHead] = 1, 0, '\n'
	old := of(1)
	old[8] = 0
	for what, b := range map[string][]byte{
		"number 0":              of(0),
		"the same number twice": of(2, 2),
		"numbers downwards":     of(2, 1),
		"a key more":            mendKeyring(fewer),
		"no key":                mendKeyring(none),
		"an unprintable name":   mendKeyring(name),
		"version 0":             mendKeyring(old),
		"much":                  make([]byte, maxKeyring+1),
	} {
		_, err := DecodeKeyring(t.Context(), p, database, b)
		wantError(t, err, ErrDamaged)
		if _, _, err = PeekKeyring(b); err == nil {
			t.Errorf("%s: it was read", what)
		}
	}
}

// kms is a provider that fails in its own ways.
type kms struct {
	KeyProvider
	wrap   func(wrapped []byte, by string, err error) ([]byte, string, error)
	unwrap func(b []byte, err error) ([]byte, error)
}

func (p *kms) Wrap(ctx context.Context, key, associated []byte) ([]byte, string, error) {
	wrapped, by, err := p.KeyProvider.Wrap(ctx, key, associated)
	if p.wrap != nil {
		return p.wrap(wrapped, by, err)
	}
	return wrapped, by, err
}

func (p *kms) Unwrap(ctx context.Context, wrapped, associated []byte, by string) ([]byte, error) {
	b, err := p.KeyProvider.Unwrap(ctx, wrapped, associated, by)
	if p.unwrap != nil {
		return p.unwrap(b, err)
	}
	return b, err
}

func TestAProviderThatCantUndoItsWrappingIsntTrusted(t *testing.T) {
	l := local(t, GenerateKey("a"))
	down := errors.New("the service is down")
	for name, p := range map[string]*kms{
		"no answer":           {wrap: func(w []byte, by string, _ error) ([]byte, string, error) { return nil, "", down }},
		"nothing":             {wrap: func(w []byte, by string, err error) ([]byte, string, error) { return nil, by, err }},
		"too much":            {wrap: func(w []byte, by string, err error) ([]byte, string, error) { return make([]byte, 5000), by, err }},
		"no name":             {wrap: func(w []byte, by string, err error) ([]byte, string, error) { return w, "", err }},
		"an unprintable name": {wrap: func(w []byte, by string, err error) ([]byte, string, error) { return w, "a\n", err }},
		"changed":             {wrap: func(w []byte, by string, err error) ([]byte, string, error) { w[20] ^= 1; return w, by, err }},
		"another key":         {unwrap: func(b []byte, err error) ([]byte, error) { b[0] ^= 1; return b, err }},
		"a short key":         {unwrap: func(b []byte, err error) ([]byte, error) { return b[:16], err }},
		"no way back":         {unwrap: func([]byte, error) ([]byte, error) { return nil, down }},
	} {
		t.Run(name, func(t *testing.T) {
			p.KeyProvider = l
			if _, err := NewKeyring(t.Context(), p, database); err == nil {
				t.Error("it was trusted")
			}
			k := newRing(t, l)
			if _, err := k.Rotate(t.Context(), p); err == nil {
				t.Error("it was trusted in a rotation")
			}
			if _, err := k.Rewrap(t.Context(), p); err == nil {
				t.Error("it was trusted in a rewrapping")
			}
		})
	}
}

func TestNoProviderNoKeys(t *testing.T) {
	_, err := NewKeyring(t.Context(), nil, database)
	wantError(t, err, ErrNoProvider)
	k := newRing(t, local(t, GenerateKey("a")))
	_, err = k.Rotate(t.Context(), nil)
	wantError(t, err, ErrNoProvider)
	_, err = k.Rewrap(t.Context(), nil)
	wantError(t, err, ErrNoProvider)
}

func TestAKeyringIsUsedConcurrently(t *testing.T) {
	p := local(t, GenerateKey("a"))
	k := newRing(t, p)
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			for range 100 {
				b, s := k.Blocks("page", i%3), k.LogSealer(i%3)
				if _, err := b.Open(nil, b.Seal(nil, []byte("x"), nil), nil); err != nil {
					t.Error(err)
				}
				if _, err := k.OpenLog(nil, s.Seal(nil, []byte("x"), nil), nil, 1, i%3); err != nil {
					t.Error(err)
				}
				k.Encode()
			}
			if _, err := k.Rotate(t.Context(), p); err != nil {
				t.Error(err)
			}
			if _, err := k.Rewrap(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
