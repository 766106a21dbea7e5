package spawn

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handle is the leader's pidfd, which stays valid after the pid was given to another process.
type handle struct {
	p *Process

	mu        sync.Mutex
	file      *os.File // nil: the kernel has no pidfd, or it isn't needed any more
	reaped    bool     // the pid may belong to another process
	groupGone bool     // nobody was left in the group after the leader was reaped: nobody can come
}

// open takes the pidfd, which is -1 if there is none.
func (h *handle) open(p *Process, fd int) {
	h.p = p
	if fd < 0 {
		return
	}
	// Only a nonblocking one is waited for by the runtime's poller, without a thread.
	_ = unix.SetNonblock(fd, true)
	h.file = os.NewFile(uintptr(fd), "pidfd")
}

// PidFD returns a new pidfd of the process, which the caller closes. The error is os.ErrProcessDone when the process and
// its group have ended, errors.ErrUnsupported where the kernel has none.
func (p *Process) PidFD() (*os.File, error) {
	p.handle.mu.Lock()
	defer p.handle.mu.Unlock()
	if p.handle.groupGone {
		return nil, os.ErrProcessDone
	}
	if p.handle.file == nil {
		return nil, fmt.Errorf("pidfd of %d: %w", p.id.Pid, errors.ErrUnsupported)
	}
	fd, err := rawFd(p.handle.file)
	if err != nil {
		return nil, err
	}
	dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(dup), "pidfd"), nil
}

// wait reaps the leader when it ends.
func (h *handle) wait(stdin *os.File) {
	e := h.await()
	if stdin != nil {
		stdin.Close()
	}
	h.mu.Lock()
	h.release()
	h.mu.Unlock()
	h.p.finish(e)
}

// release closes the pidfd when there is nothing left to ask it, so that a supervisor that keeps the Process of every run
// doesn't run out of descriptors. mu is held.
func (h *handle) release() {
	if h.groupGone && h.reaped && h.file != nil {
		h.file.Close()
		h.file = nil
	}
}

func (h *handle) await() Exit {
	if h.file != nil {
		var e Exit
		c, err := h.file.SyscallConn()
		if err == nil {
			err = c.Read(func(fd uintptr) bool {
				var done bool
				e, done = h.reap(int(fd))
				return done
			})
		}
		if err == nil {
			return e
		}
	}
	// No pidfd, or no poller for it: a thread waits. WNOWAIT leaves the zombie, so that reap can be done under the lock.
	for {
		err := unix.Waitid(unix.P_PID, h.p.id.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.ECHILD && h.alive() {
			time.Sleep(20 * time.Millisecond) // not our child, and nothing to wait on
			continue
		}
		if e, done := h.reap(-1); done {
			return e
		}
	}
}

// alive tells whether the process is there, for one that can't be waited for.
func (h *handle) alive() bool {
	st, err := readStat(h.p.id.Pid)
	return err == nil && st.StartTime == h.p.id.StartTime && st.State != 'Z' && st.State != 'X'
}

// reap takes the exit if the process has ended. Under the lock, so that nobody signals by a pid that was given away.
func (h *handle) reap(fd int) (Exit, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ws syscall.WaitStatus
	var ru syscall.Rusage
	var pid int
	err := error(syscall.EINTR)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(h.p.id.Pid, &ws, syscall.WNOHANG, &ru)
	}
	switch {
	case err == nil && pid == 0:
		return Exit{}, false
	case err == nil && !ws.Exited() && !ws.Signaled():
		return Exit{}, false
	case err != nil && fd >= 0 && !readable(fd):
		return Exit{}, false // not our child
	case err != nil && fd < 0 && h.alive():
		return Exit{}, false
	}
	h.reaped = true
	if h.file != nil && h.kernelGroup(0) == syscall.ESRCH {
		h.groupGone = true
	}
	if err != nil {
		return Exit{Code: -1, Unknown: true}, true
	}
	return exitOf(ws, &ru), true
}

func exitOf(ws syscall.WaitStatus, ru *syscall.Rusage) Exit {
	e := Exit{Code: ws.ExitStatus(), Rusage: Rusage{
		User: time.Duration(ru.Utime.Nano()), System: time.Duration(ru.Stime.Nano()), MaxRSS: int64(ru.Maxrss) << 10,
	}}
	if ws.Signaled() {
		e.Code, e.Signal, e.CoreDumped = -1, ws.Signal(), ws.CoreDump()
	}
	return e
}

// readable tells of a pidfd whether its process has ended.
func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

func (h *handle) signal(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return os.ErrProcessDone
	}
	if h.file == nil {
		return h.told(syscall.Kill(h.p.id.Pid, sig))
	}
	fd, err := rawFd(h.file)
	if err != nil {
		return err
	}
	return h.told(unix.PidfdSendSignal(int(fd), sig, nil, 0))
}

func (h *handle) signalGroup(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groupGone {
		return os.ErrProcessDone
	}
	err := error(syscall.EINVAL)
	if h.file != nil {
		err = h.kernelGroup(sig)
	}
	if err != syscall.EINVAL || h.reaped {
		// Reaped and no signal by pidfd: the number may be another's. StopTree goes process by process.
		return h.told(err)
	}
	return h.told(syscall.Kill(-h.p.id.Pid, sig))
}

// kernelGroup signals the group that the pidfd's process led, also after it was reaped. EINVAL before Linux 6.9.
func (h *handle) kernelGroup(sig syscall.Signal) error {
	fd, err := rawFd(h.file)
	if err != nil {
		return err
	}
	return unix.PidfdSendSignal(int(fd), sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
}

// groupOurs tells whether the pid as a number of a group still means ours.
func (h *handle) groupOurs() (ours, sure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.groupGone:
		return false, true
	case !h.reaped:
		return true, true
	case h.file == nil:
		return true, false
	}
	switch h.kernelGroup(0) {
	case nil, syscall.EPERM:
		return true, true // a number isn't given away while a group has it
	case syscall.ESRCH:
		h.groupGone = true
		h.release()
		return false, true
	}
	return true, false
}

func (h *handle) told(err error) error {
	switch err {
	case nil:
		return nil
	case syscall.ESRCH:
		return os.ErrProcessDone
	}
	return fmt.Errorf("signal %d: %w", h.p.id.Pid, err)
}

// Adopt takes over a process that Start of an earlier program started: this same process before Reexec, or a supervisor
// that is gone. Wait, Signal and StopTree work; of one that isn't our child the exit is Unknown. ErrGone is returned if it
// has ended or the pid is another process now. Adopt before ReapOrphans.
func Adopt(id Identity) (*Process, error) {
	gone := func(why string) error { return fmt.Errorf("adopt %s, pid %d: %w: %s", id.Name, id.Pid, ErrGone, why) }
	if id.Pid <= 1 || id.Pid == os.Getpid() {
		return nil, fmt.Errorf("adopt %s: pid %d can't be a child", id.Name, id.Pid)
	}
	if id.Boot != "" && id.Boot != bootID() {
		return nil, gone("the machine was booted since")
	}
	fd, err := unix.PidfdOpen(id.Pid, 0)
	if err == unix.ESRCH {
		return nil, gone("no such process")
	}
	if err != nil {
		fd = -1
	}
	// Read after the pidfd was opened, so it is about the same process.
	st, err := readStat(id.Pid)
	ours := err == nil && st.PPid == os.Getpid()
	switch {
	case err != nil:
		err = gone("no such process")
	case st.StartTime != id.StartTime:
		err = gone("the pid is another process now")
	case st.State == 'Z' && !ours:
		err = gone("it has ended")
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, err
	}
	id.Session = st.Sid == id.Pid
	p := &Process{id: id, done: make(chan struct{})}
	p.handle.open(p, fd)
	go p.handle.wait(nil)
	return p, nil
}

// Ended is a process that Adopt found gone, whose tree may be alive: StopTree and Tree find it by marker and cgroup alone,
// for pid and group may be others' by now. Its exit is Unknown. An error is returned if there is neither marker nor cgroup.
func Ended(id Identity) (*Process, error) {
	if id.RunID == "" && id.Cgroup == "" {
		return nil, fmt.Errorf("find the tree of %s, pid %d: no marker and no cgroup: %w", id.Name, id.Pid, errors.ErrUnsupported)
	}
	id.Session = false
	p := &Process{id: id, done: make(chan struct{})}
	p.handle.p, p.handle.reaped, p.handle.groupGone = p, true, true
	p.finish(Exit{Code: -1, Unknown: true})
	return p, nil
}
