package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	reopenBytes = 1 << 30
	// openCommand makes this program one that opens a log once: openCommand, library, folder, how it ends.
	openCommand = "open-once"
)

// reopen measures how long it takes until a log of 1 GiB can be appended to, in a process of its own each time.
func reopen(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for _, k := range kinds {
		lib, err := k.open(filepath.Join(dir, folder(k.name)))
		if err != nil {
			return "", fmt.Errorf("opening %s: %w", k.name, err)
		}
		rec := record(1<<10, 1)
		if err := errors.Join(fillLog(lib, reopenBytes, 256, func(int) []byte { return rec }), lib.close()); err != nil {
			return "", fmt.Errorf("filling %s: %w", k.name, err)
		}
	}
	states := []struct {
		name   string
		killed bool
		evict  bool
	}{
		{"closed, in the page cache", false, false},
		{"killed, in the page cache", true, false},
		{"killed, on disk", true, true},
	}
	var table strings.Builder
	table.WriteString(`1,048,576 records of 1 KiB. From the call until the log can be appended to, in a new process each time; for etcd's log
that includes reading it, which it requires and which is measured once. A log that was killed had one more record
appended by a process that then ended without closing it.

| log was | log | p50 | p99 | × aof's |
|---|---|---|---|---|
`)
	for _, state := range states {
		took := make([][]time.Duration, len(kinds))
		for n := range 3*o.rounds + 1 {
			for i, k := range kinds {
				if k.name == slowToOpen && (n > 1 || state.evict) {
					continue
				}
				d, err := openInProcess(ctx, k.name, filepath.Join(dir, folder(k.name)), state.killed, state.evict)
				if err != nil {
					return "", fmt.Errorf("opening %s: %w", k.name, err)
				}
				if n > 0 { // the one before ended otherwise
					took[i] = append(took[i], d)
				}
			}
		}
		var base time.Duration
		for i, k := range kinds {
			if len(took[i]) == 0 {
				continue
			}
			slices.Sort(took[i])
			p50, p99 := took[i][len(took[i])/2], took[i][len(took[i])*99/100]
			if i == 0 {
				base = p50
			}
			fmt.Fprintf(&table, "| %s | %s | %v | %v | %.1f |\n", state.name, k.name, p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond), p50.Seconds()/base.Seconds())
		}
	}
	return table.String(), nil
}

// slowToOpen takes seconds and is opened once in each state, from the page cache alone.
const slowToOpen = "etcd wal 3.7.3"

// openInProcess has a new process open a log and returns how long it took there.
func openInProcess(ctx context.Context, name, dir string, kill, evicted bool) (time.Duration, error) {
	if evicted {
		if err := evict(dir); err != nil {
			return 0, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	c := exec.CommandContext(ctx, self, openCommand, name, dir, strconv.FormatBool(kill))
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(strings.TrimSpace(string(out)))
}

// openOnce is what the new process does.
func openOnce(args []string) {
	d, err := timeOpening(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Println(d)
}

func timeOpening(args []string) (time.Duration, error) {
	if len(args) != 3 {
		return 0, fmt.Errorf("usage: %s library folder kill", openCommand)
	}
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == args[0] })
	if i < 0 {
		return 0, fmt.Errorf("no library %q", args[0])
	}
	started := time.Now()
	lib, err := kinds[i].open(args[1])
	took := time.Since(started)
	if err != nil {
		return 0, err
	}
	if err := lib.append([][]byte{record(1<<10, 1)}); err != nil {
		return 0, err
	}
	if args[2] == "true" {
		return took, nil
	}
	return took, lib.close()
}
