package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// raftTargets are the shares of the floor's rate that bop's raft is to reach, by proposers.
var raftTargets = map[int]float64{1: 0.75, 64: 0.6, 256: 0.4}

// groupsTarget is the share of one group's rate that many groups are to reach together.
const (
	groupsTarget = 0.7
	manyGroups   = 16
	readers      = 64
	readTarget   = 5.0 // times the rate of one reader
)

// raftCommits compares commits of commands with the floor and with the peer, in turns.
func raftCommits(ctx context.Context, o options) (string, error) {
	var table strings.Builder
	table.WriteString(`Three members, each a process, over loopback TCP, each with its log on the same disk; state machines that do nothing.
The floor is three files and no consensus: the leader writes and syncs while two followers do, and answers when two have
it, with batches of up to 1024. The peer's tuned form has MaxAppendEntries 1024 and BatchApplyCh. Targets are shares of
the floor in the same run, and more than the peer in each of its forms; they are for the log store that servers use.

| bytes | proposers | what | commits/s | p50 | p99 | worst | of the floor | target |
|---|---|---|---|---|---|---|---|---|
`)
	for _, size := range []int{128, 1 << 10} {
		for _, proposers := range []int{1, 64, 256} {
			results, err := raftCell(ctx, o, contenders(), proposers, size)
			if err != nil {
				return "", err
			}
			best := 0.0 // of the peer
			for _, r := range results[1+len(logKinds):] {
				best = max(best, r.rate)
			}
			for i, r := range results {
				verdict := ""
				if i == 1 {
					verdict = fmt.Sprintf("≥ %.2f: %s; ahead of the peer: %s", raftTargets[proposers], met(r.ratio >= raftTargets[proposers]), met(r.rate > best))
				}
				fmt.Fprintf(&table, "| %d | %d | %s | %.0f | %v | %v | %v | %.2f | %s |\n", size, proposers, r.name, r.rate, round(r.p50), round(r.p99), round(r.worst), r.ratio, verdict)
			}
		}
	}
	reads, err := readIndexes(ctx, o)
	return table.String() + reads, err
}

// readIndexes compares linearizable reads that come together with those that come one at a time.
func readIndexes(ctx context.Context, o options) (_ string, err error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	r, err := startReplicas(ctx, contenders()[1], dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	var rates [2][]float64
	var waits [2][]time.Duration
	var ratios []float64
	for n := range 2*o.rounds + 1 {
		var turn [2]float64
		for i, readers := range []int{1, readers} {
			rate, took, err := r.have(order{Proposers: readers, Reads: true, Duration: o.duration / 6})
			if err != nil {
				return "", err
			}
			if turn[i] = rate; n > 0 { // the first round warms up
				rates[i], waits[i] = append(rates[i], rate), append(waits[i], took...)
			}
		}
		if n > 0 {
			ratios = append(ratios, turn[1]/turn[0])
		}
	}
	var table strings.Builder
	table.WriteString(`
Linearizable reads of the same members, each confirmed by a majority (ReadIndex): those that come together share a round of
messages.

| readers | per second | p50 | p99 | × one reader | target |
|---|---|---|---|---|---|
`)
	for i, n := range []int{1, readers} {
		p50, p99 := percentiles(waits[i])
		times, verdict := 1.0, ""
		if i > 0 {
			times = middle(ratios)
			verdict = fmt.Sprintf("≥ %.0f: %s", readTarget, met(times >= readTarget))
		}
		fmt.Fprintf(&table, "| %d | %.0f | %v | %v | %.1f | %s |\n", n, middle(rates[i]), round(p50), round(p99), times, verdict)
	}
	return table.String(), nil
}

// raftGroups compares many groups on three hosts with one.
func raftGroups(ctx context.Context, o options) (string, error) {
	var table strings.Builder
	fmt.Fprintf(&table, `Three hosts as above, commands of 128 B; the same number of proposers in all, over one group or over %d.
The target is a share of the rate of one group on the same log store in the same run.

| proposers | what | commits/s | p50 | p99 | worst | of one group | target |
|---|---|---|---|---|---|---|---|
`, manyGroups)
	for _, store := range logKinds {
		for _, proposers := range []int{64, 256} {
			results, err := raftCell(ctx, o, groupings(store), proposers, 128)
			if err != nil {
				return "", err
			}
			for i, r := range results {
				verdict := ""
				if i > 0 && store.name == logKinds[0].name {
					verdict = fmt.Sprintf("≥ %.2f: %s", groupsTarget, met(r.ratio >= groupsTarget))
				}
				fmt.Fprintf(&table, "| %d | %s | %.0f | %v | %v | %v | %.2f | %s |\n", proposers, r.name, r.rate, round(r.p50), round(r.p99), round(r.worst), r.ratio, verdict)
			}
		}
	}
	return table.String(), nil
}

// raftResult is what one kind did in a cell.
type raftResult struct {
	name            string
	rate            float64
	p50, p99, worst time.Duration
	ratio           float64 // to the first kind: the median of the rounds' ratios
}

// raftCell measures all kinds in turns, with so many proposers of commands of one size.
func raftCell(ctx context.Context, o options, kinds []memberKind, proposers, size int) (_ []raftResult, err error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var all []*replicas
	defer func() {
		for _, r := range all {
			err = errors.Join(err, r.close())
		}
	}()
	for i, k := range kinds {
		r, err := startReplicas(ctx, k, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	rates, ratios := make([][]float64, len(all)), make([][]float64, len(all))
	waits := make([][]time.Duration, len(all))
	for n := range 2*o.rounds + 1 {
		turn := make([]float64, len(all))
		for i := range all {
			i = (i + n) % len(all) // nobody is always behind the same one
			rate, took, err := all[i].load(proposers, size, o.duration/6)
			if err != nil {
				return nil, err
			}
			turn[i] = rate
			if n > 0 { // the first round warms up
				rates[i], waits[i] = append(rates[i], rate), append(waits[i], took...)
			}
		}
		for i := range all {
			if n > 0 {
				ratios[i] = append(ratios[i], turn[i]/turn[0])
			}
		}
	}
	var results []raftResult
	for i, r := range all {
		result := raftResult{name: r.kind.name, rate: middle(rates[i]), ratio: middle(ratios[i])}
		result.p50, result.p99 = percentiles(waits[i])
		result.worst = slices.Max(waits[i])
		results = append(results, result)
	}
	return results, nil
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "**missed**"
}
