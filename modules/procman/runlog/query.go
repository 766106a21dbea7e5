package runlog

import (
	"bytes"
	"regexp"
	"slices"
	"time"
)

// Query says what to read. The zero value is all there is. Gaps are always delivered, except those with a time outside
// of Since and Until.
type Query struct {
	// From is the first number. 0: the oldest there is, without a gap for what retention removed before.
	From uint64
	// Since and Until bound the time, both included. Zero: no bound.
	Since, Until time.Time
	// Run and Streams choose; empty is all.
	Run     Run
	Streams []Stream
	// Contains and Grep are searched in each line; both must be found if both are given.
	Contains []byte
	Grep     *regexp.Regexp
	// Tail is how many of the last matching records to begin with. 0: all.
	Tail int
	// Join puts the parts of a long line together, up to 16 MiB; Contains and Grep then see the whole line.
	Join bool
	// Follow waits for more at the end.
	Follow bool
}

// wants tells by the head of a block whether it may have what is asked for.
func (q *Query) wants(h blockHead) bool {
	if h.kind == kindLines && len(q.Streams) > 0 && !slices.Contains(q.Streams, h.stream) {
		return false
	}
	t := time.Unix(0, h.time)
	return (q.Since.IsZero() || !t.Before(q.Since)) && (q.Until.IsZero() || !t.After(q.Until))
}

// matches tells whether a line is asked for.
func (q *Query) matches(data []byte) bool {
	return (len(q.Contains) == 0 || bytes.Contains(data, q.Contains)) && (q.Grep == nil || q.Grep.Match(data))
}

const maxJoined = 16 << 20

// source is one run's stream, of which a line may be unfinished.
type source struct {
	run    Run
	stream Stream
}

// joiner puts the parts of long lines together.
type joiner struct {
	open  map[source]*Record
	ready []Record // with Data of their own, before what comes next
}

// add takes a record, and returns false if it was kept as a part.
func (j *joiner) add(r *Record) bool {
	key := source{r.Run, r.Stream}
	o := j.open[key]
	if o == nil {
		if r.Flags&Partial == 0 {
			return true
		}
		if j.open == nil {
			j.open = map[source]*Record{}
		}
		o = &Record{}
		*o = *r
		o.Data = bytes.Clone(r.Data)
		j.open[key] = o
		return false
	}
	o.Data = append(o.Data, r.Data...)
	o.Sequence, o.Time, o.Flags = r.Sequence, r.Time, r.Flags
	if r.Flags&Partial != 0 && len(o.Data) < maxJoined {
		return false
	}
	delete(j.open, key)
	*r = *o
	return true
}

// release gives up waiting for the rest of lines, in the order of their last parts.
func (j *joiner) release() {
	for key, o := range j.open {
		j.ready = append(j.ready, *o)
		delete(j.open, key)
	}
	slices.SortFunc(j.ready, func(a, b Record) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
}
