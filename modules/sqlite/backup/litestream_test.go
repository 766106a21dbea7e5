package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// replica is a Litestream replica that a test makes with the library that Litestream uses.
type replica struct {
	t      *testing.T
	m      *model
	bucket objstore.Bucket
	layout func(level int) string
}

func fileLayout(level int) string { return fmt.Sprintf("ltx/%d/", level) }
func s3Layout(level int) string   { return fmt.Sprintf("%04x/", level) }

// file makes the LTX file of some transactions.
func (r *replica) file(first, last page.TXID) []byte {
	r.t.Helper()
	v := r.m.versions[last]
	var b bytes.Buffer
	enc, err := ltx.NewEncoder(&b)
	if err != nil {
		r.t.Fatal(err)
	}
	err = enc.EncodeHeader(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: v.state.Size, Commit: v.state.Pages,
		MinTXID: ltx.TXID(first), MaxTXID: ltx.TXID(last), Timestamp: v.state.Time / 1000,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	nos := r.m.changed(first, last)
	if first == 1 {
		nos = nil
		for no := range v.state.Pages {
			nos = append(nos, no+1)
		}
	}
	if len(nos) == 0 {
		nos = []uint32{1}
	}
	for _, no := range nos {
		if err := enc.EncodePage(ltx.PageHeader{Pgno: no}, v.pages[no-1]); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		r.t.Fatal(err)
	}
	return b.Bytes()
}

func (r *replica) put(level int, first, last page.TXID, data []byte) {
	r.t.Helper()
	key := r.layout(level) + ltx.FormatFilename(ltx.TXID(first), ltx.TXID(last))
	if _, err := put(r.t.Context(), r.bucket, key, data, objstore.PutOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// compacted does to some transactions what Litestream does, from the files of a level.
func (r *replica) compacted(from int, first, last page.TXID) []byte {
	r.t.Helper()
	l, err := OpenLitestream(r.t.Context(), r.bucket)
	if err != nil {
		r.t.Fatal(err)
	}
	var inputs []io.Reader
	for _, f := range l.files {
		if f.Level == from && f.Min >= first && f.Max <= last {
			b, _, err := get(r.t.Context(), r.bucket, f.Key, 1<<30)
			if err != nil {
				r.t.Fatal(err)
			}
			inputs = append(inputs, bytes.NewReader(b))
		}
	}
	var out bytes.Buffer
	c, err := ltx.NewCompactor(&out, inputs)
	if err != nil {
		r.t.Fatal(err)
	}
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	if err := c.Compact(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return out.Bytes()
}

func newReplica(t *testing.T, seed uint64, layout func(int) string) *replica {
	r := &replica{t: t, m: newModel(t, seed, nil, newClock()), bucket: objstore.NewMemory(), layout: layout}
	r.m.rng = rand.New(rand.NewPCG(seed, 2))
	for len(r.m.versions) <= 40 {
		before := len(r.m.versions)
		r.m.commit()
		if before > 1 && r.m.images[before] { // Litestream's transactions never change the page size
			r.m.versions, r.m.records, r.m.touched, r.m.images = r.m.versions[:before], r.m.records[:before], r.m.touched[:before], r.m.images[:before]
		}
	}
	for id := page.TXID(1); id <= 40; id++ {
		r.put(0, id, id, r.file(id, id))
	}
	return r
}

func (r *replica) restores(t Target, want page.TXID) {
	r.t.Helper()
	l, err := OpenLitestream(r.t.Context(), r.bucket)
	if err != nil {
		r.t.Fatal(err)
	}
	var out bytes.Buffer
	info, err := l.WriteTo(r.t.Context(), &out, t)
	if err != nil {
		r.t.Fatalf("%v: %v", t, err)
	}
	v := r.m.versions[want]
	if info.TXID != want || info.Pages != v.state.Pages || info.PageSize != v.state.Size || info.Time.UnixMilli() != v.state.Time/1000 {
		r.t.Errorf("%v: %+v instead of %+v", t, info, v.state)
	}
	if !bytes.Equal(out.Bytes(), v.bytes()) {
		r.t.Errorf("%v came out with other bytes", t)
	}
}

func TestALitestreamReplicaIsReadAsLitestreamReadsIt(t *testing.T) {
	for i, layout := range []func(int) string{fileLayout, s3Layout} {
		for seed := range uint64(2) {
			r := newReplica(t, seed, layout)
			for id := page.TXID(1); id <= 40; id += 13 {
				r.restores(Target{TXID: id}, id)
			}
			// Compaction as Litestream does it: levels 1 and 2, snapshots, and level 0 that is cut.
			for first := page.TXID(1); first <= 36; first += 4 {
				r.put(1, first, first+3, r.compacted(0, first, first+3))
			}
			for first := page.TXID(1); first <= 25; first += 12 {
				r.put(2, first, first+11, r.compacted(1, first, first+11))
			}
			r.put(9, 1, 12, r.compacted(2, 1, 12))
			r.put(9, 1, 30, r.file(1, 30))
			put(t.Context(), r.bucket, r.layout(1)+"something.tmp", []byte("x"), objstore.PutOptions{})
			put(t.Context(), r.bucket, "lock.json", []byte("{}"), objstore.PutOptions{})
			l, err := OpenLitestream(t.Context(), r.bucket)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range l.Files() {
				if f.Level == 0 && f.Max < 34 {
					if err := r.bucket.Delete(t.Context(), f.Key); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, id := range []page.TXID{4, 12, 24, 28, 30, 36, 37, 40} {
				r.restores(Target{TXID: id}, id)
			}
			r.restores(Target{Latest: true}, 40)
			// Of a time in between, what there is from before.
			at := func(id page.TXID) time.Time { return time.UnixMilli(r.m.versions[id].state.Time / 1000) }
			r.restores(Target{Time: at(38)}, 38)
			r.restores(Target{Time: at(31)}, 30)
			r.restores(Target{Time: at(15)}, 12)
			r.restores(Target{Time: at(40).Add(time.Hour)}, 40)
			l, _ = OpenLitestream(t.Context(), r.bucket)
			for _, bad := range []Target{{TXID: 5}, {TXID: 41}, {Time: at(1).Add(-time.Hour)}, {}} {
				if _, err := l.WriteTo(t.Context(), io.Discard, bad); err == nil || bad != (Target{}) && !errors.Is(err, ErrNotRestorable) {
					t.Errorf("%v: %v", bad, err)
				}
			}
			plan, err := l.Plan(t.Context(), Target{Latest: true})
			if err != nil || len(plan) == 0 || plan[0].Level != 9 || plan[0].Max != 30 {
				t.Errorf("layout %d: %+v (%v)", i, plan, err)
			}
		}
	}
}

func TestAGapInALitestreamReplicaIsAnError(t *testing.T) {
	r := newReplica(t, 1, fileLayout)
	if err := r.bucket.Delete(t.Context(), fileLayout(0)+ltx.FormatFilename(20, 20)); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLitestream(t.Context(), r.bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Plan(t.Context(), Target{Latest: true}); !errors.Is(err, ErrNotRestorable) {
		t.Error(err)
	}
	r.restores(Target{TXID: 19}, 19)
	if _, err := OpenLitestream(t.Context(), objstore.NewMemory()); !errors.Is(err, ErrNoBackup) {
		t.Error(err)
	}
}

func TestAFlippedByteInALitestreamReplicaIsFound(t *testing.T) {
	r := newReplica(t, 2, fileLayout)
	l, err := OpenLitestream(t.Context(), r.bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []LitestreamFile{l.files[0], l.files[20], l.files[39]} {
		data, _, err := get(t.Context(), r.bucket, f.Key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(data); i += 1 + len(data)/300 {
			bad := slices.Clone(data)
			bad[i] ^= 0x81
			replace(t, r.bucket, f.Key, bad)
			var out bytes.Buffer
			_, err := l.WriteTo(t.Context(), &out, Target{Latest: true})
			if err == nil && !bytes.Equal(out.Bytes(), r.m.versions[40].bytes()) {
				t.Errorf("%s, byte %d isn't noticed", f.Key, i) // a few bits of LZ4 lead to the same page
			} else if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, byte %d: %v", f.Key, i, err)
			}
		}
		replace(t, r.bucket, f.Key, data)
	}
	r.restores(Target{Latest: true}, 40)
}

// A backup in the clear is a replica that the ltx library, and so Litestream, can restore: at each end of an object.
func TestABackupInTheClearIsALitestreamReplica(t *testing.T) {
	for seed := range uint64(4) {
		dir := t.TempDir()
		bucket, err := objstore.OpenPlainDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, 200+seed, false, bucket)
		w := f.writer(1)
		ends := map[page.TXID]bool{}
		for range 30 {
			f.commit()
			if f.rng.IntN(3) > 0 {
				continue
			}
			if err := f.putPages(w, w.Manifest().newestObject()+1, f.txid(), PurposeIncremental); err != nil {
				t.Fatal(err)
			}
			ends[f.txid()] = true
			if g := NextMerge(w.Manifest(), Policy{Chain: 3, FullBytes: 1, Full: 3}); g != nil {
				if err := w.Merge(t.Context(), g, MergeOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		root := filepath.Join(dir, testID.String(), lineageName(testLineage))
		l, err := OpenLitestream(t.Context(), objstore.Prefix(bucket, testID.String()+"/"+lineageName(testLineage)))
		if err != nil {
			t.Fatal(err)
		}
		for id := range ends {
			var out bytes.Buffer
			if _, err := l.WriteTo(t.Context(), &out, Target{TXID: id}); err != nil || !bytes.Equal(out.Bytes(), f.versions[id].bytes()) {
				t.Errorf("seed %d: transaction %d came out otherwise (%v)", seed, id, err)
			}
			// The same as Litestream does it.
			plan, err := l.Plan(t.Context(), Target{TXID: id})
			if err != nil {
				t.Fatal(err)
			}
			var inputs []io.Reader
			for _, p := range plan {
				file, err := os.Open(filepath.Join(root, filepath.FromSlash(p.Key)))
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				if info, err := file.Stat(); err != nil || info.ModTime().UnixMilli() != f.versions[p.Max].state.Time/1000 {
					t.Errorf("%s was modified at %v (%v)", p.Key, info.ModTime(), err)
				}
				inputs = append(inputs, file)
			}
			var merged bytes.Buffer
			c, err := ltx.NewCompactor(&merged, inputs)
			if err != nil {
				t.Fatal(err)
			}
			c.HeaderFlags = ltx.HeaderFlagNoChecksum
			if err := c.Compact(t.Context()); err != nil {
				t.Fatalf("seed %d: transaction %d, from %v: %v", seed, id, plan, err)
			}
			out.Reset()
			if err := ltx.NewDecoder(&merged).DecodeDatabaseTo(&out); err != nil || !bytes.Equal(out.Bytes(), f.versions[id].bytes()) {
				t.Errorf("seed %d: transaction %d comes out of the library otherwise (%v)", seed, id, err)
			}
		}
	}
}

func FuzzLitestreamFile(f *testing.F) {
	t := &testing.T{}
	r := &replica{t: t, m: newModel(f, 1, nil, newClock()), bucket: objstore.NewMemory(), layout: fileLayout}
	r.m.commit()
	f.Add(r.file(1, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		bucket := objstore.NewMemory()
		if _, err := put(t.Context(), bucket, fileLayout(9)+ltx.FormatFilename(1, 1), b, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLitestream(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.WriteTo(t.Context(), io.Discard, Target{Latest: true}); err == nil {
			return
		} else if !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
