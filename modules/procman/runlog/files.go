package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	rawSuffix = ".log"
	zstSuffix = ".log.zst"
	tmpSuffix = ".tmp"
)

// file is the one that is written. It is the seam for tests of what disks do.
type file interface {
	io.WriteCloser
	Truncate(size int64) error
}

// openFile opens a file for appending; create says that it must not exist.
func openFile(path string, create bool) (file, error) {
	flags := os.O_WRONLY | os.O_APPEND
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	return os.OpenFile(path, flags, 0o600)
}

func rawPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x", first)+rawSuffix)
}
func zstPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x", first)+zstSuffix)
}

// firstOf takes the first sequence from the name of a file.
func firstOf(name string) (first uint64, ok bool) {
	digits, suffix, _ := strings.Cut(name, ".")
	if len(digits) != 16 || "."+suffix != rawSuffix && "."+suffix != zstSuffix {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 16, 64)
	return first, err == nil && first > 0
}

// listed is a file in a folder.
type listed struct {
	first    uint64
	raw, zst bool
}

// list returns the files of a folder in order, and the names of temporary ones.
func list(dir string) (files []listed, temporary []string, err error) {
	entries, err := os.ReadDir(dir) // sorted by name, so both forms of a file are neighbours
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), tmpSuffix) {
			temporary = append(temporary, e.Name())
			continue
		}
		first, ok := firstOf(e.Name())
		if !ok {
			continue
		}
		if n := len(files); n == 0 || files[n-1].first != first {
			files = append(files, listed{first: first})
		}
		f := &files[len(files)-1]
		if strings.HasSuffix(e.Name(), zstSuffix) {
			f.zst = true
		} else {
			f.raw = true
		}
	}
	slices.SortFunc(files, func(a, b listed) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return files, temporary, nil
}

// zstReader decodes; memory is bounded because a file may have been put there by anybody.
func zstReader(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
}

// load decodes a compressed file. What comes before damage is returned: its blocks have checksums of their own.
func load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := zstReader(f)
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	defer d.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil {
		b.Grow(int(min(info.Size()*4, 16<<20)))
	}
	if _, err := b.ReadFrom(d); err != nil {
		var disk *fs.PathError
		if errors.As(err, &disk) {
			return nil, fmt.Errorf("decompress %s: %w", path, err)
		}
	}
	return b.Bytes(), nil
}

// peekHeader reads the beginning of a file in either form.
func peekHeader(dir string, f listed) ([]byte, error) {
	path := rawPath(dir, f.first)
	if !f.raw {
		path = zstPath(dir, f.first)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var r io.Reader = file
	if !f.raw {
		d, err := zstReader(file)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	}
	b := make([]byte, fileHeaderSize)
	n, _ := io.ReadFull(r, b) // a short or damaged one is told by its checksum
	return b[:n], nil
}

// syncPath forces a file or a folder to the disk. One that is gone needs it no more.
func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
