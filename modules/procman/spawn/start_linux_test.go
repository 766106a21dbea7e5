package spawn

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFailedStartTellsTheStepAndTheErrno(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nice := 1 // the same failures have to come through the shim
	for _, c := range []struct {
		name  string
		spec  Spec
		errno syscall.Errno
		words string
	}{
		{"a name that is not in PATH", Spec{Args: []string{"no-such-program"}, Env: []string{"PATH=/bin"}}, syscall.ENOENT, "not in PATH /bin"},
		{"a path that is not there", Spec{Args: []string{"/no/such"}}, syscall.ENOENT, "exec /no/such: no such file or directory (there is no such file)"},
		{"a file that is not executable", Spec{Args: []string{file("plain", "x", 0o644)}}, syscall.EACCES, "chmod +x"},
		{"a folder", Spec{Args: []string{dir}}, syscall.EACCES, "it is a folder"},
		{"an interpreter that is not there", Spec{Args: []string{file("script", "#!/no/interpreter -x\n", 0o755)}}, syscall.ENOENT, "its interpreter /no/interpreter is not there"},
		{"a file that is no program", Spec{Args: []string{file("text", "hello", 0o755)}}, syscall.ENOEXEC, "#!"},
		{"a working folder that is not there", Spec{Args: []string{"/bin/true"}, Dir: "/no/dir"}, syscall.ENOENT, "change directory to /no/dir"},
		{"a working folder that is a file", Spec{Args: []string{"/bin/true"}, Dir: "/etc/passwd"}, syscall.ENOTDIR, "change directory to /etc/passwd"},
		{"a user that is not there", Spec{Args: []string{"/bin/true"}, User: "no-such-user"}, 0, "look up user no-such-user"},
		{"a group that is not there", Spec{Args: []string{"/bin/true"}, Group: "no-such-group"}, 0, "look up group no-such-group"},
		{"a cgroup that is none", Spec{Args: []string{"/bin/true"}, Cgroup: dir}, 0, "not a cgroup v2 folder"},
		{"neither program nor shell", Spec{}, 0, "neither Args nor Shell"},
		{"an unknown limit", Spec{Args: []string{"/bin/true"}, Rlimits: map[string]Rlimit{"x": {}}}, 0, "no limit is named x"},
	} {
		for _, shim := range []bool{false, true} {
			name := c.name
			if shim {
				name += " by the shim"
				c.spec.Nice = nice
			}
			t.Run(name, func(t *testing.T) {
				p, err := Start(t.Context(), c.spec)
				var e *StartError
				if p != nil || !errors.As(err, &e) {
					t.Fatalf("got %v, %v", p, err)
				}
				if c.errno != 0 && !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.words) {
					t.Fatalf("got %q, want %v and %q", err, c.errno, c.words)
				}
			})
		}
	}
	if z := unowned(t); len(z) > 0 {
		t.Fatalf("zombies are left: %v", z)
	}
}

func TestAUserMustBeAbleToEnterTheFolder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start as another user")
	}
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, nice := range []int{0, 1} {
		_, err := Start(t.Context(), Spec{Args: []string{"/bin/true"}, User: "nobody", Dir: dir, Nice: nice})
		if !errors.Is(err, syscall.EACCES) {
			t.Errorf("nice %d: got %v", nice, err)
		}
	}
}

func TestTheChildIsWhatTheSpecSays(t *testing.T) {
	s := self("describe", MarkerEnv+"=outer")
	s.RunID = "run-7"
	s.Dir = "/"
	s.Nice = 5
	s.Umask = new(0o027)
	s.OOMScoreAdj = new(300)
	s.Rlimits = map[string]Rlimit{"nofile": {Soft: 100, Hard: 200}, "core": {Soft: 1 << 20, Hard: 1 << 21}}
	d := described(t, s)
	if d.Umask != 0o027 || d.Nice != 5 || d.OOM != "300" || d.Dir != "/" || d.Marker != "run-7" {
		t.Errorf("got %+v", d)
	}
	if d.Nofile.Hard != 200 || d.Core != (Rlimit{1 << 20, 1 << 21}) {
		t.Errorf("limits are %+v, %+v", d.Nofile, d.Core)
	}
	if d.Pgid != d.Pid || d.PPid != os.Getpid() {
		t.Errorf("group %d, parent %d of %d", d.Pgid, d.PPid, d.Pid)
	}
	// The soft limit is seen by a program that doesn't raise it.
	s = Spec{Shell: "ulimit -Sn; ulimit -Hn", Env: os.Environ(), Rlimits: s.Rlimits}
	if out := output(t, s); out != "100\n200\n" {
		t.Errorf("ulimit -n prints %q", out)
	}
}

func TestTheOpenFilesLimitThatGoRaisedIsNotPassedOn(t *testing.T) {
	// Both ways must give the child the same.
	direct := output(t, Spec{Shell: "ulimit -Sn; ulimit -Hn"})
	shim := output(t, Spec{Shell: "ulimit -Sn; ulimit -Hn", Nice: 1})
	if direct != shim {
		t.Errorf("direct %q, by the shim %q", direct, shim)
	}
}

func TestAnotherUserIsRunWithItsGroupsAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start as another user")
	}
	for _, nice := range []int{0, -3} {
		out := output(t, Spec{Shell: "id -u; id -G; nice", User: "nobody", Env: os.Environ(), Nice: nice})
		f := strings.Fields(out)
		if f[0] != "65534" || f[1] != "65534" {
			t.Errorf("id says %q", out)
		}
		if nice != 0 && f[len(f)-1] != "-3" {
			t.Errorf("nice before the user was changed: %q", out)
		}
	}
	if _, err := Start(t.Context(), Spec{Args: []string{"/bin/true"}, User: "4321"}); err == nil ||
		!strings.Contains(err.Error(), "needs Group") {
		t.Errorf("a number without an entry: %v", err)
	}
	if out := output(t, Spec{Shell: "id -u; id -g", User: "4321", Group: "1234", Env: os.Environ()}); out != "4321\n1234\n" {
		t.Errorf("id says %q", out)
	}
}

func TestNoDescriptorLeaksIntoTheChild(t *testing.T) {
	fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // not close-on-exec, as if inherited
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, nice := range []int{0, 1} {
		// ls itself opens 3 to list.
		out := output(t, Spec{Args: []string{"ls", "/proc/self/fd"}, Env: os.Environ(), Nice: nice})
		if got := strings.Fields(out); strings.Join(got, " ") != "0 1 2 3" {
			t.Errorf("nice %d: the child has %v", nice, got)
		}
	}
}

func TestAPassedSocketIsServedByTheChild(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := self("listen", "LISTEN_FDS=9", "LISTEN_PID=1")
	s.Files, s.FileNames = []*os.File{f}, []string{"web"}
	p := start(t, s)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(line)
	if len(got) != 4 || got[0] != got[1] || got[2] != "1" || got[3] != "web" {
		t.Errorf("the child says %q", line)
	}
	if e := wait(t, p); !e.OK() {
		t.Errorf("exit %+v", e)
	}
}

func TestATerminalIsOneForTheChild(t *testing.T) {
	for _, nice := range []int{0, 1} {
		p := start(t, Spec{Shell: "tty; stty size; ps -o tpgid= -p $$; echo $$; exit 3", PTY: true, Rows: 33, Cols: 77,
			Env: os.Environ(), Nice: nice})
		var b strings.Builder
		_, err := io.Copy(&b, p.Terminal())
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		p.Terminal().Close()
		f := strings.Fields(b.String())
		if len(f) < 3 || !strings.HasPrefix(f[0], "/dev/pts/") || f[1] != "33" || f[2] != "77" {
			t.Errorf("the child says %q", b.String())
		}
		if len(f) == 5 && f[3] != f[4] {
			t.Errorf("the foreground group is %s of %s", f[3], f[4])
		}
		if e := wait(t, p); e.Code != 3 {
			t.Errorf("exit %+v", e)
		}
	}
}

func TestStdinIsCopiedFromAReader(t *testing.T) {
	if out := output(t, Spec{Args: []string{"cat"}, Env: os.Environ(), Stdin: strings.NewReader("hello")}); out != "hello" {
		t.Errorf("cat says %q", out)
	}
	if out := output(t, Spec{Args: []string{"cat"}, Env: os.Environ()}); out != "" {
		t.Errorf("without stdin cat says %q", out)
	}
}

func TestASimpleCommandReplacesTheShell(t *testing.T) {
	for _, c := range []struct {
		script string
		simple bool
	}{
		{"sleep 1000", true},
		{"/usr/bin/web --port $PORT >log 2>/dev/null", true},
		{"cd /tmp", false}, {"a; b", false}, {"a && b", false}, {"a | b", false}, {"A=1 b", false}, {"if true", false},
		{"$PROGRAM x", false}, {"", false}, {"f() { x; }", false}, {"a\nb", false}, {"./x '#'", false},
	} {
		if got := simpleCommand(c.script); got != c.simple {
			t.Errorf("%q: got %v", c.script, got)
		}
	}
	if out := output(t, Spec{Shell: "printf '%s-%s' $X \"a b\"", Env: []string{"X=1", "PATH=" + os.Getenv("PATH")}}); out != "1-a b" {
		t.Errorf("got %q", out)
	}
}

func TestAnExitTellsCodeOrSignal(t *testing.T) {
	if e := wait(t, start(t, Spec{Shell: "exit 7"})); e.Code != 7 || e.Signal != 0 || e.At.IsZero() || e.Rusage.MaxRSS == 0 {
		t.Errorf("got %+v", e)
	}
	p := start(t, Spec{Shell: "kill -9 $$"})
	for range 2 { // many times
		if e := wait(t, p); e.Code != -1 || e.Signal != syscall.SIGKILL {
			t.Errorf("got %+v", e)
		}
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to the dead: %v", err)
	}
	if err := p.SignalGroup(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to the group of the dead: %v", err)
	}
}

func TestWithoutTheShimInMainTheStartIsRefused(t *testing.T) {
	shimReady.Store(false)
	defer shimReady.Store(true)
	// It would run the whole program once more.
	if _, err := Start(t.Context(), Spec{Args: []string{"/bin/true"}, Nice: 1}); !errors.Is(err, ErrNoShim) {
		t.Errorf("got %v", err)
	}
	start(t, Spec{Args: []string{"/bin/true"}})
}

func TestAStartWithAnEndedContextStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Spec{Args: []string{"/bin/true"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestEndedProcessesKeepNoDescriptor(t *testing.T) {
	count := func() int {
		u, err := Usage(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return u.Descriptors
	}
	start(t, Spec{Args: []string{"/bin/true"}}) // the poller has its own from the first on
	var kept []*Process
	before := count()
	for range 30 {
		p := start(t, Spec{Args: []string{"/bin/true"}})
		wait(t, p)
		kept = append(kept, p)
	}
	if after := count(); after > before+2 {
		t.Errorf("%d ended processes: %d descriptors before, %d after", len(kept), before, after)
	}
}

func described(t *testing.T, s Spec) (d description) {
	t.Helper()
	if err := json.Unmarshal([]byte(output(t, s)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}
