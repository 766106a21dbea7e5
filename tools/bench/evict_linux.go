package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// evict takes the files below dir out of the page cache.
func evict(dir string) error {
	names, err := filesOf(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = f.Sync()
		if err == nil {
			err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
		f.Close()
		if err != nil {
			return fmt.Errorf("evicting %s: %w", name, err)
		}
	}
	return nil
}
