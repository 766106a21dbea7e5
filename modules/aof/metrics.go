package aof

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// instruments are the log's metrics.
type instruments struct {
	append       metric.Float64Histogram
	fsync        metric.Float64Histogram
	records      metric.Int64Histogram
	bytes        metric.Int64Counter
	backpressure metric.Int64Counter
	moves        metric.Float64Histogram
	failures     metric.Int64Counter
	name         metric.MeasurementOption
	// Slices that are passed on as they are: options that are put together for each call would be allocated for each.
	record   []metric.RecordOption
	count    []metric.AddOption
	levels   [3][]metric.RecordOption
	kinds    [backpressures][]metric.AddOption
	observer metric.Registration
}

func newInstruments(l *Log) (*instruments, error) {
	m := l.o.MeterProvider.Meter("github.com/bop-platform/bop/modules/aof")
	name := attribute.String("log", l.o.Name)
	i := &instruments{name: metric.WithAttributeSet(attribute.NewSet(name))}
	for d := range i.levels {
		i.levels[d] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(name, attribute.String("durability", Durability(d).String())))}
	}
	for k := range i.kinds {
		i.kinds[k] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(name, attribute.String("kind", BackpressureKind(k).String())))}
	}
	i.record, i.count = []metric.RecordOption{i.name}, []metric.AddOption{i.name}
	seconds := metric.WithExplicitBucketBoundaries(
		0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
	var errs [14]error
	i.append, errs[0] = m.Float64Histogram("bop_aof_append", metric.WithUnit("s"),
		metric.WithDescription("Time from an append to its answer, waiting included."), seconds)
	i.fsync, errs[1] = m.Float64Histogram("bop_aof_fsync", metric.WithUnit("s"),
		metric.WithDescription("Time of one fdatasync."), seconds)
	i.records, errs[2] = m.Int64Histogram("bop_aof_batch_records", metric.WithDescription("Records written at once."),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096))
	i.bytes, errs[3] = m.Int64Counter("bop_aof", metric.WithUnit("By"), metric.WithDescription("Bytes written, headers and padding included."))
	i.backpressure, errs[4] = m.Int64Counter("bop_aof_backpressure",
		metric.WithDescription("Appends that had to wait for admission, by what they waited for."))
	i.moves, errs[8] = m.Float64Histogram("bop_aof_move", metric.WithUnit("s"),
		metric.WithDescription("Time to compress, upload or hydrate one segment."), metric.WithExplicitBucketBoundaries(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60))
	i.failures, errs[9] = m.Int64Counter("bop_aof_move_failures", metric.WithDescription("Moves of segments that failed and are tried again."))
	queued, err := m.Int64ObservableGauge("bop_aof_queue", metric.WithUnit("By"), metric.WithDescription("Bytes that wait for the committer."))
	errs[5] = err
	segments, err := m.Int64ObservableGauge("bop_aof_segments", metric.WithDescription("Segment files."))
	errs[6] = err
	size, err := m.Int64ObservableGauge("bop_aof_size", metric.WithUnit("By"), metric.WithDescription("Bytes of all segment files."))
	errs[7] = err
	tier, err := m.Int64ObservableGauge("bop_aof_tier", metric.WithUnit("By"), metric.WithDescription("Bytes of the copies in each tier."))
	errs[10] = err
	backlog, err := m.Int64ObservableGauge("bop_aof_backlog", metric.WithDescription("Sealed segments that wait to be compressed or uploaded."))
	errs[11] = err
	hydrating, err := m.Int64ObservableGauge("bop_aof_hydrating", metric.WithUnit("By"), metric.WithDescription("Bytes on their way from the bucket."))
	errs[12] = err
	cached, err := m.Int64ObservableGauge("bop_aof_cache", metric.WithUnit("By"), metric.WithDescription("Bytes of cold objects in memory."))
	errs[13] = err
	with := func(key, value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(name, attribute.String(key, value)))
	}
	byTier := [tiers]metric.MeasurementOption{with("tier", "hot"), with("tier", "warm"), with("tier", "cold")}
	toPack, toUpload := with("move", "pack"), with("move", "upload")
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	i.observer, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		st := l.Stats()
		o.ObserveInt64(queued, int64(st.Queued), i.name)
		o.ObserveInt64(segments, int64(st.Segments), i.name)
		o.ObserveInt64(size, st.Bytes, i.name)
		for t, n := range st.Tier {
			o.ObserveInt64(tier, n, byTier[t])
		}
		o.ObserveInt64(backlog, int64(st.ToPack), toPack)
		o.ObserveInt64(backlog, int64(st.ToUpload), toUpload)
		o.ObserveInt64(hydrating, st.Hydrating, i.name)
		o.ObserveInt64(cached, st.Cached, i.name)
		return nil
	}, queued, segments, size, tier, backlog, hydrating, cached)
	return i, err
}

func (i *instruments) close() { i.observer.Unregister() }

// moving begins the span of a segment's move; done ends it and records how long it took.
func (l *Log) moving(ctx context.Context, move string, s *segment) (_ context.Context, done func(*error)) {
	started := time.Now()
	ctx, span := l.tracer.Start(ctx, "aof."+move, trace.WithAttributes(attribute.String("log", l.o.Name), attribute.Int64("segment", int64(s.header.sequence))))
	return ctx, func(err *error) {
		endSpan(span, *err)
		l.metrics.moves.Record(ctx, time.Since(started).Seconds(),
			metric.WithAttributes(attribute.String("log", l.o.Name), attribute.String("move", move)))
	}
}

func (l *Log) moveFailed(mover string) {
	l.metrics.failures.Add(context.Background(), 1, metric.WithAttributes(attribute.String("log", l.o.Name), attribute.String("mover", mover)))
}

func (i *instruments) batch(b *batch) {
	i.records.Record(context.Background(), int64(b.count), i.record...)
	i.bytes.Add(context.Background(), int64(len(b.buf)), i.count...)
}

// answered records how long the callers of a batch waited for their callbacks.
func (i *instruments) answered(b *batch) {
	if len(b.calls) == 0 || !i.append.Enabled(context.Background()) {
		return
	}
	now := time.Now()
	for _, c := range b.calls {
		i.append.Record(context.Background(), now.Sub(c.started).Seconds(), i.levels[c.level]...)
	}
}

// startSpan begins a span only for requests that are recorded: an append that isn't traced pays nothing.
func (l *Log) startSpan(ctx context.Context, recs [][]byte) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, nil
	}
	return l.tracer.Start(ctx, "aof.append", trace.WithAttributes(attribute.String("log", l.o.Name), attribute.Int("records", len(recs))))
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// traceSync gives each traced append of a batch a span of the sync that they shared.
func (l *Log) traceSync(b *batch, started time.Time, took time.Duration, err error) {
	for _, sc := range b.spans {
		ctx := trace.ContextWithSpanContext(context.Background(), sc)
		_, span := l.tracer.Start(ctx, "aof.fsync", trace.WithTimestamp(started), trace.WithAttributes(attribute.Int("records", b.count)))
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End(trace.WithTimestamp(started.Add(took)))
	}
}
