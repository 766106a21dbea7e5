package main

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// action is what an operation does to a register.
type action uint8

const (
	read  action = iota // SELECT
	write               // UPDATE
	swap                // UPDATE that returns the value before
	cas                 // SELECT, and UPDATE if the value is the expected one, in a transaction
)

// never is the return of an operation whose outcome is unknown: it may take effect at any time after its call, and one
// that takes effect after everything else has not happened as far as anybody can tell.
const never = math.MaxInt64

// operation is one access to a register. Written values are unique in a history; a register begins with 0.
type operation struct {
	client, key int
	action      action
	expected    int64 // of cas
	value       int64 // what write, swap and cas write
	seen        int64 // what read, swap and cas found
	unknown     bool  // no word of the outcome: seen means nothing
	call, ret   int64 // ns on the history's clock
}

// succeeded tells whether a cas of known outcome wrote its value.
func (o *operation) succeeded() bool { return o.action == cas && !o.unknown && o.seen == o.expected }

// found is the value that the operation's outcome proves to have been there.
func (o *operation) found() (int64, bool) { return o.seen, !o.unknown && o.action != write }

func (o *operation) String() string {
	outcome := fmt.Sprint(o.seen)
	if o.unknown {
		outcome = "?"
	}
	switch o.action {
	case read:
		return "read → " + outcome
	case write:
		if !o.unknown {
			outcome = "ok"
		}
		return fmt.Sprintf("write %d → %s", o.value, outcome)
	case swap:
		return fmt.Sprintf("swap %d → %s", o.value, outcome)
	}
	return fmt.Sprintf("cas %d, %d → %s", o.expected, o.value, outcome)
}

// history gathers what clients did to registers.
type history struct {
	mu  sync.Mutex
	ops []operation
}

// add records an operation that may have happened. One that certainly did not is left out.
func (h *history) add(o operation) {
	if o.unknown {
		if o.action == read {
			return // nothing was seen and nothing was changed
		}
		o.ret = never
	}
	h.mu.Lock()
	h.ops = append(h.ops, o)
	h.mu.Unlock()
}

// check tells whether the history is linearizable. The budget is for all of it.
func (h *history) check(budget time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	h.mu.Lock()
	ops := settle(h.ops)
	h.mu.Unlock()
	history := make([]porcupine.Operation, len(ops))
	for i := range ops {
		o := &ops[i]
		history[i] = porcupine.Operation{ClientId: o.client, Input: o, Output: o, Call: o.call, Return: o.ret}
	}
	return porcupine.CheckOperationsVerbose(registers, history, budget)
}

// settle makes a history of unknown outcomes one that can be checked in reasonable time, and is linearizable if and
// only if the first is. Values are unique, so that a value which somebody found proves that its write took effect, and
// before the finder returned; a write whose value nobody found can be left out, for nobody can tell that it happened.
func settle(ops []operation) []operation {
	type place struct {
		key   int
		value int64
	}
	found := map[place]int64{} // the earliest return of a finder
	note := func(at place, ret int64) {
		if t, ok := found[at]; !ok || ret < t {
			found[at] = ret
		}
	}
	for i := range ops {
		if v, ok := ops[i].found(); ok {
			note(place{ops[i].key, v}, ops[i].ret)
		}
	}
	out := slices.Clone(ops)
	for again := true; again; {
		again = false
		for i := range out {
			o := &out[i]
			if !o.unknown {
				continue
			}
			t, ok := found[place{o.key, o.value}]
			// A call after its value was found stays out of order: the checker refuses it.
			bound := max(t, o.call)
			if !ok || bound >= o.ret {
				continue
			}
			o.ret, again = bound, true
			if o.action == cas {
				note(place{o.key, o.expected}, o.ret)
			}
		}
	}
	return slices.DeleteFunc(out, func(o operation) bool { return o.unknown && o.ret == never })
}

// registers is the model: each key is one register of its own.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		var keys []int
		for _, o := range history {
			key := o.Input.(*operation).key
			if byKey[key] == nil {
				keys = append(keys, key)
			}
			byKey[key] = append(byKey[key], o)
		}
		slices.Sort(keys)
		var out [][]porcupine.Operation
		for _, key := range keys {
			out = append(out, byKey[key])
		}
		return out
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		o, now := input.(*operation), state.(int64)
		if seen, ok := o.found(); ok && seen != now {
			return false, now
		}
		switch {
		case o.action == write, o.action == swap, o.action == cas && now == o.expected:
			return true, o.value
		}
		return true, now
	},
	DescribeOperation: func(input, _ any) string { return input.(*operation).String() },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}
