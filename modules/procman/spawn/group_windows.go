package spawn

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

const sigCont = syscall.Signal(0x12)

func (s *Spec) sysAttr() (*syscall.SysProcAttr, error) {
	if s.User != "" || s.Group != "" {
		return nil, s.failed("become user", s.User, errors.ErrUnsupported, "")
	}
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}, nil
}

func (s *Spec) lookup(program string) (string, error) {
	if strings.ContainsAny(program, `/\:`) {
		return program, nil
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", s.failed("look up", program, err, "")
	}
	return path, nil
}

func (s *Spec) explain(path string, err error) error { return s.failed("exec", path, err, "") }

func exitOf(st *os.ProcessState) Exit {
	return Exit{Code: st.ExitCode(), Rusage: Rusage{User: st.UserTime(), System: st.SystemTime()}}
}

// signal can only end the process here.
func (h *handle) signal(syscall.Signal) error { return h.proc.Kill() }

func (h *handle) signalGroup(syscall.Signal) error { return h.proc.Kill() }

// members is the leader alone.
func (p *Process) members(map[key]bool) ([]ProcInfo, error) {
	if p.exited() {
		return nil, nil
	}
	return []ProcInfo{{Pid: p.id.Pid, PGid: p.id.Pid, State: 'R', Comm: p.id.Name}}, nil
}

func signalOne(*ProcInfo, syscall.Signal) error { return errors.ErrUnsupported }

func openTerminal(rows, cols uint16) (master, tty *os.File, err error) {
	return nil, nil, errors.ErrUnsupported
}
