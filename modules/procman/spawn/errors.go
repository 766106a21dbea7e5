package spawn

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// These errors can be returned by Start and Adopt.
var (
	// ErrNoShim: the Spec needs the shim and main hasn't called Shim.
	ErrNoShim = errors.New("main has to call spawn.Shim first")
	// ErrGone: the process to adopt has ended, or its pid belongs to another process now. See Ended for what it left.
	ErrGone = errors.New("process is gone")
)

// StartError tells which step of a start failed.
type StartError struct {
	Name string // Spec.Name
	Op   string // what was being done, such as "exec" or "change directory"
	Path string // what it was done with
	Err  error  // a syscall.Errno where the system refused
	Hint string // what to look at next; may be empty
}

func (e *StartError) Error() string {
	var b strings.Builder
	b.WriteString("start ")
	if e.Name != "" {
		b.WriteString(e.Name + ": ")
	}
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap makes errors.Is(err, syscall.ENOENT) and the like hold.
func (e *StartError) Unwrap() error { return e.Err }

// RemainError names what was still alive when StopTree gave up.
type RemainError struct {
	Name      string
	Remaining []ProcInfo
	Killed    bool          // SIGKILL was sent
	Took      time.Duration // since StopTree began
	Err       error         // the context's error if that ended the waiting, else nil
}

func (e *RemainError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stop %s: %d processes remain after %v", e.Name, len(e.Remaining), e.Took.Round(time.Millisecond))
	if e.Killed {
		b.WriteString(" and SIGKILL")
	}
	for i, m := range e.Remaining {
		if i == 10 {
			b.WriteString(", ...")
			break
		}
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%d %s (state %c)", sep, m.Pid, m.Comm, m.State)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the context's error, if any.
func (e *RemainError) Unwrap() error { return e.Err }
