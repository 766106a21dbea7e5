package backup

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

func (f *fixture) child(lineage uint64, b objstore.Bucket) *Space {
	o := f.o
	o.Lineage = lineage
	if b != nil {
		o.Bucket = b
	}
	return Open(o)
}

func TestANewLineageGoesOnFromTheOld(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		f, w := backedUp(t, sealed, objstore.NewMemory())
		if err := w.Commit(t.Context(), rename("shop")); err != nil {
			t.Fatal(err)
		}
		if err := f.space.Pin(t.Context(), "old-node", w.Manifest().Sequence, w.Manifest()); err != nil {
			t.Fatal(err)
		}
		m, err := f.space.Adopt(t.Context(), 77, 5)
		if err != nil {
			t.Fatal(err)
		}
		if m.Parent == nil || *m.Parent != (Fork{testLineage, 12}) || m.Name != "shop" || m.Lineage != 77 || m.Epoch != 5 || m.Sequence <= w.Manifest().Sequence {
			t.Errorf("%+v", m)
		}
		if err := w.Commit(t.Context(), rename("x")); !errors.Is(err, ErrTakenOver) {
			t.Errorf("the old writer goes on: %v", err)
		}
		if _, err := f.space.Writer(t.Context(), 99); !errors.Is(err, ErrTakenOver) {
			t.Errorf("a new writer of the old lineage: %v", err)
		}
		child := f.child(77, nil)
		f.restored(child, Target{Latest: true}, 12)
		f.restored(child, Target{TXID: 7}, 7)
		// It goes on under a log of its own, whose epochs may be lower.
		cw, err := child.Writer(t.Context(), 5)
		if err != nil {
			t.Fatal(err)
		}
		f.lineage, f.epoch, f.position = 77, 1, 0
		f.reseal()
		for range 8 {
			f.commit()
		}
		if err := f.putLog(cw, 13, 17); err != nil {
			t.Fatal(err)
		}
		if err := f.putPages(cw, 11, 15, PurposeUpload); err != nil {
			t.Fatal(err)
		}
		for id := page.TXID(4); id <= 17; id++ {
			f.restored(child, Target{TXID: id}, id)
		}
		f.verified(child)
		// Objects of the old lineage go by the new one's writer, and the pins there count.
		err = cw.Commit(t.Context(), func(m *Manifest) error { m.Objects, m.Logs = m.Objects[len(m.Objects)-1:], nil; return nil })
		if err != nil {
			t.Fatal(err)
		}
		f.clock.Add(2 * f.space.o.Grace)
		if n, err := cw.Collect(t.Context()); err != nil || n != 1 { // its own log object
			t.Errorf("%d deleted (%v)", n, err)
		}
		if err := f.space.Unpin(t.Context(), "old-node"); err != nil {
			t.Fatal(err)
		}
		if n, err := cw.Collect(t.Context()); err != nil || n != 8 {
			t.Errorf("%d deleted (%v)", n, err)
		}
		found, err := List(t.Context(), f.bucket)
		if err != nil || len(found) != 2 || found[0].Lineage != 77 || found[1].Lineage != testLineage {
			t.Errorf("%+v (%v)", found, err)
		}
	}
}

func TestANewLineageBeginsAtAnEarlierTransaction(t *testing.T) {
	f, _ := backedUp(t, true, objstore.NewMemory())
	m, err := f.space.AdoptAt(t.Context(), 78, 2, 7)
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Restorable(); len(r) != 1 || r[0].Last != 7 || m.newest() != 7 {
		t.Errorf("%v", r)
	}
	child := f.child(78, nil)
	f.restored(child, Target{Latest: true}, 7)
	f.verified(child)
	cw, err := child.Writer(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	// What came after isn't mixed with what was.
	f.versions, f.records, f.touched, f.images = f.versions[:8], f.records[:8], f.touched[:8], f.images[:8]
	f.lineage = 78
	f.reseal()
	for range 6 {
		f.commit()
	}
	if err := f.putLog(cw, 8, 13); err != nil {
		t.Fatal(err)
	}
	if err := f.putPages(cw, 5, 10, PurposeUpload); err != nil {
		t.Fatal(err)
	}
	for id := page.TXID(4); id <= 13; id++ {
		f.restored(child, Target{TXID: id}, id)
	}
	f.verified(child)
	f.clock.Add(2 * f.space.o.Grace)
	if n, err := cw.Collect(t.Context()); err != nil || n != 4 {
		t.Errorf("%d deleted (%v)", n, err)
	}
	f.verified(child)
	if _, err := child.AdoptAt(t.Context(), 79, 2, 99); !errors.Is(err, ErrNotRestorable) {
		t.Error(err)
	}
}

// A log object that goes further than the fork is merged up to it only.
func TestAMergedLogEndsAtTheFork(t *testing.T) {
	f, _ := backedUp(t, false, objstore.NewMemory())
	if _, err := f.space.AdoptAt(t.Context(), 78, 2, 9); err != nil {
		t.Fatal(err)
	}
	child := f.child(78, nil)
	cw, err := child.Writer(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	g := NextMerge(cw.Manifest(), Policy{LogObjects: 2})
	if g == nil || g.Kind != MergeLogs || g.Max != 9 {
		t.Fatalf("%+v", g)
	}
	if err := cw.Merge(t.Context(), g, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	if l := cw.Manifest().Logs; len(l) != 1 || l[0].Lineage != testLineage || l[0].Last != 9 {
		t.Errorf("%+v", l)
	}
	for id := page.TXID(4); id <= 9; id++ {
		f.restored(child, Target{TXID: id}, id)
	}
	f.verified(child)
}

// Wherever it is interrupted: the old lineage is whole or handed over, and doing it again ends it.
func TestAnInterruptedAdoptionIsRepeated(t *testing.T) {
	for n := 1; ; n++ {
		mem := objstore.NewMemory()
		f, w := backedUp(t, true, mem)
		b := newWatched(t, mem, f.space, uint64(n))
		b.stop = n
		o := f.o
		o.Bucket = b
		_, err := Open(o).Adopt(t.Context(), 77, 5)
		done := err == nil
		b.settle()
		if !done {
			m, _, err := f.space.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			f.verified(f.space)
			if m.Successor == 0 && n%2 == 0 {
				// The old lineage may go on for a while, and drop what the child names.
				w = f.writer(6)
				if err := w.Commit(t.Context(), func(m *Manifest) error { m.Remove(m.Logs[0].Key); return nil }); err != nil {
					t.Fatal(err)
				}
				f.clock.Add(2 * f.space.o.Grace)
				f.collect(w)
			}
			if _, err := f.space.Adopt(t.Context(), 77, 6); err != nil {
				t.Fatalf("after a crash at request %d: %v", n, err)
			}
		}
		if m, _, err := f.space.Load(t.Context()); err != nil || m.Successor != 77 {
			t.Fatalf("after a crash at request %d: %+v (%v)", n, m, err)
		}
		child := f.child(77, nil)
		f.verified(child)
		f.restored(child, Target{Latest: true}, 12)
		if m, err := f.space.Adopt(t.Context(), 77, 6); err != nil || m.Lineage != 77 {
			t.Fatalf("again: %v", err)
		}
		if _, err := f.space.Adopt(t.Context(), 88, 6); !errors.Is(err, ErrTakenOver) {
			t.Fatalf("another one: %v", err)
		}
		if done {
			break
		}
	}
}

func TestALineageThatIsInUseIsntTaken(t *testing.T) {
	f, _ := backedUp(t, false, objstore.NewMemory())
	other := f.child(5, nil)
	if _, err := other.Writer(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, lineage := range []uint64{0, testLineage, 5} {
		if _, err := f.space.Adopt(t.Context(), lineage, 9); err == nil {
			t.Errorf("%d", lineage)
		}
	}
	if m, _, err := f.space.Load(t.Context()); err != nil || m.Successor != 0 {
		t.Errorf("%v", err)
	}
}

func TestListSkipsWhatIsNoBackup(t *testing.T) {
	mem := objstore.NewMemory()
	f, _ := backedUp(t, true, mem)
	for _, key := range []string{"system", "a/b/c", "zzz", testID.String(), testID.String() + "/zz/x", testID.String() + "/00", "ff/" + lineageName(1) + "/manifest"} {
		if _, err := put(t.Context(), mem, key, []byte("x"), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	bad := page.ID{0xff}
	if _, err := put(t.Context(), mem, bad.String()+"/"+lineageName(9)+"/manifest", []byte("no manifest"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := List(t.Context(), mem)
	if err != nil || len(list) != 2 || list[0].Database != testID || list[0].Err != nil || list[0].Epoch != 1 || !errors.Is(list[1].Err, ErrDamaged) {
		t.Errorf("%+v (%v)", list, err)
	}
	m, _, err := f.space.Load(t.Context())
	if err != nil || list[0].Sequence != m.Sequence {
		t.Error(err)
	}
}

func TestTheRootIsFenced(t *testing.T) {
	mem := objstore.NewMemory()
	if _, err := LoadRoot(t.Context(), mem); !errors.Is(err, ErrNoBackup) {
		t.Fatal(err)
	}
	r := Root{System: testID, Lineage: testLineage, Epoch: 4, Cluster: "berlin"}
	for range 2 {
		if err := StoreRoot(t.Context(), mem, r); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := LoadRoot(t.Context(), mem); err != nil || got != r {
		t.Errorf("%+v (%v)", got, err)
	}
	var fenced *FencedError
	if err := StoreRoot(t.Context(), mem, Root{System: testID, Lineage: 1, Epoch: 3}); !errors.As(err, &fenced) || *fenced != (FencedError{3, 4}) {
		t.Error(err)
	}
	r.Epoch = 5
	flaky := newWatched(t, mem, Open(Options{Bucket: mem}), 1)
	flaky.force = lost
	if err := StoreRoot(t.Context(), flaky, r); err != nil {
		t.Errorf("a lost answer: %v", err)
	}
	for name, text := range map[string]string{
		"damaged": "{", "a newer one": `{"format":2}`, "no id": `{"format":1,"system":"x","lineage":"0000000000000001"}`,
		"no lineage": fmt.Sprintf(`{"format":1,"system":%q,"lineage":"1"}`, testID), "no format": fmt.Sprintf(`{"system":%q,"lineage":"0000000000000001"}`, testID),
	} {
		_, err := decodeRoot([]byte(text))
		if name == "a newer one" && !errors.Is(err, ErrNewer) || name != "a newer one" && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRoot(f *testing.F) {
	b, _ := encodeRoot(Root{System: testID, Lineage: 7, Epoch: 3, Cluster: "x"})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRoot(b)
		if err != nil {
			return
		}
		again, err := encodeRoot(r)
		if err != nil {
			t.Fatal(err)
		}
		if r2, err := decodeRoot(again); err != nil || r2 != r {
			t.Fatalf("%+v became %+v (%v)", r, r2, err)
		}
	})
}

func TestDestroyLeavesNothingOfADatabaseAndAllOfTheOthers(t *testing.T) {
	mem := objstore.NewMemory()
	f, _ := backedUp(t, true, mem)
	if _, err := f.space.Adopt(t.Context(), 77, 5); err != nil {
		t.Fatal(err)
	}
	other := page.ID{7}.String() + "/" + lineageName(1) + "/" + manifestName
	if _, err := put(t.Context(), mem, other, []byte("x"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.space.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for info, err := range mem.List(t.Context(), "", "") {
		if err != nil || info.Key != other {
			t.Errorf("%s is left (%v)", info.Key, err)
		}
	}
	if _, err := mem.Head(t.Context(), other); err != nil {
		t.Error(err)
	}
}
