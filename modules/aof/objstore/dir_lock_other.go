//go:build !unix

package objstore

import (
	"crypto/rand"
	"io/fs"
	"sync"
)

var dirMu sync.Mutex

// lock holds within this process alone.
func (d *Dir) lock() (unlock func() error, err error) {
	dirMu.Lock()
	return func() error { dirMu.Unlock(); return nil }, nil
}

// inode is a file's number, which isn't known here.
func inode(fs.FileInfo) uint64 { return 0 }

func random8() []byte {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return b
}
