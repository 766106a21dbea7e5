package pagestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// Applied says what became of a record from the log.
type Applied uint8

const (
	// Done: it was the next transaction and is committed now.
	Done Applied = iota
	// Part: it is a part of a transaction whose last part hasn't come yet.
	Part
	// Old: the store had it already.
	Old
	// Passed: it does not follow the committed head, and everyone passes over it.
	Passed
)

// assembly is a transaction of which some parts have come.
type assembly struct {
	h        record.Header
	overlay  *Overlay
	checksum uint64
	pages    []uint32
	bytes    int64
}

// Apply takes a committed record from the log at pos, in log order. It must not be used while proposals are pending.
// ErrDiverged and ErrForeign stop the database.
func (s *Store) Apply(pos uint64, rec []byte) (Applied, error) { return s.apply(pos, 0, rec) }

// apply takes a committed record whose epoch must be that of the log there, unless epoch is 0.
func (s *Store) apply(pos, epoch uint64, rec []byte) (Applied, error) {
	heads := s.Heads()
	st := heads.Committed
	if pos <= heads.Position && st.TXID > 0 {
		s.dropParts()
		return Old, nil
	}
	p, err := record.PlaceOf(rec)
	if err != nil {
		return Passed, fmt.Errorf("log position %d: %w", pos, err)
	}
	if p.Database != s.o.Identity.Database || p.Lineage != s.o.Identity.Lineage {
		return Passed, fmt.Errorf("log position %d: %w", pos, ErrForeign)
	}
	// Before it is opened: what was proposed on a version that was dropped may be sealed by a key that was dropped with it.
	if p.TXID != st.TXID+1 || p.Epoch < st.Epoch || epoch != 0 && p.Epoch != epoch {
		s.dropParts()
		return Passed, nil
	}
	r, err := record.DecodeSealed(rec, s.Keys())
	if err != nil {
		return Passed, fmt.Errorf("log position %d: %w", pos, err)
	}
	if r.Prev != st.TXID {
		s.dropParts()
		return Passed, nil
	}
	if r.Part > 1 {
		if a := s.parts; a == nil || a.h.Epoch != r.Epoch || a.h.TXID != r.TXID || a.h.Part+1 != r.Part || a.h.Size != r.Size || a.h.Image != r.Image {
			s.dropParts()
			return Passed, nil
		}
	} else {
		s.dropParts()
		if st.Size != 0 && st.Pages != 0 && r.Size != st.Size && !r.Image {
			return Passed, fmt.Errorf("log position %d: %w: page size %d instead of %d", pos, ErrDiverged, r.Size, st.Size)
		}
		a := &assembly{h: r.Header, checksum: st.Checksum}
		if r.Image {
			a.checksum = 0
		}
		a.overlay = NewOverlay(s.o.Temp, s.o.TxnMemory, r.Size, 0)
		s.parts = a
	}
	before := *s.parts
	s.parts.h = r.Header
	err = s.gather(r, st)
	if err == nil {
		s.parts.bytes += int64(len(rec))
		if !r.Last {
			return Part, nil
		}
		err = s.finish(pos, r, st)
	}
	switch {
	case err == nil:
		s.dropParts()
		return Done, nil
	case Away(err) && r.Part > 1:
		*s.parts = before // so that the part can come again
	default:
		s.dropParts()
	}
	return Passed, fmt.Errorf("log position %d: %w", pos, err)
}

// Away tells whether an error is that of a bucket which doesn't answer now: the same record can be tried again.
func Away(err error) bool {
	return errors.Is(err, objstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

func (s *Store) dropParts() {
	if s.parts != nil {
		s.parts.overlay.Close()
		s.parts = nil
	}
}

// gather adds the pages of a part.
func (s *Store) gather(r *record.Record, st page.State) error {
	var sn Snapshot
	if err := s.Pin(&sn, false); err != nil {
		return err
	}
	defer sn.Release()
	a := s.parts
	buf := make([]byte, r.Size)
	return r.Pages(func(no uint32, d record.Delta) error {
		if n := len(a.pages); n > 0 && no <= a.pages[n-1] {
			return fmt.Errorf("%w: page %d comes twice", record.ErrCorrupt, no)
		}
		data := make([]byte, r.Size)
		if !r.Image && no <= st.Pages {
			base, sum, err := sn.Page(context.Background(), no, buf)
			if err != nil {
				return err
			}
			copy(data, base)
			a.checksum ^= sum
		}
		d.Apply(data)
		a.checksum ^= page.Sum(no, data)
		a.pages = append(a.pages, no)
		return a.overlay.put(no, data)
	})
}

// finish installs a transaction of which all parts have come.
func (s *Store) finish(pos uint64, r *record.Record, st page.State) error {
	a := s.parts
	if n := len(a.pages); n > 0 && a.pages[n-1] > r.Commit.Pages {
		return fmt.Errorf("%w: page %d is beyond the end", record.ErrCorrupt, a.pages[n-1])
	}
	if !r.Image {
		var sn Snapshot
		if err := s.Pin(&sn, false); err != nil {
			return err
		}
		defer sn.Release()
		for no := r.Commit.Pages + 1; no <= st.Pages; no++ {
			sum, err := sn.Sum(context.Background(), no)
			if err != nil {
				return err
			}
			a.checksum ^= sum
		}
	}
	if r.Commit.PrevChecksum != st.Checksum || r.Commit.Checksum != a.checksum {
		return fmt.Errorf("%w: transaction %d", ErrDiverged, r.TXID)
	}
	next := page.State{TXID: r.TXID, Epoch: r.Epoch, Size: r.Size, Pages: r.Commit.Pages, Checksum: a.checksum, Time: r.Time}
	changes := make([]change, len(a.pages))
	buf := make([]byte, r.Size)
	for i, no := range a.pages {
		stored := a.overlay.blocks[no]
		data, err := stored.load(buf)
		if err != nil {
			return err
		}
		changes[i] = change{no, version{sum: page.Sum(no, data), stored: stored}}
	}
	var keyring *crypt.Keyring
	if r.Keyring != nil {
		var err error
		if keyring, err = s.o.openKeyring(r.Keyring); err != nil {
			return fmt.Errorf("the keyring of transaction %d: %w", r.TXID, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		if !s.o.Arrives {
			return fmt.Errorf("transaction %d arrived while others are proposed here", r.TXID)
		}
		s.dropLocked() // they stood on what is superseded now
	}
	s.soil()
	s.install(changes, next)
	s.executed = next
	s.logged += a.bytes
	if keyring != nil {
		s.keys.executed = keyring
	}
	s.advance(next, pos, keyring)
	return nil
}
