package backup

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// heap is a fixture with an object that a writer has dropped.
func heap(t *testing.T, b objstore.Bucket, ops ...func(*Options)) (f *fixture, w *Writer, before *Manifest, key string) {
	f = newFixture(t, 1, false, b)
	f.o.Grace = time.Hour
	for _, op := range ops {
		op(&f.o)
	}
	f.space = Open(f.o)
	for range 4 {
		f.commit()
	}
	w = f.writer(1)
	if err := f.putPages(w, 1, 2, PurposeFull); err != nil {
		t.Fatal(err)
	}
	before = w.Manifest()
	key = before.Objects[0].Key
	o, err := f.pages(w, 1, 4, PurposeFull)
	if err != nil {
		t.Fatal(err)
	}
	err = w.Commit(t.Context(), func(m *Manifest) error { m.Add(o); m.Remove(key); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return f, w, before, key
}

func (f *fixture) collect(w *Writer) int {
	f.t.Helper()
	n, err := w.Collect(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fixture) has(key string) bool {
	f.t.Helper()
	_, err := f.space.Objects().Head(f.t.Context(), key)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		f.t.Fatal(err)
	}
	return err == nil
}

func TestGarbageIsDeletedAfterTheGrace(t *testing.T) {
	f, w, _, key := heap(t, objstore.NewMemory())
	f.clock.Add(time.Hour - time.Second)
	if n := f.collect(w); n != 0 || !f.has(key) {
		t.Fatalf("%d deleted before the grace was over", n)
	}
	f.clock.Add(time.Second)
	if n := f.collect(w); n != 2 || f.has(key) {
		t.Fatalf("%d deleted after the grace", n)
	}
	sequence := w.Manifest().Sequence
	if n := f.collect(w); n != 0 || w.Manifest().Sequence != sequence {
		t.Error("it collects what is collected")
	}
	f.verified(f.space)
}

func TestTheNameOfADeletedObjectIsntGivenAgainForSomeTime(t *testing.T) {
	f, w, before, key := heap(t, objstore.NewMemory())
	f.clock.Add(time.Hour)
	f.collect(w)
	o, err := f.pages(w, 1, 2, PurposeFull)
	if err != nil || o.Key == key || f.has(key) {
		t.Fatalf("%s again (%v)", o.Key, err)
	}
	if err := w.Commit(t.Context(), func(m *Manifest) error { m.Add(before.Objects[0]); return nil }); err == nil {
		t.Error("a manifest names a deleted object")
	}
	f.clock.Add(tombstone)
	f.collect(w)
	if o, err := f.pages(w, 1, 2, PurposeFull); err != nil || o.Key != key {
		t.Errorf("%s long after (%v)", o.Key, err)
	}
}

func TestAPinProtectsWhatItsManifestNames(t *testing.T) {
	f, w, before, key := heap(t, objstore.NewMemory())
	after := w.Manifest()
	if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); err != nil {
		t.Fatal(err)
	}
	if err := f.space.Pin(t.Context(), "n2", after.Sequence, after); err != nil {
		t.Fatal(err)
	}
	f.clock.Add(2 * time.Hour)
	if n := f.collect(w); n != 0 || !f.has(key) {
		t.Fatal("a pinned object was deleted")
	}
	if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); err != nil {
		t.Fatal(err)
	}
	f.clock.Add(24*time.Hour - time.Second)
	if n := f.collect(w); n != 0 || !f.has(key) {
		t.Fatal("renewing a pin doesn't help")
	}
	if err := f.space.Pin(t.Context(), "n2", after.Sequence, after); err != nil {
		t.Fatal(err)
	}
	if err := f.space.Unpin(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if n := f.collect(w); n != 2 || f.has(key) {
		t.Fatal("it stays after its pin is gone")
	}
	if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); !errors.Is(err, ErrPinLost) {
		t.Errorf("pinning what is gone: %v", err)
	}
}

func TestAPinThatIsntRenewedEnds(t *testing.T) {
	f, w, before, key := heap(t, objstore.NewMemory(), func(o *Options) { o.PinTTL = 3 * time.Hour })
	if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); err != nil {
		t.Fatal(err)
	}
	f.clock.Add(3 * time.Hour)
	if n := f.collect(w); n != 2 || f.has(key) {
		t.Error("a pin protects after its end")
	}
}

func TestAPinThatCantBeReadProtectsEverything(t *testing.T) {
	f, w, _, key := heap(t, objstore.NewMemory(), func(o *Options) { o.Grace = time.Second })
	_, err := put(t.Context(), f.space.Objects(), f.space.folder()+"pins/n1", []byte("{"), objstore.PutOptions{Created: f.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Add(23 * time.Hour)
	if n := f.collect(w); n != 0 || !f.has(key) {
		t.Error("an unreadable pin doesn't protect")
	}
	f.clock.Add(2 * time.Hour)
	if n := f.collect(w); n != 2 {
		t.Error("an unreadable pin protects for ever")
	}
}

// Whenever the pin comes: either it is refused, or the object stays.
func TestAPinThatComesDuringACollectionIsHeardOrRefused(t *testing.T) {
	outcomes := map[bool]int{}
	for at := 1; at < 40; at++ {
		mem := objstore.NewMemory()
		var f *fixture
		var before *Manifest
		var pinned error
		n, armed := 0, false
		b := faulty.New(mem, func(c faulty.Call) faulty.Fault {
			if !armed {
				return faulty.Fault{}
			}
			if n++; n == at {
				armed = false
				o := f.o
				o.Bucket = mem
				pinned = Open(o).Pin(t.Context(), "n1", before.Sequence, before)
			}
			return faulty.Fault{}
		})
		var w *Writer
		var key string
		f, w, before, key = heap(t, b)
		f.clock.Add(2 * time.Hour)
		armed = true
		f.collect(w)
		if armed { // the collection has no so many requests
			break
		}
		if pinned == nil && !f.has(key) {
			t.Fatalf("request %d: the pin was taken, and the object is gone", at)
		}
		if pinned == nil {
			f.collect(w)
			if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); err != nil {
				t.Fatalf("request %d: renewing the pin: %v", at, err)
			}
		}
		if pinned != nil && !errors.Is(pinned, ErrPinLost) {
			t.Fatalf("request %d: %v", at, pinned)
		}
		outcomes[pinned == nil]++
	}
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Errorf("it doesn't happen both ways: %v", outcomes)
	}
}

// A list that doesn't show a pin any more doesn't matter once the pin was seen.
func TestAStaleListDoesntHideAKnownPin(t *testing.T) {
	stale := false
	b := faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault { return faulty.Fault{Stale: stale} })
	f, w, before, key := heap(t, b)
	f.collect(w) // the list before: no pin
	if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); err != nil {
		t.Fatal(err)
	}
	f.collect(w) // it is seen
	if err := f.space.Unpin(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	f.collect(w)
	if err := f.space.Pin(t.Context(), "n1", before.Sequence, before); err != nil {
		t.Fatal(err)
	}
	f.collect(w)
	stale = true
	f.clock.Add(2 * time.Hour)
	if n := f.collect(w); n != 0 || !f.has(key) {
		t.Error("a stale list cost a pinned object")
	}
}

func TestPinsHaveProperNames(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	for _, bad := range []string{"", ".", "..", "a/b", "a b", "é", string(make([]byte, 200))} {
		if err := f.space.Pin(t.Context(), bad, 1, nil); err == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestSweepFindsWhatNothingNames(t *testing.T) {
	f, w, _, _ := heap(t, objstore.NewMemory())
	// Two that this writer is about to name, and one from a writer that is no more.
	mine, err := f.pages(w, 1, 3, PurposeUpload)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("%d swept (%v)", n, err)
	}
	w = f.writer(2)
	if err := f.space.Pin(t.Context(), "n1", w.Manifest().Sequence, w.Manifest()); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Sweep(t.Context()); err != nil || n != 2 {
		t.Errorf("%d swept (%v)", n, err)
	}
	if n, err := w.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("%d swept again (%v)", n, err)
	}
	f.clock.Add(2 * time.Hour)
	f.collect(w)
	if f.has(mine.Key) {
		t.Error("it is still there")
	}
	f.verified(f.space)
}

// Names in the clear can be taken by an attempt that failed. What is put then gets another level.
func TestAnObjectWhoseNameIsTakenGoesToAnotherLevel(t *testing.T) {
	f, w, _, _ := heap(t, objstore.NewMemory())
	seen := map[string]bool{}
	for epoch := range uint64(12) {
		w = f.writer(2 + epoch)
		o, err := f.pages(w, 3, 4, PurposeUpload)
		if err != nil {
			if !errors.Is(err, pageobj.ErrTaken) || len(seen) != LevelMost+1 {
				t.Fatalf("after %d: %v", len(seen), err)
			}
			break
		}
		if seen[o.Key] {
			t.Fatalf("%s twice", o.Key)
		}
		seen[o.Key] = true
	}
	if _, err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.clock.Add(2 * time.Hour)
	f.collect(w)
	f.clock.Add(tombstone)
	f.collect(w)
	if o, err := f.pages(w, 3, 4, PurposeUpload); err != nil || o.Level != LevelUpload {
		t.Errorf("%+v (%v)", o, err)
	}
}

func TestASecondSnapshotOfTheSameVersionSharesTheObject(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		f := newFixture(t, 1, sealed, objstore.NewMemory())
		f.commit()
		w := f.writer(1)
		for range 2 {
			if err := f.putPages(w, 1, 1, PurposeFull); err != nil {
				t.Fatal(err)
			}
		}
		m := w.Manifest()
		if len(m.Objects) != 2 || m.Objects[0].Key != m.Objects[1].Key || m.Objects[0].ID == m.Objects[1].ID {
			t.Fatalf("%+v", m.Objects)
		}
		gone, _, err := w.Expire(t.Context(), Retention{Last: 1})
		if err != nil || len(gone) != 1 || len(w.Manifest().Objects) != 1 || len(w.Manifest().Garbage) != 0 {
			t.Errorf("%d gone, garbage %v (%v)", len(gone), w.Manifest().Garbage, err)
		}
		v := f.versions[1]
		o, err := w.PutPages(t.Context(), v, nil, 0, PageUpload{Level: LevelFull, Min: 1, State: v.state, Purpose: PurposeFull, Anew: true})
		if err != nil || o.Key == m.Objects[0].Key {
			t.Errorf("anew: %s (%v)", o.Key, err)
		}
		f.verified(f.space)
		f.restored(f.space, Target{TXID: 1}, 1)
	}
}

func TestPutPagesRefusesWhatCantBe(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	f.commit()
	w := f.writer(1)
	v := f.versions[1]
	for _, in := range []PageUpload{
		{Level: 0, Min: 1, State: v.state, Purpose: "x"},
		{Level: LevelFull, Min: 2, State: v.state, Purpose: PurposeFull},
		{Level: 10, Min: 1, State: v.state, Purpose: PurposeFull},
		{Level: -1, Min: 1, State: v.state, Purpose: PurposeFull},
		{Level: 0, Min: 9, State: v.state, Purpose: PurposeUpload},
	} {
		if _, err := w.PutPages(t.Context(), v, slices.Values([]uint32{1}), 1, in); err == nil {
			t.Errorf("%+v", in)
		}
	}
}
