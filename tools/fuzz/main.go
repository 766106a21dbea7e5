// Command fuzz runs every fuzz target of the repository for a while; go test takes only one at a time.
//
//	fuzz -time 1m
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", time.Minute, "for each target")
	only := flag.String("only", "", "part of a package's or target's name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *each, *only); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, each time.Duration, only string) error {
	list, err := exec.CommandContext(ctx, "go", "test", "-list", "^Fuzz", "./modules/aof/...", "./modules/raft/...", "./modules/sqlite/...", "./modules/wire/...", "./modules/procman/...").Output()
	if err != nil {
		return fmt.Errorf("listing the targets: %w", err)
	}
	// go test prints the names of a package's targets and then a line "ok <package> …".
	var targets []string
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Fuzz") {
			targets = append(targets, line)
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "ok" {
			continue
		}
		for _, target := range targets {
			if !strings.Contains(fields[1]+" "+target, only) {
				continue
			}
			fmt.Println("fuzzing", fields[1], target)
			cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", each.String(), "-fuzzminimizetime", "2s", fields[1])
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s in %s: %w", target, fields[1], err)
			}
		}
		targets = nil
	}
	return nil
}
