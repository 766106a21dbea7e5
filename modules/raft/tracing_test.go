package raft_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/modules/raft"
)

// witness is a state machine that notes the spans in whose contexts it was called.
type witness struct {
	register
	mu    sync.Mutex
	spans []api.SpanID
}

func (w *witness) Apply(ctx context.Context, entries []raft.Entry) ([]any, error) {
	w.mu.Lock()
	w.spans = append(w.spans, api.SpanContextFromContext(ctx).SpanID())
	w.mu.Unlock()
	return w.register.Apply(ctx, entries)
}

// recorded is a cluster whose spans are kept.
func recorded(t *testing.T, n int, tick time.Duration) (*cluster, *tracetest.SpanRecorder, api.Tracer) {
	kept := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(kept))
	c := newCluster(t, n, func(o *raft.Options) { o.TracerProvider, o.Tick = provider, tick })
	return c, kept, provider.Tracer("test")
}

// of returns the spans of one trace by their names.
func of(request api.Span, list []trace.ReadOnlySpan) map[string]trace.ReadOnlySpan {
	out := map[string]trace.ReadOnlySpan{}
	for _, s := range list {
		if s.SpanContext().TraceID() == request.SpanContext().TraceID() {
			out[s.Name()] = s
		}
	}
	return out
}

func TestATracedProposalShowsReplicationAndApply(t *testing.T) {
	c, kept, tracer := recorded(t, 3, 10*time.Millisecond)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "without a trace")
	if n := len(kept.Started()); n != 0 {
		t.Fatalf("%d spans of a request that isn't recorded", n)
	}
	ctx, request := tracer.Start(c.ctx(), "request")
	if _, _, err := g.Propose(ctx, []byte("traced")); err != nil {
		t.Fatal(err)
	}
	request.End()
	spans := of(request, kept.Ended())
	for name, parent := range map[string]string{"raft.propose": "request", "raft.append": "raft.propose", "raft.replicate": "raft.propose", "raft.apply": "raft.propose"} {
		s := spans[name]
		if s == nil || spans[parent] == nil || s.Parent().SpanID() != spans[parent].SpanContext().SpanID() {
			t.Fatalf("%s isn't a child of %s: %v", name, parent, spans)
		}
	}
	if len(spans) != 5 || len(kept.Started()) != len(kept.Ended()) {
		t.Errorf("%d spans, %d of %d ended", len(spans), len(kept.Ended()), len(kept.Started()))
	}
	whole, replicate, apply := spans["raft.propose"], spans["raft.replicate"], spans["raft.apply"]
	if replicate.StartTime().Before(whole.StartTime()) || apply.StartTime().Before(replicate.EndTime()) || whole.EndTime().Before(apply.EndTime()) {
		t.Error("one doesn't follow the other")
	}
}

func TestTheStateMachineIsCalledWithinTheSpanOfItsCall(t *testing.T) {
	c, kept, tracer := recorded(t, 1, 10*time.Millisecond)
	if err := c.nodes[1].host.Bootstrap(1, 1); err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	g, err := c.nodes[1].host.Open(1, w)
	if err != nil {
		t.Fatal(err)
	}
	c.leader(1)
	ctx, request := tracer.Start(c.ctx(), "request")
	if _, _, err := g.Propose(ctx, []byte("traced")); err != nil {
		t.Fatal(err)
	}
	c.propose(g, "untraced")
	apply := of(request, kept.Ended())["raft.apply"]
	if apply == nil || w.spans[0] != apply.SpanContext().SpanID() || w.spans[1].IsValid() {
		t.Errorf("called in %v, want first that of %v", w.spans, apply)
	}
}

func TestTheSpanOfAProposalThatIsSupersededSaysSo(t *testing.T) {
	c, kept, tracer := recorded(t, 3, 10*time.Millisecond)
	c.group(1, 1, 2, 3)
	old := c.leader(1)
	c.propose(old, "a")
	c.isolate(old.Status().Node)
	ctx, request := tracer.Start(context.Background(), "request")
	outcome := make(chan error, 1)
	go func() {
		_, _, err := old.Propose(ctx, []byte("lost"))
		outcome <- err
	}()
	if _, err := old.Wait(c.ctx(), func(s raft.Status) bool { return !s.Leads }); err != nil {
		t.Fatal(err)
	}
	g := c.leader(1)
	c.propose(g, "b")
	c.propose(g, "c")
	c.net.Heal()
	if err := <-outcome; !errors.Is(err, raft.ErrSuperseded) {
		t.Fatalf("got %v", err)
	}
	c.propose(c.leader(1), "d")
	c.agree(1, 4, 1, 2, 3)
	spans := of(request, kept.Ended())
	if s := spans["raft.replicate"]; s == nil || s.Status().Code != codes.Error {
		t.Errorf("replication: %v", s)
	}
	if spans["raft.apply"] != nil {
		t.Error("it was applied")
	}
}

func TestReplicationEndsThoughTheStateMachineHangs(t *testing.T) {
	c, kept, tracer := recorded(t, 3, 100*time.Millisecond) // whoever leads goes on to, also on a slow machine
	machines := c.slowly()
	g := c.leader(1)
	release := machines[g.Status().Node].hang(t)
	done := make(chan error, 100)
	ask := func(ctx context.Context, size int) {
		if err := g.ProposeAsync(ctx, make([]byte, size), func(_ raft.Position, _ any, err error) { done <- err }); err != nil {
			t.Error(err)
		}
	}
	const before = 10
	for range before {
		ask(c.ctx(), 1<<20) // more than Raft hands out to be applied at a time
	}
	ctx, request := tracer.Start(c.ctx(), "request")
	ask(ctx, 10)
	until(t, "it is replicated", func() bool { return of(request, kept.Ended())["raft.replicate"] != nil })
	release()
	for range before + 1 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWhatTheNextLeaderCommitsWasReplicatedBeforeItIsApplied(t *testing.T) {
	c, kept, tracer := recorded(t, 3, 10*time.Millisecond)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "a")
	c.agree(1, 1, 1, 2, 3)
	leader := g.Status().Node
	for other := range c.nodes {
		if other != leader {
			c.net.Partition(other, leader, true) // it is heard, and hears nothing
		}
	}
	ctx, request := tracer.Start(c.ctx(), "request")
	outcome := make(chan error, 1)
	if err := g.ProposeAsync(ctx, []byte("b"), func(_ raft.Position, _ any, err error) { outcome <- err }); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Wait(c.ctx(), func(s raft.Status) bool { return !s.Leads }); err != nil {
		t.Fatal(err)
	}
	c.net.Heal()
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	spans := of(request, kept.Ended())
	if r, a := spans["raft.replicate"], spans["raft.apply"]; r == nil || a == nil || a.StartTime().Before(r.EndTime()) {
		t.Errorf("replicated %v, applied %v", r, a)
	}
}
