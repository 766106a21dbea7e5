package balance

import (
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// counters are of all listeners and handlers of a pool.
type counters struct {
	active                                         atomic.Int64
	accepted, refused, unserved, failed, idle, cut atomic.Uint64
	bytesIn, bytesOut                              atomic.Uint64
}

// complain warns of a failed connection, at most once a second: when a service is down there may be thousands a second,
// and the counters have them all.
func (p *Pool) complain(log *slog.Logger, message string, args ...any) {
	last, now := p.complained.Load(), time.Now().Unix()
	if now == last || !p.complained.CompareAndSwap(last, now) {
		p.unsaid.Add(1)
		return
	}
	log.Warn(message, append(args, "unsaid", p.unsaid.Swap(0))...)
}

// Stats is a snapshot. A connection is a request where the pool serves HTTP. All but Active only grow.
type Stats struct {
	Service  string
	Active   int64  // connections now, also those that wait for a target
	Accepted uint64 // connections, also the refused ones
	Refused  uint64 // for MaxConns
	Unserved uint64 // no target became ready in time
	Failed   uint64 // the targets couldn't be reached
	Idle     uint64 // closed for IdleTimeout
	Cut      uint64 // at the end of a drain, or when a listener was closed
	BytesIn  uint64 // from clients to targets, with the HTTP headers
	BytesOut uint64 // from targets to clients
	Targets  []TargetStats
}

// TargetStats is of one target. Those that are being drained are there until their last connection has ended.
type TargetStats struct {
	Target
	Active       int
	Total        uint64 // picks
	Failures     uint64
	BytesIn      uint64
	BytesOut     uint64
	EjectedUntil time.Time // zero or past: not ejected
	Ejected      bool
	Down         bool // says the active check
	Draining     bool
}

// Stats takes a snapshot. Bytes of open connections are counted with up to 15 seconds' delay.
func (p *Pool) Stats() Stats {
	c := &p.count
	s := Stats{
		Service: p.o.Name, Active: c.active.Load(), Accepted: c.accepted.Load(), Refused: c.refused.Load(),
		Unserved: c.unserved.Load(), Failed: c.failed.Load(), Idle: c.idle.Load(), Cut: c.cut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	add := func(m *member) {
		s.Targets = append(s.Targets, TargetStats{
			Target: m.Target, Active: len(m.leases), Total: m.total, Failures: m.failures, BytesIn: m.bytesIn.Load(),
			BytesOut: m.bytesOut.Load(), EjectedUntil: m.until, Ejected: now.Before(m.until), Down: m.down, Draining: m.gone,
		})
	}
	for _, m := range p.members {
		add(m)
	}
	for m := range p.gone {
		add(m)
	}
	slices.SortStableFunc(s.Targets, func(a, b TargetStats) int { return strings.Compare(a.ID, b.ID) })
	return s
}
