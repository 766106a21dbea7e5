// Command bench measures bop against its peers, each pair in the same run on the same machine, and writes what it saw
// as ratios with p50 and p99.
//
//	bench -out docs/benchmarks.md
//	bench -only wire
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

// section is one comparison. It returns Markdown.
type section struct {
	name  string
	title string
	run   func(context.Context, options) (string, error)
}

type options struct {
	bop      string
	duration time.Duration
	rounds   int
	size     int64 // of the databases that are kept in a bucket, in bytes
	stores   *stores
}

var sections = []section{
	{"aof", "Appending to the log", goBench("./modules/aof/...")},
	{"aof-peers", "Appending to the log and to others", appendPeers},
	{"aof-read", "Reading a log from end to end", readSequential},
	{"aof-reopen", "Opening a log of 1 GiB", reopen},
	{"aof-warm", "Random reads of compressed segments", readWarm},
	{"sqlite", "Durable inserts and reads through database/sql", goBench("./modules/sqlite/...")},
	{"raft", "Raft commits, three nodes on one machine", raftCommits},
	{"raft-groups", "Raft commits in many groups, three nodes on one machine", raftGroups},
	{"cluster", "Replicated inserts through PostgreSQL's port", replicatedInserts},
	{"wire", "Point SELECT through PostgreSQL's port", pointSelect},
	{"cold-crypt", "Encryption on against off", cryptCost},
	{"cold-crypt-port", "Encryption on against off, through PostgreSQL's port", cryptCostByPort},
	{"cold-open", "Opening a database on an empty disk", coldOpen},
	{"cold-scan", "A full scan out of a bucket", coldScan},
	{"cold-snapshot", "Commits during a snapshot", coldSnapshot},
	{"cold-restore", "Restoring a database", coldRestore},
	{"cold-budget", "The local disk's bound", coldBudget},
}

func names() (all []string) {
	for _, s := range sections {
		all = append(all, s.name)
	}
	return all
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case openCommand:
			openOnce(os.Args[2:])
			return
		case memberCommand:
			runMember(os.Args[2:])
			return
		}
	}
	var o options
	out := flag.String("out", "", "file to write; default: standard output")
	only := flag.String("only", "", "run one section, or those of a group: cold, "+strings.Join(names(), ", "))
	flag.StringVar(&o.bop, "bop", "bin/bop", "the bop binary")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "of one measurement")
	flag.IntVar(&o.rounds, "rounds", 3, "measurements of each, interleaved; the median counts")
	size := flag.Int64("size", 1<<10, "of the databases of cold, in MiB")
	flag.Parse()
	o.size = *size << 20
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	o.stores = &stores{dir, map[string]stored{}}
	code := write(*out, *only, o)
	os.RemoveAll(dir)
	os.Exit(code)
}

// write runs sections and writes what they say.
func write(out, only string, o options) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var page strings.Builder
	fmt.Fprintf(&page, "# Benchmarks\n\nWritten by `make bench` on %s: %s, %d cores, %s/%s.\nEach table compares in one run on one machine; on shared machines the ratios hold, the absolute numbers don't.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	for _, s := range sections {
		if only != "" && s.name != only && (only != "cold" || !strings.HasPrefix(s.name, "cold-")) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring:", s.title)
		text, err := s.run(ctx, o)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, err)
			return 1
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s", s.title, text)
	}
	if out == "" {
		fmt.Print(page.String())
		return 0
	}
	if err := os.WriteFile(out, []byte(page.String()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// goBench runs a module's own comparisons, the benchmarks whose names begin with Compare.
func goBench(packages string) func(context.Context, options) (string, error) {
	return func(ctx context.Context, o options) (string, error) {
		args := []string{"test", "-run", "^$", "-bench", "^BenchmarkCompare", "-benchtime", o.duration.String(), packages}
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		var kept []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "?") && !strings.HasPrefix(line, "ok") && !strings.HasPrefix(line, "PASS") {
				kept = append(kept, line)
			}
		}
		return fmt.Sprintf("`go %s`\n\n```\n%s```\n", strings.Join(args, " "), strings.Join(kept, "")), nil
	}
}
