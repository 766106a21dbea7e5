//go:build !linux

package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// Start starts the process, or returns a *StartError. ctx bounds the start only. What needs the shim or a cgroup is
// errors.ErrUnsupported here.
func Start(ctx context.Context, s Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.failed("start", "", err, "")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.needsShim() || s.Cgroup != "" {
		return nil, s.failed("start", "", errors.ErrUnsupported, "nice, umask, limits, Files and Cgroup are for Linux")
	}
	argv := s.command()
	path, err := s.lookup(argv[0])
	if err != nil {
		return nil, err
	}
	attr, err := s.sysAttr()
	if err != nil {
		return nil, err
	}
	o, err := s.open()
	if err != nil {
		return nil, err
	}
	proc, err := os.StartProcess(path, argv, &os.ProcAttr{
		Dir: s.Dir, Env: s.environment(), Files: o.child[:], Sys: attr,
	})
	if err != nil {
		o.abandon()
		return nil, s.explain(path, err)
	}
	o.started()
	id := Identity{Name: s.Name, Pid: proc.Pid, RunID: s.RunID, Session: s.PTY}
	if id.Name == "" {
		id.Name = argv[0]
	}
	p := &Process{id: id, terminal: o.terminal, done: make(chan struct{})}
	p.handle.proc, p.handle.pid = proc, proc.Pid
	go func() {
		e := p.handle.wait()
		if o.pipe != nil {
			o.pipe.Close()
		}
		p.finish(e)
	}()
	if o.pump != nil {
		go o.pump()
	}
	return p, nil
}

// handle is the system's of the leader.
type handle struct {
	proc *os.Process
	pid  int

	mu        sync.Mutex
	groupGone bool
}

func (h *handle) wait() Exit {
	st, err := h.proc.Wait()
	if err != nil {
		return Exit{Code: -1, Unknown: true}
	}
	return exitOf(st)
}

// Shim is for Linux; it returns at once.
func Shim() {}

// RlimitNames are those that can be set: none here.
func RlimitNames() []string { return nil }

// Adopt is for Linux.
func Adopt(id Identity) (*Process, error) { return nil, unsupported("adopt") }

// Ended is for Linux.
func Ended(id Identity) (*Process, error) { return nil, unsupported("find a tree") }

// Reexec is for Linux.
func Reexec(path string, argv, env []string, keep []*os.File) error { return unsupported("reexec") }

// EnableSubreaper is for Linux.
func EnableSubreaper() error { return unsupported("become a subreaper") }

// ReapOrphans does nothing where no orphans come.
func ReapOrphans(known func(pid int) bool) ([]int, error) { return nil, nil }

// PidFD is for Linux.
func (p *Process) PidFD() (*os.File, error) { return nil, unsupported("pidfd") }

// ProcUsage is what one process uses now.
type ProcUsage struct {
	CPUSeconds  float64 // user and system, since it began
	RSS         int64   // bytes
	Threads     int
	Descriptors int   // -1: not readable
	ReadBytes   int64 // from block devices; -1: not readable
	WriteBytes  int64
}

// Usage is for Linux.
func Usage(pid int) (ProcUsage, error) { return ProcUsage{}, unsupported("usage") }

// NotifySocket is for Linux.
type NotifySocket struct{}

// ListenNotify is for Linux.
func ListenNotify(dir string) (*NotifySocket, error) {
	return nil, unsupported("listen for notifications")
}

// Path is for Linux.
func (n *NotifySocket) Path() string { return "" }

// C is for Linux.
func (n *NotifySocket) C() <-chan Notification { return nil }

// Refused is for Linux.
func (n *NotifySocket) Refused() int64 { return 0 }

// Attach is for Linux.
func (n *NotifySocket) Attach(p *Process) {}

// Close is for Linux.
func (n *NotifySocket) Close() error { return nil }

func unsupported(what string) error { return fmt.Errorf("%s: %w", what, errors.ErrUnsupported) }

func (p *Process) killCgroup() {}

func reapDead(dead []ProcInfo, known func(pid int) bool) []int { return nil }
