package spawn

import (
	"context"
	"io"
	"os"
	"syscall"
	"time"
)

// Identity is what a supervisor writes down to find a process again; see Adopt.
type Identity struct {
	Name      string `json:"name,omitempty"`
	Pid       int    `json:"pid"`
	StartTime uint64 `json:"start_time"`        // clock ticks after boot, from /proc/PID/stat
	Boot      string `json:"boot,omitempty"`    // the kernel's boot id; empty: not compared
	RunID     string `json:"run_id,omitempty"`  // as Spec.RunID
	Cgroup    string `json:"cgroup,omitempty"`  // as Spec.Cgroup
	Session   bool   `json:"session,omitempty"` // it leads its session, as with Spec.PTY
}

// Process is the leader of a tree: what Start started or Adopt took over.
type Process struct {
	id       Identity
	terminal *os.File
	handle   handle // the system's

	done chan struct{} // closed after exit is set
	exit Exit
}

// Exit tells how a process ended.
type Exit struct {
	Code       int            // 0 to 255; -1 if a signal ended it or Unknown
	Signal     syscall.Signal // 0: it exited by itself
	CoreDumped bool
	Unknown    bool // it wasn't our child, so the system tells only that it ended
	Rusage     Rusage
	At         time.Time // when it was noticed
}

// Rusage is what a process and those of its children that it waited for have used.
type Rusage struct {
	User, System time.Duration
	MaxRSS       int64 // bytes
}

// OK tells whether the process exited by itself with code 0.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 && !e.Unknown }

// Pid is the process id.
func (p *Process) Pid() int { return p.id.Pid }

// StartTime is in clock ticks after boot. With the pid it names a process for as long as the machine runs. 0 where the
// system doesn't tell.
func (p *Process) StartTime() uint64 { return p.id.StartTime }

// Identity is what Adopt needs.
func (p *Process) Identity() Identity { return p.id }

// Terminal is the supervisor's end of the terminal, nil without Spec.PTY. The caller reads it, or the process blocks when
// it has written some kilobytes, and closes it. When the last process on the terminal has ended, reading returns EIO.
func (p *Process) Terminal() *os.File { return p.terminal }

// Done is closed when the process has ended. Others of its tree may be alive.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process has ended, or returns ctx's error. It may be called many times.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	default:
	}
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// Signal sends to the process alone. The error is os.ErrProcessDone if it has ended.
func (p *Process) Signal(sig syscall.Signal) error { return p.handle.signal(sig) }

// SignalGroup sends to all of the process group. The error is os.ErrProcessDone if the group is empty.
func (p *Process) SignalGroup(sig syscall.Signal) error { return p.handle.signalGroup(sig) }

// finish notes the exit once.
func (p *Process) finish(e Exit) {
	e.At = time.Now()
	p.exit = e
	close(p.done)
}

func (p *Process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stdio are the files of a start: what the child gets, and what is closed when it has them.
type stdio struct {
	child    [3]*os.File
	close    []*os.File
	terminal *os.File
	pump     func() // copies Stdin; nil: nothing to copy
	pipe     *os.File
}

// abandon closes all after a failure.
func (s *stdio) abandon() {
	s.started()
	if s.terminal != nil {
		s.terminal.Close()
	}
	if s.pipe != nil {
		s.pipe.Close()
	}
}

// started closes what only the child needs.
func (s *stdio) started() {
	for _, f := range s.close {
		f.Close()
	}
	s.close = nil
}

// open prepares stdin, stdout and stderr. It opens /dev/null once if at all.
func (s *Spec) open() (_ *stdio, err error) {
	o := &stdio{}
	defer func() {
		if err != nil {
			o.abandon()
		}
	}()
	var rest *os.File
	if s.PTY {
		if o.terminal, rest, err = openTerminal(s.Rows, s.Cols); err != nil {
			return nil, s.failed("open a terminal", "", err, "")
		}
		o.close = append(o.close, rest)
	}
	for i, f := range []*os.File{stdinFile(s.Stdin), s.Stdout, s.Stderr} {
		if f == nil && i == 0 && s.Stdin != nil {
			if f, err = o.feed(s.Stdin); err != nil {
				return nil, s.failed("make a pipe", "for stdin", err, "")
			}
		}
		if f == nil && rest == nil {
			if rest, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return nil, s.failed("open", os.DevNull, err, "")
			}
			o.close = append(o.close, rest)
		}
		if f == nil {
			f = rest
		}
		o.child[i] = f
	}
	return o, nil
}

// stdinFile is r if it is a file; an interface that holds a nil file is none.
func stdinFile(r io.Reader) *os.File {
	f, _ := r.(*os.File)
	return f
}

// feed makes the pipe that a reader is copied through.
func (o *stdio) feed(r io.Reader) (*os.File, error) {
	if f, ok := r.(*os.File); ok && f == nil {
		return nil, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.close = append(o.close, read)
	o.pipe = write
	o.pump = func() {
		// When nobody reads any more the write fails, which is not our business.
		_, _ = io.Copy(write, r)
		write.Close()
	}
	return read, nil
}
