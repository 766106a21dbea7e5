package pageobj

import (
	"context"
	"errors"
	"sync"
)

// load is a part of an index on its way. All who need it wait for the same request.
type load struct {
	done    chan struct{}
	value   any
	err     error
	waiters int // under View.mu
	cancel  context.CancelFunc
}

// part returns a part of an index, from memory if it is there.
func (v *View) part(ctx context.Context, k partKey) (any, error) {
	if p := v.parts.get(k); p != nil {
		return p, nil
	}
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil, ErrClosed
	}
	l := v.loading[k]
	if l == nil {
		l = &load{done: make(chan struct{})}
		var lctx context.Context
		lctx, l.cancel = v.detach(ctx)
		v.loading[k] = l
		v.wg.Go(func() { v.load(lctx, k, l) })
	}
	l.waiters++
	v.mu.Unlock()
	select {
	case <-l.done:
		if l.err != nil && v.ctx.Err() != nil {
			return nil, ErrClosed
		}
		return l.value, l.err
	case <-ctx.Done():
	}
	v.mu.Lock()
	if l.waiters--; l.waiters == 0 && v.loading[k] == l {
		delete(v.loading, k)
		l.cancel()
	}
	v.mu.Unlock()
	return nil, context.Cause(ctx)
}

// detach makes a context for a request that others may wait for too: it has the values of the first one's and ends with
// the view.
func (v *View) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(v.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (v *View) load(ctx context.Context, k partKey, l *load) {
	defer l.cancel()
	o := v.objects[k.object]
	var after []*pack
	switch k.kind {
	case kindRoot:
		l.value, after, l.err = v.loadHead(ctx, o)
	case kindBlock:
		l.value, l.err = v.loadBlock(ctx, o, k)
	case kindPack:
		var p *pack
		if p, l.err = v.loadPack(ctx, o, k); l.err == nil {
			l.value, after = p, []*pack{p}
		}
	}
	v.mu.Lock()
	if v.loading[k] == l {
		delete(v.loading, k)
	}
	v.mu.Unlock()
	close(l.done)
	for _, p := range after {
		v.tellPack(o, p)
	}
}

// loadHead reads the root of an index and what lies before it: the first pack, or all of a small index.
func (v *View) loadHead(ctx context.Context, o *object) (*root, []*pack, error) {
	i := &o.ref.Index
	b, err := o.index.read(ctx, i.Head, i.RootOff+i.RootLen-i.Head)
	if err != nil {
		return nil, nil, err
	}
	damaged := func(err error) error {
		if errors.Is(err, ErrNewer) {
			return err
		}
		return &DamageError{Key: i.Key, Offset: i.RootOff, Reason: "the root can't be read", Err: err}
	}
	r, err := decodeRoot(b[i.RootOff-i.Head:], i.RootOff)
	if err != nil {
		return nil, nil, damaged(err)
	}
	plain, err := o.data.plain()
	if err != nil {
		return nil, nil, err
	}
	if r.size != o.ref.State.Size || r.commit != o.ref.State.Pages || r.pages != o.ref.Pages || r.min != o.ref.Min || r.max != o.ref.Max || r.data != plain {
		return nil, nil, damaged(errors.New("it belongs to another object"))
	}
	v.parts.put(partKey{kindRoot, o.place, 0}, r, int64(len(r.blocks)*blockDescBytes+len(r.packs)*packDescBytes)+128)
	// What came along is kept. A part that is damaged is reported when it is needed.
	within := func(off int64, n uint32) []byte {
		if off < i.Head {
			return nil
		}
		return b[off-i.Head:][:n:n]
	}
	for n, d := range r.blocks {
		if k, err := decodeBlock(within(d.off, d.length), d, r.size, r.data); err == nil {
			v.parts.put(partKey{kindBlock, o.place, uint32(n)}, k, k.bytes())
		}
	}
	var packs []*pack
	for n, d := range r.packs {
		if p, err := decodePack(within(d.off, d.length), d, r.size); err == nil {
			p.data = append([]byte(nil), p.data...) // not to keep the whole head alive
			v.parts.put(partKey{kindPack, o.place, uint32(n)}, p, p.bytes())
			packs = append(packs, p)
		}
	}
	return r, packs, nil
}

func (v *View) loadBlock(ctx context.Context, o *object, k partKey) (*block, error) {
	r, err := v.root(ctx, o)
	if err != nil {
		return nil, err
	}
	d := r.blocks[k.i]
	b, err := o.index.read(ctx, d.off, int64(d.length))
	if err != nil {
		return nil, err
	}
	bl, err := decodeBlock(b, d, r.size, r.data)
	if err != nil {
		return nil, &DamageError{Key: o.index.key, Offset: d.off, Page: d.first, Reason: "the entry block of this page and those behind it can't be read", Err: err}
	}
	v.parts.put(k, bl, bl.bytes())
	return bl, nil
}

func (v *View) loadPack(ctx context.Context, o *object, k partKey) (*pack, error) {
	r, err := v.root(ctx, o)
	if err != nil {
		return nil, err
	}
	d := r.packs[k.i]
	b, err := o.index.read(ctx, d.off, int64(d.length))
	if err != nil {
		return nil, err
	}
	p, err := decodePack(b, d, r.size)
	if err != nil {
		return nil, &DamageError{Key: o.index.key, Offset: d.off, Page: d.first, Reason: "the pack of this page and others can't be read", Err: err}
	}
	v.parts.put(k, p, p.bytes())
	return p, nil
}

func (v *View) root(ctx context.Context, o *object) (*root, error) {
	r, err := v.part(ctx, partKey{kindRoot, o.place, 0})
	if err != nil {
		return nil, err
	}
	return r.(*root), nil
}

// loadAll asks for several parts at once.
func (v *View) loadAll(ctx context.Context, want []partKey) ([]any, error) {
	got, errs := make([]any, len(want)), make([]error, len(want))
	var wg sync.WaitGroup
	for i := 1; i < len(want); i++ {
		wg.Go(func() { got[i], errs[i] = v.part(ctx, want[i]) })
	}
	if len(want) > 0 {
		got[0], errs[0] = v.part(ctx, want[0])
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return got, nil
}

// tellPack tells of the pages of a pack that belong to this version, as far as that is known without a request.
func (v *View) tellPack(o *object, p *pack) {
	if v.o.Extra == nil {
		return
	}
	for i, no := range p.nos {
		if v.ctx.Err() != nil {
			return
		}
		if v.nowhere(no) || no > o.limit || !v.newest(o, no) {
			continue
		}
		data := make([]byte, v.state.Size)
		if p.page(i, data) == nil { // else it is reported to whoever asks for it
			v.o.Metrics.add(coalesced, 1)
			v.o.Extra(no, data, p.sums[i])
		}
	}
}

// newest tells whether no newer object than o has page no; false if that isn't known yet.
func (v *View) newest(o *object, no uint32) bool {
	for _, n := range v.objects[o.place+1:] {
		r, _ := v.parts.get(partKey{kindRoot, n.place, 0}).(*root)
		if r == nil {
			return false
		}
		i := r.block(no)
		if i < 0 {
			continue
		}
		k, _ := v.parts.get(partKey{kindBlock, n.place, uint32(i)}).(*block)
		if k == nil {
			return false
		}
		if _, there := k.find(no); there {
			return false
		}
	}
	return true
}
