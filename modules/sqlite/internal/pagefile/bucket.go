package pagefile

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// Bucket names a manifest: the version of the database that a bucket serves to a tree. A tree may name one whose TXID is
// not above its own; a page without a slot is the one in that version.
type Bucket struct {
	Sequence uint64 // of the manifest, 0: none
	TXID     page.TXID
}

// View is a version of a database in a bucket. Pages are checked before they are returned.
type View interface {
	Page(ctx context.Context, no uint32) (data []byte, sum uint64, err error)
	Sum(ctx context.Context, no uint32) (uint64, error)
	// Prefetch asks for pages that will be needed soon, and returns at once.
	Prefetch(ctx context.Context, nos []uint32)
	// Used tells of a page that the view didn't have to be asked for, because it had come along with another one.
	Used(ctx context.Context, no uint32)
}

// guests are pages that came from the bucket and wait for the next checkpoint to give them slots.
type guests struct {
	mu    sync.Mutex
	pages map[uint32]guest
	bytes int64
}

type guest struct {
	sum  uint64
	data []byte
}

// guestBytes is how much waits at most; what comes beyond stays in the bucket.
const guestBytes = 8 << 20

// view is what serves a tree's pages that are in the bucket.
func (t *Tree) view() (View, error) {
	if t.f.o.View == nil || t.bucket.Sequence == 0 {
		return nil, &DamageError{t.f.name, 0, 0, "pages are in a bucket, and there is none"}
	}
	return t.f.o.View(t.f.id, t.bucket)
}

// visit returns a page that is in the bucket, and its checksum.
func (t *Tree) visit(ctx context.Context, no uint32, e entry) ([]byte, uint64, error) {
	f := t.f
	v, err := t.view()
	if err == nil && e.sum == 0 {
		e.sum, err = v.Sum(ctx, no)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("page %d, which is in the bucket: %w", no, err)
	}
	if e.sum == 0 {
		return page.Zeros(f.size), 0, nil
	}
	k := f.guestKey(no, e.sum)
	if b := f.cache.get(k); b != nil {
		v.Used(ctx, no)
		return b, e.sum, nil
	}
	b, sum, err := v.Page(ctx, no)
	if err != nil {
		return nil, 0, fmt.Errorf("page %d, which is in the bucket: %w", no, err)
	}
	if sum != e.sum || len(b) != int(f.size) {
		return nil, 0, &DamageError{f.name, no, 0, fmt.Sprintf("manifest %d of the bucket serves another version of it", t.bucket.Sequence)}
	}
	f.Arrived(no, b, sum)
	return b, sum, nil
}

// Prefetch asks for pages that will be needed soon, of those that are in the bucket alone. It returns at once.
func (t *Tree) Prefetch(ctx context.Context, nos []uint32) {
	if t.bucket.Sequence == 0 {
		return
	}
	var away []uint32
	for _, no := range nos {
		if e, err := t.lookup(no); err == nil && e.slot == inBucket && (e.sum == 0 || !t.f.cache.has(t.f.guestKey(no, e.sum))) {
			away = append(away, no)
		}
	}
	if len(away) == 0 {
		return
	}
	if v, err := t.view(); err == nil {
		v.Prefetch(ctx, away)
	}
}

// guestKey is where the cache has a page that has no slot. Its version is told by the checksum.
func (f *File) guestKey(no uint32, sum uint64) cacheKey { return cacheKey{f.number ^ sum, no} }

// Arrived takes a page of the bucket, which nobody may change any more.
func (f *File) Arrived(no uint32, data []byte, sum uint64) {
	if sum == 0 || len(data) != int(f.size) {
		return
	}
	f.cache.put(f.guestKey(no, sum), data)
	g := &f.guests
	g.mu.Lock()
	_, known := g.pages[no]
	if !known && g.bytes+int64(len(data)) > guestBytes {
		g.mu.Unlock()
		return
	}
	if !known {
		g.bytes += int64(len(data))
	}
	due := g.bytes > guestBytes/2
	g.pages[no] = guest{sum, data}
	g.mu.Unlock()
	if due && f.o.Came != nil {
		f.o.Came()
	}
}

// Guests is how many bytes of pages wait for a slot.
func (f *File) Guests() int64 {
	f.guests.mu.Lock()
	defer f.guests.mu.Unlock()
	return f.guests.bytes
}

// takeGuests takes those that wait, in order.
func (f *File) takeGuests() (nos []uint32, pages map[uint32]guest) {
	g := &f.guests
	g.mu.Lock()
	pages, g.pages, g.bytes = g.pages, map[uint32]guest{}, 0
	g.mu.Unlock()
	for no := range pages {
		nos = append(nos, no)
	}
	slices.Sort(nos)
	return nos, pages
}
