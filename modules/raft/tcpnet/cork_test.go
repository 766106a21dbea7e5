package tcpnet_test

import (
	"context"
	"io"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
)

// arrivals passes on what kinds of messages come.
type arrivals chan pb.MessageType

func (a arrivals) Receive(_ raft.NodeID, messages []raft.Message) {
	for _, m := range messages {
		a <- m.GetType()
	}
}

func (a arrivals) ReceiveSnapshot(context.Context, raft.NodeID, raft.Message, io.Reader) error {
	return nil
}

func (a arrivals) Unreachable(raft.NodeID) {}

func TestWhatIsCorkedGoesWhenTheLastCorkIsOut(t *testing.T) {
	came := make(arrivals, 100)
	var hosts [3]*tcpnet.Transport
	for id := raft.NodeID(1); id <= 2; id++ {
		x, err := tcpnet.New(quick(id))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		if err := x.Start(came); err != nil {
			t.Fatal(err)
		}
		hosts[id] = x
	}
	x := hosts[1]
	x.SetPeer(2, hosts[2].Addr().String())
	hosts[2].SetPeer(1, x.Addr().String())
	send := func(kind pb.MessageType) {
		x.Send(2, []raft.Message{{Group: 1, Message: &pb.Message{Type: kind.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(1))}}})
	}
	send(pb.MsgApp) // both connections are made
	if got := <-came; got != pb.MsgApp {
		t.Fatal(got)
	}
	x.Cork()
	x.Cork()
	send(pb.MsgApp)
	x.Uncork()
	send(pb.MsgApp)
	for range 10 {
		send(pb.MsgHeartbeat) // isn't held back, and has a way of its own
		if got := <-came; got != pb.MsgHeartbeat {
			t.Fatalf("%v came in spite of a cork", got)
		}
	}
	x.Uncork()
	for range 2 {
		if got := <-came; got != pb.MsgApp {
			t.Fatal(got)
		}
	}
}
