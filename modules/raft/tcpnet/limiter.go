package tcpnet

import (
	"context"
	"sync"
	"time"
)

// limiter spreads bytes over time. It lets a tenth of a second's worth through at once.
type limiter struct {
	perSecond int64

	mu   sync.Mutex
	next time.Time // when what was let through so far is paid for
}

func newLimiter(perSecond int64) *limiter { return &limiter{perSecond: perSecond} }

// reserve takes n bytes at a time and returns how long to wait before they are sent.
func (l *limiter) reserve(n int, now time.Time) time.Duration {
	if l.perSecond <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if earliest := now.Add(-time.Second / 10); l.next.Before(earliest) {
		l.next = earliest
	}
	wait := l.next.Sub(now)
	l.next = l.next.Add(time.Duration(float64(n) / float64(l.perSecond) * float64(time.Second)))
	return max(wait, 0)
}

// wait waits until n bytes may be sent.
func (l *limiter) wait(ctx context.Context, n int) error {
	return sleep(ctx, l.reserve(n, time.Now()))
}

// sleep waits for a while, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
