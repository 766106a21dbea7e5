package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

// file is an open file of an FS.
type file struct {
	f        *FS
	node     *inode
	name     string
	readonly bool
	closed   bool
}

var _ fsys.File = (*file)(nil)

func (n *inode) write(off int64, b []byte) {
	n.data = paste(n.data, off, b)
	n.pending = append(n.pending, change{off: off, data: slices.Clone(b)})
}

func (n *inode) resize(size int64) {
	n.data = resized(n.data, size)
	n.pending = append(n.pending, change{size: size})
}

// paste returns data with b at off, grown with zeros if it must be.
func paste(data []byte, off int64, b []byte) []byte {
	if need := off + int64(len(b)); need > int64(len(data)) {
		data = resized(data, need)
	}
	copy(data[off:], b)
	return data
}

func resized(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// start counts an operation of this file.
func (x *file) start(kind OpKind, off int64, n int) (bool, error) {
	if x.closed {
		return false, fs.ErrClosed
	}
	if x.readonly && kind != Read && kind != Sync {
		return false, fs.ErrPermission
	}
	return x.f.begin(Op{kind, x.name, off, n})
}

func (x *file) ReadAt(b []byte, off int64) (int, error) {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if _, err := x.start(Read, off, len(b)); err != nil {
		return 0, pathError("read", x.name, err)
	}
	if off >= int64(len(x.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, x.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (x *file) WriteAt(b []byte, off int64) (int, error) {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	crash, err := x.start(Write, off, len(b))
	var short *ShortWrite
	if errors.As(err, &short) {
		n := min(short.N, len(b))
		x.node.write(off, b[:n])
		return n, pathError("write", x.name, short.Err)
	}
	if err != nil {
		return 0, pathError("write", x.name, err)
	}
	end, err := x.f.room(x.node, off+int64(len(b)))
	n := max(end-off, 0)
	x.node.write(off, b[:min(n, int64(len(b)))])
	switch {
	case crash:
		return 0, ErrCrashed
	case err != nil:
		return int(n), pathError("write", x.name, err)
	}
	return len(b), nil
}

func (x *file) Truncate(size int64) error { return x.setSize(Truncate, "truncate", size) }

func (x *file) Allocate(size int64) error {
	now, err := x.Size()
	if err != nil || now >= size {
		return err
	}
	return x.setSize(Allocate, "fallocate", size)
}

func (x *file) setSize(kind OpKind, name string, size int64) error {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	crash, err := x.start(kind, 0, int(size))
	if err == nil {
		_, err = x.f.room(x.node, size)
	}
	if err != nil {
		return pathError(name, x.name, err)
	}
	x.node.resize(size)
	if crash {
		return ErrCrashed
	}
	return nil
}

func (x *file) Sync() error {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	crash, err := x.start(Sync, 0, 0)
	if crash {
		return ErrCrashed
	}
	n := x.node
	if err != nil {
		n.doomed = len(n.pending)
		return pathError("fdatasync", x.name, err)
	}
	n.settle()
	return nil
}

// settle makes everything pending safe, except what an earlier failed Sync gave up: that stays undecided, but not in
// sectors that were written again, because those are saved as the cache has them.
func (n *inode) settle() {
	var left []change
	for _, c := range n.pending[:n.doomed] {
		if c.data == nil {
			n.safe = c.apply(n.safe) // a length is the inode's, which any later Sync writes
			continue
		}
		left = append(left, c)
	}
	for _, c := range n.pending[n.doomed:] {
		left = n.save(c, left)
	}
	n.pending, n.doomed = left, len(left)
}

// save makes a change safe, with what its sectors hold of earlier ones, and returns the earlier ones that are left.
func (n *inode) save(c change, earlier []change) (left []change) {
	from := c.off / Sector * Sector
	to := (c.off + int64(len(c.data)) + Sector - 1) / Sector * Sector
	if c.data == nil {
		from, to = c.size, math.MaxInt64
	}
	for _, e := range earlier {
		end := e.off + int64(len(e.data))
		if e.off < from {
			left = append(left, change{off: e.off, data: e.data[:min(end, from)-e.off]})
		}
		if lo, hi := max(e.off, from), min(end, to); lo < hi {
			n.safe = change{off: lo, data: e.data[lo-e.off : hi-e.off]}.apply(n.safe)
		}
		if end > to {
			left = append(left, change{off: max(e.off, to), data: e.data[max(e.off, to)-e.off:]})
		}
	}
	n.safe = c.apply(n.safe)
	return left
}

func (c change) apply(data []byte) []byte {
	if c.data == nil {
		return resized(data, c.size)
	}
	return paste(data, c.off, c.data)
}

func (x *file) Size() (int64, error) {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if x.f.crashed {
		return 0, ErrCrashed
	}
	return int64(len(x.node.data)), nil
}

func (x *file) Close() error {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if x.closed {
		return pathError("close", x.name, fs.ErrClosed)
	}
	x.closed = true
	return nil
}
