package pageobj

import (
	"context"
	"maps"
	"slices"
)

// place is where a page is. The zero value: nowhere, it is zeros.
type place struct {
	entry
	object *object
	pack   *pack // nil: read the frame
	i      int   // in the pack
}

// finder finds the places of pages in one go. What it has loaded stays with it, so that a small cache can't make it go
// round in circles.
type finder struct {
	v       *View
	fetch   bool // the pages will be read, not only their sums
	roots   []*root
	recent  []recent // for each object
	loaded  map[partKey]any
	missing map[partKey]bool
}

// recent is the block and the pack that an object was asked for last.
type recent struct {
	block      *block
	blockIndex int
	pack       *pack
	packIndex  int
	hasPack    bool // packIndex is set; the pack may be nil: it isn't in memory
}

func (v *View) finder(ctx context.Context, fetch bool) (*finder, error) {
	f := &finder{v: v, fetch: fetch, roots: make([]*root, len(v.objects)), recent: make([]recent, len(v.objects))}
	var want []partKey
	for i := range v.objects {
		k := partKey{kindRoot, i, 0}
		if f.roots[i], _ = v.parts.get(k).(*root); f.roots[i] == nil {
			want = append(want, k)
		}
	}
	got, err := v.loadAll(ctx, want)
	if err != nil {
		return nil, err
	}
	for i, k := range want {
		f.roots[k.object] = got[i].(*root)
	}
	return f, nil
}

// locate finds where pages are. All that has to be loaded for that is loaded at once, as far as it is known: the list of
// parts of each object, then the parts.
func (v *View) locate(ctx context.Context, nos []uint32, fetch bool) ([]place, error) {
	f, err := v.finder(ctx, fetch)
	if err != nil {
		return nil, err
	}
	places := make([]place, len(nos))
	todo := make([]int, 0, len(nos))
	for i := range nos {
		if !v.nowhere(nos[i]) {
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		left := todo[:0]
		for _, i := range todo {
			p, ok := f.find(nos[i])
			if !ok {
				left = append(left, i)
				continue
			}
			places[i] = p
		}
		if todo = left; len(todo) == 0 {
			break
		}
		if err := f.load(ctx); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// load loads what find has missed.
func (f *finder) load(ctx context.Context) error {
	want := slices.Collect(maps.Keys(f.missing))
	got, err := f.v.loadAll(ctx, want)
	if err != nil {
		return err
	}
	if f.loaded == nil {
		f.loaded = map[partKey]any{}
	}
	for i, k := range want {
		f.loaded[k] = got[i]
		f.recent[k.object] = recent{}
	}
	clear(f.missing)
	return nil
}

func (f *finder) miss(k partKey) {
	if f.missing == nil {
		f.missing = map[partKey]bool{}
	}
	f.missing[k] = true
}

// find tells where a page is, if what is in memory is enough for that; else it notes what is missing.
func (f *finder) find(no uint32) (place, bool) {
	known := true
	for i := len(f.v.objects) - 1; i >= 0; i-- {
		o, r := f.v.objects[i], f.roots[i]
		if no > o.limit {
			break // and so it is with all that are older
		}
		bi := r.block(no)
		if bi < 0 {
			continue
		}
		pi := r.pack(no)
		pk := f.pack(i, pi)
		if pk != nil {
			if at, ok := pk.find(no); ok {
				if !known {
					break
				}
				return place{entry: entry{no: no, packed: true, sum: pk.sums[at]}, object: o, pack: pk, i: at}, true
			}
		}
		b := f.block(i, bi)
		if b == nil {
			f.miss(partKey{kindBlock, i, uint32(bi)})
			if pi >= 0 && pk == nil && f.fetch {
				// Whether the page is in the pack isn't known before the block is there. Asking for both at once
				// saves a round trip wherever SQLite goes down a tree; all packs together are small.
				f.miss(partKey{kindPack, i, uint32(pi)})
			}
			known = false
			continue
		}
		at, ok := b.find(no)
		if !ok {
			continue
		}
		if !known {
			break
		}
		e := b.at(at)
		if e.packed && f.fetch && pi >= 0 && pk == nil {
			f.miss(partKey{kindPack, i, uint32(pi)})
			return place{}, false
		}
		return place{entry: e, object: o}, true
	}
	return place{}, known
}

func (f *finder) block(i, n int) *block {
	c := &f.recent[i]
	if c.block != nil && c.blockIndex == n {
		return c.block
	}
	k := partKey{kindBlock, i, uint32(n)}
	b, _ := f.loaded[k].(*block)
	if b == nil {
		b, _ = f.v.parts.get(k).(*block)
	}
	if b != nil {
		c.block, c.blockIndex = b, n
	}
	return b
}

func (f *finder) pack(i, n int) *pack {
	if n < 0 {
		return nil
	}
	c := &f.recent[i]
	if c.hasPack && c.packIndex == n {
		return c.pack
	}
	k := partKey{kindPack, i, uint32(n)}
	p, _ := f.loaded[k].(*pack)
	if p == nil {
		p, _ = f.v.parts.get(k).(*pack)
	}
	c.pack, c.packIndex, c.hasPack = p, n, true
	return p
}
