package memnet_test

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memnet"
)

// inbox is a handler that passes on what comes.
type inbox struct {
	messages    chan raft.Message
	unreachable chan raft.NodeID
}

func (b inbox) Receive(_ raft.NodeID, list []raft.Message) {
	for _, m := range list {
		b.messages <- m
	}
}

func (b inbox) ReceiveSnapshot(_ context.Context, _ raft.NodeID, _ raft.Message, body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

func (b inbox) Unreachable(to raft.NodeID) { b.unreachable <- to }

func started(t *testing.T, h *memnet.Host) inbox {
	t.Helper()
	b := inbox{make(chan raft.Message, 100), make(chan raft.NodeID, 100)}
	if err := h.Start(b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return b
}

func numbered(n ...uint64) []raft.Message {
	var list []raft.Message
	for _, i := range n {
		list = append(list, raft.Message{Group: 1, Message: &pb.Message{Type: pb.MsgApp.Enum(), Index: proto.Uint64(i)}})
	}
	return list
}

func TestFaultsDoWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		name   string
		action memnet.Action // of message 2
		want   []uint64
		after  []uint64 // Release
	}{
		{"nothing happens without a fault", memnet.Deliver, []uint64{1, 2, 3}, nil},
		{"a dropped message never comes", memnet.Drop, []uint64{1, 3}, nil},
		{"a duplicate comes twice", memnet.Duplicate, []uint64{1, 2, 2, 3}, nil},
		{"a held message comes when it is released", memnet.Hold, []uint64{1, 3}, []uint64{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := memnet.New(memnet.Options{})
			a, b := n.Host(1), n.HostAt(2, "elsewhere")
			started(t, a)
			in := started(t, b)
			a.SetPeer(2, b.Address())
			n.Fault(func(from, to raft.NodeID, m raft.Message) memnet.Action {
				if from != 1 || to != 2 {
					t.Errorf("a fault is asked about a message from %d to %d", from, to)
				}
				if m.GetIndex() == 2 {
					return c.action
				}
				return memnet.Deliver
			})
			a.Send(2, numbered(1, 2, 3))
			for _, want := range c.want {
				if got := (<-in.messages).GetIndex(); got != want {
					t.Fatalf("message %d came, want %d", got, want)
				}
			}
			if n.Held() != len(c.after) {
				t.Errorf("%d messages are held, want %d", n.Held(), len(c.after))
			}
			n.Release()
			for _, want := range c.after {
				if got := (<-in.messages).GetIndex(); got != want {
					t.Fatalf("message %d was released, want %d", got, want)
				}
			}
		})
	}
}

func TestAPartitionIsOfOneDirection(t *testing.T) {
	n := memnet.New(memnet.Options{})
	a, b := n.Host(1), n.Host(2)
	inA, inB := started(t, a), started(t, b)
	a.SetPeer(2, memnet.Address(2))
	b.SetPeer(1, memnet.Address(1))
	n.Partition(1, 2, true)
	a.Send(2, numbered(1))
	if to := <-inA.unreachable; to != 2 {
		t.Errorf("host %d is unreachable, want 2", to)
	}
	b.Send(1, numbered(2))
	if got := (<-inA.messages).GetIndex(); got != 2 {
		t.Errorf("message %d came the other way", got)
	}
	snapshot := raft.Message{Group: 1, Message: &pb.Message{Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(1)}}}}
	if err := a.SendSnapshot(t.Context(), 2, snapshot, strings.NewReader("body")); err != memnet.ErrUnreachable {
		t.Errorf("a snapshot through a partition: %v", err)
	}
	n.Heal()
	a.Send(2, numbered(3))
	if got := (<-inB.messages).GetIndex(); got != 3 {
		t.Errorf("message %d came after the partition, want 3", got)
	}
}

func TestWhatIsReceivedIsNotShared(t *testing.T) {
	n := memnet.New(memnet.Options{})
	a, b := n.Host(1), n.Host(2)
	started(t, a)
	in := started(t, b)
	a.SetPeer(2, memnet.Address(2))
	m := numbered(1)
	m[0].Entries = []*pb.Entry{{Data: []byte("mine")}}
	a.Send(2, m)
	got := <-in.messages
	copy(got.Entries[0].Data, "else")
	if s := string(m[0].Entries[0].Data); s != "mine" {
		t.Errorf("the sender's entry became %q", s)
	}
}

func TestTwoHostsCannotHaveOneAddress(t *testing.T) {
	n := memnet.New(memnet.Options{})
	started(t, n.Host(1))
	if err := n.HostAt(2, memnet.Address(1)).Start(inbox{}); err == nil {
		t.Error("a second host was started at an address")
	}
}

func TestAnIdleNetworkHasNoGoroutines(t *testing.T) {
	n := memnet.New(memnet.Options{})
	a, b := n.Host(1), n.Host(2)
	started(t, a)
	in := started(t, b)
	a.SetPeer(2, memnet.Address(2))
	a.Send(2, numbered(1, 2, 3))
	for range 3 {
		<-in.messages
	}
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "memnet.(*Host)") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(stacks)
		}
	}
}
