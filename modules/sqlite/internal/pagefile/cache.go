package pagefile

import (
	"sync"
	"sync/atomic"
)

// Cache keeps pages and nodes of page files in memory up to a number of bytes, over all files that share it.
type Cache struct {
	shards [cacheShards]shard

	hits, misses atomic.Int64
}

const cacheShards = 16

type cacheKey struct {
	file uint64
	slot uint32
}

// shard is a CLOCK: a ring of entries with one bit each that a hit sets and the hand clears.
type shard struct {
	mu     sync.Mutex
	budget int64
	bytes  int64
	at     map[cacheKey]int
	ring   []cacheEntry
	hand   int
	free   []int
}

type cacheEntry struct {
	key  cacheKey
	data []byte
	used bool
}

// NewCache returns a cache of about n bytes.
func NewCache(n int64) *Cache {
	c := &Cache{}
	for i := range c.shards {
		c.shards[i].budget = max(n/cacheShards, 2*4096)
		c.shards[i].at = map[cacheKey]int{}
	}
	return c
}

// CacheStats counts since the cache was made; Bytes is what it holds now.
type CacheStats struct{ Hits, Misses, Bytes int64 }

// Stats returns the counters.
func (c *Cache) Stats() CacheStats {
	s := CacheStats{Hits: c.hits.Load(), Misses: c.misses.Load()}
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		s.Bytes += sh.bytes
		sh.mu.Unlock()
	}
	return s
}

func (c *Cache) shard(k cacheKey) *shard {
	return &c.shards[(uint64(k.slot)*0x9e3779b97f4a7c15^k.file)>>7%cacheShards]
}

func (c *Cache) get(k cacheKey) []byte {
	s := c.shard(k)
	s.mu.Lock()
	var data []byte
	if i, ok := s.at[k]; ok {
		s.ring[i].used = true
		data = s.ring[i].data
	}
	s.mu.Unlock()
	if data != nil {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
	return data
}

// put keeps data, which nobody may change afterwards.
func (c *Cache) put(k cacheKey, data []byte) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.at[k]; ok {
		s.bytes += int64(len(data) - len(s.ring[i].data))
		s.ring[i].data = data
		return
	}
	for s.bytes+int64(len(data)) > s.budget && len(s.at) > 0 {
		s.evict()
	}
	var i int
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = len(s.ring)
		s.ring = append(s.ring, cacheEntry{})
	}
	s.ring[i] = cacheEntry{key: k, data: data}
	s.at[k] = i
	s.bytes += int64(len(data))
}

func (s *shard) evict() {
	for {
		s.hand = (s.hand + 1) % len(s.ring)
		e := &s.ring[s.hand]
		switch {
		case e.data == nil:
		case e.used:
			e.used = false
		default:
			s.remove(s.hand)
			return
		}
	}
}

func (s *shard) remove(i int) {
	e := &s.ring[i]
	delete(s.at, e.key)
	s.bytes -= int64(len(e.data))
	*e = cacheEntry{}
	s.free = append(s.free, i)
}

func (c *Cache) drop(k cacheKey) {
	s := c.shard(k)
	s.mu.Lock()
	if i, ok := s.at[k]; ok {
		s.remove(i)
	}
	s.mu.Unlock()
}

// has tells whether something is there, without using it.
func (c *Cache) has(k cacheKey) bool {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.at[k]
	return ok
}

// move keeps what is there under another key.
func (c *Cache) move(from, to cacheKey) {
	s := c.shard(from)
	s.mu.Lock()
	i, ok := s.at[from]
	var data []byte
	if ok {
		data = s.ring[i].data
	}
	s.mu.Unlock()
	if ok {
		c.put(to, data)
	}
}
