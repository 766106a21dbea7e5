package spawn

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// shimName as argv[0] makes a program the shim. No user would name a program so.
const shimName = "bop-spawn-shim\x01"

// shimExit is the code of a shim that failed; its answer tells why.
const shimExit = 127

// shimWillExec is the first byte of the answer, before that of a failed exec.
const shimWillExec = 1

// shimReady tells that main called Shim. Without it the shim would be a second supervisor.
var shimReady atomic.Bool

// shimOrder is what the shim has to do. It goes by an argument; the target's environment is the shim's own.
type shimOrder struct {
	Path      string
	Dir       string
	Nice      int
	Umask     *int
	OOM       *int
	Rlimits   map[string]Rlimit
	Files     int
	FileNames []string
	Cred      *syscall.Credential
}

var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
	"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC,
	"rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME,
	"sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// RlimitNames are the names that Spec.Rlimits may have, as in getrlimit(2) without RLIMIT_. Sizes are in bytes.
func RlimitNames() []string {
	names := make([]string, 0, len(rlimits))
	for n := range rlimits {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// shimArgs is the shim's command line.
func (l *launch) shimArgs() ([]string, error) {
	s := l.spec
	names := slices.Clone(s.FileNames)
	for len(names) < len(s.Files) {
		names = append(names, "unknown")
	}
	order, err := json.Marshal(shimOrder{
		Path: l.path, Dir: s.Dir, Nice: s.Nice, Umask: s.Umask, OOM: s.OOMScoreAdj, Rlimits: s.Rlimits,
		Files: len(s.Files), FileNames: names, Cred: l.cred,
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat([]string{shimName, string(order)}, l.argv), nil
}

// Shim must be called first in main, and in TestMain. In a program that Start runs as its shim it doesn't return; else it
// returns at once.
func Shim() {
	if len(os.Args) < 3 || os.Args[0] != shimName {
		shimReady.Store(true)
		return
	}
	// Nice and the limits of one thread go over to the target, so it must be the one that executes.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	var o shimOrder
	if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
		os.Exit(shimExit)
	}
	op, arg, err := o.run(os.Args[2:])
	errno, _ := err.(syscall.Errno)
	var answer []byte
	if op != "exec" {
		answer = append(answer, shimWillExec)
	}
	answer = binary.LittleEndian.AppendUint32(answer, uint32(errno))
	answer = append(answer, op+"\x00"+arg...)
	_, _ = syscall.Write(o.pipe(), answer)
	os.Exit(shimExit)
}

// pipe is the descriptor for the answer: the one after those that are passed on.
func (o *shimOrder) pipe() int { return 3 + o.Files }

// run executes the target, or returns the step that failed.
func (o *shimOrder) run(argv []string) (op, arg string, err error) {
	syscall.CloseOnExec(o.pipe())
	env := os.Environ()
	if o.Files > 0 {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(o.Files), "LISTEN_PID="+strconv.Itoa(os.Getpid()),
			"LISTEN_FDNAMES="+strings.Join(o.FileNames, ":"))
	}
	if o.OOM != nil {
		if err := writeOOM(*o.OOM); err != nil {
			return "set oom_score_adj", strconv.Itoa(*o.OOM), err
		}
	}
	if o.Nice != 0 {
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, o.Nice); err != nil {
			return "set nice", strconv.Itoa(o.Nice), err
		}
	}
	if o.Umask != nil {
		syscall.Umask(*o.Umask)
	}
	for _, name := range o.limitNames() {
		l := o.Rlimits[name]
		// syscall's Setrlimit, for then Go doesn't put back the old soft limit of open files at exec.
		if err := syscall.Setrlimit(rlimits[name], &syscall.Rlimit{Cur: l.Soft, Max: l.Hard}); err != nil {
			return "set limit", name, err
		}
	}
	if op, arg, err := o.become(); err != nil {
		return op, arg, err
	}
	// A pipe that is closed without this byte means that the shim died.
	_, _ = syscall.Write(o.pipe(), []byte{shimWillExec})
	return "exec", o.Path, syscall.Exec(o.Path, argv, env)
}

// limitNames puts those last that this Go program itself could run into.
func (o *shimOrder) limitNames() []string {
	late := map[string]int{"nofile": 1, "nproc": 2, "stack": 3, "data": 4, "as": 5}
	names := make([]string, 0, len(o.Rlimits))
	for n := range o.Rlimits {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(late[a]-late[b], strings.Compare(a, b)) })
	return names
}

// become changes to the user and then to the folder, which must be open to the user.
func (o *shimOrder) become() (op, arg string, err error) {
	if c := o.Cred; c != nil {
		groups := make([]int, len(c.Groups))
		for i, g := range c.Groups {
			groups[i] = int(g)
		}
		if err := syscall.Setgroups(groups); err != nil {
			return "set groups", "", err
		}
		if err := syscall.Setgid(int(c.Gid)); err != nil {
			return "set group", strconv.Itoa(int(c.Gid)), err
		}
		if err := syscall.Setuid(int(c.Uid)); err != nil {
			return "set user", strconv.Itoa(int(c.Uid)), err
		}
	}
	if o.Dir != "" {
		if err := syscall.Chdir(o.Dir); err != nil {
			return "change directory to", o.Dir, err
		}
	}
	return "", "", nil
}

func writeOOM(adj int) error {
	fd, err := syscall.Open("/proc/self/oom_score_adj", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, []byte(strconv.Itoa(adj)))
	return err
}
