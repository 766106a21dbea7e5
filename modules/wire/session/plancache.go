package session

import (
	"container/list"
	"sync"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
)

// planKey names a translated statement: its text, and everything else that its translation depends on.
type planKey struct {
	version engine.Version
	dialect ir.Dialect
	env     string // settings of the session that change the meaning
	params  string // types that the client gave
	text    string
}

// planned is a statement with its plan; both are shared by sessions and never changed.
type planned struct {
	st   *ir.Statement
	plan *plan.Plan // nil: not a query or change of data
	// exact is the version that the plan was made for.
	version engine.Version
}

// planCache keeps the plans of a server, in shards so that sessions don't wait for each other.
type planCache struct {
	max    int
	shards [16]planShard
}

type planShard struct {
	mu     sync.Mutex
	byKey  map[planKey]*list.Element
	recent list.List // of *planEntry
}

type planEntry struct {
	key planKey
	p   *planned
}

func (c *planCache) shard(k *planKey) *planShard {
	h := uint32(2166136261)
	for i := range min(len(k.text), 64) {
		h = (h ^ uint32(k.text[i])) * 16777619
	}
	h = (h ^ uint32(len(k.text))) * 16777619
	return &c.shards[h%uint32(len(c.shards))]
}

func (c *planCache) get(k planKey) *planned {
	s := c.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[k]
	if e == nil {
		return nil
	}
	s.recent.MoveToFront(e)
	return e.Value.(*planEntry).p
}

func (c *planCache) put(k planKey, p *planned) {
	s := c.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = map[planKey]*list.Element{}
	}
	if e := s.byKey[k]; e != nil {
		e.Value.(*planEntry).p = p
		return
	}
	s.byKey[k] = s.recent.PushFront(&planEntry{k, p})
	for s.recent.Len() > max(c.max/len(c.shards), 1) {
		last := s.recent.Back()
		s.recent.Remove(last)
		delete(s.byKey, last.Value.(*planEntry).key)
	}
}
