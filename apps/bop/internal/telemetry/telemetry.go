// Package telemetry wires the OpenTelemetry SDK: metrics to a Prometheus endpoint, spans to an OTLP collector.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	prom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Options say what a process is called and where its spans go.
type Options struct {
	Node, Version string
	OTLP          string // URL of an OTLP/HTTP endpoint; "": spans are not recorded
	Logger        *slog.Logger
}

// Telemetry is what the modules are given.
type Telemetry struct {
	Tracer  trace.TracerProvider
	Meter   metric.MeterProvider
	Metrics http.Handler // the Prometheus endpoint

	stop []func(context.Context) error
}

// Start wires the SDK. Spans follow the sampling that a client's traceparent asks for; without one every request is
// recorded when an endpoint is set.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	res := resource.NewSchemaless(attribute.String("service.name", "bop"),
		attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node))
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := prom.New(prom.WithRegisterer(registry), prom.WithoutScopeInfo(), prom.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("starting the Prometheus exporter: %w", err)
	}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(res), sdkmetric.WithView(durations))
	t := &Telemetry{Meter: meter, Tracer: noop.NewTracerProvider(), stop: []func(context.Context) error{meter.Shutdown}}
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry})
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	if o.OTLP == "" {
		return t, nil
	}
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(tracesURL(o.OTLP)), otlptracehttp.WithTimeout(5*time.Second))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the OTLP exporter: %w", err), meter.Shutdown(ctx))
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.Warn("telemetry was not delivered", "endpoint", o.OTLP, "err", err)
	}))
	tracer := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	t.Tracer = tracer
	t.stop = append(t.stop, tracer.Shutdown)
	return t, nil
}

// Stop sends what is waiting and ends the exporters.
func (t *Telemetry) Stop(ctx context.Context) error {
	var errs []error
	for _, stop := range t.stop {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

// tracesURL appends the path of the OTLP specification where the URL names only a host.
func tracesURL(base string) string {
	u, err := url.Parse(base)
	if err == nil && (u.Path == "" || u.Path == "/") {
		return u.JoinPath("v1", "traces").String()
	}
	return base
}

// durations gives histograms of seconds buckets from 25 µs to 10 s: one durability point is about 100 µs.
func durations(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Kind != sdkmetric.InstrumentKindHistogram || i.Unit != "s" {
		return sdkmetric.Stream{}, false
	}
	return sdkmetric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit,
		Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: []float64{
			25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10}}}, true
}
