package seglog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
)

// ledger is the state machine of a segment: it keeps all its entries. What is saved outlives a crash.
type ledger struct {
	mu      sync.Mutex
	list    []raft.Entry
	has     uint64
	saved   []raft.Entry
	savedAt uint64
	fail    error // of the next Restore, in its middle
	failed  int
}

func (l *ledger) Applied() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.savedAt
}

func (l *ledger) Apply(_ context.Context, entries []raft.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		if e.Index <= l.has {
			return fmt.Errorf("entry %d comes after %d", e.Index, l.has)
		}
		l.list, l.has = append(l.list, raft.Entry{Position: e.Position, Data: bytes.Clone(e.Data)}), e.Index
	}
	return nil
}

type image struct{ *bytes.Reader }

func (image) Close() error { return nil }

func (l *ledger) Snapshot(context.Context) (seglog.Image, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := json.Marshal(l.list)
	return image{bytes.NewReader(b)}, err
}

func (l *ledger) Restore(_ context.Context, at raft.Position, body io.Reader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail; err != nil {
		l.fail = nil
		l.failed++
		_, _ = io.CopyN(io.Discard, body, 10)
		return err
	}
	var list []raft.Entry
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return err
	}
	l.list, l.has = list, at.Index
	l.saved, l.savedAt = slices.Clone(list), at.Index
	return nil
}

// save makes what was applied outlive a crash, and returns up to where that is.
func (l *ledger) save() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved, l.savedAt = slices.Clone(l.list), l.has
	return l.savedAt
}

// entries are those that were applied.
func (l *ledger) entries() []raft.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// ledgers are the state machines of a group's segments.
type ledgers struct {
	mu       sync.Mutex
	list     map[seglog.SegmentID]*ledger
	gone     map[seglog.SegmentID]bool
	restored []seglog.SegmentID
	advanced raft.Position
}

func newLedgers() *ledgers {
	return &ledgers{list: map[seglog.SegmentID]*ledger{}, gone: map[seglog.SegmentID]bool{}}
}

func (a *ledgers) Segments() (ids []seglog.SegmentID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.list {
		ids = append(ids, id)
	}
	return ids
}

func (a *ledgers) Segment(id seglog.SegmentID) (seglog.FSM, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone[id] {
		return nil, nil
	}
	if a.list[id] == nil {
		a.list[id] = &ledger{}
	}
	return a.list[id], nil
}

func (a *ledgers) Restored(ids []seglog.SegmentID, at raft.Position) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.restored, a.advanced = slices.Clone(ids), at
	for id := range a.list {
		if !slices.Contains(ids, id) {
			delete(a.list, id)
		}
	}
	return nil
}

func (a *ledgers) Advanced(at raft.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advanced = at
}

func (a *ledgers) get(id seglog.SegmentID) *ledger {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.list[id] == nil {
		a.list[id] = &ledger{}
	}
	return a.list[id]
}

// crashed is what a crash leaves.
func (a *ledgers) crashed() *ledgers {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := newLedgers()
	for id, l := range a.list {
		l.mu.Lock()
		left.list[id] = &ledger{list: slices.Clone(l.saved), has: l.savedAt, saved: slices.Clone(l.saved), savedAt: l.savedAt}
		l.mu.Unlock()
	}
	for id := range a.gone {
		left.gone[id] = true
	}
	return left
}

// member is a host's part of group 1, without Raft: what is written is committed.
type member struct {
	store    *seglog.Store
	segments *seglog.Segments
	app      *ledgers
}

// openMember opens a member and applies what its parent log has behind its start, as a group does.
func openMember(disk *crashfs.FS, app *ledgers) (m *member, err error) {
	m = &member{app: app}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if m.store, err = seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(disk)}); err != nil {
		return m, err
	}
	if m.segments, err = seglog.OpenSegments(context.Background(), segmentsOptions(disk, m.store)); err != nil {
		return m, err
	}
	if err = m.segments.Bind(context.Background(), app); err != nil {
		return m, err
	}
	start, last, err := m.store.Bounds(1)
	if err != nil || last == start.Index {
		return m, err
	}
	list, err := m.store.Entries(1, start.Index+1, last+1, 1<<40)
	if err != nil {
		return m, err
	}
	for _, e := range list {
		if err = m.apply(raft.Entry{Position: raft.Position{Index: e.GetIndex(), Term: e.GetTerm()}, Data: e.GetData()}); err != nil {
			return m, err
		}
	}
	return m, nil
}

func segmentsOptions(disk *crashfs.FS, store *seglog.Store) seglog.SegmentsOptions {
	return seglog.SegmentsOptions{Dir: "/segments", Store: store, Group: 1, Self: 1, AOF: small(disk), MoveInterval: time.Hour, MoveBytes: 1 << 40, Logger: quiet, System: system}
}

func (m *member) apply(e raft.Entry) error {
	_, err := m.segments.Apply(context.Background(), []raft.Entry{e})
	return err
}

// propose writes an entry for a segment and applies it.
func (m *member) propose(index uint64, seg seglog.SegmentID, size int) error {
	e := entry(1, index, 2, size)
	e.Data = seglog.Command(seg, e.Data)
	if err := m.store.Write([]raft.Update{{Group: 1, Entries: []*pb.Entry{e}, HardState: &raft.HardState{Term: 2, Commit: index}}}); err != nil {
		return err
	}
	return m.apply(raft.Entry{Position: raft.Position{Index: index, Term: 2}, Data: e.Data})
}

// begin writes the beginning of the group.
func (m *member) begin() error { return m.store.Write([]raft.Update{begin(1)}) }

// compact cuts the parent off up to what the segments' logs have on disk.
func (m *member) compact() error {
	if err := m.segments.Sync(context.Background()); err != nil {
		return err
	}
	at, err := m.segments.Applied()
	if err != nil {
		return err
	}
	return m.store.Compact(1, at.Index, nil)
}

// cover saves a segment's state and cuts its log.
func (m *member) cover(seg seglog.SegmentID) error {
	return m.segments.Covered(seg, m.app.get(seg).save())
}

func (m *member) close() (err error) {
	if m.segments != nil {
		err = m.segments.Close()
	}
	if m.store != nil {
		err = errors.Join(err, m.store.Close())
	}
	return err
}

// mustOpen is openMember that has to succeed.
func mustOpen(t testing.TB, disk *crashfs.FS, app *ledgers) *member {
	t.Helper()
	m, err := openMember(disk, app)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.close() })
	return m
}

// replayed is what Replay gives from an index on, by segment; it fails if that isn't in order.
func replayed(t testing.TB, s *seglog.Segments, from uint64) map[seglog.SegmentID][]raft.Entry {
	t.Helper()
	list := map[seglog.SegmentID][]raft.Entry{}
	last := uint64(0)
	if err := s.Replay(context.Background(), from, func(at raft.Position, seg seglog.SegmentID, data []byte) error {
		if at.Index <= last || at.Index < from {
			return fmt.Errorf("entry %d comes after %d, from %d on", at.Index, last, from)
		}
		last = at.Index
		list[seg] = append(list[seg], raft.Entry{Position: at, Data: bytes.Clone(data)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}
