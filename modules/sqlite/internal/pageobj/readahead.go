package pageobj

import (
	"context"
	"slices"
)

const (
	streamCount = 8        // sequential readers that are noticed at a time
	streamGap   = 8        // pages that a sequential reader may leave out
	streamRun   = 3        // pages in order that make a reader sequential
	minPart     = 64 << 10 // bytes of frames in one request, at least
	maxPart     = 1 << 20  // and at most
)

// streams notices readers that go through the pages in order.
type streams struct {
	limit uint32 // pages that a window has at most; 0: nothing is read ahead
	least uint32 // pages in one request, at least
	most  uint32 // and at most
	now   uint64
	all   [streamCount]stream
}

type stream struct {
	next   uint32 // page that the reader should ask for next
	end    uint32 // all before it has been asked for
	window uint32 // pages; 0 before the reader counts as sequential
	mark   uint32 // page at which the window grows
	run    int
	used   uint64
}

// touch notes that page no was asked for, and says which pages to read ahead: from, up to before to. A reader whose next
// pages somebody else keeps for it (see ViewOptions.Extra) comes back only behind those.
func (s *streams) touch(no uint32, missed bool, pages uint32) (from, to, part uint32) {
	if s.limit == 0 {
		return 0, 0, 0
	}
	s.now++
	oldest := &s.all[0]
	var t *stream
	for i := range s.all {
		c := &s.all[i]
		if no+1 == c.next && c.used != 0 {
			c.used = s.now
			return 0, 0, 0 // the same page again
		}
		if c.used != 0 && no >= c.next && uint64(no) <= uint64(max(c.end, c.next))+streamGap {
			t = c
			break
		}
		if c.used < oldest.used {
			oldest = c
		}
	}
	if t == nil {
		*oldest = stream{next: no + 1, end: no + 1, run: 1, used: s.now}
		return 0, 0, 0
	}
	t.used = s.now
	t.next = no + 1
	t.run++
	if t.run < streamRun {
		t.end = max(t.end, t.next)
		return 0, 0, 0
	}
	if missed || t.end < no {
		t.end = no // it isn't there: it wasn't asked for yet, or is gone again
	}
	if t.next >= t.mark { // through a whole window: the next one is larger
		t.window = min(max(2*t.window, 2*s.least), s.limit)
		t.mark = t.next + t.window
	}
	part = min(max(t.window/8, s.least), s.most)
	if left := t.end - min(t.end, t.next); left > 0 && left+part > t.window {
		return 0, 0, 0 // not enough room for a request that is worth it
	}
	from, to = t.end, uint32(min(uint64(t.next)+uint64(t.window), uint64(pages)+1))
	if to <= from {
		return 0, 0, 0
	}
	t.end = to
	return from, to, part
}

// passes tells whether page no is one that was read ahead for a sequential reader.
func (s *streams) passes(no uint32) bool {
	return slices.ContainsFunc(s.all[:], func(c stream) bool { return c.window > 0 && c.next <= no && no < c.end })
}

// readAhead notes that a page was asked for, and begins to read those that will be. View.mu is held.
func (v *View) readAhead(ctx context.Context, no uint32, missed bool) {
	from, to, part := v.streams.touch(no, missed, v.state.Pages)
	for from < to {
		end := min(to, from+part)
		nos := make([]uint32, 0, end-from)
		for ; from < end; from++ {
			if !v.nowhere(from) && v.inflight[from] == nil && !v.pages.has(partKey{kind: kindPage, i: from}) {
				nos = append(nos, from)
			}
		}
		if len(nos) > 0 {
			v.o.Metrics.add(ahead, len(nos))
			v.begin(ctx, nos, true)
		}
	}
}

// Prefetch asks for pages that will be needed soon, and returns at once. Pages whose frames are next to each other come
// with one request.
func (v *View) Prefetch(ctx context.Context, nos []uint32) {
	nos = slices.Compact(slices.Sorted(slices.Values(nos)))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	nos = slices.DeleteFunc(nos, func(no uint32) bool {
		return v.nowhere(no) || v.inflight[no] != nil || v.pages.has(partKey{kind: kindPage, i: no})
	})
	if len(nos) == 0 {
		return
	}
	v.o.Metrics.add(ahead, len(nos))
	r := v.register(ctx, nos, true)
	v.wg.Go(func() { v.split(r.ctx, r.fetch) })
}

// split finds out where the pages of a fetch are and makes one fetch of each request that brings some, so that nobody
// waits for the slowest one.
func (v *View) split(ctx context.Context, f *fetch) {
	defer f.cancel()
	places, err := v.locate(ctx, f.nos, true)
	if err != nil {
		f.pages = make([]fetched, len(f.nos))
		v.fail(f, err)
		return
	}
	var parts [][]uint32
	rest := slices.Clone(f.nos)
	for _, g := range groups(places) {
		nos := make([]uint32, len(g.pages))
		for i, at := range g.pages {
			nos[i], rest[at] = f.nos[at], 0
		}
		parts = append(parts, nos)
	}
	if rest = slices.DeleteFunc(rest, func(no uint32) bool { return no == 0 }); len(rest) > 0 {
		parts = append(parts, rest)
	}
	v.mu.Lock()
	v.forget(f)
	f.moved = true
	if !v.closed {
		for _, nos := range parts {
			v.begin(ctx, nos, true)
		}
	}
	v.mu.Unlock()
	close(f.done)
}
