package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// state is what a scanner finds where it stands.
type state uint8

const (
	ready  state = iota // the head of a block that is there as a whole
	clean               // the end
	short               // the beginning of a block, as a write in progress or a killed process leaves it
	ragged              // no block from here to the end
)

const window = 256 << 10

// scanner finds the blocks of one file.
type scanner struct {
	src    io.ReaderAt
	file   *os.File // src, or nil if it is in memory
	first  uint64   // of the file's name
	head   fileHeader
	sound  bool  // the head was readable
	known  bool  // the marker is known
	limit  int64 // bytes that may be read
	off    int64
	jumped bool // damage was passed since the last block

	buf []byte // bytes of the file from at
	at  int64
}

// openScanner opens a file in whichever form it has. errGone if it has none.
func openScanner(dir string, first uint64) (*scanner, error) {
	// It may be compressed between the two looks, so the raw one comes first.
	f, err := os.Open(rawPath(dir, first))
	if err == nil {
		return &scanner{src: f, file: f, first: first}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	b, err := load(zstPath(dir, first))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return &scanner{src: bytes.NewReader(b), first: first, limit: int64(len(b))}, nil
}

func (s *scanner) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// grow sets how far the file may be read: size, or all there is if it is negative.
func (s *scanner) grow(size int64) error {
	if s.file == nil {
		return nil
	}
	if size < 0 {
		info, err := s.file.Stat()
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		size = info.Size()
	}
	s.limit = size
	s.buf = s.buf[:0] // what was behind the limit may have been cut and written anew
	return nil
}

// view returns up to n bytes at off, fewer at the limit. They are valid until the next call.
func (s *scanner) view(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.limit-off))
	if n <= 0 {
		return nil, nil
	}
	if off < s.at || off+int64(n) > s.at+int64(len(s.buf)) {
		size := int(min(int64(max(n, window)), s.limit-off))
		if cap(s.buf) < size {
			s.buf = make([]byte, size)
		}
		got, err := s.src.ReadAt(s.buf[:size], off)
		s.buf, s.at = s.buf[:got], off
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read log: %w", err)
		}
		n = min(n, got)
	}
	i := int(off - s.at)
	return s.buf[i : i+n], nil
}

// begin reads the file's header. If it is damaged, the first block tells the marker.
func (s *scanner) begin() (bool, error) {
	b, err := s.view(0, fileHeaderSize+blockHeadSize)
	if err != nil || len(b) < fileHeaderSize {
		return false, err
	}
	if s.head, s.sound, err = parseFileHeader(b, fmt.Sprintf("%016x%s", s.first, rawSuffix)); err != nil {
		return false, err
	}
	if !s.sound {
		if len(b) < fileHeaderSize+blockHeadSize {
			return false, nil
		}
		s.head = fileHeader{first: s.first, marker: marker(b[fileHeaderSize:])}
		if _, ok := parseBlockHead(b[fileHeaderSize:], s.head.marker); !ok {
			return false, nil
		}
	}
	s.known, s.off = true, fileHeaderSize
	return true, nil
}

// peek looks at the next block, without its body. It goes over what is no block if there is one behind.
func (s *scanner) peek() (blockHead, state, error) {
	if !s.known {
		ok, err := s.begin()
		if err != nil {
			return blockHead{}, 0, err
		}
		if !ok {
			if s.limit < fileHeaderSize {
				return blockHead{}, short, nil
			}
			return blockHead{}, ragged, nil
		}
	}
	b, err := s.view(s.off, blockHeadSize)
	if err != nil {
		return blockHead{}, 0, err
	}
	h, ok := parseBlockHead(b, s.head.marker)
	switch {
	case len(b) == 0:
		return h, clean, nil
	case len(b) < blockHeadSize:
		return h, short, nil
	case !ok:
		return s.search()
	case s.off+blockHeadSize+int64(h.size) > s.limit:
		return h, short, nil
	}
	return h, ready, nil
}

// search moves to the next block behind damage.
func (s *scanner) search() (blockHead, state, error) {
	for off := s.off + 1; ; {
		b, err := s.view(off, window)
		if err != nil {
			return blockHead{}, 0, err
		}
		i := bytes.Index(b, s.head.marker[:])
		if i < 0 {
			if len(b) < blockHeadSize || off+int64(len(b)) >= s.limit {
				return blockHead{}, ragged, nil
			}
			off += int64(len(b) - len(marker{}) + 1)
			continue
		}
		off += int64(i)
		if b, err = s.view(off, blockHeadSize); err != nil {
			return blockHead{}, 0, err
		}
		if h, ok := parseBlockHead(b, s.head.marker); ok && off+blockHeadSize+int64(h.size) <= s.limit {
			s.off, s.jumped = off, true
			return h, ready, nil
		}
		off++
	}
}

// skip passes the block that peek found.
func (s *scanner) skip(h blockHead) {
	s.off += blockHeadSize + int64(h.size)
	s.jumped = false
}

// body returns the block that peek found, or false if it is damaged, and passes it.
func (s *scanner) body(h blockHead) ([]byte, bool, error) {
	b, err := s.view(s.off+blockHeadSize, int(h.size))
	if err != nil {
		return nil, false, err
	}
	ok := len(b) == int(h.size) && crc(b) == h.crc
	s.skip(h)
	return b, ok, nil
}
