package tcpnet

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// The fields that a message has, as bits. Those that are numbers come first, in the order of numbers.
const (
	asProtobuf = 1 << iota
	hasType
	hasTo
	hasFrom
	hasTerm
	hasLogTerm
	hasIndex
	hasCommit
	hasVote
	hasRejectHint
	hasReject
	rejects
	hasContext
	hasEntries
	endOfFields
)

// The fields of an entry. Its lowest two bits are the type plus 1, or 0 if it has none.
const (
	entryType  = 3
	entryTerm  = 1 << 2
	sameTerm   = 1 << 3 // as the entry before; as the message's logTerm
	entryIndex = 1 << 4
	nextIndex  = 1 << 5 // one above the entry before; above the message's index
	entryData  = 1 << 6
)

// roomOf is at least the length of an encoded message.
func roomOf(m raft.Message) int {
	if !compact(m.Message) {
		return 32 + proto.Size(m.Message)
	}
	n := 128 + len(m.Context)
	for _, e := range m.Entries {
		n += 32 + len(e.Data)
	}
	return n
}

// compact tells whether the short form has all that a message has. Local messages and snapshots travel as protobuf.
func compact(m *pb.Message) bool {
	if m.Snapshot != nil || len(m.Responses) > 0 || m.Type != nil && *m.Type < 0 {
		return false
	}
	for _, e := range m.Entries {
		if e == nil || e.Type != nil && (*e.Type < 0 || *e.Type > 2) {
			return false
		}
	}
	return true
}

// appendMessage encodes a message.
func appendMessage(b []byte, m raft.Message) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(m.Group))
	if !compact(m.Message) {
		b = binary.AppendUvarint(b, asProtobuf)
		b = binary.AppendUvarint(b, uint64(proto.Size(m.Message)))
		return proto.MarshalOptions{}.MarshalAppend(b, m.Message)
	}
	var bits uint64
	var numbers [9]uint64
	n := 0
	if m.Type != nil {
		bits |= hasType
		numbers[0] = uint64(*m.Type)
		n = 1
	}
	for i, v := range [...]*uint64{m.To, m.From, m.Term, m.LogTerm, m.Index, m.Commit, m.Vote, m.RejectHint} {
		if v != nil {
			bits |= hasTo << i
			numbers[n] = *v
			n++
		}
	}
	if m.Reject != nil {
		bits |= hasReject
		if *m.Reject {
			bits |= rejects
		}
	}
	if m.Context != nil {
		bits |= hasContext
	}
	if len(m.Entries) > 0 {
		bits |= hasEntries
	}
	b = binary.AppendUvarint(b, bits)
	for _, v := range numbers[:n] {
		b = binary.AppendUvarint(b, v)
	}
	if m.Context != nil {
		b = binary.AppendUvarint(b, uint64(len(m.Context)))
		b = append(b, m.Context...)
	}
	if len(m.Entries) == 0 {
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(len(m.Entries)))
	term, index := m.GetLogTerm(), m.GetIndex()
	for _, e := range m.Entries {
		b = appendEntry(b, e, term, index)
		term, index = e.GetTerm(), e.GetIndex()
	}
	return b, nil
}

func appendEntry(b []byte, e *pb.Entry, term, index uint64) []byte {
	var bits byte
	if e.Type != nil {
		bits |= byte(*e.Type) + 1
	}
	if e.Term != nil {
		bits |= entryTerm
		if *e.Term == term {
			bits |= sameTerm
		}
	}
	if e.Index != nil {
		bits |= entryIndex
		if *e.Index == index+1 {
			bits |= nextIndex
		}
	}
	if e.Data != nil {
		bits |= entryData
	}
	b = append(b, bits)
	if bits&(entryTerm|sameTerm) == entryTerm {
		b = binary.AppendUvarint(b, *e.Term)
	}
	if bits&(entryIndex|nextIndex) == entryIndex {
		b = binary.AppendUvarint(b, *e.Index)
	}
	if e.Data != nil {
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// numbered is a message with its numbers beside it, so that they cost one allocation.
type numbered struct {
	m       pb.Message
	typ     pb.MessageType
	reject  bool
	numbers [8]uint64
}

// numberedEntry is the same of an entry.
type numberedEntry struct {
	e           pb.Entry
	typ         pb.EntryType
	term, index uint64
}

// decodeMessages takes a frame's payload apart. What it returns doesn't refer to b.
func decodeMessages(b []byte) ([]raft.Message, error) {
	d := decoder{b: b}
	var list []raft.Message
	for len(d.b) > 0 && !d.bad {
		g := raft.GroupID(d.uvarint())
		m := d.message()
		if d.bad || g == 0 {
			return nil, fmt.Errorf("%w: message %d of a frame of %d bytes is malformed", ErrProtocol, len(list)+1, len(b))
		}
		list = append(list, raft.Message{Group: g, Message: m})
	}
	return list, nil
}

// decoder reads from b; bad is set at the first thing that can't be.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// bytes returns a length and as many bytes, which are still those of the frame.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) message() *pb.Message {
	bits := d.uvarint()
	if bits == asProtobuf {
		m := &pb.Message{}
		if err := (proto.UnmarshalOptions{RecursionLimit: 32, DiscardUnknown: true}).Unmarshal(d.bytes(), m); err != nil {
			d.fail()
		}
		return m
	}
	if bits&asProtobuf != 0 || bits >= endOfFields || bits&(hasReject|rejects) == rejects {
		d.fail()
		return nil
	}
	n := &numbered{}
	m := &n.m
	if bits&hasType != 0 {
		v := d.uvarint()
		if v > 1<<31-1 {
			d.fail()
			return nil
		}
		n.typ = pb.MessageType(v)
		m.Type = &n.typ
	}
	for i, field := range [...]**uint64{&m.To, &m.From, &m.Term, &m.LogTerm, &m.Index, &m.Commit, &m.Vote, &m.RejectHint} {
		if bits&(hasTo<<i) != 0 {
			n.numbers[i] = d.uvarint()
			*field = &n.numbers[i]
		}
	}
	if bits&hasReject != 0 {
		n.reject = bits&rejects != 0
		m.Reject = &n.reject
	}
	if bits&hasContext != 0 {
		m.Context = append([]byte{}, d.bytes()...)
	}
	if bits&hasEntries != 0 {
		m.Entries = d.entries(m.GetLogTerm(), m.GetIndex())
	}
	return m
}

func (d *decoder) entries(term, index uint64) []*pb.Entry {
	n := d.uvarint()
	if n == 0 || n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	// An entry may be one byte here and a hundred in memory, so the room grows as they come.
	list := make([]*pb.Entry, 0, min(n, 1024))
	var block []numberedEntry
	total := 0
	for left := n; left > 0; left-- {
		if len(block) == 0 {
			block = make([]numberedEntry, min(left, 1024))
		}
		e := &block[0]
		block = block[1:]
		if d.entry(e, term, index); d.bad {
			return nil
		}
		term, index = e.term, e.index
		total += len(e.e.Data)
		list = append(list, &e.e)
	}
	// The frame's buffer is used again, so the data of a message's entries moves to one of its own.
	room := make([]byte, 0, total)
	for _, e := range list {
		if e.Data != nil {
			at := len(room)
			room = append(room, e.Data...)
			e.Data = room[at:len(room):len(room)]
		}
	}
	return list
}

func (d *decoder) entry(n *numberedEntry, term, index uint64) {
	if len(d.b) == 0 {
		d.fail()
		return
	}
	bits := d.b[0]
	d.b = d.b[1:]
	if bits >= entryData<<1 || bits&(entryTerm|sameTerm) == sameTerm || bits&(entryIndex|nextIndex) == nextIndex {
		d.fail()
		return
	}
	if t := bits & entryType; t != 0 {
		n.typ = pb.EntryType(t - 1)
		n.e.Type = &n.typ
	}
	if bits&entryTerm != 0 {
		if n.term = term; bits&sameTerm == 0 {
			n.term = d.uvarint()
		}
		n.e.Term = &n.term
	}
	if bits&entryIndex != 0 {
		if n.index = index + 1; bits&nextIndex == 0 {
			n.index = d.uvarint()
		}
		n.e.Index = &n.index
	}
	if bits&entryData != 0 {
		n.e.Data = d.bytes()
	}
}
