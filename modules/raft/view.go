package raft

import (
	"errors"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// view is a group's log as Raft's state machine reads it.
type view struct {
	store LogStore
	group GroupID
	// snapshot says which snapshot could be sent now.
	snapshot func() (*pb.Snapshot, error)
	// failed is told of errors after which Raft can't go on.
	failed func(error)
}

func (v *view) InitialState() (*pb.HardState, *pb.ConfState, error) {
	i, err := v.store.Initial(v.group)
	if err != nil {
		return nil, nil, err
	}
	h := &i.HardState
	// What was cut off was committed, though the commit index may have been on its way to the disk.
	h.Commit = max(h.Commit, i.Start.Index)
	return &pb.HardState{Term: &h.Term, Vote: &h.Vote, Commit: &h.Commit}, i.Members, nil
}

func (v *view) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	es, err := v.store.Entries(v.group, lo, hi, maxSize)
	return es, v.translate(err)
}

func (v *view) Term(i uint64) (uint64, error) {
	t, err := v.store.Term(v.group, i)
	return t, v.translate(err)
}

func (v *view) LastIndex() (uint64, error) {
	_, last, err := v.store.Bounds(v.group)
	return last, v.translate(err)
}

func (v *view) FirstIndex() (uint64, error) {
	start, _, err := v.store.Bounds(v.group)
	return start.Index + 1, v.translate(err)
}

func (v *view) Snapshot() (*pb.Snapshot, error) { return v.snapshot() }

// translate gives Raft's library its own errors.
func (v *view) translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrCompacted):
		return etcd.ErrCompacted
	case errors.Is(err, ErrUnavailable):
		return etcd.ErrUnavailable
	}
	v.failed(err)
	return err
}
