package backup

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// Target is a version of a database to restore: one of the three.
type Target struct {
	TXID   page.TXID
	Time   time.Time // the newest transaction that was committed then or before
	Latest bool
}

func (t Target) String() string {
	switch {
	case t.TXID != 0:
		return fmt.Sprintf("transaction %d", t.TXID)
	case !t.Time.IsZero():
		return "time " + t.Time.UTC().Format(time.RFC3339Nano)
	}
	return "the newest transaction"
}

func (t Target) check() error {
	n := 0
	for _, set := range []bool{t.TXID != 0, !t.Time.IsZero(), t.Latest} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("a target is a transaction, a time, or latest: give one of them")
	}
	return nil
}

// Plan is what a restore reads: the pages of Chain, and then the records of Logs.
type Plan struct {
	Chain []pageobj.Ref
	Logs  []LogRef
	At    page.TXID // what comes out; if Until is set: at most that
	Until time.Time // not zero: the records that were committed then or before
}

// Base is the transaction at which the chain ends and the records begin.
func (p *Plan) Base() page.TXID {
	if len(p.Chain) == 0 {
		return 0
	}
	return p.Chain[len(p.Chain)-1].Max
}

// Chain returns the page objects that together hold the database at the highest transaction that page objects reach up
// to and with to, the oldest first: the newest full object, then each time the one that leads furthest. to = 0 means the
// newest. A change of the page size begins a new chain, with a full object. It fails with ErrNotRestorable if there is
// no full object that is old enough.
func (m *Manifest) Chain(to page.TXID) ([]pageobj.Ref, error) {
	chain := chainOf(m.byMin(), to)
	if chain == nil {
		return nil, &NotRestorableError{Target: Target{TXID: to, Latest: to == 0}, Ranges: m.Restorable(), Reason: "there is no full page object that is old enough"}
	}
	refs := make([]pageobj.Ref, len(chain))
	for i, o := range chain {
		refs[i] = o.Ref
	}
	return refs, nil
}

// byMin lists the page objects by their first transactions.
func (m *Manifest) byMin() []*Object {
	list := make([]*Object, len(m.Objects))
	for i := range m.Objects {
		list[i] = &m.Objects[i]
	}
	slices.SortStableFunc(list, func(a, b *Object) int { return cmp.Compare(a.Min, b.Min) })
	return list
}

// chainOf is Chain on a list that byMin has made; nil: there is none.
func chainOf(list []*Object, to page.TXID) []*Object {
	if to == 0 {
		to = page.TXID(1<<64 - 1)
	}
	var base *Object
	for _, o := range list {
		if o.Min > 1 {
			break
		}
		if o.Max <= to && (base == nil || o.Max > base.Max || o.Max == base.Max && o.Size < base.Size) {
			base = o
		}
	}
	if base == nil {
		return nil
	}
	chain := []*Object{base}
	var best *Object
	for i := 0; ; {
		at := chain[len(chain)-1].Max
		for ; i < len(list) && list[i].Min <= at+1; i++ {
			o := list[i]
			if o.Min == 1 || o.Max > to || o.State.Size != base.State.Size {
				continue
			}
			if best == nil || o.Max > best.Max || o.Max == best.Max && o.Size < best.Size {
				best = o
			}
		}
		if best == nil || best.Max <= at {
			return chain
		}
		chain = append(chain, best)
	}
}

// point is a transaction that page objects alone reach.
type point struct {
	txid page.TXID
	time int64
}

// points lists them, ascending.
func (m *Manifest) points() []point {
	list := make([]*Object, len(m.Objects))
	for i := range m.Objects {
		list[i] = &m.Objects[i]
	}
	slices.SortStableFunc(list, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(a.Max, b.Max), cmp.Compare(a.Min, b.Min))
	})
	reached := map[uint32][]page.TXID{} // by page size, ascending
	var points []point
	for _, o := range list {
		r := reached[o.State.Size]
		if o.Min > 1 {
			// The highest that is reached below o.Max must be one that o goes on from.
			n := sort.Search(len(r), func(i int) bool { return r[i] >= o.Max })
			if n == 0 || r[n-1] < o.Min-1 {
				continue
			}
		}
		if len(r) == 0 || r[len(r)-1] != o.Max {
			reached[o.State.Size] = append(r, o.Max)
		}
		if n := len(points); n == 0 || points[n-1].txid != o.Max {
			points = append(points, point{o.Max, o.State.Time})
		}
	}
	return points
}

// stretch is transactions without a gap that log objects hold.
type stretch struct {
	first, last page.TXID
	lastTime    int64
}

// stretches lists them, ascending.
func (m *Manifest) stretches() []stretch {
	logs := m.logsByFirst()
	var list []stretch
	for _, l := range logs {
		if n := len(list); n > 0 && l.First <= list[n-1].last+1 {
			if l.Last > list[n-1].last {
				list[n-1].last, list[n-1].lastTime = l.Last, l.LastTime
			}
			continue
		}
		list = append(list, stretch{l.First, l.Last, l.LastTime})
	}
	return list
}

func (m *Manifest) logsByFirst() []LogRef {
	logs := slices.Clone(m.Logs)
	slices.SortStableFunc(logs, func(a, b LogRef) int { return cmp.Compare(a.First, b.First) })
	return logs
}

// goesOn is how far the log leads from a transaction on.
func goesOn(list []stretch, from point) point {
	n := sort.Search(len(list), func(i int) bool { return list[i].last > from.txid })
	if n == len(list) || list[n].first > from.txid+1 {
		return from
	}
	return point{list[n].last, list[n].lastTime}
}

// Restorable lists what can be restored, the oldest first.
func (m *Manifest) Restorable() []Range {
	logs := m.stretches()
	var list []Range
	for _, p := range m.points() {
		end := goesOn(logs, p)
		if n := len(list); n > 0 && p.txid <= list[n-1].Last+1 {
			if end.txid > list[n-1].Last {
				list[n-1].Last, list[n-1].LastTime = end.txid, end.time
			}
			continue
		}
		list = append(list, Range{p.txid, end.txid, p.time, end.time})
	}
	return list
}

// Plan finds what a restore of t reads. It fails with ErrNotRestorable.
func (m *Manifest) Plan(t Target) (Plan, error) {
	if err := t.check(); err != nil {
		return Plan{}, err
	}
	refuse := func(format string, a ...any) (Plan, error) {
		return Plan{}, &NotRestorableError{t, m.Restorable(), fmt.Sprintf(format, a...)}
	}
	points := m.points()
	if len(points) == 0 {
		return refuse("there is no full page object")
	}
	if !t.Time.IsZero() {
		return m.planTime(t, points, refuse)
	}
	var p Plan
	to := t.TXID
	n := sort.Search(len(points), func(i int) bool { return to != 0 && points[i].txid > to })
	if n == 0 {
		return refuse("it is older than the oldest page object that is left")
	}
	p.At = points[n-1].txid
	p.Logs, p.At = m.replay(p.At, to)
	if to != 0 && p.At < to {
		return refuse("the transactions after %d are missing", p.At)
	}
	if newest := m.newest(); t.Latest && p.At < newest {
		return refuse("the bucket has transaction %d, but those after %d are missing; ask for what there is by its number", newest, p.At)
	}
	return p, m.planChain(&p, points[n-1].txid)
}

// newest is the highest transaction that anything in the bucket has.
func (m *Manifest) newest() page.TXID {
	t := m.newestObject()
	for i := range m.Logs {
		t = max(t, m.Logs[i].Last)
	}
	return t
}

func (m *Manifest) planChain(p *Plan, to page.TXID) (err error) {
	p.Chain, err = m.Chain(to)
	if err == nil && p.Base() != to {
		err = damaged("page objects reach transaction %d, and then not", to) // points and chainOf disagree
	}
	return err
}

// replay lists the log objects that lead from a transaction to another, or as far as they go; to = 0: as far as they go.
func (m *Manifest) replay(from, to page.TXID) ([]LogRef, page.TXID) {
	logs := m.logsByFirst()
	var list []LogRef
	for i, at := 0, from; ; {
		var best *LogRef
		for ; i < len(logs) && logs[i].First <= at+1; i++ {
			if best == nil || logs[i].Last > best.Last {
				best = &logs[i]
			}
		}
		if best == nil || best.Last <= at || to != 0 && at >= to {
			return list, at
		}
		list = append(list, *best)
		at = best.Last
		if to != 0 && at >= to {
			return list, to
		}
	}
}

func (m *Manifest) planTime(t Target, points []point, refuse func(string, ...any) (Plan, error)) (Plan, error) {
	until := t.Time.UnixMicro()
	ranges := m.Restorable()
	n := sort.Search(len(ranges), func(i int) bool { return ranges[i].FirstTime > until })
	if n == 0 {
		return refuse("that is before the oldest page object that is left")
	}
	// Between two ranges there are transactions that are gone; one of them may be what was asked for.
	if r := ranges[n-1]; until > r.LastTime && (n < len(ranges) || r.Last < m.newest()) {
		return refuse("the transactions after %d, of %s, are missing; ask for that one if it will do", r.Last, stamp(r.LastTime))
	}
	at := points[sort.Search(len(points), func(i int) bool { return points[i].time > until })-1].txid
	p := Plan{At: at}
	logs, _ := m.replay(at, 0)
	for _, l := range logs {
		if l.First > p.At && l.FirstTime > until {
			break
		}
		p.Logs = append(p.Logs, l)
		p.At = l.Last
		if l.LastTime > until {
			p.Until = time.UnixMicro(until).UTC()
			break
		}
	}
	return p, m.planChain(&p, at)
}
