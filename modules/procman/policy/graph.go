package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Graph is what each process depends on. Each one has a key, also if it depends on nothing.
type Graph map[string][]Needs

// Needs is one dependency.
type Needs struct {
	// On is the name of the process that is needed.
	On string `json:"on"`
	// OnRestart is what happens when On is restarted. Default: IgnoreRestart.
	OnRestart OnRestart `json:"on_restart,omitempty"`
}

// CycleError is that processes wait for each other.
type CycleError struct {
	// Path are their names; the first one is there again at the end.
	Path []string
}

func (e *CycleError) Error() string {
	return "processes depend on each other: " + strings.Join(e.Path, " -> ")
}

// Order is the order of start: those of a level depend on levels before only, so they start together. Each level is sorted
// by name. The error is a *CycleError, or lists all names that are needed and not there.
func Order(g Graph) ([][]string, error) {
	names := slices.Sorted(maps.Keys(g))
	var missing []error
	for _, n := range names {
		for _, d := range g[n] {
			if _, ok := g[d.On]; !ok {
				missing = append(missing, fmt.Errorf("%s depends on %s, which is not there", n, d.On))
			}
		}
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	levels, left := layers(g, names)
	if len(left) > 0 {
		return nil, &CycleError{cycle(g, left)}
	}
	return levels, nil
}

// layers puts names, which are sorted, into levels, looking at dependencies among them only. What is left is in a cycle or
// depends on one.
func layers(g Graph, names []string) (levels [][]string, left map[string]bool) {
	left = make(map[string]bool, len(names))
	for _, n := range names {
		left[n] = true
	}
	waits := make(map[string]int, len(names))
	wanted := make(map[string][]string, len(names))
	var ready []string
	for _, n := range names {
		for _, d := range g[n] {
			if left[d.On] {
				waits[n]++
				wanted[d.On] = append(wanted[d.On], n)
			}
		}
		if waits[n] == 0 {
			ready = append(ready, n)
		}
	}
	for len(ready) > 0 {
		levels = append(levels, ready)
		var next []string
		for _, n := range ready {
			delete(left, n)
			for _, w := range wanted[n] {
				if waits[w]--; waits[w] == 0 {
					next = append(next, w)
				}
			}
		}
		slices.Sort(next)
		ready = next
	}
	return levels, left
}

// cycle finds one among left, each of which depends on another of them. It begins with the smallest name of the cycle, so
// that the same mistake always reads the same.
func cycle(g Graph, left map[string]bool) []string {
	var path []string
	at := map[string]int{}
	for n := slices.Min(slices.Collect(maps.Keys(left))); ; {
		if i, ok := at[n]; ok {
			path = path[i:]
			break
		}
		at[n] = len(path)
		path = append(path, n)
		i := slices.IndexFunc(g[n], func(d Needs) bool { return left[d.On] })
		n = g[n][i].On
	}
	i := slices.Index(path, slices.Min(path))
	path = slices.Concat(path[i:], path[:i])
	return append(path, path[0])
}

// Reverse is the order of a shutdown: what starts last stops first.
func Reverse(levels [][]string) [][]string {
	r := slices.Clone(levels)
	slices.Reverse(r)
	return r
}

// Step is what happens to one process because of another.
type Step struct {
	// Name is the process.
	Name string `json:"name"`
	// Action is RestartToo or StopToo.
	Action OnRestart `json:"action"`
	// Because is the process whose restart or stop led to it.
	Because string `json:"because"`
}

// Propagate is what a restart of one process does to those that depend on it. Each is there once, in the order of start:
// stop all of them from the last to the first, then start those with RestartToo from the first to the last.
//
// A stop is stronger than a restart. What depends on something that stops is stopped even if it says RestartToo, for there
// is nothing to come back to. A cycle does no harm here; restarted itself is never a step.
func Propagate(g Graph, restarted string) []Step {
	names := slices.Sorted(maps.Keys(g))
	wanted := map[string][]string{} // who depends on it
	for _, n := range names {
		for _, d := range g[n] {
			if w := wanted[d.On]; len(w) == 0 || w[len(w)-1] != n {
				wanted[d.On] = append(w, n)
			}
		}
	}
	steps := map[string]Step{restarted: {Action: RestartToo}}
	for todo := []string{restarted}; len(todo) > 0; todo = todo[1:] {
		from := todo[0]
		for _, n := range wanted[from] {
			if n == restarted {
				continue
			}
			action := IgnoreRestart
			for _, d := range g[n] {
				if d.On == from && d.OnRestart != IgnoreRestart {
					action = max(action, d.OnRestart, steps[from].Action)
				}
			}
			if action > steps[n].Action { // it can only grow, so this ends
				steps[n] = Step{n, action, from}
				todo = append(todo, n)
			}
		}
	}
	delete(steps, restarted)
	var out []Step
	for _, n := range startOrder(g, slices.Sorted(maps.Keys(steps))) {
		out = append(out, steps[n])
	}
	return out
}

// startOrder sorts names by level. In a cycle no order is right: the smallest name goes first.
func startOrder(g Graph, names []string) []string {
	var out []string
	for len(names) > 0 {
		levels, left := layers(g, names)
		for _, l := range levels {
			out = append(out, l...)
		}
		if len(left) == 0 {
			break
		}
		first := cycle(g, left)[0]
		out = append(out, first)
		delete(left, first)
		names = slices.Sorted(maps.Keys(left))
	}
	return out
}
