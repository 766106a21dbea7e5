package raft

import (
	"context"
	"time"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// A lease is the time during which nobody else can lead. A majority that answers a round of ReadIndex had heard of this
// leader after the round was sent, and a member that has heard of a leader votes for nobody until ElectionTicks have
// passed (CheckQuorum and PreVote). So no other leader is elected before ElectionTicks after the round was *sent*, by the
// members' clocks; three ticks less because a tick may come right after a message, and two that were due before it; less
// again by how much their clocks may run faster than this one's.
//
// What would break that is a member that votes without having kept silent for so long:
//   - one that starts again has forgotten whom it heard: it doesn't vote for ElectionTicks (replica.fresh);
//   - one that asks for votes itself, by Campaign: it is refused while a leader is known;
//   - all of them, when a leader hands its place over (MsgTimeoutNow). It gives the lease up before, and takes no other in
//     that term: the message may arrive when the attempt was given up long ago.

// lease is how long a lease is, 0 for none.
func (o *Options) lease() time.Duration {
	if o.MaxClockDrift < 0 || o.ElectionTicks <= 3 {
		return 0
	}
	return time.Duration(float64(o.Tick) * float64(o.ElectionTicks-3) * (1 - o.MaxClockDrift))
}

// Leased tells whether this member leads and nobody else can, at a moment between the call and the return.
func (g *Group) Leased() bool {
	until := g.lease.Load()
	return until > 0 && int64(g.h.o.Clock()) < until
}

// LeaseRead is ReadIndex that asks nobody while this member has a lease. It is as good as ReadIndex if the clocks of the
// members don't differ in speed by more than Options.MaxClockDrift.
func (g *Group) LeaseRead(ctx context.Context) (uint64, error) {
	// In this order: what was committed at a moment before one at which nobody else led.
	index := g.committed.Load()
	if !g.Leased() {
		return g.ReadIndex(ctx)
	}
	if g.effective.Load() >= index {
		return index, nil
	}
	_, err := g.Wait(ctx, func(s Status) bool { return s.Applied >= index })
	return index, err
}

// hold notes that a majority has confirmed this leader by a round that was sent at a time.
func (r *replica) hold(sent time.Duration) {
	if r.lease == 0 || r.role != etcd.StateLeader || r.yielded == r.term {
		return
	}
	r.leaseEnd = max(r.leaseEnd, sent+r.lease)
}

// transfer hands leadership over, without the lease.
func (r *replica) transfer(to uint64) {
	r.leaseEnd, r.yielded = 0, r.term
	r.rn.TransferLeader(to)
	r.take()
}

// vows tells whether a message asks for a vote that this member must not give: it has started a moment ago, and may have
// told a leader that it hears it. A leader that hands its place over has no lease.
func (r *replica) vows(m *pb.Message) bool {
	vote := m.GetType() == pb.MsgVote || m.GetType() == pb.MsgPreVote
	return vote && r.fresh > 0 && r.lease > 0 && string(m.GetContext()) != campaignTransfer
}

// campaignTransfer is how Raft's library marks the votes of a transfer.
const campaignTransfer = "CampaignTransfer"
