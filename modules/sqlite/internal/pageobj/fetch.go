package pageobj

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

const (
	mergeGap   = 64 << 10 // frames that are no further apart come in one request
	maxRequest = 1 << 20  // bytes of frames in one request
)

// fetched is a page that came, or why it didn't.
type fetched struct {
	data []byte
	sum  uint64
	err  error
}

// fetch is a number of pages on their way, ascending. All who need one of them wait for it.
type fetch struct {
	nos   []uint32
	ahead bool // nobody has asked for them yet
	done  chan struct{}

	// What is set when done is closed.
	moved bool // look again: the pages are on their way in other fetches
	pages []fetched

	waiters int // under View.mu
	cancel  context.CancelFunc
}

// page returns one of the pages of a fetch that is done.
func (f *fetch) page(no uint32) fetched {
	i, _ := slices.BinarySearch(f.nos, no)
	return f.pages[i]
}

// begin starts a fetch. View.mu is held.
func (v *View) begin(ctx context.Context, nos []uint32, ahead bool) *fetch {
	f := v.register(ctx, nos, ahead)
	v.wg.Go(func() { v.run(f.ctx, f.fetch) })
	return f.fetch
}

// registered is a fetch and the context that it is to run under.
type registered struct {
	*fetch
	ctx context.Context
}

func (v *View) register(ctx context.Context, nos []uint32, ahead bool) registered {
	f := &fetch{nos: nos, ahead: ahead, done: make(chan struct{})}
	if ahead {
		f.waiters = 1 // nobody's leaving ends it
	}
	ctx, f.cancel = v.detach(ctx)
	for _, no := range nos {
		v.inflight[no] = f
	}
	return registered{f, ctx}
}

// leave is for one who waited for a fetch and doesn't any more. The last one ends it.
func (v *View) leave(f *fetch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		v.forget(f)
		f.cancel()
	}
}

// forget makes the next who asks for one of the pages begin anew. View.mu is held.
func (v *View) forget(f *fetch) {
	for _, no := range f.nos {
		if v.inflight[no] == f {
			delete(v.inflight, no)
		}
	}
}

// run gets the pages of a fetch.
func (v *View) run(ctx context.Context, f *fetch) {
	defer f.cancel()
	f.pages = make([]fetched, len(f.nos))
	if f.ahead {
		select {
		case v.slots <- struct{}{}:
			defer func() { <-v.slots }()
		case <-ctx.Done():
			v.fail(f, context.Cause(ctx))
			return
		}
	}
	places, err := v.locate(ctx, f.nos, true)
	if err != nil {
		v.fail(f, err)
		return
	}
	v.get(ctx, places, f.pages)
	v.finish(f)
}

func (v *View) fail(f *fetch, err error) {
	for i := range f.pages {
		f.pages[i] = fetched{err: err}
	}
	v.finish(f)
}

// finish gives the pages to those who wait, and keeps those that came for nobody.
func (v *View) finish(f *fetch) {
	if f.ahead {
		for i := range f.pages {
			if p := f.pages[i]; p.err == nil && p.sum != 0 { // a copy: it must not keep its neighbours in memory
				v.pages.put(partKey{kind: kindPage, i: f.nos[i]}, &p, int64(len(p.data))+pageOverhead)
			}
		}
	}
	v.mu.Lock()
	v.forget(f)
	v.mu.Unlock()
	close(f.done)
	for i := range f.pages {
		switch p := &f.pages[i]; {
		case p.err != nil:
			v.o.Metrics.add(failures, 1)
		case f.ahead && p.sum != 0 && v.o.Extra != nil && v.ctx.Err() == nil:
			v.o.Extra(f.nos[i], p.data, p.sum)
		}
	}
}

// group is a range of an object, and the pages whose frames are in it.
type group struct {
	object *object
	from   int64
	to     int64
	pages  []int // places in the fetch
}

// groups says which requests bring the frames. Pages that need none are left out.
func groups(places []place) []group {
	order := make([]int, 0, len(places))
	for i := range places {
		if places[i].object != nil && places[i].pack == nil {
			order = append(order, i)
		}
	}
	if len(order) > 1 {
		slices.SortFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(places[a].object.place, places[b].object.place), cmp.Compare(places[a].off, places[b].off))
		})
	}
	var gs []group
	for _, i := range order {
		p := &places[i]
		end := p.off + int64(p.size)
		if n := len(gs); n > 0 {
			if g := &gs[n-1]; g.object == p.object && p.off-g.to < mergeGap && end-g.from <= maxRequest {
				g.to = end
				g.pages = append(g.pages, i)
				continue
			}
		}
		gs = append(gs, group{p.object, p.off, end, []int{i}})
	}
	return gs
}

// get reads pages from their places. Requests run in parallel.
func (v *View) get(ctx context.Context, places []place, out []fetched) {
	gs := groups(places)
	var wg sync.WaitGroup
	for i := 1; i < len(gs); i++ {
		wg.Go(func() { v.getGroup(ctx, &gs[i], places, out) })
	}
	if len(gs) > 0 {
		v.getGroup(ctx, &gs[0], places, out)
	}
	for i := range places {
		switch p := &places[i]; {
		case p.object == nil:
			out[i] = fetched{data: page.Zeros(v.state.Size)}
		case p.pack != nil:
			out[i] = v.unpack(p)
		}
	}
	wg.Wait()
}

// unpack takes a page out of a pack that is in memory.
func (v *View) unpack(p *place) fetched {
	data := make([]byte, v.state.Size)
	if err := p.pack.page(p.i, data); err != nil {
		return fetched{err: &DamageError{Key: p.object.index.key, Offset: p.pack.desc.off, Page: p.no, Reason: "its copy in a pack isn't what was written", Err: err}}
	}
	return fetched{data: data, sum: p.sum}
}

func (v *View) getGroup(ctx context.Context, g *group, places []place, out []fetched) {
	err := g.object.data.borrow(ctx, g.from, g.to-g.from, func(b []byte) {
		v.o.Metrics.add(coalesced, len(g.pages)-1)
		for _, i := range g.pages {
			p := &places[i]
			data := make([]byte, v.state.Size)
			if err := decodeFrame(b[p.off-g.from:][:p.size], p.no, p.sum, data); err != nil {
				out[i] = fetched{err: &DamageError{Key: g.object.data.key, Offset: p.off, Page: p.no, Reason: "it isn't what was written", Err: err}}
				continue
			}
			out[i] = fetched{data: data, sum: p.sum}
		}
	})
	if err != nil {
		for _, i := range g.pages {
			out[i] = fetched{err: err}
		}
	}
}
