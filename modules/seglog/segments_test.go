package seglog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
)

// home is the segment that an entry of the tests belongs to.
func home(index uint64) seglog.SegmentID { return seglog.SegmentID(index*index%7%3 + 1) }

// size is how long it is.
func size(index uint64) int { return int(index*997%6000) + 60 }

// owned are the entries of a segment from first to last.
func owned(seg seglog.SegmentID, first, last uint64) (list []raft.Entry) {
	for i := first; i <= last; i++ {
		if home(i) == seg {
			list = append(list, raft.Entry{Position: raft.Position{Index: i, Term: 2}, Data: entry(1, i, 2, size(i)).Data})
		}
	}
	return list
}

func sameEntries(a, b []raft.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b raft.Entry) bool { return a.Position == b.Position && slices.Equal(a.Data, b.Data) })
}

func TestEntriesComeBackMergedInOrderFromAnyIndex(t *testing.T) {
	const last = 80
	disk := crashfs.New()
	m := mustOpen(t, disk, newLedgers())
	if err := m.begin(); err != nil {
		t.Fatal(err)
	}
	for i := uint64(2); i <= last; i++ {
		if err := m.propose(i, home(i), size(i)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(m *member) {
		t.Helper()
		for from := uint64(0); from <= last+2; from++ {
			got := replayed(t, m.segments, from)
			for seg := seglog.SegmentID(1); seg <= 3; seg++ {
				if !sameEntries(got[seg], owned(seg, max(from, 2), last)) {
					t.Fatalf("from %d: segment %d has %d entries, or others", from, seg, len(got[seg]))
				}
			}
		}
	}
	check(m)
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, disk, m.app.crashed())
	check(again)
	after := mustOpen(t, disk.Image(crashfs.Lost, 0), again.app.crashed())
	check(after)
}

// TestWhereverTheMachineCrashesNoSegmentLosesACommittedEntry crashes at each operation. What the segments' logs lose of
// their unsynced ends is still in the parent.
func TestWhereverTheMachineCrashesNoSegmentLosesACommittedEntry(t *testing.T) {
	const total = 48
	work := func(disk *crashfs.FS, app *ledgers) (acknowledged uint64) {
		m, err := openMember(disk, app)
		if err != nil {
			return 0
		}
		defer m.close()
		if m.begin() != nil {
			return 0
		}
		for i := uint64(2); i <= total; i++ {
			if m.propose(i, home(i), size(i)) != nil {
				return acknowledged
			}
			acknowledged = i
			if i%9 == 0 && m.compact() != nil || i%13 == 0 && m.cover(home(i)) != nil || i%24 == 0 && m.cover(1) != nil {
				return acknowledged
			}
		}
		return acknowledged
	}
	crashes := 0
	for at := 1; ; at++ {
		disk, app := crashfs.New(), newLedgers()
		disk.CrashAt(at)
		acknowledged := work(disk, app)
		if !disk.Crashed() {
			if acknowledged != total {
				t.Fatalf("the workload failed after %d entries", acknowledged)
			}
			break
		}
		crashes++
		for _, mode := range []crashfs.Mode{crashfs.Lost, crashfs.Mode(1 + at%3)} {
			left := app.crashed()
			covered := map[seglog.SegmentID]uint64{}
			for seg, l := range left.list {
				covered[seg] = l.savedAt
			}
			after := disk.Image(mode, uint64(at))
			m, err := openMember(after, left)
			if err != nil {
				t.Fatalf("operation %d, %s: %v", at, mode, err)
			}
			_, last, err := m.store.Bounds(1)
			if err != nil || last < acknowledged || last > acknowledged+1 && acknowledged > 0 {
				t.Fatalf("operation %d, %s: the log ends at %d, %v; %d was acknowledged", at, mode, last, err, acknowledged)
			}
			got := replayed(t, m.segments, 0)
			for seg := seglog.SegmentID(1); seg <= 3; seg++ {
				if !sameEntries(left.get(seg).entries(), owned(seg, 2, last)) {
					t.Fatalf("operation %d, %s: the state machine of segment %d lacks something", at, mode, seg)
				}
				if want := owned(seg, max(covered[seg]+1, 2), last); !endsWith(got[seg], want) {
					t.Fatalf("operation %d, %s: the log of segment %d lacks something", at, mode, seg)
				}
			}
			if err := m.close(); err != nil {
				t.Fatalf("operation %d, %s: %v", at, mode, err)
			}
		}
	}
	if crashes < 80 {
		t.Errorf("only %d crashes", crashes)
	}
}

func endsWith(list, end []raft.Entry) bool {
	return len(list) >= len(end) && sameEntries(list[len(list)-len(end):], end)
}

func TestASegmentThatIsSlowToBeCoveredKeepsItsLogAndNotTheParent(t *testing.T) {
	const last = 800
	disk := crashfs.New()
	m := mustOpen(t, disk, newLedgers())
	if err := m.begin(); err != nil {
		t.Fatal(err)
	}
	files := func(seg int) int {
		names := disk.Files(fmt.Sprintf("/segments/%d/", seg))
		return len(slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".seg") }))
	}
	for i := uint64(2); i <= last; i++ {
		if err := m.propose(i, seglog.SegmentID(i%2+1), 2000); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			if err := m.compact(); err != nil {
				t.Fatal(err)
			}
			if err := m.cover(2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(m.store.AOF().Segments()); n > 8 {
		t.Errorf("the parent has %d files", n)
	}
	// 800 KB each.
	if slow, quick := files(1), files(2); slow < 12 || quick > 3 {
		t.Errorf("%d files of the slow segment, %d of the other", slow, quick)
	}
	check := func(m *member) {
		t.Helper()
		got := replayed(t, m.segments, 0)
		if n := len(got[1]); n != last/2 {
			t.Errorf("%d entries of the slow segment, want %d", n, last/2)
		}
		for _, seg := range []seglog.SegmentID{1, 2} {
			if n := len(m.app.get(seg).entries()); n != (last-int(seg-1))/2 && n != last/2 {
				t.Errorf("the state machine of segment %d has %d entries", seg, n)
			}
		}
	}
	check(m)
	if err := m.cover(2); err != nil {
		t.Fatal(err)
	}
	if slow := files(1); slow < 12 {
		t.Errorf("covering the other segment took %d files of the slow one", 12-slow)
	}
	check(mustOpen(t, disk.Image(crashfs.Lost, 0), m.app.crashed()))
}

func TestASegmentThatIsForgottenIsGone(t *testing.T) {
	disk := crashfs.New()
	m := mustOpen(t, disk, newLedgers())
	if err := m.begin(); err != nil {
		t.Fatal(err)
	}
	for i := uint64(2); i <= 40; i++ {
		if err := m.propose(i, home(i), size(i)); err != nil {
			t.Fatal(err)
		}
	}
	m.app.mu.Lock()
	m.app.gone[2] = true
	delete(m.app.list, 2)
	m.app.mu.Unlock()
	for range 2 { // the second time there is nothing
		if err := m.segments.Forget(2); err != nil {
			t.Fatal(err)
		}
	}
	if names := disk.Files("/segments/2/"); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
	for i := uint64(41); i <= 60; i++ { // some are for the segment that is gone
		if err := m.propose(i, home(i), size(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.compact(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*member{m, mustOpen(t, disk.Image(crashfs.Lost, 0), m.app.crashed())} {
		got := replayed(t, x.segments, 0)
		if got[2] != nil || !sameEntries(got[1], owned(1, 2, 60)) || !sameEntries(got[3], owned(3, 2, 60)) {
			t.Error("Replay gives entries of the segment that is gone, or lacks others")
		}
	}
}

// gate is a disk whose first Sync from closing on waits, and those of the same folder.
type gate struct {
	fsys.FS
	mu      sync.Mutex
	closed  bool
	held    string // the folder
	waiting chan string
	open    chan struct{}
}

type gatedFile struct {
	fsys.File
	g   *gate
	dir string
}

func (g *gate) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	f, err := g.FS.OpenFile(name, flag, perm)
	return gatedFile{f, g, filepath.Dir(name)}, err
}

func (f gatedFile) Sync() error {
	f.g.mu.Lock()
	waits := f.g.closed && (f.g.held == "" || f.g.held == f.dir)
	if waits && f.g.held == "" {
		f.g.held = f.dir
		f.g.waiting <- f.dir
	}
	f.g.mu.Unlock()
	if waits {
		<-f.g.open
	}
	return f.File.Sync()
}

func TestForgettingASegmentWhileOthersAreSyncedFailsNothing(t *testing.T) {
	disk := crashfs.New()
	g := &gate{FS: disk, waiting: make(chan string, 1), open: make(chan struct{})}
	store := openStore(t, "/log", disk)
	o := segmentsOptions(disk, store)
	o.AOF.FS = g
	s, err := seglog.OpenSegments(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Bind(t.Context(), newLedgers()); err != nil {
		t.Fatal(err)
	}
	for i := uint64(2); i <= 3; i++ {
		e := raft.Entry{Position: raft.Position{Index: i, Term: 1}, Data: seglog.Command(seglog.SegmentID(i), []byte("x"))}
		if _, err := s.Apply(t.Context(), []raft.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	synced := make(chan error, 1)
	go func() { synced <- s.Sync(t.Context()) }()
	other := seglog.SegmentID(2)
	if <-g.waiting == "/segments/2" {
		other = 3
	}
	err = s.Forget(other)
	close(g.open)
	if err := errors.Join(err, <-synced); err != nil {
		t.Fatal(err)
	}
	if at, err := s.Applied(); err != nil || at.Index != 3 {
		t.Errorf("applied up to %v, %v; want 3", at, err)
	}
}

func TestDamageInASegmentsLogIsNamedAndTheRestIsRead(t *testing.T) {
	disk := crashfs.New()
	m := mustOpen(t, disk, newLedgers())
	if err := m.begin(); err != nil {
		t.Fatal(err)
	}
	for i := uint64(2); i <= 30; i++ {
		if err := m.propose(i, home(i), 200); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.compact(); err != nil {
		t.Fatal(err)
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	names := disk.Files("/segments/1/")
	file := names[slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".seg") })]
	disk.Flip(file, 4096+300, 3)
	store := openStore(t, "/log", disk)
	s, err := seglog.OpenSegments(t.Context(), segmentsOptions(disk, store))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	err = s.Replay(t.Context(), 0, func(at raft.Position, seg seglog.SegmentID, data []byte) error {
		n++
		if seg != home(at.Index) || !slices.Equal(data, entry(1, at.Index, 2, 200).Data) {
			t.Errorf("entry %d of segment %d is another", at.Index, seg)
		}
		return nil
	})
	var damage *seglog.SegmentDamageError
	if !errors.As(err, &damage) || damage.Segment != 1 || !errors.Is(err, aof.ErrDamaged) {
		t.Errorf("%v; want damage in segment 1", err)
	}
	if n < 25 || n >= 29 {
		t.Errorf("%d of 29 entries were read", n)
	}
}
