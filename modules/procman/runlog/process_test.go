package runlog

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain lets the test be the other process: a writer that is killed in the middle.
func TestMain(m *testing.M) {
	if dir := os.Getenv("RUNLOG_WRITE_TO"); dir != "" {
		l, err := Open(dir, Options{MaxBytes: 20_000, MaxFiles: 1 << 20, Compress: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		w := l.Writer("other", Out)
		var b []byte
		for { // until it is killed
			b = b[:0]
			n := l.Next()
			for i := range n%50 + 1 {
				b = fmt.Appendf(b, "line %d\n", n+i)
			}
			if _, err := w.Write(b); err != nil {
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

func TestOtherProcess(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		begin := uint64(1)
		if records := all(t, ReadDir(dir, Query{Tail: 1})); len(records) > 0 {
			begin = records[0].Sequence + 1
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "RUNLOG_WRITE_TO="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// A reader sees the lines of a folder that another process is writing, rotating and compressing.
		c := ReadDir(dir, Query{From: begin, Follow: true})
		for seq := begin; seq < begin+20_000; {
			r, err := c.Next(t.Context())
			if err != nil || r.Sequence != seq {
				t.Fatalf("at %d: %+v %v", seq, r, err)
			}
			if seq++; r.Gap != nil {
				if r.Gap.Reason != Torn || r.Gap.To != r.Gap.From {
					t.Fatalf("at %d: %+v", seq, *r.Gap)
				}
			} else if string(r.Data) != fmt.Sprint("line ", r.Sequence) {
				t.Fatalf("%d is %q", r.Sequence, r.Data)
			}
		}
		c.Close()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
	}
	// What is left after three kills is whole.
	l := open(t, dir, Options{MaxFiles: 1 << 20})
	next := uint64(1)
	for _, r := range all(t, l.Read(Query{})) {
		if r.Sequence != next || r.Gap == nil && !strings.HasPrefix(string(r.Data), "line ") || r.Gap != nil && r.Gap.Reason != Torn {
			t.Fatalf("%d: %+v", next, r)
		}
		next++
	}
	if next != l.Next() {
		t.Fatalf("read to %d of %d", next, l.Next())
	}
}
