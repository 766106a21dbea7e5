package raft

import (
	"context"
	"io"
)

// Entry is a command that is committed.
type Entry struct {
	Position
	Data []byte // as proposed; empty for those that Raft itself makes, which aren't applied
}

// StateMachine is what a group's commands change. A group calls it from one goroutine at a time, but for Snapshot.
type StateMachine interface {
	// Applied returns the position up to which the state is durable by itself: entries up to it aren't applied again after
	// a restart. A state machine in memory returns zero.
	Applied() (Position, error)
	// Apply applies committed entries, in order. The results go to those who proposed them. An error stops the group.
	Apply(ctx context.Context, entries []Entry) (results []any, err error)
	// Snapshot returns the state as of the last call of Apply, or of a later one, and the position it stands for. It is read
	// after the call returned, while further entries are applied.
	Snapshot(ctx context.Context) (Position, io.ReadSeekCloser, error)
	// Restore replaces the state by a snapshot that stands for at, which is durable when it returns if Applied says so.
	Restore(ctx context.Context, at Position, body io.Reader) error
}
