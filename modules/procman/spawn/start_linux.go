package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Start starts the process. It returns when the target program has been executed, or a *StartError. ctx bounds the start
// only; the process goes on when it ends.
func Start(ctx context.Context, s Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.failed("start", "", err, "")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	argv := s.command()
	path, err := s.lookup(argv[0])
	if err != nil {
		return nil, err
	}
	cred, err := s.credential()
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: !s.PTY, Setsid: s.PTY, Setctty: s.PTY, Credential: cred}
	if s.Cgroup != "" {
		dir, err := openCgroup(s.Cgroup)
		if err != nil {
			return nil, s.failed("open cgroup", s.Cgroup, err, "")
		}
		defer dir.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	}
	o, err := s.open()
	if err != nil {
		return nil, err
	}
	if s.PTY {
		// The terminal has to be one of the child's descriptors, and stdin to stderr may all be others.
		attr.Ctty = ttyIndex(o)
		if attr.Ctty < 0 {
			o.abandon()
			return nil, s.failed("give it a terminal", "", syscall.EINVAL, "stdin, stdout and stderr are all something else")
		}
	}
	l := &launch{spec: &s, path: path, argv: argv, attr: attr, o: o, cred: cred}
	p, err := l.run(ctx)
	if err != nil {
		o.abandon()
		return nil, err
	}
	o.started()
	return p, nil
}

func ttyIndex(o *stdio) int {
	for i, f := range o.child {
		if len(o.close) > 0 && f == o.close[0] {
			return i
		}
	}
	return -1
}

// launch is a start under way.
type launch struct {
	spec *Spec
	path string
	argv []string
	attr *syscall.SysProcAttr
	o    *stdio
	cred *syscall.Credential
}

func (l *launch) run(ctx context.Context) (*Process, error) {
	s := l.spec
	files := make([]uintptr, 0, 4+len(s.Files))
	for _, f := range l.o.child {
		// Fd makes them blocking, which is what a program expects of its standard files.
		files = append(files, f.Fd())
	}
	pa := &syscall.ProcAttr{Dir: s.Dir, Env: s.environment(), Sys: l.attr}
	if !s.needsShim() {
		pa.Files = files
		pid, fd, err := fork(l.path, l.argv, pa)
		if err != nil {
			return nil, s.explain(l.path, err)
		}
		runtime.KeepAlive(l.o)
		return l.begin(pid, fd), nil
	}
	if !shimReady.Load() {
		return nil, s.failed("start by the shim", "", ErrNoShim, "")
	}
	for _, f := range s.Files {
		fd, err := rawFd(f)
		if err != nil {
			return nil, s.failed("pass", f.Name(), err, "")
		}
		files = append(files, fd)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, s.failed("make a pipe", "", err, "")
	}
	defer read.Close()
	defer write.Close()
	pa.Files = append(files, write.Fd())
	argv, err := l.shimArgs()
	if err != nil {
		return nil, s.failed("start by the shim", "", err, "")
	}
	// The shim becomes the user and changes the folder last, for nice and limits may need root.
	pa.Dir, pa.Sys.Credential = "", nil
	pid, fd, err := fork("/proc/self/exe", argv, pa)
	if err != nil {
		return nil, s.failed("start by the shim", "/proc/self/exe", err, "")
	}
	runtime.KeepAlive(s.Files)
	write.Close()
	p := l.begin(pid, fd)
	if err := l.answer(ctx, p, read); err != nil {
		return nil, err
	}
	return p, nil
}

// answer waits until the shim has executed the target, which closes the pipe, or has said why not.
func (l *launch) answer(ctx context.Context, p *Process, read *os.File) error {
	stop := context.AfterFunc(ctx, func() {
		_ = p.SignalGroup(syscall.SIGKILL)
	})
	said, err := io.ReadAll(io.LimitReader(read, 4096))
	if !stop() {
		// The kill may have hit the shim or the target: neither is what was asked for.
		<-p.done
		return l.spec.failed("start", "", ctx.Err(), "")
	}
	if err == nil && len(said) == 1 && said[0] == shimWillExec {
		return nil
	}
	<-p.done
	if err != nil || len(said) < 5 {
		return l.spec.failed("start by the shim", "", errors.Join(errors.New("the shim died"), err), "see its stderr")
	}
	said = said[1:]
	errno := syscall.Errno(binary.LittleEndian.Uint32(said))
	op, arg, _ := strings.Cut(string(said[4:]), "\x00")
	if op == "exec" {
		return l.spec.explain(l.path, errno)
	}
	return l.spec.failed(op, arg, errno, "")
}

// begin makes the Process and starts to wait for it.
func (l *launch) begin(pid, fd int) *Process {
	s := l.spec
	id := Identity{Name: s.Name, Pid: pid, Boot: bootID(), RunID: s.RunID, Cgroup: s.Cgroup, Session: s.PTY}
	if id.Name == "" {
		id.Name = l.argv[0]
	}
	p := &Process{id: id, terminal: l.o.terminal, done: make(chan struct{})}
	// Nobody has waited for it yet, so this is our process even if it has ended.
	if st, err := readStat(pid); err == nil {
		p.id.StartTime = st.StartTime
	}
	p.handle.open(p, fd)
	go p.handle.wait(l.o.pipe)
	if l.o.pump != nil {
		go l.o.pump()
	}
	return p
}

// fork starts a program that gets no descriptor but those of attr. It returns the pid and a pidfd, or -1.
func fork(path string, argv []string, attr *syscall.ProcAttr) (pid, pidfd int, err error) {
	pidfd = -1
	attr.Sys.PidFD = &pidfd
	sealDescriptors()
	pid, _, err = syscall.StartProcess(path, argv, attr)
	if err != nil {
		return 0, -1, err
	}
	return pid, pidfd, nil
}

// sealDescriptors marks every descriptor but the standard ones close-on-exec. Go opens all its own so, but some may have
// been inherited or made by C. ForkLock keeps Reexec from being undone.
func sealDescriptors() {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// Before Linux 5.11.
	names, _ := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		if fd, err := strconv.Atoi(n.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// Reexec replaces this program by another and keeps files open for it, under their numbers. Children stay children; the
// new program takes them over by Adopt. It returns only if it failed.
func Reexec(path string, argv, env []string, keep []*os.File) error {
	// No child may be forked while the files are inheritable, and no Start may mark them again.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	for _, f := range keep {
		fd, err := rawFd(f)
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		defer syscall.CloseOnExec(int(fd))
	}
	err := syscall.Exec(path, argv, env)
	runtime.KeepAlive(keep)
	return &os.PathError{Op: "exec", Path: path, Err: err}
}

// rawFd is the descriptor without making it blocking: a socket's mode is shared with whoever else has it.
func rawFd(f *os.File) (fd uintptr, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	return fd, c.Control(func(n uintptr) { fd = n })
}

func openTerminal(rows, cols uint16) (master, tty *os.File, err error) {
	master, tty, err = pty.Open()
	if err != nil {
		return nil, nil, err
	}
	size := &pty.Winsize{Rows: rows, Cols: cols}
	if rows == 0 {
		size.Rows = 24
	}
	if cols == 0 {
		size.Cols = 80
	}
	if err := pty.Setsize(master, size); err != nil {
		master.Close()
		tty.Close()
		return nil, nil, err
	}
	return master, tty, nil
}

func openCgroup(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err == nil && st.Type != unix.CGROUP2_SUPER_MAGIC {
		f.Close()
		return nil, errors.New("not a cgroup v2 folder")
	}
	return f, nil
}

// bootID tells one run of the machine from another, for start times begin anew.
var bootID = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
})
