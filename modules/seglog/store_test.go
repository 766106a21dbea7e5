package seglog_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/logtest"
	"github.com/bop-platform/bop/modules/seglog"
)

func TestTheStoreKeepsTheContractOfLogStores(t *testing.T) {
	for _, cache := range []int{1, 0} {
		t.Run(fmt.Sprintf("with %d bytes of cache", cache), func(t *testing.T) {
			logtest.Run(t, logtest.Store{Open: func(t testing.TB, dir string) raft.LogStore {
				s, err := seglog.OpenStore(dir, seglog.StoreOptions{AOF: small(nil), CacheBytes: cache})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}})
		})
	}
}

func TestTheStoreKeepsTheContractWhenTheMachineLosesWhatWasNotSynced(t *testing.T) {
	var disks sync.Map // by folder
	logtest.Run(t, logtest.Store{
		Open: func(t testing.TB, dir string) raft.LogStore {
			disk, _ := disks.LoadOrStore(dir, crashfs.New())
			s, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(disk.(*crashfs.FS)), CacheBytes: 1})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Crash: func(t testing.TB, _ raft.LogStore, dir string) string {
			disk, _ := disks.Load(dir)
			after := t.TempDir()
			disks.Store(after, disk.(*crashfs.FS).Image(crashfs.Lost, 0))
			return after
		},
	})
}

// TestAFlippedBitIsNeverBelieved flips a bit in each byte of the parent's first files: whoever opens it hears of damage, or
// finds what was written.
func TestAFlippedBitIsNeverBelieved(t *testing.T) {
	const rounds = 12
	disk := crashfs.New()
	s := openStore(t, "/log", disk)
	want := []contents{{}}
	for r := uint64(1); r <= rounds; r++ {
		list := []raft.Update{{Group: 1, Entries: row(1, 2*r-1, 2*r, r, 40), HardState: &raft.HardState{Term: r, Vote: r%3 + 1, Commit: r}}}
		if r%3 == 0 {
			list = append(list, raft.Update{Group: 2, Entries: row(2, r, r, r, 60), Snapshot: raft.Position{Index: r - 1, Term: r}, Members: members(1, r)})
		}
		if err := s.Write(list); err != nil {
			t.Fatal(err)
		}
		c, err := read(s)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, c)
	}
	info := s.AOF().Segments()[0]
	for _, closed := range []bool{false, true} {
		if closed {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		damaged := 0
		for off := int64(0); off < info.Used+64; off++ {
			if off >= 128 && off < 4096 && (off < 2040 || off > 2120) {
				continue // nothing is there
			}
			image := disk.Image(crashfs.Kept, 0)
			image.Flip(info.File, off, uint8(off%8))
			again, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(image)})
			if err != nil {
				var damage *seglog.DamageError
				if !errors.As(err, &damage) || !errors.Is(err, aof.ErrDamaged) || !strings.Contains(err.Error(), "must not vote") {
					t.Fatalf("offset %d: %v", off, err)
				}
				damaged++
				continue
			}
			got, err := read(again)
			if err != nil {
				t.Fatalf("offset %d: %v", off, err)
			}
			why := got.differs(want[rounds])
			if !closed && why != "" {
				// Of the last batch alone nothing behind it says that it was ever on disk.
				why = got.differs(want[rounds-1])
			}
			if why != "" {
				t.Fatalf("offset %d, closed %v: %s", off, closed, why)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if damaged < 100 {
			t.Fatalf("only %d flipped bits were noticed", damaged)
		}
	}
}

func TestIdleGroupsDoNotKeepTheHeadOfTheParent(t *testing.T) {
	tests := map[string]func(g raft.GroupID) []raft.Update{
		"a group that has nothing but its beginning": func(g raft.GroupID) []raft.Update {
			return []raft.Update{begin(g)}
		},
		"a group with a few entries": func(g raft.GroupID) []raft.Update {
			return []raft.Update{begin(g), {Group: g, Entries: row(g, 2, 9, 2, 300), HardState: &raft.HardState{Term: 2, Vote: 3, Commit: 8}}}
		},
		"a group that has voted and never had a log": func(g raft.GroupID) []raft.Update {
			return []raft.Update{{Group: g, HardState: &raft.HardState{Term: 7, Vote: 2}}}
		},
		"a group with entries from the first on": func(g raft.GroupID) []raft.Update {
			return []raft.Update{{Group: g, Entries: row(g, 1, 5, 1, 100), HardState: &raft.HardState{Term: 1, Commit: 2}}}
		},
	}
	for name, updates := range tests {
		t.Run(name, func(t *testing.T) {
			const busy, idle = 1, 200
			disk := crashfs.New()
			s := openStore(t, "/log", disk)
			for g := raft.GroupID(2); g < 2+idle; g++ {
				if err := s.Write(updates(g)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Write([]raft.Update{begin(busy)}); err != nil {
				t.Fatal(err)
			}
			most := 0
			for i := uint64(2); i < 600; i++ {
				u := raft.Update{Group: busy, Entries: row(busy, i, i, 2, 4000), HardState: &raft.HardState{Term: 2, Commit: i}}
				if err := s.Write([]raft.Update{u}); err != nil {
					t.Fatal(err)
				}
				if i%10 == 0 {
					if err := s.Compact(busy, i-1, nil); err != nil {
						t.Fatal(err)
					}
				}
				if i > 300 {
					most = max(most, len(s.AOF().Segments()))
				}
			}
			// 2.4 MB were written, 38 files' worth, and the idle groups have 0.5 MB at most, which is told anew.
			if most > 25 {
				t.Errorf("%d files at a time: something keeps the head", most)
			}
			if first, _ := s.AOF().Bounds(); first < idle {
				t.Errorf("the parent still begins at %d", first)
			}
			want, err := read(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := read(openStore(t, "/log", disk.Image(crashfs.Lost, 0)))
			if err != nil {
				t.Fatal(err)
			}
			if why := got.differs(want); why != "" {
				t.Error(why)
			}
			if n := len(got); n != idle+1 {
				t.Errorf("%d groups, want %d", n, idle+1)
			}
		})
	}
}

// begin is what a host writes when a group begins.
func begin(g raft.GroupID) raft.Update {
	return raft.Update{Group: g, Snapshot: raft.Position{Index: 1, Term: 1}, Members: members(1, 2, 3), HardState: &raft.HardState{Term: 1, Commit: 1}}
}

func TestDurableIsCalledWithTheLastEntryOfEachGroupOfARound(t *testing.T) {
	told := map[raft.GroupID]raft.Position{}
	s, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(crashfs.New()), Durable: func(g raft.GroupID, last raft.Position) { told[g] = last }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write([]raft.Update{begin(1), {Group: 2, Entries: row(2, 1, 4, 3, 10)}, {Group: 3, Entries: row(3, 1, 2, 1, 10)}}); err != nil {
		t.Fatal(err)
	}
	if want := map[raft.GroupID]raft.Position{2: {Index: 4, Term: 3}, 3: {Index: 2, Term: 1}}; fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestAFullDiskIsAnErrorAfterWhichTheRoundMayBeWrittenAgain(t *testing.T) {
	disk := crashfs.New()
	s := openStore(t, "/log", disk)
	if err := s.Write([]raft.Update{begin(1)}); err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(32 << 10)
	round := []raft.Update{{Group: 1, Entries: row(1, 2, 20, 1, 8000)}}
	if err := s.Write(round); !errors.Is(err, raft.ErrRetry) {
		t.Fatalf("%v; want ErrRetry", err)
	}
	if _, last, err := s.Bounds(1); err != nil || last != 1 {
		t.Fatalf("last %d, %v; want 1", last, err)
	}
	disk.SetCapacity(0)
	if err := s.Write(round); err != nil {
		t.Fatal(err)
	}
	if _, last, err := s.Bounds(1); err != nil || last != 20 {
		t.Fatalf("last %d, %v; want 20", last, err)
	}
}
