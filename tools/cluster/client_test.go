package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestClassify(t *testing.T) {
	said := func(code string) error { return fmt.Errorf("doing: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		name string
		err  error
		want outcome
	}{
		{"no error is an acknowledgement", nil, acknowledged},
		{"a conflict did not happen", said("40001"), refused},
		{"a follower's refusal did not happen", said("25006"), refused},
		{"a server that is unavailable did nothing", said("57P03"), refused},
		{"an unknown transaction is unknown", said("08007"), unknown},
		{"an unknown statement is unknown", said("40003"), unknown},
		{"a canceled statement is unknown", said("57014"), unknown},
		{"an error nobody thought of is unknown", said("XX000"), unknown},
		{"a broken connection is unknown", &net.OpError{Op: "read", Err: errors.New("reset")}, unknown},
		{"an answer that didn't come is unknown", context.DeadlineExceeded, unknown},
		{"a COMMIT that rolled back did not happen", pgx.ErrTxCommitRollback, refused},
		{"a transaction that broke before its COMMIT did not happen", fmt.Errorf("%w: %w", errBeforeCommit, context.DeadlineExceeded), refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := classify(c.err); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	t.Run("a connection that wasn't made did nothing", func(t *testing.T) {
		addr, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		_, err = connect(t.Context(), &node{pg: addr}, false, time.Second)
		if got := classify(err); got != refused {
			t.Errorf("%v is %v, want refused", err, got)
		}
	})
}

func TestPulse(t *testing.T) {
	for _, c := range []struct {
		name  string
		beats []int64
		want  time.Duration
	}{
		{"the longest pause between two writes counts", []int64{110, 150, 155}, 45},
		{"writes that never come back count to the end", []int64{101}, 99},
		{"the time before the first write counts", []int64{170, 180, 190}, 70},
		{"beats out of order change nothing", []int64{150, 140, 190}, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p pulse
			p.beat(10)
			p.begin(100)
			for _, at := range c.beats {
				p.beat(at)
			}
			if got := p.end(200); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestSameFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	page := strings.Repeat("a", 4096)
	first, equal := file("1", page+page+page), file("2", page+page+page)
	t.Run("equal files are the same", func(t *testing.T) {
		if err := sameFiles([]string{first, equal}); err != nil {
			t.Error(err)
		}
	})
	t.Run("the page that differs is named", func(t *testing.T) {
		err := sameFiles([]string{first, equal, file("3", page+"b"+page[1:]+page)})
		if err == nil || !strings.Contains(err.Error(), "1 pages of 4 KiB, beginning with [2]") {
			t.Error(err)
		}
	})
	t.Run("a shorter file differs", func(t *testing.T) {
		if err := sameFiles([]string{first, file("4", page)}); err == nil {
			t.Error("no difference found")
		}
	})
}

func TestFaultsOfOneNode(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		in    string
		want  string
	}{
		{"a cluster has all faults", 3, "kill,partition,oneway", "kill partition oneway"},
		{"one node has no network to cut", 1, "kill,partition,oneway,slow,disk", "kill disk"},
		{"none is none", 3, "none", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options{nodes: c.nodes}
			if err := o.parse(c.in); err != nil || strings.Join(o.faults, " ") != c.want {
				t.Errorf("got %v, %v; want %q", o.faults, err, c.want)
			}
		})
	}
	t.Run("a fault that doesn't exist is refused", func(t *testing.T) {
		if err := (&options{nodes: 3}).parse("kill,fire"); err == nil {
			t.Error("no error")
		}
	})
}
