package backup

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// overlay is pages above a version: in memory up to a budget, then in an encrypted temporary file.
type overlay struct {
	dir    string
	size   uint32 // bytes per page
	budget int64

	pages map[uint32]slot
	file  *crypt.Scratch
	end   int64   // of the file
	free  []int64 // places in it
}

// slot is a page: nil data and place -1 mean zeros.
type slot struct {
	sum  uint64
	data []byte
	off  int64
}

func newOverlay(dir string, size uint32, budget int64) *overlay {
	return &overlay{dir: dir, size: size, budget: budget, pages: map[uint32]slot{}}
}

func (o *overlay) load(s slot, buf []byte) ([]byte, error) {
	if s.data != nil {
		return s.data, nil
	}
	buf = buf[:o.size]
	if s.off < 0 {
		clear(buf)
		return buf, nil
	}
	if _, err := o.file.ReadAt(buf, s.off); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a temporary file: %w", err)
	}
	return buf, nil
}

// store makes a slot of a page, which it copies. The slot isn't in pages yet.
func (o *overlay) store(data []byte, sum uint64) (slot, error) {
	if sum == 0 {
		return slot{off: -1}, nil
	}
	if o.budget >= int64(len(data)) {
		o.budget -= int64(len(data))
		return slot{sum: sum, data: slices.Clone(data)}, nil
	}
	if o.file == nil {
		f, err := newScratch(o.dir)
		if err != nil {
			return slot{}, err
		}
		o.file = f
	}
	off := o.end
	if n := len(o.free); n > 0 {
		off, o.free = o.free[n-1], o.free[:n-1]
	} else {
		o.end += int64(o.size)
	}
	if _, err := o.file.WriteAt(data, off); err != nil {
		return slot{}, fmt.Errorf("writing to a temporary file: %w", err)
	}
	return slot{sum: sum, off: off}, nil
}

// release gives a slot's place back.
func (o *overlay) release(s slot) {
	switch {
	case s.data != nil:
		o.budget += int64(len(s.data))
	case s.off >= 0:
		o.free = append(o.free, s.off)
	}
}

// set puts a slot of this overlay in its place.
func (o *overlay) set(no uint32, s slot) {
	if old, ok := o.pages[no]; ok {
		o.release(old)
	}
	o.pages[no] = s
}

// cut forgets the pages beyond the end.
func (o *overlay) cut(pages uint32) {
	for no, s := range o.pages {
		if no > pages {
			o.release(s)
			delete(o.pages, no)
		}
	}
}

func (o *overlay) close() {
	if o != nil && o.file != nil {
		_ = o.file.Close()
	}
}
