package aof

import "sync"

// Budget bounds the local files of several logs together.
type Budget struct {
	limit int64

	mu       sync.Mutex
	used     map[*Log]int64
	sum      int64
	reserved int64 // what all logs may still need for what they have admitted
}

// NewBudget makes a budget of so many bytes. Each log needs room for 6 of its segments.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes, used: map[*Log]int64{}} }

// Used is what the logs have on disk.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sum
}

// set notes what a log has on disk. When that changes the others look whether they have to, or may, do something.
func (b *Budget) set(l *Log, bytes int64, open bool) {
	b.mu.Lock()
	before := b.sum
	if _, known := b.used[l]; !known && open {
		b.reserved += l.reserve()
	} else if known && !open {
		b.reserved -= l.reserve()
	}
	b.sum += bytes - b.used[l]
	b.used[l] = bytes
	if !open {
		delete(b.used, l)
	}
	var others []*Log
	if b.sum != before {
		for o := range b.used {
			if o != l {
				others = append(others, o)
			}
		}
	}
	b.mu.Unlock()
	for _, o := range others {
		o.look()
	}
}

// localBytes is what the log has on this disk. mu is held.
func (l *Log) localBytes() (n int64) {
	for _, s := range l.segments {
		for _, f := range s.forms[:Cold] {
			if f != nil {
				n += f.bytes
			}
		}
	}
	return n + l.spares.bytes() + l.hydrating.Load()
}

// reserve is what the segments may need that what was admitted goes into.
func (l *Log) reserve() int64 { return 2 * l.o.SegmentBytes }

// tooMuch tells whether with so many local bytes there is no room for the reserve.
func (l *Log) tooMuch(bytes int64) bool {
	t := &l.o.Tiers
	bytes += l.reserve()
	if t.LocalBytes > 0 && bytes > t.LocalBytes {
		return true
	}
	if b := t.Budget; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		others := b.reserved
		if _, known := b.used[l]; known {
			others -= l.reserve()
		}
		return b.sum-b.used[l]+bytes+others > b.limit
	}
	return false
}

// roomForSpare tells whether a file may be kept ready.
func (l *Log) roomForSpare() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return !l.tooMuch(l.localBytes() + l.o.SegmentBytes)
}

// crowded tells whether the log has to make room. mu is held.
func (l *Log) crowded() bool { return l.tooMuch(l.localBytes()) }

// weigh looks again what the log takes, and lets appends wait or go on.
func (l *Log) weigh() {
	t := &l.o.Tiers
	if t.LocalBytes <= 0 && t.Budget == nil {
		return
	}
	l.mu.RLock()
	bytes := l.localBytes()
	open := len(l.segments) > 0
	l.mu.RUnlock()
	if t.Budget != nil {
		t.Budget.set(l, bytes, open)
	}
	l.queue.crowd(l.tooMuch(bytes), l.waitingFor())
}

// waitingFor is what has to happen before there is room.
func (l *Log) waitingFor() BackpressureKind {
	if l.hydrating.Load() > 0 {
		return Hydration
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.o.Tiers.Bucket != nil && l.toPack() == nil {
		return Upload
	}
	return Rollover
}
