package backup

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

func TestNextMergeFindsWhatIsToBeMerged(t *testing.T) {
	chain := func(n int, change ...func(*Object)) []any {
		list := []any{object(1, 10, bytesOf(1<<20))}
		for i := range n {
			first := page.TXID(11 + 10*i)
			list = append(list, object(first, first+9, change...))
		}
		return list
	}
	logs := func(n int, size int64) []any {
		list := []any{object(1, 1)}
		for i := range n {
			l := logOf(page.TXID(1+10*i), page.TXID(10+10*i))
			l.Size = size
			list = append(list, l)
		}
		return list
	}
	with := func(list []any, more ...any) *Manifest { return manifest(append(list, more...)...) }
	for _, c := range []struct {
		name string
		m    *Manifest
		want string
	}{
		{"nothing", manifest(), ""},
		{"a short chain", with(chain(8)), ""},
		{"a long one", with(chain(9)), "pages 11-100 level 1 from 10 objects"},
		{"what has been merged stays", with([]any{object(1, 10, bytesOf(1<<20)), object(11, 50, level(1))}, object(51, 60), object(61, 70), object(71, 80), object(81, 90), object(91, 100), object(101, 110), object(111, 120), object(121, 130)),
			"pages 51-130 level 1 from 10 objects"},
		{"merged ones are merged", with(chain(8, level(1)), object(91, 100)), "pages 11-90 level 2 from 9 objects"},
		{"all, if no two are of a level", with([]any{object(1, 10, bytesOf(1<<20))}, object(11, 12, level(8)), object(13, 14, level(7)), object(15, 16, level(6)), object(17, 18, level(5)),
			object(19, 20, level(4)), object(21, 22, level(3)), object(23, 24, level(2)), object(25, 26, level(1)), object(27, 28)), "pages 11-28 level 8 from 10 objects"},
		{"what overlaps", with([]any{object(1, 20, bytesOf(1<<20))}, chain(10)[1:]...), "pages 21-110 level 1 from 10 objects"},
		{"a new full one", with(chain(2, bytesOf(1<<20))), "full 1-30 level 9 from 3 objects"},
		{"not for a little", with(chain(2, bytesOf(400<<10))), ""},
		{"few log objects", with(logs(7, 1000)), ""},
		{"many", with(logs(8, 1000)), "logs 1-80"},
		{"not those that are large", with(logs(10, 50<<20)), ""},
		{"as many as fit", with(logs(30, 7<<20)), "logs 1-90"},
		{"of about one size", with(append(logs(2, 10<<20), logs(9, 100)[3:]...)), ""},
		{"not over a gap", with(append(logs(4, 100), logs(9, 100)[6:]...)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if g := NextMerge(c.m, Policy{}); g != nil {
				got = fmt.Sprintf("%s %d-%d", g.Kind, g.Min, g.Max)
				if g.Kind != MergeLogs {
					got += fmt.Sprintf(" level %d from %d objects", g.Level, len(g.Chain))
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatIsMergedIsRestoredAsBefore(t *testing.T) {
	for seed := range uint64(3) {
		f := newFixture(t, 100+seed, seed%2 == 0, objstore.NewMemory())
		w := f.writer(1)
		kinds := map[MergeKind]int{}
		var snapshots []page.TXID
		logTo := page.TXID(0)
		logs := seed%3 > 0 // else there are page objects alone
		for range 60 {
			for range 1 + f.rng.IntN(2) {
				f.commit()
			}
			purpose := PurposeUpload
			if f.rng.IntN(6) == 0 {
				purpose = PurposeIncremental
				snapshots = append(snapshots, f.txid())
			}
			if err := f.putPages(w, w.Manifest().newestObject()+1, f.txid(), purpose); err != nil {
				t.Fatal(err)
			}
			if logs && f.rng.IntN(2) == 0 {
				if err := f.putLog(w, logTo+1, f.txid()); err != nil {
					t.Fatal(err)
				}
				logTo = f.txid()
			}
			for {
				before := w.Manifest()
				g := NextMerge(before, Policy{Chain: 3, LogObjects: 3, FullBytes: 1, Full: 2})
				if g == nil {
					break
				}
				kinds[g.Kind]++
				if err := w.Merge(t.Context(), g, MergeOptions{}); err != nil {
					t.Fatal(err)
				}
				after := w.Manifest()
				if logs {
					if a, b := fmt.Sprint(before.Restorable()), fmt.Sprint(after.Restorable()); a != b {
						t.Fatalf("seed %d: restorable %s, and before %s", seed, b, a)
					}
				}
				for _, id := range append(snapshots, f.txid()) {
					if _, err := after.Plan(Target{TXID: id}); err != nil {
						t.Fatal(err)
					}
				}
				if len(after.Objects) >= len(before.Objects)+1 && g.Kind == MergePages && len(snapshots) == 0 {
					t.Errorf("%d objects became %d", len(before.Objects), len(after.Objects))
				}
				f.restored(f.space, Target{TXID: f.txid()}, f.txid())
			}
		}
		for _, id := range snapshots {
			f.restored(f.space, Target{TXID: id}, id)
		}
		if logs {
			for id := w.Manifest().Restorable()[0].First; id <= logTo; id++ {
				f.restored(f.space, Target{TXID: id}, id)
			}
		}
		f.verified(f.space)
		f.clock.Add(2 * f.space.o.Grace)
		f.collect(w)
		f.verified(f.space)
		f.restored(f.space, Target{Latest: true}, f.txid())
		if kinds[MergePages] == 0 || kinds[MergeFull] == 0 || logs && kinds[MergeLogs] == 0 {
			t.Errorf("seed %d: %v", seed, kinds)
		}
	}
}

// Whoever put them left out the pages of zeros that came by growth.
func TestAMergeDoesntBringBackWhatWasCutOff(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	w := f.writer(1)
	pages := func(n int, content byte) (list [][]byte, all map[uint32]bool) {
		all = map[uint32]bool{}
		for no := range uint32(n) {
			list, all[no+1] = append(list, bytes.Repeat([]byte{content}, 512)), true
		}
		return list, all
	}
	list, all := pages(20, 1)
	f.install(512, true, list, all)
	f.install(512, false, list[:5], map[uint32]bool{1: true})
	grown := append(slices.Clone(list[:5]), make([][]byte, 15)...)
	for i := 5; i < 20; i++ {
		grown[i] = make([]byte, 512)
	}
	f.install(512, false, grown, map[uint32]bool{2: true})
	for id := page.TXID(1); id <= 3; id++ {
		v := f.versions[id]
		in := PageUpload{Min: id, State: v.state, Purpose: PurposeUpload}
		o, err := w.PutPages(t.Context(), v, slices.Values([]uint32{1, 2}), 2, in)
		if id == 1 {
			o, err = w.PutPages(t.Context(), v, nil, 0, in)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), func(m *Manifest) error { m.Add(o); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	f.restored(f.space, Target{TXID: 3}, 3)
	g := NextMerge(w.Manifest(), Policy{Chain: 1})
	if g == nil || g.Kind != MergePages || g.Min != 2 || g.Max != 3 {
		t.Fatalf("%+v", g)
	}
	if err := w.Merge(t.Context(), g, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	f.restored(f.space, Target{TXID: 3}, 3)
	// And records that leave them out.
	for first := page.TXID(1); first <= 2; first++ {
		f2 := newFixture(t, 1, false, objstore.NewMemory())
		f2.model = f.model
		w := f2.writer(1)
		if err := f.putPages(w, 1, first, PurposeUpload); err != nil {
			t.Fatal(err)
		}
		if err := f.putLog(w, 2, 3); err != nil {
			t.Fatal(err)
		}
		f2.restored(f2.space, Target{TXID: 3}, 3)
	}
}

func TestAMergeOfWhatIsGoneIsRefused(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	w := f.writer(1)
	for id := page.TXID(1); id <= 4; id++ {
		f.commit()
		if err := f.putPages(w, 1, id, PurposeUpload); err != nil {
			t.Fatal(err)
		}
		if err := f.putLog(w, id, id); err != nil {
			t.Fatal(err)
		}
	}
	m := w.Manifest()
	logs := &Merge{Kind: MergeLogs, Logs: m.Logs, Min: 1, Max: 4}
	full := &Merge{Kind: MergeFull, Chain: refs(m.byMin()[:1]), Min: 1, Max: 1, Level: 5}
	err := w.Commit(t.Context(), func(m *Manifest) error { m.Remove(m.Logs[0].Key, m.Objects[0].Key); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Merge{logs, full} {
		if err := w.Merge(t.Context(), g, MergeOptions{}); !errors.Is(err, errStale) {
			t.Errorf("%s: %v", g.Kind, err)
		}
	}
}
