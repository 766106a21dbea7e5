package pagestore

import (
	"context"
	"sync"
	"time"
)

// place is the writer's place: one transaction has it, the others queue for it in the order they came.
type place struct {
	mu    sync.Mutex
	held  bool
	queue []*waiter
	err   error // given to everyone who asks, once set
}

type waiter struct {
	granted chan struct{}
	err     error
}

// acquire takes the place, waiting at most timeout. A timeout of 0 doesn't wait.
func (p *place) acquire(ctx context.Context, timeout time.Duration) error {
	p.mu.Lock()
	if p.err != nil {
		defer p.mu.Unlock()
		return p.err
	}
	if !p.held {
		p.held = true
		p.mu.Unlock()
		return nil
	}
	if timeout <= 0 {
		p.mu.Unlock()
		return ErrLockTimeout
	}
	w := &waiter{granted: make(chan struct{})}
	p.queue = append(p.queue, w)
	p.mu.Unlock()

	t := time.NewTimer(timeout)
	defer t.Stop()
	var err error
	select {
	case <-w.granted:
		return w.err
	case <-t.C:
		err = ErrLockTimeout
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	for i, q := range p.queue {
		if q == w {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.mu.Unlock()
			return err
		}
	}
	p.mu.Unlock()
	// The place was handed over while we gave up: it goes to the next.
	if w.err == nil {
		p.release()
	}
	return err
}

// release hands the place to the one who has waited longest.
func (p *place) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.held = false
		return
	}
	w := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	close(w.granted)
}

// fail refuses everyone who waits or comes with err; nil lets them in again.
func (p *place) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	if err == nil {
		return
	}
	for _, w := range p.queue {
		w.err = err
		close(w.granted)
	}
	p.queue = nil
}

func (p *place) taken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *place) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}
