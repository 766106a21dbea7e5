package spawn

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// MarkerEnv is the environment variable that Spec.RunID is put into. It is how processes that left group, session and
// parent are found again.
const MarkerEnv = "BOP_RUN_ID"

// Infinity is no limit.
const Infinity = ^uint64(0)

// Spec says what to start. Either Args or Shell must be given.
type Spec struct {
	Name  string   // for errors; default: the program
	Args  []string // the program and its arguments. A name without a slash is looked up in PATH of Env
	Shell string   // run by /bin/sh -c; a simple command replaces the shell
	Dir   string   // default: the supervisor's
	Env   []string // complete: nothing is inherited
	RunID string   // unique for each start; empty: no marker

	// User and Group are names or numbers. Empty: the supervisor's. Supplementary groups are those of User.
	User, Group string

	// Stdin that is nil is /dev/null. An *os.File is passed as it is; from another reader a goroutine copies until the
	// reader or the process ends.
	Stdin io.Reader
	// Stdout and Stderr that are nil are /dev/null. They stay open here: the caller closes them after Start.
	Stdout, Stderr *os.File

	// PTY gives the process its own session and a controlling terminal, which is also its stdin, stdout and stderr unless
	// those are given. See Process.Terminal.
	PTY        bool
	Rows, Cols uint16 // of the terminal; default 24 and 80

	Nice        int               // from -20 to 19; 0: the supervisor's
	Umask       *int              // nil: the supervisor's
	OOMScoreAdj *int              // from -1000 to 1000; nil: the supervisor's
	Rlimits     map[string]Rlimit // by name, as "nofile"; see RlimitNames

	// Files are passed as descriptors 3 and up by systemd's protocol: LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID are set.
	Files     []*os.File
	FileNames []string // for LISTEN_FDNAMES; default "unknown" for each

	// Cgroup is the path of a cgroup v2 folder to start in. It must be for this run only: StopTree ends all that is in it,
	// and newer kernels kill at once what is started into a group that was killed before.
	Cgroup string
}

// Rlimit is a resource limit in the kernel's unit: bytes, seconds or a count.
type Rlimit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// needsShim tells whether something has to be done in the child before exec.
func (s *Spec) needsShim() bool {
	return s.Nice != 0 || s.Umask != nil || s.OOMScoreAdj != nil || len(s.Rlimits) > 0 || len(s.Files) > 0
}

// check finds what can be known to be wrong before anything is started.
func (s *Spec) check() error {
	bad := func(what string) error {
		return s.failed("check the spec", "", errors.New(what), "")
	}
	switch {
	case len(s.Args) == 0 && s.Shell == "":
		return bad("neither Args nor Shell is given")
	case len(s.Args) > 0 && s.Shell != "":
		return bad("both Args and Shell are given")
	case len(s.Args) > 0 && s.Args[0] == "":
		return bad("the program's name is empty")
	case s.Nice < -20 || s.Nice > 19:
		return bad("nice is not between -20 and 19")
	case s.Umask != nil && (*s.Umask < 0 || *s.Umask > 0o777):
		return bad("umask is not between 0 and 0777")
	case s.OOMScoreAdj != nil && (*s.OOMScoreAdj < -1000 || *s.OOMScoreAdj > 1000):
		return bad("oom_score_adj is not between -1000 and 1000")
	case len(s.FileNames) > len(s.Files):
		return bad("more FileNames than Files")
	case strings.ContainsAny(s.RunID, "\x00\n"):
		return bad("RunID has a zero byte or a new line")
	}
	for _, f := range s.Files {
		if f == nil {
			return bad("one of Files is nil")
		}
	}
	for _, n := range s.FileNames {
		if strings.ContainsAny(n, ":\x00\n") {
			return bad("a file name has a colon, a zero byte or a new line")
		}
	}
	for name, l := range s.Rlimits {
		if !slices.Contains(RlimitNames(), name) {
			return bad("no limit is named " + name)
		}
		if l.Soft > l.Hard {
			return bad("the soft limit of " + name + " is above the hard one")
		}
	}
	for _, v := range slices.Concat(s.Args, s.Env, []string{s.Shell, s.Dir}) {
		if strings.IndexByte(v, 0) >= 0 {
			return s.failed("check the spec", "", syscall.EINVAL, "an argument or variable has a zero byte")
		}
	}
	return nil
}

// failed makes the error of a step.
func (s *Spec) failed(op, path string, err error, hint string) *StartError {
	name := s.Name
	if name == "" && len(s.Args) > 0 {
		name = s.Args[0]
	}
	return &StartError{Name: name, Op: op, Path: path, Err: err, Hint: hint}
}

// command is the program and its arguments, with the shell if that is asked for.
func (s *Spec) command() []string {
	if s.Shell == "" {
		return s.Args
	}
	script := s.Shell
	if simpleCommand(script) {
		// Without it some shells stay as the parent, and a signal to the leader wouldn't reach the program.
		script = "exec " + script
	}
	return []string{"/bin/sh", "-c", script}
}

// environment is Env with the marker, and without what this package sets itself or would be a lie in the child.
func (s *Spec) environment() []string {
	env := make([]string, 0, len(s.Env)+1)
	if s.RunID != "" {
		env = append(env, MarkerEnv+"="+s.RunID)
	}
	for _, v := range s.Env {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID":
			continue // meant for the supervisor
		case MarkerEnv:
			continue // another run's, of which this is none
		}
		env = append(env, v)
	}
	return env
}

// notExecutable are words that the shell itself understands: exec before them would fail or mean something else.
var notExecutable = map[string]bool{}

func init() {
	for w := range strings.FieldsSeq(`. : alias bg break builtin case cd command continue declare do done elif else esac
		eval exec exit export fc fg fi for function getopts hash if jobs let local read readonly return select set shift
		source then time times trap type typeset ulimit umask unalias unset until wait while ! { }`) {
		notExecutable[w] = true
	}
}

// simpleCommand tells whether exec can be put before script. When in doubt it says no, which costs only a shell.
func simpleCommand(script string) bool {
	if strings.ContainsAny(script, ";&|()`\n#") || strings.Contains(script, "$(") {
		return false
	}
	words := strings.Fields(script)
	if len(words) == 0 {
		return false
	}
	first := words[0]
	return !notExecutable[first] && !strings.ContainsAny(first, "=$\"'\\<>*?[~{")
}
