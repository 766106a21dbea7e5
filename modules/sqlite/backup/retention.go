package backup

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// Retention says which snapshots are kept, and how far back each single transaction can be restored. The zero value keeps
// all snapshots.
//
// Hourly: the newest snapshot of each of that many hours (UTC) that have one; Daily, Weekly and Monthly likewise. A
// snapshot is kept if any of the rules keeps it. The newest snapshot, and what the newest state of the database needs,
// are kept in any case.
type Retention struct {
	Last    int
	Hourly  int
	Daily   int
	Weekly  int // weeks begin on Monday
	Monthly int

	MaxAge time.Duration // older snapshots go, whatever the counts say; 0: none is too old
	Log    time.Duration // how far back every transaction stays a target; default 7 days, negative: not at all
}

const defaultLog = 7 * 24 * time.Hour

// Expired finds what may go: snapshots that no rule keeps, and everything else that neither a kept snapshot, nor the log
// window, nor the newest state needs. It changes nothing.
func Expired(m *Manifest, r Retention, now time.Time) (objects []Object, logs []LogRef) {
	window := r.Log
	if window == 0 {
		window = defaultLog
	}
	points := m.points()
	if len(points) == 0 {
		return nil, nil
	}
	from := points[len(points)-1].txid
	if window > 0 {
		// The window begins with the newest version that is older than it: from there on transactions are applied.
		begin := now.Add(-window).UnixMicro()
		n := sort.Search(len(points), func(i int) bool { return points[i].time > begin })
		from = points[max(n-1, 0)].txid
	}
	kept := r.keep(m.Snapshots(), now)
	need := m.needed(kept, from)
	for _, o := range m.Objects {
		isKept := slices.ContainsFunc(kept, func(k Object) bool { return k.ID == o.ID && k.Key == o.Key })
		if !isKept && !(need.objects[o.Key] && need.first(&o)) {
			objects = append(objects, o)
		}
	}
	for _, l := range m.Logs {
		if !need.logs[l.Key] {
			logs = append(logs, l)
		}
	}
	return objects, logs
}

// needs is what has to stay.
type needs struct {
	objects map[string]bool // keys
	logs    map[string]bool
	held    map[string]bool // keys of objects that a kept snapshot holds under its own name
}

// first tells once for each needed key whether its entry has to stay: several snapshots may share an object, and one
// entry is enough to hold it.
func (n *needs) first(o *Object) bool {
	if n.held[o.Key] {
		return false
	}
	n.held[o.Key] = true
	return true
}

// needed finds what it takes to restore the snapshots, the newest state, and every transaction from the given one on that
// can be restored now.
func (m *Manifest) needed(snapshots []Object, from page.TXID) *needs {
	need := &needs{objects: map[string]bool{}, logs: map[string]bool{}, held: map[string]bool{}}
	list := m.byMin()
	chain := func(to page.TXID) {
		for _, o := range chainOf(list, to) {
			need.objects[o.Key] = true
		}
	}
	chain(0)
	for _, o := range snapshots {
		chain(o.Max)
		need.held[o.Key] = true
	}
	logs := m.stretches()
	covered := page.TXID(0)
	for _, p := range m.points() {
		if p.txid < from || p.txid <= covered {
			continue // log objects lead to it from a version that stays
		}
		chain(p.txid)
		covered = goesOn(logs, p).txid
		used, _ := m.replay(p.txid, 0)
		for _, l := range used {
			need.logs[l.Key] = true
		}
	}
	// What has no connection yet may get one: transactions that are newer than all that can be restored.
	for _, l := range m.Logs {
		if l.First > covered {
			need.logs[l.Key] = true
		}
	}
	for i := range m.Objects {
		if o := &m.Objects[i]; o.Max > covered && !o.Purpose.Snapshot() {
			need.objects[o.Key] = true
		}
	}
	return need
}

// keep picks the snapshots that stay; list is the oldest first.
func (r *Retention) keep(list []Object, now time.Time) []Object {
	var kept []Object
	rules := []struct {
		n  int
		of func(time.Time) [2]int // the period that a time is in
	}{
		{r.Hourly, func(t time.Time) [2]int { return [2]int{t.Year(), t.YearDay()*24 + t.Hour()} }},
		{r.Daily, func(t time.Time) [2]int { return [2]int{t.Year(), t.YearDay()} }},
		{r.Weekly, func(t time.Time) [2]int { y, w := t.ISOWeek(); return [2]int{y, w} }},
		{r.Monthly, func(t time.Time) [2]int { return [2]int{t.Year(), int(t.Month())} }},
	}
	counted := r.Last > 0
	for _, rule := range rules {
		counted = counted || rule.n > 0
	}
	seen := make([]map[[2]int]bool, len(rules))
	for i := range seen {
		seen[i] = map[[2]int]bool{}
	}
	for i, o := range slices.Backward(list) {
		newest := i == len(list)-1
		if !newest && r.MaxAge > 0 && o.Created.Before(now.Add(-r.MaxAge)) {
			continue
		}
		keep := newest || !counted || len(list)-i <= r.Last
		for j, rule := range rules {
			period := rule.of(o.Created.UTC())
			if !seen[j][period] && len(seen[j]) < rule.n {
				seen[j][period] = true
				keep = true
			}
		}
		if keep {
			kept = append(kept, o)
		}
	}
	return kept
}

// Expire takes out of the manifest what Expired finds. Collect deletes it after the grace.
func (w *Writer) Expire(ctx context.Context, r Retention) (objects []Object, logs []LogRef, err error) {
	now := w.s.o.Clock()
	if objects, logs = Expired(w.Manifest(), r, now); len(objects)+len(logs) == 0 {
		return nil, nil, w.Stopped()
	}
	err = w.Commit(ctx, func(m *Manifest) error {
		objects, logs = Expired(m, r, now)
		for _, o := range objects {
			m.drop(o)
		}
		for _, l := range logs {
			m.Remove(l.Key)
		}
		return nil
	})
	return objects, logs, err
}

// drop takes one entry out; others may name the same object.
func (m *Manifest) drop(o Object) {
	m.Objects = slices.DeleteFunc(m.Objects, func(x Object) bool { return x.ID == o.ID && x.Key == o.Key })
}
