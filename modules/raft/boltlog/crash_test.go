package boltlog_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/boltlog"
)

// writerFolder tells a process of this test that it is the one that gets killed.
const writerFolder = "BOLTLOG_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerFolder); dir != "" {
		fmt.Println(writeUntilKilled(filepath.Join(dir, "raft.db")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes and compacts, and prints each round after it was acknowledged.
func writeUntilKilled(path string) error {
	s, err := boltlog.Open(path, boltlog.Options{})
	if err != nil {
		return err
	}
	_, last, err := s.Bounds(1)
	for err == nil {
		round := last/4 + 1
		var es []*pb.Entry
		for i := range uint64(4) {
			es = append(es, numbered(last+1+i, round))
		}
		hard := raft.HardState{Term: round, Commit: last}
		err = s.Write([]raft.Update{{Group: 1, Entries: es, HardState: &hard}, {Group: 2, Entries: []*pb.Entry{numbered(1, round)}}})
		if err == nil && round%8 == 0 {
			err = s.Compact(1, last-10, nil)
		}
		last += 4
		fmt.Println(round)
	}
	return err
}

func numbered(index, term uint64) *pb.Entry {
	return &pb.Entry{Index: &index, Term: &term, Data: fmt.Appendf(nil, "%d of %d", index, term)}
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		acknowledged := killAfter(t, dir, 20)
		s, err := boltlog.Open(filepath.Join(dir, "raft.db"), boltlog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		start, last, err := s.Bounds(1)
		if err != nil || last%4 != 0 || last/4 < acknowledged {
			t.Fatalf("%d entries, %v; %d rounds of 4 were acknowledged", last, err, acknowledged)
		}
		es, err := s.Entries(1, start.Index+1, last+1, 1<<20)
		if err != nil || uint64(len(es)) != last-start.Index {
			t.Fatalf("%d entries after %d, %v; want %d", len(es), start.Index, err, last-start.Index)
		}
		for _, e := range es {
			if want := numbered(e.GetIndex(), (e.GetIndex()+3)/4); e.GetTerm() != want.GetTerm() || string(e.Data) != string(want.Data) {
				t.Fatalf("entry %v, want %v", e, want)
			}
		}
		// What was written together is there together.
		i, err := s.Initial(1)
		if err != nil || i.HardState.Term != last/4 || i.HardState.Commit != last-4 {
			t.Fatalf("hard state %+v, %v; want that of round %d", i.HardState, err, last/4)
		}
		if term, err := s.Term(2, 1); err != nil || term != last/4 {
			t.Fatalf("the other group is in round %d, %v; want %d", term, err, last/4)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts a process that writes, and kills it when some more rounds were acknowledged. It returns the last.
func killAfter(t *testing.T, dir string, rounds int) uint64 {
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
	var last uint64
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if last, err = strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 64); err != nil {
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
