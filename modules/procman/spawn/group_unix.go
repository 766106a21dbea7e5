//go:build unix && !linux

package spawn

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/creack/pty"
)

const sigCont = syscall.SIGCONT

func (s *Spec) sysAttr() (*syscall.SysProcAttr, error) {
	cred, err := s.credential()
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Setpgid: !s.PTY, Setsid: s.PTY, Setctty: s.PTY, Credential: cred}, nil
}

func exitOf(st *os.ProcessState) Exit {
	e := Exit{Code: st.ExitCode()}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal, e.CoreDumped = ws.Signal(), ws.CoreDump()
	}
	if ru, ok := st.SysUsage().(*syscall.Rusage); ok {
		e.Rusage = Rusage{User: time.Duration(ru.Utime.Nano()), System: time.Duration(ru.Stime.Nano()), MaxRSS: int64(ru.Maxrss)}
		if runtime.GOOS != "darwin" {
			e.Rusage.MaxRSS <<= 10 // only darwin counts bytes
		}
	}
	return e
}

func (h *handle) signal(sig syscall.Signal) error { return h.proc.Signal(sig) }

func (h *handle) signalGroup(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groupGone {
		return os.ErrProcessDone
	}
	err := syscall.Kill(-h.pid, sig)
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

// members is the group as one entry: more isn't known here.
func (p *Process) members(map[key]bool) ([]ProcInfo, error) {
	h := &p.handle
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groupGone {
		return nil, nil
	}
	// EPERM is what darwin says of a group of zombies.
	if err := syscall.Kill(-h.pid, 0); err == syscall.ESRCH || err == syscall.EPERM && p.exited() {
		h.groupGone = p.exited()
		return nil, nil
	}
	return []ProcInfo{{Pid: h.pid, PGid: h.pid, State: 'R', Comm: p.id.Name}}, nil
}

// signalOne is for those that are no group's, which aren't found here.
func signalOne(m *ProcInfo, sig syscall.Signal) error { return syscall.ESRCH }

func openTerminal(rows, cols uint16) (master, tty *os.File, err error) {
	if rows == 0 {
		rows = 24
	}
	if cols == 0 {
		cols = 80
	}
	if master, tty, err = pty.Open(); err != nil {
		return nil, nil, err
	}
	if err = pty.Setsize(master, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		master.Close()
		tty.Close()
		return nil, nil, err
	}
	return master, tty, nil
}
