package objstore_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/aof/objstore/objtest"
)

// recorder is told of all spans and measurements.
type recorder struct {
	mu       sync.Mutex
	requests []string // op and outcome
	spans    []string // those that ended; with a ! if they have an error
	bytes    map[string]int64
}

func (r *recorder) add(list *[]string, s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, s)
}

type meters struct {
	metricnoop.MeterProvider
	r *recorder
}

func (m meters) Meter(string, ...metric.MeterOption) metric.Meter { return meter{r: m.r} }

type meter struct {
	metricnoop.Meter
	r *recorder
}

func (m meter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{r: m.r}, nil
}

func (m meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{r: m.r, name: name}, nil
}

type histogram struct {
	metricnoop.Float64Histogram
	r *recorder
}

func (h histogram) Record(_ context.Context, _ float64, o ...metric.RecordOption) {
	set := metric.NewRecordConfig(o).Attributes()
	op, _ := set.Value("op")
	outcome, _ := set.Value("outcome")
	h.r.add(&h.r.requests, op.AsString()+" "+outcome.AsString())
}

type counter struct {
	metricnoop.Int64Counter
	r    *recorder
	name string
}

func (c counter) Add(_ context.Context, n int64, o ...metric.AddOption) {
	set := metric.NewAddConfig(o).Attributes()
	op, _ := set.Value("op")
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.bytes[c.name+" "+op.AsString()] += n
}

type tracers struct {
	tracenoop.TracerProvider
	r *recorder
}

func (t tracers) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{r: t.r} }

type tracer struct {
	tracenoop.Tracer
	r *recorder
}

func (t tracer) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	return ctx, &span{r: t.r, name: name}
}

type span struct {
	tracenoop.Span
	r    *recorder
	name string
}

func (s *span) SetStatus(c codes.Code, _ string) {
	if c == codes.Error {
		s.name += "!"
	}
}

func (s *span) End(...trace.SpanEndOption) { s.r.add(&s.r.spans, s.name) }

func instrument(t *testing.T, b objstore.Bucket) (objstore.Bucket, *recorder) {
	t.Helper()
	r := &recorder{bytes: map[string]int64{}}
	b, err := objstore.Instrument(b, tracers{r: r}, meters{r: r})
	if err != nil {
		t.Fatal(err)
	}
	return b, r
}

func TestInstrument(t *testing.T) {
	objtest.Run(t, func(t *testing.T) objstore.Bucket {
		b, _ := instrument(t, objstore.NewMemory())
		return b
	}, objtest.Options{Many: 100})
	t.Run("each request is told of once, with its outcome and bytes", func(t *testing.T) {
		b, r := instrument(t, faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
			switch {
			case c.Op == "get" && c.N == 1:
				return faulty.Fault{Cut: 3}
			case c.Op == "list":
				return faulty.Fault{Before: objstore.ErrUnavailable}
			}
			return faulty.Fault{}
		}))
		for range 2 { // the second finds the first's object
			b.Put(t.Context(), "x", strings.NewReader("content"), 7, objstore.PutOptions{IfAbsent: true})
		}
		for range 2 { // the second is cut
			body, _, err := b.Get(t.Context(), "x", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			io.ReadAll(body)
			body.Close()
			body.Close()
		}
		b.Get(t.Context(), "y", 0, -1)
		b.Head(t.Context(), "x")
		for range b.List(t.Context(), "", "") {
		}
		b.Delete(t.Context(), "x")
		want := []string{"put ok", "put exists", "get ok", "get unavailable", "get not_found", "head ok", "list unavailable", "delete ok"}
		if !slices.Equal(r.requests, want) {
			t.Errorf("requests: %q", r.requests)
		}
		want = []string{"objstore.put", "objstore.put", "objstore.get", "objstore.get!", "objstore.get", "objstore.head", "objstore.list!", "objstore.delete"}
		if !slices.Equal(r.spans, want) {
			t.Errorf("spans: %q", r.spans)
		}
		if r.bytes["bop_objstore_sent put"] != 7 || r.bytes["bop_objstore_received get"] != 10 {
			t.Errorf("bytes: %v", r.bytes)
		}
	})
	t.Run("an upload is told of with its bytes", func(t *testing.T) {
		b, r := instrument(t, objstore.NewMemory())
		if _, err := objstore.Upload(t.Context(), b, "x", strings.NewReader("content"), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.requests, []string{"upload ok"}) || !slices.Equal(r.spans, []string{"objstore.upload"}) || r.bytes["bop_objstore_sent upload"] != 7 {
			t.Error(r.requests, r.spans, r.bytes)
		}
	})
	t.Run("one that is several requests is told of with each", func(t *testing.T) {
		b, r := instrument(t, inPieces{objstore.NewMemory()})
		if _, err := objstore.Upload(t.Context(), b, "x", strings.NewReader("content"), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		want := []string{"upload_part unavailable", "upload_part ok", "upload_complete ok", "upload ok"}
		if !slices.Equal(r.requests, want) {
			t.Errorf("requests: %q", r.requests)
		}
		if len(r.bytes) != 1 || r.bytes["bop_objstore_sent upload_part"] != 7 {
			t.Errorf("bytes: %v", r.bytes)
		}
	})
}

// inPieces is a bucket whose uploads are several requests.
type inPieces struct{ *objstore.Memory }

func (b inPieces) Upload(ctx context.Context, key string, r io.Reader, o objstore.PutOptions) (objstore.Info, error) {
	for _, err := range []error{objstore.ErrUnavailable, nil} {
		_, end := objstore.Observe(ctx, "upload_part")
		end(7, err)
	}
	_, end := objstore.Observe(ctx, "upload_complete")
	end(0, nil)
	return b.Memory.Upload(ctx, key, r, o)
}
