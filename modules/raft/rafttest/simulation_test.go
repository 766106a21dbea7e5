package rafttest

import (
	"flag"
	"fmt"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed alone")
	seeds = flag.Int("seeds", 15, "how many seeds each kind of cluster runs with")
)

func TestClusters(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"three nodes", Options{}},
		{"five nodes", Options{Nodes: 5, Steps: 2000}},
		{"members change", Options{Nodes: 3, Spare: 2, Changes: 60}},
		{"a network that loses much", Options{Loss: 200, Late: 200, Crashes: -1}},
		{"nodes that crash all the time", Options{Crashes: 200, Cuts: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sum Result
			run := func(n uint64) {
				c.o.Seed = n
				r, err := Run(c.o)
				if err != nil {
					t.Fatalf("%v\ngo test ./rafttest -run '%s' -seed %d", err, t.Name(), n)
				}
				sum.Proposed += r.Proposed
				sum.Acknowledged += r.Acknowledged
				sum.Reads += r.Reads
				sum.Snapshots += r.Snapshots
				sum.Crashes += r.Crashes
				sum.Elections += r.Elections
				sum.Superseded += r.Superseded
				sum.Unknown += r.Unknown
			}
			if *seed != 0 {
				run(*seed)
			} else {
				for n := range *seeds {
					run(uint64(n + 1))
				}
			}
			t.Logf("%+v", sum)
			if sum.Acknowledged < sum.Proposed/20 || sum.Reads == 0 {
				t.Errorf("hardly anything was committed: %+v", sum)
			}
		})
	}
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for _, o := range []Options{{Seed: 7}, {Seed: 8, Nodes: 5}, {Seed: 9, Spare: 2}} {
		a, errA := Run(o)
		b, errB := Run(o)
		if a != b || fmt.Sprint(errA) != fmt.Sprint(errB) {
			t.Errorf("%+v, %v\n%+v, %v", a, errA, b, errB)
		}
	}
}
