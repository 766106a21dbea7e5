package pagefile

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
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

// Options are what a page file needs beside its handle.
type Options struct {
	Name  string // for errors
	Cache *Cache
	// Blocks seal what is written, and open what was sealed. nil: nothing is.
	Blocks *crypt.Blocks
	// View finds what serves the pages that are in the bucket. It is called when one is wanted, and may fail.
	View func(Identity, Bucket) (View, error)
	// Tight is how large the file may be before each free slot at its end is given back. 0: it isn't so tight.
	Tight int64
	// Came, if set, is called when pages of the bucket wait to be put into the file: see Checkpoint.Settle.
	Came func()
}

// File is an open page file. Checkpoints are made by one goroutine at a time.
type File struct {
	f      Handle
	o      Options
	name   string
	id     Identity
	size   uint32 // bytes per page
	stride uint32 // bytes per slot
	cache  *Cache
	number uint64 // of this file in the cache
	blocks atomic.Pointer[crypt.Blocks]
	mixed  atomic.Bool // slots in the clear are expected although there are keys

	// What only the goroutine that makes checkpoints touches.
	space   *space          // nil until the first checkpoint: it takes a walk over the map
	older   *Tree           // what the header that is not current says, nil if it says nothing
	place   int             // 0 or 1: which header is current
	suspect map[uint32]bool // slots of a checkpoint whose header may or may not have reached the disk
	hand    uint32          // where the search for pages that may leave goes on

	sealedFrom uint64 // generation from which on everything is sealed, 0: none is known

	mu     sync.Mutex
	tree   *Tree          // the newest; holds one reference
	trees  map[*Tree]bool // all that are referenced
	closed bool

	used    atomic.Int64 // slots that hold something, or may
	touched touched
	guests  guests
}

var numbers atomic.Uint64

func newFile(f Handle, o Options) *File {
	p := &File{f: f, o: o, name: o.Name, cache: o.Cache, number: numbers.Add(1), trees: map[*Tree]bool{}}
	p.blocks.Store(o.Blocks)
	p.guests.pages = map[uint32]guest{}
	return p
}

// Create makes an empty page file in f, which must be empty. Nothing is durable before the first checkpoint.
func Create(f Handle, id Identity, size uint32, o Options) *File {
	p := newFile(f, o)
	p.id, p.size, p.stride, p.place, p.space = id, size, size+slotOverhead, 1, newSpace()
	p.tree = &Tree{f: p, refs: 1}
	p.tree.State.Size = size
	p.trees[p.tree] = true
	return p
}

// Open reads the headers of a page file. It fails with a *DamageError if there is no valid one, with a
// *NewerFormatError if a newer program wrote it, and with crypt.ErrNoKey if it is sealed by a key that isn't there.
func Open(f Handle, o Options) (*File, error) {
	p := newFile(f, o)
	var found [2]*header
	for i := range found {
		b := make([]byte, headerBytes)
		if _, err := f.ReadAt(b, int64(i)*headerStride); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("reading the header of %s: %w", p.name, err)
		}
		h, err := decodeHeader(p.name, b, o.Blocks)
		if err != nil && !errors.Is(err, errNoHeader) {
			return nil, err
		}
		found[i] = h
	}
	if found[0] == nil && found[1] == nil {
		return nil, &DamageError{p.name, 0, 0, "neither header is valid"}
	}
	if found[0] == nil || found[1] != nil && found[1].generation > found[0].generation {
		p.place = 1
	}
	h, older := found[p.place], found[1-p.place]
	p.id, p.size, p.stride = h.id, h.state.Size, h.stride
	p.mixed.Store(h.mixed || !h.sealed)
	p.tree = p.treeOf(h)
	p.tree.refs = 1
	p.trees[p.tree] = true
	if older != nil && older.id == h.id && older.state.Size == h.state.Size && older.stride == h.stride {
		p.older = p.treeOf(older)
	}
	return p, nil
}

// Whose reads from a header whose pages a file holds, without opening it.
func Whose(f Handle, name string) (id Identity, err error) {
	for i := range 2 {
		b := make([]byte, headerBytes)
		if _, err := f.ReadAt(b, int64(i)*headerStride); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return id, fmt.Errorf("reading the header of %s: %w", name, err)
		}
		if h, err := decodeClear(b); err == nil {
			return h.id, nil
		}
	}
	return id, &DamageError{name, 0, 0, "neither header is valid"}
}

func (f *File) treeOf(h *header) *Tree {
	return &Tree{State: h.state, LogPos: h.logPos, f: f, generation: h.generation, root: h.root, levels: h.levels, bucket: h.bucket}
}

// Identity says whose pages these are.
func (f *File) Identity() Identity { return f.id }

// PageSize is the number of bytes per page.
func (f *File) PageSize() uint32 { return f.size }

// Sealable tells whether slots have room for what sealing adds: files of the first version of the format have none.
func (f *File) Sealable() bool { return f.stride > f.size }

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

// OldestBucket is the oldest manifest that a header or somebody who reads names, the zero Bucket if none does.
func (f *File) OldestBucket() Bucket {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.tree.bucket
	if f.older != nil {
		b = older(b, f.older.bucket)
	}
	for t := range f.trees {
		b = older(b, t.bucket)
	}
	return b
}

func older(a, b Bucket) Bucket {
	if a.Sequence == 0 || b.Sequence != 0 && b.Sequence < a.Sequence {
		return b
	}
	return a
}

// Bytes is the size of the file.
func (f *File) Bytes() (int64, error) { return f.f.Size() }

// Used is how many bytes of slots hold something. It is known after the first checkpoint.
func (f *File) Used() int64 { return f.used.Load() * int64(f.stride) }

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
