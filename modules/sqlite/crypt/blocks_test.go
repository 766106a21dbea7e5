package crypt

import (
	"bytes"
	"sync"
	"testing"
)

func TestABlockOpensOnlyAsWhatItWasSealedAs(t *testing.T) {
	k := ringOf(database, 2)
	plain, place := []byte("the content of a page"), []byte("page 7, version 3")
	sealed := k.Blocks("page", lineage).Seal([]byte("head"), plain, place)
	if !bytes.HasPrefix(sealed, []byte("head")) || len(sealed) != len("head")+len(plain)+BlockOverhead {
		t.Fatalf("%d bytes: %q", len(sealed), sealed)
	}
	sealed = sealed[len("head"):]
	if SealedKey(sealed) != 2 || SealedKey(nil) != 0 {
		t.Errorf("sealed by key %d", SealedKey(sealed))
	}
	got, err := k.Blocks("page", lineage).Open([]byte("head"), sealed, place)
	if err != nil || string(got) != "head"+string(plain) {
		t.Fatalf("%q %v", got, err)
	}
	one := ringOf(database, 2)
	for name, c := range map[string]struct {
		blocks *Blocks
		place  string
		want   error
	}{
		"another place":    {k.Blocks("page", lineage), "page 8, version 3", ErrForged},
		"another use":      {k.Blocks("image", lineage), string(place), ErrForged},
		"another lineage":  {k.Blocks("page", lineage+1), string(place), ErrForged},
		"another database": {ringOf(other, 2).Blocks("page", lineage), string(place), ErrForged},
		"a missing key":    {ringOf(database, 1).Blocks("page", lineage), string(place), ErrNoKey},
		"no place":         {one.Blocks("page", lineage), "", ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.blocks.Open(nil, sealed, []byte(c.place))
			wantError(t, err, c.want)
			if got != nil {
				t.Errorf("got %q", got)
			}
		})
	}
	fresh := ringOf(database, 2).Blocks("page", lineage)
	for i, bad := range flipped(sealed) {
		if _, err := fresh.Open(nil, bad, place); err == nil {
			t.Errorf("bit %d", i)
		} else if i >= 32 {
			wantError(t, err, ErrForged)
		}
	}
	for bad := range cuts(sealed) {
		_, err := fresh.Open(nil, bad, place)
		wantError(t, err, ErrForged)
	}
}

func TestForgeriesDontFillTheCache(t *testing.T) {
	k := ringOf(database, 1)
	b := k.Blocks("page", lineage)
	sealed := ringOf(database, 1).Blocks("page", lineage).Seal(nil, nil, nil)
	taken := func() (n int) {
		for i := range b.opened.places {
			if b.opened.places[i].Load() != nil {
				n++
			}
		}
		return n
	}
	for _, bad := range flipped(sealed) {
		b.Open(nil, bad, nil)
	}
	if n := taken(); n != 1 {
		t.Errorf("%d derived ciphers are kept, want that which seals", n)
	}
	if _, err := b.Open(nil, sealed, nil); err != nil || taken() != 2 {
		t.Errorf("%d are kept, %v", taken(), err)
	}
}

func TestOldBlocksOpenAfterARotation(t *testing.T) {
	p := local(t, GenerateKey("a"))
	old := newRing(t, p)
	sealed := old.Blocks("page", 1).Seal(nil, []byte("x"), nil)
	k, err := old.Rotate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	b := k.Blocks("page", 1)
	if got, err := b.Open(nil, sealed, nil); err != nil || string(got) != "x" {
		t.Errorf("%q %v", got, err)
	}
	if again := b.Seal(nil, nil, nil); SealedKey(again) != 2 {
		t.Errorf("sealed by key %d", SealedKey(again))
	}
	if k, err = k.Without(1); err != nil {
		t.Fatal(err)
	}
	_, err = k.Blocks("page", 1).Open(nil, sealed, nil)
	wantError(t, err, ErrNoKey)
}

func TestADerivedKeySealsABoundedNumberOfBlocks(t *testing.T) {
	b := ringOf(database, 1).Blocks("page", 1)
	b.run.Load().count.Store(blockSeals - 1)
	last, first := b.Seal(nil, nil, nil), b.Seal(nil, nil, nil)
	if bytes.Equal(last[4:16], first[4:16]) {
		t.Error("the same derived key")
	}
	if !bytes.Equal(first[16:28], make([]byte, 12)) {
		t.Errorf("the count goes on at %x", first[16:28])
	}
	for _, sealed := range [][]byte{last, first} {
		if _, err := b.Open(nil, sealed, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestNoNonceComesTwice(t *testing.T) {
	k := ringOf(database, 1)
	b, s := k.Blocks("page", 1), k.LogSealer(1)
	b.run.Load().count.Store(blockSeals - 5000) // so that both are renewed under way
	s.run.Load().count.Store(logSeals - 5000)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				n, m := string(b.Seal(nil, nil, nil)[:blockText]), string(s.Seal(nil, nil, nil)[:logText])
				mu.Lock()
				if seen[n] || seen[m] {
					t.Errorf("%x or %x again", n, m)
				}
				seen[n], seen[m] = true, true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestBlocksOfTheSameUseAreTheSame(t *testing.T) {
	k := ringOf(database, 1)
	if k.Blocks("page", 1) != k.Blocks("page", 1) || k.Blocks("page", 1) == k.Blocks("page", 2) {
		t.Error("they are not")
	}
	for i := range uint64(1000) {
		k.Blocks("page", i)
	}
	if len(k.blocks) > keptBlocks {
		t.Errorf("%d are kept", len(k.blocks))
	}
}

func TestTheCacheIsBoundedAndFindsWhatItHas(t *testing.T) {
	b := ringOf(database, 1).Blocks("page", 1)
	var all [][]byte
	for range 3 * blockCache {
		b.begin()
		all = append(all, b.Seal(nil, []byte("x"), nil))
	}
	for range 2 {
		for i, sealed := range all {
			if got, err := b.Open(nil, sealed, nil); err != nil || string(got) != "x" {
				t.Fatalf("block %d: %q %v", i, got, err)
			}
		}
	}
}

func TestACacheKeepsWhatCameLast(t *testing.T) {
	c := newCache[int](16)
	for i := range 100 {
		a := newGCM(make([]byte, KeyBytes))
		c.put(7, i, a) // all to the same places
		c.put(7, i, newGCM(make([]byte, KeyBytes)))
		if c.get(7, i) != a {
			t.Fatalf("%d isn't there", i)
		}
		for j := range i {
			if there := c.get(7, j) != nil; there != (i-j < ways) {
				t.Fatalf("after %d, %d is there: %v", i, j, there)
			}
		}
	}
}

func TestWhatWasInTheBufferDoesntMatter(t *testing.T) {
	k, same := ringOf(database, 1), ringOf(database, 1)
	k.draw, same.draw = filled(2), filled(2)
	dirty := bytes.Repeat([]byte{0xff}, 1000)
	if a, b := k.Blocks("page", 1).Seal(dirty[:0], []byte("x"), nil), same.Blocks("page", 1).Seal(nil, []byte("x"), nil); !bytes.Equal(a, b) {
		t.Errorf("block %x, want %x", a, b)
	}
	dirty = bytes.Repeat([]byte{0xff}, 1000)
	if a, b := k.LogSealer(1).Seal(dirty[:0], []byte("x"), nil), same.LogSealer(1).Seal(nil, []byte("x"), nil); !bytes.Equal(a, b) {
		t.Errorf("record %x, want %x", a, b)
	}
}

func TestSealingAndOpeningDontAllocate(t *testing.T) {
	k := ringOf(database, 1)
	b, s := k.Blocks("page", 1), k.LogSealer(1)
	plain, place := make([]byte, 4096), []byte("place")
	buf, out := make([]byte, 0, 5000), make([]byte, 0, 5000)
	for name, f := range map[string]func(){
		"blocks": func() {
			buf = b.Seal(buf[:0], plain, place)
			if _, err := b.Open(out, buf, place); err != nil {
				t.Fatal(err)
			}
		},
		"log": func() {
			buf = s.Seal(buf[:0], plain, place)
			if _, err := k.OpenLog(out, buf, place, 1, 1); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(200, f); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
