package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// RestoreOptions are about how a restore is carried out. The zero value is good.
type RestoreOptions struct {
	Manifest *Manifest // to restore by; default: the newest
	TempDir  string    // default: that of the Space
	Memory   int64     // bytes of pages that stay in memory; default 64 MiB. The rest goes to an encrypted temporary file
	Pin      string    // a name to pin the manifest under as long as the restore lasts; default, and if it can't be: the grace has to do
	// Progress is told, in bytes, what was read of the log, and written by WriteTo; total may change. May be nil.
	Progress func(done, total int64)
	Metrics  *pageobj.Metrics // may be nil
}

const defaultMemory = 64 << 20

// Restored is a version of a database, read out of a bucket. It is a pageobj.Source. It is for one goroutine at a time.
type Restored struct {
	s    *Space
	o    RestoreOptions
	m    *Manifest
	plan Plan

	ctx    context.Context // of the view's requests by Page; ends with Close
	cancel context.CancelFunc

	state page.State
	base  base   // nil: pages are nowhere but in over
	limit uint32 // pages of base with higher numbers don't count: the database was smaller in between
	over  *overlay
	buf   []byte

	done, total int64
	closing     sync.Once
}

// base is what the records are applied to.
type base interface {
	page(ctx context.Context, no uint32, buf []byte) ([]byte, uint64, error)
	sum(ctx context.Context, no uint32) (uint64, error)
	scan(ctx context.Context, from uint32, fn func(no uint32, data []byte, sum uint64) error) error
	close()
}

// Restore reads a version of a database: the page objects of the plan stay in the bucket until they are needed, the
// records of the log are applied. It fails with ErrNotRestorable, which tells what is restorable, with ErrDamaged, and as
// the bucket and the keys do. The caller closes what it gets.
func Restore(ctx context.Context, s *Space, t Target, o RestoreOptions) (*Restored, error) {
	r, err := restore(ctx, s, t, o)
	if err != nil {
		return nil, fmt.Errorf("restoring database %s, lineage %016x, to %v: %w", s.o.Database, s.o.Lineage, t, err)
	}
	return r, nil
}

func restore(ctx context.Context, s *Space, t Target, o RestoreOptions) (_ *Restored, err error) {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.TempDir == "" {
		o.TempDir = s.o.TempDir
	}
	r := &Restored{s: s, o: o, m: o.Manifest}
	if r.m == nil {
		if r.m, _, err = s.Load(ctx); err != nil {
			return nil, err
		}
	}
	if o.Pin != "" {
		err := s.Pin(ctx, o.Pin, r.m.Sequence, r.m)
		if errors.Is(err, ErrPinLost) {
			return nil, err
		}
		if err != nil {
			// Who may only read the bucket restores too, within the grace.
			s.o.Logger.Warn("what is restored isn't pinned, it can be removed while the restore goes on", "grace", s.o.Grace, "error", err)
			r.o.Pin = ""
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.plan, err = r.m.Plan(t); err != nil {
		return nil, err
	}
	keys, err := s.keys(ctx, r.m)
	if err != nil {
		return nil, err
	}
	v, err := pageobj.Open(ctx, pageobj.ViewOptions{Bucket: s.objects, Keys: keys, Refs: r.plan.Chain, CacheBytes: 64 << 20, Metrics: o.Metrics})
	if err != nil {
		return nil, err
	}
	r.base = viewBase{v}
	r.state = v.State()
	r.limit = r.state.Pages
	r.over = newOverlay(o.TempDir, r.state.Size, o.Memory)
	r.total = int64(r.state.Pages) * int64(r.state.Size)
	for _, l := range r.plan.Logs {
		r.total += l.Size
	}
	return r, (&replay{r: r, keys: keys, lineage: r.plan.Chain[len(r.plan.Chain)-1].Lineage}).run(ctx)
}

// State is the version that was restored.
func (r *Restored) State() page.State { return r.state }

// Plan is what it was made of.
func (r *Restored) Plan() Plan { return r.plan }

// Manifest is the one it was restored by.
func (r *Restored) Manifest() *Manifest { return r.m }

// Page implements pageobj.Source.
func (r *Restored) Page(no uint32, buf []byte) ([]byte, uint64, error) { return r.page(r.ctx, no, buf) }

func (r *Restored) page(ctx context.Context, no uint32, buf []byte) ([]byte, uint64, error) {
	if no == 0 || no > r.state.Pages {
		return page.Zeros(r.state.Size), 0, nil
	}
	if s, ok := r.over.pages[no]; ok {
		if uint32(len(buf)) < r.state.Size {
			buf = make([]byte, r.state.Size)
		}
		data, err := r.over.load(s, buf)
		return data, s.sum, err
	}
	if r.base == nil || no > r.limit {
		return page.Zeros(r.state.Size), 0, nil
	}
	return r.base.page(ctx, no, buf)
}

// Above lists, ascending, the pages that the page objects of the plan don't have as they are in this version; all: every page.
func (r *Restored) Above(all bool) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if all || r.base == nil {
			for no := uint32(1); no <= r.state.Pages; no++ {
				if !yield(no) {
					return
				}
			}
			return
		}
		nos := slices.Sorted(maps.Keys(r.over.pages))
		for _, no := range nos {
			if no <= min(r.limit, r.state.Pages) && !yield(no) {
				return
			}
		}
		for no := r.limit + 1; no <= r.state.Pages; no++ {
			if !yield(no) {
				return
			}
		}
	}
}

// errStop ends a scan of the base that has more pages than the version.
var errStop = errors.New("stop")

// Scan calls fn for all pages in order. data is valid until fn returns. At the end the checksum of the database must have
// come out, else it fails with ErrDamaged.
func (r *Restored) Scan(ctx context.Context, fn func(no uint32, data []byte, sum uint64) error) error {
	all, err := r.scan(ctx, 1, fn)
	if err != nil {
		return err
	}
	return wrongSum(r.state, all)
}

// wrongSum is the error if the pages of a version have another checksum together than it has.
func wrongSum(st page.State, all uint64) error {
	if all != st.Checksum {
		return damaged("the pages of transaction %d have checksum %016x together instead of %016x", st.TXID, all, st.Checksum)
	}
	return nil
}

// scan goes over the pages from one on and returns the checksum that they have together.
func (r *Restored) scan(ctx context.Context, from uint32, fn func(no uint32, data []byte, sum uint64) error) (all uint64, err error) {
	next := from - 1
	give := func(no uint32, data []byte, sum uint64) error {
		next = no
		if s, ok := r.over.pages[no]; ok {
			var err error
			if data, err = r.over.load(s, r.scratch()); err != nil {
				return err
			}
			sum = s.sum
		} else if r.base == nil || no > r.limit {
			data, sum = page.Zeros(r.state.Size), 0
		}
		all ^= sum
		return fn(no, data, sum)
	}
	if r.base != nil && r.limit >= from {
		err := r.base.scan(ctx, from, func(no uint32, data []byte, sum uint64) error {
			if no > r.state.Pages {
				return errStop
			}
			return give(no, data, sum)
		})
		if err != nil && !errors.Is(err, errStop) {
			return 0, err
		}
	}
	for next < r.state.Pages {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		if err := give(next+1, nil, 0); err != nil {
			return 0, err
		}
	}
	return all, nil
}

func (r *Restored) scratch() []byte {
	if uint32(len(r.buf)) < r.state.Size {
		r.buf = make([]byte, r.state.Size)
	}
	return r.buf
}

// WriteTo writes the whole SQLite file, in order. If it fails, what was written is as it should be, but not all, unless it
// fails with ErrDamaged.
func (r *Restored) WriteTo(ctx context.Context, w io.Writer) (int64, error) {
	return r.WriteFrom(ctx, w, 0)
}

// WriteFrom writes the SQLite file from a byte on, for whoever has what comes before it from an earlier try at the same
// version. Then only each page is checked: Check looks at the whole file.
func (r *Restored) WriteFrom(ctx context.Context, w io.Writer, from int64) (int64, error) {
	const block = 1 << 20
	size := int64(r.state.Size)
	whole := int64(r.state.Pages) * size
	if from < 0 || from > whole {
		return 0, fmt.Errorf("writing database %s from byte %d on: it has %d", r.s.o.Database, from, whole)
	}
	buf := make([]byte, 0, block+page.MaxSize)
	var n int64
	flush := func() error {
		m, err := w.Write(buf)
		n += int64(m)
		buf = buf[:0]
		r.advance(int64(m))
		return err
	}
	r.total = r.done + whole - from
	first, skip := uint32(1), int64(0)
	if size > 0 {
		first, skip = uint32(from/size)+1, from%size
	}
	all, err := r.scan(ctx, first, func(_ uint32, data []byte, _ uint64) error {
		buf = append(buf, data[skip:]...)
		if skip = 0; len(buf) < block {
			return nil
		}
		return flush()
	})
	if err == nil && len(buf) > 0 {
		err = flush()
	}
	if err == nil && first == 1 {
		err = wrongSum(r.state, all)
	}
	if err != nil {
		return n, fmt.Errorf("writing database %s as of transaction %d: %w", r.s.o.Database, r.state.TXID, err)
	}
	return n, nil
}

// Check reads an SQLite file and fails with ErrDamaged if its pages don't have the checksum of the version that it is
// to be: State().Checksum of the Restored that wrote it.
func Check(r io.Reader, pageSize uint32, checksum uint64) error {
	if !page.ValidSize(pageSize) {
		return fmt.Errorf("a page can't have %d bytes", pageSize)
	}
	each := max(1, (1<<20)/pageSize)
	buf := make([]byte, each*pageSize)
	all, no := uint64(0), uint32(0)
	for {
		n, err := io.ReadFull(r, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		if uint32(n)%pageSize != 0 {
			return damaged("the file ends within page %d", no+uint32(n)/pageSize+1)
		}
		for at := uint32(0); at < uint32(n); at += pageSize {
			no++
			all ^= page.Sum(no, buf[at:at+pageSize])
		}
		if err != nil {
			break
		}
	}
	if all != checksum {
		return damaged("its pages have checksum %016x together instead of %016x", all, checksum)
	}
	return nil
}

func (r *Restored) advance(n int64) {
	r.done += n
	if r.o.Progress != nil {
		r.o.Progress(r.done, max(r.done, r.total))
	}
}

// Close gives back what the restore holds, its pin among it.
func (r *Restored) Close() {
	r.closing.Do(func() {
		r.cancel()
		if r.base != nil {
			r.base.close()
		}
		r.over.close()
		if r.o.Pin != "" {
			if err := r.s.Unpin(context.WithoutCancel(r.ctx), r.o.Pin); err != nil {
				r.s.o.Logger.Warn("a pin stays until it ends by itself", "error", err)
			}
		}
	})
}
