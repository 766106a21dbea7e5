package raft

import (
	"context"
	"slices"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// The spans of a proposal: raft.propose is the whole of it, and has three children on the member that proposed it.
// raft.append is this member's log, raft.replicate lasts from the place in the log until the entry is committed,
// raft.apply is the state machine's call. There are none unless the caller's request is recorded.

// tracing is what a proposal has whose request is recorded. It is nil in others. It belongs to whoever does the work of
// the group's actor.
type tracing struct {
	ctx       context.Context // of raft.propose
	replicate trace.Span      // nil: not begun, or ended
	ended     bool            // the caller knows the outcome
}

// over notes the outcome.
func (t *tracing) over(err error) {
	if t == nil {
		return
	}
	t.ended = true
	t.replicated(err)
}

// replicated ends the span, if it goes on.
func (t *tracing) replicated(err error) {
	if t.replicate != nil {
		endSpan(t.replicate, err)
		t.replicate = nil
	}
}

// startSpan begins a span only for requests that are recorded.
func (h *Host) startSpan(ctx context.Context, g *Group, bytes int) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, nil
	}
	return h.tracer.Start(ctx, "raft.propose", trace.WithAttributes(attribute.Int64("group", int64(g.id)), attribute.Int("bytes", bytes)))
}

// replicating begins the spans of proposals that have got their places, and returns their requests.
func (g *Group) replicating(list []*proposal) []context.Context {
	if len(list) == 0 {
		return nil
	}
	requests := make([]context.Context, len(list))
	for i, p := range list {
		requests[i] = p.traced.ctx
		_, p.traced.replicate = g.h.tracer.Start(p.traced.ctx, "raft.replicate", trace.WithAttributes(
			attribute.Int64("group", int64(g.id)), attribute.Int64("index", int64(p.at.Index)), attribute.Int64("term", int64(p.at.Term))))
	}
	return requests
}

// replicated ends the spans of those that are committed: what this leader has appended in its term is, up to the commit
// index. Of what it appended earlier the applying tells.
func (g *Group) replicated() {
	for _, p := range g.r.proposals.traced {
		if g.r.role == etcd.StateLeader && p.at.Term == g.r.term && p.at.Index <= g.r.commit {
			p.traced.replicated(nil)
		}
	}
}

// applying makes a task of a MsgStorageApply. Those that are traced in it aren't followed further.
func (g *Group) applying(m *pb.Message) task {
	following := g.r.proposals.traced
	entries := m.GetEntries()
	if len(following) == 0 || len(entries) == 0 {
		return task{m: m}
	}
	var requests []context.Context
	first := entries[0].GetIndex()
	g.r.proposals.traced = slices.DeleteFunc(following, func(p *proposal) bool {
		if i := p.at.Index - first; p.at.Index >= first && i < uint64(len(entries)) && entries[i].GetTerm() == p.at.Term {
			p.traced.replicated(nil)
			requests = append(requests, p.traced.ctx)
			return true
		}
		return p.traced.ended
	})
	if len(requests) == 0 {
		return task{m: m}
	}
	return task{f: func() error { return g.applier.work(m, requests) }}
}

// applySpans begins a span of the state machine's call for each request that has a proposal in it. What the state machine
// traces itself belongs to the first.
func (g *Group) applySpans(ctx context.Context, requests []context.Context, entries int) (context.Context, []trace.Span) {
	if len(requests) == 0 {
		return ctx, nil
	}
	spans := make([]trace.Span, len(requests))
	for i, request := range requests {
		_, spans[i] = g.h.tracer.Start(request, "raft.apply", trace.WithAttributes(attribute.Int64("group", int64(g.id)), attribute.Int("entries", entries)))
	}
	return trace.ContextWithSpan(ctx, spans[0]), spans
}

func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
