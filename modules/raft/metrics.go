package raft

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments are a host's metrics.
type instruments struct {
	propose   metric.Float64Histogram
	write     metric.Float64Histogram
	updates   metric.Int64Histogram
	apply     metric.Float64Histogram
	snapshots metric.Float64Histogram
	restores  metric.Float64Histogram
	observer  metric.Registration
}

func (g *Group) attributes(more ...attribute.KeyValue) metric.MeasurementOption {
	if len(more) == 0 {
		return g.own
	}
	return metric.WithAttributes(append(more, attribute.Int64("group", int64(g.id)))...)
}

func newInstruments(h *Host) (*instruments, error) {
	m := h.o.MeterProvider.Meter("github.com/bop-platform/bop/modules/raft")
	seconds := metric.WithExplicitBucketBoundaries(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
	i := &instruments{}
	var errs [13]error
	i.propose, errs[0] = m.Float64Histogram("bop_raft_propose", metric.WithUnit("s"), metric.WithDescription("Time from a proposal to its result."), seconds)
	i.write, errs[1] = m.Float64Histogram("bop_raft_write", metric.WithUnit("s"), metric.WithDescription("Time of one durable write of the log store."), seconds)
	i.updates, errs[2] = m.Int64Histogram("bop_raft_write_updates", metric.WithDescription("Updates of groups in one write."),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128))
	i.apply, errs[3] = m.Float64Histogram("bop_raft_apply", metric.WithUnit("s"), metric.WithDescription("Time of one call of the state machine."), seconds)
	long := metric.WithExplicitBucketBoundaries(0.01, 0.1, 1, 10, 60, 600)
	i.snapshots, errs[4] = m.Float64Histogram("bop_raft_snapshot", metric.WithUnit("s"), metric.WithDescription("Time to make and send a snapshot."), long)
	i.restores, errs[10] = m.Float64Histogram("bop_raft_restore", metric.WithUnit("s"), metric.WithDescription("Time that the state machine took for a snapshot that was received."), long)
	term, err := m.Int64ObservableGauge("bop_raft_term", metric.WithDescription("Term of each group."))
	errs[5] = err
	leads, err := m.Int64ObservableGauge("bop_raft_leads", metric.WithDescription("1 where this host leads the group."))
	errs[6] = err
	commit, err := m.Int64ObservableGauge("bop_raft_commit_index", metric.WithDescription("Index up to which entries are committed."))
	errs[7] = err
	applied, err := m.Int64ObservableGauge("bop_raft_applied_index", metric.WithDescription("Index up to which entries are applied."))
	errs[8] = err
	lag, err := m.Int64ObservableGauge("bop_raft_peer_lag", metric.WithDescription("Entries that a member is behind its leader's commit index."))
	errs[9] = err
	behind, err := m.Int64ObservableGauge("bop_raft_peer_log_lag", metric.WithDescription("Entries of its leader's log that a member lacks."))
	errs[11] = err
	unapplied, err := m.Int64ObservableGauge("bop_raft_apply_lag", metric.WithDescription("Committed entries that aren't applied here yet."))
	errs[12] = err
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	i.observer, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, g := range h.all() {
			s := g.Status()
			with := g.attributes()
			o.ObserveInt64(term, int64(s.Term), with)
			// Not those of the status: while a state machine hangs nothing is published. In this order, so that the lag isn't
			// below 0.
			has := g.effective.Load()
			known := g.committed.Load()
			o.ObserveInt64(commit, int64(known), with)
			o.ObserveInt64(applied, int64(has), with)
			o.ObserveInt64(unapplied, int64(known-has), with)
			one := int64(0)
			if s.Leads {
				one = 1
			}
			o.ObserveInt64(leads, one, with)
			for _, p := range s.Peers {
				peer := g.attributes(attribute.Int64("peer", int64(p.Node)))
				o.ObserveInt64(lag, max(0, int64(s.Commit)-int64(p.Match)), peer)
				o.ObserveInt64(behind, max(0, int64(s.Last)-int64(p.Match)), peer)
			}
		}
		return nil
	}, term, leads, commit, applied, lag, behind, unapplied)
	return i, err
}

func (i *instruments) close() { i.observer.Unregister() }

func (i *instruments) proposed(g *Group, started time.Time) {
	i.propose.Record(context.Background(), time.Since(started).Seconds(), g.record...)
}

func (i *instruments) wrote(started time.Time, updates int) {
	i.write.Record(context.Background(), time.Since(started).Seconds())
	i.updates.Record(context.Background(), int64(updates))
}

func (i *instruments) applied(g *Group, started time.Time, _ int) {
	i.apply.Record(context.Background(), time.Since(started).Seconds(), g.record...)
}

func (i *instruments) snapshot(g *Group, started time.Time, err error) {
	outcome := "sent"
	if err != nil {
		outcome = "failed"
	}
	i.snapshots.Record(context.Background(), time.Since(started).Seconds(), g.attributes(attribute.String("outcome", outcome)))
}

func (i *instruments) restored(g *Group, started time.Time, err error) {
	outcome := "restored"
	if err != nil {
		outcome = "failed"
	}
	i.restores.Record(context.Background(), time.Since(started).Seconds(), g.attributes(attribute.String("outcome", outcome)))
}
