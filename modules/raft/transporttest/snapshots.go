package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

func snap(g raft.GroupID, index, term uint64) raft.Message {
	return raft.Message{Group: g, Message: &pb.Message{Type: pb.MsgSnap.Enum(), Term: proto.Uint64(term), Snapshot: &pb.Snapshot{
		Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(index), Term: proto.Uint64(term), ConfState: &pb.ConfState{Voters: []uint64{1, 2}}}}}}
}

// pattern makes a body of which no two parts are the same.
func pattern(seed byte, size int) []byte {
	b := make([]byte, size)
	for at := 0; at < size; at += len(fixed) {
		copy(b[at:], fixed)
		copy(b[at:], binary.BigEndian.AppendUint64(nil, uint64(seed)<<32|uint64(at)))
	}
	return b
}

func reader(b []byte) io.ReadSeeker { return bytes.NewReader(b) }

func digest(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), err
}

// carried waits until receivers have so many bytes of bodies.
func (k *kit) carried(n int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for k.net.SnapshotBytes() < n {
		select {
		case <-tick.C:
		case <-deadline:
			k.t.Errorf("of a snapshot only %d bytes were received, not %d", k.net.SnapshotBytes(), n)
			return
		}
	}
}

// trap is a body that does something once, when it was read up to a place.
type trap struct {
	*bytes.Reader
	at   int64
	once sync.Once
	do   func()
}

func (s *trap) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if s.Size()-int64(s.Len()) >= s.at {
		s.once.Do(s.do)
	}
	return n, err
}

// insist sends a snapshot until it was installed: after a break the transport may go on by itself, or ask to be called
// again.
func insist(a *host, to raft.NodeID, m raft.Message, body io.ReadSeeker) {
	a.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := a.SendSnapshot(a.t.Context(), to, m, body)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatal(err)
		}
	}
}

// arrived checks the last snapshot of a host.
func arrived(t *testing.T, b *host, body []byte) {
	t.Helper()
	want, _ := digest(bytes.NewReader(body))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bodies) == 0 || b.bodies[len(b.bodies)-1] != want {
		t.Errorf("of %d snapshots that came the last isn't the one that was sent", len(b.bodies))
	}
}

func resumed(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	content := pattern(1, 50<<20)
	body := &trap{Reader: bytes.NewReader(content), at: 30 << 20, do: func() {
		k.carried(20 << 20)
		k.net.Cut(1, 2)
	}}
	m := snap(5, 100, 3)
	insist(a, 2, m, body)
	arrived(t, b, content)
	if carried := k.net.SnapshotBytes(); carried > int64(len(content)) {
		t.Errorf("%d bytes were received of a body of %d", carried, len(content))
	}
	got := b.from(1)
	if d := same(got[len(got)-1], snap(5, 100, 3)); d != "" {
		t.Error(d)
	}
}

func resumedAfterRestart(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	const size = 4 << 20
	content := pattern(2, size)
	body := &trap{Reader: bytes.NewReader(content), at: 3 << 20, do: func() {
		k.carried(1 << 20)
		b.stop()
		b = k.start(2)
		b.SetPeer(1, k.net.Address(1))
	}}
	insist(a, 2, snap(5, 100, 3), body)
	arrived(t, b, content)
	if carried := k.net.SnapshotBytes(); carried > size {
		t.Errorf("%d bytes were received of a body of %d", carried, size)
	}
}

func notMixed(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	c := k.open(3)
	const size = 4 << 20
	ctx, cancel := context.WithCancel(t.Context())
	first := &trap{Reader: bytes.NewReader(pattern(1, size)), at: 3 << 20, do: func() {
		k.carried(1 << 20)
		cancel()
	}}
	if err := a.SendSnapshot(ctx, 2, snap(5, 100, 3), first); err == nil {
		t.Fatal("the first snapshot was sent although its context had ended")
	}
	content := pattern(9, size-1000)
	insist(c, 2, snap(5, 100, 3), reader(content))
	arrived(t, b, content)
}

func empty(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	if err := a.SendSnapshot(t.Context(), 2, snap(5, 100, 3), reader(nil)); err != nil {
		t.Fatal(err)
	}
	arrived(t, b, nil)
}

func refused(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	b.change(func() {
		b.onSnapshot = func(context.Context, io.Reader) error { return errors.New("the disk is full of cats") }
	})
	err := a.SendSnapshot(t.Context(), 2, snap(5, 100, 3), reader(pattern(1, 1000)))
	if err == nil || !strings.Contains(err.Error(), "the disk is full of cats") {
		t.Errorf("the sender got %v", err)
	}
}

func cancelled(t *testing.T, k *kit) {
	a, b := k.open(1), k.open(2)
	ctx, cancel := context.WithCancel(t.Context())
	gate := make(chan struct{})
	b.change(func() {
		b.onSnapshot = func(context.Context, io.Reader) error {
			cancel()
			<-gate
			return nil
		}
	})
	err := a.SendSnapshot(ctx, 2, snap(5, 100, 3), reader(pattern(1, 1000)))
	close(gate)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the sender got %v", err)
	}
}

func closing(t *testing.T, k *kit) {
	hosts := []*host{k.open(1), k.open(2), k.open(3)}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	body := pattern(1, 4<<20)
	for _, h := range hosts {
		for _, o := range hosts {
			if h == o {
				continue
			}
			wg.Go(func() {
				for i := uint64(1); ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Microsecond):
					}
					h.Send(o.id, []raft.Message{app(1, i, 1000), beat(1, i)})
				}
			})
			wg.Go(func() {
				for i := uint64(1); ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
						h.SendSnapshot(t.Context(), o.id, snap(raft.GroupID(h.id), i, 1), reader(body))
					}
				}
			})
		}
	}
	for _, h := range hosts {
		for _, o := range hosts {
			if h != o {
				h.until("messages come", h.count(o.id, 5), nil)
			}
		}
	}
	for _, h := range hosts {
		h.stop()
		if err := h.SendSnapshot(t.Context(), 1+h.id%3, snap(1, 1, 1), reader(body)); err == nil {
			t.Error("a closed host sent a snapshot")
		}
	}
	close(stop)
	wg.Wait()
}
