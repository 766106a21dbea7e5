//go:build unix

package objstore

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock waits for the folder's lock, which holds between processes and within this one.
func (d *Dir) lock() (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(d.root, dirLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// inode is a file's number, which tells it from the one that it replaces.
func inode(st fs.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino)
	}
	return 0
}

func random8() []byte {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return b
}
