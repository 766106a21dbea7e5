package runlog

import (
	"context"
	"errors"
	"io"
	"time"
)

// Cursor reads records in the order of their numbers. It belongs to one goroutine. Close it, or read it to io.EOF.
type Cursor struct {
	f      folder
	q      Query
	until  uint64 // the number before which it ends; 0: where nothing follows
	want   uint64 // the next number; 0: the oldest
	placed bool   // Tail was looked up
	after  uint64 // what ends before this number is before the tail, though it is read for the beginning of a long line

	seg     *scanner
	passed  uint64 // first number of the last file that was read or given up
	broken  bool   // something in that file was no block
	absent  int    // how often a listed file was not there
	h       blockHead
	rest    []byte // lines of block h that are to come
	left    uint64 // their number
	run     Run
	joins   joiner
	pending *Record // what comes behind joins.ready
	done    bool
}

// Close frees what the cursor holds.
func (c *Cursor) Close() error {
	if c.seg != nil {
		c.seg.close()
		c.seg = nil
	}
	c.done = true
	return nil
}

// Next returns the next line that the query asks for, or a gap. It returns io.EOF at the end, for followers when the
// log was closed; the context's error; ErrNewerFormat; or an error of the disk, after which it may be called again.
// Record.Data is valid until the next call.
func (c *Cursor) Next(ctx context.Context) (Record, error) {
	if !c.placed && c.q.Tail > 0 {
		if err := c.place(ctx); err != nil {
			return Record{}, err
		}
	}
	c.placed = true
	for {
		for len(c.joins.ready) > 0 {
			r := c.joins.ready[0]
			c.joins.ready = c.joins.ready[1:]
			if r.Sequence >= c.after && c.q.matches(r.Data) {
				return r, nil
			}
		}
		if r := c.pending; r != nil {
			c.pending = nil
			return *r, nil
		}
		r, err := c.raw(ctx)
		if err == io.EOF && len(c.joins.open) > 0 {
			c.joins.release()
			continue
		}
		if err != nil {
			return Record{}, err
		}
		if r.Gap != nil {
			if len(c.joins.open) == 0 {
				return r, nil
			}
			// The rest of a line may be in the gap.
			c.joins.release()
			c.pending = &r
			continue
		}
		if c.q.Join && !c.joins.add(&r) {
			continue
		}
		if r.Sequence >= c.after && c.q.matches(r.Data) {
			return r, nil
		}
	}
}

// raw returns the next record or gap, without regard to what is in the line.
func (c *Cursor) raw(ctx context.Context) (Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Record{}, err
		}
		if c.done || c.until > 0 && c.want >= c.until {
			c.Close()
			return Record{}, io.EOF
		}
		if c.left > 0 {
			if r, ok := c.line(); ok {
				return r, nil
			}
			continue
		}
		if c.seg != nil {
			h, st, err := c.seg.peek()
			if err != nil {
				return Record{}, err
			}
			if st == ready {
				r, ok, err := c.block(h)
				if err != nil || ok {
					return r, err
				}
				continue
			}
		}
		r, ok, err := c.advance(ctx)
		if err != nil || ok {
			return r, err
		}
	}
}

// line takes a line from the block.
func (c *Cursor) line() (Record, bool) {
	data, flags, rest, ok := cutLine(c.rest)
	seq := c.h.end() - c.left
	if !ok { // its checksum is right, so whoever wrote it was wrong
		c.left = 0
		return c.missing(c.h.end(), Damaged)
	}
	c.rest = rest
	c.left--
	if seq < c.want {
		return Record{}, false
	}
	c.want = seq + 1
	return Record{Sequence: seq, start: seq, Time: time.Unix(0, c.h.time), Run: c.run, Stream: c.h.stream, Flags: flags, Data: data}, true
}

// missing makes the numbers from want up to end a gap, if there are any.
func (c *Cursor) missing(end uint64, reason Reason) (Record, bool) {
	from := c.want
	if from >= end {
		return Record{}, false
	}
	c.want = end
	return Record{Sequence: from, start: from, Gap: &Gap{From: from, To: end - 1, Reason: reason}}, true
}

// block goes on to the block that was found.
func (c *Cursor) block(h blockHead) (Record, bool, error) {
	if h.end() <= c.want {
		c.seg.skip(h)
		return Record{}, false, nil
	}
	if c.want > 0 && h.first > c.want {
		r, ok := c.missing(h.first, Damaged)
		return r, ok, nil
	}
	if !c.q.wants(h) {
		c.seg.skip(h)
		c.want = h.end()
		return Record{}, false, nil
	}
	body, ok, err := c.seg.body(h)
	if err != nil {
		return Record{}, false, err
	}
	c.want = max(c.want, h.first)
	if !ok {
		r, ok := c.missing(h.end(), Damaged)
		return r, ok, nil
	}
	if h.kind == kindGap {
		if len(body) != 1 {
			r, ok := c.missing(h.end(), Damaged)
			return r, ok, nil
		}
		r, ok := c.missing(h.end(), Reason(body[0]))
		r.Time = time.Unix(0, h.time)
		return r, ok, nil
	}
	run := body[:h.run]
	if c.q.Run != "" && string(run) != string(c.q.Run) {
		c.want = h.end()
		return Record{}, false, nil
	}
	if string(run) != string(c.run) { // most blocks are of the run before: no allocation
		c.run = Run(run)
	}
	c.h, c.rest, c.left = h, body[h.run:], h.count
	return Record{}, false, nil
}

// advance is called where the file has no more: it goes on to what was written since, or the next file, or waits.
func (c *Cursor) advance(ctx context.Context) (Record, bool, error) {
	v, err := c.f.view(c.q.Follow)
	if err != nil {
		return Record{}, false, err
	}
	next, found := c.following(v.files)
	if c.seg != nil {
		// If there is a next file, this one has its last size. The view is older than the size.
		size := v.size
		if found {
			size = -1
		}
		if err := c.seg.grow(size); err != nil {
			return Record{}, false, err
		}
		_, st, err := c.seg.peek()
		if err != nil {
			return Record{}, false, err
		}
		if st == ready {
			return Record{}, false, nil
		}
		if !found {
			return c.wait(ctx, v, st)
		}
		c.broken = st != clean
		c.seg.close()
		c.seg = nil
		return Record{}, false, nil
	}
	if !found {
		return c.wait(ctx, v, clean)
	}
	if c.want > 0 && c.want < next {
		reason := Removed
		if c.broken {
			reason = Damaged
		}
		r, ok := c.missing(next, reason)
		return r, ok, nil
	}
	seg, err := openScanner(c.f.path(), next)
	if errors.Is(err, errGone) {
		// It was removed since the listing, which the next view tells; or by hand, which the Log doesn't know.
		if c.absent++; c.absent > 2 {
			c.absent, c.passed, c.broken = 0, next, false
		}
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	c.want = max(c.want, next)
	c.seg, c.passed, c.broken, c.absent = seg, next, false, 0
	return Record{}, false, nil
}

// following is the file to read next.
func (c *Cursor) following(files []uint64) (first uint64, ok bool) {
	for i, f := range files {
		if f <= c.passed {
			continue
		}
		// The first file to read is the one that has the wanted number.
		if c.passed == 0 && i+1 < len(files) && files[i+1] <= c.want {
			continue
		}
		return f, true
	}
	return 0, false
}

// wait is called where nothing follows.
func (c *Cursor) wait(ctx context.Context, v view, st state) (Record, bool, error) {
	if c.q.Follow && !v.closed {
		select {
		case <-ctx.Done():
			return Record{}, false, ctx.Err()
		case <-v.changed:
			return Record{}, false, nil
		}
	}
	if c.want > 0 {
		end := c.until
		if end == 0 {
			end = v.end
		}
		reason := Removed
		if st != clean || c.broken {
			reason = Damaged
		}
		if r, ok := c.missing(end, reason); ok {
			return r, true, nil
		}
	}
	c.Close()
	if st == ragged && v.end == 0 {
		// How many lines are lost, nobody knows here.
		return Record{Sequence: c.want, start: c.want, Gap: &Gap{From: c.want, Reason: Damaged}}, true, nil
	}
	return Record{}, false, io.EOF
}
