package funcs

import (
	"context"
	"testing"
	"time"
)

func TestNamedLocks(t *testing.T) {
	ctx := t.Context()
	table := lockTable{locks: map[string]*namedLock{}}
	take := func(name string, owner uint32, wait time.Duration) bool {
		t.Helper()
		got, err := table.acquire(ctx, name, owner, wait)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}

	t.Run("one owner at a time, who may take it again", func(t *testing.T) {
		if !take("a", 1, 0) || !take("A", 1, 0) || take("a", 2, 0) {
			t.Error("the lock went to the wrong one")
		}
		if table.release("a", 2) || !table.release("a", 1) || take("a", 2, 0) {
			t.Error("given up too early")
		}
		if !table.release("a", 1) || !take("a", 2, 0) || !table.release("a", 2) {
			t.Error("not given up")
		}
	})
	t.Run("a waiting one gets it when it is given up", func(t *testing.T) {
		take("b", 1, 0)
		got := make(chan bool)
		go func() {
			ok, _ := table.acquire(ctx, "b", 2, -1)
			got <- ok
		}()
		if n := table.releaseAll(1); n != 1 {
			t.Errorf("%d were held", n)
		}
		if !<-got {
			t.Error("the waiting one got nothing")
		}
		table.releaseAll(2)
	})
	t.Run("waiting ends with its time or its context", func(t *testing.T) {
		take("c", 1, 0)
		if take("c", 2, time.Millisecond) {
			t.Error("two owners")
		}
		done, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := table.acquire(done, "c", 2, -1); err != context.Canceled {
			t.Errorf("got %v", err)
		}
		table.releaseAll(1)
	})
	if len(table.locks) != 0 {
		t.Errorf("%d locks are left", len(table.locks))
	}
}
