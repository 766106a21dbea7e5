package funcs

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/types"
)

// Advisory locks are kept in this process, by database. A session (its ConnectionID) owns them; those of a transaction are
// given back by ReleaseTransactionLocks, all by ReleaseLocks. They do not reach other servers.

type pgLockKey struct {
	database string
	key      [2]int64 // (0, bigint) or (1<<32 | first, second)
}

type pgLockMode uint8

const (
	pgExclusive pgLockMode = iota
	pgShared
)

// pgHold counts how often a session holds a lock, in each mode, for the session and for its transaction.
type pgHold struct{ session, transaction [2]int }

func (h *pgHold) any(m pgLockMode) bool { return h.session[m]+h.transaction[m] > 0 }

func (h *pgHold) empty() bool { return !h.any(pgExclusive) && !h.any(pgShared) }

type pgLock struct {
	holders map[uint32]*pgHold
	changed chan struct{} // closed when someone gives the lock back
}

var pgLocks = struct {
	sync.Mutex
	m    map[pgLockKey]*pgLock
	keys atomic.Int64 // of m
}{m: map[pgLockKey]*pgLock{}}

// pgTryLock takes a lock if no other session stands in the way; otherwise it returns what to wait for.
func pgTryLock(k pgLockKey, owner uint32, mode pgLockMode, transaction bool) (ok bool, wait <-chan struct{}) {
	pgLocks.Lock()
	defer pgLocks.Unlock()
	l := pgLocks.m[k]
	if l == nil {
		l = &pgLock{holders: map[uint32]*pgHold{}, changed: make(chan struct{})}
		pgLocks.m[k] = l
		pgLocks.keys.Add(1)
	}
	for who, h := range l.holders {
		if who != owner && (mode == pgExclusive || h.any(pgExclusive)) {
			return false, l.changed
		}
	}
	h := l.holders[owner]
	if h == nil {
		h = &pgHold{}
		l.holders[owner] = h
	}
	if transaction {
		h.transaction[mode]++
	} else {
		h.session[mode]++
	}
	return true, nil
}

// pgWaitLock takes a lock, waiting for it while ctx lasts.
func pgWaitLock(ctx context.Context, k pgLockKey, owner uint32, mode pgLockMode, transaction bool) error {
	for {
		ok, wait := pgTryLock(k, owner, mode, transaction)
		if ok {
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return errInterrupted()
		}
	}
}

// drop forgets a hold that is empty and wakes those that wait. pgLocks is locked.
func (l *pgLock) drop(k pgLockKey, owner uint32) {
	if h := l.holders[owner]; h != nil && h.empty() {
		delete(l.holders, owner)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	if len(l.holders) == 0 {
		delete(pgLocks.m, k)
		pgLocks.keys.Add(-1)
	}
}

// pgUnlock gives one session-level hold back; false if there was none.
func pgUnlock(k pgLockKey, owner uint32, mode pgLockMode) bool {
	pgLocks.Lock()
	defer pgLocks.Unlock()
	l := pgLocks.m[k]
	if l == nil || l.holders[owner] == nil || l.holders[owner].session[mode] == 0 {
		return false
	}
	l.holders[owner].session[mode]--
	l.drop(k, owner)
	return true
}

func pgRelease(owner uint32, session bool) {
	if pgLocks.keys.Load() == 0 {
		return // it is asked at the end of each transaction
	}
	pgLocks.Lock()
	defer pgLocks.Unlock()
	for k, l := range pgLocks.m {
		h := l.holders[owner]
		if h == nil {
			continue
		}
		h.transaction = [2]int{}
		if session {
			h.session = [2]int{}
		}
		l.drop(k, owner)
	}
}

// ReleaseTransactionLocks gives back the advisory locks of a session's transaction; the session calls it when the
// transaction ended.
func ReleaseTransactionLocks(connectionID uint32) { pgRelease(connectionID, false) }

// ReleaseLocks gives back all advisory locks of a session, when it ends.
func ReleaseLocks(connectionID uint32) { pgRelease(connectionID, true) }

func init() {
	const i4, i8, v, b = types.Int4, types.Int8, types.Void, types.Bool
	for name, f := range pgLockFuncs {
		res := b
		if f.wait {
			res = v
		}
		define(pg,
			pgVolatile(pgFn(name, res, "bop_"+name+"($1)", i8)),
			pgVolatile(pgFn(name, res, "bop_"+name+"($1, $2)", i4, i4)),
		)
	}
	define(pg, pgVolatile(pgFn("pg_advisory_unlock_all", v, "bop_pg_advisory_unlock_all()")))

	implement(func(r *Registrar) {
		env := r.Env
		for name, f := range pgLockFuncs {
			for _, n := range []int{1, 2} {
				r.Impure("bop_"+name, n, func(ctx sqlite3.Context, arg Values) {
					if anyNull(arg) {
						return
					}
					k := pgLockKey{database: env.Database, key: [2]int64{0, arg[0].Int64()}}
					if len(arg) == 2 {
						k.key = [2]int64{1<<32 | arg[0].Int64()&0xffffffff, arg[1].Int64()}
					}
					switch {
					case f.unlock:
						ctx.ResultBool(pgUnlock(k, env.ConnectionID, f.mode))
					case f.wait:
						if err := pgWaitLock(interruptOf(ctx), k, env.ConnectionID, f.mode, f.transaction); err != nil {
							fail(ctx, err)
							return
						}
						ctx.ResultText("")
					default:
						ok, _ := pgTryLock(k, env.ConnectionID, f.mode, f.transaction)
						ctx.ResultBool(ok)
					}
				})
			}
		}
		r.Impure("bop_pg_advisory_unlock_all", 0, func(ctx sqlite3.Context, _ Values) {
			pgLocks.Lock()
			defer pgLocks.Unlock()
			for k, l := range pgLocks.m {
				if h := l.holders[env.ConnectionID]; h != nil && k.database == env.Database {
					h.session = [2]int{}
					l.drop(k, env.ConnectionID)
				}
			}
			ctx.ResultText("")
		})
	})
}

var pgLockFuncs = map[string]struct {
	mode                      pgLockMode
	wait, transaction, unlock bool
}{
	"pg_advisory_lock":                 {mode: pgExclusive, wait: true},
	"pg_advisory_lock_shared":          {mode: pgShared, wait: true},
	"pg_advisory_xact_lock":            {mode: pgExclusive, wait: true, transaction: true},
	"pg_advisory_xact_lock_shared":     {mode: pgShared, wait: true, transaction: true},
	"pg_try_advisory_lock":             {mode: pgExclusive},
	"pg_try_advisory_lock_shared":      {mode: pgShared},
	"pg_try_advisory_xact_lock":        {mode: pgExclusive, transaction: true},
	"pg_try_advisory_xact_lock_shared": {mode: pgShared, transaction: true},
	"pg_advisory_unlock":               {mode: pgExclusive, unlock: true},
	"pg_advisory_unlock_shared":        {mode: pgShared, unlock: true},
}
