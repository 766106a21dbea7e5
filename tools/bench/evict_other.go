//go:build !linux

package main

import (
	"errors"
	"fmt"
)

// evict takes the files below dir out of the page cache.
func evict(dir string) error {
	return fmt.Errorf("evicting %s: %w here: run the section on Linux", dir, errors.ErrUnsupported)
}
