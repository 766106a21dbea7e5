package objstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/bop-platform/bop/modules/aof/objstore"

// Instrument tells of a bucket's requests: a span of each, as "objstore.put", and the metrics that the package's
// documentation lists. A Get lasts until its body is closed, a List as long as it is read, an Upload until its object is
// there; what it consists of is told too, as far as the bucket calls Observe. Around Retry a request is counted once,
// within it each attempt.
func Instrument(b Bucket, tracers trace.TracerProvider, meters metric.MeterProvider) (Bucket, error) {
	i := &instrumented{Bucket: b, tracer: tracers.Tracer(scope)}
	m := meters.Meter(scope)
	var errs [3]error
	i.seconds, errs[0] = m.Float64Histogram("bop_objstore_request", metric.WithUnit("s"),
		metric.WithDescription("Time of a request to the object store, its body included."),
		metric.WithExplicitBucketBoundaries(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60))
	i.sent, errs[1] = m.Int64Counter("bop_objstore_sent", metric.WithUnit("By"), metric.WithDescription("Bytes of objects and their parts that were put or uploaded."))
	i.received, errs[2] = m.Int64Counter("bop_objstore_received", metric.WithUnit("By"), metric.WithDescription("Bytes of objects that were read."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return i, nil
}

type instrumented struct {
	Bucket
	tracer         trace.Tracer
	seconds        metric.Float64Histogram
	sent, received metric.Int64Counter
}

// outcomes name errors in metrics.
var outcomes = []struct {
	err  error
	name string
}{
	{context.Canceled, "canceled"}, {ErrNotFound, "not_found"}, {ErrExists, "exists"}, {ErrChanged, "changed"}, {ErrRange, "range"},
	{ErrDenied, "denied"}, {ErrChecksum, "checksum"}, {ErrKey, "key"}, {ErrMetadata, "metadata"}, {ErrUnavailable, "unavailable"},
}

// outcome names an error, and tells whether it is a fault: a condition that doesn't hold is an answer.
func outcome(err error) (name string, fault bool) {
	if err == nil {
		return "ok", false
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name, o.err != ErrNotFound && o.err != ErrExists && o.err != ErrChanged && o.err != context.Canceled
		}
	}
	return "error", true
}

// begin starts a request's span; end is called once.
func (i *instrumented) begin(ctx context.Context, op, key string) (_ context.Context, end func(error)) {
	began := time.Now()
	ctx, span := i.tracer.Start(ctx, "objstore."+op, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("bucket", i.String()), attribute.String("key", key)))
	return ctx, func(err error) {
		name, fault := outcome(err)
		if fault {
			span.SetStatus(codes.Error, err.Error())
		}
		span.SetAttributes(attribute.String("outcome", name))
		span.End()
		i.seconds.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attribute.String("op", op), attribute.String("outcome", name)))
	}
}

// Put implements Bucket.
func (i *instrumented) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (Info, error) {
	ctx, end := i.begin(ctx, "put", key)
	info, err := i.Bucket.Put(ctx, key, body, size, o)
	if err == nil {
		i.sent.Add(ctx, size, byOp("put"))
	}
	end(err)
	return info, err
}

func byOp(op string) metric.AddOption { return metric.WithAttributes(attribute.String("op", op)) }

// Upload implements Uploader.
func (i *instrumented) Upload(ctx context.Context, key string, r io.Reader, o PutOptions) (Info, error) {
	ctx, end := i.begin(ctx, "upload", key)
	w := &watched{i: i, key: key}
	src := &source{ctx: ctx, r: r}
	info, err := Upload(context.WithValue(ctx, watchedKey{}, w), i.Bucket, key, src, o)
	if err == nil && !w.seen.Load() {
		i.sent.Add(ctx, src.n, byOp("upload"))
	}
	end(err)
	return info, err
}

// watched is an upload whose requests are told of.
type watched struct {
	i    *instrumented
	key  string
	seen atomic.Bool // the bytes are counted by its requests
}

type watchedKey struct{}

// Observe is for buckets that do an Upload in several requests: it begins one of them, and end, called once, tells how
// many bytes it brought and how it ended. Without an Instrument around the bucket it does nothing.
func Observe(ctx context.Context, op string) (_ context.Context, end func(sent int64, err error)) {
	w, _ := ctx.Value(watchedKey{}).(*watched)
	if w == nil {
		return ctx, func(int64, error) {}
	}
	w.seen.Store(true)
	ctx, done := w.i.begin(ctx, op, w.key)
	return ctx, func(sent int64, err error) {
		if err == nil && sent > 0 {
			w.i.sent.Add(ctx, sent, byOp(op))
		}
		done(err)
	}
}

func (i *instrumented) uploads() bool { return uploads(i.Bucket) }

// Get implements Bucket.
func (i *instrumented) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	ctx, end := i.begin(ctx, "get", key)
	body, info, err := i.Bucket.Get(ctx, key, off, n)
	if err != nil {
		end(err)
		return nil, info, err
	}
	return &counted{ReadCloser: body, i: i, ctx: ctx, end: end}, info, nil
}

// counted is a body that tells of itself when it is closed.
type counted struct {
	io.ReadCloser
	i   *instrumented
	ctx context.Context
	end func(error) // nil once called
	n   int64
	err error // the first of Read
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && c.err == nil {
		c.err = err
	}
	return n, err
}

func (c *counted) Close() error {
	err := c.ReadCloser.Close()
	if c.end != nil {
		c.i.received.Add(c.ctx, c.n, byOp("get"))
		c.end(errors.Join(c.err, err))
		c.end = nil
	}
	return err
}

// Head implements Bucket.
func (i *instrumented) Head(ctx context.Context, key string) (Info, error) {
	ctx, end := i.begin(ctx, "head", key)
	info, err := i.Bucket.Head(ctx, key)
	end(err)
	return info, err
}

// List implements Bucket.
func (i *instrumented) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		ctx, end := i.begin(ctx, "list", prefix)
		var failed error
		defer func() { end(failed) }()
		for info, err := range i.Bucket.List(ctx, prefix, after) {
			if err != nil {
				failed = err
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements Bucket.
func (i *instrumented) Delete(ctx context.Context, keys ...string) error {
	first := ""
	if len(keys) > 0 {
		first = keys[0]
	}
	ctx, end := i.begin(ctx, "delete", first)
	err := i.Bucket.Delete(ctx, keys...)
	end(err)
	return err
}
