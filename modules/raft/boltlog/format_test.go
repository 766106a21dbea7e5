package boltlog

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// The records of docs/formats/raft-boltlog.md.
const (
	exampleEntryKey = "0000000000000005 000000000000012c"
	exampleEntry    = "00 07 68656c6c6f 421c59b0"
	exampleGroupKey = "0000000000000005"
	exampleGroup    = "02 07 02 ac02 8002 06 03 01 02 03 01 04 01 09 00 cf23aca5"
)

func exampleState() state {
	return state{
		hard:  raft.HardState{Term: 7, Vote: 2, Commit: 300},
		start: raft.Position{Index: 256, Term: 6},
		members: &pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}, VotersOutgoing: []uint64{9},
			AutoLeave: proto.Bool(true)},
	}
}

func TestRecordsAreAsSpecified(t *testing.T) {
	key := appendEntryKey(nil, 5, 300)
	same(t, "key of the entry", key, exampleEntryKey)
	same(t, "entry", appendEntry(nil, key, &pb.Entry{Term: proto.Uint64(7), Index: proto.Uint64(300), Data: []byte("hello")}), exampleEntry)
	key = appendGroupKey(nil, 5)
	same(t, "key of the group", key, exampleGroupKey)
	same(t, "group", appendState(nil, key, exampleState()), exampleGroup)
}

func same(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if want = strings.ReplaceAll(want, " ", ""); hex.EncodeToString(got) != want {
		t.Errorf("%s: %x, want %s", what, got, want)
	}
}

func TestStatesComeBack(t *testing.T) {
	for name, s := range map[string]state{
		"empty":         {members: &pb.ConfState{}},
		"removed":       {members: &pb.ConfState{}, removed: true},
		"of an example": exampleState(),
		"largest": {
			hard:  raft.HardState{Term: math.MaxUint64, Vote: math.MaxUint64, Commit: math.MaxUint64},
			start: raft.Position{Index: math.MaxUint64, Term: math.MaxUint64}, members: &pb.ConfState{LearnersNext: []uint64{math.MaxUint64}},
		},
	} {
		got, err := parseState([]byte("key"), appendState(nil, []byte("key"), s))
		if err != nil || got.hard != s.hard || got.start != s.start || got.removed != s.removed || !proto.Equal(got.members, s.members) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, s)
		}
	}
}

func TestAFlippedBitIsFound(t *testing.T) {
	entryKey, groupKey := appendEntryKey(nil, 5, 300), appendGroupKey(nil, 5)
	entry := appendEntry(nil, entryKey, &pb.Entry{Term: proto.Uint64(7), Data: []byte("some data")})
	group := appendState(nil, groupKey, exampleState())
	for _, c := range []struct {
		name        string
		key, record []byte
		parse       func(k, v []byte) error
	}{
		{"entry", entryKey, entry, func(k, v []byte) error { _, err := parseEntry(k, v); return err }},
		{"group", groupKey, group, func(k, v []byte) error { _, err := parseState(k, v); return err }},
	} {
		if err := c.parse(c.key, c.record); err != nil {
			t.Errorf("%s as it was written: %v", c.name, err)
		}
		for _, part := range [][]byte{c.key, c.record} {
			for bit := range 8 * len(part) {
				part[bit/8] ^= 1 << (bit % 8)
				if c.parse(c.key, c.record) == nil {
					t.Errorf("%s: bit %d of %x isn't noticed", c.name, bit, part)
				}
				part[bit/8] ^= 1 << (bit % 8)
			}
		}
		for n := range c.record {
			if c.parse(c.key, c.record[:n]) == nil {
				t.Errorf("%s: %d of %d bytes are taken for all", c.name, n, len(c.record))
			}
		}
	}
}

func TestRecordsOfALaterVersionAreRefused(t *testing.T) {
	key := []byte("key")
	for name, body := range map[string][]byte{
		"unknown flag":         {4, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"bytes after the end":  {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"more ids than bytes":  {0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1},
		"number that is cut":   {0, 0x80},
		"number of 65 bits":    {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0},
		"nothing":              {},
		"ids that are missing": {0, 0, 0, 0, 0, 0, 2, 1},
	} {
		if s, err := parseState(key, appendSum(bytes.Clone(body), 0, key)); err == nil {
			t.Errorf("group with %s: %+v, no error", name, s)
		}
	}
	for name, body := range map[string][]byte{"unknown type": {3, 1}, "no term": {0}, "nothing": {}} {
		if r, err := parseEntry(key, appendSum(bytes.Clone(body), 0, key)); err == nil {
			t.Errorf("entry with %s: %+v, no error", name, r)
		}
	}
}

func TestTheSizeOfAMessageIsKnownWithoutIt(t *testing.T) {
	for _, n := range []uint64{0, 1, 127, 128, 1 << 14, 1<<35 - 1, math.MaxUint64} {
		for _, size := range []int{0, 1, 127, 128, 20000} {
			r := record{kind: pb.EntryConfChange, term: n, data: make([]byte, size)}
			if got, want := messageSize(n/2, r), proto.Size(entries(n/2, []record{r})[0]); got != uint64(want) {
				t.Errorf("term %d, %d bytes: %d, want %d", n, size, got, want)
			}
		}
	}
}

// FuzzRecords feeds any bytes to the decoders, with a right checksum. What they take has to come out the same when it
// is written and read again.
func FuzzRecords(f *testing.F) {
	key := []byte("key")
	f.Add(appendState(nil, key, exampleState())[:20])
	f.Add(appendState(nil, key, state{removed: true})[:10])
	f.Add(appendEntry(nil, key, &pb.Entry{Term: proto.Uint64(300), Data: []byte("data")})[:7])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed := appendSum(bytes.Clone(body), 0, key)
		if s, err := parseState(key, sealed); err == nil {
			again, err := parseState(key, appendState(nil, key, s))
			if err != nil || again.hard != s.hard || again.start != s.start || again.removed != s.removed ||
				!proto.Equal(again.members, s.members) {
				t.Errorf("group %+v became %+v, %v", s, again, err)
			}
		}
		if r, err := parseEntry(key, sealed); err == nil {
			e := entries(1, []record{r})[0]
			again, err := parseEntry(key, appendEntry(nil, key, e))
			if err != nil || again.kind != r.kind || again.term != r.term || !bytes.Equal(again.data, r.data) {
				t.Errorf("entry %+v became %+v, %v", r, again, err)
			}
		}
		// Bytes without a checksum of ours do no harm.
		parseState(key, body)
		parseEntry(key, body)
	})
}
