package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/bits"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// Policy says when small objects become large ones. The zero value is good.
type Policy struct {
	Chain      int     // page objects beyond the full one; default 8
	Full       float64 // a new full object is due when those have more than this part of its bytes; default 0.5
	FullBytes  int64   // and have at least so many; default 1 MiB
	LogBytes   int64   // of a merged log object at most; default 64 MiB
	LogObjects int     // of about the same size, that become one; default 8
}

func (p Policy) withDefaults() Policy {
	if p.Chain <= 0 {
		p.Chain = 8
	}
	if p.Full <= 0 {
		p.Full = 0.5
	}
	if p.FullBytes <= 0 {
		p.FullBytes = 1 << 20
	}
	if p.LogBytes <= 0 {
		p.LogBytes = 64 << 20
	}
	if p.LogObjects < 2 {
		p.LogObjects = 8
	}
	return p
}

// MergeKind says what a Merge is.
type MergeKind uint8

const (
	// MergeFull: a full object is made of the chain. A server that has the pages may put them itself.
	MergeFull MergeKind = iota + 1
	// MergePages: some objects of the chain become one.
	MergePages
	// MergeLogs: some log objects become one.
	MergeLogs
)

var mergeNames = [...]string{MergeFull: "full", MergePages: "pages", MergeLogs: "logs"}

// String returns full, pages or logs.
func (k MergeKind) String() string {
	if int(k) < len(mergeNames) {
		return mergeNames[k]
	}
	return "unknown"
}

// Merge is work that makes restores and reads cheaper, without changing what can be restored.
type Merge struct {
	Kind     MergeKind
	Chain    []pageobj.Ref // MergeFull, MergePages: what the pages are read from
	Min, Max page.TXID     // of the new object
	Level    int           // of the new page object
	Bytes    int64         // about how many are to be read
	Logs     []LogRef      // MergeLogs: what is merged
	position uint64
}

// NextMerge finds what is to be merged next; nil: nothing.
func NextMerge(m *Manifest, p Policy) *Merge {
	p = p.withDefaults()
	if g := m.nextPages(p); g != nil {
		return g
	}
	return m.nextLogs(p)
}

func (m *Manifest) nextPages(p Policy) *Merge {
	chain := chainOf(m.byMin(), 0)
	if len(chain) < 2 {
		return nil
	}
	var beyond int64
	for _, o := range chain[1:] {
		beyond += o.Size
	}
	last := chain[len(chain)-1]
	if beyond >= p.FullBytes && float64(beyond) > p.Full*float64(chain[0].Size) {
		return &Merge{Kind: MergeFull, Chain: refs(chain), Min: 1, Max: last.Max, Level: LevelFull, Bytes: chain[0].Size + beyond, position: last.Position}
	}
	if len(chain)-1 <= p.Chain {
		return nil
	}
	from, to, level := pickRun(chain[1:])
	from, to = from+1, to+1
	// Where objects overlap, what the one before has is left to it.
	first := max(chain[from].Min, chain[from-1].Max+1)
	g := &Merge{Kind: MergePages, Chain: refs(chain[:to]), Min: first, Max: chain[to-1].Max, Level: min(level+1, LevelMost), position: chain[to-1].Position}
	for _, o := range chain[from:to] {
		g.Bytes += o.Size
	}
	return g
}

// pickRun finds which of the objects beyond the full one become one: the longest run of the lowest level that has two
// beside each other, so that each page is rewritten once for each level; else all of them.
func pickRun(list []*Object) (from, to, level int) {
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].Level == list[i].Level {
			j++
		}
		if n := j - i; n > 1 && (to == 0 || list[i].Level < level || list[i].Level == level && n > to-from) {
			from, to, level = i, j, list[i].Level
		}
		i = j
	}
	if to > 0 {
		return from, to, level
	}
	for _, o := range list {
		level = max(level, o.Level)
	}
	return 0, len(list), level
}

func refs(chain []*Object) []pageobj.Ref {
	list := make([]pageobj.Ref, len(chain))
	for i, o := range chain {
		list[i] = o.Ref
	}
	return list
}

// nextLogs finds log objects that follow each other and are of about the same size, so that each record is rewritten once
// for each size.
func (m *Manifest) nextLogs(p Policy) *Merge {
	class := func(l *LogRef) int { return bits.Len64(uint64(l.Size)>>16) / 3 }
	logs := m.logsByFirst()
	for i := 0; i < len(logs); {
		size, j := logs[i].Size, i+1
		for j < len(logs) && class(&logs[j]) == class(&logs[i]) && logs[j].First == logs[j-1].Last+1 &&
			logs[j].Lineage == logs[i].Lineage && logs[j].Epoch >= logs[j-1].Epoch && size+logs[j].Size <= p.LogBytes {
			size += logs[j].Size
			j++
		}
		if j-i >= p.LogObjects || j-i > 1 && size > p.LogBytes/2 {
			return &Merge{Kind: MergeLogs, Logs: logs[i:j:j], Min: logs[i].First, Max: logs[j-1].Last, Bytes: size}
		}
		i = j
	}
	return nil
}

// MergeOptions are about how a merge is carried out.
type MergeOptions struct {
	Progress func(done, total int64)                // in pages; may be nil
	Limit    func(ctx context.Context, n int) error // waits until n bytes more may be sent; may be nil
}

// errStale: what was to be merged isn't in the manifest any more.
var errStale = errors.New("the manifest was changed meanwhile: look anew for what is to be merged")

// Merge carries out what NextMerge found. What the new object replaces, and nothing else needs, becomes garbage.
func (w *Writer) Merge(ctx context.Context, g *Merge, o MergeOptions) error {
	var err error
	if g.Kind == MergeLogs {
		err = w.mergeLogs(ctx, g)
	} else {
		err = w.mergePages(ctx, g, o)
	}
	if err != nil {
		return fmt.Errorf("merging %s of transactions %d to %d: %w", g.Kind, g.Min, g.Max, err)
	}
	return nil
}

func (w *Writer) mergePages(ctx context.Context, g *Merge, o MergeOptions) error {
	keys, err := w.s.keys(ctx, w.Manifest())
	if err != nil {
		return err
	}
	v, err := pageobj.Open(ctx, pageobj.ViewOptions{Bucket: w.s.objects, Keys: keys, Refs: g.Chain})
	if err != nil {
		return err
	}
	defer v.Close()
	in := PageUpload{Level: g.Level, Min: g.Min, State: v.State(), Position: g.position, Purpose: PurposeMerged, Progress: o.Progress, Limit: o.Limit}
	var nos iter.Seq[uint32]
	var count int64
	if g.Kind == MergePages {
		set, err := mergedPages(ctx, v, g.Min)
		if err != nil {
			return err
		}
		nos, count = ahead(ctx, v, set.all), set.count()
	}
	made, err := w.PutPages(ctx, viewSource{ctx, v}, nos, count, in)
	if err != nil {
		return err
	}
	return w.Commit(ctx, func(m *Manifest) error {
		names := m.names()
		for _, r := range g.Chain {
			if !has(names, r.Key) {
				return errStale
			}
		}
		m.Add(made)
		m.dropMerged()
		return nil
	})
}

// dropMerged takes out the page objects that aren't snapshots and that nothing needs any more.
func (m *Manifest) dropMerged() {
	// Older transactions than the log has are targets only where a snapshot is.
	from := m.newestObject()
	for _, l := range m.Logs {
		from = min(from, l.First-1)
	}
	need := m.needed(m.Snapshots(), from)
	kept := m.Objects[:0:0]
	for _, o := range m.Objects {
		if o.Purpose.Snapshot() || need.objects[o.Key] {
			kept = append(kept, o)
		}
	}
	m.Objects = kept
}

// mergedPages finds the pages of the object that is to take the place of the newer ones of a chain: those that they
// hold, and those that came by growth while they did, because what an older object has there doesn't count.
func mergedPages(ctx context.Context, v *pageobj.View, first page.TXID) (pageSet, error) {
	set := make(pageSet, uint64(v.State().Pages)/64+1)
	err := v.Changed(ctx, first-1, func(no uint32) error {
		set.add(no)
		return nil
	})
	return set, err
}

// pageSet is a set of page numbers, a bit for each.
type pageSet []uint64

func (s pageSet) add(no uint32) {
	if i := no / 64; int(i) < len(s) {
		s[i] |= 1 << (no % 64)
	}
}

func (s pageSet) count() int64 {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}

// all goes through the set, ascending.
func (s pageSet) all(yield func(uint32) bool) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			if !yield(uint32(i*64 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

// aheadBytes is how many bytes of pages a view is told of some time before they are asked for.
const aheadBytes = 2 << 20

// ahead goes through page numbers, and tells a view of them some time before.
func ahead(ctx context.Context, v *pageobj.View, nos iter.Seq[uint32]) iter.Seq[uint32] {
	batch := max(16, aheadBytes/int(v.State().Size))
	return func(yield func(uint32) bool) {
		next, stop := iter.Pull(nos)
		defer stop()
		fill := func() []uint32 {
			list := make([]uint32, 0, batch)
			for len(list) < batch {
				no, ok := next()
				if !ok {
					break
				}
				list = append(list, no)
			}
			if len(list) > 0 {
				v.Prefetch(ctx, list)
			}
			return list
		}
		for now, later := fill(), fill(); len(now) > 0; now, later = later, fill() {
			for _, no := range now {
				if !yield(no) {
					return
				}
			}
		}
	}
}

// viewSource is a view as a pageobj.Source.
type viewSource struct {
	ctx context.Context
	v   *pageobj.View
}

func (s viewSource) Page(no uint32, _ []byte) ([]byte, uint64, error) { return s.v.Page(s.ctx, no) }

func (w *Writer) mergeLogs(ctx context.Context, g *Merge) error {
	if len(g.Logs) == 0 {
		return nil
	}
	made, err := w.PutLog(ctx, func(yield func(LogRecord, error) bool) {
		for _, l := range g.Logs {
			for r, err := range ReadLog(ctx, w.s.objects, l) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	})
	if err != nil {
		return err
	}
	// Log objects don't say when; the references to them do.
	made.FirstTime, made.LastTime = g.Logs[0].FirstTime, g.Logs[len(g.Logs)-1].LastTime
	return w.Commit(ctx, func(m *Manifest) error {
		names := m.names()
		for _, l := range g.Logs {
			if !has(names, l.Key) {
				return errStale
			}
			m.Remove(l.Key)
		}
		m.AddLog(made)
		return nil
	})
}
