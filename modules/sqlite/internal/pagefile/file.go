package pagefile

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Handle is what a page file needs of an open file.
type Handle interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// File is an open page file. Checkpoints are made by one goroutine at a time.
type File struct {
	f      Handle
	name   string
	id     Identity
	size   uint32 // bytes per page
	cache  *Cache
	number uint64 // of this file in the cache

	// What only the goroutine that makes checkpoints touches.
	space   *space          // nil until the first checkpoint: it takes a walk over the map
	older   *Tree           // what the header that is not current says, nil if it says nothing
	place   int             // 0 or 1: which header is current
	suspect map[uint32]bool // slots of a checkpoint whose header may or may not have reached the disk

	mu     sync.Mutex
	tree   *Tree          // the newest; holds one reference
	trees  map[*Tree]bool // all that are referenced
	closed bool
}

var numbers atomic.Uint64

// Create makes an empty page file in f, which must be empty. Nothing is durable before the first checkpoint.
func Create(f Handle, name string, id Identity, size uint32, cache *Cache) *File {
	p := &File{f: f, name: name, id: id, size: size, cache: cache, number: numbers.Add(1),
		place: 1, space: newSpace(), trees: map[*Tree]bool{}}
	p.tree = &Tree{f: p, refs: 1}
	p.tree.State.Size = size
	p.trees[p.tree] = true
	return p
}

// Open reads the headers of a page file. It fails with a *DamageError if there is no valid one, and with a
// *NewerFormatError if a newer program wrote it.
func Open(f Handle, name string, cache *Cache) (*File, error) {
	p := &File{f: f, name: name, cache: cache, number: numbers.Add(1), trees: map[*Tree]bool{}}
	var found [2]*header
	for i := range found {
		b := make([]byte, headerBytes)
		if _, err := f.ReadAt(b, int64(i)*headerStride); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("reading the header of %s: %w", name, err)
		}
		h, err := decodeHeader(name, b)
		if err != nil && !errors.Is(err, errNoHeader) {
			return nil, err
		}
		found[i] = h
	}
	if found[0] == nil && found[1] == nil {
		return nil, &DamageError{name, 0, 0, "neither header is valid"}
	}
	if found[0] == nil || found[1] != nil && found[1].generation > found[0].generation {
		p.place = 1
	}
	h, older := found[p.place], found[1-p.place]
	p.id, p.size = h.id, h.state.Size
	p.tree = p.treeOf(h)
	p.tree.refs = 1
	p.trees[p.tree] = true
	if older != nil && older.id == h.id && older.state.Size == h.state.Size {
		p.older = p.treeOf(older)
	}
	return p, nil
}

func (f *File) treeOf(h *header) *Tree {
	return &Tree{State: h.state, LogPos: h.logPos, f: f, generation: h.generation, root: h.root, levels: h.levels}
}

// Identity says whose pages these are.
func (f *File) Identity() Identity { return f.id }

// PageSize is the number of bytes per page.
func (f *File) PageSize() uint32 { return f.size }

// Newest returns the current tree with a reference that the caller must release.
func (f *File) Newest() *Tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tree.refs++
	return f.tree
}

// Covered is the newest position of the log that isn't needed any more: both headers stand for at least it. It must
// not be called during a checkpoint.
func (f *File) Covered() uint64 {
	if f.older == nil {
		return 0
	}
	return min(f.older.LogPos, f.tree.LogPos)
}

// Bytes is the size of the file.
func (f *File) Bytes() (int64, error) { return f.f.Size() }

// Close closes the file when the last tree is released.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	t := f.tree
	f.mu.Unlock()
	t.Release()
	return nil
}
