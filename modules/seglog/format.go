package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// Kinds of records in the parent log. 1 and 2 are those of a log without Raft; see Legacy.
const (
	kindRecord     = 1
	kindLeadership = 2
	kindRound      = 3 // what a host made durable at once
)

// What an update in a round holds.
const (
	hasSnapshot = 1 << iota // the log begins anew after an index
	hasStart                // the log was cut off up to an index; 0: never
	hasMembers
	hasHardState
	hasEntries
	isRemoved // the group is gone
	hasAll    = 1<<iota - 1
)

// update is what a round says about one group.
type update struct {
	raft.Update
	start   *raft.Position // of a compaction, or of a statement
	removed bool
}

// ErrNewer: something was written by a newer program.
var ErrNewer = errors.New("seglog: written by a newer format")

var errShort = errors.New("it ends too early")

// appendRound encodes a round.
func appendRound(b []byte, updates []update) ([]byte, error) {
	b = append(b, kindRound)
	b = binary.AppendUvarint(b, uint64(len(updates)))
	var err error
	for i := range updates {
		if b, err = appendUpdate(b, &updates[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (u *update) flags() (f byte) {
	for bit, set := range [...]bool{u.Snapshot.Index > 0, u.start != nil, u.Members != nil, u.HardState != nil, len(u.Entries) > 0, u.removed} {
		if set {
			f |= 1 << bit
		}
	}
	return f
}

func appendUpdate(b []byte, u *update) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(u.Group))
	flags := u.flags()
	b = append(b, flags)
	if flags&hasSnapshot != 0 {
		b = binary.AppendUvarint(binary.AppendUvarint(b, u.Snapshot.Index), u.Snapshot.Term)
	}
	if flags&hasStart != 0 {
		b = binary.AppendUvarint(binary.AppendUvarint(b, u.start.Index), u.start.Term)
	}
	if u.Members != nil {
		m, err := proto.Marshal(u.Members)
		if err != nil {
			return nil, fmt.Errorf("seglog: members of group %d: %w", u.Group, err)
		}
		b = append(binary.AppendUvarint(b, uint64(len(m))), m...)
	}
	if h := u.HardState; h != nil {
		b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, h.Term), h.Vote), h.Commit)
	}
	if len(u.Entries) == 0 {
		return b, nil
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, u.Entries[0].GetIndex()), uint64(len(u.Entries)))
	term := uint64(0)
	for _, e := range u.Entries {
		if e.GetTerm() < term {
			return nil, fmt.Errorf("seglog: group %d: entry %d has term %d after term %d", u.Group, e.GetIndex(), e.GetTerm(), term)
		}
		b = append(b, byte(e.GetType()))
		b = binary.AppendUvarint(b, e.GetTerm()-term)
		term = e.GetTerm()
		b = binary.AppendUvarint(b, uint64(len(e.GetData())))
		b = append(b, e.GetData()...)
	}
	return b, nil
}

// decoder reads a round; after an error everything is 0.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errShort)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) position() raft.Position {
	return raft.Position{Index: d.uvarint(), Term: d.uvarint()}
}

// decodeRound reads a round's updates. Entries' data are copies if keep is set; otherwise they alias rec.
func decodeRound(rec []byte, keep bool) ([]update, error) {
	if len(rec) == 0 {
		return nil, fmt.Errorf("seglog: record of the parent log: %w", errShort)
	}
	if rec[0] != kindRound {
		return nil, fmt.Errorf("%w: record of kind %d", ErrNewer, rec[0])
	}
	if keep {
		rec = append([]byte(nil), rec...)
	}
	d := &decoder{b: rec[1:]}
	n := d.uvarint()
	var list []update
	for range n {
		u, err := d.update()
		if err != nil {
			return nil, fmt.Errorf("seglog: record of the parent log: %w", err)
		}
		list = append(list, u)
	}
	if len(d.b) > 0 || d.err != nil {
		return nil, fmt.Errorf("seglog: record of the parent log: %w", errors.Join(d.err, errors.New("it goes on behind its end")))
	}
	return list, nil
}

func (d *decoder) update() (u update, err error) {
	u.Group = raft.GroupID(d.uvarint())
	flags := d.byte()
	if flags&^hasAll != 0 {
		return u, fmt.Errorf("%w: flags %#x", ErrNewer, flags)
	}
	if flags&hasSnapshot != 0 {
		if u.Snapshot = d.position(); u.Snapshot.Index == 0 {
			d.fail(errors.New("a snapshot isn't of entry 0"))
		}
	}
	if flags&hasStart != 0 {
		p := d.position()
		u.start = &p
	}
	if flags&hasMembers != 0 {
		u.Members = &pb.ConfState{}
		if err := proto.Unmarshal(d.bytes(), u.Members); err != nil {
			return u, fmt.Errorf("members of group %d: %w", u.Group, err)
		}
	}
	if flags&hasHardState != 0 {
		u.HardState = &raft.HardState{Term: d.uvarint(), Vote: d.uvarint(), Commit: d.uvarint()}
	}
	u.removed = flags&isRemoved != 0
	if flags&hasEntries != 0 {
		d.entries(&u)
	}
	if d.err == nil && u.Group == 0 {
		d.fail(errors.New("a group's number isn't 0"))
	}
	return u, d.err
}

func (d *decoder) entries(u *update) {
	first, n := d.uvarint(), d.uvarint()
	if n > uint64(len(d.b)) || n == 0 { // an entry has at least three bytes
		d.fail(errShort)
		return
	}
	entries := make([]pb.Entry, n)
	u.Entries = make([]*pb.Entry, n)
	fields := make([]struct{ index, term uint64 }, n)
	term := uint64(0)
	for i := range entries {
		e, f := &entries[i], &fields[i]
		e.Type = pb.EntryType(d.byte()).Enum()
		more := d.uvarint()
		if term > math.MaxUint64-more || first > math.MaxUint64-n {
			d.fail(errors.New("its entries' numbers are too large"))
		}
		term += more
		f.index, f.term = first+uint64(i), term
		e.Index, e.Term = &f.index, &f.term
		if data := d.bytes(); len(data) > 0 {
			e.Data = data
		}
		u.Entries[i] = e
	}
	if d.err != nil {
		u.Entries = nil
	}
}
