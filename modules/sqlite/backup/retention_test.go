package backup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// snapshotsAt makes a manifest with a full snapshot at each time before now.
func snapshotsAt(ages ...time.Duration) *Manifest {
	m := manifest()
	for i, age := range ages {
		m.Add(object(1, page.TXID(i+1), as(PurposeFull), created(noon.Add(-age))))
	}
	return m
}

func TestRetentionKeepsWhatItsRulesSay(t *testing.T) {
	const day = 24 * time.Hour
	hours := func(n int) (ages []time.Duration) {
		for i := range n {
			ages = append(ages, time.Duration(n-1-i)*time.Hour)
		}
		return ages
	}
	for _, c := range []struct {
		name string
		r    Retention
		ages []time.Duration
		kept string // their numbers
	}{
		{"everything", Retention{}, hours(5), "1 2 3 4 5"},
		{"the last", Retention{Last: 2}, hours(5), "4 5"},
		{"one at least", Retention{Last: 1, MaxAge: time.Minute}, []time.Duration{5 * day, 4 * day}, "2"},
		{"hourly", Retention{Hourly: 2}, []time.Duration{130 * time.Minute, 125 * time.Minute, 70 * time.Minute, 65 * time.Minute, 0}, "4 5"},
		{"hours without a snapshot don't count", Retention{Hourly: 2}, []time.Duration{9 * day, 8 * day}, "1 2"},
		{"daily", Retention{Daily: 3}, []time.Duration{4 * day, 3*day + time.Hour, 3 * day, 2 * day, day, 0}, "4 5 6"},
		// noon is a Tuesday: Monday belongs to its week, Sunday to the one before.
		{"weekly", Retention{Weekly: 2}, []time.Duration{9 * day, 3 * day, 2 * day, day, 0}, "3 5"},
		{"monthly", Retention{Monthly: 2}, []time.Duration{40 * day, 32 * day, 31 * day, 5 * day, 0}, "3 5"},
		{"some of each", Retention{Last: 1, Daily: 2, Monthly: 2}, []time.Duration{40 * day, 35 * day, 2 * day, day, 0}, "2 4 5"},
		{"the same hour of another day", Retention{Hourly: 3}, []time.Duration{2 * day, day, 0}, "1 2 3"},
		{"by age", Retention{MaxAge: 3 * day}, []time.Duration{5 * day, 3*day + 1, 3 * day, day}, "3 4"},
		{"no count keeps what is too old", Retention{Last: 9, MaxAge: 3 * day}, []time.Duration{5 * day, day}, "2"},
	} {
		c.r.Log = -1 // else the window's base stays too
		m := snapshotsAt(c.ages...)
		gone, _ := Expired(m, c.r, noon)
		for _, o := range gone {
			m.drop(o)
		}
		var kept []string
		for _, o := range m.Objects {
			kept = append(kept, fmt.Sprint(o.Max))
		}
		if got := strings.Join(kept, " "); got != c.kept {
			t.Errorf("%s: kept %s instead of %s", c.name, got, c.kept)
		}
	}
}

func TestRetentionKeepsWhatKeptSnapshotsAndTheLogWindowStandOn(t *testing.T) {
	at := func(d time.Duration) func(*Object) { return created(noon.Add(-d)) }
	const day = 24 * time.Hour
	logAt := func(first, last page.TXID, from, to time.Duration) LogRef {
		l := logOf(first, last)
		l.FirstTime, l.LastTime = noon.Add(-from).UnixMicro(), noon.Add(-to).UnixMicro()
		return l
	}
	m := manifest(
		object(1, 10, as(PurposeFull), at(30*day)),
		object(11, 20, as(PurposeIncremental), at(29*day)),
		object(11, 25, as(PurposeUpload), at(28*day)),
		object(21, 30, as(PurposeIncremental), at(27*day)),
		object(1, 40, as(PurposeFull), at(9*day)),
		object(41, 50, as(PurposeUpload), at(8*day)),
		object(51, 60, as(PurposeUpload), at(6*day)),
		object(61, 70, as(PurposeDifferential), at(day)),
		logAt(31, 45, 20*day, 9*day), logAt(46, 55, 9*day, 7*day-time.Hour), logAt(56, 69, 7*day-time.Hour, day), logAt(70, 75, day, 0),
	)
	gone, logs := Expired(m, Retention{Last: 3}, noon)
	// Kept: 30, which stands on 1-10 and 11-25; 40; 70, which stands on 41-50 and 51-60. The window begins with 50, eight days ago.
	if got := objectSpans(gone); got != "11-20" {
		t.Errorf("gone: %s", got)
	}
	if got := logSpans(logs); got != "31-45" {
		t.Errorf("logs gone: %s", got)
	}
	gone, logs = Expired(m, Retention{Last: 1, Log: 2 * day}, noon)
	if got := objectSpans(gone); got != "1-10 11-20 11-25 21-30" {
		t.Errorf("gone: %s", got)
	}
	if got := logSpans(logs); got != "31-45 46-55" {
		t.Errorf("logs gone: %s", got)
	}
}

func objectSpans(list []Object) string {
	refs := make([]string, len(list))
	for i, o := range list {
		refs[i] = fmt.Sprintf("%d-%d", o.Min, o.Max)
	}
	return strings.Join(refs, " ")
}

// history makes random backups, merges and expiries of a database in a manifest alone.
type history struct {
	rng  *rand.Rand
	m    *Manifest
	now  time.Time
	txid page.TXID
	at   []time.Time // of transactions
	log  page.TXID
}

func (h *history) add(first page.TXID, p Purpose, level int) {
	o := object(first, h.txid, as(p))
	o.ID = randomName()
	o.Key += o.ID
	o.Index.Key += o.ID
	o.Level, o.Size = level, 100+int64(h.rng.IntN(1000))
	o.Created, o.State.Time = h.now, h.at[h.txid].UnixMicro()
	h.m.Add(o)
}

func (h *history) step() {
	for range 1 + h.rng.IntN(4) {
		h.now = h.now.Add(time.Duration(h.rng.IntN(6*3600)+1) * time.Second)
		h.txid++
		h.at = append(h.at, h.now)
	}
	var snapshot, full page.TXID
	for _, o := range h.m.Snapshots() {
		snapshot = max(snapshot, o.Max)
		if o.Purpose == PurposeFull {
			full = max(full, o.Max)
		}
	}
	switch h.rng.IntN(6) {
	case 0:
		h.add(1, PurposeFull, LevelFull)
	case 1:
		if snapshot > 0 && snapshot < h.txid {
			h.add(snapshot+1, PurposeIncremental, 1)
		}
	case 2:
		if full > 0 && full < h.txid {
			h.add(full+1, PurposeDifferential, 1)
		}
	default:
		if first := h.m.newestObject() + 1; first <= h.txid {
			if first == 1 {
				h.add(1, PurposeUpload, LevelFull)
			} else {
				h.add(first, PurposeUpload, LevelUpload)
			}
		}
	}
	if h.rng.IntN(2) == 0 && h.log < h.txid {
		l := logOf(h.log+1, h.txid)
		l.Key += randomName()
		l.Size = 200 + int64(h.rng.IntN(1000))
		l.FirstTime, l.LastTime = h.at[h.log+1].UnixMicro(), h.at[h.txid].UnixMicro()
		h.m.AddLog(l)
		h.log = h.txid
	}
}

// merge does to the manifest what Writer.Merge does.
func (h *history) merge() {
	g := NextMerge(h.m, Policy{Chain: 3, FullBytes: 1, LogObjects: 3})
	if g == nil {
		return
	}
	if g.Kind == MergeLogs {
		l := g.Logs[0]
		l.Key += "m"
		for _, x := range g.Logs {
			h.m.Remove(x.Key)
			l.Last, l.LastTime = x.Last, x.LastTime
		}
		h.m.AddLog(l)
		return
	}
	txid := h.txid
	h.txid = g.Max
	h.add(g.Min, PurposeMerged, g.Level)
	h.txid = txid
	h.m.dropMerged()
}

// Whatever is backed up, merged and expired: a snapshot that a rule keeps, each transaction within the log window, and the
// newest state can be restored as before.
func TestNothingThatIsKeptIsLost(t *testing.T) {
	for seed := range uint64(60) {
		h := &history{rng: rand.New(rand.NewPCG(seed, 1)), m: manifest(), now: noon, at: make([]time.Time, 1)}
		r := Retention{Last: h.rng.IntN(4), Hourly: h.rng.IntN(4), Daily: h.rng.IntN(4), Weekly: h.rng.IntN(3), Log: time.Duration(h.rng.IntN(72)) * time.Hour}
		if h.rng.IntN(2) == 0 {
			r.MaxAge = time.Duration(1+h.rng.IntN(200)) * time.Hour
		}
		window := r.Log
		if window == 0 {
			window = defaultLog
		}
		can := func(id page.TXID) bool {
			return slices.ContainsFunc(h.m.Restorable(), func(r Range) bool { return r.First <= id && id <= r.Last })
		}
		for step := range 120 {
			h.step()
			h.merge()
			before := h.m.Clone()
			var targets []page.TXID
			for _, r := range h.m.Restorable() {
				for id := r.First; id <= r.Last; id++ {
					targets = append(targets, id)
				}
			}
			gone, logs := Expired(h.m, r, h.now)
			for _, o := range gone {
				h.m.drop(o)
			}
			for _, l := range logs {
				h.m.Remove(l.Key)
			}
			fail := func(format string, a ...any) {
				t.Fatalf("seed %d, step %d, %+v: %s\nbefore: %s | %s\nafter:  %s | %s", seed, step, r, fmt.Sprintf(format, a...),
					objectSpans(before.Objects), logSpans(before.Logs), objectSpans(h.m.Objects), logSpans(h.m.Logs))
			}
			left := map[page.TXID]bool{}
			for _, r := range h.m.Restorable() {
				for id := r.First; id <= r.Last; id++ {
					left[id] = true
				}
			}
			for _, id := range targets {
				if h.at[id].After(h.now.Add(-window)) && !left[id] {
					fail("transaction %d is lost", id)
				}
			}
			if len(targets) > 0 && !can(targets[len(targets)-1]) {
				fail("the newest state is lost")
			}
			for _, o := range r.keep(before.Snapshots(), h.now) {
				if !slices.ContainsFunc(h.m.Objects, func(x Object) bool { return x.ID == o.ID }) || !can(o.Max) {
					fail("snapshot %d is lost", o.Max)
				}
			}
			if gone, logs := Expired(h.m, r, h.now); len(gone)+len(logs) > 0 {
				fail("expiring again finds %s %s", objectSpans(gone), logSpans(logs))
			}
			chain, _ := h.m.Chain(0)
			if len(chain) > 16 {
				fail("the chain has %d objects", len(chain))
			}
		}
		if r.Last > 0 && len(h.m.Objects) > 90 {
			t.Errorf("seed %d, %+v: %d objects are left", seed, r, len(h.m.Objects))
		}
	}
}

func TestExpireDropsAndCollectDeletes(t *testing.T) {
	f := newFixture(t, 6, true, objstore.NewMemory())
	w := f.writer(1)
	for id := page.TXID(1); id <= 30; id++ {
		f.commit()
		if id%5 == 0 {
			if err := f.putPages(w, 1, id, PurposeFull); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone, _, err := w.Expire(t.Context(), Retention{Last: 2, Log: -1})
	if err != nil || len(gone) != 4 {
		t.Fatalf("%d gone (%v)", len(gone), err)
	}
	f.restored(f.space, Target{TXID: 25}, 25)
	f.clock.Add(2 * time.Hour)
	if n := f.collect(w); n != 8 {
		t.Errorf("%d deleted", n)
	}
	f.verified(f.space)
	for _, id := range []page.TXID{25, 30} {
		f.restored(f.space, Target{TXID: id}, id)
	}
	if gone, logs, err := w.Expire(t.Context(), Retention{Last: 2, Log: -1}); len(gone)+len(logs) > 0 || err != nil {
		t.Errorf("again: %v %v %v", gone, logs, err)
	}
}
