// Package fsys is the small part of a file system that a log or a page file needs, so that tests can put a disk that
// fails in its place. OS is the real one; package crashfs is one that loses what was not synced.
package fsys

import (
	"errors"
	"io"
	"io/fs"
)

// ErrLocked is returned by FS.Lock when another process, or another user in this process, holds the lock.
var ErrLocked = errors.New("folder is in use by another process")

// FS opens and arranges files. Names are paths as the os package takes them. Errors satisfy errors.Is with fs.ErrExist,
// fs.ErrNotExist and syscall.ENOSPC where they mean that.
type FS interface {
	// OpenFile opens a file with flags of the os package (O_RDONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC).
	// New files have permissions perm.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Remove(name string) error
	// Rename replaces newname. It is durable once SyncDir of the folder returned.
	Rename(oldname, newname string) error
	// ReadDir returns the names in a folder, sorted.
	ReadDir(dir string) ([]string, error)
	MkdirAll(dir string, perm fs.FileMode) error
	// SyncDir makes creations, removals and renames in dir durable.
	SyncDir(dir string) error
	// Lock takes the folder for this process until the Closer is closed. ErrLocked if it is taken.
	Lock(dir string) (io.Closer, error)
}

// File is an open file. Its methods may be called by several goroutines, as those of os.File.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and its length durable (fdatasync on Linux).
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	// Allocate reserves space up to size and grows the file to it; new bytes read as zeros. It doesn't shrink.
	Allocate(size int64) error
}
