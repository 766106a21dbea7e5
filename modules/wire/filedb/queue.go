package filedb

import (
	"context"
	"sync"
	"time"
)

// queue orders those who wait for a database's writer's place. SQLite has no queue: whoever asks at the right moment
// gets it. Here only the one that has waited longest asks.
type queue struct {
	mu      sync.Mutex
	waiting []*waiter // the first may ask
}

// waiter is a connection in the queue.
type waiter struct {
	since time.Time
	turn  chan struct{} // has a message when it is worth asking
}

// again is how often the first in the queue asks without being told to: writers of other processes tell nobody.
const again = 2 * time.Millisecond

// wait is called by SQLite's busy handler, at first with asks 0. It returns true when the caller should ask SQLite again,
// and false when it should give up.
func (q *queue) wait(ctx context.Context, w **waiter, asks int, limit time.Duration) bool {
	if asks == 0 || *w == nil {
		q.leave(w)
		*w = &waiter{since: time.Now(), turn: make(chan struct{}, 1)}
		q.mu.Lock()
		q.waiting = append(q.waiting, *w)
		q.mu.Unlock()
	}
	me := *w
	end := time.NewTimer(max(limit-time.Since(me.since), 0))
	defer end.Stop()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			q.leave(w)
			return false
		case <-end.C:
			q.leave(w)
			return false
		case <-me.turn:
			return true
		case <-tick.C:
			q.mu.Lock()
			first := q.waiting[0] == me
			q.mu.Unlock()
			if first {
				return true
			}
		}
	}
}

// leave takes a connection out of the queue: it has the writer's place, or doesn't want it any more.
func (q *queue) leave(w **waiter) {
	if *w == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, o := range q.waiting {
		if o == *w {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			break
		}
	}
	*w = nil
}

// next tells the first in the queue that the writer's place is free. It returns whether there was one.
func (q *queue) next() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return false
	}
	select {
	case q.waiting[0].turn <- struct{}{}:
	default:
	}
	return true
}
