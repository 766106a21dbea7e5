package policy

// Cause is why a run ended.
type Cause uint8

// The causes.
const (
	Crash           Cause = iota // it ended by itself, with another code than 0 or by a signal of its own making
	Clean                        // it ended by itself, with code 0
	OOM                          // the kernel killed it for lack of memory
	Liveness                     // its liveness probe failed, and the manager killed it
	Watchdog                     // it missed its watchdog, and the manager killed it
	StoppedBy                    // a person or an agent stopped it: Outcome.By
	Dependency                   // the manager stopped it since Outcome.By, which it depends on, went down or restarts
	ManagerShutdown              // the manager ends
	StartFailed                  // it never ran
	KilledOutside                // a stranger sent it a signal
	Timeout                      // it took longer than it may, and the manager killed it
)

var causeNames = []string{
	Crash: "crash", Clean: "clean", OOM: "oom", Liveness: "liveness", Watchdog: "watchdog", StoppedBy: "stopped-by",
	Dependency: "dependency", ManagerShutdown: "manager-shutdown", StartFailed: "start-failed",
	KilledOutside: "killed-outside", Timeout: "timeout",
}

// String is its name, as in JSON.
func (c Cause) String() string { return name("cause", causeNames, c) }

// MarshalText writes the name. It fails for a value that has none.
func (c Cause) MarshalText() ([]byte, error) { return text("cause", causeNames, c) }

// UnmarshalText reads the name. The error lists the names there are.
func (c *Cause) UnmarshalText(b []byte) error { return read("cause", causeNames, b, c) }

// Intended is whether someone wanted the end. Such an end is no failure, isn't counted and isn't followed by a restart.
// One for a dependency is intended too: who stopped it starts it again, as Propagate says.
func (c Cause) Intended() bool { return c == StoppedBy || c == Dependency || c == ManagerShutdown }

// Failure is whether the end calls for a restart by OnFailure.
func (c Cause) Failure() bool { return !c.Intended() && c != Clean }

// ownCode is whether the code tells something about the process. When the manager killed it, the code tells about the
// manager's signal only, and a rule for SIGKILL isn't meant for that.
func (c Cause) ownCode() bool { return c != Liveness && c != Watchdog && c != Timeout && !c.Intended() }
