package sqlite

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// coldMetrics are the instruments about the bucket and about keys. Requests to the bucket are package objstore's.
type coldMetrics struct {
	views          pageobj.Metrics
	evicted        metric.Int64Counter
	uploaded       metric.Int64Counter
	uploadFailures metric.Int64Counter
	verified       metric.Int64Counter
	stop           metric.Registration
}

// counted is one of the counters of views.
type counted struct {
	name, unit, about string
	of                func(*pageobj.Metrics) *atomic.Int64
}

var viewCounters = []counted{
	{"bop.sqlite.bucket.fetches", "", "Requests for pages to the bucket.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Requests }},
	{"bop.sqlite.bucket.fetched", "By", "Bytes that were asked of the bucket for pages.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Bytes }},
	{"bop.sqlite.bucket.misses", "", "Pages that a statement had to wait for the bucket for.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Misses }},
	{"bop.sqlite.bucket.hits", "", "Pages of the bucket that were in memory already, read ahead or come along with others.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Hits }},
	{"bop.sqlite.bucket.joined", "", "Pages that another request was under way for.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Joined }},
	{"bop.sqlite.bucket.ahead", "", "Pages that were read ahead.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Ahead }},
	{"bop.sqlite.bucket.errors", "", "Requests for pages that failed.", func(m *pageobj.Metrics) *atomic.Int64 { return &m.Errors }},
}

func newColdMetrics(h *Host, m metric.Meter) (*coldMetrics, error) {
	x := &coldMetrics{}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	counter := func(name, unit, about string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		keep(err)
		return c
	}
	var observed []metric.Observable
	gauge := func(name, unit, about string) metric.Float64ObservableGauge {
		g, err := m.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
		keep(err)
		observed = append(observed, g)
		return g
	}
	x.evicted = counter("bop.sqlite.bucket.evicted", "By", "Bytes of pages that left the disk because the bucket has them.")
	x.uploaded = counter("bop.sqlite.bucket.uploaded", "By", "Bytes of page and log objects that were put.")
	x.uploadFailures = counter("bop.sqlite.bucket.upload.failures", "", "Attempts to bring the bucket up to date that failed.")
	x.verified = counter("bop.sqlite.restore.checks", "", "Restores that were made to check them, by outcome.")
	var views []metric.Int64ObservableCounter
	for _, c := range viewCounters {
		v, err := m.Int64ObservableCounter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.about))
		keep(err)
		views, observed = append(views, v), append(observed, v)
	}
	backlog := gauge("bop.sqlite.bucket.backlog", "", "Committed transactions that the bucket doesn't have.")
	restorable := gauge("bop.sqlite.restorable.age", "s", "How long ago the newest transaction was committed that can be restored from the bucket; 0 if none came later.")
	snapshot := gauge("bop.sqlite.snapshot.age", "s", "How long ago the newest snapshot was taken.")
	local := gauge("bop.sqlite.local", "By", "Bytes of page slots in use on this disk.")
	guests := gauge("bop.sqlite.hydration.backlog", "By", "Bytes of pages that came from the bucket and wait for a slot.")
	rekey := gauge("bop.sqlite.rekey.remaining", "By", "Bytes of pages that are still to be sealed by the current data key.")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	x.stop, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, v := range views {
			o.ObserveInt64(v, viewCounters[i].of(&x.views).Load())
		}
		for _, db := range h.all() {
			at := metric.WithAttributes(attribute.String("database", db.Name()))
			if st := db.RekeyStatus(); st.Running {
				o.ObserveFloat64(rekey, float64(st.Total-st.Done), at)
			} else {
				o.ObserveFloat64(rekey, 0, at)
			}
			if db.cold == nil {
				continue
			}
			if f := db.cold.file.Load(); f != nil {
				o.ObserveFloat64(local, float64(f.Used()), at)
				o.ObserveFloat64(guests, float64(f.Guests()), at)
			}
			m := db.cold.known()
			if m == nil {
				continue
			}
			head := db.current().Heads().Committed.TXID
			var last backup.Range
			if r := m.Restorable(); len(r) > 0 {
				last = r[len(r)-1]
			}
			behind, age := float64(0), float64(0)
			if head > last.Last {
				behind = float64(head - last.Last)
				age = time.Since(time.UnixMicro(last.LastTime)).Seconds()
			}
			o.ObserveFloat64(backlog, behind, at)
			o.ObserveFloat64(restorable, age, at)
			if s := m.Snapshots(); len(s) > 0 {
				o.ObserveFloat64(snapshot, time.Since(s[len(s)-1].Created).Seconds(), at)
			}
		}
		return nil
	}, observed...)
	return x, err
}

// checkRestore restores the newest state of a database to check it, and tells how that went.
func (db *DB) checkRestore(ctx context.Context) {
	h := db.host
	start := time.Now()
	r, err := h.VerifyRestore(ctx, RestoreOptions{Of: BackupOf{Name: db.Name()}, Target: backup.Target{Latest: true}})
	if ctx.Err() != nil {
		return
	}
	outcome := "intact"
	if err != nil {
		outcome = "failed"
		h.o.Logger.Error("the newest state of a database can't be restored from the bucket", "database", db.Name(), "error", err)
	} else {
		h.o.Logger.Info("a restore was made to check it: it is intact", "database", db.Name(), "txid", uint64(r.TXID), "took", time.Since(start).Round(time.Millisecond))
	}
	h.metrics.cold.verified.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome), attribute.String("database", db.Name())))
}
