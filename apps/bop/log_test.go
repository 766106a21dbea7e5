package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore"
)

// tieredLog makes a log of which two of three segments are in the bucket alone.
func tieredLog(t *testing.T) (dir, cold string) {
	t.Helper()
	root := t.TempDir()
	bucket, err := objstore.OpenDir(filepath.Join(root, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	dir, cold = filepath.Join(root, "log"), "file://"+root+"/bucket"
	l, err := aof.Open(dir, aof.Options{SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler),
		Tiers: aof.Tiers{Bucket: bucket, Hot: aof.Keep{Segments: -1}, Warm: aof.Keep{Segments: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := l.Append(t.Context(), fmt.Appendf(nil, "record %d", i+1), aof.OS); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for l.Stats().Tier[aof.Warm] > 0 || len(l.Segments()[1].Copies) != 1 || l.Segments()[1].Copies[0].Tier != aof.Cold {
		if err := l.WaitUploaded(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, cold
}

func TestLogCommands(t *testing.T) {
	dir, cold := tieredLog(t)
	inspect := func(t *testing.T) (r aof.Report) {
		t.Helper()
		status, out, errs := command(t, "log", "inspect", dir, "--cold", cold, "--json")
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 || errs != "" {
			t.Fatalf("%d, %s, %s, %v", status, out, errs, err)
		}
		return r
	}
	t.Run("inspect shows what is where", func(t *testing.T) {
		r := inspect(t)
		if r.First != 1 || r.Next != 21 || len(r.Segments) != 3 || r.Segments[0].Copies[0].Tier != "cold" || r.Segments[2].Copies[0].Tier != "hot" {
			t.Errorf("%+v", r)
		}
		status, out, _ := command(t, "log", "inspect", dir, "--cold", cold)
		if status != 0 || !strings.Contains(out, "3 segments, positions 1 to 20") {
			t.Errorf("%d\n%s", status, out)
		}
	})
	t.Run("hydrate brings segments back", func(t *testing.T) {
		if status, out, errs := command(t, "log", "hydrate", dir, "3-7", "--cold", cold); status != 0 || !strings.HasPrefix(out, "hydrated: positions 3 to 7") {
			t.Fatalf("%d, %s, %s", status, out, errs)
		}
		if c := inspect(t).Segments[0].Copies; len(c) != 2 || c[0].Tier != "warm" {
			t.Errorf("%+v", c)
		}
	})
	t.Run("seal uploads what was open", func(t *testing.T) {
		l, err := aof.Open(dir, aof.Options{SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), []byte("one more"), aof.Fsync); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if status, out, errs := command(t, "log", "seal", dir, "--cold", cold, "--json"); status != 0 || !strings.Contains(out, `"next":22`) {
			t.Fatalf("%d, %s, %s", status, out, errs)
		}
		if s := inspect(t).Segments[2]; !s.Sealed || len(s.Copies) != 2 && s.Copies[len(s.Copies)-1].Tier != "cold" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("verify finds a flipped bit and ends with status 1", func(t *testing.T) {
		if status, out, errs := command(t, "log", "verify", dir, "--cold", cold); status != 0 || !strings.Contains(out, "are whole") {
			t.Fatalf("%d, %s, %s", status, out, errs)
		}
		name := filepath.Join(dir, "0000000000000001.zst")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[50] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, errs := command(t, "log", "verify", dir, "--cold", cold)
		if status != 1 || !strings.Contains(out, name+" at offset 0: frame 0") || !strings.Contains(out, "positions 1 to 10") || !strings.Contains(errs, "1 findings") {
			t.Errorf("%d, %s, %s", status, out, errs)
		}
	})
	t.Run("what can't be is refused in words", func(t *testing.T) {
		for _, c := range []struct {
			want string
			args []string
		}{
			{"no such file", []string{"inspect", dir + "/nothing"}},
			{"holds no log", []string{"seal", t.TempDir()}},
			{"--cold is missing", []string{"hydrate", dir, "1"}},
			{"are no positions", []string{"hydrate", dir, "7-3", "--cold", cold}},
			{"no kind of bucket", []string{"verify", dir, "--cold", "gs://x"}},
		} {
			if status, _, errs := command(t, append([]string{"log"}, c.args...)...); status == 0 || !strings.Contains(errs, c.want) {
				t.Errorf("%v: %d, %s", c.args, status, errs)
			}
		}
		l, err := aof.Open(dir, aof.Options{SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if status, _, errs := command(t, "log", "verify", dir); status != 1 || !strings.Contains(errs, "is in use: stop the server first") {
			t.Errorf("%d, %s", status, errs)
		}
	})
}
