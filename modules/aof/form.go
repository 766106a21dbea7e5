package aof

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/aof/internal/zframe"
)

// Tier is where a copy of a segment is.
type Tier uint8

// The tiers, the quickest first.
const (
	// Hot: a segment file, as it was written.
	Hot Tier = iota
	// Warm: compressed, on local disk.
	Warm
	// Cold: compressed, in the bucket.
	Cold
	tiers
)

func (t Tier) String() string { return [...]string{"hot", "warm", "cold"}[t] }

// form is one copy of a segment. Readers hold a reference while they use it, so that it can be replaced under them.
type form struct {
	tier  Tier
	name  string // of the file or the object
	bytes int64  // that it takes there
	refs  atomic.Int32
	gone  func() error // what to do when the last reference goes, after closing; nil: nothing

	// mu guards what is opened at the first use.
	mu      sync.Mutex
	file    fsys.File       // hot and warm
	summary *zframe.Summary // warm and cold
	foot    *footer         // of a sealed segment
}

func newForm(t Tier, name string, bytes int64) *form {
	f := &form{tier: t, name: name, bytes: bytes}
	f.refs.Store(1)
	return f
}

func (f *form) release() error {
	if f == nil || f.refs.Add(-1) > 0 {
		return nil
	}
	var err error
	if f.file != nil {
		err = f.file.Close()
	}
	if f.gone != nil {
		err = errors.Join(err, f.gone())
	}
	return err
}

// best is the copy that is read. Log.mu is held.
func (s *segment) best() *form {
	for _, f := range s.forms {
		if f != nil {
			return f
		}
	}
	return nil
}

// local tells whether a copy is on this disk. Log.mu is held.
func (s *segment) local() bool { return s.forms[Hot] != nil || s.forms[Warm] != nil }

// distrust gives up a damaged copy if there is another one. It reports whether there is.
func (l *Log) distrust(s *segment, f *form) bool {
	l.mu.Lock()
	other := false
	for _, g := range s.forms {
		other = other || g != nil && g != f
	}
	held := s.forms[f.tier] == f
	drop := held && other && f.tier != Cold && s.sealed
	if drop {
		s.forms[f.tier] = nil
		s.fresh = true
	}
	l.mu.Unlock()
	if !drop {
		return !held && other // another reader gave it up
	}
	l.o.Logger.Error("a damaged copy is given up, another one is read", "tier", f.tier.String(), "file", f.name)
	if err := l.dropForm(s, f); err != nil {
		l.o.Logger.Warn("removing a damaged copy failed", "file", f.name, "err", err)
	}
	l.look()
	return true
}

// open makes a form readable and returns the footer of its segment, nil if it has none. The caller holds a reference.
func (l *Log) open(ctx context.Context, s *segment, f *form) (*footer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.tier == Hot && f.file == nil:
		if err := l.openHot(s, f); err != nil {
			return nil, err
		}
	case f.tier != Hot && f.summary == nil:
		if err := l.openPacked(ctx, s, f); err != nil {
			return nil, err
		}
	}
	return f.foot, nil
}

// openHot opens a segment file that the catalog vouched for. One whose footer is damaged is read by what the catalog
// knows.
func (l *Log) openHot(s *segment, f *form) error {
	found, err := l.openSegment(f.name)
	if d := (*DamageError)(nil); errors.As(err, &d) && d.First == 0 {
		d.First, d.Last = s.base, s.next-1
	}
	if err != nil {
		return err
	}
	if found.header.salt != s.header.salt {
		return errors.Join(&DamageError{Damage{File: f.name, First: s.base, Last: s.next - 1,
			Reason: "it isn't the segment that the catalog knows: remove the file catalog, so that the log is opened by what the folder holds"}}, found.file.Close())
	}
	if !found.sealed {
		l.o.Logger.Warn("a segment's footer is damaged, the segment is read by scanning", "segment", f.name)
		if err := found.rescan(s); err != nil {
			return errors.Join(err, found.file.Close())
		}
	}
	f.file, f.foot = found.file, &footer{header: found.header, next: s.next, count: s.count, end: s.end, sum: s.sum, index: found.index}
	return nil
}

// rescan makes the index of a segment of which known says where its batches end.
func (s *segment) rescan(known *segment) error {
	w := walker{s: s, off: dataStart, sum: s.header.prev, chained: true, expect: s.base, stop: known.end}
	for w.off < known.end {
		h, off, _, err := w.next()
		switch {
		case err != nil:
			return err
		case h != nil:
			s.note(h, off)
		case !w.resync(): // those who read come to the bad place, and say so
			return nil
		}
	}
	return nil
}

// openPacked reads the summary of a compressed copy. f.mu is held, but not while the bucket is waited for: several may
// read the same one, which costs one fetch.
func (l *Log) openPacked(ctx context.Context, s *segment, f *form) error {
	if f.tier == Warm {
		if err := l.openFile(f); err != nil {
			return err
		}
	}
	src := l.compressed(ctx, f)
	f.mu.Unlock()
	sum, foot, err := readPacked(src, f.name, f.bytes)
	if errors.Is(err, ErrDamaged) && f.tier == Cold {
		l.cache.forget(l.bucket(), f.name) // the bucket may have it whole
		sum, foot, err = readPacked(src, f.name, f.bytes)
	}
	f.mu.Lock()
	if err != nil {
		return err
	}
	if s != nil && foot.header.salt != s.header.salt {
		return &DamageError{Damage{File: f.name, First: s.base, Last: s.next - 1, Reason: "it is another segment than the one with its number"}}
	}
	if f.summary == nil {
		f.summary, f.foot = sum, foot
	}
	return nil
}

// openFile opens the file of a warm copy, once. f.mu is held.
func (l *Log) openFile(f *form) error {
	if f.file != nil {
		return nil
	}
	file, err := l.o.FS.OpenFile(f.name, os.O_RDONLY, 0)
	if err == nil {
		f.file = file
	}
	return err
}

// readPacked reads the summary and the segment's footer that is in it.
func readPacked(src io.ReaderAt, name string, bytes int64) (*zframe.Summary, *footer, error) {
	sum, err := zframe.ReadSummary(src, bytes)
	if err != nil {
		return nil, nil, packedError(name, err)
	}
	foot, ok := decodeFooter(sum.Meta)
	if !ok || foot.end != sum.Size {
		return nil, nil, &DamageError{Damage{File: name, Reason: "the segment's footer in the summary is damaged"}}
	}
	return sum, foot, nil
}

// packedError names the file in what package zframe says.
func packedError(name string, err error) error {
	if c := (*zframe.CorruptError)(nil); errors.As(err, &c) {
		return &DamageError{Damage{File: name, Offset: c.Offset, Reason: c.Region + ": " + c.Reason}}
	}
	return fmt.Errorf("reading %s: %w", name, err)
}

// compressed is a form's bytes as they are stored.
func (l *Log) compressed(ctx context.Context, f *form) io.ReaderAt {
	if f.tier == Cold {
		return &objectReader{ctx: ctx, l: l, key: f.name, size: f.bytes}
	}
	return f.file
}

// plain is the segment's bytes in a form that was opened, from offset 0 to the end of its last batch. Damaged frames read
// as zeros, which no checksum of a batch accepts.
func (l *Log) plain(ctx context.Context, f *form) io.ReaderAt {
	if f.tier == Hot {
		return f.file
	}
	p := &plainReader{l: l, f: f}
	p.src = l.compressed(ctx, f)
	p.r = zframe.NewReader(p.src, f.summary)
	return p
}

// plainReader reads a compressed form.
type plainReader struct {
	l   *Log
	f   *form
	src io.ReaderAt
	r   *zframe.Reader

	again int64 // the damaged offset in the object that was fetched again, plus one
}

// use makes ctx the one that what is read next waits under.
func (p *plainReader) use(ctx context.Context) {
	if o, ok := p.src.(*objectReader); ok {
		o.ctx = ctx
	}
}

func (p *plainReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.r.ReadAt(b, off)
	for err != nil {
		c := (*zframe.CorruptError)(nil)
		if !errors.As(err, &c) {
			return n, err
		}
		if p.f.tier == Cold && p.again != c.Offset+1 {
			p.again = c.Offset + 1
			p.l.cache.forget(p.l.bucket(), p.f.name) // the bucket may have it whole
			var more int
			more, err = p.r.ReadAt(b[n:], off+int64(n))
			n += more
			continue
		}
		// What is behind the damaged frame is still good.
		size := int64(p.f.summary.FrameBytes)
		at := off + int64(n)
		end := min((at/size+1)*size, off+int64(len(b)))
		p.l.o.Logger.Error("a compressed segment is damaged", "file", p.f.name, "offset", c.Offset, "region", c.Region, "reason", c.Reason)
		clear(b[n : end-off])
		n = int(end - off)
		if n == len(b) {
			return n, nil
		}
		var more int
		more, err = p.r.ReadAt(b[n:], end)
		n += more
	}
	return n, err
}

// checksum is the CRC32C of the first size bytes of r.
func checksum(r io.ReaderAt, size int64) (uint32, error) {
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		return 0, err
	}
	return h.Sum32(), nil
}
