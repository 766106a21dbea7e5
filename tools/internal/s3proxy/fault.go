package s3proxy

import (
	"math/rand/v2"
	"time"
)

// Fault is what happens to requests. Which ones the first fields say, what the others; the zero value is nothing.
type Fault struct {
	When     func(method, key string) bool // the request's method and key, or, of lists, prefix; nil: each
	Op       string                        // one of the kinds that Request.Op lists; "": each
	Chance   float64                       // by which a request that fits is met; 0: always
	From, To time.Duration                 // only in this time since Add; To 0: without end
	Times    int                           // no more than so often; 0: without end

	Latency   time.Duration // it waits so long before the server is asked
	Bandwidth int64         // bytes per second, both directions and all requests together
	SlowDown  bool          // it is answered 503 SlowDown, and the server isn't asked
	Outage    bool          // the connection is reset; what is in the middle of a body too, unless Chance or Times is set
	Lose      bool          // the server answers, the client gets a reset connection
	// The body is the request's of put and part, the answer's of all others.
	Cut  int64 // the connection ends after so many bytes of it; negative: at once
	Flip int64 // the bit of it that is flipped: its number plus one; negative: one at random
	// Stale lists show what was there when the fault was added. It is known of lists that were seen before; of others, the
	// objects are left out that the proxy has seen written since.
	Stale bool
}

// Handle is a Fault that was added.
type Handle struct {
	Fault
	p     *Proxy
	added time.Time

	// Under the proxy's mu.
	met  int
	free time.Time // when Bandwidth lets the next byte through
	past *past     // of Stale
}

// Met is how many requests it has met.
func (h *Handle) Met() int {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return h.met
}

// Remove ends it. Requests that it has met already stay as they are.
func (h *Handle) Remove() {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	for i, x := range h.p.faults {
		if x == h {
			h.p.faults = append(h.p.faults[:i:i], h.p.faults[i+1:]...)
			return
		}
	}
}

// Add begins a fault.
func (p *Proxy) Add(f Fault) *Handle {
	h := &Handle{Fault: f, p: p, added: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Stale {
		h.past = p.past.copy()
	}
	p.faults = append(p.faults[:len(p.faults):len(p.faults)], h)
	return h
}

// Clear ends all faults.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// fits tells whether a request is one that the fault is about.
func (h *Handle) fits(r *Request, now time.Time) bool {
	age := now.Sub(h.added)
	return (h.Op == "" || h.Op == r.Op) && age >= h.From && (h.To == 0 || age < h.To) && (h.When == nil || h.When(r.Method, r.Key))
}

// meet returns the faults that meet a request.
func (p *Proxy) meet(r *Request) []*Handle {
	p.mu.Lock()
	faults := p.faults
	p.mu.Unlock()
	now := time.Now()
	var met []*Handle
	for _, h := range faults {
		if !h.fits(r, now) { // which calls the test's function, so not under mu
			continue
		}
		p.mu.Lock()
		if (h.Times == 0 || h.met < h.Times) && (h.Chance == 0 || p.random.Float64() < h.Chance) {
			h.met++
			met = append(met, h)
		}
		p.mu.Unlock()
	}
	return met
}

// down tells whether an outage has begun that meets a request on its way.
func (p *Proxy) down(r *Request) bool {
	p.mu.Lock()
	faults := p.faults
	p.mu.Unlock()
	for _, h := range faults {
		if h.Outage && h.Chance == 0 && h.Times == 0 && h.fits(r, time.Now()) {
			return true
		}
	}
	return false
}

// reserve takes n bytes of the bandwidth and returns how long they take from now on.
func (h *Handle) reserve(n int) time.Duration {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	now := time.Now()
	if h.free.Before(now) {
		h.free = now
	}
	h.free = h.free.Add(time.Duration(float64(n) / float64(h.Bandwidth) * float64(time.Second)))
	return h.free.Sub(now)
}

// Seed makes the random decisions repeat themselves, as far as the requests do. A new Proxy has the seed 1.
func (p *Proxy) Seed(seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.random = rand.New(rand.NewPCG(seed, 0))
}

// bit is the number of the bit to flip in a body of size bytes.
func (p *Proxy) bit(f Fault, size int64) int64 {
	if f.Flip > 0 || size <= 0 {
		return f.Flip - 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Int64N(size * 8)
}
