package runlog

import (
	"context"
	"io"
)

// place finds where the last records begin that the query asks for. It reads forward from 1, 2, 4... files before the
// end, until there are enough.
func (c *Cursor) place(ctx context.Context) error {
	v, err := c.f.view(false)
	if err != nil {
		return err
	}
	until := c.until
	if until == 0 {
		until = v.end
	}
	enough := c.q.Tail
	if c.q.Join {
		enough++ // the first may be the end of a line that began in the file before
	}
	for back := 1; ; back *= 2 {
		at := max(len(v.files)-back, 0)
		from := c.q.From
		if at > 0 {
			from = max(from, v.files[at])
		}
		q := c.q
		q.From, q.Tail, q.Follow = from, 0, false
		ring, n, err := last(ctx, &Cursor{f: c.f, q: q, until: until, want: from}, c.q.Tail)
		if err != nil {
			return err
		}
		if n < enough && at > 0 {
			continue
		}
		if n < c.q.Tail {
			return nil // all there is
		}
		c.after = ring[n%c.q.Tail].Sequence
		c.want = c.after
		for _, r := range ring {
			c.want = min(c.want, r.start)
		}
		return nil
	}
}

// last reads to the end and returns the last k records without their data, as a ring, and how many there were.
func last(ctx context.Context, c *Cursor, k int) (ring []Record, n int, err error) {
	defer c.Close()
	for {
		r, err := c.Next(ctx)
		if err == io.EOF {
			return ring, n, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if r.Gap != nil {
			continue
		}
		r.Data = nil
		if len(ring) < k {
			ring = append(ring, r)
		} else {
			ring[n%k] = r
		}
		n++
	}
}
