package aof

import "time"

// SegmentInfo describes a segment.
type SegmentInfo struct {
	File     string
	Sequence uint64
	First    Position // position of its first record
	Next     Position // after its last valid one
	Bytes    int64    // of the file
	Used     int64    // of headers and batches
	Sealed   bool
	Created  time.Time
}

// Stats sums a log up.
type Stats struct {
	First, Next Position
	Durable     Position
	Segments    int
	Bytes       int64 // of all segment files
	Queued      int   // bytes that wait for the committer
	Spare       int   // files kept ready
	Damaged     int   // places known to be damaged
	Poisoned    bool
}

// Segments lists the segments in order.
func (l *Log) Segments() []SegmentInfo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	infos := make([]SegmentInfo, len(l.segments))
	for i, s := range l.segments {
		infos[i] = SegmentInfo{s.name, s.header.sequence, s.base, s.until(), s.bytes, s.end, s.sealed, time.Unix(0, s.header.created)}
	}
	return infos
}

// Stats returns the log's figures at this moment.
func (l *Log) Stats() Stats {
	st := Stats{Durable: l.Durable(), Queued: l.queue.waiting(), Poisoned: l.queue.failure() != nil}
	st.First, st.Next = l.Bounds()
	l.spares.mu.Lock()
	st.Spare = len(l.spares.ready)
	l.spares.mu.Unlock()
	l.mu.RLock()
	defer l.mu.RUnlock()
	st.Segments, st.Damaged = len(l.segments), len(l.damage)
	for _, s := range l.segments {
		st.Bytes += s.bytes
	}
	return st
}
