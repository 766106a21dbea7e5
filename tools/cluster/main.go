// Command cluster drives a real cluster of servers through crashes, stops, cut and slow networks and full disks while
// clients use it, and checks afterwards what the clients saw: registers are linearizable, money is neither made nor
// lost in any snapshot, acknowledged rows are there once, and all nodes hold the same database.
//
//	cluster -bop bin/bop -duration 2m -faults kill,pause,partition,oneway,slow,disk
//
// A run that fails keeps its data and logs and prints the command that runs it again with the same seed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	o, faults, asJSON := options{}, "", false
	flag.StringVar(&o.binary, "bop", "bin/bop", "the bop binary to run")
	flag.DurationVar(&o.duration, "duration", 2*time.Minute, "how long faults and load go on")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "chooses faults and operations")
	flag.StringVar(&faults, "faults", "kill,pause,partition,oneway,slow,disk", "the faults to choose from; none: load alone")
	flag.IntVar(&o.nodes, "nodes", 3, "how many servers")
	flag.StringVar(&o.dir, "dir", "", "where to make the folder of the run; default: the system's temporary folder")
	flag.BoolVar(&asJSON, "json", false, "print the summary as JSON too")
	flag.Parse()
	if err := o.parse(faults); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	work, err := os.MkdirTemp(o.dir, "bop-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
	s, err := execute(ctx, o, work, os.Stderr)
	if s != nil {
		fmt.Println(s)
		if asJSON {
			json.NewEncoder(os.Stdout).Encode(s)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\ndata and logs are kept in %s\nagain: go run ./tools/cluster -bop %s -duration %v -nodes %d -faults %s -seed %d\n",
			err, work, o.binary, o.duration, o.nodes, faults, o.seed)
		os.Exit(1)
	}
	os.RemoveAll(work)
}

// parse checks the options and picks the faults that the number of nodes allows.
func (o *options) parse(faults string) error {
	if o.nodes < 1 {
		return fmt.Errorf("-nodes %d: a cluster has one node at least", o.nodes)
	}
	if faults == "" || faults == "none" {
		return nil
	}
	for name := range strings.SplitSeq(faults, ",") {
		several, ok := kinds[name]
		if !ok {
			return fmt.Errorf("-faults %s: no such fault; there are kill, pause, partition, oneway, slow and disk", name)
		}
		if !several || o.nodes > 1 {
			o.faults = append(o.faults, name)
		}
	}
	return nil
}

func (r *run) has(kind string) bool { return slices.Contains(r.o.faults, kind) }

// without goes on without a kind of fault and says why.
func (r *run) without(kind, why string) {
	r.logf("no %s faults: %s", kind, why)
	r.o.faults = slices.DeleteFunc(slices.Clone(r.o.faults), func(f string) bool { return f == kind })
}

// String is the summary in one line.
func (s *summary) String() string {
	outcomes, faults := map[string]int{}, 0
	for _, by := range s.Operations {
		for o, n := range by {
			outcomes[o] += n
		}
	}
	for _, n := range s.Faults {
		faults += n
	}
	return fmt.Sprintf("%d operations ok, %d refused, %d unknown; %d faults %v; no writes for %.0f ms (p50), %.0f ms (max); linearizable %s, %d violations, %d lost, %d duplicates, identical %t; %.1fs",
		outcomes["ok"], outcomes["refused"], outcomes["unknown"], faults, s.Faults, s.P50MS, s.MaxMS, s.Linearizable, len(s.Violations),
		len(s.Inserts.Lost), len(s.Inserts.Duplicates), s.Identical, s.Seconds)
}
