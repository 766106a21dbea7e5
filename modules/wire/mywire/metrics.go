package mywire

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// instruments are the metrics of a server's connections; what statements do is counted by package session.
type instruments struct {
	in, out  atomic.Int64
	commands atomic.Int64 // for COM_STATISTICS
	failures metric.Int64Counter
	protocol metric.MeasurementOption
	observer metric.Registration
}

const scope = "github.com/bop-platform/bop/modules/wire/mywire"

func newInstruments(s *Server) (*instruments, error) {
	provider := s.o.MeterProvider
	if provider == nil {
		provider = noop.NewMeterProvider()
	}
	m := provider.Meter(scope)
	i := &instruments{protocol: metric.WithAttributeSet(attribute.NewSet(attribute.String("protocol", "mysql")))}
	var err error
	if i.failures, err = m.Int64Counter("bop_wire_auth_failures", metric.WithDescription("Clients that couldn't show who they are.")); err != nil {
		return nil, err
	}
	conns, err := m.Int64ObservableGauge("bop_wire_connections", metric.WithDescription("Open connections."))
	if err != nil {
		return nil, err
	}
	in, err := m.Int64ObservableCounter("bop_wire_received_bytes", metric.WithUnit("By"), metric.WithDescription("Bytes from clients."))
	if err != nil {
		return nil, err
	}
	out, err := m.Int64ObservableCounter("bop_wire_sent_bytes", metric.WithUnit("By"), metric.WithDescription("Bytes to clients."))
	if err != nil {
		return nil, err
	}
	i.observer, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(conns, int64(s.count()), i.protocol)
		o.ObserveInt64(in, i.in.Load(), i.protocol)
		o.ObserveInt64(out, i.out.Load(), i.protocol)
		return nil
	}, conns, in, out)
	return i, err
}

func (i *instruments) close() { i.observer.Unregister() }

func (i *instruments) authFailed() { i.failures.Add(context.Background(), 1, i.protocol) }
