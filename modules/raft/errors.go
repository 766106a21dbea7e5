package raft

import (
	"errors"
	"fmt"
)

// How a proposal or a read can end.
var (
	// ErrNotLeader: this member isn't the leader; see NotLeaderError. The proposal had no effect.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrDropped: the proposal wasn't taken: leadership is being transferred, or too much waits. It had no effect.
	ErrDropped = errors.New("raft: proposal was dropped")
	// ErrSuperseded: another leader's entry was committed at the proposal's place. It had no effect, and never will.
	ErrSuperseded = errors.New("raft: proposal was superseded by another leader's entry")
	// ErrUnknown: whether the proposal was committed, or will be, isn't known.
	ErrUnknown = errors.New("raft: the outcome isn't known")
	// ErrStopped: the group or the host was stopped, or the group has failed; see Group.Err.
	ErrStopped = errors.New("raft: group is stopped")
	// ErrMembers: the change of members isn't possible.
	ErrMembers = errors.New("raft: members can't be changed so")
)

// NotLeaderError tells who leads.
type NotLeaderError struct {
	Group  GroupID
	Leader NodeID // 0: nobody is known to
}

func (e *NotLeaderError) Error() string {
	if e.Leader == 0 {
		return fmt.Sprintf("raft: group %d has no leader at present", e.Group)
	}
	return fmt.Sprintf("raft: group %d is led by node %d", e.Group, e.Leader)
}

// Is makes errors.Is(err, ErrNotLeader) hold.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }
