package pagestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// keys are the keyrings of the heads, nil as long as the database is in the clear. A keyring is brought by a transaction
// of its own, and what comes after that is sealed by it.
type keys struct {
	committed, executed *crypt.Keyring

	sealer *crypt.LogSealer // of sealing and epoch
	of     *crypt.Keyring
	epoch  uint64
}

// Keys is the keyring of the committed head, nil if the database is in the clear.
func (s *Store) Keys() *crypt.Keyring {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys.committed
}

func (o *Options) openKeyring(b []byte) (*crypt.Keyring, error) {
	if o.OpenKeyring == nil {
		return nil, crypt.ErrNoProvider
	}
	return o.OpenKeyring(b)
}

// sealer seals the next transaction of the executed head, nil: it stays in the clear. Each leadership and each keyring has
// its own.
func (s *Store) sealer(epoch uint64) *crypt.LogSealer {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.keys
	if k.executed == nil {
		return nil
	}
	if k.sealer == nil || k.of != k.executed || k.epoch != epoch {
		k.sealer, k.of, k.epoch = k.executed.LogSealer(s.o.Identity.Lineage), k.executed, epoch
	}
	return k.sealer
}

// seal seals a part of a record if the database is encrypted.
func (b *builder) seal(rec []byte) ([]byte, error) {
	if b.sealer == nil {
		return rec, nil
	}
	return record.Seal(rec, b.sealer)
}

// CommitKeys proposes a transaction that changes nothing but the keyring, which change makes of the one before, and
// waits for it. It queues for the writer's place. Records that come after it are sealed by the new keyring.
func (s *Store) CommitKeys(ctx context.Context, timeout time.Duration, change func(old *crypt.Keyring) (*crypt.Keyring, error)) error {
	if err := s.AcquireWriter(ctx, timeout); err != nil {
		return err
	}
	p, err := s.commitKeys(ctx, change)
	if err != nil {
		return err
	}
	return p.Wait(ctx)
}

func (s *Store) commitKeys(ctx context.Context, change func(old *crypt.Keyring) (*crypt.Keyring, error)) (*Pending, error) {
	defer s.ReleaseWriter()
	epoch, err := s.o.Log.Epoch()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	var sn Snapshot
	if err := s.Pin(&sn, true); err != nil {
		return nil, err
	}
	defer sn.Release()
	s.mu.RLock()
	was := s.keys.executed
	s.mu.RUnlock()
	k, err := change(was)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	if was != nil && k.Generation() <= was.Generation() {
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, errors.New("the keyring is older than the one that is there"))
	}
	old := sn.State
	b := builder{s: s, sn: &sn, ctx: ctx, epoch: epoch, keyring: k, state: old}
	b.state.TXID, b.state.Epoch, b.state.Time = old.TXID+1, epoch, max(old.Time, time.Now().UnixMicro())
	if b.state.Size == 0 {
		b.state.Size = page.DefaultSize
	}
	b.w.Begin(record.Header{
		Database: s.o.Identity.Database, Lineage: s.o.Identity.Lineage, Epoch: epoch,
		TXID: b.state.TXID, Prev: old.TXID, Time: b.state.Time, Size: b.state.Size,
	})
	b.rec = b.w.FinishKeys(record.Commit{Pages: old.Pages, PrevChecksum: old.Checksum, Checksum: old.Checksum}, k.Encode())
	return s.submit(ctx, &sn, &b, false)
}
