package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/sqlite"
)

// mirror is a space of the system database in memory, until that changes: each client that connects asks for what is in it.
type mirror[T any] struct {
	host  *sqlite.Host
	space string
	// decode reads a value. One that it doesn't accept is left out.
	decode func(key string, value []byte) (v T, ok bool)

	changes atomic.Uint64 // of the system database

	mu  sync.Mutex
	all map[string]T // nil: to be read
	at  uint64       // changes when all was read
}

// Changed is to be called when the system database has changed. It doesn't wait for those who read it.
func (m *mirror[T]) Changed() { m.changes.Add(1) }

// read returns all values by their keys. The map isn't changed.
func (m *mirror[T]) read(ctx context.Context) (map[string]T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The number is taken before they are read: a change meanwhile makes them be read again.
	now := m.changes.Load()
	if m.all != nil && m.at == now {
		return m.all, nil
	}
	entries, err := m.host.Entries(ctx, m.space)
	if err != nil {
		return nil, err
	}
	m.all, m.at = make(map[string]T, len(entries)), now
	for key, value := range entries {
		if v, ok := m.decode(key, value); ok {
			m.all[key] = v
		}
	}
	return m.all, nil
}

// put keeps a value; nil removes it.
func (m *mirror[T]) put(ctx context.Context, key string, value []byte) error {
	defer m.Changed()
	return m.host.Put(ctx, m.space, key, value)
}
