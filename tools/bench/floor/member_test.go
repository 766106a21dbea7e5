package floor

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"testing"
)

func TestARecordIsCommittedWhenTwoMembersHaveIt(t *testing.T) {
	type report struct {
		member int
		seq    uint64
	}
	for _, c := range []struct {
		name     string
		reports  []report
		answered []uint64
	}{
		{"the leader alone", []report{{0, 3}}, nil},
		{"a follower alone", []report{{2, 3}}, nil},
		{"the leader and a follower that is behind", []report{{0, 3}, {1, 2}}, []uint64{1, 2}},
		{"both followers without the leader", []report{{1, 1}, {2, 3}}, []uint64{1}},
		{"all", []report{{0, 3}, {1, 2}, {2, 3}}, []uint64{1, 2, 3}},
		{"a report that comes late", []report{{0, 2}, {1, 2}, {1, 1}, {0, 3}}, []uint64{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &Leader{}
			for seq := uint64(1); seq <= 3; seq++ {
				g.waiting = append(g.waiting, waiter{seq, make(chan error, 1)})
			}
			all := slices.Clone(g.waiting)
			for _, r := range c.reports {
				g.has(r.member, r.seq)
			}
			var answered []uint64
			for _, w := range all {
				select {
				case <-w.done:
					answered = append(answered, w.seq)
				default:
				}
			}
			if !slices.Equal(answered, c.answered) {
				t.Fatalf("answered: %v, want %v", answered, c.answered)
			}
		})
	}
}

// dial starts a follower and connects to it as its leader does.
func dial(t *testing.T, name string) (*Follower, net.Conn) {
	t.Helper()
	f, err := Follow(name, "127.0.0.1:0", Options{FileBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return f, c
}

func TestAFollowerAnswersWithTheLastRecordOfItsFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "member")
	_, c := dial(t, name)
	var answer [8]byte
	for seq := uint64(1); seq <= 5; seq++ {
		if _, err := c.Write(appendRecord(nil, seq, []byte{byte(seq)})); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer[:]); err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint64(answer[:]); got != seq {
			t.Fatalf("the answer to record %d is %d", seq, got)
		}
		if n := len(readAll(t, name)); n != int(seq) {
			t.Fatalf("record %d was answered and the file has %d", seq, n)
		}
	}
}

func TestAFollowerThatCannotWriteAnswersNothing(t *testing.T) {
	f, c := dial(t, filepath.Join(t.TempDir(), "member"))
	if err := f.file.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(appendRecord(nil, 1, []byte("lost"))); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 8)); !errors.Is(err, io.EOF) {
		t.Fatalf("%d bytes of an answer, %v", n, err)
	}
	if err := f.Close(); err == nil {
		t.Fatal("the follower doesn't tell why it ended")
	}
}
