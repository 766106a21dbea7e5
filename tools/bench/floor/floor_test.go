package floor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// readAll returns a member's records by their numbers, as far as its file goes.
func readAll(t *testing.T, name string) map[uint64]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]string{}
	for !bytes.Equal(b[:headerBytes], make([]byte, headerBytes)) { // zeros were never written over
		seq, rec, n, err := nextRecord(b)
		if err != nil || n == 0 { // it is being written
			return all
		}
		all[seq] = string(rec)
		b = b[n:]
	}
	return all
}

func path(dir string, member int) string { return filepath.Join(dir, fmt.Sprint("member-", member)) }

// open starts a leader and two followers; records in their files come from the beginning.
func open(t testing.TB, o Options) (*Leader, [2]*Follower, string) {
	t.Helper()
	dir := t.TempDir()
	var followers [2]*Follower
	var addresses [2]string
	for i := range followers {
		f, err := Follow(path(dir, i+1), "127.0.0.1:0", o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		followers[i], addresses[i] = f, f.Addr()
	}
	g, err := Lead(path(dir, local), addresses, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g, followers, dir
}

var small = Options{FileBytes: 4 << 20}

// commit has proposers commit so many records each and returns those that were acknowledged.
func commit(g *Leader, proposers, each int) (acknowledged []string, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for p := range proposers {
		wg.Go(func() {
			for n := range each {
				rec := fmt.Sprintf("proposer %d, record %d", p, n)
				failure := g.Commit([]byte(rec))
				mu.Lock()
				if failure == nil {
					acknowledged = append(acknowledged, rec)
				}
				err = errors.Join(err, failure)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acknowledged, err
}

// copies counts in how many members' files each record is, and checks that no file has a gap.
func copies(t *testing.T, dir string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for m := range members {
		all := readAll(t, path(dir, m))
		for seq := uint64(1); seq <= uint64(len(all)); seq++ {
			rec, ok := all[seq]
			if !ok {
				t.Fatalf("member %d has %d records, but not number %d", m, len(all), seq)
			}
			found[rec]++
		}
	}
	return found
}

func TestWhatIsAcknowledgedIsInTwoFiles(t *testing.T) {
	for _, proposers := range []int{1, 8, 64} {
		t.Run(fmt.Sprint(proposers, " proposers"), func(t *testing.T) {
			g, _, dir := open(t, small)
			acknowledged, err := commit(g, proposers, 2000/proposers)
			if err != nil {
				t.Fatal(err)
			}
			found := copies(t, dir) // while the third may still be writing
			for _, rec := range acknowledged {
				if found[rec] < 2 {
					t.Fatalf("%q was acknowledged and is in %d files", rec, found[rec])
				}
			}
		})
	}
}

func TestNothingIsLostWhenAFollowerIs(t *testing.T) {
	g, followers, dir := open(t, small)
	first, err := commit(g, 8, 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := followers[0].Close(); err != nil {
		t.Fatal(err)
	}
	second, err := commit(g, 8, 20)
	if err != nil {
		t.Fatal("two of three are there:", err)
	}
	found := copies(t, dir)
	for _, rec := range append(first, second...) {
		if found[rec] < 2 {
			t.Fatalf("%q was acknowledged and is in %d files", rec, found[rec])
		}
	}
}

func TestNothingIsAcknowledgedByOneMemberAlone(t *testing.T) {
	g, followers, dir := open(t, small)
	for _, f := range followers {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 20 {
		if err := g.Commit([]byte{byte(n)}); !errors.Is(err, ErrNoMajority) {
			t.Fatalf("commit %d: %v", n, err)
		}
	}
	if n := len(readAll(t, path(dir, 1))); n != 0 {
		t.Fatalf("a follower that was gone has %d records", n)
	}
}

func TestCommitsThatWaitEndWhenTheGroupIsClosed(t *testing.T) {
	g, _, _ := open(t, small)
	g.mu.Lock() // nobody gets on
	ended := make(chan error, 1)
	go func() { ended <- g.Commit([]byte("late")) }()
	g.end(ErrClosed)
	g.mu.Unlock()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIsWrittenOverFromItsBeginning(t *testing.T) {
	g, _, dir := open(t, Options{FileBytes: 4 << 10})
	rec := make([]byte, 1000)
	for n := range 10 {
		rec[0] = byte(n)
		if err := g.Commit(rec); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path(dir, local))
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 4<<10 {
		t.Fatalf("the file has grown to %d bytes", len(b))
	}
	if err := g.Commit(make([]byte, 4<<10)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a record that no file holds: %v", err)
	}
}

func TestBytesThatNoLeaderSendsAreRefused(t *testing.T) {
	good := appendRecord(nil, 7, []byte("seven"))
	flipped := append([]byte(nil), good...)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name  string
		bytes []byte
		whole int
		err   error
	}{
		{"a whole record", good, len(good), nil},
		{"a record and half of one", append(append([]byte(nil), good...), good[:9]...), len(good), nil},
		{"half a record", good[:len(good)-1], 0, nil},
		{"a flipped bit", flipped, 0, errBroken},
		{"an endless length", []byte("\xff\xff\xff\xff            "), 0, errBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, _, err := split(c.bytes)
			if whole != c.whole || !errors.Is(err, c.err) {
				t.Fatalf("%d bytes, %v", whole, err)
			}
		})
	}
}
