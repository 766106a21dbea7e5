package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// replay applies the records of a plan to what its chain holds. The rules are those of docs/formats/record.md.
type replay struct {
	r       *Restored
	keys    func() *crypt.Keyring
	lineage uint64 // of the newest state
	parts   *assembly
	batch   []fetched
	bytes   int
	fetch   pageSet // pages of the base that the batch needs
	image   bool    // the batch has an image: what comes after it needs nothing of the base
	asked   int     // pages fetched one by one so far
}

// assembly is a transaction of which some parts have come.
type assembly struct {
	h        record.Header
	last     uint32 // page
	checksum uint64
	pages    map[uint32]slot // in over
	over     *overlay        // the one of the version; another if it is an image
}

// fetched is a record that waits until the pages it changes are there.
type fetched struct {
	position uint64
	ref      *LogRef
	rec      *record.Record
}

const (
	batchRecords = 4096
	batchBytes   = 8 << 20
	// flattenPart of the base's pages asked for one by one make it cheaper to fetch all.
	flattenPart = 8
)

// errReached: the record is newer than the target.
var errReached = errors.New("reached")

func (p *replay) run(ctx context.Context) error {
	err := p.read(ctx)
	if p.parts != nil {
		p.dropParts()
	}
	if err != nil {
		return err
	}
	st := &p.r.state
	if plan := &p.r.plan; st.TXID > plan.At || plan.Until.IsZero() && st.TXID < plan.At {
		return damaged("the log objects lead to transaction %d instead of %d", st.TXID, plan.At)
	}
	return nil
}

func (p *replay) read(ctx context.Context) error {
	for i := range p.r.plan.Logs {
		ref := &p.r.plan.Logs[i]
		for rec, err := range ReadLog(ctx, p.r.s.objects, *ref) {
			if err != nil {
				return err
			}
			if rec.TXID <= p.r.state.TXID {
				continue
			}
			if rec.TXID > p.r.plan.At {
				break
			}
			if err := p.add(ctx, ref, rec); errors.Is(err, errReached) {
				return p.apply(ctx)
			} else if err != nil {
				return err
			}
		}
		if err := p.apply(ctx); err != nil {
			return err
		}
		p.r.advance(ref.Size)
		if p.r.state.TXID >= p.r.plan.At {
			return nil
		}
	}
	return nil
}

// add takes a record into the batch.
func (p *replay) add(ctx context.Context, ref *LogRef, rec LogRecord) error {
	fail := func(err error) error { return fmt.Errorf("log object %s, position %d: %w", ref.Key, rec.Position, err) }
	ring := p.keys()
	plain, err := record.Open(rec.Data, ring)
	if err != nil {
		if errors.Is(err, crypt.ErrForged) {
			err = damaged("%w", err)
		}
		return fail(err)
	}
	r, err := record.Decode(plain)
	if err != nil {
		return fail(damaged("%w", err))
	}
	if r.Database != p.r.s.o.Database || r.Lineage != ref.Lineage || r.TXID != rec.TXID || r.Epoch != rec.Epoch || r.Last != rec.Last {
		return fail(damaged("the record is of database %s, lineage %016x, transaction %d", r.Database, r.Lineage, r.TXID))
	}
	// Parts that were never ended say nothing: the clock of their leader may have been ahead.
	if u := p.r.plan.Until; r.Last && !u.IsZero() && r.Time > u.UnixMicro() {
		return errReached
	}
	if !p.image && p.r.base != nil {
		if r.Image {
			p.image = true
		} else if err := p.want(r); err != nil {
			return fail(damaged("%w", err))
		}
	}
	p.batch = append(p.batch, fetched{rec.Position, ref, r})
	if p.bytes += len(plain); p.bytes >= batchBytes || len(p.batch) >= batchRecords {
		return p.apply(ctx)
	}
	return nil
}

// want notes the pages of the base that a record changes.
func (p *replay) want(r *record.Record) error {
	if p.fetch == nil {
		p.fetch = make(pageSet, uint64(p.r.limit)/64+1)
	}
	return r.Pages(func(no uint32, _ record.Delta) error {
		if _, have := p.r.over.pages[no]; !have && no <= p.r.limit {
			p.fetch.add(no)
		}
		return nil
	})
}

// apply applies the batch.
func (p *replay) apply(ctx context.Context) error {
	if err := p.fetchPages(ctx); err != nil {
		return err
	}
	batch := p.batch
	p.batch, p.bytes, p.fetch, p.image = p.batch[:0], 0, nil, false
	for i := range batch {
		f := &batch[i]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.record(ctx, f); err != nil {
			return fmt.Errorf("log object %s, position %d: %w", f.ref.Key, f.position, err)
		}
	}
	clear(batch)
	return nil
}

// fetchPages brings the pages that the batch changes into the overlay.
func (p *replay) fetchPages(ctx context.Context) error {
	v, ok := p.r.base.(viewBase)
	n := int(p.fetch.count())
	if !ok || n == 0 {
		return nil
	}
	if p.asked += n; p.asked > int(p.r.state.Pages)/flattenPart && p.asked > 256 {
		flat, err := flatten(ctx, v.v, p.r.o.TempDir)
		if err != nil {
			return err
		}
		v.close()
		p.r.base = flat
		return nil
	}
	for no := range ahead(ctx, v.v, p.fetch.all) {
		data, sum, err := v.v.Page(ctx, no)
		if err != nil {
			return err
		}
		s, err := p.r.over.store(data, sum)
		if err != nil {
			return err
		}
		p.r.over.set(no, s)
	}
	return nil
}

func (p *replay) dropParts() {
	if a := p.parts; a != nil {
		if a.over != p.r.over {
			a.over.close()
		} else {
			for _, s := range a.pages {
				a.over.release(s)
			}
		}
		p.parts = nil
	}
}

// record applies one record, or passes over it.
func (p *replay) record(ctx context.Context, f *fetched) error {
	r, st := f.rec, &p.r.state
	// A new lineage has a log of its own, whose epochs don't continue those before.
	older := r.Epoch < st.Epoch && r.Lineage == p.lineage
	if r.Prev != st.TXID || r.TXID != st.TXID+1 || older {
		p.dropParts()
		return nil
	}
	if r.Part > 1 {
		a := p.parts
		if a == nil || a.h.Epoch != r.Epoch || a.h.TXID != r.TXID || a.h.Part+1 != r.Part || a.h.Size != r.Size || a.h.Image != r.Image || a.h.Lineage != r.Lineage {
			p.dropParts()
			return nil
		}
		a.h = r.Header
	} else {
		p.dropParts()
		if r.Size != st.Size && !r.Image {
			return damaged("transaction %d has pages of %d bytes and not of %d", r.TXID, r.Size, st.Size)
		}
		a := &assembly{h: r.Header, checksum: st.Checksum, pages: map[uint32]slot{}, over: p.r.over}
		if r.Image {
			a.checksum, a.over = 0, newOverlay(p.r.o.TempDir, r.Size, p.r.o.Memory)
		}
		p.parts = a
	}
	if err := p.gather(ctx, r); err != nil {
		return err
	}
	if !r.Last {
		return nil
	}
	return p.finish(ctx, r)
}

// gather adds the pages of a part.
func (p *replay) gather(ctx context.Context, r *record.Record) error {
	a := p.parts
	buf, data := make([]byte, r.Size), make([]byte, r.Size)
	return r.Pages(func(no uint32, d record.Delta) error {
		if no <= a.last {
			return damaged("transaction %d has page %d twice", r.TXID, no)
		}
		a.last = no
		if r.Image {
			clear(data)
		} else {
			before, sum, err := p.r.page(ctx, no, buf)
			if err != nil {
				return err
			}
			copy(data, before)
			a.checksum ^= sum
		}
		d.Apply(data)
		sum := page.Sum(no, data)
		a.checksum ^= sum
		s, err := a.over.store(data, sum)
		if err != nil {
			return err
		}
		a.pages[no] = s
		return nil
	})
}

// finish makes the version of a transaction of which all parts have come.
func (p *replay) finish(ctx context.Context, r *record.Record) error {
	a, st := p.parts, &p.r.state
	if a.last > r.Commit.Pages {
		return damaged("transaction %d has page %d of %d", r.TXID, a.last, r.Commit.Pages)
	}
	if !r.Image && r.Commit.Pages < st.Pages {
		sum, err := p.sumFrom(ctx, r.Commit.Pages+1)
		if err != nil {
			return err
		}
		a.checksum ^= sum
	}
	if r.Commit.PrevChecksum != st.Checksum || r.Commit.Checksum != a.checksum {
		return damaged("transaction %d leads from checksum %016x to %016x, and its record says %016x to %016x",
			r.TXID, st.Checksum, a.checksum, r.Commit.PrevChecksum, r.Commit.Checksum)
	}
	p.parts = nil
	if r.Image {
		p.r.over.close()
		p.r.over, p.r.limit = a.over, 0
		if p.r.base != nil {
			p.r.base.close()
			p.r.base = nil
		}
	}
	for no, s := range a.pages {
		p.r.over.set(no, s)
	}
	if r.Commit.Pages < st.Pages {
		p.r.over.cut(r.Commit.Pages)
		p.r.limit = min(p.r.limit, r.Commit.Pages)
	}
	*st = page.State{TXID: r.TXID, Epoch: r.Epoch, Size: r.Size, Pages: r.Commit.Pages, Checksum: r.Commit.Checksum, Time: r.Time}
	p.lineage = r.Lineage
	return nil
}

// sumFrom is the checksum of the pages from one to the end.
func (p *replay) sumFrom(ctx context.Context, from uint32) (uint64, error) {
	var all uint64
	for no, s := range p.r.over.pages {
		if no >= from {
			all ^= s.sum
		}
	}
	if p.r.base == nil {
		return all, nil
	}
	for no := from; no <= min(p.r.limit, p.r.state.Pages); no++ {
		if _, have := p.r.over.pages[no]; have {
			continue
		}
		sum, err := p.r.base.sum(ctx, no)
		if err != nil {
			return 0, err
		}
		all ^= sum
	}
	return all, nil
}
