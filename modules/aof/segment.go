package aof

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

// indexEvery is how far apart the entries of a segment's sparse index are.
const indexEvery = 64 << 10

// segment is a part of the log, of which there is at least one copy. Log.mu guards the fields below the line; the
// committer alone changes the tail's.
type segment struct {
	name   string    // of its segment file, also when there is none any more
	file   fsys.File // that file, as long as it is written to or scanned
	header segmentHeader
	base   Position
	bytes  int64 // of the segment file

	badCopy   []int64  // offsets of damaged copies of the header, as found when opening
	scarred   bool     // scanning found damage: without a footer the next opening finds it again
	watermark Position // what the segment's own batches prove to be durable, as found by scanning

	// ----
	next   Position // after the last record in the file
	limit  Position // records from here on were truncated; 0: none were
	end    int64    // offset after the last batch
	sum    uint32   // checksum of the last batch
	count  uint64
	marked bool // the last batch is a mark
	sealed bool
	closed time.Time    // when it was sealed, or found so
	index  []indexEntry // nil until a copy is opened, where the catalog told of the segment
	forms  [tiers]*form
	fresh  bool // the catalog doesn't know how it is yet
	pins   int
	bad    bool // moving it failed for damage: it stays where it is
}

func segmentName(dir string, sequence uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x.seg", sequence))
}

func baseName(dir string) string { return filepath.Base(dir) }

// until is the position after the last record that is still valid. Log.mu is held.
func (s *segment) until() Position {
	if s.limit != 0 {
		return min(s.next, s.limit)
	}
	return s.next
}

// entry is the last of the index that isn't behind p.
func (s *segment) entry(p Position) indexEntry {
	k := sort.Search(len(s.index), func(k int) bool { return s.index[k].first > p })
	if k == 0 {
		return indexEntry{s.base, dataStart}
	}
	return s.index[k-1]
}

// note remembers a batch that is in the file. Log.mu is held, or the segment is not shared yet.
func (s *segment) note(h *batchHeader, off int64) {
	if h.count > 0 && (len(s.index) == 0 || off-s.index[len(s.index)-1].off >= indexEvery) {
		s.index = append(s.index, indexEntry{h.first, off})
	}
	s.end = off + h.size()
	s.sum = h.sum
	s.next = h.first + Position(h.count)
	s.count += uint64(h.count)
	s.marked = h.count == 0
}

// fits tells whether a batch and then a footer have room.
func (s *segment) fits(size int64) bool {
	return s.end+size+s.footerRoom(size) <= s.bytes-trailerBytes
}

func (s *segment) footerRoom(size int64) int64 {
	entries := int64(len(s.index)) + 1
	return aligned(footerFixed + 16*entries + 4)
}

// release gives up all copies.
func (s *segment) release() error {
	var errs []error
	for _, f := range s.forms {
		errs = append(errs, f.release())
	}
	return errors.Join(errs...)
}

// hot makes the segment's file its hot form.
func (s *segment) hot() {
	f := newForm(Hot, s.name, s.bytes)
	f.file = s.file
	s.forms[Hot] = f
}

// firstPart is how much smaller than the others a log's first segment is: small enough to be filled with zeros before
// the log is used, as the others are in the background.
const firstPart = 16

// create begins a segment: in a spare file if one is ready, else in a new one. When it returns the segment is on disk
// under its name.
func (l *Log) create(h segmentHeader, need int64) (*segment, error) {
	h.salt, h.created = newSalt(), time.Now().UnixNano()
	whole := l.o.SegmentBytes
	if h.sequence == 1 {
		whole = max(whole/firstPart, min(whole, 64<<10))
	}
	size := max(whole, aligned(dataStart+need+footerFixed+1024+trailerBytes))
	f, from, err := l.spares.get(size)
	if err == nil && h.sequence == 1 {
		if err = writeZeros(f, size, func() bool { return false }); err != nil {
			err = errors.Join(err, f.Close(), ignoreNotExist(l.o.FS.Remove(from)))
		}
	}
	if err != nil {
		return nil, err
	}
	s := &segment{name: segmentName(l.dir, h.sequence), file: f, header: h, base: h.base, next: h.base, end: dataStart, sum: h.prev}
	if s.bytes, err = f.Size(); err == nil {
		err = s.begin(l, from)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("beginning segment %s: %w", s.name, err), f.Close(), ignoreNotExist(l.o.FS.Remove(from)))
	}
	s.hot()
	return s, nil
}

// begin writes the header before the file gets its name: a segment with a name has a header.
func (s *segment) begin(l *Log, from string) error {
	b := s.header.encode()
	for _, off := range []int64{0, headerCopy} {
		if _, err := s.file.WriteAt(b, off); err != nil {
			return err
		}
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	if err := l.o.FS.Rename(from, s.name); err != nil {
		return err
	}
	return l.o.FS.SyncDir(l.dir)
}

// seal writes the footer. It is an index and a summary: a segment without one is read by scanning it.
func (s *segment) seal() error {
	foot := footer{header: s.header, next: s.next, count: s.count, end: s.end, sum: s.sum, index: s.index}
	b := foot.encode()
	if s.end+int64(len(b)) > s.bytes-trailerBytes {
		return fmt.Errorf("no room for the footer of %s", s.name)
	}
	if _, err := s.file.WriteAt(b, s.end); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(encodeTrailer(s.header.salt, s.end, len(b)), s.bytes-trailerBytes); err != nil {
		return err
	}
	return s.file.Sync()
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
