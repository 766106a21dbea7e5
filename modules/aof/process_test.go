package aof_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore"
)

// childDir, when set, makes this test program a child that appends to the log there until it is killed.
const childDir = "AOF_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// processOptions are those of a log in dir. If there is a folder beside it for a bucket the log has all tiers.
func processOptions(dir string) aof.Options {
	o := aof.Options{SegmentBytes: 128 << 10, Logger: slog.New(slog.DiscardHandler)}
	if _, err := os.Stat(dir + "-bucket"); err == nil {
		b, err := objstore.OpenDir(dir + "-bucket")
		if err != nil {
			panic(err)
		}
		o.Tiers = aof.Tiers{Bucket: b, Hot: aof.Keep{Segments: 2}, Warm: aof.Keep{Segments: 2}}
	}
	return o
}

// payload is what appender appends as its n-th record.
func payload(run string, appender, n int) []byte {
	line := fmt.Sprintf("%s %d %d ", run, appender, n)
	return bytes.Repeat([]byte(line), 1+n%40)
}

// child appends from eight goroutines and prints each acknowledged position, until it is killed.
func child(dir string) {
	l, err := aof.Open(dir, processOptions(dir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	run := os.Getenv("AOF_TEST_RUN")
	var mu sync.Mutex
	var wg sync.WaitGroup
	for appender := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				p, err := l.Append(context.Background(), payload(run, appender, n), aof.Fsync)
				if err != nil {
					fmt.Println("error", err)
					os.Exit(3)
				}
				mu.Lock()
				fmt.Printf("%d %d %d\n", p, appender, n) // one write: a whole line or none
				mu.Unlock()
			}
		})
	}
	fmt.Println("running")
	wg.Wait()
}

// spawn starts a child on dir.
func spawn(t *testing.T, dir, run string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir, "AOF_TEST_RUN="+run)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

func TestKilledProcess(t *testing.T) {
	t.Run("a hot log", func(t *testing.T) { killed(t, filepath.Join(t.TempDir(), "log"), 5) })
	t.Run("a log with all tiers", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "log")
		if err := os.Mkdir(dir+"-bucket", 0o700); err != nil {
			t.Fatal(err)
		}
		killed(t, dir, 10)
	})
}

// killed kills a process that appends to a log again and again, and checks what it acknowledged.
func killed(t *testing.T, dir string, kills int) {
	acknowledged := map[aof.Position][]byte{}
	for kill := range kills {
		run := fmt.Sprintf("run%d", kill)
		cmd, out := spawn(t, dir, run)
		for lines := 0; ; lines++ {
			if lines == 300+100*kill {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			line, err := out.ReadString('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || strings.HasPrefix(line, "error") {
				t.Fatalf("the child says %q, %v", line, err)
			}
			var p aof.Position
			var appender, n int
			if line == "running\n" {
				continue
			}
			if _, err := fmt.Sscan(line, &p, &appender, &n); err != nil {
				t.Fatalf("the child says %q", line)
			}
			if acknowledged[p] != nil {
				t.Fatalf("position %d was given twice", p)
			}
			acknowledged[p] = payload(run, appender, n)
		}
		_ = cmd.Wait() // it was killed
		if kill%3 == 2 {
			if err := os.Remove(filepath.Join(dir, "catalog")); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		l, err := aof.Open(dir, processOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		if d := l.Damage(); len(d) > 0 {
			t.Fatalf("after kill %d: damage %v", kill, d)
		}
		until(t, l, "the oldest record", func(st aof.Stats) bool { return st.First == 1 })
		for p, want := range acknowledged {
			if got, err := l.ReadAt(t.Context(), p); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("after kill %d: acknowledged position %d: %.20q, %v", kill, p, got, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 1000 {
		t.Fatalf("only %d records were acknowledged", len(acknowledged))
	}
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	cmd, out := spawn(t, dir, "run")
	if line, err := out.ReadString('\n'); err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("the child says %q, %v", line, err)
	}
	if _, err := aof.Open(dir, processOptions(dir)); !errors.Is(err, aof.ErrLocked) {
		t.Fatalf("got %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	_ = cmd.Wait()
	l, err := aof.Open(dir, processOptions(dir))
	if err != nil {
		t.Fatalf("after the other process died: %v", err)
	}
	l.Close()
}
