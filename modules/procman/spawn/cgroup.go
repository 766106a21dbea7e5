package spawn

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Cgroups is a cgroup v2 folder that is ours to make groups in.
type Cgroups struct {
	root string
	// Controllers are those that groups made here can have limits of, such as "memory", "cpu" and "pids".
	Controllers []string
}

// Limits are of all processes of a group together. 0 is no limit.
type Limits struct {
	MemoryMax  int64   // bytes; above it the kernel kills
	MemoryHigh int64   // bytes; above it the kernel slows down and takes memory back
	CPUMax     float64 // processors, as 0.5
	PidsMax    int64   // processes and threads
}

// MemoryEvents is how often limits were met, as in memory.events.
type MemoryEvents struct {
	High, Max, OOM, OOMKill int64
}

// Cgroup is one group.
type Cgroup struct{ path string }

// ErrNoCgroup: the folder is not a cgroup v2 one that is ours.
var ErrNoCgroup = errors.New("no cgroup v2 is delegated")

// Probe tells whether root, such as "/sys/fs/cgroup/bop", is a cgroup v2 folder that we may make groups in, and switches
// on for them the controllers memory, cpu and pids that are there. One that can't be switched on is left out of
// Controllers; the kernel refuses it while processes are in root itself. The error is ErrNoCgroup with the reason.
func Probe(root string) (*Cgroups, error) {
	b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w: %w", root, ErrNoCgroup, err)
	}
	dir, err := os.MkdirTemp(root, "bop-probe-")
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w: %w", root, ErrNoCgroup, err)
	}
	if err := os.Remove(dir); err != nil {
		return nil, fmt.Errorf("probe %s: %w", root, err)
	}
	c := &Cgroups{root: root}
	control := filepath.Join(root, "cgroup.subtree_control")
	there := strings.Fields(string(b))
	for _, name := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(there, name) {
			continue
		}
		on, _ := os.ReadFile(control)
		if slices.Contains(strings.Fields(string(on)), name) || write(control, "+"+name) == nil {
			c.Controllers = append(c.Controllers, name)
		}
	}
	return c, nil
}

// Make makes a group with limits. It fails if there is one of the name, or a limit can't be set; then no group is left.
func (c *Cgroups) Make(name string, l Limits) (*Cgroup, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\n\x00") {
		return nil, fmt.Errorf("make cgroup %q: not a name", name)
	}
	g := &Cgroup{path: filepath.Join(c.root, name)}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	if err := c.limit(g, l); err != nil {
		return nil, errors.Join(fmt.Errorf("make cgroup %s: %w", name, err), g.Remove())
	}
	return g, nil
}

func (c *Cgroups) limit(g *Cgroup, l Limits) error {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	const period = 100_000 // microseconds
	for _, set := range []struct {
		controller, file, value string
		wanted                  bool
	}{
		{"memory", "memory.high", number(l.MemoryHigh), l.MemoryHigh > 0},
		{"memory", "memory.max", number(l.MemoryMax), l.MemoryMax > 0},
		{"cpu", "cpu.max", fmt.Sprintf("%d %d", max(1000, int64(math.Round(l.CPUMax*period))), period), l.CPUMax > 0},
		{"pids", "pids.max", number(l.PidsMax), l.PidsMax > 0},
	} {
		if !set.wanted {
			continue
		}
		if !slices.Contains(c.Controllers, set.controller) {
			return fmt.Errorf("set %s: controller %s is not there: %w", set.file, set.controller, errors.ErrUnsupported)
		}
		if err := write(filepath.Join(g.path, set.file), set.value); err != nil {
			return err
		}
	}
	return nil
}

// Path is what Spec.Cgroup takes.
func (g *Cgroup) Path() string { return g.path }

// Kill kills all processes in the group at once. The error is errors.ErrUnsupported before Linux 5.14. It returns before
// they have ended. Make a new group for the next run: newer kernels kill what is started into one that was killed before.
func (g *Cgroup) Kill() error {
	file := filepath.Join(g.path, "cgroup.kill")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("kill cgroup %s: %w", g.path, errors.ErrUnsupported)
	}
	return write(file, "1")
}

// Events reads memory.events. OOMKill above 0 tells that the kernel killed something for MemoryMax.
func (g *Cgroup) Events() (MemoryEvents, error) {
	var e MemoryEvents
	b, err := os.ReadFile(filepath.Join(g.path, "memory.events"))
	if err != nil {
		return e, fmt.Errorf("read events: %w", err)
	}
	into := map[string]*int64{"high": &e.High, "max": &e.Max, "oom": &e.OOM, "oom_kill": &e.OOMKill}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n := into[name]; n != nil {
			*n, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return e, nil
}

// Remove removes the group, in which no process may be any more.
func (g *Cgroup) Remove() error {
	// The files in it are the kernel's: a folder of cgroups is removed with them.
	if err := os.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	return nil
}

// write writes to a file of the kernel. Where the kernel has no such file it refuses to make one.
func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
