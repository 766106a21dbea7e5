package spawn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fixture is a folder that looks like a cgroup v2 one.
func fixture(t *testing.T, controllers, on string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": controllers, "cgroup.subtree_control": on} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAFolderThatIsNoCgroupIsNotDelegated(t *testing.T) {
	if _, err := Probe(t.TempDir()); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("got %v", err)
	}
}

func TestLimitsAreWrittenAsTheKernelReadsThem(t *testing.T) {
	dir := fixture(t, "cpuset cpu io memory pids\n", "cpu memory pids\n")
	c, err := Probe(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Controllers, " "); got != "cpu memory pids" {
		t.Errorf("controllers %q", got)
	}
	g, err := c.Make("web-1", Limits{MemoryMax: 1 << 20, MemoryHigh: 1 << 19, CPUMax: 1.5, PidsMax: 7})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "1048576", "memory.high": "524288", "cpu.max": "150000 100000", "pids.max": "7"} {
		if b, err := os.ReadFile(filepath.Join(g.Path(), file)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
	if err := os.WriteFile(filepath.Join(g.Path(), "memory.events"), []byte("low 0\nhigh 3\nmax 4\noom 2\noom_kill 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if e, err := g.Events(); err != nil || e != (MemoryEvents{High: 3, Max: 4, OOM: 2, OOMKill: 1}) {
		t.Errorf("%+v, %v", e, err)
	}
	if err := g.Kill(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("kill without cgroup.kill: %v", err)
	}
}

func TestALimitWithoutItsControllerLeavesNoGroup(t *testing.T) {
	dir := fixture(t, "cpu", "cpu")
	c, err := Probe(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Make("web", Limits{MemoryMax: 1}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "web")); !os.IsNotExist(err) {
		t.Errorf("a group is left: %v", err)
	}
	for _, name := range []string{"", ".", "..", "a/b"} {
		if _, err := c.Make(name, Limits{}); err == nil {
			t.Errorf("made %q", name)
		}
	}
}

func TestAllInACgroupAreEnded(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mount("none", root, "cgroup2", 0, ""); err != nil {
		t.Skipf("a cgroup2 can't be mounted here: %v", err)
	}
	defer unix.Unmount(root, unix.MNT_DETACH)
	c, err := Probe(root)
	if err != nil {
		t.Skipf("the mounted cgroup2 isn't ours: %v", err)
	}
	g, err := c.Make("bop-spawn-test-"+filepath.Base(filepath.Dir(root)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}()
	s := self("daemon") // no marker: only the cgroup tells
	s.Cgroup = g.Path()
	p, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, p)
	var tree []ProcInfo
	until(t, "the daemon is alone", func() bool {
		tree = liveTree(t, p)
		return len(tree) == 1 && tree[0].Sid == tree[0].Pid && ignored(t, tree[0].Pid, syscall.SIGTERM)
	})
	r, err := p.StopTree(t.Context(), StopOptions{Grace: -1})
	if err != nil || r.Killed != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	noneAlive(t, tree)
	// And by cgroup.kill alone, for one that was started by the shim. In the first group the kernel would kill it at once.
	g2, err := c.Make(filepath.Base(g.Path())+"b", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g2.Remove(); err != nil {
			t.Error(err)
		}
	}()
	p, err = Start(t.Context(), Spec{Args: []string{"sleep", "1000"}, Env: os.Environ(), Cgroup: g2.Path(), Nice: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := g2.Kill(); err != nil {
		t.Skipf("no cgroup.kill: %v", err)
	}
	if e := wait(t, p); e.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v", e)
	}
}
