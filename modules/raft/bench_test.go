package raft_test

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memlog"
	"github.com/bop-platform/bop/modules/raft/memnet"
)

// nothing is a state machine without a state, which has everything durably at once.
type nothing struct{ at atomic.Uint64 }

func (n *nothing) Applied() (raft.Position, error) {
	return raft.Position{Index: n.at.Load()}, nil
}

func (n *nothing) Apply(_ context.Context, entries []raft.Entry) ([]any, error) {
	n.at.Store(entries[len(entries)-1].Index)
	return nil, nil
}

func (n *nothing) Snapshot(context.Context) (raft.Position, io.ReadSeekCloser, error) {
	return raft.Position{}, nil, io.ErrUnexpectedEOF
}

func (n *nothing) Restore(context.Context, raft.Position, io.Reader) error { return nil }

// leaders starts hosts in memory with groups of all of them, and returns the members that lead.
func leaders(b *testing.B, hosts, groups int) []*raft.Group {
	b.Helper()
	network := memnet.New(memnet.Options{})
	members := make([][]*raft.Group, groups)
	var voters []raft.NodeID
	for i := range hosts {
		voters = append(voters, raft.NodeID(i+1))
	}
	for _, id := range voters {
		transport := network.Host(id)
		h, err := raft.NewHost(raft.Options{ID: id, Log: memlog.NewMemory(), Transport: transport, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		for _, other := range voters {
			transport.SetPeer(other, memnet.Address(other))
		}
		for g := range groups {
			if err := h.Bootstrap(raft.GroupID(g+1), voters...); err != nil {
				b.Fatal(err)
			}
			m, err := h.Open(raft.GroupID(g+1), &nothing{})
			if err != nil {
				b.Fatal(err)
			}
			members[g] = append(members[g], m)
		}
	}
	var list []*raft.Group
	for _, group := range members {
		s, err := group[0].Wait(b.Context(), func(s raft.Status) bool { return s.Leader != 0 })
		if err != nil {
			b.Fatal(err)
		}
		m := group[s.Leader-1]
		if _, err := m.Wait(b.Context(), func(s raft.Status) bool { return s.Leads }); err != nil {
			b.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

// BenchmarkPropose is one proposal after the other, to a group of one.
func BenchmarkPropose(b *testing.B) {
	g := leaders(b, 1, 1)[0]
	data := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Propose(b.Context(), data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGroups is many proposals at a time, to groups of three hosts.
func BenchmarkGroups(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			groups := leaders(b, 3, n)
			data := make([]byte, 100)
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for p := range 64 {
				wg.Go(func() {
					g := groups[p%n]
					for next.Add(1) <= int64(b.N) {
						if _, _, err := g.Propose(b.Context(), data); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
