package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// backedUp is a small backup of everything there is: a chain, log objects, a snapshot.
func backedUp(t testing.TB, sealed bool, bucket objstore.Bucket) (*fixture, *Writer) {
	f := newFixture(t, 21, sealed, bucket)
	w := f.writer(1)
	for id := page.TXID(1); id <= 12; id++ {
		f.commit()
	}
	for _, to := range []page.TXID{4, 8, 10} {
		if err := f.putPages(w, w.Manifest().newestObject()+1, to, PurposeUpload); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []page.TXID{6, 12} {
		if err := f.putLog(w, to-5, to); err != nil {
			t.Fatal(err)
		}
	}
	return f, w
}

// replace puts other bytes in the place of an object's.
func replace(t testing.TB, b objstore.Bucket, key string, data []byte) {
	t.Helper()
	if err := b.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t.Context(), b, key, data, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Each byte of every object is flipped in turn. A deep look finds each; a restore either fails, or it hasn't touched that
// byte and is right.
func TestAFlippedByteInTheBucketIsFoundAndNeverRestored(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		f, w := backedUp(t, sealed, objstore.NewMemory())
		f.verified(f.space)
		b := f.space.Objects()
		flips := 0
		for key := range w.Manifest().names() {
			data, _, err := get(t.Context(), b, key, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			step := 1 + len(data)/20 // all of them would take minutes
			for i := f.rng.IntN(step); i < len(data); i += step {
				flips++
				bad := bytes.Clone(data)
				bad[i] ^= 1 << f.rng.IntN(8)
				replace(t, b, key, bad)
				r, err := Verify(t.Context(), f.space, true, nil)
				if err != nil || len(r.Problems) == 0 {
					t.Errorf("%s, byte %d: not found (%v)", key, i, err)
				}
				if r, err := Verify(t.Context(), f.space, false, nil); err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != Damaged {
					t.Errorf("%s, byte %d: not found without reading (%v)", key, i, err)
				}
				err = f.tryRestore(f.space, Target{Latest: true}, 12)
				if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, pageobj.ErrDamaged) && !errors.Is(err, pageobj.ErrNewer) && !errors.Is(err, ErrNewer) {
					t.Errorf("%s, byte %d: %v", key, i, err)
				}
			}
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if r, err := Verify(t.Context(), f.space, false, nil); err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != Missing {
				t.Errorf("%s is missing: %v (%v)", key, r.Problems, err)
			}
			if r, err := Verify(t.Context(), f.space, true, nil); err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != Missing {
				t.Errorf("%s is missing: %v (%v)", key, r.Problems, err)
			}
			replace(t, b, key, data)
		}
		f.verified(f.space)
		t.Logf("sealed=%v: %d flips", sealed, flips)
	}
}

func TestVerifyTellsWhatItLookedAt(t *testing.T) {
	f, w := backedUp(t, true, objstore.NewMemory())
	var done, total int64
	r, err := Verify(t.Context(), f.space, true, func(d, n int64) { done, total = d, n })
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for _, o := range w.Manifest().Objects {
		want += o.Size + o.Index.Size
	}
	for _, l := range w.Manifest().Logs {
		want += l.Size
	}
	if r.Objects != 3 || r.Logs != 2 || r.Bytes != want || done != want || total != want || !r.Deep || len(r.Ranges) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestVerifyFindsGaps(t *testing.T) {
	f, w := backedUp(t, false, objstore.NewMemory())
	m := w.Manifest()
	err := w.Commit(t.Context(), func(x *Manifest) error {
		for _, o := range m.Objects {
			if o.Min > 1 && o.Max < 10 || o.Min == 1 && o.Max > 4 {
				x.Remove(o.Key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(t.Context(), f.space, false, nil)
	if err != nil || len(r.Problems) == 0 || r.Problems[0].Kind != Gap {
		t.Errorf("%v (%v)", r.Problems, err)
	}
}

// What the bucket doesn't answer says nothing about the backup.
func TestVerifyDoesntTakeAnOutageForDamage(t *testing.T) {
	mem := objstore.NewMemory()
	f, _ := backedUp(t, true, mem)
	for _, deep := range []bool{false, true} {
		o := f.o
		o.Bucket = faulty.New(mem, func(c faulty.Call) faulty.Fault {
			if c.N > 2 {
				return faulty.Fault{Before: objstore.ErrUnavailable}
			}
			return faulty.Fault{}
		})
		if r, err := Verify(t.Context(), Open(o), deep, nil); !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("deep=%v: %+v (%v)", deep, r, err)
		}
	}
}

func TestARestoreGoesOnWhereTheBucketBreaksOff(t *testing.T) {
	mem := objstore.NewMemory()
	f, _ := backedUp(t, true, mem)
	o := f.o
	o.Bucket = objstore.Retry(faulty.New(mem, func(c faulty.Call) faulty.Fault {
		switch c.N % 5 {
		case 1:
			return faulty.Fault{Before: objstore.ErrUnavailable}
		case 3:
			return faulty.Fault{Cut: 100}
		}
		return faulty.Fault{}
	}), objstore.RetryOptions{First: 1})
	f.restored(Open(o), Target{Latest: true}, 12)
	o.Bucket = faulty.New(mem, func(c faulty.Call) faulty.Fault { return faulty.Fault{Cut: 1000} })
	if err := f.tryRestore(Open(o), Target{Latest: true}, 12); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("without retries: %v", err)
	}
}

// What is in the manifest and what is in the records don't agree.
func TestARestoreChecksWhatItIsTold(t *testing.T) {
	f, w := backedUp(t, false, objstore.NewMemory())
	for name, spoil := range map[string]func(*Manifest){
		"the wrong checksum of a version":        func(m *Manifest) { m.Objects[2].State.Checksum++ },
		"the wrong checksum of what is restored": func(m *Manifest) { m.Objects[2].State.Checksum++ },
		"a log that ends before":                 func(m *Manifest) { m.Logs[1].Last = 11 },
		"an object that has other pages":         func(m *Manifest) { m.Objects[2].Ref = swapPages(m.Objects[2].Ref, m.Objects[1].Ref) },
		"a log that promises more":               func(m *Manifest) { m.Logs[1].Last = 13 },
		"a log object in another's place":        func(m *Manifest) { m.Logs[1].Key = m.Logs[0].Key },
		"a log of another lineage":               func(m *Manifest) { m.Logs[1].Lineage++ },
	} {
		m := w.Manifest().Clone()
		spoil(m)
		target := Target{TXID: 12}
		switch name {
		case "the wrong checksum of what is restored":
			target.TXID = 10
		case "a log that promises more":
			target.TXID = 13
		case "a log that ends before":
			target.TXID = 11
		}
		r, err := Restore(t.Context(), f.space, target, RestoreOptions{Manifest: m})
		if err == nil {
			_, err = r.WriteTo(t.Context(), io.Discard)
			r.Close()
		}
		if err == nil && name != "a log that ends before" {
			t.Errorf("%s: restored", name)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, pageobj.ErrDamaged) && !errors.Is(err, ErrNotRestorable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// swapPages makes a reference to the pages of another object.
func swapPages(r, other pageobj.Ref) pageobj.Ref {
	r.Key, r.Size, r.CRC, r.Index, r.Pages = other.Key, other.Size, other.CRC, other.Index, other.Pages
	return r
}

func TestARestoreNeedsTheRightKey(t *testing.T) {
	mem := objstore.NewMemory()
	f, _ := backedUp(t, true, mem)
	o := Options{Bucket: mem, Database: testID, Lineage: testLineage, TempDir: t.TempDir()}
	if err := f.tryRestore(Open(o), Target{Latest: true}, 12); !errors.Is(err, crypt.ErrNoProvider) {
		t.Errorf("without a key: %v", err)
	}
	o.Provider, _ = newKeys(t)
	if err := f.tryRestore(Open(o), Target{Latest: true}, 12); !errors.Is(err, crypt.ErrWrongKey) {
		t.Errorf("with another: %v", err)
	}
	o.Provider = f.o.Provider
	f.restored(Open(o), Target{Latest: true}, 12)
	found, err := List(t.Context(), mem)
	if err != nil || len(found) != 1 || !found[0].Sealed {
		t.Errorf("%+v (%v)", found, err)
	}
}

// A database that is encrypted later has objects of both kinds, and then of several keys.
func TestKeysComeAndChangeWhileABackupGoesOn(t *testing.T) {
	f := newFixture(t, 8, false, objstore.NewMemory())
	provider, ring := newKeys(t)
	step := func(epoch uint64) {
		t.Helper()
		w := f.writer(epoch)
		first := f.txid() + 1
		for range 10 {
			f.commit()
		}
		if err := f.putPages(w, first, f.txid()-4, PurposeUpload); err != nil {
			t.Fatal(err)
		}
		if err := f.putLog(w, first, f.txid()); err != nil {
			t.Fatal(err)
		}
		if err := f.putPages(w, f.txid()-3, f.txid(), PurposeUpload); err != nil {
			t.Fatal(err)
		}
		for id := page.TXID(6); id <= f.txid(); id += 3 {
			f.restored(f.space, Target{TXID: id}, id)
		}
		f.verified(f.space)
	}
	step(1)
	f.o.Keys, f.o.Provider = func() *crypt.Keyring { return ring }, provider
	f.space, f.ring = Open(f.o), ring
	f.reseal()
	step(2)
	rotated, err := ring.Rotate(t.Context(), provider)
	if err != nil {
		t.Fatal(err)
	}
	old := ring
	ring = rotated
	f.ring = rotated
	f.reseal()
	step(3)
	// A node with yesterday's keyring, and one with the wrapping key alone.
	o := f.o
	o.Keys = func() *crypt.Keyring { return old }
	f.restored(Open(o), Target{Latest: true}, f.txid())
	o.Keys = nil
	f.restored(Open(o), Target{Latest: true}, f.txid())
	m, _, err := f.space.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if use := m.DataKeys(); len(use) != 3 || use[0] == 0 || use[1] == 0 || use[2] == 0 {
		t.Errorf("keys in use: %v", use)
	}
	// A writer with yesterday's keyring, and no way to open the newer one, must not put it in its place.
	o.Keys, o.Provider = func() *crypt.Keyring { return old }, nil
	if _, err := Open(o).Writer(t.Context(), 4); err == nil {
		t.Error("a newer keyring was replaced by an older one")
	}
	// The same if the newer one has no other keys, but other wrappings.
	rewrapped, err := rotated.Rewrap(t.Context(), provider)
	if err != nil {
		t.Fatal(err)
	}
	ring = rewrapped
	f.writer(3)
	o.Keys = func() *crypt.Keyring { return rotated }
	if _, err := Open(o).Writer(t.Context(), 4); err == nil || !strings.Contains(err.Error(), "generation") {
		t.Errorf("newer wrappings were replaced by older ones: %v", err)
	}
	o.Provider = provider
	if w, err := Open(o).Writer(t.Context(), 4); err != nil {
		t.Error(err)
	} else if _, generation, err := crypt.PeekKeyring(w.Manifest().Keyring); err != nil || generation != rewrapped.Generation() {
		t.Errorf("generation %d instead of %d (%v)", generation, rewrapped.Generation(), err)
	}
	o.Keys = nil
	// Who writes without keys of his own doesn't lay the manifest open.
	w, err := Open(o).Writer(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), rename("secret")); err != nil {
		t.Fatal(err)
	}
	b, _, err := f.space.loadRaw(t.Context())
	if e, _, _, serr := split(b); err != nil || serr != nil || !e.sealed {
		t.Errorf("the manifest is in the clear (%v, %v)", err, serr)
	}
}

// Many pages that are needed one by one are fetched in one go.
func TestALogThatChangesManyPagesMakesTheBaseFlat(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		f := newFixture(t, 30, sealed, objstore.NewMemory())
		var pages [][]byte
		touched := map[uint32]bool{}
		for no := range uint32(4000) {
			pages = append(pages, f.page(512))
			touched[no+1] = true
		}
		f.install(512, true, pages, touched)
		w := f.writer(1)
		if err := f.putPages(w, 1, 1, PurposeUpload); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			pages = append([][]byte(nil), f.newest().pages...)
			touched := map[uint32]bool{}
			for range 100 {
				no := uint32(f.rng.IntN(len(pages))) + 1
				pages[no-1] = f.page(512)
				touched[no] = true
			}
			if f.rng.IntN(5) == 0 {
				pages = pages[:len(pages)-300]
			}
			f.install(512, false, pages, touched)
		}
		if err := f.putLog(w, 2, f.txid()); err != nil {
			t.Fatal(err)
		}
		for _, id := range []page.TXID{1, 2, 10, f.txid()} {
			f.restored(f.space, Target{TXID: id}, id)
			r, err := Restore(t.Context(), f.space, Target{TXID: id}, RestoreOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, flat := r.base.(*flatBase); flat != (id > 2) {
				t.Errorf("to transaction %d: flat=%v", id, flat)
			}
			r.Close()
		}
	}
}

func TestWhoMayOnlyReadTheBucketRestores(t *testing.T) {
	mem := objstore.NewMemory()
	f, _ := backedUp(t, true, mem)
	o := f.o
	o.Bucket = faulty.New(mem, func(c faulty.Call) faulty.Fault {
		if c.Op == "put" || c.Op == "delete" {
			return faulty.Fault{Before: errors.New("access denied")}
		}
		return faulty.Fault{}
	})
	r, err := Restore(t.Context(), Open(o), Target{TXID: 8}, RestoreOptions{Pin: "restore-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := r.WriteTo(t.Context(), &out); err != nil || !bytes.Equal(out.Bytes(), f.versions[8].bytes()) {
		t.Errorf("it came out otherwise (%v)", err)
	}
}

func TestARestorePinsWhatItReads(t *testing.T) {
	f, w := backedUp(t, true, objstore.NewMemory())
	r, err := Restore(t.Context(), f.space, Target{TXID: 8}, RestoreOptions{Pin: "restore-1"})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Commit(t.Context(), func(m *Manifest) error { m.Objects, m.Logs = nil, nil; return nil })
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Add(2 * f.space.o.Grace)
	if n := f.collect(w); n != 0 {
		t.Errorf("%d deleted under a restore", n)
	}
	var out bytes.Buffer
	if _, err := r.WriteTo(t.Context(), &out); err != nil || !bytes.Equal(out.Bytes(), f.versions[8].bytes()) {
		t.Errorf("it came out otherwise (%v)", err)
	}
	r.Close()
	if n := f.collect(w); n != 8 {
		t.Errorf("%d deleted after it", n)
	}
}

func TestARestoreTellsItsProgressAndEndsWhenItIsCancelled(t *testing.T) {
	f, _ := backedUp(t, true, objstore.NewMemory())
	var last, total int64
	o := RestoreOptions{Progress: func(d, n int64) {
		if d < last || d > n {
			t.Errorf("%d of %d after %d", d, n, last)
		}
		last, total = d, n
	}}
	r, err := Restore(t.Context(), f.space, Target{Latest: true}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.WriteTo(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	full := errors.New("no space left")
	if _, err := r.WriteTo(t.Context(), failing{full}); !errors.Is(err, full) {
		t.Error(err)
	}
	if n, err := r.WriteTo(t.Context(), io.Discard); err != nil || n != int64(len(f.versions[12].bytes())) || last != total {
		t.Errorf("%d bytes, progress %d of %d (%v)", n, last, total, err)
	}
	if _, err := Restore(ctx, f.space, Target{Latest: true}, RestoreOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Nothing that is in the database, or about it, is in the bucket in the clear.
func TestNothingOfAnEncryptedDatabaseIsInTheClear(t *testing.T) {
	mem := objstore.NewMemory()
	f, w := backedUp(t, true, mem)
	secret := "the merger with Initech"
	pages := append([][]byte(nil), f.newest().pages...)
	pages[0] = append([]byte(strings.Repeat(secret, 3)), make([]byte, 65536)...)[:len(pages[0])]
	f.install(f.newest().state.Size, false, pages, map[uint32]bool{1: true})
	if err := f.putPages(w, 11, 13, PurposeUpload); err != nil {
		t.Fatal(err)
	}
	if err := f.putLog(w, 13, 13); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), rename(secret)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for info, err := range mem.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := get(t.Context(), mem, info.Key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if n++; bytes.Contains(b, []byte("merger")) || bytes.Contains(b, []byte("plain text")) || strings.Contains(info.Key, "merger") {
			t.Errorf("%s has it in the clear", info.Key)
		}
	}
	if n < 10 {
		t.Errorf("%d objects only", n)
	}
	clear, _ := backedUp(t, false, objstore.NewMemory())
	found := false
	for key := range clear.names(t) {
		b, _, err := get(t.Context(), clear.space.Objects(), key, 1<<30)
		found = found || err == nil && bytes.Contains(b, []byte("plain"))
	}
	if !found {
		t.Error("the search finds nothing in the clear either")
	}
}

func (f *fixture) names(t testing.TB) map[string]uint64 {
	m, _, err := f.space.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m.names()
}
