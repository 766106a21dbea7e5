package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

// Sector is the unit in which a disk writes: a sector is written whole or not at all.
const Sector = 512

// ErrCrashed is what every operation returns once the crash point is reached.
var ErrCrashed = errors.New("crashfs: the machine has crashed")

// OpKind is a kind of operation.
type OpKind uint8

// The operations that change something; they are counted. Read is not, it can only be made to fail.
const (
	Create OpKind = iota
	Write
	Truncate
	Allocate
	Sync
	Remove
	Rename
	SyncDir
	Read
)

func (k OpKind) String() string {
	return [...]string{"create", "write", "truncate", "allocate", "sync", "remove", "rename", "syncdir", "read"}[k]
}

// Op is one operation, for Inject.
type Op struct {
	Kind   OpKind
	Name   string // of the file or folder; of a rename the old one
	Offset int64  // Write, Read
	Len    int    // Write, Read; of Truncate and Allocate the new size
}

func (o Op) String() string { return fmt.Sprintf("%s %s [%d,+%d]", o.Kind, o.Name, o.Offset, o.Len) }

// ShortWrite is an error for Inject: the first N bytes of the write happen, then Err is returned.
type ShortWrite struct {
	N   int
	Err error
}

func (s *ShortWrite) Error() string { return fmt.Sprintf("short write of %d bytes: %v", s.N, s.Err) }

// Unwrap returns what the writer sees.
func (s *ShortWrite) Unwrap() error { return s.Err }

// FS is the file system. It implements fsys.FS.
type FS struct {
	mu       sync.Mutex
	names    map[string]*inode
	durable  map[string]*inode // names as of each folder's last SyncDir
	moves    []move            // since then, in order
	dirs     map[string]bool
	locks    map[string]bool
	ops      int
	crashAt  int
	crashed  bool
	capacity int64 // 0: no limit
	inject   func(Op) error
}

var _ fsys.FS = (*FS)(nil)

// move is a change of names: from (if any) disappears and to (if any) names the inode.
type move struct {
	from, to string
	node     *inode
}

// inode is a file without its name.
type inode struct {
	data    []byte   // what readers see
	safe    []byte   // what is durable
	pending []change // between safe and data, in order
	doomed  int      // the first changes of pending that a failed Sync gave up
}

// change is a write, or a change of length.
type change struct {
	off  int64
	data []byte
	size int64 // when data is nil
}

// New returns an empty disk.
func New() *FS {
	return &FS{names: map[string]*inode{}, durable: map[string]*inode{}, dirs: map[string]bool{}, locks: map[string]bool{}}
}

// CrashAt makes the n-th operation from the disk's beginning, and all after it, fail with ErrCrashed. The n-th itself may
// or may not have happened. 0: never.
func (f *FS) CrashAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashAt = n
}

// Crash crashes now.
func (f *FS) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = true
}

// Crashed tells whether the crash point was reached.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// Ops is the number of operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// SetCapacity limits the sum of the files' sizes; what would go beyond fails with ENOSPC. 0: no limit.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Inject sets a function that sees each operation before it happens and may make it fail. It must not call the disk.
func (f *FS) Inject(fn func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inject = fn
}

// begin counts an operation. crash means: let it take effect where that may be lost again, and return ErrCrashed.
func (f *FS) begin(op Op) (crash bool, err error) {
	if f.crashed {
		return false, ErrCrashed
	}
	if op.Kind != Read {
		f.ops++
		if f.ops == f.crashAt {
			f.crashed = true
			return true, nil
		}
	}
	if f.inject != nil {
		return false, f.inject(op)
	}
	return false, nil
}

func pathError(op, name string, err error) error { return &os.PathError{Op: op, Path: name, Err: err} }

// OpenFile opens or creates a file.
func (f *FS) OpenFile(name string, flag int, _ fs.FileMode) (fsys.File, error) {
	name = filepath.Clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, ErrCrashed
	}
	node := f.names[name]
	switch {
	case node == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case node != nil && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case node == nil && !f.dirs[filepath.Dir(name)]:
		return nil, pathError("open", name, fs.ErrNotExist)
	case node == nil:
		crash, err := f.begin(Op{Kind: Create, Name: name})
		if err != nil {
			return nil, pathError("open", name, err)
		}
		node = &inode{}
		f.move(move{to: name, node: node})
		if crash {
			return nil, ErrCrashed
		}
	case flag&os.O_TRUNC != 0 && len(node.data) > 0:
		crash, err := f.begin(Op{Kind: Truncate, Name: name})
		if err != nil {
			return nil, pathError("open", name, err)
		}
		node.resize(0)
		if crash {
			return nil, ErrCrashed
		}
	}
	return &file{f: f, node: node, name: name, readonly: flag&(os.O_RDWR|os.O_WRONLY) == 0}, nil
}

func (f *FS) move(m move) {
	if m.from != "" {
		delete(f.names, m.from)
	}
	if m.to != "" {
		f.names[m.to] = m.node
	}
	f.moves = append(f.moves, m)
}

// Remove removes a name. Open files stay readable.
func (f *FS) Remove(name string) error {
	name = filepath.Clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[name] == nil {
		if f.crashed {
			return ErrCrashed
		}
		return pathError("remove", name, fs.ErrNotExist)
	}
	crash, err := f.begin(Op{Kind: Remove, Name: name})
	if err != nil {
		return pathError("remove", name, err)
	}
	f.move(move{from: name})
	if crash {
		return ErrCrashed
	}
	return nil
}

// Rename gives a file another name, in place of the one that had it.
func (f *FS) Rename(oldname, newname string) error {
	oldname, newname = filepath.Clean(oldname), filepath.Clean(newname)
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.names[oldname]
	if node == nil {
		if f.crashed {
			return ErrCrashed
		}
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	crash, err := f.begin(Op{Kind: Rename, Name: oldname})
	if err != nil {
		return pathError("rename", oldname, err)
	}
	f.move(move{from: oldname, to: newname, node: node})
	if crash {
		return ErrCrashed
	}
	return nil
}

// ReadDir lists the names in a folder, folders among them.
func (f *FS) ReadDir(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, ErrCrashed
	}
	if !f.dirs[dir] {
		return nil, pathError("readdir", dir, fs.ErrNotExist)
	}
	var names []string
	for name := range f.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	for name := range f.dirs {
		if name != dir && filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll makes a folder. Folders are durable at once: what the tests ask about is files.
func (f *FS) MkdirAll(dir string, _ fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return ErrCrashed
	}
	for dir = filepath.Clean(dir); !f.dirs[dir]; dir = filepath.Dir(dir) {
		f.dirs[dir] = true
	}
	return nil
}

// SyncDir makes the names in a folder durable.
func (f *FS) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	crash, err := f.begin(Op{Kind: SyncDir, Name: dir})
	if crash {
		return ErrCrashed
	}
	if err != nil {
		return pathError("fsync", dir, err)
	}
	f.moves = slices.DeleteFunc(f.moves, func(m move) bool {
		if (m.from == "" || filepath.Dir(m.from) != dir) && (m.to == "" || filepath.Dir(m.to) != dir) {
			return false
		}
		m.apply(f.durable)
		return true
	})
	return nil
}

func (m move) apply(names map[string]*inode) {
	if m.from != "" {
		delete(names, m.from)
	}
	if m.to != "" {
		names[m.to] = m.node
	}
}

// Lock takes a folder.
func (f *FS) Lock(dir string) (io.Closer, error) {
	dir = filepath.Clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, ErrCrashed
	}
	if f.locks[dir] {
		return nil, fmt.Errorf("%s: %w", dir, fsys.ErrLocked)
	}
	f.locks[dir] = true
	return &folderLock{f, dir}, nil
}

type folderLock struct {
	f   *FS
	dir string
}

func (l *folderLock) Close() error {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	delete(l.f.locks, l.dir)
	return nil
}

// used is the sum of the files' sizes.
func (f *FS) used() (n int64) {
	for _, node := range f.names {
		n += int64(len(node.data))
	}
	return n
}

// room returns how many bytes a file may grow to, ENOSPC when that is less than asked.
func (f *FS) room(node *inode, size int64) (int64, error) {
	if f.capacity == 0 || size <= int64(len(node.data)) {
		return size, nil
	}
	if free := f.capacity - f.used(); size-int64(len(node.data)) > free {
		return int64(len(node.data)) + max(free, 0), syscall.ENOSPC
	}
	return size, nil
}

// Flip inverts one bit of a file, durably: damage that no write explains.
func (f *FS) Flip(name string, off int64, bit uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.names[filepath.Clean(name)]
	node.data = slices.Clone(node.data)
	node.data[off] ^= 1 << bit
	if off < int64(len(node.safe)) {
		node.safe = slices.Clone(node.safe)
		node.safe[off] ^= 1 << bit
	}
}

// Files returns the names of all files with a prefix, sorted.
func (f *FS) Files(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name := range f.names {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
