package balance

import (
	"context"
	"slices"
	"time"
)

// Policy is how a target is picked.
type Policy int

const (
	// RoundRobin takes turns by weight, spread evenly: weights 2 and 1 give a b a a b a.
	RoundRobin Policy = iota
	// LeastConnections takes the target with the fewest connections for its weight, by turns where several have.
	LeastConnections
)

var policyNames = []string{RoundRobin: "round-robin", LeastConnections: "least-connections"}

func (p Policy) String() string {
	if p < 0 || int(p) >= len(policyNames) {
		return "unknown"
	}
	return policyNames[p]
}

// Lease is one connection to a target. The target counts it as active until Done.
type Lease struct {
	pool   *Pool
	member *member
	target Target
	// Pool.mu guards these.
	onCut func()
	cut   bool
	done  bool
}

// Pick leases a target that isn't named in without. It doesn't wait. The error is ErrNoTarget or ErrClosed.
func (p *Pool) Pick(policy Policy, without ...string) (*Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pick(policy, func(m *member) bool { return slices.Contains(without, m.ID) })
}

// acquire leases a target, and waits at most so long until there is one. tried aren't leased again, and after a try there
// is no waiting: a connection that was refused by all targets is told at once.
func (p *Pool) acquire(ctx context.Context, policy Policy, wait time.Duration, tried []*member) (*Lease, error) {
	var timeout <-chan time.Time
	for {
		p.mu.Lock()
		l, err := p.pick(policy, func(m *member) bool { return slices.Contains(tried, m) })
		changed := p.changed
		p.mu.Unlock()
		if err != ErrNoTarget || wait <= 0 || len(tried) > 0 {
			return l, err
		}
		if timeout == nil {
			t := time.NewTimer(wait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-changed:
		case <-timeout:
			return nil, ErrNoTarget
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// pick leases a member. The lock is held.
func (p *Pool) pick(policy Policy, skip func(*member) bool) (*Lease, error) {
	if p.closed {
		return nil, ErrClosed
	}
	now := p.o.Now()
	m := p.choose(policy, func(m *member) bool { return m.usable(now) && !skip(m) })
	if m == nil { // panic mode, see doc.go
		m = p.choose(policy, func(m *member) bool { return !m.down && !skip(m) })
	}
	if m == nil {
		return nil, ErrNoTarget
	}
	m.total++
	l := &Lease{pool: p, member: m, target: m.Target}
	m.leases[l] = struct{}{}
	return l, nil
}

// choose is the smooth weighted round robin of nginx: each candidate gains its weight, the richest is taken and pays what
// all gained. For LeastConnections only the least loaded are candidates. The lock is held.
func (p *Pool) choose(policy Policy, candidate func(*member) bool) *member {
	var least *member
	if policy == LeastConnections {
		for _, m := range p.members {
			if candidate(m) && (least == nil || m.lessLoaded(least)) {
				least = m
			}
		}
	}
	var best *member
	sum := 0
	for _, m := range p.members {
		if !candidate(m) || least != nil && least.lessLoaded(m) {
			continue
		}
		m.turn += m.Weight
		sum += m.Weight
		if best == nil || m.turn > best.turn {
			best = m
		}
	}
	if best != nil {
		best.turn -= sum
	}
	return best
}

// lessLoaded compares connections per weight without dividing.
func (m *member) lessLoaded(than *member) bool {
	return len(m.leases)*than.Weight < len(than.leases)*m.Weight
}

// Target is what was picked.
func (l *Lease) Target() Target { return l.target }

// OnCut sets what is called when the connection has to end at once. It must close the connection and not block. If that
// has already happened, it is called now.
func (l *Lease) OnCut(f func()) {
	l.pool.mu.Lock()
	l.onCut = f
	cut := l.cut
	l.pool.mu.Unlock()
	if cut {
		f()
	}
}

// Dialed tells how the attempt to connect ended, for the passive health. An error for want of something on our side, such
// as descriptors, isn't held against the target.
func (l *Lease) Dialed(err error) {
	switch {
	case err == nil:
		l.pool.succeeded(l.member)
	case !ours(err):
		l.pool.failed(l.member)
	}
}

// Done gives the lease back. The second call does nothing.
func (l *Lease) Done() {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.done {
		return
	}
	l.done = true
	m := l.member
	delete(m.leases, l)
	if m.gone && len(m.leases) == 0 {
		p.finish(m)
	}
}
