package boltlog

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// These errors are returned by Open.
var (
	// ErrFormat: the file isn't a log store's, or was written by a newer version.
	ErrFormat = errors.New("boltlog: unknown format")
	// ErrInUse: another store has the file open.
	ErrInUse = errors.New("boltlog: file is in use")
)

// DamageError says that a record of the file isn't what was written. The others can still be read.
type DamageError struct {
	Path  string
	Group raft.GroupID
	Index uint64 // of the entry; 0 for the group's own record
	Err   error
}

func (e *DamageError) Error() string {
	if e.Index == 0 {
		return fmt.Sprintf("boltlog: %s: record of group %d is damaged: %v: remove the group and take it from a peer",
			e.Path, e.Group, e.Err)
	}
	return fmt.Sprintf("boltlog: %s: entry %d of group %d is damaged: %v: remove the group and take it from a peer",
		e.Path, e.Index, e.Group, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// Options of a store. The zero value is useful.
type Options struct {
	// CacheBytes is how much memory the newest entries of each group may take. Default 256 KiB; negative: none are kept.
	CacheBytes int
	// LockTimeout is how long Open waits for another store to close the file. Default 1 s.
	LockTimeout time.Duration

	// openFile replaces os.OpenFile in tests.
	openFile func(name string, flag int, perm os.FileMode) (*os.File, error)
}

func (o Options) bolt() *bolt.Options {
	return &bolt.Options{
		Timeout: o.LockTimeout, FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoStatistics: true,
		OpenFile: o.openFile,
	}
}

var (
	bucketFormat  = []byte("format")
	bucketGroups  = []byte("groups")
	bucketEntries = []byte("entries")
	keyVersion    = []byte("version")
)

// Store is a raft.LogStore in a bbolt file.
type Store struct {
	db   *bolt.DB
	path string
	opts Options
	dead atomic.Bool // closed, or a Write failed

	// writing is held by whoever has a transaction that writes. It guards what follows.
	writing sync.Mutex
	buffer  []byte                    // the records of a transaction, until its end
	doomed  map[raft.GroupID]struct{} // removed, and some of their entries are still in the file

	// mu guards what follows. It is taken after a group's.
	mu     sync.Mutex
	groups map[raft.GroupID]*group
	litter map[raft.GroupID]struct{} // there are entries in the file at or before Start, and the record may be behind
}

var _ raft.LogStore = (*Store)(nil)

// group is what is known of a group: what is in the file, and compactions that aren't there yet.
type group struct {
	id raft.GroupID
	// mu guards what follows. A Write that takes entries away holds it until its transaction has ended. A reader begins
	// its transaction under it: so the transaction sees at least the entries from start to last.
	mu      sync.RWMutex
	hard    raft.HardState
	members *pb.ConfState // never changed in place
	start   raft.Position
	last    uint64
	newest  tail
	// recorded says that the group has a record in the file. Store.writing guards it.
	recorded bool
	// damage is what was wrong with that record when the store was opened. Nothing else is known then.
	damage error
}

// Open opens the store in the file at path, and makes it if there is none; the folder must exist. A group whose record
// is damaged answers with a *DamageError until it is removed. Errors: ErrInUse, ErrFormat.
func Open(path string, o Options) (*Store, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = 256 << 10
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o); err != nil {
			return nil, fmt.Errorf("boltlog: create %s: %w", path, err)
		}
	}
	db, err := bolt.Open(path, 0o600, o.bolt())
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s: stop the process that has it", ErrInUse, path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch),
		errors.Is(err, berrors.ErrChecksum):
		return nil, fmt.Errorf("%w: open %s: %w", ErrFormat, path, err)
	case err != nil:
		return nil, fmt.Errorf("boltlog: open %s: %w", path, err)
	}
	s := &Store{
		db: db, path: path, opts: o,
		doomed: map[raft.GroupID]struct{}{}, groups: map[raft.GroupID]*group{},
		litter: map[raft.GroupID]struct{}{},
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// create makes the file under another name first: a crash doesn't leave half a file at path.
func create(path string, o Options) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(fresh, 0o600, o.bolt())
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketFormat, bucketGroups, bucketEntries} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketFormat).Put(keyVersion, []byte{formatVersion})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// load reads the groups' records, and ends the removals that were begun.
func (s *Store) load() error {
	err := s.db.View(func(tx *bolt.Tx) error {
		format, groups, all := tx.Bucket(bucketFormat), tx.Bucket(bucketGroups), tx.Bucket(bucketEntries)
		if format == nil || groups == nil || all == nil {
			return fmt.Errorf("%w: %s is another program's bbolt file", ErrFormat, s.path)
		}
		if v := format.Get(keyVersion); len(v) != 1 || v[0] != formatVersion {
			return fmt.Errorf("%w: %s has version %x, this program knows %d", ErrFormat, s.path, v, formatVersion)
		}
		c := all.Cursor()
		return groups.ForEach(func(k, v []byte) error {
			return s.loadGroup(k, v, c)
		})
	})
	if err != nil {
		return err
	}
	for g := range s.doomed {
		if err := s.clear(g); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) loadGroup(k, v []byte, c *bolt.Cursor) error {
	if len(k) != groupKeySize {
		return fmt.Errorf("%w: %s: key %x of a group", ErrFormat, s.path, k)
	}
	id, _, _ := splitEntryKey(append(slices.Clone(k), make([]byte, entryKeySize-groupKeySize)...))
	st, err := parseState(k, v)
	if err != nil {
		// The other groups have nothing to do with it, and this one can be removed.
		s.groups[id] = &group{id: id, members: &pb.ConfState{}, damage: &DamageError{Path: s.path, Group: id, Err: err}}
		return nil
	}
	if st.removed {
		s.doomed[id] = struct{}{}
		return nil
	}
	g := &group{id: id, hard: st.hard, members: st.members, start: st.start, last: st.start.Index, recorded: true}
	first, _ := c.Seek(appendEntryKey(nil, id, 0))
	if of, index, ok := splitEntryKey(first); ok && of == id && index <= st.start.Index {
		s.litter[id] = struct{}{}
	}
	last, _ := c.Seek(appendGroupKey(nil, id+1))
	if last == nil || id+1 == 0 {
		last, _ = c.Last()
	} else {
		last, _ = c.Prev()
	}
	if of, index, ok := splitEntryKey(last); ok && of == id && index > st.start.Index {
		g.last = index
	}
	s.groups[id] = g
	return nil
}

// Groups implements raft.LogStore. They are in ascending order.
func (s *Store) Groups() ([]raft.GroupID, error) {
	if s.dead.Load() {
		return nil, raft.ErrLogClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.groups)), nil
}

// Initial implements raft.LogStore.
func (s *Store) Initial(id raft.GroupID) (raft.Initial, error) {
	if s.dead.Load() {
		return raft.Initial{}, raft.ErrLogClosed
	}
	g := s.group(id)
	if g == nil {
		return raft.Initial{Members: &pb.ConfState{}}, nil
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.damage != nil {
		return raft.Initial{}, g.damage
	}
	return raft.Initial{HardState: g.hard, Members: proto.CloneOf(g.members), Start: g.start, Last: g.last}, nil
}

// Bounds implements raft.LogStore.
func (s *Store) Bounds(id raft.GroupID) (start raft.Position, last uint64, err error) {
	if s.dead.Load() {
		return raft.Position{}, 0, raft.ErrLogClosed
	}
	g := s.group(id)
	if g == nil {
		return raft.Position{}, 0, nil
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.start, g.last, g.damage
}

// Compact implements raft.LogStore. Writes delete the entries from the file, some at a time.
func (s *Store) Compact(id raft.GroupID, index uint64, members *pb.ConfState) error {
	if s.dead.Load() {
		return raft.ErrLogClosed
	}
	g := s.group(id)
	if g == nil {
		if index == 0 {
			return nil
		}
		return fmt.Errorf("boltlog: compact group %d to %d: %w", id, index, raft.ErrUnavailable)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if index <= g.start.Index {
		return nil
	}
	term, err := s.term(g, index)
	if err != nil {
		return fmt.Errorf("boltlog: compact: %w", err)
	}
	g.start = raft.Position{Index: index, Term: term}
	if members != nil {
		g.members = proto.CloneOf(members)
	}
	g.newest.drop(index)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.litter[id] = struct{}{}
	return nil
}

// Close implements raft.LogStore. Compactions are durable when it returns nil. Closing again does nothing.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	var err error
	if !s.dead.Load() {
		if p := s.plan(0); !p.idle() {
			err = s.commit(p)
		}
	}
	s.dead.Store(true)
	if err := errors.Join(err, s.db.Close()); err != nil {
		return fmt.Errorf("boltlog: close %s: %w", s.path, err)
	}
	return nil
}

// group returns what is known of a group, nil if it was never written.
func (s *Store) group(id raft.GroupID) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[id]
}
