package tcpnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/bop-platform/bop/modules/raft/tcpnet"
)

// gatedBody is a body of which a part can be read, and the rest when the gate is opened.
type gatedBody struct {
	*bytes.Reader
	part int64
	gate <-chan struct{}
}

func (g gatedBody) Read(b []byte) (int, error) {
	at, _ := g.Seek(0, io.SeekCurrent)
	if at >= g.part {
		<-g.gate
	} else {
		b = b[:min(int64(len(b)), g.part-at)]
	}
	return g.Reader.Read(b)
}

func TestASnapshotUnderWayShowsHowFarItIs(t *testing.T) {
	const part, whole = 512 << 10, 1 << 20
	reader := metric.NewManualReader()
	o := quick(1)
	o.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
	a, _ := start(t, o)
	b, _ := start(t, quick(2))
	a.SetPeer(2, b.Addr().String())
	gate := make(chan struct{})
	content := make([]byte, whole)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- a.SendSnapshot(ctx, 2, snapshot(7), gatedBody{bytes.NewReader(content), part, gate})
	}()
	want := tcpnet.Transfer{Peer: 2, Group: 1, Index: 7, Done: part, Total: whole}
	eventually(t, "the sender tells it", func() bool {
		s := a.Stats().Transfers
		return len(s) == 1 && s[0] == want
	})
	want.Peer, want.Incoming = 1, true
	eventually(t, "the receiver tells it", func() bool {
		s := b.Stats().Transfers
		return len(s) == 1 && s[0] == want
	})
	figures := gathered(t, reader)
	if d, s := figures["bop_raft_transport_snapshot_done"], figures["bop_raft_transport_snapshot_size"]; d != part || s != whole {
		t.Errorf("metrics: %d of %d bytes", d, s)
	}

	// It is broken off, and goes on from there.
	cancel()
	close(gate)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	eventually(t, "the receiver has noticed", func() bool { return len(b.Stats().Transfers) == 0 })
	if sent, got := a.Stats().SnapshotsSent, b.Stats().SnapshotsReceived; sent.Failed != 1 || got.Failed != 1 || sent.Installed+got.Installed != 0 {
		t.Errorf("broken off: sent %+v, received %+v", sent, got)
	}
	if err := a.SendSnapshot(t.Context(), 2, snapshot(7), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both sides count it", func() bool {
		return a.Stats().SnapshotsSent.Installed == 1 && b.Stats().SnapshotsReceived.Installed == 1
	})
	sent, got := a.Stats(), b.Stats()
	for _, s := range []struct {
		side string
		sums tcpnet.SnapshotSums
	}{{"sent", sent.SnapshotsSent}, {"received", got.SnapshotsReceived}} {
		if s.sums.Resumed != 1 || s.sums.Failed != 1 || s.sums.Bytes != whole {
			t.Errorf("%s: %+v", s.side, s.sums)
		}
	}
	if len(sent.Transfers)+len(got.Transfers) > 0 {
		t.Errorf("under way: %v, %v", sent.Transfers, got.Transfers)
	}
	figures = gathered(t, reader)
	for name, want := range map[string]int64{
		"bop_raft_transport_snapshots out installed": 1, "bop_raft_transport_snapshots out failed": 1,
		"bop_raft_transport_snapshots_resumed out": 1, "bop_raft_transport_snapshot out": whole,
	} {
		if figures[name] != want {
			t.Errorf("%s: %d, want %d; all: %v", name, figures[name], want, figures)
		}
	}
	if _, ok := figures["bop_raft_transport_snapshot_done"]; ok {
		t.Error("a gauge goes on without its snapshot")
	}
}

// gathered reads integer metrics: each under its name, and under its name with direction and outcome.
func gathered(t *testing.T, r *metric.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	add := func(name string, points []metricdata.DataPoint[int64]) {
		for _, p := range points {
			out[name] = p.Value
			labels := name
			for _, key := range []string{"direction", "outcome"} {
				if v, ok := p.Attributes.Value(attribute.Key(key)); ok {
					labels += " " + v.AsString()
				}
			}
			out[labels] = p.Value
		}
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				add(m.Name, d.DataPoints)
			case metricdata.Sum[int64]:
				add(m.Name, d.DataPoints)
			}
		}
	}
	return out
}

func TestASnapshotThatIsNotTakenCountsAsFailed(t *testing.T) {
	a, _ := start(t, quick(1))
	b, sb := start(t, quick(2))
	a.SetPeer(2, b.Addr().String())
	sb.install = func(io.Reader) error { return errors.New("no room") }
	if err := a.SendSnapshot(t.Context(), 2, snapshot(7), strings.NewReader("body")); err == nil {
		t.Fatal("it was taken")
	}
	want := tcpnet.SnapshotSums{Bytes: 4, Failed: 1}
	eventually(t, "both sides count it", func() bool {
		return a.Stats().SnapshotsSent == want && b.Stats().SnapshotsReceived == want
	})
}
