package sqlite_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// spans records the names of the spans that are started.
type spans struct {
	mu    sync.Mutex
	names []string
}

type recording struct {
	noop.Span
	of *spans
}

func (r recording) IsRecording() bool                    { return true }
func (r recording) TracerProvider() trace.TracerProvider { return tracers{of: r.of} }
func (r recording) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
}

type tracers struct {
	noop.TracerProvider
	of *spans
}

func (t tracers) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{of: t.of} }

type tracer struct {
	noop.Tracer
	of *spans
}

func (t tracer) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.of.mu.Lock()
	t.of.names = append(t.of.names, name)
	t.of.mu.Unlock()
	s := recording{of: t.of}
	return trace.ContextWithSpan(ctx, s), s
}

func (s *spans) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

func TestATracedStatementIsTracedDownToTheLog(t *testing.T) {
	s := &spans{}
	h := open(t, sqlite.Options{Dir: t.TempDir(), TracerProvider: tracers{of: s}})
	p := pool(t, create(t, h, "d"))
	if _, err := p.Exec(`CREATE TABLE t (x)`); err != nil {
		t.Fatal(err)
	}
	if names := s.list(); slices.Contains(names, "sqlite.commit") {
		t.Fatalf("untraced statements have spans: %v", names)
	}
	ctx := trace.ContextWithSpan(t.Context(), recording{of: s})
	if _, err := p.ExecContext(ctx, `INSERT INTO t VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the spans of commit and log are there", func() bool {
		names := s.list()
		return slices.Contains(names, "sqlite.commit") && slices.Contains(names, "aof.append")
	})
}
