package replica

import (
	"context"
	"io"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
	"github.com/bop-platform/bop/modules/sqlite"
)

// machines are the databases as the segments of the log see them.
type machines struct{ l *Log }

var _ seglog.Application = machines{}

// Segments implements seglog.Application.
func (m machines) Segments() (ids []seglog.SegmentID) {
	for _, id := range m.l.replica.Segments() {
		ids = append(ids, seglog.SegmentID(id))
	}
	return ids
}

// Segment implements seglog.Application.
func (m machines) Segment(id seglog.SegmentID) (seglog.FSM, error) {
	has, ok := m.l.replica.Holds(sqlite.SegmentID(id))
	if !ok {
		return nil, nil
	}
	return &machine{l: m.l, id: sqlite.SegmentID(id), has: has}, nil
}

// Restored implements seglog.Application.
func (m machines) Restored(ids []seglog.SegmentID, _ raft.Position) error {
	list := make([]sqlite.SegmentID, len(ids))
	for i, id := range ids {
		list[i] = sqlite.SegmentID(id)
	}
	return m.l.replica.Restored(m.l.ctx, list)
}

// Advanced implements seglog.Application.
func (m machines) Advanced(at raft.Position) { m.l.replica.Advanced(sqlite.Position(at.Index)) }

// machine is one database.
type machine struct {
	l   *Log
	id  sqlite.SegmentID
	has sqlite.Position
	buf []sqlite.Committed
}

// Applied implements seglog.FSM.
func (m *machine) Applied() uint64 { return uint64(m.has) }

// Apply implements seglog.FSM.
func (m *machine) Apply(ctx context.Context, entries []raft.Entry) error {
	m.buf = m.buf[:0]
	for _, e := range entries {
		m.buf = append(m.buf, sqlite.Committed{Position: sqlite.Position(e.Index), Epoch: e.Term, Record: e.Data})
	}
	m.l.note(m.id, m.buf[len(m.buf)-1].Position)
	err := m.l.replica.Apply(ctx, m.id, m.buf)
	clear(m.buf)
	return err
}

// Snapshot implements seglog.FSM.
func (m *machine) Snapshot(ctx context.Context) (seglog.Image, error) {
	return m.l.replica.Image(ctx, m.id)
}

// Restore implements seglog.FSM.
func (m *machine) Restore(ctx context.Context, at raft.Position, body io.Reader) error {
	return m.l.replica.Restore(ctx, m.id, sqlite.Position(at.Index), body)
}

// nobody is the replica of a log that is used without databases: Replay gives what it holds.
type nobody struct{}

func (n nobody) Segments() []sqlite.SegmentID { return nil }

func (n nobody) Holds(seg sqlite.SegmentID) (sqlite.Position, bool) { return 0, true }

func (n nobody) Apply(context.Context, sqlite.SegmentID, []sqlite.Committed) error { return nil }

func (n nobody) Advanced(sqlite.Position) {}

func (n nobody) Image(context.Context, sqlite.SegmentID) (sqlite.Image, error) {
	return nil, sqlite.ErrNoDatabase
}

func (n nobody) Restore(context.Context, sqlite.SegmentID, sqlite.Position, io.Reader) error {
	return sqlite.ErrNoDatabase
}

func (n nobody) Restored(context.Context, []sqlite.SegmentID) error { return nil }

func (n nobody) Leads(uint64) {}

func (n nobody) Follows() {}
