package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// sequenceJump is how far the sequence of a new lineage begins above that of the one it comes from, so that sequences
// grow from one lineage to the next, and pins of the older one go on protecting.
const sequenceJump = 1 << 20

// Adopt begins a new lineage that goes on from the newest transaction that can be restored from this one. Its manifest
// names the objects of this one, as far as they lead there. Then this one gets its Successor, and its writers stop. The
// epoch is the one that the new lineage's first writer has.
//
// After a crash or an error in between it is called again with the same lineage; until it has returned, nobody may write
// to the new lineage. ErrTakenOver: another one has taken over.
func (s *Space) Adopt(ctx context.Context, lineage, epoch uint64) (*Manifest, error) {
	return s.AdoptAt(ctx, lineage, epoch, 0)
}

// AdoptAt is Adopt from a given transaction on, for going back in place; 0: the newest. What came after it is in the old
// lineage's manifest only, and is deleted when the new lineage's garbage is.
func (s *Space) AdoptAt(ctx context.Context, lineage, epoch uint64, at page.TXID) (*Manifest, error) {
	m, err := s.adopt(ctx, lineage, epoch, at)
	if err != nil {
		return nil, fmt.Errorf("going on with lineage %016x of database %s as %016x: %w", s.o.Lineage, s.o.Database, lineage, err)
	}
	return m, nil
}

func (s *Space) adopt(ctx context.Context, lineage, epoch uint64, at page.TXID) (*Manifest, error) {
	if lineage == 0 || lineage == s.o.Lineage {
		return nil, errors.New("the new lineage needs a number of its own")
	}
	o := s.o
	o.Lineage = lineage
	child := Open(o)
	m, _, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	if m.Successor == lineage {
		m, _, err = child.Load(ctx)
		return m, err
	}
	w, err := s.Writer(ctx, epoch)
	if err != nil {
		return nil, err
	}
	m = w.Manifest()
	if at == 0 {
		if r := m.Restorable(); len(r) > 0 {
			at = r[len(r)-1].Last
		}
	} else if _, err := m.Plan(Target{TXID: at}); err != nil {
		return nil, err
	}
	old, _, err := child.Load(ctx)
	if err != nil && !errors.Is(err, ErrNoBackup) {
		return nil, err
	}
	if err == nil && (old.Parent == nil || old.Parent.Lineage != s.o.Lineage) {
		return nil, errors.New("that lineage is in use already")
	}
	cw, err := child.writer(ctx, epoch, m.Sequence+sequenceJump, func(c *Manifest) error {
		m.continueAs(c, at, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = w.Commit(ctx, func(m *Manifest) error {
		m.Successor = lineage
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.stop(takenOver(w.Manifest()))
	return cw.Manifest(), nil
}

// continueAs makes c, a manifest of another lineage, go on from m at a transaction.
func (m *Manifest) continueAs(c *Manifest, at page.TXID, s *Space) {
	c.Name, c.Parent, c.Keyring = m.Name, &Fork{m.Lineage, at}, m.Keyring
	c.Successor, c.Position = 0, 0 // positions are those of a log that may not be there any more
	c.Objects, c.Logs = nil, nil
	for _, o := range m.Objects {
		if o.Max <= at {
			c.Objects = append(c.Objects, o)
		}
	}
	for _, l := range m.Logs {
		if l.First <= at {
			l.Last = min(l.Last, at)
			c.Logs = append(c.Logs, l)
		}
	}
	c.Garbage = slices.Clone(m.Garbage)
	c.discard(m.names(), s.o.Clock())
}
