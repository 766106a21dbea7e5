package spawn

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestATreeOfFiftyThatIgnoreTermIsGone(t *testing.T) {
	p := start(t, Spec{RunID: t.Name(), Env: []string{"PATH=" + os.Getenv("PATH")}, Shell: `trap "" TERM
		i=0
		while [ $i -lt 25 ]; do (sleep 1000; :) & i=$((i+1)); done
		sleep 1000; :`})
	var tree []ProcInfo
	until(t, "there are 52", func() bool { tree = liveTree(t, p); return len(tree) == 52 })
	r, err := p.StopTree(t.Context(), StopOptions{Grace: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Escalated || r.Signalled != 52 || r.Killed != 52 || len(r.Remaining) != 0 {
		t.Errorf("report %+v", r)
	}
	noneAlive(t, tree)
	if e := wait(t, p); e.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v", e)
	}
}

func TestADaemonThatLeftEverythingIsFoundByItsMarker(t *testing.T) {
	s := self("daemon")
	s.RunID = t.Name()
	p := start(t, s)
	wait(t, p)
	var tree []ProcInfo
	until(t, "the daemon is alone", func() bool {
		tree = liveTree(t, p)
		return len(tree) == 1 && tree[0].Sid == tree[0].Pid && ignored(t, tree[0].Pid, syscall.SIGTERM)
	})
	if m := tree[0]; m.PGid == p.Pid() || m.Sid == p.Pid() {
		t.Fatalf("it hasn't left: %+v", m)
	}
	if _, err := p.StopTree(t.Context(), StopOptions{Grace: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	noneAlive(t, tree)
}

func TestSuccessIsToldOnlyWhenTheChildOfAnEndedLeaderIsGone(t *testing.T) {
	p := start(t, Spec{Env: []string{"PATH=" + os.Getenv("PATH")}, Shell: `(trap "" TERM; sleep 1000; :) & trap "exit 4" TERM; wait`})
	var tree []ProcInfo
	until(t, "there are 3", func() bool { tree = liveTree(t, p); return len(tree) == 3 })
	// The leader has to have its trap.
	until(t, "the leader waits", func() bool { return caught(t, p.Pid(), syscall.SIGTERM) })

	_, err := p.StopTree(t.Context(), StopOptions{Grace: 50 * time.Millisecond, NoKill: true})
	var remain *RemainError
	if !errors.As(err, &remain) || len(remain.Remaining) != 2 || remain.Killed {
		t.Fatalf("without killing: %v", err)
	}
	if e := wait(t, p); e.Code != 4 {
		t.Fatalf("exit %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.StopTree(ctx, StopOptions{}); !errors.Is(err, context.Canceled) || !errors.As(err, &remain) {
		t.Fatalf("when given up: %v", err)
	}
	r, err := p.StopTree(t.Context(), StopOptions{Grace: -1})
	if err != nil || r.Killed != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	noneAlive(t, tree)
	if r, err := p.StopTree(t.Context(), StopOptions{}); err != nil || r.Signalled != 0 || r.Escalated {
		t.Errorf("again: %+v, %v", r, err)
	}
}

func TestAStoppedProcessGetsTheSignalToo(t *testing.T) {
	p := start(t, Spec{Args: []string{"sleep", "1000"}, Env: []string{"PATH=" + os.Getenv("PATH")}})
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "it is stopped", func() bool { l := liveTree(t, p); return len(l) == 1 && l[0].State == 'T' })
	r, err := p.StopTree(t.Context(), StopOptions{Grace: time.Minute})
	if err != nil || r.Escalated {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestJobsOnATerminalBelongToTheTree(t *testing.T) {
	// With job control each job has its own group.
	p := start(t, Spec{PTY: true, Env: []string{"PATH=" + os.Getenv("PATH")}, Shell: `set -m; sleep 1000 & sleep 1000 & wait; :`})
	defer p.Terminal().Close()
	var tree []ProcInfo
	until(t, "there are 3", func() bool { tree = liveTree(t, p); return len(tree) == 3 && tree[1].PGid == tree[1].Pid })
	if _, err := p.StopTree(t.Context(), StopOptions{Grace: time.Second}); err != nil {
		t.Fatal(err)
	}
	noneAlive(t, tree)
}

func TestAForkingTreeIsCaught(t *testing.T) {
	p := start(t, Spec{RunID: t.Name(), Env: []string{"PATH=" + os.Getenv("PATH")},
		Shell: `trap "" TERM; f() { i=0; while :; do (sleep 0.01) & (exec sleep 0.05) & wait; done; }; f & f & f`})
	until(t, "it forks", func() bool { return len(liveTree(t, p)) > 5 })
	if _, err := p.StopTree(t.Context(), StopOptions{Grace: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if l := liveTree(t, p); len(l) > 0 {
		t.Errorf("left: %+v", l)
	}
}

func TestTwoHundredAtOnceLeaveNoZombie(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			p, err := Start(t.Context(), Spec{Args: []string{"sleep", "1000"}, Env: []string{"PATH=" + os.Getenv("PATH")},
				RunID: t.Name() + strconv.Itoa(i)})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := p.StopTree(t.Context(), StopOptions{Grace: time.Minute}); err != nil {
				t.Error(err)
			}
			if e, err := p.Wait(t.Context()); err != nil || e.Signal != syscall.SIGTERM {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
	wg.Wait()
	if z := unowned(t); len(z) > 0 {
		t.Errorf("zombies: %v", z)
	}
}

func TestOrphansAreReapedAndNobodyElsesChildren(t *testing.T) {
	if err := EnableSubreaper(); err != nil {
		t.Fatal(err)
	}
	// Children of os/exec that are dead before anybody waits for them.
	var others []*exec.Cmd
	for range 20 {
		cmd := exec.Command("sh", "-c", "exit 9")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		others = append(others, cmd)
	}
	raw, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, Spec{Env: os.Environ(), Shell: `(sleep 0; :) & (sleep 0.05; :) & exit 0`})
	wait(t, p)
	var reaped []int
	until(t, "the orphans are reaped", func() bool {
		r, err := ReapOrphans(func(pid int) bool { return pid == raw })
		if err != nil {
			t.Fatal(err)
		}
		reaped = append(reaped, r...)
		return len(liveTree(t, p)) == 0 && len(zombies(t)) == len(others)+1
	})
	if len(reaped) == 0 {
		t.Error("nothing was reaped")
	}
	for _, cmd := range others {
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
			t.Errorf("a child of os/exec was stolen: %v", err)
		}
	}
	if _, err := syscall.Wait4(raw, nil, 0, nil); err != nil {
		t.Errorf("a known child was stolen: %v", err)
	}
}

func TestUsageIsThatOfTheProcess(t *testing.T) {
	u, err := Usage(os.Getpid())
	if err != nil || u.RSS < 1<<20 || u.Threads < 2 || u.Descriptors < 3 || u.ReadBytes < 0 || u.CPUSeconds < 0 {
		t.Errorf("%+v, %v", u, err)
	}
	p := start(t, Spec{Args: []string{"/bin/true"}})
	wait(t, p)
	if _, err := Usage(p.Pid()); err == nil {
		t.Error("usage of a dead process")
	}
}

func TestAStatLineIsParsedWhateverTheNameIs(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194304 90 0 0 0 7 8 0 0 20 0 4 0 12345 1000 25 18446744073709551615 1 1\n"
	for _, comm := range []string{"sh", "a b", "x) R 9 (y", ")", "("} {
		p, err := parseStat([]byte("77 (" + comm + ")" + rest))
		want := ProcInfo{Pid: 77, PPid: 1, PGid: 2, Sid: 3, StartTime: 12345, State: 'S', Comm: comm, RSS: 25 * pageSize,
			CPUTicks: 15, Threads: 4}
		if err != nil || p != want {
			t.Errorf("%q: %+v, %v", comm, p, err)
		}
	}
	for _, bad := range []string{"", "7", "7 (x", "7 (x) S 1", "x (y)" + rest} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is parsed", bad)
		}
	}
}

func TestWhatRemainsIsNamedWithItsState(t *testing.T) {
	err := &RemainError{Name: "db", Killed: true, Took: 5 * time.Second, Remaining: []ProcInfo{
		{Pid: 7, Comm: "dd", State: 'D'}, {Pid: 9, Comm: "sync", State: 'D'},
	}}
	const want = "stop db: 2 processes remain after 5s and SIGKILL: 7 dd (state D), 9 sync (state D)"
	if err.Error() != want {
		t.Errorf("got %q", err)
	}
}

func TestOrphansThatStopTreeEndsAreReapedByIt(t *testing.T) {
	if err := EnableSubreaper(); err != nil {
		t.Fatal(err)
	}
	s := self("daemon")
	s.RunID = t.Name()
	p := start(t, s)
	wait(t, p)
	var tree []ProcInfo
	until(t, "the daemon is our child", func() bool {
		tree = liveTree(t, p)
		return len(tree) == 1 && tree[0].PPid == os.Getpid() && ignored(t, tree[0].Pid, syscall.SIGTERM)
	})
	if _, err := p.StopTree(t.Context(), StopOptions{Grace: -1}); err != nil {
		t.Fatal(err)
	}
	until(t, "it is no zombie", func() bool { return !there(tree[0].Pid) })
}

// noneAlive fails if one of those processes is alive, or a zombie of ours.
func noneAlive(t *testing.T, tree []ProcInfo) {
	t.Helper()
	for _, m := range tree {
		st, err := readStat(m.Pid)
		if err == nil && st.StartTime == m.StartTime && (st.alive() || st.PPid == os.Getpid()) {
			t.Errorf("%d %s is left: %+v", m.Pid, m.Comm, st)
		}
	}
}

// ignored tells whether a process ignores the signal.
func ignored(t *testing.T, pid int, sig syscall.Signal) bool { return inMask(t, pid, "SigIgn", sig) }

// caught tells whether a process has a handler for the signal.
func caught(t *testing.T, pid int, sig syscall.Signal) bool {
	return inMask(t, pid, "SigCgt", sig)
}

func inMask(t *testing.T, pid int, name string, sig syscall.Signal) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(b), name+":\t")
	if !ok || len(rest) < 16 {
		return false
	}
	mask, _ := strconv.ParseUint(rest[:16], 16, 64)
	return mask&(1<<(sig-1)) != 0
}
