//go:build unix

package objstore

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

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

func random8() []byte {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return b
}
