package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// PageUpload says what a page object is.
type PageUpload struct {
	Level    int        // LevelUpload … LevelMost; LevelFull if Min is 1
	Min      page.TXID  // the first transaction of which it has the pages; 1: it has all pages
	State    page.State // of the database that it leads to
	Position uint64     // of State.TXID in the cluster's log
	Purpose  Purpose
	Label    string

	Anew     bool                                   // put it even if there is one with the same transactions already, as for other keys
	Progress func(done, total int64)                // in pages; may be nil
	Limit    func(ctx context.Context, n int) error // waits until n bytes more may be sent; may be nil
}

// PutPages puts pages nos of src, count of them, ascending; nil: all. The manifest doesn't name the object yet: it goes to
// Manifest.Add. Pages that came by growth since Min are to be among nos even if they are zeros.
//
// If the manifest has an object with the same transactions at that level, the one that is returned has the same bytes in
// the bucket under an ID, Purpose and Label of its own.
//
// Errors: those of pageobj.Write; ErrFenced and ErrTakenOver if the writer was stopped before.
func (w *Writer) PutPages(ctx context.Context, src pageobj.Source, nos iter.Seq[uint32], count int64, in PageUpload) (Object, error) {
	if err := w.Stopped(); err != nil {
		return Object{}, err
	}
	s := w.s
	m := w.Manifest()
	if !in.Purpose.valid() {
		return Object{}, fmt.Errorf("putting pages: unknown purpose %q", in.Purpose)
	}
	if in.Level < 0 || in.Level > LevelFull || in.Level == LevelFull && in.Min != 1 {
		return Object{}, fmt.Errorf("putting pages of transactions %d to %d: level %d isn't for them", in.Min, in.State.TXID, in.Level)
	}
	ring, err := s.Keyring(ctx, m.Keyring)
	if err != nil {
		return Object{}, err
	}
	o := Object{ID: randomName(), Purpose: in.Purpose, Label: in.Label, Created: s.o.Clock().UTC(), Position: in.Position}
	if same := m.same(in, ring != nil); same != nil && !in.Anew {
		o.Ref, o.Sequence, o.DataKey = same.Ref, same.Sequence, same.DataKey
		return o, nil
	}
	if ring != nil {
		o.DataKey = ring.Current()
	}
	opts := pageobj.WriteOptions{
		Bucket: s.objects, Keys: ring, Lineage: s.o.Lineage, Min: in.Min, State: in.State,
		TempDir: s.o.TempDir, Progress: in.Progress, Limit: in.Limit,
	}
	for level := range levels(in.Level, ring != nil) {
		opts.Level = level
		opts.Key, opts.IndexKey = w.pageKeys(level, in.Min, in.State.TXID, ring)
		if ring == nil {
			free, err := w.free(ctx, m, opts.Key)
			if err != nil {
				return Object{}, err
			}
			if !free {
				continue
			}
		}
		w.begins(opts.Key, opts.IndexKey)
		o.Ref, err = pageobj.Write(ctx, src, nos, count, opts)
		if errors.Is(err, pageobj.ErrTaken) && ring == nil {
			continue
		}
		return o, err
	}
	return Object{}, fmt.Errorf("%w: objects of transactions %d to %d are in the bucket at each level, left over from attempts that failed: sweep them, and try again after the grace",
		pageobj.ErrTaken, in.Min, in.State.TXID)
}

// levels are those at which an object may be put, the wanted one first. Names in the clear are Litestream's, which leave
// only the level to tell two objects apart.
func levels(want int, sealed bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		if !yield(want) || sealed {
			return
		}
		for l := want + 1; l <= LevelMost; l++ {
			if !yield(l) {
				return
			}
		}
		for l := min(want, LevelMost+1) - 1; l >= 0; l-- {
			if !yield(l) {
				return
			}
		}
	}
}

// same finds an object of this lineage that has what is about to be put.
func (m *Manifest) same(in PageUpload, sealed bool) *Object {
	for i := range m.Objects {
		o := &m.Objects[i]
		if o.Level == in.Level && o.Min == in.Min && o.State == in.State && (o.Header != nil) == sealed && strings.HasPrefix(o.Key, lineageName(m.Lineage)+"/") {
			return o
		}
	}
	return nil
}

// free tells whether an object in the clear may have this name: one that was deleted a while ago must not come back while a
// request to delete it may still be on its way.
func (w *Writer) free(ctx context.Context, m *Manifest, key string) (bool, error) {
	for k := range m.keys {
		if k == key {
			return false, nil
		}
	}
	for _, g := range m.Garbage {
		if g.Key == key {
			return false, nil
		}
	}
	_, err := w.s.objects.Head(ctx, key)
	if errors.Is(err, objstore.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking whether there is a %s: %w", key, err)
	}
	return false, nil
}

func (w *Writer) pageKeys(level int, first, last page.TXID, ring *crypt.Keyring) (key, index string) {
	s := w.s
	transactions := fmt.Sprintf("%016x-%016x", uint64(first), uint64(last))
	unique := fmt.Sprintf("%s-%x-%s", transactions, w.epoch, randomName())
	index = fmt.Sprintf("%sidx/%d/%s.idx", s.folder(), level, unique)
	if ring != nil {
		return fmt.Sprintf("%ssealed/%d/%s.ltx.enc", s.folder(), level, unique), index
	}
	return s.folder() + clearKey(s.o.Bucket, level, transactions), index
}

// clearKey is an object's key below its lineage, as Litestream names them: it differs between S3 and folders.
func clearKey(b objstore.Bucket, level int, transactions string) string {
	if strings.HasPrefix(b.String(), "s3:") {
		return fmt.Sprintf("%04x/%s.ltx", level, transactions)
	}
	return fmt.Sprintf("ltx/%d/%s.ltx", level, transactions)
}
