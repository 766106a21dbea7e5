package boltlog

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
)

func mustOpen(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustWrite(t *testing.T, s *Store, updates ...raft.Update) {
	t.Helper()
	if err := s.Write(updates); err != nil {
		t.Fatal(err)
	}
}

// numbered makes entries of 40 bytes from first to last.
func numbered(first, last, term uint64) []*pb.Entry {
	var es []*pb.Entry
	for i := first; i <= last; i++ {
		index := i
		es = append(es, &pb.Entry{Index: &index, Term: &term, Data: []byte(strings.Repeat("x", 40))})
	}
	return es
}

// tamper changes the file of a store that is closed.
func tamper(t *testing.T, path string, change func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, Options{LockTimeout: time.Second}.bolt())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// flip inverts the last bit of a record.
func flip(b *bolt.Bucket, key []byte) error {
	v := append([]byte{}, b.Get(key)...)
	v[len(v)-1] ^= 1
	return b.Put(key, v)
}

func TestAfterADiskErrorNothingIsTakenUntilTheStoreIsOpenedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	var disk *os.File
	s := mustOpen(t, path, Options{openFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, perm)
		disk = f
		return f, err
	}})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 3, 1)})
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Write([]raft.Update{{Group: 1, Entries: numbered(4, 4, 1)}})
	if !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), path) {
		t.Errorf("write: %v; want what the disk said, and the file", err)
	}
	if err := s.Write(nil); !errors.Is(err, raft.ErrLogClosed) {
		t.Errorf("next write: %v; want ErrLogClosed", err)
	}
	if _, err := s.Entries(1, 1, 4, 1<<20); !errors.Is(err, raft.ErrLogClosed) {
		t.Errorf("read: %v; want ErrLogClosed", err)
	}
	if err := s.Remove(1); !errors.Is(err, raft.ErrLogClosed) {
		t.Errorf("remove: %v; want ErrLogClosed", err)
	}
	s.Close()
	s = mustOpen(t, path, Options{})
	if es, err := s.Entries(1, 1, 4, 1<<20); err != nil || len(es) != 3 {
		t.Errorf("after opening again: %d entries, %v; want 3", len(es), err)
	}
}

func TestADamagedEntryIsNamedAndTheOthersAreReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s := mustOpen(t, path, Options{})
	mustWrite(t, s, raft.Update{Group: 7, Entries: numbered(1, 9, 1)})
	s.Close()
	tamper(t, path, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketEntries)
		return errors.Join(flip(b, appendEntryKey(nil, 7, 4)), b.Delete(appendEntryKey(nil, 7, 8)))
	})
	s = mustOpen(t, path, Options{})
	for _, c := range []struct{ lo, hi, damaged uint64 }{{1, 4, 0}, {1, 5, 4}, {4, 5, 4}, {5, 8, 0}, {5, 10, 8}, {8, 10, 8}, {9, 10, 0}} {
		es, err := s.Entries(7, c.lo, c.hi, 1<<20)
		var d *DamageError
		switch {
		case c.damaged == 0 && (err != nil || uint64(len(es)) != c.hi-c.lo):
			t.Errorf("entries %d to before %d: %d, %v", c.lo, c.hi, len(es), err)
		case c.damaged != 0 && (!errors.As(err, &d) || d.Group != 7 || d.Index != c.damaged ||
			!strings.Contains(err.Error(), path)):
			t.Errorf("entries %d to before %d: %v; want damage of entry %d", c.lo, c.hi, err, c.damaged)
		}
	}
	for index, damaged := range map[uint64]bool{3: false, 4: true, 8: true, 9: false} {
		var d *DamageError
		if _, err := s.Term(7, index); errors.As(err, &d) != damaged {
			t.Errorf("term of entry %d: %v", index, err)
		}
	}
}

func TestAGroupWhoseRecordIsDamagedCanBeRemovedAndTheOthersServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s := mustOpen(t, path, Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 3, 1)}, raft.Update{Group: 2, Entries: numbered(1, 3, 1)})
	s.Close()
	tamper(t, path, func(tx *bolt.Tx) error { return flip(tx.Bucket(bucketGroups), appendGroupKey(nil, 1)) })
	s = mustOpen(t, path, Options{})
	var d *DamageError
	if _, err := s.Initial(1); !errors.As(err, &d) || d.Group != 1 || !errors.Is(err, errChecksum) || !strings.Contains(err.Error(), path) {
		t.Errorf("initial: %v; want damage of group 1", err)
	}
	if _, err := s.Entries(1, 1, 2, 1); !errors.As(err, &d) {
		t.Errorf("entries: %v; want damage", err)
	}
	if _, err := s.Term(1, 1); !errors.As(err, &d) {
		t.Errorf("term: %v; want damage", err)
	}
	mustWrite(t, s, raft.Update{Group: 2, Entries: numbered(4, 4, 1)})
	if err := s.Remove(1); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 1, 2)})
	s.Close()
	s = mustOpen(t, path, Options{})
	for g, want := range map[raft.GroupID]uint64{1: 1, 2: 4} {
		if _, last, err := s.Bounds(g); err != nil || last != want {
			t.Errorf("group %d: last entry %d, %v; want %d", g, last, err, want)
		}
	}
}

func TestARemovalThatACrashInterruptedIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s := mustOpen(t, path, Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 2*clearEntries, 1)}, raft.Update{Group: 2, Entries: numbered(1, 3, 1)})
	if _, err := s.doom(1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = mustOpen(t, path, Options{})
	if gs, err := s.Groups(); err != nil || len(gs) != 1 || gs[0] != 2 {
		t.Errorf("groups %v, %v; want 2", gs, err)
	}
	if n := stored(t, s, 1); n != 0 {
		t.Errorf("%d entries of the removed group are still in the file", n)
	}
}

func TestAGroupIsWrittenAnewBeforeItsRemovalHasEnded(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 100, 1)})
	if _, err := s.doom(1); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 2, 5)})
	if err := s.clear(1); err != nil {
		t.Fatal(err)
	}
	if n := stored(t, s, 1); n != 2 {
		t.Errorf("%d entries in the file; want the 2 new ones", n)
	}
	if term, err := s.Term(1, 2); err != nil || term != 5 {
		t.Errorf("term %d, %v; want 5", term, err)
	}
}

// stored counts the entries of a group that are in the file, those before its start included.
func stored(t *testing.T, s *Store, g raft.GroupID) (n int) {
	t.Helper()
	if err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketEntries).ForEach(func(k, _ []byte) error {
			if of, _, ok := splitEntryKey(k); ok && of == g {
				n++
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWritesDeleteWhatWasCutOffSomeAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s := mustOpen(t, path, Options{})
	const length = sweepEntries + 300
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, length, 1)}, raft.Update{Group: 2, Entries: numbered(1, length, 1)})
	for _, g := range []raft.GroupID{1, 2} {
		if err := s.Compact(g, length-5, &pb.ConfState{}); err != nil {
			t.Fatal(err)
		}
	}
	for left := 2 * length; left > 10; {
		mustWrite(t, s, raft.Update{Group: 3, HardState: &raft.HardState{Commit: uint64(left)}})
		left = max(10, left-sweepEntries)
		if n := stored(t, s, 1) + stored(t, s, 2); n != left {
			t.Fatalf("%d entries in the file, want %d", n, left)
		}
		s.Close() // a store that was opened again goes on
		s = mustOpen(t, path, Options{})
	}
	mustWrite(t, s, raft.Update{Group: 3, HardState: &raft.HardState{}})
	if len(s.litter) != 0 {
		t.Errorf("litter is expected in groups %v, there is none", s.litter)
	}
}

func TestClosingMakesACompactionDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	s := mustOpen(t, path, Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 9, 1)})
	if err := s.Compact(1, 5, &pb.ConfState{Voters: []uint64{3}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path, Options{})
	if i, err := s.Initial(1); err != nil || i.Start.Index != 5 || i.Last != 9 || len(i.Members.Voters) != 1 {
		t.Errorf("%+v, %v; want the log from 5 on", i, err)
	}
}

func TestACompactionDuringAWriteIsDurableWithTheNext(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 9, 1)})
	for _, index := range []uint64{3, 6} {
		// The first is there when the Write begins, the second comes while it is under way.
		s.writing.Lock()
		p := s.plan(sweepEntries)
		if err := p.add(s, raft.Update{Group: 2}); err != nil {
			t.Fatal(err)
		}
		if err := s.Compact(1, index, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.commit(p); err != nil {
			t.Fatal(err)
		}
		s.writing.Unlock()
	}
	if n := stored(t, s, 1); n != 6 {
		t.Errorf("%d entries in the file, want 6: only the first compaction was known when the last Write began", n)
	}
	mustWrite(t, s)
	if n := stored(t, s, 1); n != 3 {
		t.Errorf("%d entries in the file, want 3", n)
	}
}

func TestATailIsNotTakenAwayWhileAReaderIsAboutToReadIt(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 9, 1)})
	g := s.group(1)
	g.mu.RLock() // as a reader that knows the bounds and has no transaction yet
	written := make(chan error)
	go func() { written <- s.Write([]raft.Update{{Group: 1, Entries: numbered(3, 3, 2)}}) }()
	for g.mu.TryRLock() { // until the writer waits
		g.mu.RUnlock()
		runtime.Gosched()
	}
	if n := stored(t, s, 1); n != 9 {
		t.Errorf("%d entries in the file, want 9", n)
	}
	g.mu.RUnlock()
	if err := <-written; err != nil {
		t.Error(err)
	}
	if n := stored(t, s, 1); n != 3 {
		t.Errorf("afterwards %d entries in the file, want 3", n)
	}
}

func TestASnapshotLeavesNoEntriesBehind(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 100, 1)})
	mustWrite(t, s, raft.Update{Group: 1, Snapshot: raft.Position{Index: 60, Term: 2}, Entries: numbered(61, 62, 2)})
	mustWrite(t, s, raft.Update{Group: 2})
	if n := stored(t, s, 1); n != 2 {
		t.Errorf("%d entries in the file, want 2", n)
	}
}

func TestTheFileIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	mustOpen(t, path, Options{})
	i, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", i.Mode())
	}
}

func TestAFileIsOpenOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	mustOpen(t, path, Options{})
	if _, err := Open(path, Options{LockTimeout: time.Millisecond}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v; want ErrInUse", err)
	}
}

func TestClosingTwiceIsNoError(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string){
		"no bbolt file": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("something else ", 2000)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"another program's bbolt file": func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
		},
		"a newer version's": func(t *testing.T, path string) {
			mustOpen(t, path, Options{}).Close()
			tamper(t, path, func(tx *bolt.Tx) error {
				return tx.Bucket(bucketFormat).Put(keyVersion, []byte{formatVersion + 1})
			})
		},
	} {
		path := filepath.Join(t.TempDir(), "raft.db")
		prepare(t, path)
		if _, err := Open(path, Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want ErrFormat and the file", name, err)
		}
	}
}

func TestAFileThatWasNeverFinishedIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	if err := os.WriteFile(path+".new", make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path, Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 1, 1)})
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file is still there: %v", err)
	}
}

func TestTheNewestEntriesTakeBoundedMemory(t *testing.T) {
	const limit = 20 * (40 + entryOverhead)
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{CacheBytes: limit})
	for first := uint64(1); first < 100; first += 7 {
		mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(first, first+6, 1)})
		newest := &s.group(1).newest
		if n := len(newest.entries); newest.bytes > limit || newest.bytes != n*(40+entryOverhead) || n != int(min(20, first+6)) {
			t.Fatalf("after entry %d: %d entries, %d bytes; want at most %d", first+6, n, newest.bytes, limit)
		}
	}
	if err := s.Compact(1, 100, nil); err != nil {
		t.Fatal(err)
	}
	if newest := &s.group(1).newest; len(newest.entries) != 5 || newest.bytes != 5*(40+entryOverhead) {
		t.Errorf("after compaction: %d entries, %d bytes; want 5", len(newest.entries), newest.bytes)
	}
}

func TestReadingTheNewestEntriesDoesNotTouchTheFile(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "raft.db"), Options{})
	mustWrite(t, s, raft.Update{Group: 1, Entries: numbered(1, 9, 1)})
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if es, err := s.Entries(1, 3, 10, 1<<20); err != nil || len(es) != 7 {
		t.Errorf("%d entries, %v; want 7", len(es), err)
	}
	if term, err := s.Term(1, 9); err != nil || term != 1 {
		t.Errorf("term %d, %v; want 1", term, err)
	}
}
