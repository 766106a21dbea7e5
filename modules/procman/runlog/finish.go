package runlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"
)

// finish forces rotated files to the disk and compresses them, one after the other, until the log is closed. What is
// left then is done when the log is opened again.
func (l *Log) finish() {
	defer close(l.gone)
	for range l.work {
		for {
			l.mu.Lock()
			first, ok := l.unfinished()
			if !ok {
				l.busy = false
				l.idle.Broadcast()
				l.mu.Unlock()
				break
			}
			l.mu.Unlock()
			err := l.finishFile(first)
			l.mu.Lock()
			if err != nil {
				l.o.Logger.Warn("run log cannot finish a rotated file", "dir", l.dir, "error", err)
			}
			there := false
			for i := range l.files {
				if f := &l.files[i]; f.first == first {
					f.synced, f.failed, there = err == nil, err != nil, true
				}
			}
			if !there { // retention was faster
				err = remove(zstPath(l.dir, first))
			} else if err == nil && l.o.Compress {
				err = remove(rawPath(l.dir, first))
			}
			if err != nil {
				l.o.Logger.Warn("run log cannot remove a file", "dir", l.dir, "error", err)
			}
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	l.busy = false
	l.idle.Broadcast()
	l.mu.Unlock()
}

// unfinished is the oldest rotated file that is not finished. mu is held.
func (l *Log) unfinished() (uint64, bool) {
	if l.closed {
		return 0, false
	}
	for i, f := range l.files {
		if last := i == len(l.files)-1; !f.synced && !f.failed && !(last && l.active != nil) {
			return f.first, true
		}
	}
	return 0, false
}

func (l *Log) finishFile(first uint64) error {
	if err := syncPath(rawPath(l.dir, first)); err != nil {
		return err
	}
	if l.o.Compress {
		if err := compress(rawPath(l.dir, first), zstPath(l.dir, first)); err != nil {
			return err
		}
	}
	return syncPath(l.dir)
}

// compress writes the compressed form of a file under its name when it is complete and on disk.
func compress(raw, zst string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("compress %s: %w", raw, err)
		}
	}()
	in, err := os.Open(raw)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // retention was faster
	}
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := zst + tmpSuffix
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(tmp))
		}
	}()
	defer out.Close()
	e, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	if _, err := io.Copy(e, in); err != nil {
		return errors.Join(err, e.Close())
	}
	if err := e.Close(); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(tmp, zst)
}
