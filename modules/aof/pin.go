package aof

import "context"

// Pin keeps the segments with records from first to last on this disk until unpin is called; cold ones are hydrated
// before it returns. Pins end with the process.
func (l *Log) Pin(ctx context.Context, first, last Position) (unpin func(), err error) {
	var pinned []*segment
	release := func() {
		l.mu.Lock()
		for _, s := range pinned {
			s.pins--
		}
		pinned = nil
		l.mu.Unlock()
		l.look()
	}
	l.mu.Lock()
	for _, s := range l.segments {
		if s.base <= last && first < s.until() {
			s.pins++
			pinned = append(pinned, s)
		}
	}
	l.mu.Unlock()
	if err := l.Hydrate(ctx, first, last); err != nil {
		release()
		return nil, err
	}
	return release, nil
}
