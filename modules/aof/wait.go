package aof

import "context"

// WaitAttached returns when the bucket has told what it holds. Errors: those of a bucket that can't be used.
func (l *Log) WaitAttached(ctx context.Context) error {
	return l.waitFor(ctx, func() bool { return l.bucket() == nil || l.cold.attached })
}

// WaitUploaded returns when the bucket has every segment that is sealed and whole. Errors: those of a bucket that can't be
// used.
func (l *Log) WaitUploaded(ctx context.Context) error {
	return l.waitFor(ctx, func() bool {
		if l.bucket() == nil {
			return true
		}
		for _, s := range l.segments {
			if s.sealed && !s.bad && s.forms[Cold] == nil {
				return false
			}
		}
		return l.cold.attached
	})
}

// waitFor returns when ok holds, which is called with mu held.
func (l *Log) waitFor(ctx context.Context, ok func() bool) error {
	for {
		l.mu.Lock()
		if l.arrived == nil {
			l.arrived = make(chan struct{})
		}
		arrived, refusal, done := l.arrived, l.cold.refusal, ok()
		l.mu.Unlock()
		if refusal != nil || done {
			return refusal
		}
		select {
		case <-arrived:
		case <-l.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// arrive wakes those that wait for copies.
func (l *Log) arrive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.arrived != nil {
		close(l.arrived)
		l.arrived = nil
	}
}
