package aof

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

const (
	catalogName    = "catalog"
	catalogFormat  = 1
	catalogHeader  = 16 // bytes before the first change
	catalogFrame   = 8  // bytes before a change's text
	catalogGarbage = 64 << 10

	// legacyCatalog was the catalog's name when it was a bbolt file. It knows nothing that the folder and the bucket
	// don't tell.
	legacyCatalog = "catalog.db"
)

var catalogMagic = [8]byte{'B', 'O', 'P', 'A', 'O', 'F', 'C', 'T'}

// catalogChange is one write to the catalog: what was sealed or moved, which sequences are gone, and where the log
// begins. Changes are applied in their order; docs/formats/aof.md has the bytes around them.
type catalogChange struct {
	Head Position        `json:"head"`
	Put  []*catalogEntry `json:"put,omitempty"`
	Drop []uint64        `json:"drop,omitempty"`
}

// catalogState is what the changes of a file come to.
type catalogState struct {
	entries map[uint64]*catalogEntry
	head    Position
	sum     uint32 // checksum of the last change, which that of the next one goes on from
	end     int64  // of the last change that could be read
	puts    int64  // entries that were written, replaced ones too
}

// errTorn is what a crash leaves of a change that was being written.
var errTorn = errors.New("its last change was cut off")

// decodeCatalog reads a catalog's file. With an error the state is that of the changes before the place that couldn't be
// read: of those nothing but the head is sure, because later ones may have replaced them.
func decodeCatalog(b []byte) (st catalogState, err error) {
	st = catalogState{entries: map[uint64]*catalogEntry{}, end: catalogHeader}
	if len(b) < catalogHeader || !bytes.Equal(b[:8], catalogMagic[:]) || crc(0, b[:12]) != binary.LittleEndian.Uint32(b[12:]) {
		return st, errors.New("its header isn't one")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != catalogFormat {
		return st, fmt.Errorf("its format is %d, this program knows %d", v, catalogFormat)
	}
	st.sum = binary.LittleEndian.Uint32(b[12:])
	for len(b[st.end:]) > 0 {
		rest := b[st.end:]
		if len(rest) < catalogFrame {
			return st, errTorn
		}
		length := int64(binary.LittleEndian.Uint32(rest))
		if length > int64(len(rest)-catalogFrame) {
			return st, errTorn
		}
		text := rest[catalogFrame : catalogFrame+length]
		sum := crc(crc(st.sum, rest[:4]), text)
		if sum != binary.LittleEndian.Uint32(rest[4:]) {
			if int(length) == len(rest)-catalogFrame {
				return st, errTorn
			}
			return st, fmt.Errorf("checksum mismatch at %d", st.end)
		}
		if err := st.apply(text); err != nil {
			return st, fmt.Errorf("the change at %d: %w", st.end, err)
		}
		st.sum = sum
		st.end += catalogFrame + length
	}
	return st, nil
}

func (st *catalogState) apply(text []byte) error {
	var c catalogChange
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	for _, e := range c.Put {
		if e == nil {
			return errors.New("an entry is missing")
		}
		if err := e.valid(); err != nil {
			return err
		}
		st.entries[e.Sequence] = e
		st.puts++
	}
	for _, q := range c.Drop {
		delete(st.entries, q)
	}
	st.head = max(st.head, c.Head)
	return nil
}

// catalogFile appends changes to the catalog. The zero value writes a whole new file first.
type catalogFile struct {
	file  fsys.File
	sum   uint32
	end   int64
	whole int64 // bytes that a new file took, or about what it would take
}

// readCatalog reads the file of a folder, if there is one, and leaves it open for the changes to come.
func readCatalog(fs fsys.FS, dir string) (*catalogFile, catalogState, error) {
	f := new(catalogFile)
	file, err := fs.OpenFile(filepath.Join(dir, catalogName), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return f, catalogState{}, nil
	}
	if err != nil {
		return f, catalogState{}, err
	}
	size, err := file.Size()
	if err != nil {
		return f, catalogState{}, errors.Join(err, file.Close())
	}
	b := make([]byte, size)
	if _, err := file.ReadAt(b, 0); err != nil && err != io.EOF {
		return f, catalogState{}, errors.Join(err, file.Close())
	}
	st, err := decodeCatalog(b)
	if err != nil {
		return f, st, errors.Join(&catalogError{err}, file.Close())
	}
	f.file, f.sum, f.end = file, st.sum, st.end
	f.whole = size * int64(len(st.entries)) / max(st.puts, 1)
	return f, st, nil
}

// catalogError says that the file's bytes aren't a catalog, other than an error of the file system.
type catalogError struct{ err error }

func (e *catalogError) Error() string { return e.err.Error() }
func (e *catalogError) Unwrap() error { return e.err }

// crowded tells whether replaced changes take more of the file than those that count.
func (f *catalogFile) crowded() bool { return f.file == nil || f.end > 2*f.whole+catalogGarbage }

// frame puts a change behind the checksum sum.
func (c *catalogChange) frame(sum uint32) ([]byte, uint32, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, 0, err
	}
	if len(text) > math.MaxUint32 {
		return nil, 0, fmt.Errorf("a change of %d bytes is too long", len(text))
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, catalogFrame+len(text)), uint32(len(text)))
	sum = crc(crc(sum, b), text)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, text...), sum, nil
}

// append writes a change behind the others. After an error the next write has to be of a whole file.
func (f *catalogFile) append(c *catalogChange) error {
	b, sum, err := c.frame(f.sum)
	if err != nil {
		return err
	}
	if _, err := f.file.WriteAt(b, f.end); err != nil {
		return errors.Join(err, f.close())
	}
	if err := f.file.Sync(); err != nil {
		return errors.Join(err, f.close())
	}
	f.sum = sum
	f.end += int64(len(b))
	return nil
}

// replace writes a new file that has one change, and puts it in the old one's place.
func (f *catalogFile) replace(fs fsys.FS, dir string, c *catalogChange) (err error) {
	if err := f.close(); err != nil {
		return err
	}
	b := append(make([]byte, 0, catalogHeader), catalogMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, catalogFormat)
	sum := crc(0, b)
	b = binary.LittleEndian.AppendUint32(b, sum)
	frame, sum, err := c.frame(sum)
	if err != nil {
		return err
	}
	b = append(b, frame...)
	name := filepath.Join(dir, catalogName)
	file, err := fs.OpenFile(name+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if _, err := file.WriteAt(b, 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := fs.Rename(name+newSuffix, name); err != nil {
		return err
	}
	if err := fs.SyncDir(dir); err != nil {
		return err
	}
	*f = catalogFile{file: file, sum: sum, end: int64(len(b)), whole: int64(len(b))}
	return nil
}

func (f *catalogFile) close() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}
