package crypt

import (
	"crypto/cipher"
	"sync/atomic"
)

// ways is how many places of a cache a key may be at.
const ways = 4

// cache keeps derived ciphers by what they were derived from. It has a fixed number of places, and takes no lock: what
// is looked up is random, so that its own bits are the hash, and a cipher that is lost is just derived again.
type cache[K comparable] struct {
	places []atomic.Pointer[cached[K]] // a power of two of them
	next   atomic.Uint32               // which of a key's places is overwritten next when all are taken
}

type cached[K comparable] struct {
	key  K
	aead cipher.AEAD
}

func newCache[K comparable](places int) *cache[K] {
	return &cache[K]{places: make([]atomic.Pointer[cached[K]], places)}
}

func (c *cache[K]) place(hash uint64, i uint32) *atomic.Pointer[cached[K]] {
	return &c.places[(hash+uint64(i))&uint64(len(c.places)-1)]
}

func (c *cache[K]) get(hash uint64, key K) cipher.AEAD {
	for i := range uint32(ways) {
		e := c.place(hash, i).Load()
		if e == nil {
			return nil
		}
		if e.key == key {
			return e.aead
		}
	}
	return nil
}

func (c *cache[K]) put(hash uint64, key K, aead cipher.AEAD) {
	e := &cached[K]{key, aead}
	for i := range uint32(ways) {
		p := c.place(hash, i)
		if p.CompareAndSwap(nil, e) {
			return
		}
		if p.Load().key == key {
			return
		}
	}
	c.place(hash, (c.next.Add(1)-1)%ways).Store(e)
}
