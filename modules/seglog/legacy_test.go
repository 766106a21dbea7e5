package seglog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memnet"
	"github.com/bop-platform/bop/modules/seglog"
)

// testdata/legacy is what a server without Raft has left: an AOF with 20 records in each of the epochs 1 to 3, of two
// databases, each epoch begun by a record of its own, and the beginning of epoch 4. Its head is cut off in epoch 2.
const (
	legacyFirst = 27
	legacyLast  = 64 // the beginning of epoch 4
)

// legacyRecord is what was written at a position; nil at the beginning of an epoch.
func legacyRecord(at uint64) (seg seglog.SegmentID, data []byte) {
	epoch := (at-1)/21 + 1
	if (at-1)%21 == 0 {
		return 0, nil
	}
	n := at - epoch
	seg = seglog.SegmentID(1 + n*n%5%2)
	data = fmt.Appendf(nil, "epoch %d record %d of database %d ", epoch, n, seg)
	for uint64(len(data)) < 1500+n*n*37%2000 {
		data = append(data, byte('a'+len(data)%26))
	}
	return seg, data
}

// legacyTerm is the epoch that a record names.
func legacyTerm(record []byte) (epoch uint64) {
	_, _ = fmt.Sscanf(string(record), "epoch %d", &epoch)
	return epoch
}

// legacyDisk has the folder on a disk that can crash.
func legacyDisk(t testing.TB) *crashfs.FS {
	t.Helper()
	disk := crashfs.New()
	if err := disk.MkdirAll("/log", 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("testdata/legacy/*")
	if err != nil || len(names) < 3 {
		t.Fatalf("%d files in testdata, %v", len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := disk.OpenFile(filepath.Join("/log", filepath.Base(name)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.SyncDir("/log"); err != nil {
		t.Fatal(err)
	}
	return disk
}

// takeOver opens the folder and takes it over if that wasn't done yet.
func takeOver(disk *crashfs.FS) (*seglog.Store, *seglog.Segments, error) {
	store, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(disk)})
	if err != nil {
		return nil, nil, err
	}
	o := segmentsOptions(disk, store)
	o.LegacyTerm = legacyTerm
	s, err := seglog.OpenSegments(context.Background(), o)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, s, nil
}

// holdsLegacy checks that a group of one begins behind the records, and that they come back at their positions.
func holdsLegacy(t testing.TB, when string, store *seglog.Store, s *seglog.Segments) {
	t.Helper()
	i, err := store.Initial(1)
	if want := (raft.Position{Index: legacyLast, Term: 4}); err != nil || i.Start != want || i.Last != legacyLast {
		t.Fatalf("%s: the group begins at %v and ends at %d, %v; want %v", when, i.Start, i.Last, err, want)
	}
	if want := (raft.HardState{Term: 4, Commit: legacyLast}); i.HardState != want || len(i.Members.Voters) != 1 || i.Members.Voters[0] != 1 {
		t.Fatalf("%s: hard state %+v, members %v", when, i.HardState, i.Members)
	}
	next := uint64(legacyFirst)
	if err := s.Replay(context.Background(), 0, func(at raft.Position, seg seglog.SegmentID, data []byte) error {
		wantSeg, want := legacyRecord(next)
		for ; want == nil; wantSeg, want = legacyRecord(next) {
			next++
		}
		if at.Index != next || seg != wantSeg || !bytes.Equal(data, want) {
			return fmt.Errorf("%d: %.40q of segment %d; want %.40q of segment %d at %d", at.Index, data, seg, want, wantSeg, next)
		}
		next++
		return nil
	}); err != nil || next != legacyLast {
		t.Fatalf("%s: Replay came to %d: %v", when, next, err)
	}
}

func TestALogWithoutRaftIsTakenOverWithItsRecordsAtTheirPositions(t *testing.T) {
	disk := legacyDisk(t)
	before := openStore(t, "/log", disk)
	l, ok := before.Legacy()
	if !ok || l.First != legacyFirst || l.Last != legacyLast || l.Epoch != 4 {
		t.Fatalf("it has %+v, %v", l, ok)
	}
	if groups, err := before.Groups(); err != nil || len(groups) > 0 {
		t.Fatalf("groups %v, %v", groups, err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"taking it over", "opening it again"} {
		store, s, err := takeOver(disk)
		if err != nil {
			t.Fatal(err)
		}
		holdsLegacy(t, when, store, s)
		if _, ok := store.Legacy(); ok {
			t.Errorf("%s: there is still something to take over", when)
		}
		if err := errors.Join(s.Close(), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAtWhateverOperationTakingOverCrashesItIsDoneTheNextTime(t *testing.T) {
	fresh := legacyDisk(t)
	crashes := 0
	for at := 1; ; at++ {
		disk := fresh.Image(crashfs.Lost, 0)
		disk.CrashAt(at)
		if store, s, err := takeOver(disk); err == nil {
			s.Close()     // fails if the crash
			store.Close() // comes this late
		}
		if !disk.Crashed() {
			break
		}
		crashes++
		for mode, image := range disk.Images(2) {
			store, s, err := takeOver(image)
			if err != nil {
				t.Fatalf("operation %d, %s: %v", at, mode, err)
			}
			holdsLegacy(t, fmt.Sprintf("operation %d, %s", at, mode), store, s)
			if err := errors.Join(s.Close(), store.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if crashes < 20 {
		t.Errorf("only %d crashes", crashes)
	}
}

func TestAGroupOfOneGoesOnBehindTheRecordsInAHigherTerm(t *testing.T) {
	store, s, err := takeOver(legacyDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	app := newLedgers()
	if err := s.Bind(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	host, err := raft.NewHost(raft.Options{ID: 1, Log: store, Transport: memnet.New(memnet.Options{}).Host(1), Tick: 5 * time.Millisecond, Logger: quiet, System: system})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	g, err := host.Open(1, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Campaign(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Wait(t.Context(), func(st raft.Status) bool { return st.Leader == 1 }); err != nil {
		t.Fatal(err)
	}
	at, _, err := g.Propose(t.Context(), seglog.Command(2, []byte("the first with Raft")))
	if err != nil || at.Index <= legacyLast || at.Term <= 4 {
		t.Fatalf("proposed at %v, %v", at, err)
	}
	var want []raft.Entry
	for i := uint64(legacyFirst); i < legacyLast; i++ {
		if seg, data := legacyRecord(i); seg == 2 {
			want = append(want, raft.Entry{Position: raft.Position{Index: i}, Data: data})
		}
	}
	want = append(want, raft.Entry{Position: at, Data: []byte("the first with Raft")})
	if got := app.get(2).entries(); !sameEntries(got, want) {
		t.Errorf("the state machine has %d entries, or others; want %d", len(got), len(want))
	}
}

func TestARecordOfNoFormatIsRefused(t *testing.T) {
	tests := map[string]struct {
		record []byte
		newer  bool
	}{
		"a kind of its own":             {[]byte{0, 1, 2}, false},
		"a record that names nobody":    {[]byte{1}, false},
		"a segment that doesn't end":    {[]byte{1, 0x80}, false},
		"a kind of the future":          {[]byte{4, 1, 2}, true},
		"a round with unknown flags":    {[]byte{3, 1, 1, 0x40}, true},
		"a round that ends too early":   {[]byte{3, 2, 1}, false},
		"a round with more behind it":   {[]byte{3, 0, 0}, false},
		"a round about the group 0":     {[]byte{3, 1, 0, 0}, false},
		"nothing":                       {[]byte{}, false},
		"a round that follows no entry": {[]byte{3, 1, 1, 0x10, 9, 0}, false},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			disk := crashfs.New()
			l, err := aof.Open("/log", small(disk))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(t.Context(), c.record, aof.Fsync); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(disk)})
			if err == nil {
				s.Close()
			}
			if err == nil || errors.Is(err, seglog.ErrNewer) != c.newer {
				t.Errorf("%v; newer should be %v", err, c.newer)
			}
		})
	}
}
