package runlog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Options configure a log. The zero value is good.
type Options struct {
	// MaxBytes is the size at which a file is rotated. Default 16 MiB. One chunk that is larger gets a larger file.
	MaxBytes int64
	// MaxFiles is how many files are kept, with the one that is written. Default 8.
	MaxFiles int
	// MaxAge is the age at which a file is rotated, by the next write or Tidy. Default: none.
	MaxAge time.Duration
	// Keep is how long records are kept at least; files that are older as a whole are removed at rotation, Open and
	// Tidy. Default: as long as MaxFiles lets them.
	Keep time.Duration
	// Compress makes rotated files zstd.
	Compress bool
	// LineBytes is the longest line in one record; longer ones become several that are Partial. Default 64 KiB, at most
	// 1 MiB.
	LineBytes int
	// Clock stamps records and ages files. Default time.Now.
	Clock func() time.Time
	// Logger is told of gaps, damage and failures of the disk. Default slog.Default().
	Logger *slog.Logger

	open func(path string, create bool) (file, error)
}

func (o *Options) defaults() {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = 8
	}
	if o.LineBytes <= 0 {
		o.LineBytes = 64 << 10
	}
	o.LineBytes = min(o.LineBytes, 1<<20)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.open == nil {
		o.open = openFile
	}
}

// kept is a file of the log.
type kept struct {
	first   uint64
	created time.Time
	synced  bool // on disk as a whole, and compressed if asked for
	failed  bool // that didn't work; it is tried again when the log is opened
}

// Log is what the runs of one process print. Open makes one; Close ends it.
type Log struct {
	dir    string
	o      Options
	folder io.Closer

	// mu guards all below. Writers hold it for one write to the file.
	mu      sync.Mutex
	files   []kept // in order; the last is the one that is written, if active isn't nil
	active  file
	head    fileHeader // of active
	size    int64      // bytes of active that are blocks as a whole; readers go no further
	ragged  bool       // active has bytes behind size that could not be cut yet
	next    uint64     // of the next record
	written uint64     // of the next record in the files; what is between is gap
	gap     hole       // waits to be recorded; count 0: nothing does
	dropped uint64
	closed  bool
	refused bool // the last rotation failed; said once
	scratch []byte

	changed chan struct{} // closed when there is more to read
	watched bool          // somebody waits for changed
	writers map[*writer]struct{}

	work chan struct{} // has one element if there may be files to finish; closed by Close
	busy bool          // the finisher works
	idle sync.Cond     // with mu; the finisher stopped working
	gone chan struct{} // closed when the finisher has ended
}

// Open opens the log in folder dir, which is made if it isn't there, and takes it until Close. An incomplete end that a
// killed process left is cut off and becomes a Gap. Errors are ErrLocked, ErrNewerFormat and those of the disk; a disk
// without room is none.
func Open(dir string, o Options) (*Log, error) {
	o.defaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open run log: %w", err)
	}
	folder, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("open run log: %w", err)
	}
	l := &Log{
		dir: dir, o: o, folder: folder, next: 1, written: 1, changed: make(chan struct{}),
		writers: map[*writer]struct{}{}, work: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	l.idle.L = &l.mu
	if err := l.recover(); err != nil {
		if l.active != nil {
			l.active.Close()
		}
		folder.Close()
		return nil, fmt.Errorf("open run log in %s: %w", dir, err)
	}
	l.busy = true
	l.work <- struct{}{}
	go l.finish()
	return l, nil
}

// Dropped is how many records the disk did not take since the log was opened.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Next is the number that the next record gets.
func (l *Log) Next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Sync forces what was written to the disk, with a gap that waits to be recorded.
func (l *Log) Sync() error {
	l.mu.Lock()
	err := l.recordGap()
	var files []uint64
	for _, f := range l.files {
		if !f.synced {
			files = append(files, f.first)
		}
	}
	l.mu.Unlock()
	// By name, because a file that is rotated meanwhile is closed; what is gone was compressed and synced, or removed.
	for _, first := range files {
		if e := syncPath(rawPath(l.dir, first)); e != nil {
			err = errors.Join(err, fmt.Errorf("sync run log: %w", e))
		}
	}
	if e := syncPath(l.dir); e != nil {
		err = errors.Join(err, fmt.Errorf("sync run log: %w", e))
	}
	return err
}

// Tidy does what only time brings about: it rotates a file older than MaxAge, removes those older than Keep, and tries
// to record a gap. Writes do so too; call it now and then for processes that are silent.
func (l *Log) Tidy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	var err error
	now := l.o.Clock()
	if l.active != nil && l.size > fileHeaderSize && l.aged(now) {
		err = l.rotate(now)
	}
	l.prune(now)
	return errors.Join(err, l.recordGap())
}

// Close ends the writers with what they have of a line, syncs the files and gives the folder free. Followers get the
// rest and then io.EOF. The error tells of a gap that could not be recorded, or of a failed sync.
func (l *Log) Close() error {
	l.mu.Lock()
	var writers []*writer
	for w := range l.writers {
		writers = append(writers, w)
	}
	l.mu.Unlock()
	for _, w := range writers {
		w.Close()
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	close(l.work)
	l.mu.Unlock()
	<-l.gone

	err := l.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active != nil {
		err = errors.Join(err, l.active.Close())
		l.active = nil
	}
	l.announce(true)
	return errors.Join(err, l.folder.Close())
}

// announce wakes who waits for more. mu is held.
func (l *Log) announce(always bool) {
	if l.watched || always {
		close(l.changed)
		l.changed = make(chan struct{})
		l.watched = false
	}
}
