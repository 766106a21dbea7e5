package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// A new wrapping key costs a transaction of a few hundred bytes. A new data key is one too; from there on everything is
// sealed by it, and what was sealed before is sealed anew behind that: pages by the owner, a few at a time, the bucket by
// a new full object. Where the owner is needn't be noted: every slot says by which key it is sealed.

// RekeyOptions say which keys are changed.
type RekeyOptions struct {
	// Wrap wraps the data keys anew, by the key provider's current key.
	Wrap bool
	// Data draws a new data key. A database in the clear is encrypted by its first one.
	Data bool
	// BytesPerSecond bounds how fast pages are sealed anew. 0: no bound but that statements go first.
	BytesPerSecond int64
}

// RekeyStatus tells how far a change of keys is, on this server.
type RekeyStatus struct {
	Encrypted bool
	Keys      []crypt.KeyInfo
	// Running: pages are being sealed anew. Done of Total are, in bytes; Total is 0 if there was nothing to do.
	Running     bool
	Done, Total int64
	// Stale counts the objects in the bucket that are sealed by an old key, or in the clear: history that Retention keeps, or
	// what the next full object replaces.
	Stale int
}

// reseal is the work of sealing pages anew.
type reseal struct {
	mu          sync.Mutex
	running     bool
	rate        int64
	done, total int64

	cursor uint32    // of the owner
	begun  time.Time // of this stretch at this rate
	bytes  int64     // since then
}

type resealStep struct{}

// resealBytes are sealed by one checkpoint.
const resealBytes = 4 << 20

// Rekey changes the database's keys. It returns when the new ones are committed; what was sealed before is sealed anew in the
// background, by every server, and goes on after a crash. Only the leader can: ErrNotLeader.
func (db *DB) Rekey(ctx context.Context, o RekeyOptions) error {
	if !o.Wrap && !o.Data {
		return fmt.Errorf("changing the keys of database %q: say which: the wrapping key, or the data key", db.Name())
	}
	if err := db.host.Writable(); err != nil {
		return fmt.Errorf("changing the keys of database %q: %w", db.Name(), err)
	}
	db.reseal.mu.Lock()
	db.reseal.rate = o.BytesPerSecond
	db.reseal.mu.Unlock()
	p := db.host.o.Keys
	err := db.changeKeys(ctx, func(old *crypt.Keyring) (*crypt.Keyring, error) {
		switch {
		case old == nil && !o.Data:
			return nil, errors.New("it is in the clear: there are no keys to wrap; give it a data key to encrypt it")
		case old == nil:
			return crypt.NewKeyring(ctx, p, db.ID())
		case !o.Data:
			return old.Rewrap(ctx, p)
		}
		if o.Wrap {
			var err error
			if old, err = old.Rewrap(ctx, p); err != nil {
				return nil, err
			}
		}
		return old.Rotate(ctx, p)
	})
	if err != nil {
		return fmt.Errorf("changing the keys of database %q: %w", db.Name(), err)
	}
	// So that the keys are beside the page file when the caller hears of them.
	return db.Checkpoint(ctx)
}

// RekeyStatus tells how far the last change of keys is.
func (db *DB) RekeyStatus() RekeyStatus {
	s := RekeyStatus{}
	k := db.current().Keys()
	if k != nil {
		s.Encrypted, s.Keys = true, k.Keys()
	}
	r := &db.reseal
	r.mu.Lock()
	s.Running, s.Done, s.Total = r.running, r.done, r.total
	r.mu.Unlock()
	if db.cold != nil && k != nil {
		if m := db.cold.known(); m != nil {
			s.Stale = len(stale(m, k))
		}
	}
	return s
}

// RetireKeys drops the data keys that nothing is sealed by any more, which happens by itself now and then. It tells what
// still needs one, "" if none is left.
func (db *DB) RetireKeys(ctx context.Context) (need string, err error) {
	if db.cold == nil {
		return db.retireKeys(ctx)
	}
	err = db.WithBackup(ctx, func(ctx context.Context, w *backup.Writer) error {
		need, err = db.retireKeys(ctx)
		return err
	})
	return need, err
}

// stale lists the page objects that are sealed by another key than the current one.
func stale(m *backup.Manifest, k *crypt.Keyring) (keys []string) {
	for i := range m.Objects {
		if o := &m.Objects[i]; o.Header == nil || crypt.ObjectKey(o.Header) != k.Current() {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// beginReseal is called by the owner, self, when pages may be sealed by old keys.
func (db *DB) beginReseal(self *actor.PID) {
	r := &db.reseal
	r.mu.Lock()
	r.running, r.cursor, r.done, r.begun, r.bytes = true, 1, 0, time.Now(), 0
	t := db.file.Newest()
	r.total = int64(t.State.Pages) * int64(t.State.Size)
	t.Release()
	r.mu.Unlock()
	db.host.system.Root.Send(self, &resealStep{})
}

// resealSome seals some pages anew and asks for its next turn.
func (db *DB) resealSome(self *actor.PID) {
	r := &db.reseal
	h := db.host
	if db.file == nil || db.kept == nil || !db.file.Sealable() || h.life.Err() != nil {
		return
	}
	start := r.cursor
	var written int64
	next := r.cursor
	err := db.current().Upkeep(h.life, db.file, func(c *pagefile.Checkpoint) (bool, error) {
		var err error
		next, written, err = c.Reseal(h.life, r.cursor, resealBytes, db.kept.Current())
		return written > 0, err
	})
	pause := time.Duration(0)
	if err != nil {
		h.o.Logger.Warn("sealing pages anew was interrupted, it goes on", "database", db.Name(), "error", err)
		pause, next = time.Second, start
	}
	r.mu.Lock()
	r.bytes += written
	if r.rate > 0 && err == nil {
		pause = max(0, time.Duration(float64(r.bytes)/float64(r.rate)*float64(time.Second))-time.Since(r.begun))
	}
	r.cursor = next
	r.done = min(r.total, int64(next)*int64(db.file.PageSize()))
	if err == nil && next == 0 {
		r.done, r.running = r.total, false
	}
	more := r.running
	r.mu.Unlock()
	if more {
		root := h.system.Root
		if pause == 0 {
			root.Send(self, &resealStep{})
		} else {
			time.AfterFunc(pause, func() { root.Send(self, &resealStep{}) })
		}
		return
	}
	mixed := db.file.Mixed()
	db.file.Resealed()
	err = db.file.Again()
	if err == nil && mixed {
		err = db.file.Scrub(h.life)
	}
	if err != nil {
		h.o.Logger.Warn("clearing away what was sealed by old keys failed", "database", db.Name(), "error", err)
	}
	h.o.Logger.Info("all pages are sealed by the current data key", "database", db.Name(), "key", db.kept.Current())
}
