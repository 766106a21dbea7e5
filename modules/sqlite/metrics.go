package sqlite

import (
	"context"
	"errors"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/bop-platform/bop/modules/sqlite"

// metrics are the instruments of a host. Their names become bop_sqlite_… in Prometheus.
type metrics struct {
	commit     metric.Float64Histogram
	commits    metric.Int64Counter
	checkpoint metric.Float64Histogram
	wait       metric.Float64Histogram
	logBytes   metric.Int64Counter

	cold *coldMetrics

	stop metric.Registration
}

// durations fit what takes microseconds to seconds.
var durations = metric.WithExplicitBucketBoundaries(20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5, 10)

func newMetrics(h *Host, p metric.MeterProvider) (*metrics, error) {
	m := p.Meter(scope)
	var x metrics
	var errs [10]error
	x.commit, errs[0] = m.Float64Histogram("bop.sqlite.commit", metric.WithUnit("s"), durations,
		metric.WithDescription("From the end of the SQL to the acknowledgement of a commit."))
	x.commits, errs[1] = m.Int64Counter("bop.sqlite.commits", metric.WithDescription("Commits by outcome."))
	x.checkpoint, errs[2] = m.Float64Histogram("bop.sqlite.checkpoint", metric.WithUnit("s"), durations,
		metric.WithDescription("Duration of a checkpoint."))
	x.wait, errs[3] = m.Float64Histogram("bop.sqlite.writer.wait", metric.WithUnit("s"), durations,
		metric.WithDescription("How long a transaction queued for the writer's place."))
	x.logBytes, errs[4] = m.Int64Counter("bop.sqlite.log.bytes", metric.WithUnit("By"), metric.WithDescription("Bytes of transaction records."))
	hits, e5 := m.Int64ObservableCounter("bop.sqlite.cache.hits", metric.WithDescription("Pages found in the cache of the page files."))
	misses, e6 := m.Int64ObservableCounter("bop.sqlite.cache.misses", metric.WithDescription("Pages read from a page file."))
	bytes, e7 := m.Int64ObservableGauge("bop.sqlite.cache", metric.WithUnit("By"), metric.WithDescription("Bytes in the cache of the page files."))
	versions, e8 := m.Int64ObservableGauge("bop.sqlite.versions", metric.WithDescription("Pages with versions above the page file."))
	lag, e9 := m.Int64ObservableGauge("bop.sqlite.head.lag", metric.WithDescription("Transactions between the executed and the committed head."))
	errs[5], errs[6], errs[7], errs[8], errs[9] = e5, e6, e7, e8, e9
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	var err error
	if x.cold, err = newColdMetrics(h, m); err != nil {
		return nil, err
	}
	x.stop, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := h.cache.Stats()
		o.ObserveInt64(hits, s.Hits)
		o.ObserveInt64(misses, s.Misses)
		o.ObserveInt64(bytes, s.Bytes)
		for _, db := range h.all() {
			st, heads := db.current().Stats(), db.current().Heads()
			attrs := metric.WithAttributes(attribute.String("database", db.Name()))
			o.ObserveInt64(versions, int64(st.Versions), attrs)
			o.ObserveInt64(lag, int64(heads.Executed.TXID-heads.Committed.TXID), attrs)
		}
		return nil
	}, hits, misses, bytes, versions, lag)
	return &x, err
}

func (m *metrics) close() {
	_ = m.stop.Unregister()
	_ = m.cold.stop.Unregister()
}

// CacheStats counts the use of the page cache that all databases share.
type CacheStats = pagefile.CacheStats
