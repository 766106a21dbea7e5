package session

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// instruments are the metrics of a server's sessions.
type instruments struct {
	seconds   metric.Float64Histogram
	errors    metric.Int64Counter
	cache     metric.Int64Counter
	hit, miss metric.MeasurementOption
	protocol  [2]metric.MeasurementOption
	observer  metric.Registration
}

func newInstruments(s *Server) (*instruments, error) {
	m := s.o.MeterProvider.Meter(scope)
	i := &instruments{
		hit:  metric.WithAttributeSet(attribute.NewSet(attribute.String("result", "hit"))),
		miss: metric.WithAttributeSet(attribute.NewSet(attribute.String("result", "miss"))),
	}
	for d := range i.protocol {
		i.protocol[d] = metric.WithAttributeSet(attribute.NewSet(attribute.String("protocol", ir.Dialect(d).String())))
	}
	var err error
	if i.seconds, err = m.Float64Histogram("bop_wire_command", metric.WithUnit("s"), metric.WithDescription("Time of one command, its rows included.")); err != nil {
		return nil, err
	}
	if i.errors, err = m.Int64Counter("bop_wire_errors", metric.WithDescription("Commands that failed, by SQLSTATE.")); err != nil {
		return nil, err
	}
	if i.cache, err = m.Int64Counter("bop_wire_plan_cache", metric.WithDescription("Look-ups of translated statements.")); err != nil {
		return nil, err
	}
	open, err := m.Int64ObservableGauge("bop_wire_sessions", metric.WithDescription("Open sessions."))
	if err != nil {
		return nil, err
	}
	i.observer, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		var n [2]int64
		for _, x := range s.list() {
			n[x.cfg.Dialect]++
		}
		for d, count := range n {
			o.ObserveInt64(open, count, i.protocol[d])
		}
		return nil
	}, open)
	return i, err
}

func (i *instruments) close() { i.observer.Unregister() }

func (i *instruments) plan(hit bool) {
	if hit {
		i.cache.Add(context.Background(), 1, i.hit)
	} else {
		i.cache.Add(context.Background(), 1, i.miss)
	}
}

// observe measures one command and gives it a span if somebody records spans.
func (s *Server) observe(ctx context.Context, x *Session, text string) (context.Context, func(error)) {
	began := time.Now()
	ctx, span := s.span(ctx, x, text)
	return ctx, func(err error) {
		s.metrics.seconds.Record(context.Background(), time.Since(began).Seconds(), s.metrics.protocol[x.cfg.Dialect])
		if err != nil {
			e := sqlerr.FromSQLite(err)
			s.metrics.errors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("sqlstate", e.State)))
			if span != nil {
				span.SetStatus(codes.Error, e.State)
			}
		}
		if span != nil {
			span.End()
		}
	}
}

func (s *Server) span(ctx context.Context, x *Session, text string) (context.Context, trace.Span) {
	if !s.traced {
		return ctx, nil
	}
	if parent := x.traceparent(text); parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	}
	ctx, span := s.tracer.Start(ctx, "sql "+verb(text), trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return ctx, nil
	}
	// The text may hold what users type; only its first word and where it ran are told.
	span.SetAttributes(attribute.String("db.system.name", "bop"), attribute.String("db.namespace", x.Database()),
		attribute.String("db.operation.name", verb(text)), attribute.String("network.protocol.name", x.cfg.Dialect.String()))
	return ctx, span
}

// traceparent is what the client says of its trace: in a comment of the statement, or in the variable.
func (x *Session) traceparent(text string) string {
	const mark = "/*traceparent='"
	if i := strings.Index(text, mark); i >= 0 {
		if value, _, ok := strings.Cut(text[i+len(mark):], "'"); ok {
			return value
		}
	}
	return x.vars.values["bop.traceparent"]
}

// verb is the first word of a statement, in capitals, if it looks like one.
func verb(text string) string {
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "/*") {
		_, rest, ok := strings.Cut(text, "*/")
		if !ok {
			return ""
		}
		text = strings.TrimSpace(rest)
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	if end < 0 {
		end = len(text)
	}
	return strings.ToUpper(text[:min(end, 20)])
}
