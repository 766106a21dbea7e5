package policy

import (
	"fmt"
	"strings"
)

// Policy is after which ends a process is restarted.
type Policy uint8

// The policies.
const (
	OnFailure Policy = iota // after each end but a clean one
	Always                  // after each end
	Never
)

// Then is what follows when there were too many restarts.
type Then uint8

// What follows on too many restarts.
const (
	ThenFail     Then = iota // it stays down, the others go on
	ThenHold                 // it is tried again when Window.Per has passed
	ThenEscalate             // its group decides, without one its namespace
)

// RuleAction is what a CodeRule does. The zero value is none: a rule must name one.
type RuleAction uint8

// What a CodeRule does.
const (
	RuleRestart    RuleAction = iota + 1 // restart, whatever the policy is
	RuleRestartNow                       // restart without a wait; it counts in the window, so a loop ends
	RuleStop                             // its end is as wanted
	RuleFail                             // it stays down: a restart would not help
	RuleEscalate                         // its group decides, without one its namespace
)

// Action is what is to be done after an end.
type Action uint8

// What is to be done.
const (
	DoNothing  Action = iota // nothing was decided yet
	DoRestart                // start it at Decision.At
	DoFinish                 // its end was wanted: leave it
	DoFail                   // its end was not wanted: leave it down, and tell
	DoHold                   // too many restarts: start it at Decision.At, and tell
	DoEscalate               // its group decides, without one its namespace
)

// Readiness is whether a run was ever ready.
type Readiness uint8

// Whether a run was ready.
const (
	ReadyUnknown Readiness = iota // it has no readiness probe
	WasReady
	NeverReady
)

// Mode is which members of a group restart when one failed.
type Mode uint8

// The modes.
const (
	OneForOne  Mode = iota // only it
	RestForOne             // it, and those that start after it
	OneForAll              // all
)

// OnRestart is what happens to a process when one that it depends on is restarted.
type OnRestart uint8

// What happens to those that depend on it.
const (
	IgnoreRestart OnRestart = iota
	RestartToo
	StopToo
)

var (
	policyNames     = []string{OnFailure: "on-failure", Always: "always", Never: "never"}
	thenNames       = []string{ThenFail: "fail", ThenHold: "hold", ThenEscalate: "escalate"}
	ruleActionNames = []string{
		RuleRestart: "restart", RuleRestartNow: "restart-now", RuleStop: "stop", RuleFail: "fail", RuleEscalate: "escalate",
	}
	actionNames = []string{
		DoNothing: "nothing", DoRestart: "restart", DoFinish: "finish", DoFail: "fail", DoHold: "hold", DoEscalate: "escalate",
	}
	readinessNames = []string{ReadyUnknown: "unknown", WasReady: "ready", NeverReady: "never-ready"}
	modeNames      = []string{OneForOne: "one-for-one", RestForOne: "rest-for-one", OneForAll: "one-for-all"}
	onRestartNames = []string{IgnoreRestart: "ignore", RestartToo: "restart", StopToo: "stop"}
)

// String is its name in a file; each has an UnmarshalText that knows the same names and no others.
func (p Policy) String() string     { return name("policy", policyNames, p) }
func (t Then) String() string       { return name("then", thenNames, t) }
func (a RuleAction) String() string { return name("rule action", ruleActionNames, a) }
func (a Action) String() string     { return name("action", actionNames, a) }
func (r Readiness) String() string  { return name("readiness", readinessNames, r) }
func (m Mode) String() string       { return name("mode", modeNames, m) }
func (o OnRestart) String() string  { return name("on_restart", onRestartNames, o) }

// MarshalText writes the name. It fails for a value that has none.
func (p Policy) MarshalText() ([]byte, error)     { return text("policy", policyNames, p) }
func (t Then) MarshalText() ([]byte, error)       { return text("then", thenNames, t) }
func (a RuleAction) MarshalText() ([]byte, error) { return text("rule action", ruleActionNames, a) }
func (a Action) MarshalText() ([]byte, error)     { return text("action", actionNames, a) }
func (r Readiness) MarshalText() ([]byte, error)  { return text("readiness", readinessNames, r) }
func (m Mode) MarshalText() ([]byte, error)       { return text("mode", modeNames, m) }
func (o OnRestart) MarshalText() ([]byte, error)  { return text("on_restart", onRestartNames, o) }

// UnmarshalText reads the name. The error lists the names there are.
func (p *Policy) UnmarshalText(b []byte) error     { return read("policy", policyNames, b, p) }
func (t *Then) UnmarshalText(b []byte) error       { return read("then", thenNames, b, t) }
func (a *RuleAction) UnmarshalText(b []byte) error { return read("rule action", ruleActionNames, b, a) }
func (a *Action) UnmarshalText(b []byte) error     { return read("action", actionNames, b, a) }
func (r *Readiness) UnmarshalText(b []byte) error  { return read("readiness", readinessNames, b, r) }
func (m *Mode) UnmarshalText(b []byte) error       { return read("mode", modeNames, b, m) }
func (o *OnRestart) UnmarshalText(b []byte) error  { return read("on_restart", onRestartNames, b, o) }

// known is whether e has a name. A gap in names is a value that isn't one.
func known[E ~uint8](names []string, e E) bool { return int(e) < len(names) && names[e] != "" }

func name[E ~uint8](kind string, names []string, e E) string {
	if !known(names, e) {
		return fmt.Sprintf("%s(%d)", kind, uint8(e))
	}
	return names[e]
}

func text[E ~uint8](kind string, names []string, e E) ([]byte, error) {
	if !known(names, e) {
		return nil, fmt.Errorf("there is no %s %d", kind, uint8(e))
	}
	return []byte(names[e]), nil
}

func read[E ~uint8](kind string, names []string, b []byte, to *E) error {
	var all []string
	for i, n := range names {
		if n == "" {
			continue
		}
		if n == string(b) {
			*to = E(i)
			return nil
		}
		all = append(all, n)
	}
	return fmt.Errorf("%s is %q, not one of %s", kind, b, strings.Join(all, ", "))
}
