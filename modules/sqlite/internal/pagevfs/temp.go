package pagevfs

import (
	"errors"
	"io"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/ncruces/go-sqlite3/vfs"
)

// tempFile is a private file: in memory up to a limit, then in a nameless temporary file.
type tempFile struct {
	temp  pagestore.Temp
	limit int64
	data  []byte
	spill *pagestore.Spill
	size  int64
}

func (t *tempFile) ReadAt(b []byte, off int64) (n int, err error) {
	if off >= t.size {
		return 0, io.EOF
	}
	want := min(int64(len(b)), t.size-off)
	if t.spill == nil {
		n = copy(b[:want], t.data[off:t.size])
	} else if n, err = t.spill.ReadAt(b[:want], off); errors.Is(err, io.EOF) {
		// A hole at the end that was made by Truncate.
		clear(b[n:want])
		n, err = int(want), nil
	}
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

func (t *tempFile) WriteAt(b []byte, off int64) (int, error) {
	end := off + int64(len(b))
	if t.spill == nil && end > t.limit {
		s, err := t.temp.Spill()
		if err != nil {
			return 0, err
		}
		if _, err := s.WriteAt(t.data[:t.size], 0); err != nil {
			s.Release()
			return 0, err
		}
		t.spill, t.data = s, nil
	}
	if t.spill != nil {
		n, err := t.spill.WriteAt(b, off)
		t.size = max(t.size, off+int64(n))
		return n, err
	}
	if end > int64(len(t.data)) {
		grown := make([]byte, max(end, min(2*int64(len(t.data)), t.limit), 4096))
		copy(grown, t.data[:t.size])
		t.data = grown
	}
	copy(t.data[off:], b)
	t.size = max(t.size, end)
	return len(b), nil
}

func (t *tempFile) Truncate(size int64) error {
	if size < t.size {
		if t.spill != nil {
			if err := t.spill.Truncate(size); err != nil {
				return err
			}
		} else {
			clear(t.data[size:t.size])
		}
	} else if t.spill == nil && size > int64(len(t.data)) {
		_, err := t.WriteAt([]byte{0}, size-1)
		return err
	}
	t.size = size
	return nil
}

func (t *tempFile) Close() error {
	t.spill.Release()
	t.spill, t.data = nil, nil
	return nil
}

func (t *tempFile) Sync(vfs.SyncFlag) error          { return nil }
func (t *tempFile) Size() (int64, error)             { return t.size, nil }
func (t *tempFile) Lock(vfs.LockLevel) error         { return nil }
func (t *tempFile) Unlock(vfs.LockLevel) error       { return nil }
func (t *tempFile) CheckReservedLock() (bool, error) { return false, nil }
func (t *tempFile) SectorSize() int                  { return 0 }
func (t *tempFile) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_SEQUENTIAL | vfs.IOCAP_SAFE_APPEND | vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SUBPAGE_READ
}
