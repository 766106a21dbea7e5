package balance

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Target is one replica.
type Target struct {
	ID      string // unique in the pool
	Address string // host:port
	Weight  int    // its share; below 1 counts as 1
}

// PoolOptions are those of NewPool. The zero value is useful.
type PoolOptions struct {
	Name         string        // of the service, for logs, metrics and error pages
	FailAfter    int           // failures in a row until a target is ejected; default 3
	EjectMin     time.Duration // the first ejection; default 1 s
	EjectMax     time.Duration // the longest ejection; default 30 s
	DrainTimeout time.Duration // after which connections of a target that Set removed are cut; default 0: never

	// Check, if not nil, is the active check. It runs for each target every CheckEvery (default 5 s) and must heed its
	// context, which ends after CheckTimeout (default 1 s). A target is down after CheckDown errors in a row (default 3)
	// and up again after CheckUp successes (default 2). A new target counts as up.
	Check        func(context.Context, Target) error
	CheckEvery   time.Duration
	CheckTimeout time.Duration
	CheckUp      int
	CheckDown    int

	Logger *slog.Logger     // default: no logs
	Now    func() time.Time // the clock of ejections; default time.Now
}

func (o *PoolOptions) setDefaults() {
	o.FailAfter = cmp.Or(max(o.FailAfter, 0), 3)
	o.EjectMin = cmp.Or(max(o.EjectMin, 0), time.Second)
	o.EjectMax = max(cmp.Or(max(o.EjectMax, 0), 30*time.Second), o.EjectMin)
	o.CheckEvery = cmp.Or(max(o.CheckEvery, 0), 5*time.Second)
	o.CheckTimeout = cmp.Or(max(o.CheckTimeout, 0), time.Second)
	o.CheckUp = cmp.Or(max(o.CheckUp, 0), 2)
	o.CheckDown = cmp.Or(max(o.CheckDown, 0), 3)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Pool is the targets of one service.
type Pool struct {
	o     PoolOptions
	count counters

	complained atomic.Int64 // when complain last did, in Unix seconds
	unsaid     atomic.Int64 // complaints since

	stop   context.CancelFunc // ends the checks
	checks sync.WaitGroup

	mu      sync.Mutex // guards what follows and the members
	members []*member  // that may be picked
	gone    map[*member]struct{}
	changed chan struct{} // closed and replaced when a connection that found no target should look again
	closed  bool
	made    uint64 // members ever
}

// member is a target with its state. Pool.mu guards it but for the counters and conns.
type member struct {
	Target
	host    string // its name in a http.Transport, never the same for two members
	leases  map[*Lease]struct{}
	gone    bool
	drained chan struct{} // closed when it is gone and has no lease
	timer   *time.Timer   // of DrainTimeout

	turn      int // of the smooth weighted round robin
	total     uint64
	failures  uint64
	inARow    int // failures
	ejections int // since the last success
	until     time.Time
	down      bool // says the active check
	checks    int  // in a row against down

	bytesIn, bytesOut atomic.Uint64

	connsMu sync.Mutex
	conns   map[net.Conn]struct{} // kept alive for HTTP; nil once they have been closed for good
}

// target is without the weight, which Set may be changing.
func (m *member) target() Target { return Target{ID: m.ID, Address: m.Address} }

// NewPool makes a pool without targets.
func NewPool(o PoolOptions) *Pool {
	o.setDefaults()
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool{o: o, stop: stop, gone: map[*member]struct{}{}, changed: make(chan struct{})}
	if o.Check != nil {
		p.checks.Go(func() { p.watch(ctx) })
	}
	return p
}

// Set replaces the targets at once. One with the ID and address of before keeps its state. Those that are gone get no new
// connection and may end the ones they have; Drain waits for that. Of two with the same ID the last counts. On a closed
// pool it does nothing.
func (p *Pool) Set(targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	old := make(map[string]*member, len(p.members))
	for _, m := range p.members {
		old[m.ID] = m
	}
	place := make(map[string]int, len(targets))
	var members []*member
	for _, t := range targets {
		t.Weight = max(t.Weight, 1)
		m := old[t.ID]
		if m == nil || m.Address != t.Address {
			m = &member{leases: map[*Lease]struct{}{}, drained: make(chan struct{}), conns: map[net.Conn]struct{}{}}
			m.Target = t
			p.made++
			m.host = "member-" + strconv.FormatUint(p.made, 10) + ".invalid:80"
		}
		if i, twice := place[t.ID]; twice {
			members[i] = m
		} else {
			place[t.ID] = len(members)
			members = append(members, m)
		}
		m.Weight = t.Weight
	}
	before := p.members
	p.members = members
	for _, m := range before {
		if !slices.Contains(members, m) {
			p.retire(m)
		}
	}
	p.wake()
}

// Drain takes a target out and waits until its connections have ended. When ctx ends first they are cut, and the error is
// a *CutError with their number. A target that Set removed before can be drained too. One that isn't known has nothing to
// wait for.
func (p *Pool) Drain(ctx context.Context, id string) error {
	p.mu.Lock()
	var drain []*member
	for m := range p.gone {
		if m.ID == id {
			drain = append(drain, m)
		}
	}
	if i := slices.IndexFunc(p.members, func(m *member) bool { return m.ID == id }); i >= 0 {
		m := p.members[i]
		p.members = slices.Delete(p.members, i, i+1)
		p.retire(m)
		drain = append(drain, m)
	}
	p.mu.Unlock()

	cut := 0
	for _, m := range drain {
		select {
		case <-m.drained:
		case <-ctx.Done():
			cut += p.cut(m)
		}
	}
	if cut > 0 {
		return &CutError{What: "target " + id, Cut: cut, Err: context.Cause(ctx)}
	}
	return nil
}

// Close ends the checks and makes Pick fail. It waits for the checks, but not for connections, which go on.
func (p *Pool) Close() {
	p.stop()
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, m := range p.members {
			p.retire(m)
		}
		p.members = nil
		for m := range p.gone {
			if m.timer != nil {
				m.timer.Stop()
			}
		}
		p.wake()
	}
	p.mu.Unlock()
	p.checks.Wait()
}

// wake lets those that wait for a target look again. The lock is held.
func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// retire stops new connections to a member that was taken out of members. The lock is held.
func (p *Pool) retire(m *member) {
	m.gone = true
	p.gone[m] = struct{}{}
	if len(m.leases) == 0 {
		p.finish(m)
		return
	}
	if p.o.DrainTimeout > 0 && !p.closed {
		m.timer = time.AfterFunc(p.o.DrainTimeout, func() {
			if n := p.cut(m); n > 0 {
				p.o.Logger.Warn("connections of a removed target were cut", "service", p.o.Name, "target", m.ID, "cut", n)
			}
		})
	}
}

// finish forgets a member that is gone and idle. The lock is held.
func (p *Pool) finish(m *member) {
	delete(p.gone, m)
	close(m.drained)
	if m.timer != nil {
		m.timer.Stop()
	}
	m.closeConns()
}

// cut ends all connections of a member and returns how many there were.
func (p *Pool) cut(m *member) int {
	p.mu.Lock()
	var calls []func()
	n := 0
	for l := range m.leases {
		if l.cut {
			continue
		}
		l.cut = true
		n++
		if l.onCut != nil {
			calls = append(calls, l.onCut)
		}
	}
	p.mu.Unlock()
	for _, call := range calls {
		call()
	}
	p.count.cut.Add(uint64(n))
	return n
}

// keep remembers a connection that may idle between requests, so that it doesn't outlive the member. It reports whether
// the member still wants it.
func (m *member) keep(c net.Conn) bool {
	m.connsMu.Lock()
	defer m.connsMu.Unlock()
	if m.conns == nil {
		return false
	}
	m.conns[c] = struct{}{}
	return true
}

func (m *member) forget(c net.Conn) {
	m.connsMu.Lock()
	defer m.connsMu.Unlock()
	delete(m.conns, c) // nothing where closeConns has taken the map
}

func (m *member) closeConns() {
	m.connsMu.Lock()
	conns := m.conns
	m.conns = nil
	m.connsMu.Unlock()
	for c := range conns {
		c.Close()
	}
}
