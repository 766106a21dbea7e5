package pageobj

import (
	"context"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

const (
	scanAhead    = 8       // requests in flight
	scanRequest  = 1 << 20 // bytes of frames in one
	scanRawBytes = 2 << 20 // and bytes of the pages that they make
)

// scanPart is a run of frames of one object: one request, decoded as it arrives.
type scanPart struct {
	entries []entry
	i       int // that the scan is at
	data    []byte
	bad     error // of page at, and of all behind it
	badAt   int
	done    chan struct{}
}

// scanStream goes through one object of a scan.
type scanStream struct {
	cursor *cursor
	parts  []*scanPart // under way, in order; the scan is at the first
	first  uint32      // page that the next part will begin with, 0: there is none
}

// scan is a merge of the chain.
type scan struct {
	v       *View
	ctx     context.Context
	streams []*scanStream // oldest first
	under   int           // parts under way
	free    chan []byte   // buffers of parts that were dropped
	wg      sync.WaitGroup
}

// Scan calls fn with all pages from the given one on in order, those too that are nowhere and are zeros; data is valid
// until fn returns. It reads each object from its beginning to its end, with several requests in flight, and decodes what arrives beside fn,
// which is called from the goroutine of the caller.
func (v *View) Scan(ctx context.Context, from uint32, fn func(no uint32, data []byte, sum uint64) error) error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return ErrClosed
	}
	v.wg.Add(1)
	v.mu.Unlock()
	defer v.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(v.ctx, cancel)
	defer stop()
	s := &scan{v: v, ctx: ctx}
	err := s.run(max(from, 1), fn)
	cancel()
	s.wg.Wait()
	if err != nil && v.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

func (s *scan) run(from uint32, fn func(no uint32, data []byte, sum uint64) error) error {
	v := s.v
	cs, err := v.cursors(s.ctx, func(*object) bool { return true })
	if err != nil {
		return err
	}
	s.free = make(chan []byte, scanAhead+len(cs))
	for _, c := range cs {
		no, err := c.seek(s.ctx, from)
		if err != nil {
			return err
		}
		s.streams = append(s.streams, &scanStream{cursor: c, first: no})
	}
	zeros := page.Zeros(v.state.Size)
	for no := uint64(from); no <= uint64(v.state.Pages); no++ {
		data, sum, err := s.page(uint32(no))
		if err != nil {
			return err
		}
		if data == nil {
			data = zeros
		}
		if err := fn(uint32(no), data, sum); err != nil {
			return err
		}
	}
	return nil
}

// page returns the page that the scan has come to; nil if it is nowhere.
func (s *scan) page(no uint32) (data []byte, sum uint64, err error) {
	if err := s.fill(); err != nil {
		return nil, 0, err
	}
	size := int(s.v.state.Size)
	for i := len(s.streams) - 1; i >= 0; i-- {
		t := s.streams[i]
		for len(t.parts) > 0 && t.parts[0].i == len(t.parts[0].entries) {
			s.drop(t)
			if err := s.fill(); err != nil {
				return nil, 0, err
			}
		}
		if len(t.parts) == 0 || t.parts[0].entries[t.parts[0].i].no != no {
			continue
		}
		p := t.parts[0]
		at := p.i
		p.i++
		if data != nil || no == s.v.lock {
			continue // a newer object has it
		}
		select {
		case <-p.done:
		case <-s.ctx.Done():
			return nil, 0, context.Cause(s.ctx)
		}
		if p.bad != nil && at >= p.badAt {
			return nil, 0, p.bad
		}
		data, sum = p.data[at*size:][:size], p.entries[at].sum
	}
	return data, sum, nil
}

// fill keeps requests in flight: always for the page that is needed next and isn't asked for yet. Each stream may be in
// the middle of one part, so there have to be more parts under way than streams.
func (s *scan) fill() error {
	for s.under < scanAhead+len(s.streams) {
		var next *scanStream
		for _, t := range s.streams {
			if t.first != 0 && (next == nil || t.first < next.first) {
				next = t
			}
		}
		if next == nil {
			return nil
		}
		if err := s.begin(next); err != nil {
			return err
		}
	}
	return nil
}

// begin asks for the next part of a stream.
func (s *scan) begin(t *scanStream) error {
	p := &scanPart{done: make(chan struct{})}
	var bytes int64
	for {
		e, ok, err := t.cursor.entry(s.ctx)
		if err != nil {
			return err
		}
		if !ok {
			t.first = 0
			break
		}
		if n := len(p.entries); n > 0 && (bytes+int64(e.size) > scanRequest || (n+1)*int(s.v.state.Size) > scanRawBytes) {
			t.first = e.no
			break
		}
		bytes += int64(e.size)
		p.entries = append(p.entries, e)
		t.cursor.advance()
	}
	t.parts = append(t.parts, p)
	s.under++
	s.wg.Go(func() { s.read(t.cursor.object, p, bytes) })
	return nil
}

// read gets and decodes a part. Frames follow each other, so it is one range.
func (s *scan) read(o *object, p *scanPart, bytes int64) {
	defer close(p.done)
	size := int(s.v.state.Size)
	select {
	case p.data = <-s.free:
	default:
		p.data = make([]byte, max(scanRawBytes, size))
	}
	from := p.entries[0].off
	err := o.data.borrow(s.ctx, from, bytes, func(b []byte) {
		for i := range p.entries {
			e := &p.entries[i]
			if err := decodeFrame(b[e.off-from:][:e.size], e.no, e.sum, p.data[i*size:][:size]); err != nil {
				p.bad = &DamageError{Key: o.data.key, Offset: e.off, Page: e.no, Reason: "it isn't what was written", Err: err}
				p.badAt = i
				return
			}
		}
	})
	if err != nil {
		p.bad = err
	}
}

// drop lets a part go that the scan is through with.
func (s *scan) drop(t *scanStream) {
	p := t.parts[0]
	t.parts = t.parts[1:]
	s.under--
	select {
	case <-p.done: // nobody may have waited for it: newer objects had all its pages
		select {
		case s.free <- p.data:
		default:
		}
	default:
	}
}
