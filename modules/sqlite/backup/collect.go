package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// tombstone is how long the name of a deleted object is remembered, so that nothing else gets it while a request of a
// deposed writer to delete it may still be on its way.
const tombstone = 24 * time.Hour

// deleteBatch is how many objects one request deletes.
const deleteBatch = 500

// Collect deletes garbage that is older than the grace and that no pin protects, and returns how many objects that were.
//
// It does so in this order: read the pins; condemn what they don't protect, by a new manifest, which only the holder of
// the fence can swap; read the pins again; delete what is condemned and still not protected; note it in another manifest.
// A node that pins looks at the manifest after it has put its pin: either it sees that an object it needs is condemned,
// or its pin is seen here.
func (w *Writer) Collect(ctx context.Context) (int, error) {
	n, err := w.collect(ctx)
	if err != nil {
		return n, fmt.Errorf("deleting what isn't needed any more of database %s: %w", w.s.o.Database, err)
	}
	return n, nil
}

func (w *Writer) collect(ctx context.Context) (int, error) {
	if err := w.Stopped(); err != nil {
		return 0, err
	}
	now := w.s.o.Clock().UTC()
	pins, err := w.pins(ctx)
	if err != nil {
		return 0, err
	}
	due := func(g *Garbage) bool {
		return g.Condemned.IsZero() && !now.Before(g.Since.Add(w.s.o.Grace)) && !protected(pins, g)
	}
	over := func(g *Garbage) bool { return g.Deleted && !now.Before(g.Condemned.Add(tombstone)) }
	work := false
	for i := range w.Manifest().Garbage {
		g := &w.Manifest().Garbage[i]
		work = work || due(g) || over(g) || !g.Condemned.IsZero() && !g.Deleted
	}
	if !work {
		return 0, nil
	}
	var condemned map[string]bool // just now: nobody has asked yet to delete them
	err = w.Commit(ctx, func(m *Manifest) error {
		condemned = map[string]bool{}
		for i := range m.Garbage {
			if g := &m.Garbage[i]; due(g) {
				g.Condemned = now
				condemned[g.Key] = true
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if pins, err = w.pins(ctx); err != nil {
		return 0, err
	}
	var doomed, again []string
	spared := map[string]bool{}
	for i := range w.Manifest().Garbage {
		g := &w.Manifest().Garbage[i]
		switch {
		case over(g):
			again = append(again, g.Key) // a put that was given up may have come through late
		case g.Condemned.IsZero() || g.Deleted:
		case protected(pins, g):
			spared[g.Key] = condemned[g.Key]
		default:
			doomed = append(doomed, g.Key)
		}
	}
	gone, err := w.delete(ctx, again, nil)
	forgotten := gone
	if err == nil {
		gone, err = w.delete(ctx, doomed, maps.Clone(gone))
	}
	if len(gone) == 0 && len(spared) == 0 {
		return 0, err
	}
	cerr := w.Commit(ctx, func(m *Manifest) error {
		m.Garbage = slices.DeleteFunc(m.Garbage, func(g Garbage) bool {
			return forgotten[g.Key] || gone[g.Key] && !reusable(g.Key)
		})
		for i := range m.Garbage {
			g := &m.Garbage[i]
			g.Deleted = g.Deleted || gone[g.Key]
			if spared[g.Key] {
				g.Condemned = time.Time{}
			}
		}
		return nil
	})
	return len(gone) - len(forgotten), errors.Join(err, cerr)
}

// delete deletes objects, and adds to the set of those that are gone.
func (w *Writer) delete(ctx context.Context, keys []string, gone map[string]bool) (map[string]bool, error) {
	if gone == nil {
		gone = map[string]bool{}
	}
	for batch := range slices.Chunk(keys, deleteBatch) {
		if err := w.s.objects.Delete(ctx, batch...); err != nil {
			return gone, err
		}
		for _, k := range batch {
			gone[k] = true
		}
	}
	return gone, nil
}

// pins reads the pins of all lineages that garbage is from.
func (w *Writer) pins(ctx context.Context) ([]pin, error) {
	lineages := map[uint64]bool{w.s.o.Lineage: true}
	for _, g := range w.Manifest().Garbage {
		if l, err := lineageOf(g.Key); err == nil {
			lineages[l] = true
		}
	}
	w.pinned.Lock()
	defer w.pinned.Unlock()
	var all []pin
	for l := range lineages {
		pins, err := w.s.pins(ctx, l, w.pinned.seen)
		if err != nil {
			return nil, err
		}
		all = append(all, pins...)
	}
	return all, nil
}

func protected(pins []pin, g *Garbage) bool {
	return slices.ContainsFunc(pins, func(p pin) bool { return p.protects(g) })
}

// reusable tells whether another object could get this name: Litestream's have nothing random in them.
func reusable(key string) bool {
	switch folderOf(key) {
	case "sealed", "idx", "log":
		return false
	}
	return true
}

// Sweep finds objects of this lineage that nothing names, left over from writers that came to their end between putting
// and committing, and makes garbage of them. It returns how many there are. It lists all that the lineage has.
func (w *Writer) Sweep(ctx context.Context) (int, error) {
	if err := w.Stopped(); err != nil {
		return 0, err
	}
	var keys []string
	for info, err := range w.s.objects.List(ctx, w.s.folder(), "") {
		if err != nil {
			return 0, fmt.Errorf("listing the objects of database %s: %w", w.s.o.Database, err)
		}
		if f := folderOf(info.Key); f != "" && f != "pins" {
			keys = append(keys, info.Key)
		}
	}
	n := 0
	now := w.s.o.Clock().UTC()
	err := w.Commit(ctx, func(m *Manifest) error {
		n = 0
		known := m.names()
		for _, g := range m.Garbage {
			known[g.Key] = g.Named
		}
		w.state.Lock()
		defer w.state.Unlock()
		for _, k := range keys {
			if has(known, k) || w.state.put[k] {
				continue
			}
			// No manifest ever named it, so no pin protects it.
			m.Garbage = append(m.Garbage, Garbage{Key: k, Since: now, Sequence: m.Sequence, Named: m.Sequence})
			n++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
