package seglog_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memlog"
	"github.com/bop-platform/bop/modules/seglog"
)

// step is a call of a store.
type step struct {
	durable bool // it is on disk when it returns
	do      func(raft.LogStore) error
}

// workload draws rounds, compactions, cuts and removals of four groups. The entries are long enough for several files.
func workload(seed uint64, n int) (list []step) {
	random := rand.New(rand.NewPCG(seed, 1))
	model := memlog.NewMemory()
	add := func(durable bool, do func(raft.LogStore) error) {
		if err := do(model); err != nil {
			panic(err)
		}
		list = append(list, step{durable, do})
	}
	term := uint64(1)
	for len(list) < n {
		term += uint64(random.IntN(2))
		var round []raft.Update
		for g := raft.GroupID(1); g <= 4; g++ {
			start, last, err := model.Bounds(g)
			if err != nil {
				panic(err)
			}
			switch u := (raft.Update{Group: g}); {
			case last == 0 && g != 3: // 3 has no beginning: its entries are there from the first on
				round = append(round, raft.Update{Group: g, Snapshot: raft.Position{Index: 1, Term: 1}, Members: members(1, uint64(g)), HardState: &raft.HardState{Term: 1, Commit: 1}})
			case g == 4 && random.IntN(6) > 0: // is idle for the most part
			case random.IntN(9) == 0:
				at := raft.Position{Index: last + uint64(random.IntN(5)), Term: term}
				u.Snapshot, u.Members = at, members(2, at.Index)
				u.HardState = &raft.HardState{Term: term, Commit: at.Index}
				round = append(round, u)
			default:
				first := last + 1
				if random.IntN(4) == 0 {
					first = max(start.Index+1, first-min(first, uint64(random.IntN(4)))) // in the place of others
				}
				u.Entries = row(g, first, first+uint64(random.IntN(4)), term, random.IntN(3000))
				u.HardState = &raft.HardState{Term: term, Vote: uint64(random.IntN(3)), Commit: start.Index}
				round = append(round, u)
			}
		}
		add(true, func(s raft.LogStore) error { return s.Write(round) })
		switch g := raft.GroupID(1 + random.IntN(3)); random.IntN(5) {
		case 0, 1, 2:
			start, last, err := model.Bounds(g)
			if err != nil {
				panic(err)
			}
			if index := start.Index + (last-start.Index)*2/3; index > start.Index {
				add(false, func(s raft.LogStore) error { return s.Compact(g, index, members(1, index)) })
			}
		case 3:
			if random.IntN(4) == 0 {
				add(true, func(s raft.LogStore) error { return s.Remove(g) })
			}
		}
	}
	return list
}

// TestAtWhateverOperationTheMachineCrashesEachRoundIsThereOrNot runs a workload that crashes at each of its operations, and
// holds what the disk may have then against a store in memory.
func TestAtWhateverOperationTheMachineCrashesEachRoundIsThereOrNot(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("workload %d", seed), func(t *testing.T) {
			t.Parallel()
			steps := workload(seed, 45)
			states := []contents{{}}
			model := memlog.NewMemory()
			for i, x := range steps {
				if err := x.do(model); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				c, err := read(model)
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, c)
			}
			crashes, cut := 0, false
			for at := 1; ; at++ {
				disk := crashfs.New()
				disk.CrashAt(at)
				done, head := run(steps, disk)
				if !disk.Crashed() {
					if cut = head > 1; done < len(steps) {
						t.Fatalf("step %d failed without a crash", done)
					}
					break
				}
				crashes++
				for _, mode := range []crashfs.Mode{crashfs.Lost, crashfs.Mode(1 + at%3)} {
					recovered(t, fmt.Sprintf("operation %d, %s", at, mode), disk.Image(mode, uint64(at)), steps, states, done)
				}
			}
			if crashes < 80 || !cut {
				t.Errorf("%d crashes, head was cut: %v", crashes, cut)
			}
		})
	}
}

// run does the steps until one fails, and returns how many were done and where the parent begins.
func run(steps []step, disk *crashfs.FS) (done int, head uint64) {
	s, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(disk), CacheBytes: 4000})
	if err != nil {
		return 0, 0
	}
	defer s.Close()
	for done < len(steps) && steps[done].do(s) == nil {
		done++
	}
	first, _ := s.AOF().Bounds()
	return done, uint64(first)
}

// recovered opens what a crash has left after so many steps: it has to be in a state that the steps allow, and go on.
func recovered(t *testing.T, when string, disk *crashfs.FS, steps []step, states []contents, done int) {
	t.Helper()
	s, err := seglog.OpenStore("/log", seglog.StoreOptions{AOF: small(disk), CacheBytes: 1})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer s.Close()
	got, err := read(s)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	// The step that was under way may have had its effect; compactions need none before the next round.
	why := got.differs(states[done])
	if why != "" && done < len(steps) && got.differs(states[done+1]) == "" {
		why, done = "", done+1
	}
	for i := done; why != "" && i > 0 && !steps[i-1].durable; i-- {
		if got.differs(states[i-1]) == "" {
			why = ""
		}
	}
	if why != "" {
		t.Fatalf("%s, after %d steps: %s", when, done, why)
	}
	for i := done; i > 0 && !steps[i-1].durable; i-- {
		if err := steps[i-1].do(s); err != nil {
			t.Fatalf("%s: compacting once more: %v", when, err)
		}
	}
	for i := done; i < min(done+2, len(steps)); i++ {
		if err := steps[i].do(s); err != nil {
			t.Fatalf("%s: step %d after recovery: %v", when, i, err)
		}
	}
	if got, err = read(s); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if why := got.differs(states[min(done+2, len(steps))]); why != "" {
		t.Fatalf("%s: two steps after recovery: %s", when, why)
	}
}

// writerFolder tells a process of this test that it is the one that gets killed.
const writerFolder = "SEGLOG_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerFolder); dir != "" {
		fmt.Println(writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes and compacts, and prints each round after it was acknowledged.
func writeUntilKilled(dir string) error {
	s, err := seglog.OpenStore(dir, seglog.StoreOptions{AOF: small(nil)})
	if err != nil {
		return err
	}
	_, last, err := s.Bounds(1)
	for err == nil {
		round := last/4 + 1
		err = s.Write([]raft.Update{
			{Group: 1, Entries: row(1, last+1, last+4, round, 500), HardState: &raft.HardState{Term: round, Commit: last}},
			{Group: 2, Entries: row(2, 1, 1, round, 10)},
		})
		if err == nil && round%8 == 0 {
			err = s.Compact(1, last-10, nil)
		}
		last += 4
		fmt.Println(round)
	}
	return err
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		acknowledged := killAfter(t, dir, 40)
		s := openStore(t, dir, nil)
		c, err := read(s)
		if err != nil {
			t.Fatal(err)
		}
		one, two := c[1], c[2]
		if one.last%4 != 0 || one.last/4 < acknowledged {
			t.Fatalf("%d entries; %d rounds of 4 were acknowledged", one.last, acknowledged)
		}
		for i, e := range one.entries {
			index := one.start.Index + uint64(i) + 1
			if !sameEntry(e, entry(1, index, (index+3)/4, 500)) {
				t.Fatalf("entry %d is %v", index, e)
			}
		}
		// What was written together is there together.
		if want := (raft.HardState{Term: one.last / 4, Commit: one.last - 4}); one.hard != want {
			t.Fatalf("hard state %+v, want %+v", one.hard, want)
		}
		if !slices.EqualFunc(two.entries, row(2, 1, 1, one.last/4, 10), sameEntry) {
			t.Fatalf("the other group has %v, want that of round %d", two.entries, one.last/4)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts a process that writes, and kills it when some more rounds were acknowledged. It returns the last.
func killAfter(t *testing.T, dir string, rounds int) (last uint64) {
	t.Helper()
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), writerFolder+"="+dir)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if last, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Errorf("the writer says %q", lines.Text())
			break
		}
		if n == rounds {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	writer.Process.Kill() // again, if it went wrong
	writer.Wait()         // it was killed
	if last == 0 {
		t.Fatal("the writer acknowledged nothing")
	}
	return last
}
