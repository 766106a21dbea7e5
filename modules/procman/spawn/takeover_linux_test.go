package spawn

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// takeOver is a supervisor that starts a child, replaces itself and goes on with the child.
func takeOver() {
	must := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	saved := os.Getenv("SAVED")
	if saved == "" {
		r, w, err := os.Pipe()
		must(err)
		p, err := Start(context.Background(), Spec{Shell: "read x; exit 42", Stdin: r, Env: os.Environ()})
		must(err)
		id, err := json.Marshal(p.Identity())
		must(err)
		fd, err := rawFd(w)
		must(err)
		must(Reexec("/proc/self/exe", os.Args, append(os.Environ(), "SAVED="+string(id), fmt.Sprintf("PIPE=%d", fd)), []*os.File{w}))
	}
	var id Identity
	must(json.Unmarshal([]byte(saved), &id))
	p, err := Adopt(id)
	must(err)
	fmt.Println("alive:", !p.exited())
	var fd int
	fmt.Sscan(os.Getenv("PIPE"), &fd)
	must(os.NewFile(uintptr(fd), "pipe").Close()) // the child reads its end
	e, err := p.Wait(context.Background())
	must(err)
	fmt.Println("code:", e.Code, "unknown:", e.Unknown)
}

func TestAfterReexecTheChildIsWaitedForByTheNewProgram(t *testing.T) {
	if out := output(t, self("takeover")); out != "alive: true\ncode: 42 unknown: false\n" {
		t.Errorf("got %q", out)
	}
}

func TestAProcessThatIsNotOurChildIsTakenOver(t *testing.T) {
	// The shell is the parent of what we adopt.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := Spec{Shell: "sleep 1000 & echo $!; wait", Env: os.Environ(), Stdout: w}
	parent := start(t, s)
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(line, &pid)
	st, err := readStat(pid)
	if err != nil || st.PPid != parent.Pid() {
		t.Fatal(st, err)
	}
	p, err := Adopt(Identity{Name: "stranger", Pid: pid, StartTime: st.StartTime})
	if err != nil {
		t.Fatal(err)
	}
	if p.exited() {
		t.Fatal("it has ended already")
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); !e.Unknown || e.Code != -1 || e.OK() {
		t.Errorf("exit %+v", e)
	}
}

func TestAPidThatWasGivenToAnotherProcessIsRefused(t *testing.T) {
	p := start(t, Spec{Args: []string{"sleep", "1000"}, Env: os.Environ()})
	id := p.Identity()
	for _, c := range []struct {
		name   string
		change func(*Identity)
		words  string
	}{
		{"another start time", func(i *Identity) { i.StartTime-- }, "another process now"},
		{"another boot", func(i *Identity) { i.Boot = "x" }, "booted"},
		{"no such pid", func(i *Identity) { i.Pid = 1 << 22 }, "no such process"},
		{"ourselves", func(i *Identity) { i.Pid = os.Getpid() }, "can't be a child"},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := id
			c.change(&other)
			_, err := Adopt(other)
			if err == nil || !strings.Contains(err.Error(), c.words) || other.Pid != os.Getpid() && !errors.Is(err, ErrGone) {
				t.Errorf("got %v", err)
			}
		})
	}
	// A process found in a scan whose pid is another's now gets no signal.
	if err := signalOne(&ProcInfo{Pid: p.Pid(), StartTime: p.StartTime() + 1}, syscall.SIGKILL); err != syscall.ESRCH {
		t.Errorf("signalled: %v", err)
	}
	if p.exited() || !there(p.Pid()) {
		t.Error("the stranger was hit")
	}
}

func TestATreeIsEndedAfterItsLeaderWasTakenOver(t *testing.T) {
	first := start(t, Spec{RunID: t.Name(), Shell: "sleep 1000 & sleep 1000 & wait", Env: os.Environ()})
	until(t, "there are 3", func() bool { return len(liveTree(t, first)) == 3 })
	// Both wait for the same child here; one of them gets the code.
	p, err := Adopt(first.Identity())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.StopTree(t.Context(), StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if l := liveTree(t, first); len(l) > 0 {
		t.Errorf("left: %+v", l)
	}
}

func TestTheTreeOfALeaderThatIsGoneIsEnded(t *testing.T) {
	first := start(t, Spec{RunID: t.Name(), Shell: "sleep 1000 & exit 0", Env: os.Environ()})
	wait(t, first)
	until(t, "the child is alone", func() bool { return len(liveTree(t, first)) == 1 })
	if _, err := Adopt(first.Identity()); !errors.Is(err, ErrGone) {
		t.Fatalf("adopted: %v", err)
	}
	p, err := Ended(first.Identity())
	if err != nil {
		t.Fatal(err)
	}
	tree := liveTree(t, p)
	if r, err := p.StopTree(t.Context(), StopOptions{}); err != nil || r.Signalled != 1 || r.Escalated {
		t.Errorf("%+v, %v", r, err)
	}
	noneAlive(t, tree)
	if _, err := Ended(Identity{Pid: first.Pid()}); err == nil {
		t.Error("without marker")
	}
}
