package pageobj

import (
	"context"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// cursor goes through the entries of one object in order. The next entry block is asked for while one is gone through.
type cursor struct {
	v      *View
	object *object
	root   *root
	block  *block
	next   int // block
	i      int // entry in the block
}

// cursors are at the first entries of the objects that pass.
func (v *View) cursors(ctx context.Context, pass func(*object) bool) ([]*cursor, error) {
	f, err := v.finder(ctx, false)
	if err != nil {
		return nil, err
	}
	var cs []*cursor
	var want []partKey
	for i, o := range v.objects {
		if !pass(o) {
			continue
		}
		cs = append(cs, &cursor{v: v, object: o, root: f.roots[i]})
		if len(f.roots[i].blocks) > 0 {
			want = append(want, partKey{kindBlock, i, 0})
		}
	}
	_, err = v.loadAll(ctx, want) // all at once; each cursor then finds its own
	return cs, err
}

// entry returns the entry that the cursor is at, and false at the end or where the rest has been cut off.
func (c *cursor) entry(ctx context.Context) (entry, bool, error) {
	if c.block == nil || c.i == c.block.len() {
		if c.next == len(c.root.blocks) {
			return entry{}, false, nil
		}
		b, err := c.v.part(ctx, partKey{kindBlock, c.object.place, uint32(c.next)})
		if err != nil {
			return entry{}, false, err
		}
		c.block, c.i = b.(*block), 0
		if c.next++; c.next < len(c.root.blocks) {
			c.v.expect(ctx, partKey{kindBlock, c.object.place, uint32(c.next)})
		}
	}
	e := c.block.at(c.i)
	return e, e.no <= c.object.limit, nil
}

func (c *cursor) advance() { c.i++ }

// expect asks for a part of an index that will be needed, and doesn't wait.
func (v *View) expect(ctx context.Context, k partKey) {
	if v.parts.has(k) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.wg.Go(func() { _, _ = v.part(ctx, k) }) // an error comes again when the part is needed
	}
}

// Changed calls fn, in ascending order, with the numbers of the pages that may differ from the version of transaction
// since: those in objects that go beyond it, and those that lay behind the end of the database in between.
func (v *View) Changed(ctx context.Context, since page.TXID, fn func(no uint32) error) error {
	if since >= v.state.TXID {
		return nil
	}
	cs, err := v.cursors(ctx, func(o *object) bool { return o.ref.Max > since })
	if err != nil {
		return err
	}
	// Pages above this number came by growth after since, or were cut off and came back.
	kept := uint32(0)
	if first := slices.IndexFunc(v.objects, func(o *object) bool { return o.ref.Max > since }); first > 0 {
		kept = v.objects[first-1].limit
	}
	heads := make([]uint32, len(cs)) // next page of each, 0 at its end
	for i, c := range cs {
		if heads[i], err = c.number(ctx); err != nil {
			return err
		}
	}
	for {
		no := uint32(0)
		for _, h := range heads {
			if h != 0 && h <= kept && (no == 0 || h < no) {
				no = h
			}
		}
		if no == 0 {
			break
		}
		if err := fn(no); err != nil {
			return err
		}
		for i, c := range cs {
			if heads[i] == no {
				c.advance()
				if heads[i], err = c.number(ctx); err != nil {
					return err
				}
			}
		}
	}
	for no := uint64(kept) + 1; no <= uint64(v.state.Pages); no++ {
		if uint32(no) == v.lock {
			continue
		}
		if err := fn(uint32(no)); err != nil {
			return err
		}
	}
	return nil
}

// seek goes on to the first entry of a page from no on, and returns its number; 0 at the end.
func (c *cursor) seek(ctx context.Context, no uint32) (uint32, error) {
	for {
		e, ok, err := c.entry(ctx)
		if err != nil || !ok {
			return 0, err
		}
		if e.no >= no {
			return e.no, nil
		}
		c.advance()
	}
}

// number is the page that the cursor is at, 0 at its end.
func (c *cursor) number(ctx context.Context) (uint32, error) { return c.seek(ctx, 0) }
