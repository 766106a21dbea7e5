package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// newFile writes a file that appears under its name only when it is whole and on disk. One that is there is replaced if
// force says so.
func newFile(name string, force bool, write func(f *os.File) error) (err error) {
	if _, err := os.Stat(name); err == nil && !force {
		return fmt.Errorf("%s is there already: choose another name or give --force", name)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
