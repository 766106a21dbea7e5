package balance

import (
	"context"
	"slices"
	"sync"
	"time"
)

// usable tells that nothing is known against a member. The lock is held.
func (m *member) usable(now time.Time) bool { return !m.down && !now.Before(m.until) }

// succeeded puts a member back. It is on the path of each connection, so it logs only a change.
func (p *Pool) succeeded(m *member) {
	p.mu.Lock()
	was := m.ejections > 0
	m.inARow, m.ejections, m.until = 0, 0, time.Time{}
	p.mu.Unlock()
	if was {
		p.o.Logger.Info("target is back", "service", p.o.Name, "target", m.ID)
	}
}

// failed counts a failure and ejects the member when it is time.
func (p *Pool) failed(m *member) {
	p.mu.Lock()
	span := p.eject(m)
	p.mu.Unlock()
	if span > 0 {
		p.o.Logger.Warn("target is ejected", "service", p.o.Name, "target", m.ID, "for", span)
	}
}

// eject returns for how long, or 0. The lock is held.
func (p *Pool) eject(m *member) time.Duration {
	m.failures++
	m.inARow++
	now := p.o.Now()
	// Connections that were on their way when it was ejected fail too: they must not make it longer.
	if m.inARow < p.o.FailAfter || now.Before(m.until) || m.gone {
		return 0
	}
	if !slices.ContainsFunc(p.members, func(other *member) bool { return other != m && other.usable(now) }) {
		return 0 // the last one, see doc.go
	}
	span := p.o.EjectMin
	for range m.ejections {
		if span *= 2; span >= p.o.EjectMax {
			span = p.o.EjectMax
			break
		}
	}
	m.ejections++
	m.until = now.Add(span)
	return span
}

// watch runs the active checks until ctx ends.
func (p *Pool) watch(ctx context.Context) {
	tick := time.NewTicker(p.o.CheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		members := slices.Clone(p.members)
		targets := make([]Target, len(members))
		for i, m := range members {
			targets[i] = m.Target
		}
		p.mu.Unlock()
		// A slow target delays the round by CheckTimeout at most; the others have been checked by then.
		var round sync.WaitGroup
		for i, m := range members {
			round.Go(func() {
				within, cancel := context.WithTimeout(ctx, p.o.CheckTimeout)
				defer cancel()
				err := p.o.Check(within, targets[i])
				if ctx.Err() == nil {
					p.checked(m, err)
				}
			})
		}
		round.Wait()
	}
}

// checked takes the result of an active check.
func (p *Pool) checked(m *member, err error) {
	p.mu.Lock()
	against := (err == nil) == m.down
	if !against {
		m.checks = 0
		p.mu.Unlock()
		return
	}
	m.checks++
	need := p.o.CheckDown
	if m.down {
		need = p.o.CheckUp
	}
	flipped := m.checks >= need
	if flipped {
		m.down, m.checks = !m.down, 0
		p.wake()
	}
	down := m.down
	p.mu.Unlock()
	if flipped {
		p.o.Logger.Info("active check", "service", p.o.Name, "target", m.ID, "down", down, "err", err)
	}
}
