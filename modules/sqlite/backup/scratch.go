package backup

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// newScratch makes a nameless temporary file, encrypted under a key that is in memory only.
func newScratch(dir string) (*crypt.Scratch, error) {
	f, err := os.CreateTemp(dir, "backup-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlinking a temporary file: %w", err), f.Close())
	}
	return crypt.NewScratch(f), nil
}

// spoolMemory is how much of a spool stays in memory.
const spoolMemory = 4 << 20

// spool is bytes that are written once, in order, and then read: in memory up to a limit, the rest in a temporary file.
type spool struct {
	dir  string
	mem  []byte
	size int64
	sum  uint32         // CRC32C of all
	file *crypt.Scratch // bytes from spoolMemory on
	tail []byte         // of the file: not written yet
}

func (s *spool) Write(b []byte) (int, error) {
	all := len(b)
	s.size += int64(all)
	s.sum = crc32.Update(s.sum, castagnoli, b)
	if n := min(len(b), spoolMemory-len(s.mem)); n > 0 {
		s.mem, b = append(s.mem, b[:n]...), b[n:]
	}
	if len(b) == 0 {
		return all, nil
	}
	s.tail = append(s.tail, b...)
	if len(s.tail) < 1<<20 {
		return all, nil
	}
	return all, s.flush()
}

func (s *spool) flush() (err error) {
	if len(s.tail) == 0 {
		return nil
	}
	if s.file == nil {
		if s.file, err = newScratch(s.dir); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(s.tail, s.file.Size()); err != nil {
		return fmt.Errorf("writing to a temporary file: %w", err)
	}
	s.tail = s.tail[:0]
	return nil
}

// ReadAt reads what was written, after flush.
func (s *spool) ReadAt(b []byte, off int64) (n int, err error) {
	if off >= s.size {
		return 0, io.EOF
	}
	if off < int64(len(s.mem)) {
		n = copy(b, s.mem[off:])
	}
	if n < len(b) && s.file != nil {
		var m int
		m, err = s.file.ReadAt(b[n:], off+int64(n)-int64(len(s.mem)))
		n += m
	}
	if n < len(b) && err == nil {
		err = io.EOF
	}
	return n, err
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
