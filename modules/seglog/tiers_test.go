package seglog_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
)

// counted are state machines that count.
type counted map[seglog.SegmentID]*counter

func (c counted) Segments() []seglog.SegmentID                     { return nil }
func (c counted) Restored([]seglog.SegmentID, raft.Position) error { return nil }
func (c counted) Advanced(raft.Position)                           {}
func (c counted) Segment(id seglog.SegmentID) (seglog.FSM, error) {
	if c[id] == nil {
		c[id] = &counter{}
	}
	return c[id], nil
}

type counter struct{ n int }

func (c *counter) Applied() uint64 { return 0 }
func (c *counter) Apply(_ context.Context, es []raft.Entry) error {
	c.n += len(es)
	return nil
}
func (c *counter) Snapshot(context.Context) (seglog.Image, error)          { return nil, io.EOF }
func (c *counter) Restore(context.Context, raft.Position, io.Reader) error { return io.EOF }

func TestSealedSegmentsLogsGoToABucketAndComeBack(t *testing.T) {
	dir, bucket := t.TempDir(), objstore.NewMemory()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	defer system.Shutdown()
	store, err := seglog.OpenStore(filepath.Join(dir, "log"), seglog.StoreOptions{AOF: aof.Options{Spare: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	open := func() *seglog.Segments {
		s, err := seglog.OpenSegments(t.Context(), seglog.SegmentsOptions{
			Dir: filepath.Join(dir, "segments"), Store: store, Group: 1, System: system, Logger: slog.New(slog.DiscardHandler), AOF: aof.Options{SegmentBytes: 64 << 10},
			Tiers: func(id seglog.SegmentID) aof.Tiers {
				return aof.Tiers{Bucket: bucket, Prefix: fmt.Sprintf("segment-%d/", id), Hot: aof.Keep{Segments: -1}, Warm: aof.Keep{Segments: -1}, Retry: time.Millisecond}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if err := s.Bind(t.Context(), counted{}); err != nil {
		t.Fatal(err)
	}
	const n = 400
	for i := uint64(1); i <= n; i++ {
		e := raft.Entry{Position: raft.Position{Index: i, Term: 1}, Data: seglog.Command(seglog.SegmentID(i%2+1), make([]byte, 1000))}
		if _, err := s.Apply(t.Context(), []raft.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	uploaded := func(prefix string) (names int) {
		for _, err := range bucket.List(t.Context(), prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			names++
		}
		return names
	}
	for deadline := time.Now().Add(30 * time.Second); uploaded("segment-1/") < 3 || uploaded("segment-2/") < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d and %d objects", uploaded("segment-1/"), uploaded("segment-2/"))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	next := uint64(1)
	if err := s.Replay(t.Context(), 1, func(at raft.Position, seg seglog.SegmentID, data []byte) error {
		if at.Index != next || seg != seglog.SegmentID(next%2+1) || len(data) != 1000 {
			return fmt.Errorf("entry %d of segment %d, %d bytes; want %d", at.Index, seg, len(data), next)
		}
		next++
		return nil
	}); err != nil || next != n+1 {
		t.Fatalf("%d entries, %v", next-1, err)
	}
}
