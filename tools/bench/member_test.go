package main

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// hire starts a member in this process as its own would run, and returns how to tell it what to do.
func hire(t *testing.T, args ...string) func(order) outcome {
	t.Helper()
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serveMember(args, in, out)
		out.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		orders.Close()
		if err := <-ended; err != nil {
			t.Errorf("member %v ended with %v", args, err)
		}
	})
	enc, dec := json.NewEncoder(orders), json.NewDecoder(answers)
	answer := func() (o outcome) {
		if err := dec.Decode(&o); err != nil {
			t.Errorf("member %v doesn't answer: %v", args, err)
		}
		return o
	}
	answer() // it is there
	return func(o order) outcome {
		if err := enc.Encode(o); err != nil {
			t.Errorf("telling member %v: %v", args, err)
		}
		return answer()
	}
}

func TestMembersOfEachKindCommitWhatTheirLeadersAreTold(t *testing.T) {
	for _, k := range append(contenders()[:4], groupings(logKinds[0])[2]) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			addresses, err := freeAddresses(replicaCount)
			if err != nil {
				t.Fatal(err)
			}
			var members []func(order) outcome
			for id := 1; id <= replicaCount; id++ {
				members = append(members, hire(t, k.name, strconv.Itoa(id), t.TempDir(), strings.Join(addresses, ",")))
			}
			var wg sync.WaitGroup
			for _, do := range members {
				wg.Go(func() {
					if o := do(order{}); o.Error != "" {
						t.Error(o.Error)
					}
				})
			}
			wg.Wait()
			for i, do := range members[:k.leaders] {
				o := do(order{Proposers: 3, Bytes: 200, Duration: 20 * time.Millisecond})
				if o.Error != "" || len(o.Waits) < 3 || o.Elapsed < 20*time.Millisecond {
					t.Fatalf("leader %d: %d commits in %v, %q", i+1, len(o.Waits), o.Elapsed, o.Error)
				}
			}
			if k.leaders == 1 {
				refused := 0 // by two, or fewer while another takes the lead
				for _, do := range members {
					if o := do(order{Proposers: 1, Bytes: 1, Duration: time.Millisecond}); o.Error != "" {
						refused++
					}
				}
				if refused == 0 {
					t.Fatal("all three commit: followers do")
				}
			}
		})
	}
}

func TestAMemberIsNotStartedFromWrongArguments(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"none", nil},
		{"a kind that isn't there", []string{"paxos", "1", "dir", "a,b,c"}},
		{"a number that isn't one", []string{"floor", "one", "dir", "a,b,c"}},
		{"a number beyond the addresses", []string{"floor", "4", "dir", "a,b,c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := serveMember(c.args, strings.NewReader(""), io.Discard); err == nil {
				t.Fatal("it started")
			}
		})
	}
}
