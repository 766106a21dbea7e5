package coldtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
)

// ledger is what the children have said, all of them.
type ledger struct {
	acked, tried int
	uploaded     sqlite.TXID
	rows         map[sqlite.TXID]int // of the ledger at a transaction
	did          map[string]int
	adopting     bool // the folder was lost, and no child has opened another one yet
}

// at is how many rows there are at a transaction.
func (l *ledger) at(txid sqlite.TXID) (n int) {
	var best sqlite.TXID
	for t, rows := range l.rows {
		if t <= txid && t > best {
			best, n = t, rows
		}
	}
	return n
}

// Children do everything at once and are killed; the next one must find everything that was acknowledged. Now and then
// the folder is lost too: then what was uploaded must be there, and exactly what is said to be.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	r := random(t)
	work, err := os.MkdirTemp("", "coldtest-kills-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(work)
			return
		}
		t.Log("data folder and bucket are kept in", work)
	})
	dir, bucket := filepath.Join(work, "data"), filepath.Join(work, "bucket")
	l := &ledger{rows: map[sqlite.TXID]int{}, did: map[string]int{}}
	begun, lost, tail := time.Now(), 0, 0
	for kill := range *kills {
		k := task{Dir: dir, Bucket: bucket, Acked: l.acked, Tried: l.tried, Missing: l.acked == 0, Seed: r.Uint64()}
		if kill > 3 && r.IntN(6) == 0 && l.uploaded > 0 {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			lost++
			l.adopting = true
		}
		if l.adopting { // also the next one, if this one doesn't come so far
			k.Adopt, k.Acked = true, l.at(l.uploaded)
		}
		before := l.acked
		if err := l.life(t, k, r); err != nil {
			t.Fatalf("after %d kills, %d lost folders: %v", kill, lost, err)
		}
		if k.Adopt {
			tail += max(0, before-l.acked)
		}
	}
	t.Logf("%d kills in %v, %d of them with the folder, which cost %d transactions that weren't uploaded; %d acknowledged ones are there", *kills, time.Since(begun).Round(time.Second), lost, tail, l.acked)
	for _, what := range slices.Sorted(maps.Keys(l.did)) {
		t.Logf("%s: %d", what, l.did[what])
	}
}

// life lets a child live until it is killed.
func (l *ledger) life(t *testing.T, k task, r *rand.Rand) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-log="+fmt.Sprint(*verbose))
	cmd.Env = append(os.Environ(), childTask+"="+string(text))
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe() // whose end it sees if this process ends
	if err != nil {
		return err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Now and then it is killed before it has even opened the database.
	early := r.IntN(6) == 0
	after := time.Duration(r.Int64N(int64(1800 * time.Millisecond)))
	hang := time.AfterFunc(2*time.Minute, func() { cmd.Process.Signal(os.Interrupt) })
	defer hang.Stop()
	killed := make(chan struct{})
	kill := func() {
		time.AfterFunc(after, func() {
			close(killed)
			cmd.Process.Kill()
		})
	}
	if early {
		kill()
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	var wrong error
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			break // it was killed in the middle of a line
		}
		if m.Ready && !early {
			kill()
		}
		if err := l.heard(m, k); err != nil && wrong == nil {
			wrong = err
		}
	}
	err = cmd.Wait()
	select {
	case <-killed:
		return wrong
	default:
	}
	cmd.Process.Kill()
	return fmt.Errorf("a child ended by itself: %w\n%s", err, log.Bytes())
}

// heard takes note of what a child says.
func (l *ledger) heard(m message, k task) error {
	switch {
	case m.Adopted > 0:
		if m.Adopted != m.Head || m.Adopted < l.uploaded {
			return fmt.Errorf("the child says that it has taken over transaction %d, it is at %d, and %d was uploaded", m.Adopted, m.Head, l.uploaded)
		}
		// What came after is lost, and the numbers are given again.
		l.acked, l.tried, l.uploaded = l.at(m.Adopted), max(l.tried, l.at(m.Adopted)), m.Adopted
		maps.DeleteFunc(l.rows, func(t sqlite.TXID, _ int) bool { return t > m.Adopted })
		l.adopting = false
	case m.Ready:
		if k.Adopt && l.adopting { // an earlier child has taken it over, and was killed before it could say so
			l.acked = l.at(l.uploaded)
			maps.DeleteFunc(l.rows, func(_ sqlite.TXID, n int) bool { return n > m.Rows })
		}
		if m.Rows < l.acked {
			return fmt.Errorf("%d rows are there, and %d were acknowledged", m.Rows, l.acked)
		}
		if k.Adopt && !l.adopting && m.Rows > l.acked+1 {
			return fmt.Errorf("%d rows are there, and %d were acknowledged at the transaction that was taken over", m.Rows, l.acked)
		}
		l.acked, l.tried, l.adopting = m.Rows, m.Rows, false
	case m.Tried > 0:
		l.tried = m.Tried
	case m.Acked > 0:
		l.acked, l.rows[m.TXID] = m.Acked, m.Acked
	case m.Uploaded > 0:
		l.uploaded = m.Uploaded
	case m.Did != "":
		l.did[m.Did]++
	}
	return nil
}
