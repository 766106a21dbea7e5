package aof

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

const catalogName = "catalog.db"

var (
	catalogSegments = []byte("segments-1")
	catalogMeta     = []byte("meta-1")
	catalogHead     = []byte("head")
)

// catalog is a bbolt file that says which sealed segments there are and where, so that opening a log needn't look at
// each. It follows what happens to the files and objects, and is made anew from them when it is lost. On file systems
// other than the operating system's there is none.
type catalog struct {
	db    *bbolt.DB
	known map[uint64]bool // sequences that are in it
	head  Position
}

// catalogEntry is a sealed segment, as JSON under its sequence (8 bytes, big-endian).
type catalogEntry struct {
	manifestEntry
	Closed int64 `json:"closed"`         // nanoseconds since 1970
	Hot    int64 `json:"hot,omitempty"`  // bytes of the segment file, 0: there is none
	Warm   int64 `json:"warm,omitempty"` // of the compressed file
	Cold   int64 `json:"cold,omitempty"` // of the object
}

// openCatalog opens or makes the catalog and reads it. A damaged one is put aside.
func (l *Log) openCatalog() (map[uint64]*catalogEntry, error) {
	entries := map[uint64]*catalogEntry{}
	l.catalog.known = map[uint64]bool{}
	if l.o.FS != fsys.OS {
		return entries, nil
	}
	name := filepath.Join(l.dir, catalogName)
	err := l.catalog.load(name, entries)
	if err == nil {
		return entries, nil
	}
	l.o.Logger.Warn("the catalog can't be read, it is made anew of what the folder and the bucket hold", "file", name, "err", err)
	l.catalog.close()
	if err := os.Rename(name, name+".damaged"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("aof: putting the damaged catalog aside: %w", err)
	}
	clear(entries)
	if err := l.catalog.load(name, entries); err != nil {
		return nil, fmt.Errorf("aof: making the catalog: %w", err)
	}
	return entries, nil
}

func (c *catalog) load(name string, entries map[uint64]*catalogEntry) (err error) {
	// bbolt panics at some damage, and follows some out of the memory that the file is mapped to.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	c.known, c.head = map[uint64]bool{}, 0
	if c.db, err = bbolt.Open(name, 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true}); err != nil {
		return err
	}
	return c.db.Update(func(tx *bbolt.Tx) error {
		segments, err := tx.CreateBucketIfNotExists(catalogSegments)
		if err != nil {
			return err
		}
		meta, err := tx.CreateBucketIfNotExists(catalogMeta)
		if err != nil {
			return err
		}
		if b := meta.Get(catalogHead); len(b) == 8 {
			c.head = Position(binary.BigEndian.Uint64(b))
		}
		return segments.ForEach(func(k, v []byte) error {
			e := new(catalogEntry)
			if err := json.Unmarshal(v, e); err != nil {
				return fmt.Errorf("an entry can't be read: %w", err)
			}
			if err := e.valid(); err != nil || len(k) != 8 || binary.BigEndian.Uint64(k) != e.Sequence {
				return fmt.Errorf("an entry makes no sense: %v", err)
			}
			entries[e.Sequence], c.known[e.Sequence] = e, true
			return nil
		})
	})
}

func (c *catalog) close() error {
	if c.db == nil {
		return nil
	}
	db := c.db
	c.db = nil
	return db.Close()
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
	if c.db == nil {
		return nil
	}
	l.mu.Lock()
	var changed []*catalogEntry
	there := make(map[uint64]bool, len(l.segments))
	for _, s := range l.segments {
		if !s.sealed {
			continue
		}
		there[s.header.sequence] = true
		if s.fresh {
			s.fresh = false
			changed = append(changed, s.record())
		}
	}
	head := l.head
	l.mu.Unlock()
	var gone []uint64
	for q := range c.known {
		if !there[q] {
			gone = append(gone, q)
		}
	}
	if len(changed)+len(gone) == 0 && head == c.head {
		return nil
	}
	err := c.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(catalogSegments)
		for _, q := range gone {
			if err := b.Delete(binary.BigEndian.AppendUint64(nil, q)); err != nil {
				return err
			}
		}
		for _, e := range changed {
			v, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, e.Sequence), v); err != nil {
				return err
			}
		}
		return tx.Bucket(catalogMeta).Put(catalogHead, binary.BigEndian.AppendUint64(nil, uint64(head)))
	})
	if err != nil {
		l.mu.Lock()
		for _, s := range l.segments {
			s.fresh = s.sealed // all is written again at the next time
		}
		l.mu.Unlock()
		return fmt.Errorf("writing the catalog: %w", err)
	}
	c.head = head
	for _, q := range gone {
		delete(c.known, q)
	}
	for _, e := range changed {
		c.known[e.Sequence] = true
	}
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
