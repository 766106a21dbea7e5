package pagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// Arrive takes a committed record of a log that has several servers, in log order: one that was proposed here, or
// another server's. epoch is the leadership under which the log has taken it, 0 if that isn't known: a record that was
// made under another one is passed over, by everyone.
func (s *Store) Arrive(pos, epoch uint64, rec []byte) (Applied, error) {
	if own, due := s.arriveOwn(pos, epoch, rec); own {
		s.dropParts()
		if due {
			s.o.Changed()
		}
		return Done, nil
	}
	what, err := s.apply(pos, epoch, rec)
	if err != nil {
		return what, err
	}
	s.mu.Lock()
	due := s.overdue()
	s.settleOrphans(what, rec)
	s.mu.Unlock()
	if what == Done && due {
		s.o.Changed()
	}
	return what, nil
}

// arriveOwn recognises the transaction that waits for it, whose pages are here already.
func (s *Store) arriveOwn(pos, epoch uint64, rec []byte) (own, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return false, false
	}
	p := s.pending[0]
	if epoch != 0 && p.State.Epoch != epoch || p.State.TXID != s.committed.TXID+1 || !bytes.Equal(p.rec, rec) {
		return false, false
	}
	s.pending[0] = nil
	s.pending = s.pending[1:]
	s.advance(p.State, pos, p.keyring)
	p.rec = nil
	p.resolve(nil)
	return true, s.overdue()
}

func (s *Store) overdue() bool {
	return s.logged > s.o.CheckpointBytes || s.bytes > s.o.CheckpointBytes
}

// settleOrphans tells those whose transactions were dropped what became of them. mu is held. A transaction is committed
// if its record was applied. It never will be once another one has its number, or one of a later epoch was committed:
// everyone passes over it then.
func (s *Store) settleOrphans(what Applied, rec []byte) {
	if len(s.orphans) == 0 {
		return
	}
	st := s.committed
	s.orphans = slices.DeleteFunc(s.orphans, func(p *Pending) bool {
		switch {
		case what == Done && bytes.Equal(p.rec, rec):
			p.resolve(nil)
		case what == Passed && bytes.Equal(p.rec, rec), p.State.TXID <= st.TXID, p.State.Epoch < st.Epoch:
			p.resolve(fmt.Errorf("%w: another leader's transaction has its place", ErrNotCommitted))
		default:
			return false
		}
		p.rec = nil
		return true
	})
}

// GiveUp tells those whose dropped transactions have no known fate that it isn't known.
func (s *Store) GiveUp(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveUp(cause)
}

func (s *Store) giveUp(cause error) {
	for _, p := range s.orphans {
		p.resolve(fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause))
		p.rec = nil
	}
	s.orphans = nil
}

// Room waits until there is room for more versions in memory.
func (s *Store) Room(ctx context.Context) error { return s.waitForRoom(ctx) }

// Follows tells whether rec could be the next transaction of an empty database, whatever its name.
func Follows(rec []byte) (*record.Record, error) {
	r, err := record.Decode(rec)
	if err == nil && (r.TXID != 1 || r.Part != 1) {
		err = errors.New("it isn't the first of a database")
	}
	return r, err
}
