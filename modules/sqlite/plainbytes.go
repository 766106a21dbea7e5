package sqlite

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// plainBytes are those of an ordinary SQLite file, wherever they are.
type plainBytes interface {
	io.ReaderAt
	Size() int64
}

// plainFile is a file that has so many of them.
type plainFile struct {
	io.ReaderAt
	size int64
}

func (f plainFile) Size() int64 { return f.size }

// pages reads the pages of a version as the bytes of a file. It is for one goroutine.
type pages struct {
	src         pageobj.Source
	size, count int64
	no          uint32
	buf, data   []byte
}

// Size implements plainBytes.
func (p *pages) Size() int64 { return p.size * p.count }

// ReadAt implements io.ReaderAt.
func (p *pages) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off < p.Size() {
		if no := uint32(off/p.size) + 1; no != p.no {
			if p.buf == nil {
				p.buf = make([]byte, p.size)
			}
			p.no = 0
			if p.data, _, err = p.src.Page(no, p.buf); err != nil {
				return n, err
			}
			p.no = no
		}
		k := copy(b[n:], p.data[off%p.size:])
		n, off = n+k, off+int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// openBytes opens a SQLite file for reading that needn't be in any file system. What SQLite reads is given back by done.
func (h *Host) openBytes(b plainBytes) (_ *sqlite3.Conn, done func(), err error) {
	name := fmt.Sprintf("%s-plain-%d", h.vfsName, plains.Add(1))
	f := &readOnly{b: b}
	vfs.Register(name, f)
	c, err := sqlite3.OpenFlags("file:db?immutable=1&vfs="+name, sqlite3.OPEN_READONLY|sqlite3.OPEN_URI)
	if err == nil {
		if err = registerExtensions(c); err != nil {
			err = errors.Join(err, c.Close())
		}
	}
	if err != nil {
		vfs.Unregister(name)
		return nil, nil, fmt.Errorf("%w: %w", ErrNotSQLite, errors.Join(err, f.err))
	}
	return c, func() {
		_ = c.Close()
		vfs.Unregister(name)
	}, nil
}

var plains atomic.Uint64

// readOnly is a VFS with one file, and the file.
type readOnly struct {
	b   plainBytes
	err error // of the last read
}

// Open implements vfs.VFS.
func (r *readOnly) Open(_ string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if flags&vfs.OPEN_MAIN_DB == 0 {
		return nil, flags, sqlite3.CANTOPEN
	}
	return r, flags&^vfs.OPEN_READWRITE | vfs.OPEN_READONLY, nil
}

// Delete implements vfs.VFS.
func (r *readOnly) Delete(string, bool) error { return sqlite3.IOERR_DELETE }

// Access implements vfs.VFS.
func (r *readOnly) Access(string, vfs.AccessFlag) (bool, error) { return false, nil }

// FullPathname implements vfs.VFS.
func (r *readOnly) FullPathname(name string) (string, error) { return name, nil }

// ReadAt implements vfs.File. A file in WAL mode whose WAL is empty is one in rollback mode.
func (r *readOnly) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.b.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
		return n, vfs.SystemError(err, sqlite3.IOERR_READ)
	}
	for _, at := range [...]int64{18, 19} {
		if k := at - off; k >= 0 && k < int64(n) && b[k] == 2 {
			b[k] = 1
		}
	}
	return n, err
}

// Size implements vfs.File.
func (r *readOnly) Size() (int64, error) { return r.b.Size(), nil }

// Close implements vfs.File.
func (r *readOnly) Close() error { return nil }

// WriteAt implements vfs.File.
func (r *readOnly) WriteAt([]byte, int64) (int, error) { return 0, sqlite3.READONLY }

// Truncate implements vfs.File.
func (r *readOnly) Truncate(int64) error { return sqlite3.READONLY }

// Sync implements vfs.File.
func (r *readOnly) Sync(vfs.SyncFlag) error { return nil }

// Lock implements vfs.File.
func (r *readOnly) Lock(vfs.LockLevel) error { return nil }

// Unlock implements vfs.File.
func (r *readOnly) Unlock(vfs.LockLevel) error { return nil }

// CheckReservedLock implements vfs.File.
func (r *readOnly) CheckReservedLock() (bool, error) { return false, nil }

// SectorSize implements vfs.File.
func (r *readOnly) SectorSize() int { return 0 }

// DeviceCharacteristics implements vfs.File.
func (r *readOnly) DeviceCharacteristics() vfs.DeviceCharacteristic { return vfs.IOCAP_IMMUTABLE }
