package balance

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestPick(t *testing.T) {
	for _, test := range []struct {
		name    string
		targets []Target
		policy  Policy
		want    string
	}{
		{"round robin takes turns", []Target{{ID: "a"}, {ID: "b"}, {ID: "c"}}, RoundRobin, "abcabcabc"},
		{"weights are spread smoothly", []Target{{ID: "a", Weight: 5}, {ID: "b", Weight: 1}, {ID: "c", Weight: 1}}, RoundRobin, "aabacaa"},
		{"a negative weight is one", []Target{{ID: "a", Weight: -3}, {ID: "b"}}, RoundRobin, "abab"},
		{"idle targets take turns", []Target{{ID: "a"}, {ID: "b"}}, LeastConnections, "abab"},
		{"of two with one ID the last counts", []Target{{ID: "a", Address: "1"}, {ID: "b"}, {ID: "a", Address: "2"}}, RoundRobin, "abab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, PoolOptions{}, test.targets...)
			if got := picks(t, p, test.policy, len(test.want)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLeastConnectionsPrefersTheIdleOne(t *testing.T) {
	p := newPool(t, PoolOptions{}, Target{ID: "a"}, Target{ID: "b"}, Target{ID: "c", Weight: 2})
	held := map[string][]*Lease{}
	for range 8 {
		l, err := p.Pick(LeastConnections)
		if err != nil {
			t.Fatal(err)
		}
		held[l.Target().ID] = append(held[l.Target().ID], l)
	}
	if len(held["a"]) != 2 || len(held["b"]) != 2 || len(held["c"]) != 4 {
		t.Fatalf("not by weight: a %d, b %d, c %d", len(held["a"]), len(held["b"]), len(held["c"]))
	}
	for _, l := range held["b"] {
		l.Done()
		l.Done() // the second does nothing
	}
	if got := picks(t, p, LeastConnections, 5); got != "bbbbb" {
		t.Errorf("b is idle, but picked was %s", got)
	}
}

func TestPickWithoutTargetsFails(t *testing.T) {
	p := NewPool(PoolOptions{})
	if _, err := p.Pick(RoundRobin); !errors.Is(err, ErrNoTarget) {
		t.Error(err)
	}
	p.Set([]Target{{ID: "a"}})
	if _, err := p.Pick(RoundRobin, "a"); !errors.Is(err, ErrNoTarget) {
		t.Error(err)
	}
	p.Close()
	p.Close()
	p.Set([]Target{{ID: "a"}})
	if _, err := p.Pick(RoundRobin); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestAnEjectedTargetComesBackAfterItsTimeAndTheTimeGrows(t *testing.T) {
	now := newClock()
	p := newPool(t, PoolOptions{Now: now.Now}, Target{ID: "a"}, Target{ID: "b"})
	fail := func(id, without string) {
		t.Helper()
		l, err := p.Pick(RoundRobin, without)
		if err != nil || l.Target().ID != id {
			t.Fatal(l, err)
		}
		l.Dialed(syscall.ECONNREFUSED)
		l.Done()
	}
	fail("a", "b")
	fail("a", "b")
	if targetStats(p, "a").Ejected {
		t.Fatal("ejected before the third failure")
	}
	fail("a", "b")
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		want *= time.Second
		if s := targetStats(p, "a"); !s.Ejected || s.EjectedUntil.Sub(now.Now()) != want {
			t.Fatalf("ejected %v for %v, want %v", s.Ejected, s.EjectedUntil.Sub(now.Now()), want)
		}
		now.add(want - 1)
		if got := picks(t, p, RoundRobin, 4); got != "bbbb" {
			t.Fatalf("picked %s while a is ejected", got)
		}
		now.add(1)
		fail("a", "b") // one more is enough now
	}
	now.add(30 * time.Second)
	l, _ := p.Pick(RoundRobin, "b")
	l.Dialed(nil)
	l.Done()
	fail("a", "b")
	if targetStats(p, "a").Ejected {
		t.Error("a success didn't forget the past")
	}
}

func TestTheLastUsableTargetIsNeverEjected(t *testing.T) {
	p := newPool(t, PoolOptions{Now: newClock().Now}, Target{ID: "a"}, Target{ID: "b"})
	for _, id := range []string{"a", "b"} {
		other := strings.Trim("ab", id)
		for range 5 {
			l, _ := p.Pick(RoundRobin, other)
			l.Dialed(syscall.ECONNREFUSED)
			l.Done()
		}
	}
	if !targetStats(p, "a").Ejected || targetStats(p, "b").Ejected {
		t.Fatal("want a ejected and b not")
	}
	if got := picks(t, p, RoundRobin, 3); got != "bbb" {
		t.Errorf("picked %s", got)
	}
	p.Set([]Target{{ID: "a"}}) // panic mode: only the ejected one is left
	if got := picks(t, p, RoundRobin, 3); got != "aaa" {
		t.Errorf("picked %s", got)
	}
}

func TestAFailureOfOursIsNotHeldAgainstTheTarget(t *testing.T) {
	p := newPool(t, PoolOptions{}, Target{ID: "a"})
	l, _ := p.Pick(RoundRobin)
	l.Dialed(&DialError{Err: syscall.EMFILE})
	l.Done()
	if n := targetStats(p, "a").Failures; n != 0 {
		t.Errorf("%d failures", n)
	}
}

func TestSetKeepsTheStateOfATargetThatStays(t *testing.T) {
	p := newPool(t, PoolOptions{}, Target{ID: "a", Address: "1"}, Target{ID: "b", Address: "1"})
	picks(t, p, RoundRobin, 4)
	p.Set([]Target{{ID: "a", Address: "1", Weight: 7}, {ID: "b", Address: "2"}})
	if s := targetStats(p, "a"); s.Total != 2 || s.Weight != 7 {
		t.Errorf("a: %+v", s)
	}
	if s := targetStats(p, "b"); s.Total != 0 {
		t.Errorf("b has another address, so it is another one: %+v", s)
	}
}

func TestDrain(t *testing.T) {
	p := newPool(t, PoolOptions{}, Target{ID: "a"})
	if err := p.Drain(ended(), "unknown"); err != nil {
		t.Error(err)
	}
	l, _ := p.Pick(RoundRobin)
	var cut atomic.Int64
	l.OnCut(func() { cut.Add(1) })
	done := make(chan error)
	go func() { done <- p.Drain(context.Background(), "a") }()
	eventually(t, "a drains", func() bool { return targetStats(p, "a").Draining })
	if _, err := p.Pick(RoundRobin); !errors.Is(err, ErrNoTarget) {
		t.Error("a draining target was picked")
	}
	var e *CutError
	if err := p.Drain(ended(), "a"); !errors.As(err, &e) || e.Cut != 1 || !errors.Is(err, context.Canceled) || cut.Load() != 1 {
		t.Errorf("cut %d: %v", cut.Load(), err)
	}
	l.Done()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(p.Stats().Targets) != 0 {
		t.Error("a is still there")
	}
}

func TestATargetThatSetRemovedIsCutAfterDrainTimeout(t *testing.T) {
	p := newPool(t, PoolOptions{DrainTimeout: time.Millisecond}, Target{ID: "a"})
	l, _ := p.Pick(RoundRobin)
	defer l.Done()
	cut := make(chan struct{})
	l.OnCut(func() { close(cut) })
	p.Set(nil)
	<-cut
	again := false
	l.OnCut(func() { again = true })
	if !again {
		t.Error("a late OnCut isn't called")
	}
}

func TestActiveCheckTakesATargetDownAndUpAndEndsWithClose(t *testing.T) {
	leavesNothing(t)
	var sick atomic.Bool
	check := func(ctx context.Context, target Target) error {
		if target.ID == "a" && sick.Load() {
			<-ctx.Done() // hangs
			return ctx.Err()
		}
		return nil
	}
	p := newPool(t, PoolOptions{Check: check, CheckEvery: time.Millisecond, CheckTimeout: time.Millisecond}, Target{ID: "a"}, Target{ID: "b"})
	sick.Store(true)
	eventually(t, "a is down", func() bool { return targetStats(p, "a").Down })
	if got := picks(t, p, RoundRobin, 3); got != "bbb" {
		t.Errorf("picked %s", got)
	}
	if _, err := p.Pick(RoundRobin, "b"); !errors.Is(err, ErrNoTarget) {
		t.Error("a target that is down was picked as the last one")
	}
	sick.Store(false)
	l, err := p.acquire(context.Background(), RoundRobin, 20*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Done()
	eventually(t, "a is up", func() bool { return !targetStats(p, "a").Down })
	p.Close()
}
