package seglog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

// SegmentID numbers the segments of a group.
type SegmentID uint64

// kindEntry is the kind of a segment's records: uvarint index, uvarint term, the command.
const kindEntry = 1

// segment is what this host has of one segment: a log of its own and a state machine.
type segment struct {
	id   SegmentID
	l    *aof.Log
	fsm  FSM    // nil until Bind
	last uint64 // index of the newest entry in l, or what a snapshot brought
	has  uint64 // index up to which fsm has the entries
	buf  []byte
	recs [][]byte
	ends []int
}

// Command makes what a group is to be proposed for a segment.
func Command(seg SegmentID, data []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen64+len(data))
	return append(binary.AppendUvarint(b, uint64(seg)), data...)
}

// splitCommand is the other direction of Command.
func splitCommand(b []byte) (SegmentID, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errors.New("seglog: a command names no segment")
	}
	return SegmentID(v), b[n:], nil
}

// openSegment opens a segment's log and finds its end.
func openSegment(id SegmentID, dir string, o aof.Options) (*segment, error) {
	l, err := aof.Open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("seglog: segment %d: %w", id, err)
	}
	s := &segment{id: id, l: l}
	first, next := l.Bounds()
	for p := next; p > first; p-- {
		at, _, err := s.entry(context.Background(), p-1)
		if errors.Is(err, aof.ErrDamaged) {
			continue // whoever replays it hears of it
		}
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		s.last = at.Index
		break
	}
	return s, nil
}

// entry reads the entry at a position of the segment's log.
func (s *segment) entry(ctx context.Context, p aof.Position) (raft.Position, []byte, error) {
	b, err := s.l.ReadAt(ctx, p)
	if err != nil {
		return raft.Position{}, nil, fmt.Errorf("seglog: segment %d, position %d: %w", s.id, p, err)
	}
	return s.decode(p, b)
}

func (s *segment) decode(p aof.Position, b []byte) (at raft.Position, data []byte, err error) {
	if len(b) > 0 && b[0] > kindEntry {
		return at, nil, fmt.Errorf("%w: segment %d, position %d: record of kind %d", ErrNewer, s.id, p, b[0])
	}
	if len(b) > 0 && b[0] == kindEntry {
		d := &decoder{b: b[1:]}
		if at.Index, at.Term = d.uvarint(), d.uvarint(); d.err == nil {
			return at, d.b, nil
		}
	}
	return at, nil, fmt.Errorf("seglog: segment %d, position %d: it is no entry of a segment", s.id, p)
}

// move appends committed entries to the segment's log, those that it doesn't have. It doesn't wait for the disk, but for
// the log to have taken them: were some refused and later ones taken, the ones between would be missing for good.
func (s *segment) move(ctx context.Context, entries []raft.Entry) (int, error) {
	s.buf, s.ends, s.recs = s.buf[:0], s.ends[:0], s.recs[:0]
	for _, e := range entries {
		if e.Index <= s.last {
			continue
		}
		s.buf = append(s.buf, kindEntry)
		s.buf = binary.AppendUvarint(binary.AppendUvarint(s.buf, e.Index), e.Term)
		s.buf = append(s.buf, e.Data...)
		s.ends = append(s.ends, len(s.buf))
	}
	if len(s.ends) == 0 {
		return 0, nil
	}
	from := 0
	for _, end := range s.ends {
		s.recs = append(s.recs, s.buf[from:end:end])
		from = end
	}
	if _, err := s.l.AppendBatch(ctx, s.recs, aof.OS); err != nil {
		return 0, fmt.Errorf("seglog: segment %d: %w", s.id, err)
	}
	s.last = entries[len(entries)-1].Index
	n := len(s.buf)
	if cap(s.buf) > 1<<20 {
		s.buf = nil
	}
	return n, nil
}

// find is the position of the first entry with an index of at least index. Damaged entries on the way are stepped over.
func (s *segment) find(ctx context.Context, index uint64) (aof.Position, error) {
	first, next := s.l.Bounds()
	var failure error
	n := sort.Search(int(next-first), func(i int) bool {
		for p := first + aof.Position(i); p < next && failure == nil; p++ {
			at, _, err := s.entry(ctx, p)
			if errors.Is(err, aof.ErrDamaged) {
				continue
			}
			if err != nil {
				failure = err
			}
			return at.Index >= index
		}
		return true
	})
	return first + aof.Position(n), failure
}

// cut drops entries up to index, if whole files of the log have nothing else.
func (s *segment) cut(ctx context.Context, index uint64) error {
	p, err := s.find(ctx, index+1)
	if err != nil {
		return err
	}
	return s.l.TruncateBefore(p)
}

// feed is a segment's entries in order, for merging.
type feed struct {
	s    *segment
	r    *aof.Reader
	end  aof.Position
	at   raft.Position
	data []byte
	done bool
}

// feed reads the entries from index on that the log has now.
func (s *segment) feed(ctx context.Context, index uint64) (*feed, error) {
	p, err := s.find(ctx, index)
	if err != nil {
		return nil, err
	}
	_, end := s.l.Bounds()
	f := &feed{s: s, end: end, done: p >= end}
	if f.done {
		return f, nil
	}
	if f.r, err = s.l.Reader(p); err != nil {
		return nil, fmt.Errorf("seglog: segment %d: %w", s.id, err)
	}
	return f, nil
}

// next goes to the next entry, or sets done. Damage: *aof.DamageError, after which next may be called again.
func (f *feed) next(ctx context.Context) error {
	if f.r == nil || f.r.Position() >= f.end {
		f.close()
		return nil
	}
	rec, err := f.r.Next(ctx)
	var d *aof.DamageError
	if errors.As(err, &d) {
		f.r.Close()
		if d.Last+1 >= f.end {
			f.r = nil
		} else if r, rerr := f.s.l.Reader(d.Last + 1); rerr == nil {
			f.r = r
		} else {
			f.r = nil
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("seglog: segment %d: %w", f.s.id, err)
	}
	f.at, f.data, err = f.s.decode(rec.Position, rec.Data)
	return err
}

func (f *feed) close() {
	f.done = true
	if f.r != nil {
		f.r.Close()
		f.r = nil
	}
}
