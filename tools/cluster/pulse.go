package main

import (
	"slices"
	"sync"
	"time"
)

// pulse measures for how long nobody's write was acknowledged.
type pulse struct {
	mu      sync.Mutex // guards what follows
	last    int64      // ns, of the last acknowledged write
	longest int64      // ns without one since begin
}

// beat is called at each acknowledged write.
func (p *pulse) beat(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest, p.last = max(p.longest, now-p.last), max(p.last, now)
}

// begin starts a measurement.
func (p *pulse) begin(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest, p.last = 0, max(p.last, now)
}

// end returns the longest time without an acknowledged write since begin.
func (p *pulse) end(now int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(max(p.longest, now-p.last))
}

// median and maximum of durations, 0 of none.
func spread(d []time.Duration) (p50, highest time.Duration) {
	if len(d) == 0 {
		return 0, 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2], d[len(d)-1]
}
