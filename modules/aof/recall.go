package aof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// recall makes segments of what the catalog knows, so that their files needn't be looked at. The last segment file is
// read in any case.
func (l *Log) recall(names []string) error {
	entries, err := l.openCatalog(names)
	if err != nil {
		return err
	}
	l.head = l.catalog.head
	files := make(map[string]bool, len(names))
	last := ""
	for _, name := range names {
		files[name] = true
		if filepath.Ext(name) == ".seg" {
			last = max(last, name)
		}
	}
	delete(files, last)
	for _, e := range entries {
		s := l.known(e, files)
		if s.best() == nil || e.Next <= l.head {
			continue
		}
		l.segments = append(l.segments, s)
		for _, f := range s.forms[:Cold] {
			if f != nil {
				l.vouched[filepath.Base(f.name)] = true
			}
		}
	}
	return nil
}

// recalled tells whether the catalog vouched for a file.
func (l *Log) recalled(name string) bool { return l.vouched[name] }

// openWarm takes up a compressed segment that the catalog doesn't know.
func (l *Log) openWarm(name string) error {
	path := filepath.Join(l.dir, name)
	f := newForm(Warm, path, 0)
	err := l.sizeOf(f)
	if err == nil {
		_, err = l.open(context.Background(), nil, f)
	}
	if errors.Is(err, ErrDamaged) {
		l.o.Logger.Error("a compressed segment can't be read and is ignored", "file", path, "err", err)
		d := Damage{File: path, Reason: err.Error()}
		if e := (*DamageError)(nil); errors.As(err, &e) {
			d.Offset, d.Reason = e.Offset, e.Reason
		}
		l.damage = append(l.damage, d)
		return f.release()
	}
	if err != nil {
		return errors.Join(err, f.release())
	}
	e := entryOf(f.foot, f.bytes, 0)
	s := e.segment(l.dir)
	s.forms[Cold] = nil
	s.forms[Warm] = f
	s.index, s.fresh, s.closed = f.foot.index, true, time.Unix(0, e.Created)
	l.segments = append(l.segments, s)
	return nil
}

func (l *Log) sizeOf(f *form) (err error) {
	if f.file, err = l.o.FS.OpenFile(f.name, 0, 0); err != nil {
		return err
	}
	f.bytes, err = f.file.Size()
	return err
}

// gather orders the segments and joins the copies of the same one.
func (l *Log) gather() {
	slices.SortStableFunc(l.segments, func(a, b *segment) int { return cmp.Compare(a.header.sequence, b.header.sequence) })
	var list []*segment
	for _, s := range l.segments {
		n := len(list)
		if n == 0 || list[n-1].header.sequence != s.header.sequence {
			list = append(list, s)
			continue
		}
		// The one with a segment file knows more.
		a, b := list[n-1], s
		if b.file != nil || b.forms[Hot] != nil {
			a, b = b, a
		}
		for t, f := range b.forms {
			if f == nil {
				continue
			}
			if a.forms[t] == nil && a.header.salt == b.header.salt {
				a.forms[t], a.fresh = f, true
				continue
			}
			f.release()
		}
		list[n-1] = a
	}
	l.segments = list
}

// begin makes sure that there is a tail: a segment file that isn't sealed.
func (l *Log) begin() error {
	h := segmentHeader{sequence: 1, base: 1}
	if len(l.segments) == 0 && l.bucket() != nil && l.o.Tiers.Adopt {
		if err := l.adopt(context.Background()); err != nil {
			return fmt.Errorf("aof: going on where %s ends: %w", l.bucket(), err)
		}
	}
	if n := len(l.segments); n > 0 {
		last := l.segments[n-1]
		if last.file != nil {
			return nil
		}
		h = segmentHeader{sequence: last.header.sequence + 1, base: last.next, prev: last.sum}
	}
	s, err := l.create(h, 0)
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	l.segments = append(l.segments, s)
	return nil
}

// adopt learns of the bucket's segments, for a folder that has none.
func (l *Log) adopt(ctx context.Context) error {
	m, _, err := readManifest(ctx, l.bucket())
	if err == nil && m == nil {
		m, err = listManifest(ctx, l.bucket())
	}
	if err != nil {
		return err
	}
	for i := range m.Segments {
		s := m.Segments[i].segment(l.dir)
		s.fresh, s.closed = true, time.Unix(0, m.Segments[i].Created)
		l.segments = append(l.segments, s)
	}
	l.relimit()
	return nil
}
