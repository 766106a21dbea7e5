package spawn

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roleEnv makes the test binary one of the programs below.
const roleEnv = "SPAWN_TEST_ROLE"

func TestMain(m *testing.M) {
	Shim()
	if role := os.Getenv(roleEnv); role != "" {
		roles[role]()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var roles = map[string]func(){
	"describe": describe,
	"daemon":   func() { detach("daemon2") },
	"daemon2":  func() { detach("daemon3") },
	"daemon3":  func() { signal.Ignore(syscall.SIGTERM); select {} },
	"listen":   answerOnce,
	"notify":   notifyReady,
	"takeover": takeOver,
}

// self is a Spec of the test binary in a role.
func self(role string, env ...string) Spec {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Spec{Name: role, Args: []string{exe}, Env: append(env, roleEnv+"="+role, "PATH="+os.Getenv("PATH"))}
}

// description is what a child finds about itself.
type description struct {
	Nofile, Core         Rlimit
	Umask, Nice, UID     int
	OOM, Dir             string
	Files                map[string]string
	Groups               []int
	Marker               string
	Pgid, Sid, Pid, PPid int
}

func describe() {
	var d description
	b, _ := os.ReadFile("/proc/self/limits")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(strings.NewReplacer("unlimited", strconv.FormatUint(Infinity, 10)).Replace(line))
		if strings.HasPrefix(line, "Max open files") {
			// The soft one Go raised when it started.
			d.Nofile.Hard, _ = strconv.ParseUint(f[4], 10, 64)
		}
		if strings.HasPrefix(line, "Max core file size") {
			d.Core.Soft, _ = strconv.ParseUint(f[4], 10, 64)
			d.Core.Hard, _ = strconv.ParseUint(f[5], 10, 64)
		}
	}
	d.Umask = syscall.Umask(0)
	prio, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	d.Nice = 20 - prio
	oom, _ := os.ReadFile("/proc/self/oom_score_adj")
	d.OOM = strings.TrimSpace(string(oom))
	d.Dir, _ = os.Getwd()
	d.UID = os.Getuid()
	d.Groups, _ = os.Getgroups()
	d.Marker = os.Getenv(MarkerEnv)
	d.Pid, d.PPid, d.Pgid = os.Getpid(), os.Getppid(), syscall.Getpgrp()
	d.Sid, _ = unix.Getsid(0)
	json.NewEncoder(os.Stdout).Encode(d)
}

func detach(next string) {
	exe, _ := os.Executable()
	cmd := exec.Command(exe)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, roleEnv) {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, roleEnv+"="+next)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

func answerOnce() {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		panic(err)
	}
	c, err := l.Accept()
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(c, "%s %d %s %s\n", os.Getenv("LISTEN_PID"), os.Getpid(), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	c.Close()
}

// start starts a process that is gone, with its tree, at the end of the test.
func start(t *testing.T, s Spec) *Process {
	t.Helper()
	p, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.StopTree(context.Background(), StopOptions{Grace: -1}); err != nil {
			t.Error(err)
		}
	})
	return p
}

// output starts a process and returns what it writes.
func output(t *testing.T, s Spec) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Stdout, s.Stderr = w, os.Stderr
	p := start(t, s)
	w.Close()
	var b strings.Builder
	if _, err := bufio.NewReader(r).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); !e.OK() {
		t.Fatalf("exit %+v", e)
	}
	return b.String()
}

func wait(t *testing.T, p *Process) Exit {
	t.Helper()
	e, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

// there tells whether a process is there, as a zombie or alive.
func there(pid int) bool {
	_, err := readStat(pid)
	return err == nil
}

// unowned are the dead children of the test but for orphans, which come when a test made it a subreaper.
func unowned(t *testing.T) []int {
	t.Helper()
	if _, err := ReapOrphans(nil); err != nil {
		t.Fatal(err)
	}
	return zombies(t)
}

// zombies are the dead children of the test.
func zombies(t *testing.T) (pids []int) {
	t.Helper()
	snap, err := takeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range snap.procs {
		if m.PPid == os.Getpid() && !m.alive() {
			pids = append(pids, m.Pid)
		}
	}
	return pids
}

func liveTree(t *testing.T, p *Process) (live []ProcInfo) {
	t.Helper()
	all, err := p.Tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.alive() {
			live = append(live, m)
		}
	}
	return live
}
