package transporttest

import (
	"math"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

func fields(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	full := &pb.Message{Type: pb.MsgAppResp.Enum(), To: proto.Uint64(2), From: proto.Uint64(1), Term: proto.Uint64(math.MaxUint64), LogTerm: proto.Uint64(4),
		Index: proto.Uint64(5), Commit: proto.Uint64(6), Vote: proto.Uint64(7), Reject: proto.Bool(true), RejectHint: proto.Uint64(8), Context: []byte("context")}
	list := []raft.Message{
		{Group: 1, Message: full},
		{Group: math.MaxUint64, Message: &pb.Message{}},
		{Group: 2, Message: &pb.Message{Type: pb.MsgVoteResp.Enum(), Reject: proto.Bool(false), Context: []byte{}, Term: proto.Uint64(0)}},
		{Group: 3, Message: &pb.Message{Type: pb.MsgProp.Enum(), Entries: []*pb.Entry{{}, {Data: []byte{}}, {Data: []byte("x")}}}},
		{Group: 4, Message: &pb.Message{Type: pb.MsgApp.Enum(), LogTerm: proto.Uint64(2), Index: proto.Uint64(9), Entries: []*pb.Entry{
			{Type: pb.EntryNormal.Enum(), Term: proto.Uint64(2), Index: proto.Uint64(10), Data: []byte("a")},
			{Type: pb.EntryConfChangeV2.Enum(), Term: proto.Uint64(3), Index: proto.Uint64(11)},
			{Type: pb.EntryConfChange.Enum(), Term: proto.Uint64(3), Index: proto.Uint64(20), Data: []byte("b")},
		}}},
		{Group: 5, Message: &pb.Message{Type: pb.MsgSnap.Enum(), Snapshot: &pb.Snapshot{Data: []byte("small"), Metadata: &pb.SnapshotMetadata{
			Index: proto.Uint64(5), Term: proto.Uint64(2), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}}}}},
	}
	want := make([]raft.Message, len(list))
	for i, m := range list {
		want[i] = raft.Message{Group: m.Group, Message: proto.Clone(m.Message).(*pb.Message)}
	}
	a.Send(2, list)
	b.until("all messages come", b.count(1, len(want)), nil)
	for i, m := range b.from(1) {
		if d := same(m, want[i]); d != "" {
			t.Errorf("message %d: %s", i, d)
		}
	}
}

// window sends n messages to a host, so many at a time that the queue never fills, and waits until all have come.
func window(from, to *host, n int, message func(uint64) raft.Message) {
	from.t.Helper()
	const burst = 64
	for sent := 0; sent < n; {
		var list []raft.Message
		for len(list) < burst && sent < n {
			sent++
			list = append(list, message(uint64(sent)))
		}
		from.Send(to.id, list)
		to.until("messages come", to.count(from.id, sent-4*burst), nil)
	}
	to.until("all messages come", to.count(from.id, n), nil)
}

func order(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	const n = 4000
	window(a, b, n, func(i uint64) raft.Message { return app(7, i, int(i%200)) })
	got := b.from(1)
	if len(got) != n {
		t.Fatalf("%d messages came, %d were sent", len(got), n)
	}
	for i, m := range got {
		if d := same(m, app(7, uint64(i+1), (i+1)%200)); d != "" {
			t.Fatalf("message %d: %s", i+1, d)
		}
	}
}

func large(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	const n = 8
	for i := range uint64(n) {
		a.Send(2, []raft.Message{app(1, i+1, 1<<20)})
		b.until("messages come", b.count(1, int(i)), nil) // two at a time, which every queue has room for
	}
	b.until("all messages come", b.count(1, n), nil)
	for i, m := range b.from(1) {
		if d := same(m, app(1, uint64(i+1), 1<<20)); d != "" {
			t.Errorf("message %d: %.200s", i+1, d)
		}
	}
}

func coalesced(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	const groups = 1000
	list := make([]raft.Message, groups)
	for i := range list {
		list[i] = beat(raft.GroupID(i+1), 9)
	}
	a.Send(2, list)
	b.until("all heartbeats come", b.count(1, groups), nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.calls) != 1 {
		t.Errorf("they came in %d calls: %v", len(b.calls), b.calls)
	}
}

func manyGroups(t *testing.T, k *kit) {
	a := k.open(1)
	others := []*host{k.open(2), k.open(3)}
	const groups, rounds = 50, 20
	for i := range uint64(rounds) {
		for _, o := range others {
			var list []raft.Message
			for g := range raft.GroupID(groups) {
				list = append(list, app(g+1, i+1, 100), beat(g+1, i+1))
			}
			a.Send(o.id, list)
		}
	}
	for _, o := range others {
		o.until("all messages come", o.count(1, 2*groups*rounds), nil)
		apps, beats := map[raft.GroupID]uint64{}, map[raft.GroupID]uint64{}
		for _, m := range o.from(1) {
			last, now := apps, m.GetIndex()+1
			if isBeat(m) {
				last, now = beats, m.GetCommit()
			}
			if now != last[m.Group]+1 {
				t.Fatalf("host %d, group %d: %v %d comes after %d", o.id, m.Group, m.GetType(), now, last[m.Group])
			}
			last[m.Group] = now
		}
	}
}

// block makes a host's handler wait at messages that aren't heartbeats, until release is called.
func (h *host) block() (release func()) {
	gate := make(chan struct{})
	h.change(func() {
		h.onReceive = func(list []raft.Message) {
			if !isBeat(list[0]) {
				<-gate
			}
		}
	})
	return func() { close(gate) }
}

func overtaking(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	release := b.block()
	const n = 24 // of 64 KiB, which every queue has room for
	for i := range uint64(n) {
		a.Send(2, []raft.Message{app(1, i+1, 64<<10)})
	}
	a.Send(2, []raft.Message{beat(1, 1)})
	b.until("the heartbeat comes", b.count(1, 1), nil)
	if !isBeat(b.from(1)[0]) {
		t.Error("another message came first")
	}
	release()
	b.until("the entries come", b.count(1, n+1), nil)
}

func overflow(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	release := b.block()
	const size = 256 << 10
	// The kernel and the receiver hold some as well, so much more than the queue is sent.
	n := uint64(2*k.net.QueueBytes()/size + 128)
	for i := range n {
		a.Send(2, []raft.Message{app(1, i+1, size)})
	}
	a.until("being told that messages are lost", func() bool { return a.unreachable[2] > 0 }, nil)
	release()
	last := n
	b.until("messages come again", func() bool {
		got := b.received[1]
		return len(got) > 0 && got[len(got)-1].GetIndex()+1 > n
	}, func() {
		last++
		a.Send(2, []raft.Message{app(1, last, 10)})
	})
	got := b.from(1)
	if len(got) >= int(last) {
		t.Errorf("all %d messages came", len(got))
	}
	ascending(t, got)
}

// ascending checks that no message comes after a later one, or twice.
func ascending(t *testing.T, got []raft.Message) {
	t.Helper()
	last := uint64(0)
	for _, m := range got {
		if m.GetIndex()+1 <= last {
			t.Fatalf("message %d comes after %d", m.GetIndex()+1, last)
		}
		last = m.GetIndex() + 1
	}
}

// reach sends messages until one comes.
func reach(a, b *host) {
	a.t.Helper()
	b.mu.Lock()
	had, next := len(b.received[a.id]), uint64(1)
	if had > 0 {
		next = b.received[a.id][had-1].GetIndex() + 2
	}
	b.mu.Unlock()
	b.until("being reached", b.count(a.id, had+1), func() {
		a.Send(b.id, []raft.Message{app(1, next, 10)})
		next++
	})
}

func absent(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	b.stop()
	a.until("being told that the host isn't there", func() bool { return a.unreachable[2] > 0 }, func() {
		a.Send(2, []raft.Message{app(1, 1, 10)})
	})
	a.Send(9, []raft.Message{app(1, 1, 10)}) // of whom nothing is known
	reach(a, k.open(2))
}

func restart(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	reach(a, b)
	reach(b, a)
	where := k.net.Address(2)
	b.stop()
	b = k.start(2)
	if now := k.net.Address(2); now != where {
		t.Fatalf("the host was at %s and is at %s", where, now)
	}
	b.SetPeer(1, k.net.Address(1))
	reach(a, b)
	reach(b, a)
}

func moved(t *testing.T, k *kit) {
	a, b := k.start(1), k.start(2)
	c := k.start(3)
	a.SetPeer(2, k.net.Address(3)) // where another host is
	a.until("being told that the host isn't there", func() bool { return a.unreachable[2] > 0 }, func() {
		a.Send(2, []raft.Message{app(1, 1, 10)})
	})
	a.SetPeer(2, k.net.Address(2))
	reach(a, b)
	a.SetPeer(2, "")
	had := len(b.from(1))
	a.Send(2, []raft.Message{app(1, 1, 10)})
	if err := a.SendSnapshot(t.Context(), 2, snap(1, 1, 1), reader(pattern(1, 10))); err == nil {
		t.Error("a snapshot could be sent to a forgotten host")
	}
	a.SetPeer(2, k.net.Address(2))
	reach(a, b)
	for _, m := range b.from(1)[had:] {
		if m.GetIndex() == 0 {
			t.Error("a message to a forgotten host arrived")
		}
	}
	if n := len(c.from(1)); n > 0 {
		t.Errorf("%d messages arrived at another host", n)
	}
}

func breaks(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	next := uint64(0)
	for range 5 {
		b.mu.Lock()
		had := len(b.received[1])
		b.mu.Unlock()
		b.until("messages come", b.count(1, had+20), func() {
			var list []raft.Message
			for range 100 {
				next++
				list = append(list, app(1, next, 1000))
			}
			a.Send(2, list)
		})
		k.net.Cut(1, 2)
	}
	ascending(t, b.from(1))
}
