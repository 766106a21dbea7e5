package raft

import (
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"
)

// GroupID is the number of a group, the same on all its members. NodeID is the number of a host. Both are not 0.
type (
	GroupID uint64
	NodeID  uint64
)

// HardState is what a member must remember before it answers.
type HardState struct {
	Term, Vote, Commit uint64
}

// Position is an entry's place in a group's log.
type Position struct {
	Index, Term uint64
}

// Update is what one group has to make durable in one round, in this order: the snapshot, the entries, the hard state.
type Update struct {
	Group GroupID
	// Snapshot, if its Index isn't 0, replaces the whole log: the next entry is the one after it. Members are those at it.
	Snapshot Position
	Members  *pb.ConfState
	// Entries follow each other and leave no gap to the log. They replace whatever it has from the first one's index on;
	// those up to Start are passed over.
	Entries []*pb.Entry
	// HardState is nil if it hasn't changed.
	HardState *HardState
}

// Initial is what a log store knows of a group.
type Initial struct {
	HardState HardState
	Members   *pb.ConfState // as of Start; never nil
	Start     Position      // the entry before the first; Index 0 in a log that was never cut
	Last      uint64        // index of the last entry; Start.Index if there is none
}

// These errors are returned by log stores.
var (
	// ErrCompacted: the entry was cut off at the log's beginning.
	ErrCompacted = errors.New("raft: entry was compacted")
	// ErrUnavailable: the log has no such entry yet.
	ErrUnavailable = errors.New("raft: entry isn't there yet")
	// ErrRetry is wrapped by Write when it had no effect and may be called again with the same updates: the disk is full.
	ErrRetry = errors.New("raft: nothing was written, try again")
	// ErrLogClosed: the store was closed, or has failed before and takes nothing more.
	ErrLogClosed = errors.New("raft: log store is closed")
)

// LogStore keeps the logs of a host's groups. Its methods may be called concurrently; Write by one goroutine at a time.
// Package logtest has the tests that each store has to pass.
type LogStore interface {
	// Groups lists the groups that were ever written.
	Groups() ([]GroupID, error)
	// Initial returns what is known of a group, the zero value (with empty Members) for one that was never written.
	Initial(g GroupID) (Initial, error)
	// Write makes the updates durable: when it returns nil all of them are, with one fsync however many there are. After
	// an error other than ErrRetry it isn't known which are, and the store refuses to go on (ErrLogClosed) until it is opened
	// again; what was durable before is. Several updates of one group are taken in their order. Entries aren't changed afterwards by the
	// caller nor by the store.
	Write(updates []Update) error
	// Entries returns entries from lo on, before hi: as many as have maxBytes together as messages, at least one. Errors:
	// ErrCompacted if lo isn't after Start, ErrUnavailable if lo is after the last entry or hi more than one after it.
	Entries(g GroupID, lo, hi, maxBytes uint64) ([]*pb.Entry, error)
	// Term returns the term of an entry, that of Start included. Errors: ErrCompacted, ErrUnavailable.
	Term(g GroupID, index uint64) (uint64, error)
	// Bounds returns Start and the index of the last entry.
	Bounds(g GroupID) (start Position, last uint64, err error)
	// Compact cuts the log off up to index, which becomes Start, and notes the members as of index. Both or neither survive
	// a crash, and neither need before the next Write, of whichever group. Nothing happens if index isn't after Start.
	// Errors: ErrUnavailable.
	Compact(g GroupID, index uint64, members *pb.ConfState) error
	// Remove forgets a group, durably. It can be written anew.
	Remove(g GroupID) error
	Close() error
}
