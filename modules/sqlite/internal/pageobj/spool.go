package pageobj

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

const spoolMemory = 4 << 20 // bytes that a spool keeps in memory

// spool is bytes in order: in memory up to a limit, then in a nameless encrypted file.
type spool struct {
	dir  string
	size int64
	mem  []byte // what isn't in the file yet
	file *crypt.Scratch
	in   int64 // bytes in the file
}

func (s *spool) append(b []byte) error {
	s.mem = append(s.mem, b...)
	s.size += int64(len(b))
	if len(s.mem) < spoolMemory {
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "pageindex-*") // 0600
		if err != nil {
			return fmt.Errorf("making a temporary file for the page index: %w", err)
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(fmt.Errorf("unlinking a temporary file: %w", err), f.Close())
		}
		s.file = crypt.NewScratch(f)
	}
	if _, err := s.file.WriteAt(s.mem, s.in); err != nil {
		return fmt.Errorf("writing the page index to a temporary file: %w", err)
	}
	s.in, s.mem = s.size, s.mem[:0]
	return nil
}

func (s *spool) readAt(b []byte, off int64) error {
	if off < s.in {
		n := min(int64(len(b)), s.in-off)
		if got, err := s.file.ReadAt(b[:n], off); int64(got) < n {
			return fmt.Errorf("reading the page index from a temporary file: %w", err)
		}
		b, off = b[n:], off+n
	}
	if len(b) > 0 {
		copy(b, s.mem[off-s.in:])
	}
	return nil
}

// copyTo writes n bytes from off on to w.
func (s *spool) copyTo(w io.Writer, off, n int64) error {
	b := make([]byte, min(n, 256<<10))
	for n > 0 {
		b = b[:min(n, int64(len(b)))]
		if err := s.readAt(b, off); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return nil
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
