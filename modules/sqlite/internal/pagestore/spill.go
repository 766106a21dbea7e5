package pagestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// Temp says where temporary files are made, and whether what they hold is sealed.
type Temp struct {
	Dir    string
	Sealed bool
}

// Spill is a nameless temporary file for what doesn't fit into memory. It is gone when the last reference is.
type Spill struct {
	spillFile
	refs atomic.Int64
}

type spillFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// Spill makes a file with one reference.
func (t Temp) Spill() (*Spill, error) {
	f, err := os.CreateTemp(t.Dir, "spill-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlinking a temporary file: %w", err), f.Close())
	}
	s := &Spill{spillFile: f}
	if t.Sealed {
		s.spillFile = crypt.NewScratch(f)
	}
	s.refs.Store(1)
	return s, nil
}

// Acquire adds n references.
func (s *Spill) Acquire(n int64) { s.refs.Add(n) }

// Release drops a reference.
func (s *Spill) Release() {
	if s != nil && s.refs.Add(-1) == 0 {
		_ = s.Close()
	}
}
