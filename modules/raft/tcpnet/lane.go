package tcpnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

const takeTarget = 4 << 20 // messages are taken from the queue up to this size

// waiting is a message in a queue, with the room that it takes at most.
type waiting struct {
	m    raft.Message
	room int
}

// lane sends one class of messages to one host. Its goroutine alone dials and writes.
type lane struct {
	t      *Transport
	to     raft.NodeID
	class  Class
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // something was queued

	// mu guards what follows.
	mu      sync.Mutex
	queue   []waiting
	bytes   int
	full    bool // messages were dropped since some were taken
	address string
	dialing context.CancelFunc // ends a dial to an address that isn't right any more
	link    *link

	// The rest belongs to the goroutine.
	buf     []byte
	backoff time.Duration // 0: dial at once
	notYet  time.Time     // before it the peer isn't dialled
	since   time.Time     // when link was made
	down    bool          // the log was told that the peer can't be reached
}

func newLane(t *Transport, to raft.NodeID, c Class, address string) *lane {
	l := &lane{t: t, to: to, class: c, address: address, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(t.ctx)
	return l
}

func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// send queues those of the messages that are of the lane's class, of which there are n.
func (l *lane) send(messages []raft.Message, n int) {
	full, large := 0, 0
	l.mu.Lock()
	if l.ctx.Err() != nil {
		l.mu.Unlock()
		l.t.counters.dropped[UnknownPeer].Add(uint64(n))
		return
	}
	for _, m := range messages {
		if n < len(messages) && classOf(m) != l.class {
			continue
		}
		room := roomOf(m)
		switch {
		case room > l.t.o.MaxMessageBytes:
			large++
		case l.bytes+room > l.t.o.QueueBytes && len(l.queue) > 0: // one message is always taken, however long
			full++
		default:
			l.queue = append(l.queue, waiting{m, room})
			l.bytes += room
		}
	}
	tell := full > 0 && !l.full
	l.full = l.full || full > 0
	l.mu.Unlock()
	if l.class != Messages || l.t.corked.Load() == 0 { // looked at behind the queue: who uncorks looks at the queue behind it
		l.poke()
	}
	if full > 0 {
		l.t.counters.dropped[QueueFull].Add(uint64(full))
	}
	if tell {
		l.t.unreachable.tell(l.to)
	}
	if large > 0 {
		l.t.counters.dropped[TooLarge].Add(uint64(large))
		l.t.o.Logger.Error("raft: messages are too long to be sent: raise MaxMessageBytes on all hosts", "peer", uint64(l.to),
			"messages", large, "limit", l.t.o.MaxMessageBytes)
	}
}

// take returns messages from the queue's head.
func (l *lane) take() (batch []waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = false
	n, bytes := 0, 0
	for n < len(l.queue) && (n == 0 || bytes+l.queue[n].room <= takeTarget) {
		bytes += l.queue[n].room
		n++
	}
	batch, l.queue = l.queue[:n:n], l.queue[n:]
	l.bytes -= bytes
	if len(l.queue) == 0 {
		l.queue = nil
	} else {
		l.poke()
	}
	return batch
}

// waits tells whether there is something to send.
func (l *lane) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0
}

// drop loses the queue.
func (l *lane) drop() {
	l.mu.Lock()
	n := len(l.queue)
	l.queue, l.bytes, l.full = nil, 0, false
	l.mu.Unlock()
	l.t.counters.dropped[Broken].Add(uint64(n))
}

// move changes the address.
func (l *lane) move(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = address
	if l.dialing != nil {
		l.dialing()
	}
	if l.link != nil {
		l.link.close()
	}
}

func (l *lane) current() *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.link
}

// run sends until the peer is forgotten or the transport closed.
func (l *lane) run() {
	defer func() {
		if c := l.current(); c != nil {
			c.close()
		}
		l.drop()
	}()
	ping := time.NewTicker(l.t.o.PingEvery)
	defer ping.Stop()
	for {
		var gone chan struct{}
		c := l.current()
		if c != nil {
			gone = c.gone
		}
		select {
		case <-l.ctx.Done():
			return
		case <-gone:
			l.broken(c, nil)
		case <-ping.C:
			if c != nil {
				if err := c.write(pingFrame); err != nil {
					l.broken(c, err)
				}
			}
		case <-l.wake:
			l.flush(c)
		}
	}
}

// flush sends some of what waits. If there is more it wakes the lane again.
func (l *lane) flush(c *link) {
	if !l.waits() {
		return
	}
	if c == nil {
		if c = l.connect(); c == nil {
			return
		}
	}
	select {
	case <-c.gone: // nothing needs to be lost on it
		l.broken(c, nil)
		return
	default:
	}
	batch := l.take()
	if n, err := l.write(c, batch); err != nil {
		l.t.counters.dropped[Broken].Add(uint64(len(batch) - n))
		l.broken(c, err)
	}
}

// write encodes messages into frames and sends them. It returns how many were.
func (l *lane) write(c *link, batch []waiting) (sent int, err error) {
	const gather = 1 << 20
	l.buf = l.buf[:0]
	for i, pending := 0, 0; i < len(batch); {
		start := len(l.buf)
		l.buf = append(l.buf, make([]byte, frameHeader)...)
		for size := 0; i < len(batch) && (size == 0 || size+batch[i].room <= frameTarget); i++ {
			was := len(l.buf)
			if l.buf, err = appendMessage(l.buf, batch[i].m); err != nil {
				l.buf = l.buf[:was]
				return sent, fmt.Errorf("encoding a message: %w", err)
			}
			size = len(l.buf) - start - frameHeader
			pending++
		}
		sealFrame(l.buf, start, kindMessages)
		if len(l.buf) < gather && i < len(batch) {
			continue
		}
		if err := c.write(l.buf); err != nil {
			return sent, err
		}
		l.t.counters.sent[l.class].Add(uint64(pending))
		sent, pending, l.buf = sent+pending, 0, l.buf[:0]
	}
	if cap(l.buf) > 2*takeTarget {
		l.buf = nil
	}
	return sent, nil
}

// connect waits until the peer may be dialled, and dials it. It returns nil if the peer can't be reached, what waited is
// lost then; or if the lane ends.
func (l *lane) connect() *link {
	for {
		l.mu.Lock()
		address := l.address
		ctx, cancel := context.WithCancel(l.ctx)
		l.dialing = cancel
		l.mu.Unlock()
		c, err := l.dial(ctx, address)
		cancel()
		l.mu.Lock()
		l.dialing = nil
		moved := l.address != address
		if err == nil && !moved {
			l.link = c
		}
		l.mu.Unlock()
		switch {
		case l.ctx.Err() != nil:
			if c != nil {
				c.close()
			}
			return nil
		case moved:
			if c != nil {
				c.close()
			}
			l.backoff, l.notYet = 0, time.Time{}
			continue
		case err != nil:
			l.rest()
			if !l.down {
				l.t.o.Logger.Warn("raft: peer can't be reached", "peer", uint64(l.to), "address", address, "class", l.class.String(), "error", err)
			}
			l.down = true
			l.drop()
			l.t.unreachable.tell(l.to)
			return nil
		}
		if l.down {
			l.t.o.Logger.Info("raft: peer is reached again", "peer", uint64(l.to), "address", address, "class", l.class.String())
		}
		l.down, l.since = false, time.Now()
		l.t.counters.connects[l.class].Add(1)
		l.t.wg.Go(func() { l.listen(c) })
		return c
	}
}

func (l *lane) dial(ctx context.Context, address string) (*link, error) {
	if wait := time.Until(l.notYet); wait > 0 {
		pause := time.NewTimer(wait)
		defer pause.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-pause.C:
		}
	}
	c, err := l.t.dial(ctx, l.to, address, l.class)
	if err != nil {
		return nil, fmt.Errorf("connecting to host %d at %s: %w", l.to, address, err)
	}
	return c, nil
}

// rest makes the next dial wait: each time twice as long, and by half at random so that hosts don't come at once.
func (l *lane) rest() {
	l.backoff = min(max(2*l.backoff, l.t.o.MinBackoff), l.t.o.MaxBackoff)
	l.notYet = time.Now().Add(jittered(l.backoff))
}

func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// listen reads the peer's pongs, and so finds out when it is gone.
func (l *lane) listen(c *link) {
	defer c.close()
	for {
		k, p, err := c.frame.next()
		if err == nil && k == kindPong && len(p) == 0 {
			continue
		}
		if err == nil {
			err = fmt.Errorf("%w: frame of kind %d in place of a pong", ErrProtocol, k)
		}
		select {
		case <-c.gone:
		default:
			l.t.o.Logger.Info("raft: connection lost", "peer", uint64(l.to), "class", l.class.String(), "error", err)
		}
		return
	}
}

// broken forgets a link that doesn't work any more.
func (l *lane) broken(c *link, err error) {
	c.close()
	l.mu.Lock()
	l.link = nil
	more := len(l.queue) > 0
	l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	if err != nil {
		l.t.o.Logger.Info("raft: connection lost", "peer", uint64(l.to), "class", l.class.String(), "error", err)
	}
	// A peer that takes connections only to drop them is as bad as one that takes none.
	if l.rest(); time.Since(l.since) > l.t.o.MaxBackoff {
		l.backoff, l.notYet = 0, time.Time{}
	}
	l.t.unreachable.tell(l.to)
	if more {
		l.poke()
	}
}
