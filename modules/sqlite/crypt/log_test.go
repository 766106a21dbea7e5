package crypt

import (
	"bytes"
	"testing"
)

func TestARecordOpensOnlyAsWhatItWasSealedAs(t *testing.T) {
	k := ringOf(database, 2)
	plain, place := []byte("a record"), []byte("tx 7, part 1")
	s := k.LogSealer(lineage)
	sealed := s.Seal([]byte("head"), plain, place)
	if !bytes.HasPrefix(sealed, []byte("head")) || len(sealed) != len("head")+len(plain)+LogOverhead || s.Key() != 2 {
		t.Fatalf("key %d, %d bytes: %q", s.Key(), len(sealed), sealed)
	}
	sealed = sealed[len("head"):]
	for _, ring := range []*Keyring{k, ringOf(database, 3)} { // the one that sealed, and one that has to derive
		for range 2 {
			got, err := ring.OpenLog([]byte("head"), sealed, place, 2, lineage)
			if err != nil || string(got) != "head"+string(plain) {
				t.Errorf("%q %v", got, err)
			}
		}
	}
	for name, c := range map[string]struct {
		ring    *Keyring
		place   string
		key     uint32
		lineage uint64
		want    error
	}{
		"another place":    {k, "tx 7, part 2", 2, lineage, ErrForged},
		"another key":      {k, string(place), 1, lineage, ErrForged},
		"another lineage":  {k, string(place), 2, lineage + 1, ErrForged},
		"another database": {ringOf(other, 2), string(place), 2, lineage, ErrForged},
		"a missing key":    {ringOf(database, 1), string(place), 2, lineage, ErrNoKey},
		"key 0":            {k, string(place), 0, lineage, ErrNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.ring.OpenLog(nil, sealed, []byte(c.place), c.key, c.lineage)
			wantError(t, err, c.want)
			if got != nil {
				t.Errorf("got %q", got)
			}
		})
	}
	for i, bad := range flipped(sealed) {
		if _, err := k.OpenLog(nil, bad, place, 2, lineage); err == nil {
			t.Errorf("bit %d", i)
		}
	}
	for bad := range cuts(sealed) {
		_, err := k.OpenLog(nil, bad, place, 2, lineage)
		wantError(t, err, ErrForged)
	}
	block := k.Blocks("log", lineage).Seal(nil, plain, place)
	_, err := k.OpenLog(nil, block, place, 2, lineage)
	wantError(t, err, ErrForged)
}

func TestEachLogSealerHasItsOwnSalt(t *testing.T) {
	k := ringOf(database, 1)
	a, b := k.LogSealer(1).Seal(nil, nil, nil), k.LogSealer(1).Seal(nil, nil, nil)
	if bytes.Equal(a[:saltBytes], b[:saltBytes]) {
		t.Error("it is shared")
	}
}

func TestASaltSealsABoundedNumberOfRecords(t *testing.T) {
	k := ringOf(database, 1)
	s := k.LogSealer(1)
	s.run.Load().count.Store(logSeals - 1)
	last, first := s.Seal(nil, nil, nil), s.Seal(nil, nil, nil)
	if bytes.Equal(last[:saltBytes], first[:saltBytes]) {
		t.Error("the same salt")
	}
	if want := []byte{255, 255, 255, 255, 0, 0, 0, 0}; !bytes.Equal(last[saltBytes:logText], want) {
		t.Errorf("the last count is %x", last[saltBytes:logText])
	}
	for _, sealed := range [][]byte{last, first} {
		if _, err := k.OpenLog(nil, sealed, nil, 1, 1); err != nil {
			t.Error(err)
		}
	}
}
