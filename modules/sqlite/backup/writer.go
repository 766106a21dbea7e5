package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// Writer is the one that may change the bucket, under a fence epoch. Its methods may be called concurrently.
//
// Every manifest names its writer, and has a sequence number that no other attempt of that writer has. So whoever reads
// it knows which attempt has succeeded, whatever became of the answers.
type Writer struct {
	s     *Space
	epoch uint64
	id    [16]byte

	current atomic.Pointer[Manifest]

	mu    sync.Mutex // held by whoever swaps the manifest
	etag  string     // of current in the bucket
	tried uint64     // highest sequence of any attempt

	pinned struct {
		sync.Mutex
		seen map[string]bool // keys of pins
	}

	state struct {
		sync.Mutex
		stopped error           // why this writer is of no use any more
		put     map[string]bool // keys that were begun here and that no manifest has named yet
	}
}

// Writer makes the writer for a leadership: it reads the manifest, or begins one, and writes it with the new epoch at
// once, so that every writer of an older epoch is stopped. It fails with a *FencedError if the bucket has seen a later
// leadership, with ErrTakenOver if the database goes on under another lineage.
func (s *Space) Writer(ctx context.Context, epoch uint64) (*Writer, error) {
	w, err := s.writer(ctx, epoch, 0, func(*Manifest) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("taking over the backup of database %s, lineage %016x: %w", s.o.Database, s.o.Lineage, err)
	}
	return w, nil
}

// writer makes one whose first manifest has been changed, and has a sequence number above least.
func (s *Space) writer(ctx context.Context, epoch, least uint64, change func(*Manifest) error) (*Writer, error) {
	for attempt := 1; ; attempt++ {
		w := &Writer{s: s, epoch: epoch}
		rand.Read(w.id[:]) // never fails
		w.state.put, w.pinned.seen = map[string]bool{}, map[string]bool{}
		m, etag, err := s.Load(ctx)
		switch {
		case errors.Is(err, ErrNoBackup):
			m, etag = &Manifest{Database: s.o.Database, Lineage: s.o.Lineage}, ""
		case err != nil:
			return nil, err
		case m.Epoch > epoch:
			return nil, &FencedError{epoch, m.Epoch}
		case m.Successor != 0:
			return nil, takenOver(m)
		}
		w.current.Store(m)
		w.etag, w.tried = etag, max(m.Sequence, least)
		next, err := w.next(change)
		if err != nil {
			return nil, err
		}
		err = w.swap(ctx, next)
		if (errors.Is(err, ErrFenced) || errors.Is(err, errLate)) && attempt < swapAttempts {
			continue // someone else's manifest came between: look again whose
		}
		if err != nil {
			return nil, err
		}
		return w, nil
	}
}

func takenOver(m *Manifest) error {
	return fmt.Errorf("%w: lineage %016x has taken over from %016x", ErrTakenOver, m.Successor, m.Lineage)
}

// Space is the one that the writer writes to.
func (w *Writer) Space() *Space { return w.s }

// Epoch is the leadership that the writer belongs to.
func (w *Writer) Epoch() uint64 { return w.epoch }

// Manifest is the newest manifest that this writer knows to be in the bucket. It must not be changed.
func (w *Writer) Manifest() *Manifest { return w.current.Load() }

// Stopped says why the writer can't go on: ErrFenced or ErrTakenOver. It is nil as long as nothing is known against it.
func (w *Writer) Stopped() error {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.stopped
}

func (w *Writer) stop(err error) error {
	w.state.Lock()
	defer w.state.Unlock()
	if w.state.stopped == nil {
		w.state.stopped = err
		w.s.o.Logger.Warn("the backup has another writer", "database", w.s.o.Database.String(), "error", err)
	}
	return w.state.stopped
}

// begins notes that an object is about to be put.
func (w *Writer) begins(keys ...string) {
	w.state.Lock()
	defer w.state.Unlock()
	for _, k := range keys {
		w.state.put[k] = true
	}
}

// Commit swaps the manifest for one that change has changed. Objects that it ceases to name become garbage. change may
// be called several times, each time with the newest manifest; it gets a copy, and must not keep it.
//
// ErrFenced and ErrTakenOver stop the writer for good. The error of change, and one about what it made of the manifest,
// leave everything as it was. After any other error the change may have happened, or may happen a little later: the next
// Commit finds out, and stands on whichever manifest there is.
func (w *Writer) Commit(ctx context.Context, change func(*Manifest) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.Stopped(); err != nil {
		return err
	}
	if err := w.commit(ctx, change); err != nil {
		return fmt.Errorf("changing the manifest of database %s: %w", w.s.o.Database, err)
	}
	return nil
}

// errLate: an earlier attempt, which was given up, has succeeded after all, and the manifest is another one now.
var errLate = errors.New("the bucket refuses to replace the manifest, or an earlier change of it came through late")

// swapAttempts is how often a swap is tried that finds another manifest than it thought.
const swapAttempts = 10

func (w *Writer) commit(ctx context.Context, change func(*Manifest) error) error {
	for attempt := 1; ; attempt++ {
		next, err := w.next(change)
		if err != nil {
			return err
		}
		if err = w.swap(ctx, next); !errors.Is(err, errLate) || attempt == swapAttempts {
			return err
		}
	}
}

// next makes the manifest that is to follow the current one.
func (w *Writer) next(change func(*Manifest) error) (*Manifest, error) {
	m := w.Manifest()
	next := m.Clone()
	w.tried++
	next.Sequence, next.Epoch, next.writer = w.tried, w.epoch, w.id
	if err := change(next); err != nil {
		return nil, err
	}
	if next.Sequence != w.tried || next.Epoch != w.epoch || next.Database != m.Database || next.Lineage != m.Lineage || next.writer != w.id {
		return nil, errors.New("a change must leave the manifest's sequence, epoch, database and lineage alone")
	}
	if err := next.check(); err != nil {
		return nil, err
	}
	return next, next.sweepOut(m, w.s.o.Clock())
}

// openedBy fails if what the manifest is the first to name is sealed by a data key that isn't in the keyring which goes with
// it: nobody could restore it.
func (m *Manifest) openedBy(ring *crypt.Keyring) error {
	missing := func(key string, id uint32) error {
		if id == 0 || ring != nil && ring.Has(id) {
			return nil
		}
		return fmt.Errorf("%s is sealed by data key %d, which isn't in the keyring that goes to the bucket with it", key, id)
	}
	for i := range m.Objects {
		if o := &m.Objects[i]; o.Sequence == m.Sequence {
			if err := missing(o.Key, o.DataKey); err != nil {
				return err
			}
		}
	}
	for i := range m.Logs {
		l := &m.Logs[i]
		if l.Sequence != m.Sequence {
			continue
		}
		for _, id := range l.DataKeys {
			if err := missing(l.Key, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepOut makes garbage of what the manifest before named and this one doesn't.
func (m *Manifest) sweepOut(before *Manifest, now time.Time) error {
	for i := range m.Objects {
		if o := &m.Objects[i]; o.Sequence == 0 {
			o.Sequence = m.Sequence
		}
	}
	for i := range m.Logs {
		if l := &m.Logs[i]; l.Sequence == 0 {
			l.Sequence = m.Sequence
		}
	}
	m.discard(before.names(), now)
	names := m.names()
	for _, g := range m.Garbage {
		if has(names, g.Key) {
			return fmt.Errorf("%s was dropped before and can't be named again: put it anew", g.Key)
		}
	}
	return nil
}

// discard makes garbage of those of some names that the manifest doesn't have.
func (m *Manifest) discard(named map[string]uint64, now time.Time) {
	names := m.names()
	known := make(map[string]bool, len(m.Garbage))
	for _, g := range m.Garbage {
		known[g.Key] = true
	}
	for _, k := range slices.Sorted(maps.Keys(named)) {
		if !has(names, k) && !known[k] {
			m.Garbage = append(m.Garbage, Garbage{Key: k, Since: now.UTC(), Named: named[k], Sequence: m.Sequence})
		}
	}
}

// swap puts next in place of the current manifest. Errors: FencedError, ErrTakenOver, errLate, and those that leave it
// open. mu is held, or w isn't known to anyone yet.
func (w *Writer) swap(ctx context.Context, next *Manifest) error {
	ring, err := w.s.Keyring(ctx, next.Keyring)
	if err != nil {
		return err
	}
	if len(next.Keyring) > 0 {
		if _, generation, err := crypt.PeekKeyring(next.Keyring); err != nil {
			return err
		} else if generation > ring.Generation() {
			return fmt.Errorf("the backup has the keyring of generation %d, and here is only generation %d: replacing it would lose data keys; load the newer one", generation, ring.Generation())
		}
	}
	if err := next.openedBy(ring); err != nil {
		return err
	}
	b, err := encode(next, ring)
	if err != nil {
		return err
	}
	if next.Keyring = nil; ring != nil {
		next.Keyring = ring.Encode()
	}
	o := objstore.PutOptions{IfAbsent: w.etag == "", IfMatch: w.etag}
	info, err := put(ctx, w.s.objects, w.s.manifestKey(), b, o)
	if err == nil {
		w.took(next, info.ETag)
		return nil
	}
	refused := errors.Is(err, objstore.ErrChanged) || errors.Is(err, objstore.ErrExists)
	if !refused && errors.Is(err, objstore.ErrDenied) {
		return err
	}
	// Either another manifest is there, or the answer was lost: only the bucket knows. It is asked even if the caller has
	// given up, because it costs little and spares the caller a change that may have happened.
	lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	found, lerr := w.look(lctx)
	switch {
	case lerr != nil && (errors.Is(lerr, ErrFenced) || errors.Is(lerr, ErrTakenOver)):
		return lerr
	case lerr != nil:
		return fmt.Errorf("%w; and it can't be found out whether it has happened: %w", err, lerr)
	case found.Sequence == next.Sequence:
		return nil
	case refused:
		return errLate
	}
	return fmt.Errorf("%w (it hasn't happened, but may yet: the request may still be on its way)", err)
}

// took notes that the bucket has m now.
func (w *Writer) took(m *Manifest, etag string) {
	w.current.Store(m)
	w.etag = etag
	w.tried = max(w.tried, m.Sequence)
	w.state.Lock()
	defer w.state.Unlock()
	for k := range m.keys {
		delete(w.state.put, k)
	}
}

// look reads which manifest there is, and stops the writer if it is another one's. mu is held.
func (w *Writer) look(ctx context.Context) (*Manifest, error) {
	b, etag, err := w.s.loadRaw(ctx)
	if errors.Is(err, ErrNoBackup) && w.etag == "" {
		return w.Manifest(), nil // there was none before either
	}
	if err != nil {
		return nil, err
	}
	e, _, _, err := split(b)
	if err != nil {
		return nil, err
	}
	if e.writer != w.id && (etag != w.etag || e.sequence != w.Manifest().Sequence) {
		// Keys aren't needed to know that another one writes; a successor is only seen with them.
		if m, err := w.s.Decode(ctx, b); err == nil && m.Successor != 0 {
			return nil, w.stop(takenOver(m))
		}
		return nil, w.stop(&FencedError{w.epoch, e.epoch})
	}
	m, err := w.s.Decode(ctx, b)
	if err != nil {
		return nil, err
	}
	if m.Successor != 0 {
		return nil, w.stop(takenOver(m))
	}
	w.took(m, etag)
	return m, nil
}

// randomName is 8 hexadecimal digits.
func randomName() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
