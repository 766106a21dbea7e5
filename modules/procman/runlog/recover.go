package runlog

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// recover finds out what the folder has, and cuts off what a killed process left incomplete.
func (l *Log) recover() error {
	files, temporary, err := list(l.dir)
	if err != nil {
		return err
	}
	for _, name := range temporary {
		if err := remove(filepath.Join(l.dir, name)); err != nil {
			return err
		}
	}
	for i := range files {
		f := &files[i]
		if f.raw && f.zst {
			// It got its name when it was complete and on disk; only the removal of the raw one is missing.
			if err := remove(rawPath(l.dir, f.first)); err != nil {
				return err
			}
			f.raw = false
		}
		created, err := l.created(*f)
		if err != nil {
			return err
		}
		l.files = append(l.files, kept{first: f.first, created: created, synced: f.zst})
	}
	if len(files) > 0 {
		if err := l.recoverLast(files[len(files)-1]); err != nil {
			return err
		}
	}
	l.prune(l.o.Clock())
	if l.recordGap() != nil {
		// The disk is full; it waits for the next write.
		l.o.Logger.Warn("run log cannot record yet that its end was torn", "dir", l.dir)
	}
	return nil
}

// created tells when a file was begun. A damaged header doesn't; its last change is later, so nothing is removed early.
func (l *Log) created(f listed) (time.Time, error) {
	b, err := peekHeader(l.dir, f)
	if err != nil {
		return time.Time{}, err
	}
	path := zstPath(l.dir, f.first)
	if f.raw {
		path = rawPath(l.dir, f.first)
	}
	h, ok, err := parseFileHeader(b, filepath.Base(path))
	if err != nil {
		return time.Time{}, err
	}
	if ok {
		return time.Unix(0, h.created), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// recoverLast finds the end of the last file, and makes it the active one if that is possible.
func (l *Log) recoverLast(f listed) error {
	s, err := openScanner(l.dir, f.first)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.grow(-1); err != nil {
		return err
	}
	l.written = f.first
	var st state
	blocks := 0
	for {
		var h blockHead
		if h, st, err = s.peek(); err != nil {
			return err
		}
		if st != ready {
			break
		}
		// A damaged body stays where it is: its head tells readers what they miss.
		if h.end() > l.written {
			l.written = h.end()
		}
		blocks++
		s.skip(h)
	}
	l.next = l.written
	if st != clean {
		l.o.Logger.Warn("run log had an incomplete end", "dir", l.dir, "sequence", l.written, "bytes", s.limit-s.off)
		if s.limit > fileHeaderSize || !f.raw {
			l.gap = hole{from: l.written, count: 1, reason: Torn}
			l.next++
		}
	}
	switch {
	case blocks == 0 && (!f.raw || !s.sound || s.head.first != f.first):
		// Nothing in it can be read, and the new file gets its name.
		l.files = l.files[:len(l.files)-1]
		return errors.Join(remove(rawPath(l.dir, f.first)), remove(zstPath(l.dir, f.first)))
	case !f.raw:
		return nil // a new file will be begun
	}
	active, err := l.o.open(rawPath(l.dir, f.first), false)
	if err != nil {
		return err
	}
	if st != clean {
		if err := active.Truncate(s.off); err != nil {
			return errors.Join(err, active.Close())
		}
	}
	l.active, l.head, l.size = active, s.head, s.off
	return nil
}
