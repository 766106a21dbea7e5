package pageobj

import "sync"

// partKey names what a view keeps in memory: a part of an index, or a page.
type partKey struct {
	kind   partKind
	object int // place in the chain; 0 for pages
	i      uint32
}

type partKind uint8

const (
	kindRoot partKind = iota
	kindBlock
	kindPack
	kindPage
)

// cache keeps values up to a number of bytes. What wasn't used for longest goes first.
type cache struct {
	mu     sync.Mutex
	budget int64
	bytes  int64
	at     map[partKey]*cached
	ring   cached // its next is the one that stays longest, its prev the one that goes first
}

type cached struct {
	key        partKey
	value      any
	bytes      int64
	prev, next *cached
}

func newCache(budget int64) *cache {
	c := &cache{budget: budget, at: map[partKey]*cached{}}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

func (e *cached) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (e *cached) linkAfter(p *cached) {
	e.prev, e.next = p, p.next
	p.next.prev, p.next = e, e
}

// get returns a value, or nil.
func (c *cache) get(k partKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[k]
	if e == nil {
		return nil
	}
	e.unlink()
	e.linkAfter(&c.ring)
	return e.value
}

// spend returns a value that will hardly be asked for again, and makes it the next to go.
func (c *cache) spend(k partKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[k]
	if e == nil {
		return nil
	}
	e.unlink()
	e.linkAfter(c.ring.prev)
	return e.value
}

// has tells whether there is such a value, and doesn't count as use.
func (c *cache) has(k partKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[k] != nil
}

// put keeps a value, also one that is larger than the budget: then it is the only one.
func (c *cache) put(k partKey, value any, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.at[k]; old != nil {
		c.drop(old)
	}
	for c.bytes+bytes > c.budget && c.ring.prev != &c.ring {
		c.drop(c.ring.prev)
	}
	e := &cached{key: k, value: value, bytes: bytes}
	e.linkAfter(&c.ring)
	c.at[k] = e
	c.bytes += bytes
}

func (c *cache) drop(e *cached) {
	e.unlink()
	delete(c.at, e.key)
	c.bytes -= e.bytes
}

// clear forgets everything.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.bytes = map[partKey]*cached{}, 0
	c.ring.prev, c.ring.next = &c.ring, &c.ring
}
