package aof

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

const (
	spareSuffix = ".spare"
	newSuffix   = ".new" // of a file that gets its name when it is complete
)

// newSalt draws the number that ties checksums to one use of a segment file.
func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// spares are files ready for the next segments: a durability point into space that was written before takes half the
// time of one that makes the file grow. They are zero-filled ahead, or recycled: the salt keeps old bytes from counting.
type spares struct {
	l     *Log
	mu    sync.Mutex
	ready []string
	made  uint64 // to name files
}

// get opens a file of at least size bytes that has no name in the log yet.
func (p *spares) get(size int64) (f fsys.File, name string, err error) {
	p.mu.Lock()
	if n := len(p.ready); n > 0 {
		name, p.ready = p.ready[n-1], p.ready[:n-1]
	}
	p.mu.Unlock()
	if name == "" {
		name = p.newName()
	}
	if f, err = p.l.o.FS.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, "", fmt.Errorf("opening a segment file: %w", err)
	}
	if err := f.Allocate(size); err != nil {
		return nil, "", errors.Join(fmt.Errorf("reserving %d bytes for a segment: %w", size, err), f.Close(), ignoreNotExist(p.l.o.FS.Remove(name)))
	}
	return f, name, nil
}

func (p *spares) newName() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made++
	return filepath.Join(p.l.dir, fmt.Sprintf("%016x%s", p.made, spareSuffix))
}

// missing tells whether another spare should be made.
func (p *spares) missing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) < p.l.o.Spare
}

// welcome tells whether a file that isn't needed any more is kept. There is room for one more than is made ahead: a new
// segment takes a spare before the head is cut, and if another one was made by then, all files would be filled with zeros
// and none used again.
func (p *spares) welcome() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.l.o.Spare > 0 && len(p.ready) <= p.l.o.Spare
}

// bytes is what the spare files take.
func (p *spares) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.ready)) * p.l.o.SegmentBytes
}

func (p *spares) add(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, name)
}

// recycle keeps a segment file for later, or removes it.
func (p *spares) recycle(file string, bytes int64) error {
	if bytes == p.l.o.SegmentBytes && p.welcome() && p.l.roomForSpare() {
		name := p.newName()
		if err := p.l.o.FS.Rename(file, name); err != nil {
			return err
		}
		if err := p.l.o.FS.SyncDir(p.l.dir); err != nil {
			return err
		}
		p.add(name) // not before the old name is gone for good
		return nil
	}
	return errors.Join(p.l.o.FS.Remove(file), p.l.o.FS.SyncDir(p.l.dir))
}

// find takes over the spare files that an earlier process left, and removes what is too many.
func (p *spares) find(names []string) error {
	var errs []error
	for _, name := range names {
		if !strings.HasSuffix(name, spareSuffix) {
			continue
		}
		var n uint64
		if _, err := fmt.Sscanf(name, "%016x", &n); err == nil {
			p.made = max(p.made, n)
		}
		path := filepath.Join(p.l.dir, name)
		if p.welcome() && p.whole(path) {
			p.ready = append(p.ready, path)
			continue
		}
		errs = append(errs, ignoreNotExist(p.l.o.FS.Remove(path)))
	}
	return errors.Join(errs...)
}

// whole tells whether a spare has its full length: one that a crash interrupted has not.
func (p *spares) whole(path string) bool {
	f, err := p.l.o.FS.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	return err == nil && size == p.l.o.SegmentBytes
}

// preparer is the actor that zero-fills files ahead. A failure (a full disk above all) is logged and tried again at the
// next segment; the committer then takes a file without zeros.
type preparer struct {
	l   *Log
	end ending
}

// prepare asks the preparer to look whether spares are missing.
type prepare struct{}

// Receive handles prepare.
func (p *preparer) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Stopped:
		p.end.reached()
		return
	case prepare:
	default:
		return
	}
	for p.l.spares.missing() && p.l.roomForSpare() && !p.l.stopping.Load() {
		if err := p.fill(); err != nil {
			if !errors.Is(err, fs.ErrClosed) {
				p.l.o.Logger.Warn("preparing a segment file failed", "err", err)
			}
			return
		}
	}
}

// writeZeros fills a file. It ends with fs.ErrClosed when stop says so.
func writeZeros(f fsys.File, size int64, stop func() bool) error {
	zeros := make([]byte, min(1<<20, size))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if stop() {
			return fs.ErrClosed
		}
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// fill makes one spare. It is named a spare only when all of it is written.
func (p *preparer) fill() (err error) {
	name := p.l.spares.newName()
	part := strings.TrimSuffix(name, spareSuffix) + newSuffix
	f, err := p.l.o.FS.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreNotExist(p.l.o.FS.Remove(part)))
		}
	}()
	if err = writeZeros(f, p.l.o.SegmentBytes, p.l.stopping.Load); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := p.l.o.FS.Rename(part, name); err != nil {
		return err
	}
	p.l.spares.add(name)
	p.l.weigh()
	return nil
}
