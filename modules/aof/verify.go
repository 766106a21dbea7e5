package aof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/bop-platform/bop/modules/aof/internal/zframe"
)

// Verify checks the sealed segments of an open log, in every tier, as the function Verify does.
func (l *Log) Verify(ctx context.Context, progress func(done, total int64)) (*Report, error) {
	r := &Report{Dir: l.dir, Findings: []Finding{}, Segments: []SegmentReport{}}
	r.First, r.Next = l.Bounds()
	return r, l.verify(ctx, r, progress)
}

// checked is a copy that is to be verified.
type checked struct {
	s    *segment
	f    *form
	next Position // of the segment, as far as is known
	end  int64
	last bool // more may follow it
	more bool // there is another copy
}

// verify checks all copies and adds what it finds to r.
func (l *Log) verify(ctx context.Context, r *Report, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	var list []checked
	var total, done int64
	l.mu.RLock()
	open := l.committer.l != nil
	for i, s := range l.segments {
		for _, f := range s.forms {
			if f == nil || open && !s.sealed {
				continue
			}
			f.refs.Add(1)
			list = append(list, checked{s, f, s.next, s.end, i == len(l.segments)-1, slices.ContainsFunc(s.forms[:], func(o *form) bool { return o != nil && o != f })})
			total += f.bytes
		}
	}
	l.mu.RUnlock()
	defer func() {
		for _, c := range list {
			c.f.release()
		}
	}()
	for _, c := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if c.f.tier == Hot {
			err = l.verifyHot(ctx, r, &c)
		} else {
			err = l.verifyPacked(ctx, r, &c)
		}
		if err != nil {
			return fmt.Errorf("aof: verifying %s: %w", c.f.name, err)
		}
		done += c.f.bytes
		progress(done, total)
	}
	return nil
}

// found adds a finding about a copy.
func (c *checked) found(r *Report, off int64, first, last Position, reason string) {
	advice := adviceRestore
	if first == 0 {
		advice = adviceNone
	}
	if c.more {
		advice = adviceOther
	}
	x := Finding{Name: c.f.name, Offset: off, First: first, Last: last, Reason: reason, Advice: advice}
	if !slices.ContainsFunc(r.Findings, func(y Finding) bool { return x.Name == y.Name && x.Offset == y.Offset && x.Reason == y.Reason }) {
		r.Findings = append(r.Findings, x)
	}
}

// verifyHot reads a segment file from its first batch to its last.
func (l *Log) verifyHot(ctx context.Context, r *Report, c *checked) error {
	if _, err := l.open(ctx, c.s, c.f); err != nil {
		if d := (*DamageError)(nil); errors.As(err, &d) {
			c.found(r, d.Offset, c.s.base, c.next-1, d.Reason)
			return nil
		}
		return err
	}
	src := c.f.file
	for _, off := range []int64{0, headerCopy} {
		b := make([]byte, headerBytes)
		if err := readFull(src, b, off); err != nil {
			return err
		}
		if h, _ := decodeSegmentHeader(b); h == nil || *h != c.s.header {
			c.found(r, off, 0, 0, "a copy of the segment's header is damaged, the other one is used")
		}
	}
	if err := l.verifyBatches(ctx, r, c, src, c.f.bytes); err != nil {
		return err
	}
	if c.s.sealed {
		return nil
	}
	if !c.last {
		c.found(r, c.end, 0, 0, "the footer or its trailer is damaged or missing: the segment is read by scanning")
	}
	return nil
}

// verifyBatches goes through the batches of src, which is the segment's bytes.
func (l *Log) verifyBatches(ctx context.Context, r *Report, c *checked, src io.ReaderAt, bytes int64) error {
	l.mu.RLock()
	s := *c.s // with its own idea of where it ends
	l.mu.RUnlock()
	s.bytes = bytes
	w := walker{s: &s, src: src, off: dataStart, sum: s.header.prev, chained: true, expect: s.base}
	if s.sealed {
		w.stop = c.end
	}
	for !s.sealed || w.off < c.end {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, off, payload, err := w.next()
		if err != nil {
			return err
		}
		if h != nil {
			count, rest := 0, payload
			for h.key == 0 && len(rest) > 0 {
				_, more, ok := nextRecord(rest)
				if !ok {
					break
				}
				rest = more
				count++
			}
			if h.key == 0 && (count != h.count || len(rest) > 0) {
				c.found(r, off, h.first, h.last(), "a batch with a good checksum holds other records than it says")
			}
			continue
		}
		at, expect := w.off, w.expect
		if !w.resync() {
			if s.sealed && expect < c.next {
				c.found(r, at, expect, c.next-1, "checksum mismatch")
			} else if s.sealed {
				c.found(r, at, 0, 0, "a mark is damaged")
			}
			return nil
		}
		if w.expect > expect {
			c.found(r, at, expect, w.expect-1, "checksum mismatch")
		} else {
			c.found(r, at, 0, 0, "a mark is damaged")
		}
	}
	return nil
}

// verifyPacked reads a compressed copy: every frame, the summary, the seek table, and then the batches in it.
func (l *Log) verifyPacked(ctx context.Context, r *Report, c *checked) error {
	var src io.ReaderAt
	if c.f.tier == Cold {
		src = &windowReader{rangeReader: rangeReader{ctx, l.bucket(), c.f.name}, size: c.f.bytes}
	} else {
		c.f.mu.Lock()
		err := l.openFile(c.f)
		src = c.f.file
		c.f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	_, foot, err := readPacked(src, c.f.name, c.f.bytes)
	if err == nil {
		_, err = zframe.Verify(ctx, src, c.f.bytes)
		if err != nil {
			err = packedError(c.f.name, err)
		}
	}
	if d := (*DamageError)(nil); errors.As(err, &d) {
		c.found(r, d.Offset, c.s.base, c.next-1, d.Reason)
		return nil
	}
	if err != nil {
		return err
	}
	if foot.header != c.s.header || foot.next != c.next || foot.sum != c.s.sum {
		c.found(r, 0, c.s.base, c.next-1, "it is another segment than the one that it stands for")
		return nil
	}
	sum, err := zframe.ReadSummary(src, c.f.bytes)
	if err != nil {
		return err
	}
	return l.verifyBatches(ctx, r, c, zframe.NewReader(src, sum), foot.end)
}
