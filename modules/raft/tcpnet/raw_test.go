package tcpnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// gated is a handler that waits in Receive, having said that it is there.
type gated struct{ inside, gate chan struct{} }

func (g gated) Receive(raft.NodeID, []raft.Message) {
	g.inside <- struct{}{}
	<-g.gate
}

func (g gated) ReceiveSnapshot(_ context.Context, _ raft.NodeID, _ raft.Message, body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

func (g gated) Unreachable(raft.NodeID) {}

func pairOf(t *testing.T, o Options) (a, b *Transport, h gated) {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	h = gated{make(chan struct{}, 1000), make(chan struct{})}
	for _, p := range []**Transport{&a, &b} {
		o.Node++
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Start(h); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tr.Close() })
		*p = tr
	}
	return a, b, h
}

func connected(t *testing.T, a, b *Transport, c Class) *link {
	t.Helper()
	l, err := a.dial(t.Context(), b.o.Node, b.Addr().String(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func TestANewerConnectionWaitsUntilTheOlderIsDone(t *testing.T) {
	a, b, h := pairOf(t, Options{})
	m, err := appendMessage(nil, example())
	if err != nil {
		t.Fatal(err)
	}
	first := connected(t, a, b, Messages)
	if err := first.write(appendFrame(nil, kindMessages, m)); err != nil {
		t.Fatal(err)
	}
	<-h.inside
	second := connected(t, a, b, Messages)
	if err := second.write(appendFrame(nil, kindMessages, m)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.frame.next(); err == nil || errors.Is(err, ErrDead) {
		t.Errorf("the older connection isn't closed: %v", err)
	}
	select {
	case <-h.inside:
		t.Error("the newer connection is read while the older delivers")
	case <-time.After(50 * time.Millisecond): // a mistake would show by now, mostly
	}
	close(h.gate)
	<-h.inside
}

func TestABodyWithAnotherHashIsThrownAway(t *testing.T) {
	a, b, _ := pairOf(t, Options{})
	begin, err := appendMessage(binary.LittleEndian.AppendUint64(nil, 4), raft.Message{Group: 1, Message: &pb.Message{
		Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(3)}}}})
	if err != nil {
		t.Fatal(err)
	}
	right := sha256.Sum256([]byte("body"))
	for _, c := range []struct {
		name string
		body string
		sum  [sha256.Size]byte
		want result
	}{
		{"other bytes", "bodi", right, changed},
		{"too few bytes", "bod", sha256.Sum256([]byte("bod")), changed},
		{"the right bytes", "body", right, installed},
	} {
		l := connected(t, a, b, Snapshots)
		if err := l.write(appendFrame(nil, kindBegin, begin)); err != nil {
			t.Fatal(err)
		}
		have, err := l.expect(kindHave, 8+sha256.Size)
		if err != nil || !bytes.Equal(have[:8], make([]byte, 8)) {
			t.Fatalf("%s: the receiver has % x, %v: want nothing", c.name, have, err)
		}
		frames := appendFrame(nil, kindFrom, make([]byte, 8))
		frames = appendFrame(frames, kindChunk, []byte(c.body))
		if err := l.write(appendFrame(frames, kindEnd, c.sum[:])); err != nil {
			t.Fatal(err)
		}
		if p, err := l.expect(kindResult, -1); err != nil || result(p[0]) != c.want {
			t.Errorf("%s: result % x, %v, want %d", c.name, p, err, c.want)
		}
		l.close()
		for b.spool.busy() { // its end is noticed a moment later
			time.Sleep(time.Millisecond)
		}
	}
}

func TestAllThatWaitsIsSentOnceItCan(t *testing.T) {
	a, b, h := pairOf(t, Options{})
	a.SetPeer(2, b.Addr().String())
	m := example()
	m.Entries[0].Data = make([]byte, 1<<20)
	const n = 5 * takeTarget >> 20
	for range n {
		a.Send(2, []raft.Message{{Group: m.Group, Message: proto.Clone(m.Message).(*pb.Message)}})
	}
	close(h.gate)
	for b.Stats().Received[Messages].Messages < n {
		select {
		case <-h.inside:
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d of %d messages came", b.Stats().Received[Messages].Messages, n)
		}
	}
}
