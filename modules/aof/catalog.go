package aof

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// catalog says which sealed segments there are and where, so that opening a log needn't look at each. It follows what
// happens to the files and objects, and is made anew from them when it is lost.
type catalog struct {
	catalogFile
	known map[uint64]bool // sequences that are in it
	head  Position
}

// catalogEntry is a sealed segment.
type catalogEntry struct {
	manifestEntry
	Closed int64 `json:"closed"`         // nanoseconds since 1970
	Hot    int64 `json:"hot,omitempty"`  // bytes of the segment file, 0: there is none
	Warm   int64 `json:"warm,omitempty"` // of the compressed file
	Cold   int64 `json:"cold,omitempty"` // of the object
}

// openCatalog reads the catalog, if there is one. One that can't be read is made anew with the next change; until then
// the log is what the folder and the bucket hold.
func (l *Log) openCatalog(names []string) (map[uint64]*catalogEntry, error) {
	for _, name := range []string{legacyCatalog, legacyCatalog + damagedSuffix} {
		if slices.Contains(names, name) {
			if err := l.o.FS.Remove(filepath.Join(l.dir, name)); err != nil {
				return nil, fmt.Errorf("aof: removing the catalog of an earlier version: %w", err)
			}
		}
	}
	f, st, err := readCatalog(l.o.FS, l.dir)
	l.catalog = catalog{catalogFile: *f, known: map[uint64]bool{}, head: st.head}
	if bad := (*catalogError)(nil); errors.As(err, &bad) {
		name := filepath.Join(l.dir, catalogName)
		if errors.Is(err, errTorn) {
			l.o.Logger.Info("the catalog is made anew of what the folder and the bucket hold", "file", name, "reason", bad.err)
			return nil, nil
		}
		l.o.Logger.Warn("the catalog can't be read, it is made anew of what the folder and the bucket hold", "file", name, "err", bad.err)
		if err := l.o.FS.Rename(name, name+damagedSuffix); err != nil {
			return nil, fmt.Errorf("aof: putting the damaged catalog aside: %w", err)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("aof: reading the catalog: %w", err)
	}
	for q := range st.entries {
		l.catalog.known[q] = true
	}
	return st.entries, nil
}

// record describes a segment for the catalog. mu is held.
func (s *segment) record() *catalogEntry {
	h := &s.header
	e := &catalogEntry{Closed: s.closed.UnixNano(), manifestEntry: manifestEntry{
		Key: objectKey(h), Sequence: h.sequence, Salt: hex64(h.salt), Base: h.base, Next: s.next, Count: s.count,
		End: s.end, Sum: s.sum, Prev: h.prev, Created: h.created, Bytes: 1,
	}}
	for t, n := range map[Tier]*int64{Hot: &e.Hot, Warm: &e.Warm, Cold: &e.Cold} {
		if f := s.forms[t]; f != nil {
			*n = f.bytes
			e.Bytes = f.bytes
		}
	}
	return e
}

// remember brings the catalog up to what is.
func (l *Log) remember() error {
	l.cataloging.Lock()
	defer l.cataloging.Unlock()
	c := &l.catalog
	whole := c.crowded()
	news := false
	var change catalogChange
	l.mu.Lock()
	if l.moved == nil { // closed
		l.mu.Unlock()
		return nil
	}
	change.Head = l.head
	there := make(map[uint64]bool, len(l.segments))
	for _, s := range l.segments {
		if !s.sealed {
			continue
		}
		there[s.header.sequence] = true
		news = news || s.fresh
		if s.fresh || whole {
			s.fresh = false
			change.Put = append(change.Put, s.record())
		}
	}
	l.mu.Unlock()
	for q := range c.known {
		if !there[q] {
			change.Drop = append(change.Drop, q)
		}
	}
	news = news || len(change.Drop) > 0 || change.Head != c.head
	if c.file == nil {
		news = len(change.Put) > 0 || change.Head != 0
	}
	if !news {
		return nil
	}
	var err error
	if whole {
		change.Drop = nil
		err = c.replace(l.o.FS, l.dir, &change)
	} else {
		err = c.append(&change)
	}
	if err != nil {
		return fmt.Errorf("writing the catalog: %w", err)
	}
	c.head, c.known = change.Head, there
	return nil
}

// known makes a segment of what the catalog says, with the copies that are there: files has the folder's names.
func (l *Log) known(e *catalogEntry, files map[string]bool) *segment {
	s := e.segment(l.dir)
	s.forms[Cold] = nil
	s.closed = time.Unix(0, e.Closed)
	if e.Hot > 0 && files[filepath.Base(s.name)] {
		s.bytes = e.Hot
		s.forms[Hot] = newForm(Hot, s.name, e.Hot)
	}
	if name := warmName(l.dir, e.Sequence); e.Warm > 0 && files[filepath.Base(name)] {
		s.forms[Warm] = newForm(Warm, name, e.Warm)
	}
	if e.Cold > 0 && l.bucket() != nil {
		s.forms[Cold] = newForm(Cold, e.Key, e.Cold)
	}
	s.fresh = (e.Hot > 0) != (s.forms[Hot] != nil) || (e.Warm > 0) != (s.forms[Warm] != nil)
	return s
}
