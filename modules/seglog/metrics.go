package seglog

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/bop-platform/bop/modules/seglog"

// instruments are the metrics of a group's segments.
type instruments struct {
	movedBytes metric.Int64Counter
	observed   metric.Registration
}

func newInstruments(s *Segments, p metric.MeterProvider) (*instruments, error) {
	if p == nil {
		p = otel.GetMeterProvider()
	}
	m := p.Meter(scope)
	bytes, err1 := m.Int64Counter("bop_seglog_moved", metric.WithUnit("By"), metric.WithDescription("Entries moved from the parent log into their segments' logs."))
	segments, err2 := m.Int64ObservableGauge("bop_seglog_segments", metric.WithDescription("Segments with a log of their own."))
	unsynced, err3 := m.Int64ObservableGauge("bop_seglog_unsynced", metric.WithUnit("By"), metric.WithDescription("Moved bytes that wait to be synced, and keep the parent log until then."))
	behind, err4 := m.Int64ObservableGauge("bop_seglog_behind_entries", metric.WithDescription("Entries applied that the segments' logs don't have on disk yet."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	reg, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		o.ObserveInt64(segments, int64(len(s.list)))
		o.ObserveInt64(unsynced, s.waiting)
		o.ObserveInt64(behind, int64(s.applied.Index-min(s.applied.Index, s.moved.Index)))
		return nil
	}, segments, unsynced, behind)
	return &instruments{bytes, reg}, err
}

func (i *instruments) moved(n int64) { i.movedBytes.Add(context.Background(), n) }

func (i *instruments) close() { _ = i.observed.Unregister() }
