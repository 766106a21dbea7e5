package aof

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// blockBytes is the length of the parts in which cold objects are fetched.
const blockBytes = 512 << 10

// Cache keeps parts of cold objects in memory. Several logs can share one. Those who want the same part wait for one
// fetch; it ends early when all of them have given up.
type Cache struct {
	limit int64

	mu     sync.Mutex
	bytes  int64
	blocks map[blockKey]*list.Element // of *block
	recent list.List                  // the most recently used first
	under  map[blockKey]*fetch
}

// NewCache makes a cache of so many bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{limit: max(bytes, 2*blockBytes), blocks: map[blockKey]*list.Element{}, under: map[blockKey]*fetch{}}
}

type blockKey struct {
	bucket objstore.Bucket
	key    string
	number int64
}

type block struct {
	k blockKey
	b []byte
}

// fetch is one that is under way.
type fetch struct {
	done    chan struct{}
	waiting int
	cancel  context.CancelFunc
	b       []byte
	err     error
	stale   bool // the object was forgotten meanwhile
}

// get returns a part of an object, from memory or by load.
func (c *Cache) get(ctx context.Context, k blockKey, load func(context.Context) ([]byte, error)) ([]byte, error) {
	f, b := c.join(ctx, k, load)
	if f == nil {
		return b, nil
	}
	select {
	case <-f.done:
		return f.b, f.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if c.under[k] == f {
			delete(c.under, k)
		}
	}
	return nil, context.Cause(ctx)
}

// join returns the part if it is there, else the fetch that brings it, which it begins if nobody has.
func (c *Cache) join(ctx context.Context, k blockKey, load func(context.Context) ([]byte, error)) (*fetch, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.blocks[k]; e != nil {
		c.recent.MoveToFront(e)
		return nil, e.Value.(*block).b
	}
	f := c.under[k]
	if f == nil {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &fetch{done: make(chan struct{}), cancel: cancel}
		c.under[k] = f
		go c.run(ctx, k, f, load)
	}
	f.waiting++
	return f, nil
}

// ahead begins to fetch a part that will be wanted. Nobody can cancel it.
func (c *Cache) ahead(ctx context.Context, k blockKey, load func(context.Context) ([]byte, error)) {
	c.join(ctx, k, load)
}

func (c *Cache) run(ctx context.Context, k blockKey, f *fetch, load func(context.Context) ([]byte, error)) {
	defer f.cancel()
	f.b, f.err = load(ctx)
	c.mu.Lock()
	if c.under[k] == f {
		delete(c.under, k)
	}
	if f.err == nil && !f.stale {
		c.add(k, f.b)
	}
	c.mu.Unlock()
	close(f.done)
}

// add keeps a part and gives up those that weren't used for longest. mu is held.
func (c *Cache) add(k blockKey, b []byte) {
	if c.blocks[k] != nil {
		return
	}
	c.blocks[k] = c.recent.PushFront(&block{k, b})
	c.bytes += int64(len(b))
	for c.bytes > c.limit && c.recent.Len() > 1 {
		c.remove(c.recent.Back())
	}
}

func (c *Cache) remove(e *list.Element) {
	old := c.recent.Remove(e).(*block)
	delete(c.blocks, old.k)
	c.bytes -= int64(len(old.b))
}

// forget drops what the cache holds of an object.
func (c *Cache) forget(bucket objstore.Bucket, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.blocks {
		if k.bucket == bucket && k.key == key {
			c.remove(e)
		}
	}
	for k, f := range c.under {
		if k.bucket == bucket && k.key == key {
			f.stale = true
		}
	}
}

// Bytes is how much the cache holds.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// objectReader reads a cold object through the cache. It is used by one goroutine.
type objectReader struct {
	ctx  context.Context
	l    *Log
	key  string
	size int64
	last int64 // the block that was read last, plus one
}

// readAheadBlocks is how many parts are fetched ahead for who reads on and on.
const readAheadBlocks = 2

func (o *objectReader) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		at := off + int64(n)
		if at >= o.size {
			return n, io.EOF
		}
		number := at / blockBytes
		part, err := o.l.cache.get(o.ctx, o.block(number), o.load(number))
		if err != nil {
			return n, fmt.Errorf("reading %s from %s: %w", o.key, o.l.bucket(), err)
		}
		n += copy(b[n:], part[at-number*blockBytes:])
		if number == o.last { // the one after the last
			for i := number + 1; i <= number+readAheadBlocks && i*blockBytes < o.size; i++ {
				o.l.cache.ahead(o.ctx, o.block(i), o.load(i))
			}
		}
		o.last = number + 1
	}
	return n, nil
}

func (o *objectReader) block(number int64) blockKey {
	return blockKey{o.l.bucket(), o.key, number}
}

func (o *objectReader) load(number int64) func(context.Context) ([]byte, error) {
	bucket, key, off, size := o.l.bucket(), o.key, number*blockBytes, o.size
	return func(ctx context.Context) ([]byte, error) {
		b := make([]byte, min(blockBytes, size-off))
		body, _, err := bucket.Get(ctx, key, off, int64(len(b)))
		if err != nil {
			return nil, err
		}
		_, err = io.ReadFull(body, b)
		return b, errors.Join(err, body.Close())
	}
}
