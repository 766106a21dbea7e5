package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func verdict(ops ...operation) porcupine.CheckResult {
	var h history
	for i, o := range ops {
		o.client = i
		h.add(o)
	}
	result, _ := h.check(10 * time.Second)
	return result
}

func TestHistory(t *testing.T) {
	const ok, illegal = porcupine.Ok, porcupine.Illegal
	for _, c := range []struct {
		name string
		want porcupine.CheckResult
		ops  []operation
	}{
		{"a value that was written is read", ok, []operation{
			{action: write, value: 1, call: 0, ret: 10}, {action: read, seen: 1, call: 20, ret: 30}}},
		{"a stale read is found", illegal, []operation{
			{action: write, value: 1, call: 0, ret: 10}, {action: read, seen: 0, call: 20, ret: 30}}},
		{"a read beside a write may see either", ok, []operation{
			{action: write, value: 1, call: 0, ret: 100}, {action: read, seen: 0, call: 20, ret: 30}, {action: read, seen: 1, call: 40, ret: 50}}},
		{"a read must not go back behind another", illegal, []operation{
			{action: write, value: 1, call: 0, ret: 100}, {action: read, seen: 1, call: 20, ret: 30}, {action: read, seen: 0, call: 40, ret: 50}}},
		{"keys are registers of their own", ok, []operation{
			{key: 1, action: write, value: 1, call: 0, ret: 10}, {key: 2, action: read, seen: 0, call: 20, ret: 30}}},
		{"a write of unknown outcome may never show", ok, []operation{
			{action: write, value: 1, unknown: true, call: 0, ret: 10}, {action: read, seen: 0, call: 20, ret: 30}}},
		{"a write of unknown outcome may show long after", ok, []operation{
			{action: write, value: 1, unknown: true, call: 0, ret: 10}, {action: read, seen: 0, call: 20, ret: 30}, {action: read, seen: 1, call: 40, ret: 50}}},
		{"a write of unknown outcome doesn't vanish once it was seen", illegal, []operation{
			{action: write, value: 1, unknown: true, call: 0, ret: 10}, {action: read, seen: 1, call: 20, ret: 30}, {action: read, seen: 0, call: 40, ret: 50}}},
		{"a write doesn't show before it was called", illegal, []operation{
			{action: read, seen: 1, call: 0, ret: 10}, {action: write, value: 1, unknown: true, call: 20, ret: 30}}},
		{"a swap returns the value before", ok, []operation{
			{action: swap, value: 1, seen: 0, call: 0, ret: 10}, {action: swap, value: 2, seen: 1, call: 20, ret: 30}}},
		{"two swaps of one value are an update lost", illegal, []operation{
			{action: swap, value: 1, seen: 0, call: 0, ret: 30}, {action: swap, value: 2, seen: 0, call: 10, ret: 40}}},
		{"of two compare-and-sets of one value one fails", ok, []operation{
			{action: cas, expected: 0, value: 1, seen: 0, call: 0, ret: 30}, {action: cas, expected: 0, value: 2, seen: 1, call: 10, ret: 40}}},
		{"two compare-and-sets of one value must not both succeed", illegal, []operation{
			{action: cas, expected: 0, value: 1, seen: 0, call: 0, ret: 30}, {action: cas, expected: 0, value: 2, seen: 0, call: 10, ret: 40}}},
		{"an unknown compare-and-set that was seen proves what it expected", illegal, []operation{
			{action: write, value: 1, unknown: true, call: 0, ret: 5}, {action: cas, expected: 1, value: 2, unknown: true, call: 10, ret: 20},
			{action: read, seen: 2, call: 30, ret: 40}, {action: write, value: 3, call: 50, ret: 60}, {action: read, seen: 1, call: 70, ret: 80}}},
		{"a chain of unknown outcomes may come true late", ok, []operation{
			{action: write, value: 1, unknown: true, call: 0, ret: 5}, {action: cas, expected: 1, value: 2, unknown: true, call: 10, ret: 20},
			{action: read, seen: 0, call: 30, ret: 40}, {action: read, seen: 2, call: 50, ret: 60}}},
		{"a read without an answer says nothing", ok, []operation{
			{action: write, value: 1, call: 0, ret: 10}, {action: read, seen: 0, unknown: true, call: 20, ret: 30}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := verdict(c.ops...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Leaving out what nobody saw, and bounding what somebody saw, must not change any verdict.
func TestSettlingKeepsTheVerdict(t *testing.T) {
	results := map[porcupine.CheckResult]int{}
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		ops := make([]operation, 2+random.IntN(7))
		for i := range ops {
			call := random.Int64N(30)
			ops[i] = operation{client: i, action: action(random.IntN(4)), value: int64(i + 1), call: call, ret: call + 1 + random.Int64N(20),
				expected: random.Int64N(int64(len(ops))), seen: random.Int64N(int64(len(ops)))}
			if ops[i].action == cas && random.IntN(2) == 0 {
				ops[i].seen = ops[i].expected
			}
			if ops[i].action != read && random.IntN(2) == 0 {
				ops[i].unknown, ops[i].ret = true, never
			}
		}
		check := func(ops []operation) porcupine.CheckResult {
			var history []porcupine.Operation
			for i := range ops {
				history = append(history, porcupine.Operation{ClientId: i, Input: &ops[i], Call: ops[i].call, Return: ops[i].ret})
			}
			return porcupine.CheckOperationsTimeout(registers, history, 0)
		}
		plain := slices.Clone(ops)
		want := check(plain)
		results[want]++
		if got := check(settle(ops)); got != want {
			t.Fatalf("seed %d: %s became %s: %v", seed, want, got, ops)
		}
	}
	if results[porcupine.Ok] < 100 || results[porcupine.Illegal] < 100 {
		t.Errorf("the histories are too much alike: %v", results)
	}
}
