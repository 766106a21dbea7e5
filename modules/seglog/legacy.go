package seglog

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

// Legacy is what the parent's folder holds of a log without Raft, in which a server's databases were kept before: records
// of segments at positions without gaps, all committed. Segments take them over when they are opened.
type Legacy struct {
	First, Last aof.Position // 0: there is none
	Epoch       uint64       // the highest that the log names
	superseded  bool         // rounds follow: it was taken over
}

// Legacy returns what there is to take over; ok is false if there is nothing.
func (s *Store) Legacy() (l Legacy, ok bool) {
	return s.legacy, s.legacy.Last > 0 && !s.legacy.superseded
}

func (l *Legacy) see(rec aof.Record) error {
	_, epoch, _, err := decodeLegacy(rec)
	if err != nil {
		return err
	}
	if l.First == 0 {
		l.First = rec.Position
	}
	l.Last, l.Epoch = rec.Position, max(l.Epoch, epoch)
	return nil
}

// decodeLegacy reads a record: of a segment if data isn't nil, else of the beginning of an epoch.
func decodeLegacy(rec aof.Record) (seg SegmentID, epoch uint64, data []byte, err error) {
	if len(rec.Data) > 1 {
		if v, n := binary.Uvarint(rec.Data[1:]); n > 0 {
			switch rec.Data[0] {
			case kindRecord:
				return SegmentID(v), 0, rec.Data[1+n:], nil
			case kindLeadership:
				return 0, v, nil, nil
			}
		}
	}
	return 0, 0, nil, fmt.Errorf("seglog: position %d of the parent log is no record of any format", rec.Position)
}

// replayLegacy calls fn for each record of a segment, in order.
func (s *Store) replayLegacy(ctx context.Context, fn func(at aof.Position, seg SegmentID, data []byte) error) error {
	r, err := s.l.Reader(s.legacy.First)
	if err != nil {
		return fmt.Errorf("seglog: reading the log: %w", err)
	}
	defer r.Close()
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		rec, err := r.TryNext()
		if errors.Is(err, aof.ErrTail) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("seglog: reading the log: %w", err)
		}
		seg, _, data, err := decodeLegacy(rec)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		if err := fn(rec.Position, seg, data); err != nil {
			return err
		}
	}
}

// begin makes a group of which this host is the only member, behind what was taken over.
func (s *Store) begin(id raft.GroupID, self raft.NodeID, at raft.Position) error {
	if self == 0 {
		return errors.New("seglog: SegmentsOptions.Self is not set")
	}
	err := s.Write([]raft.Update{{
		Group: id, Snapshot: at, Members: &pb.ConfState{Voters: []uint64{uint64(self)}}, HardState: &raft.HardState{Term: at.Term, Commit: at.Index},
	}})
	if err == nil {
		s.legacy.superseded = true
	}
	return err
}
