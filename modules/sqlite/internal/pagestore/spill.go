package pagestore

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// Spill is a nameless temporary file for what doesn't fit into memory. It is gone when the last reference is.
type Spill struct {
	f    *os.File
	refs atomic.Int64
}

// NewSpill makes one in dir with one reference.
func NewSpill(dir string) (*Spill, error) {
	f, err := os.CreateTemp(dir, "spill-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlinking a temporary file: %w", err), f.Close())
	}
	s := &Spill{f: f}
	s.refs.Store(1)
	return s, nil
}

// Acquire adds n references.
func (s *Spill) Acquire(n int64) { s.refs.Add(n) }

// Release drops a reference.
func (s *Spill) Release() {
	if s != nil && s.refs.Add(-1) == 0 {
		_ = s.f.Close()
	}
}

// ReadAt and WriteAt do what os.File's do.
func (s *Spill) ReadAt(b []byte, off int64) (int, error) { return s.f.ReadAt(b, off) }

// WriteAt writes to the file.
func (s *Spill) WriteAt(b []byte, off int64) (int, error) { return s.f.WriteAt(b, off) }

// Truncate cuts the file.
func (s *Spill) Truncate(n int64) error { return s.f.Truncate(n) }
