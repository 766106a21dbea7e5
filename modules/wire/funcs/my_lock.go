package funcs

import (
	"context"
	"sync"
	"time"
)

// lockTable is MySQL's GET_LOCK: named locks of the whole process, owned by connections, which may take one several times.
type lockTable struct {
	mu    sync.Mutex
	locks map[string]*namedLock
}

type namedLock struct {
	owner   uint32
	depth   int
	waiting int
	// freed is closed when the lock is given up, and replaced.
	freed chan struct{}
}

var namedLocks = lockTable{locks: map[string]*namedLock{}}

// ReleaseNamedLocks gives up every lock that GET_LOCK gave a connection and returns how many times they were held. The
// session calls it when it ends.
func ReleaseNamedLocks(connection uint32) int64 { return namedLocks.releaseAll(connection) }

func (t *lockTable) owner(name string) (uint32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.locks[lockName(name)]
	if l == nil || l.depth == 0 {
		return 0, false
	}
	return l.owner, true
}

// acquire waits for a lock: for ever if wait is negative. It reports whether it got it; the error is ctx's.
func (t *lockTable) acquire(ctx context.Context, name string, owner uint32, wait time.Duration) (bool, error) {
	name = lockName(name)
	var timeout <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	t.mu.Lock()
	l := t.locks[name]
	if l == nil {
		l = &namedLock{freed: make(chan struct{})}
		t.locks[name] = l
	}
	l.waiting++
	defer func() {
		l.waiting--
		if l.waiting == 0 && l.depth == 0 {
			delete(t.locks, name)
		}
		t.mu.Unlock()
	}()
	for {
		if l.depth == 0 || l.owner == owner {
			l.owner = owner
			l.depth++
			return true, nil
		}
		if wait == 0 {
			return false, nil
		}
		freed := l.freed
		t.mu.Unlock()
		select {
		case <-freed:
			t.mu.Lock()
		case <-timeout:
			t.mu.Lock()
			return false, nil
		case <-ctx.Done():
			t.mu.Lock()
			return false, ctx.Err()
		}
	}
}

func (t *lockTable) release(name string, owner uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.locks[lockName(name)]
	if l == nil || l.depth == 0 || l.owner != owner {
		return false
	}
	l.depth--
	t.free(lockName(name), l)
	return true
}

// free wakes those who wait for l if it was given up. t.mu is held.
func (t *lockTable) free(name string, l *namedLock) {
	if l.depth > 0 {
		return
	}
	close(l.freed)
	l.freed = make(chan struct{})
	if l.waiting == 0 {
		delete(t.locks, name)
	}
}

func (t *lockTable) releaseAll(owner uint32) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(0)
	for name, l := range t.locks {
		if l.depth > 0 && l.owner == owner {
			n += int64(l.depth)
			l.depth = 0
			t.free(name, l)
		}
	}
	return n
}

// lockName folds a lock's name as MySQL does.
func lockName(name string) string { return string(FoldCI(nil, []byte(name))) }
