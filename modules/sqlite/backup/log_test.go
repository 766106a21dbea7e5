package backup

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

func readAll(t testing.TB, b objstore.Bucket, ref LogRef) ([]LogRecord, error) {
	var list []LogRecord
	for r, err := range ReadLog(t.Context(), b, ref) {
		if err != nil {
			return list, err
		}
		list = append(list, r)
	}
	return list, nil
}

func TestALogObjectHasTheRecordsAsTheyWere(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		f := newFixture(t, 5, sealed, objstore.NewMemory())
		for range 200 {
			f.commit()
		}
		w := f.writer(1)
		ref, err := w.PutLog(t.Context(), f.log(3, 150))
		if err != nil {
			t.Fatal(err)
		}
		if last := f.records[150][len(f.records[150])-1]; ref.First != 3 || ref.Last != 150 || ref.Position != last.Position || ref.Epoch != last.Epoch || ref.LastTime != last.Time {
			t.Errorf("%+v", ref)
		}
		var want []LogRecord
		for r := range f.log(3, 150) {
			r.Time = 0
			want = append(want, r)
		}
		got, err := readAll(t, f.space.Objects(), ref)
		if err != nil || len(got) != len(want) || ref.Records != len(want) {
			t.Fatalf("%d of %d records (%v)", len(got), len(want), err)
		}
		for i := range got {
			if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
				t.Fatalf("record %d", i)
			}
		}
		ref.Last = 100
		got, err = readAll(t, f.space.Objects(), ref)
		if err != nil || got[len(got)-1].TXID != 100 {
			t.Errorf("cut: %v", err)
		}
		b, _, err := get(t.Context(), f.space.Objects(), ref.Key, 1<<30)
		if err != nil || sealed && bytes.Contains(b, []byte("plain text")) {
			t.Errorf("something is in the clear (%v)", err)
		}
	}
}

func TestRecordsThatDontFollowBecomeNoLogObject(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	for range 30 {
		f.commit()
	}
	w := f.writer(1)
	put := func(recs ...LogRecord) error {
		_, err := w.PutLog(t.Context(), func(yield func(LogRecord, error) bool) {
			for _, r := range recs {
				if !yield(r, nil) {
					return
				}
			}
		})
		return err
	}
	var all []LogRecord
	for r := range f.log(1, 30) {
		all = append(all, r)
	}
	part := slices.IndexFunc(all, func(r LogRecord) bool { return !r.Last })
	if part < 0 {
		t.Fatal("no transaction has parts")
	}
	change := func(r LogRecord, fn func(*LogRecord)) LogRecord { fn(&r); return r }
	for name, recs := range map[string][]LogRecord{
		"none":               nil,
		"a gap":              append(slices.Clone(f.records[3]), f.records[5]...),
		"backwards":          append(slices.Clone(f.records[3]), f.records[2]...),
		"twice":              append(slices.Clone(f.records[3]), f.records[3]...),
		"no last part":       all[part : part+1],
		"another number":     {change(f.records[3][0], func(r *LogRecord) { r.TXID = 4 })},
		"another epoch":      {change(f.records[3][0], func(r *LogRecord) { r.Epoch = 44 })},
		"not last after all": {change(f.records[3][len(f.records[3])-1], func(r *LogRecord) { r.Last = !r.Last })},
	} {
		if err := put(recs...); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := put(LogRecord{TXID: 1, Position: 1, Last: true, Data: []byte("no record")}); err == nil {
		t.Error("bytes that are no record")
	}
	fails := errors.New("the log can't be read")
	_, err := w.PutLog(t.Context(), func(yield func(LogRecord, error) bool) { yield(LogRecord{}, fails) })
	if !errors.Is(err, fails) {
		t.Error(err)
	}
}

func TestAFlippedByteOfALogObjectIsFound(t *testing.T) {
	f := newFixture(t, 2, false, objstore.NewMemory())
	for range 20 {
		f.commit()
	}
	ref, err := f.writer(1).PutLog(t.Context(), f.log(1, 20))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := readAll(t, f.space.Objects(), ref)
	b, _, err := get(t.Context(), f.space.Objects(), ref.Key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(b); i += 1 + len(b)/1500 {
		m := objstore.NewMemory()
		bad := slices.Clone(b)
		bad[i] ^= 4
		if _, err := put(t.Context(), m, ref.Key, bad, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		got, err := readAll(t, m, ref)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d: %v", i, err)
		}
		for j := range got {
			if fmt.Sprint(got[j]) != fmt.Sprint(want[j]) {
				t.Fatalf("byte %d: record %d came out wrong", i, j)
			}
		}
	}
	for _, cut := range []int{0, 10, len(b) / 2, len(b) - 1} {
		m := objstore.NewMemory()
		if _, err := put(t.Context(), m, ref.Key, b[:cut], objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(t, m, ref); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d: %v", cut, err)
		}
	}
	if _, err := readAll(t, objstore.NewMemory(), ref); !errors.Is(err, ErrDamaged) || !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	other, err := f.writer(2).PutLog(t.Context(), f.log(1, 20))
	if err != nil {
		t.Fatal(err)
	}
	other.Header = ref.Header
	if _, err := readAll(t, f.space.Objects(), other); !errors.Is(err, ErrDamaged) {
		t.Errorf("another object under that name: %v", err)
	}
}

// A body that ends early is the bucket's failure and not damage.
func TestACutBodyOfALogObjectIsNoDamage(t *testing.T) {
	mem := objstore.NewMemory()
	f := newFixture(t, 2, false, mem)
	for range 20 {
		f.commit()
	}
	ref, err := f.writer(1).PutLog(t.Context(), f.log(1, 20))
	if err != nil {
		t.Fatal(err)
	}
	cut := faulty.New(f.space.Objects(), func(c faulty.Call) faulty.Fault { return faulty.Fault{Cut: 1000} })
	if _, err := readAll(t, cut, ref); !errors.Is(err, objstore.ErrUnavailable) || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestALargeTransactionGoesThroughATemporaryFile(t *testing.T) {
	f := newFixture(t, 3, true, objstore.NewMemory())
	pages := make([][]byte, 250)
	touched := map[uint32]bool{}
	for i := range pages {
		pages[i] = make([]byte, 65536)
		for j := 0; j < len(pages[i]); j += 8 {
			pages[i][j] = byte(f.rng.IntN(255) + 1)
		}
		touched[uint32(i+1)] = true
	}
	f.install(65536, true, pages, touched)
	f.commit()
	w := f.writer(1)
	if err := f.putPages(w, 1, 1, PurposeUpload); err != nil {
		t.Fatal(err)
	}
	if err := f.putLog(w, 1, 2); err != nil {
		t.Fatal(err)
	}
	if l := w.Manifest().Logs[0]; l.Size < 3*spoolMemory {
		t.Fatalf("it has %d bytes only", l.Size)
	}
	f.restored(f.space, Target{TXID: 2}, 2)
	f.verified(f.space)
}

func FuzzLogObject(f *testing.F) {
	x := newFixture(f, 2, false, objstore.NewMemory())
	for range 5 {
		x.commit()
	}
	ref, err := x.writer(1).PutLog(f.Context(), x.log(1, 5))
	if err != nil {
		f.Fatal(err)
	}
	b, _, err := get(f.Context(), x.space.Objects(), ref.Key, 1<<30)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:200])
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &logReader{r: bytes.NewReader(b), left: int64(len(b))}
		if l.begin() != nil {
			return
		}
		var at page.TXID
		for l.left > logFooterBytes {
			g, err := l.group()
			if err != nil {
				// Past the checksum the frames are read all the same.
				var r LogRecord
				body := b[min(len(b), logHeaderBytes+logGroupBytes):]
				for len(body) > 0 && l.frame(&body, &r) == nil {
					if r.TXID < at || len(r.Data) > len(b) {
						t.Fatal("impossible record")
					}
					at = r.TXID
				}
				return
			}
			for _, err := range g {
				if err != nil {
					return
				}
			}
		}
		_ = l.end()
	})
}
