package boltlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
)

// The bytes are specified in docs/formats/raft-boltlog.md.

const (
	formatVersion = 1
	groupKeySize  = 8
	entryKeySize  = 16
	checksumSize  = 4
)

// Flags of a group's record.
const (
	flagRemoved = 1 << iota // the group is forgotten, what remains of its entries is to be deleted
	flagAutoLeave
	flagsKnown = flagRemoved | flagAutoLeave
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errChecksum = errors.New("checksum doesn't match")
	errShort    = errors.New("record is too short")
)

// state is what a group's record holds.
type state struct {
	hard    raft.HardState
	start   raft.Position
	members *pb.ConfState
	removed bool
}

func appendGroupKey(b []byte, g raft.GroupID) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(g))
}

func appendEntryKey(b []byte, g raft.GroupID, index uint64) []byte {
	return binary.BigEndian.AppendUint64(appendGroupKey(b, g), index)
}

// splitEntryKey returns an entry's group and index. ok is false if k isn't the key of an entry.
func splitEntryKey(k []byte) (g raft.GroupID, index uint64, ok bool) {
	if len(k) != entryKeySize {
		return 0, 0, false
	}
	return raft.GroupID(binary.BigEndian.Uint64(k)), binary.BigEndian.Uint64(k[8:]), true
}

// appendSum ends the record that begins at from with its checksum, that of its key and itself.
func appendSum(b []byte, from int, key []byte) []byte {
	sum := crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, b[from:])
	return binary.LittleEndian.AppendUint32(b, sum)
}

// checkSum returns a record without its checksum.
func checkSum(key, record []byte) ([]byte, error) {
	if len(record) < checksumSize {
		return nil, errShort
	}
	body := record[:len(record)-checksumSize]
	sum := crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, body)
	if sum != binary.LittleEndian.Uint32(record[len(body):]) {
		return nil, errChecksum
	}
	return body, nil
}

// appendEntry appends the record of an entry, whose key is given.
func appendEntry(b, key []byte, e *pb.Entry) []byte {
	from := len(b)
	b = append(b, byte(e.GetType()))
	b = binary.AppendUvarint(b, e.GetTerm())
	b = append(b, e.Data...)
	return appendSum(b, from, key)
}

// record is an entry's record, its data in the place where it was read.
type record struct {
	kind pb.EntryType
	term uint64
	data []byte
}

func parseEntry(key, b []byte) (record, error) {
	body, err := checkSum(key, b)
	if err != nil {
		return record{}, err
	}
	if len(body) == 0 {
		return record{}, errShort
	}
	r := record{kind: pb.EntryType(body[0])}
	if r.kind > pb.EntryConfChangeV2 {
		return record{}, fmt.Errorf("unknown type of entry %d", body[0])
	}
	f := fields{rest: body[1:]}
	r.term = f.number()
	r.data = f.rest
	return r, f.err
}

// entries makes Raft's entries of the records of those from index first on. All their memory is of their own.
func entries(first uint64, records []record) []*pb.Entry {
	// One piece of memory for the numbers that the messages point to, one for the data.
	type filled struct {
		message     pb.Entry
		index, term uint64
		kind        pb.EntryType
	}
	size := 0
	for i := range records {
		size += len(records[i].data)
	}
	data := make([]byte, 0, size)
	all := make([]filled, len(records))
	out := make([]*pb.Entry, len(records))
	for i := range records {
		f := &all[i]
		f.index, f.term, f.kind = first+uint64(i), records[i].term, records[i].kind
		f.message.Index, f.message.Term, f.message.Type = &f.index, &f.term, &f.kind
		if n := len(records[i].data); n > 0 {
			from := len(data)
			data = append(data, records[i].data...)
			f.message.Data = data[from : from+n : from+n]
		}
		out[i] = &f.message
	}
	return out
}

// appendState appends a group's record, whose key is given.
func appendState(b, key []byte, s state) []byte {
	from := len(b)
	var flags byte
	if s.removed {
		flags |= flagRemoved
	}
	if s.members.GetAutoLeave() {
		flags |= flagAutoLeave
	}
	b = append(b, flags)
	for _, n := range []uint64{s.hard.Term, s.hard.Vote, s.hard.Commit, s.start.Index, s.start.Term} {
		b = binary.AppendUvarint(b, n)
	}
	m := s.members
	for _, ids := range [][]uint64{m.GetVoters(), m.GetLearners(), m.GetVotersOutgoing(), m.GetLearnersNext()} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.AppendUvarint(b, id)
		}
	}
	return appendSum(b, from, key)
}

func parseState(key, b []byte) (state, error) {
	body, err := checkSum(key, b)
	if err != nil {
		return state{}, err
	}
	if len(body) == 0 {
		return state{}, errShort
	}
	flags := body[0]
	if flags&^flagsKnown != 0 {
		return state{}, fmt.Errorf("unknown flags %#x", flags)
	}
	f := fields{rest: body[1:]}
	s := state{removed: flags&flagRemoved != 0, members: &pb.ConfState{}}
	for _, n := range []*uint64{&s.hard.Term, &s.hard.Vote, &s.hard.Commit, &s.start.Index, &s.start.Term} {
		*n = f.number()
	}
	m := s.members
	for _, ids := range []*[]uint64{&m.Voters, &m.Learners, &m.VotersOutgoing, &m.LearnersNext} {
		*ids = f.numbers()
	}
	if flags&flagAutoLeave != 0 {
		yes := true
		m.AutoLeave = &yes
	}
	if f.err == nil && len(f.rest) > 0 {
		return state{}, fmt.Errorf("%d bytes after its end", len(f.rest))
	}
	return s, f.err
}

// fields reads numbers off a record. After an error it reads zeros.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) number() uint64 {
	if f.err != nil {
		return 0
	}
	n, size := binary.Uvarint(f.rest)
	if size <= 0 {
		f.err = errShort
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

func (f *fields) numbers() []uint64 {
	n := f.number()
	if n > uint64(len(f.rest)) {
		f.err = errShort
	}
	if f.err != nil || n == 0 {
		return nil
	}
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = f.number()
	}
	return ids
}

// messageSize is the size of an entry's protobuf message, without making it.
func messageSize(index uint64, r record) uint64 {
	n := 1 + uvarintSize(uint64(r.kind)) + 1 + uvarintSize(r.term) + 1 + uvarintSize(index)
	if len(r.data) > 0 {
		n += 1 + uvarintSize(uint64(len(r.data))) + len(r.data)
	}
	return uint64(n)
}

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
