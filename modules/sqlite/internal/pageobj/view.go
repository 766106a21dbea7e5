package pageobj

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/superfly/ltx"
)

const (
	defaultCache = 32 << 20
	defaultAhead = 8 << 20 // as much as hides 10 ms at 800 MB/s
	pageOverhead = 128     // about what a page in memory costs besides its bytes
)

// ViewOptions say what a view is of.
type ViewOptions struct {
	Bucket objstore.Bucket
	Keys   func() *crypt.Keyring // may be nil if nothing is sealed
	Refs   []Ref                 // the chain, oldest first: the first has Min 1, each continues the one before

	CacheBytes int64 // for parts of indexes, and pages that nobody has asked for yet; default 32 MiB
	ReadAhead  int64 // how far a sequential reader is read ahead at most, in bytes of the bucket; default 8 MiB, negative: not at all

	// Extra is told of pages that came along with others. It may be called from several goroutines at a time; data may
	// be kept. May be nil.
	Extra   func(no uint32, data []byte, sum uint64)
	Metrics *Metrics // may be nil
}

// View is a version of a database in the bucket: the pages of a chain of objects. A page is in the newest object that has
// it, unless a newer one cut it off: a database that shrank and grew again has zeros there. It is safe for concurrent use.
//
// A View reads nothing before it is asked for a page. An error is never remembered: the next call tries again.
type View struct {
	o       ViewOptions
	state   page.State
	lock    uint32 // page that nobody uses
	objects []*object
	parts   *cache // of indexes
	pages   *cache // that were read ahead

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	slots chan struct{} // one for each request that runs ahead of the readers

	mu       sync.Mutex
	closed   bool
	loading  map[partKey]*load
	inflight map[uint32]*fetch
	streams  streams
}

// object is one of a chain.
type object struct {
	ref   *Ref
	place int    // in the chain
	limit uint32 // pages with higher numbers don't count: a newer object has cut them off
	data  blob
	index blob
}

// Open makes a view of a chain. It makes no request.
func Open(_ context.Context, o ViewOptions) (*View, error) {
	if o.Bucket == nil || len(o.Refs) == 0 {
		return nil, errors.New("a view needs a bucket and at least one page object")
	}
	o.Refs = slices.Clone(o.Refs)
	for i := range o.Refs {
		r := &o.Refs[i]
		if err := r.check(); err != nil {
			return nil, err
		}
		if i == 0 && r.Min != 1 {
			return nil, fmt.Errorf("the chain begins with %s at transaction %d: it needs the full object that comes before", r.Key, r.Min)
		}
		if i == 0 {
			continue
		}
		p := &o.Refs[i-1]
		if r.Min > p.Max+1 || r.Max <= p.Max {
			return nil, fmt.Errorf("%s has transactions %d to %d and doesn't continue %s, which ends with %d", r.Key, r.Min, r.Max, p.Key, p.Max)
		}
		if r.State.Size != p.State.Size {
			return nil, fmt.Errorf("%s has pages of %d bytes and can't continue %s, whose pages have %d", r.Key, r.State.Size, p.Key, p.State.Size)
		}
	}
	return open(o), nil
}

// open makes a view of references that were checked. They needn't be a whole chain: what's missing is zeros.
func open(o ViewOptions) *View {
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCache
	}
	if o.ReadAhead == 0 {
		o.ReadAhead = defaultAhead
	}
	v := &View{o: o, loading: map[partKey]*load{}, inflight: map[uint32]*fetch{}, slots: make(chan struct{}, 16)}
	for i := range o.Refs {
		r := &o.Refs[i]
		blob := func(key string, size int64, header []byte) blob {
			return blob{bucket: o.Bucket, keys: o.Keys, key: key, size: size, header: header, lineage: r.Lineage, metrics: o.Metrics}
		}
		v.objects = append(v.objects, &object{ref: r, place: i, data: blob(r.Key, r.Size, r.Header), index: blob(r.Index.Key, r.Index.Size, r.Index.Header)})
	}
	v.state = o.Refs[len(o.Refs)-1].State
	v.lock = ltx.LockPgno(v.state.Size)
	limit := v.state.Pages
	for i := len(v.objects) - 1; i >= 0; i-- {
		limit = min(limit, v.objects[i].ref.State.Pages)
		v.objects[i].limit = limit
	}
	v.budget()
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// budget divides the memory, and says what that is in pages.
func (v *View) budget() {
	o := &v.o
	ahead := max(o.ReadAhead, 0)
	pages := min(2*ahead, o.CacheBytes/2)
	v.pages, v.parts = newCache(pages), newCache(o.CacheBytes-pages)
	// How many pages a request brings is not known before the index is. On average, it is.
	size := int64(v.state.Size)
	var bytes, count int64
	for i := range o.Refs {
		bytes, count = bytes+o.Refs[i].Size, count+int64(o.Refs[i].Pages)
	}
	frame := min(max(bytes/max(count, 1), size/16), size)
	window := min(ahead/frame, pages*7/8/(size+pageOverhead))
	v.streams.limit = uint32(min(window, math.MaxUint32/4))
	v.streams.least = uint32(max(minPart/frame, 1))
	v.streams.most = uint32(max(maxPart/frame, 1))
}

// State is the version that the view is of.
func (v *View) State() page.State { return v.state }

// Close ends all requests. Calls that are under way fail.
func (v *View) Close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.cancel()
	v.wg.Wait()
	v.pages.clear()
	v.parts.clear()
}

// Page returns a page and its sum. A page that is nowhere, and one beyond the end, is zeros with sum 0. data must not be
// changed, and may be kept. Errors: ErrDamaged, ErrGone, ErrClosed, those of the bucket.
func (v *View) Page(ctx context.Context, no uint32) (data []byte, sum uint64, err error) {
	if v.nowhere(no) {
		return page.Zeros(v.state.Size), 0, nil
	}
	for retried := false; ; {
		v.mu.Lock()
		if v.closed {
			v.mu.Unlock()
			return nil, 0, ErrClosed
		}
		p, _ := v.pages.spend(partKey{kind: kindPage, i: no}).(*fetched)
		f := v.inflight[no]
		if !retried {
			v.readAhead(ctx, no, p == nil && f == nil)
			if f == nil {
				f = v.inflight[no]
			}
		}
		if p != nil {
			v.mu.Unlock()
			v.o.Metrics.add(hits, 1)
			return p.data, p.sum, nil
		}
		own := f == nil
		if own {
			v.o.Metrics.add(misses, 1)
			f = v.begin(ctx, []uint32{no}, false)
		} else {
			v.o.Metrics.add(joined, 1)
		}
		f.waiters++
		v.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			v.leave(f)
			return nil, 0, context.Cause(ctx)
		}
		if f.moved {
			continue
		}
		got := f.page(no)
		if got.err != nil && !own && !retried && v.ctx.Err() == nil {
			retried = true // the others' bad luck needn't be ours
			continue
		}
		if got.err != nil && v.ctx.Err() != nil {
			return nil, 0, ErrClosed
		}
		return got.data, got.sum, got.err
	}
}

// Used tells that a page was needed that Extra may have brought. Whoever keeps such pages tells it, so that a sequential
// reader is read ahead all the time, and not only when it comes to the end of what was brought.
func (v *View) Used(ctx context.Context, no uint32) {
	if no%usedStep != 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed && v.streams.passes(no) {
		v.readAhead(ctx, no, false)
	}
}

// usedStep is how many pages a reader goes on between two looks at how far it has come.
const usedStep = 8

// nowhere tells of a page that is zeros whatever the objects have.
func (v *View) nowhere(no uint32) bool { return no == 0 || no > v.state.Pages || no == v.lock }

// Sum returns the sum of a page: its index is read, if need be, and not the page.
func (v *View) Sum(ctx context.Context, no uint32) (uint64, error) {
	if v.nowhere(no) {
		return 0, nil
	}
	if v.ctx.Err() != nil {
		return 0, ErrClosed
	}
	places, err := v.locate(ctx, []uint32{no}, false)
	if err != nil {
		return 0, err
	}
	return places[0].sum, nil
}
