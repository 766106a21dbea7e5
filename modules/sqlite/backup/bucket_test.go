package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// watched is a bucket that loses answers, does things late, and checks at each change that nothing is damaged by it.
type watched struct {
	objstore.Bucket
	t     testing.TB
	check *Space // reads the manifest of the bucket beneath

	mu    sync.Mutex
	rng   *rand.Rand
	rate  int  // one of so many requests has a fault; 0: none
	force fate // of each request that changes something
	late  []func()
	stop  int // from this request on everything fails; -1: never
	count int
	last  *Manifest
	lists map[string][]objstore.Info
}

func newWatched(t testing.TB, beneath objstore.Bucket, check *Space, seed uint64) *watched {
	return &watched{Bucket: beneath, t: t, check: check, rng: rand.New(rand.NewPCG(seed, 7)), stop: -1, lists: map[string][]objstore.Info{}}
}

var errFault = fmt.Errorf("%w: a fault of the test", objstore.ErrUnavailable)

// fate is what happens to a request.
type fate int

const (
	fine fate = iota
	refused
	lost  // it has its effect, and the answer is lost
	later // the answer is lost, and it has its effect some requests later
)

// begin decides on a request. mu is held.
func (b *watched) begin(change bool) fate {
	runtime.Gosched()
	b.count++
	if b.stop >= 0 && b.count >= b.stop {
		if b.count == b.stop && b.rng.IntN(2) == 0 {
			return lost
		}
		return refused
	}
	if b.force != fine && change {
		return b.force
	}
	if len(b.late) > 0 && b.rng.IntN(4) == 0 {
		b.runLate()
	}
	if b.rate == 0 || b.rng.IntN(b.rate) > 0 {
		return fine
	}
	if !change {
		return refused
	}
	return refused + fate(b.rng.IntN(3))
}

func (b *watched) runLate() {
	run := b.late
	b.late = nil
	for _, f := range run {
		f()
	}
}

// settle ends all faults.
func (b *watched) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate, b.stop = 0, -1
	b.runLate()
}

func (b *watched) do(f fate, act func() (objstore.Info, error)) (objstore.Info, error) {
	switch f {
	case refused:
		return objstore.Info{}, errFault
	case later:
		b.late = append(b.late, func() { _, _ = act() })
		return objstore.Info{}, errFault
	case lost:
		info, err := act()
		return info, errors.Join(err, errFault)
	}
	return act()
}

func (b *watched) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o objstore.PutOptions) (objstore.Info, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(body, 0, size), data); err != nil {
		return objstore.Info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.do(b.begin(true), func() (objstore.Info, error) {
		info, err := b.Bucket.Put(context.WithoutCancel(ctx), key, bytes.NewReader(data), size, o)
		if err == nil && strings.HasSuffix(key, "/"+manifestName) {
			b.swapped(data)
		}
		return info, err
	})
}

func (b *watched) Upload(ctx context.Context, key string, r io.Reader, o objstore.PutOptions) (objstore.Info, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return objstore.Info{}, err
	}
	return b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), o)
}

// swapped checks a manifest that has just come to be. Epochs never go back, and everything it names is there.
func (b *watched) swapped(data []byte) {
	e, _, _, err := split(data)
	if err != nil || e.lineage != b.check.Lineage() {
		return
	}
	m, err := b.check.Decode(b.t.Context(), data)
	if err != nil {
		b.t.Errorf("a manifest that can't be read: %v", err)
		return
	}
	if l := b.last; l != nil && (m.Epoch < l.Epoch || m.Sequence <= l.Sequence) {
		b.t.Errorf("manifest %d of epoch %d came after %d of %d", m.Sequence, m.Epoch, l.Sequence, l.Epoch)
	}
	b.last = m
	for k := range m.keys {
		if _, err := b.check.Objects().Head(b.t.Context(), k); err != nil {
			b.t.Errorf("manifest %d of epoch %d names %s: %v", m.Sequence, m.Epoch, k, err)
		}
	}
}

func (b *watched) Delete(ctx context.Context, keys ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.do(b.begin(true), func() (objstore.Info, error) {
		if b.last != nil {
			names := b.last.names()
			for _, k := range keys {
				if _, k, _ = strings.Cut(k, "/"); has(names, k) {
					b.t.Errorf("%s is deleted, and manifest %d names it", k, b.last.Sequence)
				}
			}
		}
		return objstore.Info{}, b.Bucket.Delete(context.WithoutCancel(ctx), keys...)
	})
	return err
}

func (b *watched) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	b.mu.Lock()
	f := b.begin(false)
	b.mu.Unlock()
	if f != fine {
		return nil, objstore.Info{}, errFault
	}
	return b.Bucket.Get(ctx, key, off, n)
}

func (b *watched) Head(ctx context.Context, key string) (objstore.Info, error) {
	b.mu.Lock()
	f := b.begin(false)
	b.mu.Unlock()
	if f != fine {
		return objstore.Info{}, errFault
	}
	return b.Bucket.Head(ctx, key)
}

func (b *watched) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		b.mu.Lock()
		f := b.begin(false)
		b.mu.Unlock()
		if f != fine {
			yield(objstore.Info{}, errFault)
			return
		}
		for i, err := range b.Bucket.List(ctx, prefix, after) {
			if !yield(i, err) {
				return
			}
		}
	}
}
