package pagefile

import (
	"context"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// Tree is one version of a database in a page file. It may be read by many goroutines until it is released.
type Tree struct {
	State  page.State
	LogPos uint64 // of the log record of State.TXID

	f          *File // nil: the empty database, in no file
	generation uint64
	root       entry
	levels     uint32
	bucket     Bucket // serves what isn't in the file
	refs       int    // guarded by f.mu
}

// Empty returns the tree of a database that has no page file yet.
func Empty() *Tree { return &Tree{} }

// Acquire adds a reference.
func (t *Tree) Acquire() *Tree {
	if t.f != nil {
		t.f.mu.Lock()
		t.refs++
		t.f.mu.Unlock()
	}
	return t
}

// Release drops a reference; it tells whether it was the last one of a tree that is no longer the newest.
func (t *Tree) Release() (last bool) {
	if t.f == nil {
		return false
	}
	f := t.f
	f.mu.Lock()
	t.refs--
	last = t.refs == 0
	if last {
		delete(f.trees, t)
	}
	closing := f.closed && len(f.trees) == 0
	f.mu.Unlock()
	if closing {
		_ = f.f.Close()
	}
	return last
}

// Read copies bytes of page no, from offset off in the page, into dst.
func (t *Tree) Read(ctx context.Context, no uint32, dst []byte, off int) error {
	data, _, err := t.Page(ctx, no)
	if err == nil {
		copy(dst, data[off:])
	}
	return err
}

// Page returns the bytes of page no, which must not be changed, and its checksum. ctx ends the wait for a page that is
// in the bucket.
func (t *Tree) Page(ctx context.Context, no uint32) ([]byte, uint64, error) {
	e, err := t.lookup(no)
	switch {
	case err != nil:
		return nil, 0, err
	case e.slot == 0:
		return page.Zeros(t.State.Size), 0, nil
	case e.slot == inBucket:
		return t.visit(ctx, no, e)
	}
	data, err := t.f.page(no, e)
	return data, e.sum, err
}

// Peek is Page for one who goes through all pages once, and leaves the cache to the others. The bytes may be in buf, which
// grows if need be: they are valid until the next call with it.
func (t *Tree) Peek(ctx context.Context, no uint32, buf *[]byte) ([]byte, uint64, error) {
	e, err := t.lookup(no)
	if err != nil {
		return nil, 0, err
	}
	if !e.here() {
		return t.Page(ctx, no)
	}
	if len(*buf) < int(t.f.stride) {
		*buf = make([]byte, t.f.stride)
	}
	data, err := t.f.peek(no, e, (*buf)[:t.f.stride])
	return data, e.sum, err
}

// Sum returns the checksum of page no without reading it.
func (t *Tree) Sum(ctx context.Context, no uint32) (uint64, error) {
	e, err := t.lookup(no)
	if err != nil || e.slot != inBucket || e.sum != 0 {
		return e.sum, err
	}
	v, err := t.view()
	if err != nil {
		return 0, err
	}
	return v.Sum(ctx, no)
}

// Bucket is the manifest that serves what isn't in the file.
func (t *Tree) Bucket() Bucket { return t.bucket }

// Local tells whether page no is in the file, or zeros, and its checksum then.
func (t *Tree) Local(no uint32) (bool, uint64, error) {
	e, err := t.lookup(no)
	return e.slot != inBucket, e.sum, err
}

func (t *Tree) lookup(no uint32) (entry, error) {
	if no == 0 || no > t.State.Pages {
		return entry{}, nil
	}
	return t.child(0, no-1)
}

// child returns the entry for the index-th child under level: pages are the children under level 0.
func (t *Tree) child(level, index uint32) (entry, error) {
	fan := fanout(t.State.Size)
	e := t.root
	for l := t.levels; l > level; l-- {
		if !e.here() {
			return entry{slot: e.slot}, nil // everything below it is like it
		}
		// at is the number of the node of level l-1 above the child.
		at, slot := index, uint32(0)
		for range l - level {
			slot = at % fan
			at /= fan
		}
		n, err := t.f.node(l-1, at, e)
		if err != nil {
			return entry{}, err
		}
		e = n.entry(slot)
	}
	return e, nil
}

// nodeRef returns the entry that points to a node itself.
func (t *Tree) nodeRef(level, index uint32) (entry, error) {
	if level+1 == t.levels {
		return t.root, nil
	}
	return t.child(level+1, index)
}

// walk calls fn for every slot of the tree.
func (t *Tree) walk(fn func(slot uint32)) error {
	if t.levels == 0 {
		return nil
	}
	return t.walkNode(t.levels-1, 0, t.root, fn)
}

func (t *Tree) walkNode(level, index uint32, e entry, fn func(uint32)) error {
	if !e.here() {
		return nil
	}
	fn(e.slot)
	n, err := t.f.node(level, index, e)
	if err != nil {
		return err
	}
	fan := fanout(t.State.Size)
	for i := range fan {
		c := n.entry(i)
		switch {
		case !c.here():
		case level == 0:
			fn(c.slot)
		default:
			if err := t.walkNode(level-1, index*fan+i, c, fn); err != nil {
				return err
			}
		}
	}
	return nil
}
