package aof

import "time"

// SegmentInfo describes a segment.
type SegmentInfo struct {
	File     string // its segment file, which may be gone
	Sequence uint64
	First    Position // position of its first record
	Next     Position // after its last valid one
	Bytes    int64    // of the segment file when there is one
	Used     int64    // of headers and batches
	Sealed   bool
	Created  time.Time
	Copies   []Copy // the quickest first; reads take that
	Pinned   bool
}

// Copy is one copy of a segment.
type Copy struct {
	Tier  Tier
	Name  string // of the file, or of the object in the bucket
	Bytes int64
}

// Stats sums a log up.
type Stats struct {
	First, Next Position
	Durable     Position
	Segments    int
	Bytes       int64        // of all local files
	Tier        [tiers]int64 // bytes of the copies in each tier
	Queued      int          // bytes that wait for the committer
	Spare       int          // files kept ready
	ToPack      int          // sealed segments that wait to be compressed
	ToUpload    int          // segments that wait to be uploaded
	Hydrating   int64        // bytes on their way from the bucket
	Cached      int64        // bytes of cold objects in memory
	Damaged     int          // places known to be damaged
	Poisoned    bool
	// Bucket is why the bucket isn't used, nil if it is or if there is none.
	Bucket error
}

// Segments lists the segments in order.
func (l *Log) Segments() []SegmentInfo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	infos := make([]SegmentInfo, len(l.segments))
	for i, s := range l.segments {
		infos[i] = SegmentInfo{
			File: s.name, Sequence: s.header.sequence, First: s.base, Next: s.until(), Bytes: s.bytes, Used: s.end, Sealed: s.sealed,
			Created: time.Unix(0, s.header.created), Pinned: s.pins > 0,
		}
		for _, f := range s.forms {
			if f != nil {
				infos[i].Copies = append(infos[i].Copies, Copy{f.tier, f.name, f.bytes})
			}
		}
	}
	return infos
}

// Stats returns the log's figures at this moment.
func (l *Log) Stats() Stats {
	st := Stats{Durable: l.Durable(), Queued: l.queue.waiting(), Poisoned: l.queue.failure() != nil, Hydrating: l.hydrating.Load(), Cached: l.cache.Bytes()}
	st.First, st.Next = l.Bounds()
	l.spares.mu.Lock()
	st.Spare = len(l.spares.ready)
	l.spares.mu.Unlock()
	l.mu.RLock()
	defer l.mu.RUnlock()
	st.Segments, st.Damaged, st.Bucket = len(l.segments), len(l.damage), l.cold.refusal
	st.Bytes = l.localBytes()
	for _, s := range l.segments {
		for t, f := range s.forms {
			if f != nil {
				st.Tier[t] += f.bytes
			}
		}
		if !s.sealed || s.bad || s.forms[Cold] != nil {
			continue
		}
		if s.forms[Warm] != nil {
			if l.bucket() != nil {
				st.ToUpload++
			}
		} else if l.bucket() != nil {
			st.ToPack++
		}
	}
	return st
}
