package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// viewBase reads the pages out of the bucket.
type viewBase struct{ v *pageobj.View }

func (b viewBase) page(ctx context.Context, no uint32, _ []byte) ([]byte, uint64, error) {
	return b.v.Page(ctx, no)
}

func (b viewBase) sum(ctx context.Context, no uint32) (uint64, error) { return b.v.Sum(ctx, no) }

func (b viewBase) scan(ctx context.Context, from uint32, fn func(no uint32, data []byte, sum uint64) error) error {
	return b.v.Scan(ctx, from, fn)
}

func (b viewBase) close() { b.v.Close() }

// flatBase is the pages of a view in an encrypted temporary file: it takes the view's place when so many of its pages
// are needed one by one that it is faster to fetch all of them in order.
type flatBase struct {
	file *crypt.Scratch
	size int64
	sums []uint64
}

// flatten fetches all pages of a view.
func flatten(ctx context.Context, v *pageobj.View, dir string) (_ *flatBase, err error) {
	file, err := newScratch(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	st := v.State()
	b := &flatBase{file: file, size: int64(st.Size), sums: make([]uint64, 0, min(st.Pages, 1<<20))}
	const block = 1 << 20
	buf := make([]byte, 0, block+int(st.Size))
	at := int64(0)
	flush := func() error {
		if _, err := file.WriteAt(buf, at); err != nil {
			return fmt.Errorf("writing to a temporary file: %w", err)
		}
		at += int64(len(buf))
		buf = buf[:0]
		return nil
	}
	err = v.Scan(ctx, 1, func(_ uint32, data []byte, sum uint64) error {
		b.sums = append(b.sums, sum)
		if buf = append(buf, data...); len(buf) < block {
			return nil
		}
		return flush()
	})
	if err == nil && len(buf) > 0 {
		err = flush()
	}
	if err == nil && len(b.sums) != int(st.Pages) {
		err = fmt.Errorf("%d of %d pages came", len(b.sums), st.Pages)
	}
	return b, err
}

func (b *flatBase) page(_ context.Context, no uint32, buf []byte) ([]byte, uint64, error) {
	if int64(len(buf)) < b.size {
		buf = make([]byte, b.size)
	}
	buf = buf[:b.size]
	if _, err := b.file.ReadAt(buf, int64(no-1)*b.size); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("reading a temporary file: %w", err)
	}
	return buf, b.sums[no-1], nil
}

func (b *flatBase) sum(_ context.Context, no uint32) (uint64, error) { return b.sums[no-1], nil }

func (b *flatBase) scan(ctx context.Context, from uint32, fn func(no uint32, data []byte, sum uint64) error) error {
	each := max(1, (1<<20)/b.size)
	buf := make([]byte, each*b.size)
	for at := int64(from) - 1; at < int64(len(b.sums)); at += each {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(each, int64(len(b.sums))-at)
		if _, err := b.file.ReadAt(buf[:n*b.size], at*b.size); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading a temporary file: %w", err)
		}
		for i := range n {
			if err := fn(uint32(at+i)+1, buf[i*b.size:(i+1)*b.size], b.sums[at+i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *flatBase) close() { _ = b.file.Close() }
