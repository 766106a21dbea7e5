//go:build !unix

package fsys

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// lockFile makes a file that nobody else may make. A process that was killed leaves it behind; the error says so.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s: %w (remove the file if no process has it)", name, ErrLocked)
	}
	if err != nil {
		return nil, err
	}
	return exclusive{f}, nil
}

type exclusive struct{ *os.File }

func (e exclusive) Close() error { return errors.Join(e.File.Close(), os.Remove(e.Name())) }
