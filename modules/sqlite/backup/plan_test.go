package backup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// object is a page object of transactions first to last; the time of transaction n is second n.
func object(first, last page.TXID, change ...func(*Object)) Object {
	key := fmt.Sprintf("%s/ltx/0/%d-%d", lineageName(testLineage), first, last)
	o := Object{ID: fmt.Sprintf("%d-%d", first, last), Purpose: PurposeUpload, Created: second(last)}
	o.Ref = pageobj.Ref{Key: key, Size: 1000, Min: first, Max: last, Index: pageobj.IndexRef{Key: key + ".idx", Size: 100}}
	o.State = page.State{TXID: last, Size: 4096, Pages: 10, Time: second(last).UnixMicro()}
	for _, c := range change {
		c(&o)
	}
	return o
}

func second(n page.TXID) time.Time { return time.Unix(int64(n), 0).UTC() }

func pageSize(n uint32) func(*Object) { return func(o *Object) { o.State.Size = n } }
func level(n int) func(*Object)       { return func(o *Object) { o.Level = n; o.Key += fmt.Sprint("@", n) } }
func bytesOf(n int64) func(*Object)   { return func(o *Object) { o.Size = n } }
func as(p Purpose) func(*Object)      { return func(o *Object) { o.Purpose = p; o.Key += string(p) } }
func created(t time.Time) func(*Object) {
	return func(o *Object) { o.Created = t; o.State.Time = t.UnixMicro() }
}

func logOf(first, last page.TXID) LogRef {
	return LogRef{
		Key: fmt.Sprintf("%s/log/%d-%d", lineageName(testLineage), first, last), Size: 1000, Header: make([]byte, logHeaderBytes), First: first, Last: last,
		FirstTime: second(first).UnixMicro(), LastTime: second(last).UnixMicro(), Lineage: testLineage,
	}
}

func manifest(parts ...any) *Manifest {
	m := &Manifest{Database: testID, Lineage: testLineage}
	for _, p := range parts {
		switch p := p.(type) {
		case Object:
			m.Objects = append(m.Objects, p)
		case LogRef:
			m.Logs = append(m.Logs, p)
		}
	}
	return m
}

func spans(refs []pageobj.Ref) string {
	var b strings.Builder
	for _, r := range refs {
		fmt.Fprintf(&b, "%d-%d ", r.Min, r.Max)
	}
	return strings.TrimSpace(b.String())
}

func logSpans(logs []LogRef) string {
	var b strings.Builder
	for _, l := range logs {
		fmt.Fprintf(&b, "%d-%d ", l.First, l.Last)
	}
	return strings.TrimSpace(b.String())
}

func TestAChainLeadsAsFarAsItMay(t *testing.T) {
	full, inc := object(1, 10), object(11, 15)
	for _, c := range []struct {
		name string
		m    *Manifest
		to   page.TXID
		want string
	}{
		{"one full object", manifest(full), 0, "1-10"},
		{"what goes on from it", manifest(full, inc, object(16, 20)), 0, "1-10 11-15 16-20"},
		{"up to a transaction", manifest(full, inc, object(16, 20)), 17, "1-10 11-15"},
		{"the newest full one", manifest(full, inc, object(1, 15), object(16, 20)), 0, "1-15 16-20"},
		{"the newest full one that is old enough", manifest(full, inc, object(1, 18), object(16, 20)), 17, "1-10 11-15"},
		{"what leads furthest", manifest(full, inc, object(11, 18), object(16, 20), object(19, 30)), 0, "1-10 11-18 19-30"},
		{"objects that overlap", manifest(full, object(5, 14), object(12, 20)), 0, "1-10 5-14 12-20"},
		{"not beyond a gap", manifest(full, object(12, 20)), 0, "1-10"},
		{"not into another page size", manifest(full, object(11, 15, pageSize(8192)), object(11, 13)), 0, "1-10 11-13"},
		{"a new page size begins anew", manifest(full, inc, object(1, 16, pageSize(8192)), object(17, 18, pageSize(8192)), object(16, 19)), 0, "1-16 17-18"},
		{"the smaller of two that lead equally far", manifest(full, object(11, 20, bytesOf(500)), object(5, 20)), 0, "1-10 11-20"},
		{"in any order", manifest(object(16, 20), inc, full), 0, "1-10 11-15 16-20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.m.Chain(c.to)
			if err != nil || spans(got) != c.want {
				t.Errorf("got %s (%v), want %s", spans(got), err, c.want)
			}
		})
	}
	for _, m := range []*Manifest{manifest(), manifest(inc), manifest(object(1, 20))} {
		if _, err := m.Chain(15); !errors.Is(err, ErrNotRestorable) {
			t.Errorf("%v: %v", spans(refs(m.byMin())), err)
		}
	}
}

func TestAPlanReachesItsTargetOrSaysWhatIsRestorable(t *testing.T) {
	m := manifest(object(1, 10), object(11, 20), logOf(5, 12), logOf(13, 18), logOf(19, 25), object(1, 40), logOf(41, 45), object(41, 43))
	at := func(n page.TXID) Target { return Target{TXID: n} }
	when := func(s float64) Target { return Target{Time: time.UnixMicro(int64(s * 1e6))} }
	for _, c := range []struct {
		t     Target
		chain string
		logs  string
		at    page.TXID
		until bool
	}{
		{at(10), "1-10", "", 10, false},
		{at(11), "1-10", "5-12", 11, false},
		{at(19), "1-10", "5-12 13-18 19-25", 19, false},
		{at(20), "1-10 11-20", "", 20, false},
		{at(25), "1-10 11-20", "19-25", 25, false},
		{at(40), "1-40", "", 40, false},
		{at(42), "1-40", "41-45", 42, false},
		{at(44), "1-40 41-43", "41-45", 44, false},
		{Target{Latest: true}, "1-40 41-43", "41-45", 45, false},
		{when(10), "1-10", "5-12", 12, true},
		{when(10.5), "1-10", "5-12", 12, true},
		{when(12), "1-10", "5-12", 12, false},
		{when(15), "1-10", "5-12 13-18", 18, true},
		{when(20.5), "1-10 11-20", "19-25", 25, true},
		{when(25), "1-10 11-20", "19-25", 25, false},
		{when(40), "1-40", "", 40, false},
		{when(45), "1-40 41-43", "41-45", 45, false},
		{when(1e6), "1-40 41-43", "41-45", 45, false},
	} {
		p, err := m.Plan(c.t)
		if err != nil {
			t.Errorf("%v: %v", c.t, err)
			continue
		}
		if spans(p.Chain) != c.chain || logSpans(p.Logs) != c.logs || p.At != c.at || p.Until.IsZero() == c.until {
			t.Errorf("%v: chain %s, logs %s, at %d, until %v", c.t, spans(p.Chain), logSpans(p.Logs), p.At, p.Until)
		}
	}
	for _, target := range []Target{at(9), at(26), at(39), at(46), when(9.5), when(26), when(39.9)} {
		_, err := m.Plan(target)
		var no *NotRestorableError
		if !errors.As(err, &no) || !errors.Is(err, ErrNotRestorable) {
			t.Errorf("%v: %v", target, err)
			continue
		}
		if want := []Range{{10, 25, 10e6, 25e6}, {40, 45, 40e6, 45e6}}; !slices.Equal(no.Ranges, want) {
			t.Errorf("%v: %v", target, no.Ranges)
		}
		if text := err.Error(); !strings.Contains(text, "10 to 25") || !strings.Contains(text, "40 to 45") {
			t.Errorf("it doesn't say what is restorable: %s", text)
		}
	}
	m.AddLog(logOf(50, 60))
	if _, err := m.Plan(Target{Latest: true}); !errors.Is(err, ErrNotRestorable) || !strings.Contains(err.Error(), "60") {
		t.Errorf("the newest is behind a gap: %v", err)
	}
	if _, err := m.Plan(when(55)); !errors.Is(err, ErrNotRestorable) {
		t.Errorf("the time is behind a gap: %v", err)
	}
	for _, bad := range []Target{{}, {TXID: 1, Latest: true}, {Time: second(1), Latest: true}} {
		if _, err := m.Plan(bad); err == nil {
			t.Errorf("%+v is a target", bad)
		}
	}
}

// What plans say is compared with a search through everything.
func TestPlansOfRandomManifestsAreThoseOfASearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		m := &Manifest{}
		grown := page.TXID(1 + rng.IntN(25)) // transaction that changes the page size
		for range rng.IntN(8) {
			first := page.TXID(1 + rng.IntN(12))
			if rng.IntN(3) == 0 {
				first = 1
			}
			last := first + page.TXID(rng.IntN(6))
			size := uint32(512)
			if last >= grown {
				size = 1024
			}
			if first <= grown && size == 1024 {
				first = 1
			}
			m.Objects = append(m.Objects, object(first, last, pageSize(size)))
		}
		for range rng.IntN(5) {
			first := page.TXID(1 + rng.IntN(15))
			m.Logs = append(m.Logs, logOf(first, first+page.TXID(rng.IntN(4))))
		}
		// points: transactions that page objects reach; targets: those that logs reach from there.
		points, targets := map[page.TXID]map[uint32]bool{}, map[page.TXID]bool{}
		reach := func(id page.TXID, size uint32) bool {
			if points[id] == nil {
				points[id] = map[uint32]bool{}
			}
			was := points[id][size]
			points[id][size] = true
			return !was
		}
		for again := true; again; {
			again = false
			for _, o := range m.Objects {
				ok := o.Min == 1
				for id := o.Min - 1; id < o.Max; id++ {
					ok = ok || points[id][o.State.Size]
				}
				again = ok && reach(o.Max, o.State.Size) || again
			}
		}
		for id := range points {
			targets[id] = true
		}
		for again := true; again; {
			again = false
			for _, l := range m.Logs {
				for id := l.First; id <= l.Last; id++ {
					if targets[id-1] && !targets[id] {
						targets[id], again = true, true
					}
				}
			}
		}
		for id := page.TXID(1); id < 25; id++ {
			p, err := m.Plan(Target{TXID: id})
			if (err == nil) != targets[id] {
				t.Fatalf("%s; %s: transaction %d: %v", spans(refs(m.byMin())), logSpans(m.Logs), id, err)
			}
			if err != nil {
				continue
			}
			at := page.TXID(0)
			for i, r := range p.Chain {
				if i == 0 && r.Min != 1 || r.Min > at+1 || r.Max <= at || r.State.Size != p.Chain[0].State.Size {
					t.Fatalf("the chain %s isn't one", spans(p.Chain))
				}
				at = r.Max
			}
			for _, l := range p.Logs {
				if l.First > at+1 || l.Last <= at {
					t.Fatalf("the logs %s don't go on from %d", logSpans(p.Logs), p.Base())
				}
				at = l.Last
			}
			if at < id {
				t.Fatalf("the plan ends with %d instead of %d", at, id)
			}
		}
		n := page.TXID(0)
		for _, r := range m.Restorable() {
			n += r.Last - r.First + 1
		}
		if int(n) != len(targets) {
			t.Fatalf("%s; %s: restorable %v instead of %v", spans(refs(m.byMin())), logSpans(m.Logs), m.Restorable(), targets)
		}
	}
}
