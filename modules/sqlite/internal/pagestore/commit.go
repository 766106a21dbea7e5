package pagestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// Pending is a transaction that was proposed.
type Pending struct {
	State page.State // after it

	rec     []byte
	pages   []uint32
	keyring *crypt.Keyring // that it brings, nil: none
	dropped bool           // its versions are gone; guarded by the store's lock
	done    chan error
	stored  chan struct{} // closed when the record is on this server's disk; nil: nobody asks
}

// Wait returns when the outcome is known: nil, ErrNotCommitted or ErrOutcomeUnknown. If ctx ends before, the outcome
// is unknown.
func (p *Pending) Wait(ctx context.Context) error {
	select {
	case err := <-p.done:
		return err
	default:
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for it was given up: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// WaitStored returns nil as soon as the transaction is on this server's disk, or what Wait returns if that comes first.
func (p *Pending) WaitStored(ctx context.Context) error {
	select {
	case <-p.stored:
		return nil
	case err := <-p.done:
		p.resolve(err) // for who comes later
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for this server's disk was given up: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

func (p *Pending) resolve(err error) {
	select {
	case p.done <- err:
	default: // it has heard already
	}
}

// change is one page of a transaction that is being committed.
type change struct {
	no uint32
	version
}

// Commit installs the overlay as the next version and proposes it. sn must be the executed head and the caller have
// the writer's place, which Commit hands on, whatever the outcome. Overlay and snapshot stay the caller's. local says that
// somebody waits until the transaction is stored. A nil Pending without an error means that nothing had changed.
func (s *Store) Commit(ctx context.Context, sn *Snapshot, o *Overlay, local bool) (*Pending, error) {
	defer s.ReleaseWriter()
	if err := s.Failed(); err != nil {
		return nil, err
	}
	epoch, err := s.o.Log.Epoch()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	b := builder{s: s, sn: sn, o: o, ctx: ctx, epoch: epoch, sealer: s.sealer(epoch)}
	if err := b.build(); err != nil {
		if errors.Is(err, ErrSerialization) || errors.Is(err, ErrFailed) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	if len(b.changes) == 0 && b.state.Pages == sn.State.Pages {
		return nil, nil
	}
	return s.submit(ctx, sn, &b, local)
}

// submit installs what was built and proposes it.
func (s *Store) submit(ctx context.Context, sn *Snapshot, b *builder, local bool) (p *Pending, err error) {
	if err := s.o.Log.Admit(ctx, len(b.rec)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	p = &Pending{State: b.state, rec: b.rec, keyring: b.keyring, done: make(chan error, 1)}
	var stored func()
	if local {
		p.stored = make(chan struct{})
		stored = func() { close(p.stored) }
	}
	p.pages = make([]uint32, len(b.changes))
	for i, c := range b.changes {
		p.pages[i] = c.no
	}

	s.mu.Lock()
	switch {
	case s.failed != nil:
		err = s.failed
	case sn.lost || s.executed.TXID != sn.State.TXID:
		err = ErrSerialization
	default:
		s.soil()
		s.install(b.changes, b.state)
		s.executed = b.state
		if b.keyring != nil {
			s.keys.executed = b.keyring
		}
		sn.State = b.state // its owner sees what it wrote
		s.logged += b.bytes + int64(len(b.rec))
		s.pending = append(s.pending, p)
		// Under the lock: the log must see the records in the order in which they chain.
		s.propose(ctx, b.rec, stored, func(pos uint64, err error) { s.acknowledge(p, pos, err) })
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// soil notes when the first commit after a checkpoint comes. mu is held.
func (s *Store) soil() {
	if s.executed.TXID == s.base.State.TXID {
		s.dirty = time.Now()
	}
}

// install adds versions above all others. mu is held.
func (s *Store) install(changes []change, st page.State) {
	keep := s.pins()
	for _, c := range changes {
		c.txid = st.TXID
		if s.changes != nil {
			s.changes[c.no] = st.TXID
		}
		chain, ok := s.pages[c.no]
		if !ok {
			s.listed = append(s.listed, c.no)
		}
		if len(chain) > 1 {
			chain = s.prune(chain, keep)
		}
		s.pages[c.no] = append(chain, c.version)
		if c.spill != nil {
			c.spill.Acquire(1)
			s.spilled += int64(st.Size)
		} else {
			s.bytes += int64(len(c.data))
		}
	}
}

// pins lists in ascending order the transactions whose versions somebody reads, or may have to. mu is held.
func (s *Store) pins() []page.TXID {
	keep := append(s.pinned[:0], s.committed.TXID)
	for _, sn := range s.snaps {
		if !sn.lost && sn.State.TXID < s.committed.TXID {
			keep = append(keep, sn.State.TXID)
		}
	}
	slices.Sort(keep)
	s.pinned = slices.Compact(keep)
	return s.pinned
}

// prune drops from a chain what no pin needs and is not above the committed head. mu is held.
func (s *Store) prune(chain []version, keep []page.TXID) []version {
	out, k := chain[:0], 0
	for i, v := range chain {
		if i+1 == len(chain) || chain[i+1].txid > s.committed.TXID {
			out = append(out, v)
			continue
		}
		for k < len(keep) && keep[k] < v.txid {
			k++
		}
		if k < len(keep) && keep[k] < chain[i+1].txid {
			out = append(out, v)
			continue
		}
		s.forget(v)
	}
	clear(chain[len(out):])
	return out
}

// forget accounts for a version that goes. mu is held.
func (s *Store) forget(v version) {
	if v.spill != nil {
		v.spill.Release()
		s.spilled -= int64(s.executed.Size)
		return
	}
	s.bytes -= int64(len(v.data))
}

// acknowledge is called by the log, in order.
func (s *Store) acknowledge(p *Pending, pos uint64, err error) {
	s.mu.Lock()
	var result error
	var cause error
	switch {
	case err == nil && s.o.Arrives:
		// Arrive has told, unless the record was taken under another leadership than it names: everyone passes over it.
		if !slices.Contains(s.pending, p) {
			s.mu.Unlock()
			return
		}
		s.dropLocked()
		s.orphans = slices.DeleteFunc(s.orphans, func(o *Pending) bool { return o == p })
		result = fmt.Errorf("%w: the leadership ended before the log took it", ErrNotCommitted)
	case err == nil && !p.dropped && len(s.pending) > 0 && s.pending[0] == p:
		s.pending[0] = nil
		s.pending = s.pending[1:]
		s.advance(p.State, pos, p.keyring)
	case err == nil && p.dropped:
		// What it stood on was dropped, and now it is in the log. Everyone who reads the log finds that it doesn't
		// follow what came before, and passes over it.
		if p.State.TXID == s.committed.TXID+1 && len(s.pending) == 0 && s.follows(p) {
			cause = errors.New("the log holds a transaction that was dropped here")
			result = fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
			break
		}
		result = fmt.Errorf("%w: the one before it failed", ErrNotCommitted)
	case err == nil:
		cause = errors.New("the log acknowledged out of order")
		result = fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
	default:
		result = err
		if !errors.Is(err, ErrNotCommitted) && !errors.Is(err, ErrOutcomeUnknown) {
			result = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
		if !p.dropped {
			s.dropLocked()
		}
		s.orphans = slices.DeleteFunc(s.orphans, func(o *Pending) bool { return o == p })
	}
	p.rec = nil
	due := s.logged > s.o.CheckpointBytes || s.bytes > s.o.CheckpointBytes
	s.mu.Unlock()
	p.resolve(result)
	if cause != nil {
		s.Fail(cause)
	}
	if err != nil {
		s.o.Dropped(err)
		return
	}
	if due {
		s.o.Changed()
	}
}

// follows tells whether a dropped transaction fits on the committed head after all. mu is held.
func (s *Store) follows(p *Pending) bool {
	r, err := record.DecodeSealed(p.rec, s.keys.executed)
	return err == nil && r.Prev == s.committed.TXID && r.Commit.PrevChecksum == s.committed.Checksum && r.Epoch >= s.committed.Epoch
}

// DropSpeculative throws away everything above the committed head. Whoever waits for one of the dropped transactions
// hears of its outcome when the log answers.
func (s *Store) DropSpeculative() {
	s.mu.Lock()
	s.dropLocked()
	s.mu.Unlock()
}

func (s *Store) dropLocked() {
	floor := s.committed.TXID
	for _, p := range s.pending {
		p.dropped = true
		if s.o.Arrives {
			s.orphans = append(s.orphans, p)
		}
		for _, no := range p.pages {
			chain := s.pages[no]
			k := len(chain)
			for k > 0 && chain[k-1].txid > floor {
				k--
				s.forget(chain[k])
			}
			clear(chain[k:])
			if len(chain) > 0 {
				s.pages[no] = chain[:k]
			}
		}
	}
	s.pending = nil
	s.executed = s.committed
	s.keys.executed = s.keys.committed
	s.drops = append(s.drops, drop{s.rollback, floor})
	s.rollback++
	for _, sn := range s.snaps {
		if sn.State.TXID > floor {
			sn.lost = true
		}
	}
	s.waiters = slices.DeleteFunc(s.waiters, func(w headWaiter) bool {
		w.done <- ErrSerialization
		return true
	})
}

// builder turns an overlay into records and versions.
type builder struct {
	s     *Store
	sn    *Snapshot
	o     *Overlay
	ctx   context.Context
	epoch uint64

	w       record.Writer
	state   page.State
	changes []change
	image   bool
	bytes   int64 // of the parts that are proposed
	parts   []chan error
	rec     []byte           // the last part, or the only one
	sealer  *crypt.LogSealer // nil: it isn't sealed
	keyring *crypt.Keyring   // what it brings
}

func (b *builder) build() error {
	size, err := b.pageSize()
	if err != nil {
		return err
	}
	old := b.sn.State
	if b.o.size%int64(size) != 0 {
		return fmt.Errorf("the database would be %d bytes, which is no multiple of its page size %d", b.o.size, size)
	}
	b.image = old.Pages != 0 && old.Size != size
	b.state = page.State{
		TXID: old.TXID + 1, Epoch: b.epoch, Size: size, Pages: uint32(b.o.size / int64(size)),
		Checksum: old.Checksum, Time: max(old.Time, time.Now().UnixMicro()),
	}
	if b.image {
		b.state.Checksum = 0
	}
	b.w.Begin(record.Header{
		Database: b.s.o.Identity.Database, Lineage: b.s.o.Identity.Lineage, Epoch: b.epoch,
		TXID: b.state.TXID, Prev: old.TXID, Time: b.state.Time, Size: size, Image: b.image,
	})
	if b.image || b.o.block != size && b.o.block != 0 {
		err = b.rewrite()
	} else {
		err = b.delta()
	}
	if err != nil {
		return err
	}
	if b.rec, err = b.seal(b.w.Finish(record.Commit{Pages: b.state.Pages, PrevChecksum: old.Checksum, Checksum: b.state.Checksum})); err != nil {
		return err
	}
	// A part that failed makes the whole fail, so the last one waits for the others.
	for _, ch := range b.parts {
		if err := <-ch; err != nil {
			return fmt.Errorf("writing a part of the transaction: %w", err)
		}
	}
	return nil
}

// pageSize is the page size that the transaction leaves behind.
func (b *builder) pageSize() (uint32, error) {
	if !b.o.Has(1) && b.sn.State.Size != 0 {
		return b.sn.State.Size, nil
	}
	var field [2]byte
	if ok, err := b.o.Read(1, field[:], 16); !ok || err != nil {
		return 0, errors.Join(errors.New("the first page is missing"), err)
	}
	size := uint32(binary.BigEndian.Uint16(field[:]))
	if size == 1 {
		size = page.MaxSize
	}
	if !page.ValidSize(size) {
		return 0, fmt.Errorf("page size %d is not one of SQLite's", size)
	}
	return size, nil
}

// delta adds what changed.
func (b *builder) delta() error {
	old := b.sn.State
	nos := b.o.numbers()
	if b.state.Pages > old.Pages {
		// Pages that came to be without being written are zeros, and said to be.
		for no := old.Pages + 1; no <= b.state.Pages; no++ {
			if !b.o.Has(no) {
				nos = append(nos, no)
			}
		}
		slices.Sort(nos)
	}
	data, base := make([]byte, b.state.Size), make([]byte, b.state.Size)
	for _, no := range nos {
		if no > b.state.Pages {
			break
		}
		st, ok := b.o.blocks[no]
		if !ok {
			st.data = page.Zeros(b.state.Size)
		}
		d, err := st.load(data)
		if err != nil {
			return err
		}
		var was []byte
		var wasSum uint64
		if no <= old.Pages {
			if was, wasSum, err = b.sn.Page(b.ctx, no, base); err != nil {
				return err
			}
		}
		sum := page.Sum(no, d)
		if was != nil && sum == wasSum && string(was) == string(d) {
			continue
		}
		b.state.Checksum ^= sum ^ wasSum
		if err := b.add(no, d, was, version{sum: sum, stored: st}); err != nil {
			return err
		}
	}
	for no := b.state.Pages + 1; no <= old.Pages; no++ {
		sum, err := b.sn.Sum(b.ctx, no)
		if err != nil {
			return err
		}
		b.state.Checksum ^= sum
	}
	return nil
}

// rewrite writes every page anew: the page size changes.
func (b *builder) rewrite() error {
	size, block := int64(b.state.Size), int64(b.o.block)
	if b.o.block == 0 {
		block = int64(b.sn.State.Size)
	}
	out := NewOverlay(b.s.o.Temp, b.s.o.TxnMemory, b.state.Size, 0)
	defer out.Close()
	part := make([]byte, min(size, block))
	for no := uint32(1); no <= b.state.Pages; no++ {
		data := make([]byte, size)
		for at := int64(0); at < size; at += int64(len(part)) {
			off := int64(no-1)*size + at
			n, in := uint32(off/block)+1, int(off%block)
			ok, err := b.o.Read(n, part, in)
			if err == nil && !ok && n <= b.sn.State.Pages {
				err = b.sn.Read(b.ctx, n, part, in)
			} else if !ok {
				clear(part)
			}
			if err != nil {
				return err
			}
			copy(data[at:], part)
		}
		sum := page.Sum(no, data)
		b.state.Checksum ^= sum
		if err := out.put(no, data); err != nil {
			return err
		}
		st := out.blocks[no]
		if err := b.add(no, data, nil, version{sum: sum, stored: st}); err != nil {
			return err
		}
	}
	if out.spill != nil {
		// The versions' references are added when they are installed; until then the overlay's keeps the file.
		b.o.adopt(out)
	}
	return nil
}

func (b *builder) add(no uint32, data, base []byte, v version) error {
	b.w.Page(no, data, base)
	b.changes = append(b.changes, change{no, v})
	if b.w.Len() < record.PartBytes {
		return nil
	}
	rec, err := b.seal(b.w.Part())
	if err != nil {
		return err
	}
	if err := b.s.o.Log.Admit(b.ctx, len(rec)); err != nil {
		return err
	}
	b.bytes += int64(len(rec))
	ch := make(chan error, 1)
	b.parts = append(b.parts, ch)
	b.s.propose(b.ctx, rec, nil, func(_ uint64, err error) { ch <- err })
	return nil
}
