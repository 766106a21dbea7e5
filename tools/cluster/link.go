package main

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// cut is what a link does to the bytes that pass it.
type cut uint8

const (
	passing    cut = iota // bytes pass, after the link's delay
	holding               // bytes wait and arrive once the link is healed, as with a network that retransmits
	swallowing            // bytes vanish, connections seem to live; healing resets those that lost some
	resetting             // connections are reset, new ones too
)

func (c cut) String() string { return [...]string{"passing", "holding", "swallowing", "resetting"}[c] }

// weather is the state of a link. The zero value lets everything pass at once.
type weather struct {
	cut   cut
	delay time.Duration // of each byte, in both directions
	rate  int           // bytes per second and direction of a connection; 0: no bound
}

// link forwards the connections that one node dials to another. Each ordered pair of nodes has its own, so that the
// two ways can be cut apart.
type link struct {
	name     string
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex // guards what follows
	weather weather
	changed chan struct{} // closed and replaced when the weather changes
	pairs   map[*pair]struct{}
	closed  bool
}

// pair is a connection to the link and the one to its target.
type pair struct {
	near, far *net.TCPConn // far is nil until the target was dialled
	lossy     bool         // bytes were swallowed: nothing may follow them
	done      chan struct{}
	end       sync.Once
}

// chunk is what was read at once.
type chunk struct {
	bytes []byte
	at    time.Time
}

// newLink listens on a free port of loopback.
func newLink(name, target string) (*link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	k := &link{name: name, target: target, listener: l, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	k.wg.Go(k.accept)
	return k, nil
}

func (k *link) addr() string { return k.listener.Addr().String() }

// set changes the weather. What was held meets the new one.
func (k *link) set(w weather) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.weather = w
	close(k.changed)
	k.changed = make(chan struct{})
	for p := range k.pairs {
		if w.cut == resetting || p.lossy && w.cut != swallowing {
			p.reset()
		}
	}
}

// close ends the link and everything on it.
func (k *link) close() {
	k.listener.Close()
	k.mu.Lock()
	k.closed = true
	for p := range k.pairs {
		p.reset()
	}
	k.mu.Unlock()
	k.wg.Wait()
}

// look returns the weather and what is closed when it changes.
func (k *link) look() (weather, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.weather, k.changed
}

func (k *link) accept() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		p := &pair{near: c.(*net.TCPConn), done: make(chan struct{})}
		k.mu.Lock()
		if k.closed || k.weather.cut == resetting {
			p.reset()
		} else {
			k.pairs[p] = struct{}{}
			k.wg.Go(func() { k.serve(p) })
		}
		k.mu.Unlock()
	}
}

func (k *link) serve(p *pair) {
	defer func() {
		p.reset()
		k.mu.Lock()
		delete(k.pairs, p)
		k.mu.Unlock()
	}()
	if !k.open(p) {
		return
	}
	c, err := net.DialTimeout("tcp", k.target, 5*time.Second)
	if err != nil {
		return // the target is down: whoever dialled sees a reset
	}
	k.mu.Lock()
	p.far = c.(*net.TCPConn)
	select {
	case <-p.done:
		p.far.Close()
	default:
	}
	k.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { k.forward(p, p.far, p.near) })
	wg.Go(func() { k.forward(p, p.near, p.far) })
	wg.Wait()
}

// open waits until a new connection would reach the target: one that is made during a cut gets no answer.
func (k *link) open(p *pair) bool {
	for {
		w, changed := k.look()
		if w.cut == passing {
			return true
		}
		select {
		case <-changed:
		case <-p.done:
			return false
		}
	}
}

// forward moves one direction of a connection until it ends.
func (k *link) forward(p *pair, to, from *net.TCPConn) {
	queue := make(chan chunk, 64)
	go func() {
		defer close(queue)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				select {
				case queue <- chunk{buf[:n], time.Now()}:
				case <-p.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range queue {
		if !k.deliver(p, to, c) {
			p.reset()
		}
	}
	if k.deliver(p, to, chunk{at: time.Now()}) && !k.torn(p) {
		to.CloseWrite()
	}
}

// deliver writes a chunk when the weather lets it. It returns false when the connection has ended.
func (k *link) deliver(p *pair, to *net.TCPConn, c chunk) bool {
	for {
		w, changed := k.look()
		var due <-chan time.Time
		switch w.cut {
		case swallowing:
			if k.swallow(p) {
				return true
			}
			continue
		case passing:
			wait := w.delay
			if w.rate > 0 {
				wait += time.Duration(len(c.bytes)) * time.Second / time.Duration(w.rate)
			}
			wait -= time.Since(c.at)
			if wait <= 0 {
				if k.torn(p) {
					return false
				}
				_, err := to.Write(c.bytes)
				return err == nil
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-due:
		case <-changed:
		case <-p.done:
			return false
		}
	}
}

// swallow marks a connection as one that lost bytes, if the link still swallows.
func (k *link) swallow(p *pair) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.lossy = p.lossy || k.weather.cut == swallowing
	return p.lossy
}

func (k *link) torn(p *pair) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return p.lossy
}

// reset ends both connections so that their peers see an error and no orderly end. The link's lock may be held.
func (p *pair) reset() {
	p.end.Do(func() {
		close(p.done)
		for _, c := range []*net.TCPConn{p.near, p.far} {
			if c != nil {
				c.SetLinger(0)
				c.Close()
			}
		}
	})
}
