package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// The defaults. A number that may be off is off when it is negative, since 0 is its default.
const (
	DefaultInitial    = 500 * time.Millisecond
	DefaultMax        = 30 * time.Second
	DefaultFactor     = 2.0
	DefaultJitter     = 0.1
	DefaultResetAfter = 10 * time.Second
	DefaultCount      = 5
	DefaultPer        = 60 * time.Second
)

// MaxCount is the largest Window.Count: that many times are stored per process.
const MaxCount = 1000

// Restart is when and how a process is restarted. The zero value restarts after a failure, with all defaults.
type Restart struct {
	// Policy is after which ends it is restarted. Default: OnFailure. A daemon wants Always, which the caller sets.
	Policy Policy `json:"policy"`
	// Backoff is the wait before a restart.
	Backoff Backoff `json:"backoff,omitzero"`
	// ResetAfter is how long a run has to live until the wait begins with Initial again. If it has a readiness probe, it
	// must have been ready too. Negative: never. Default: 10s.
	ResetAfter time.Duration `json:"reset_after,omitempty"`
	// Window is how many restarts are too many. A run that lived long doesn't empty it, only time does: otherwise what
	// dies every 11 s would be restarted for ever without anybody being told.
	Window Window `json:"window,omitzero"`
	// ByCode is what to do for some codes, whatever Policy is; the first rule that fits counts. It isn't asked when the
	// manager killed the process itself, for the code is the manager's then. Default: none.
	ByCode []CodeRule `json:"by_code,omitempty"`
}

// Backoff is the wait before a restart: it grows from Initial by Factor up to Max.
type Backoff struct {
	// Initial is the first wait. Negative: no wait at all. Default: 500ms.
	Initial time.Duration `json:"initial,omitempty"`
	// Max is the longest wait, before the jitter. Default: 30s, or Initial if that is longer.
	Max time.Duration `json:"max,omitempty"`
	// Factor is what the wait is multiplied with each time, at least 1. Default: 2.
	Factor float64 `json:"factor,omitempty"`
	// Jitter is the share by which the wait is made longer or shorter by chance, up to 1, so that many that failed
	// together don't come back together. Negative: none. Default: 0.1.
	Jitter float64 `json:"jitter,omitempty"`
}

// Window is how many restarts in which time are too many.
type Window struct {
	// Count is how many restarts are still good. Negative: any number, it never gives up. 0 is the default and not "none",
	// since who forgets the window must not get an endless loop; for none there is Never. Default: 5.
	Count int `json:"count,omitempty"`
	// Per is the time they are counted in. It slides. Default: 60s.
	Per time.Duration `json:"per,omitempty"`
	// Then is what follows when there would be more. Default: ThenFail.
	Then Then `json:"then,omitempty"`
}

// CodeRule is what to do after some codes.
type CodeRule struct {
	// Codes are exit codes, 0 to 255. 128 and the number of a signal is also an end by that signal.
	Codes []int `json:"codes,omitempty"`
	// Signals are the numbers of signals, 1 to 64. A code of 128 and a number isn't one.
	Signals []int `json:"signals,omitempty"`
	// Action is what to do. Needed.
	Action RuleAction `json:"action"`
}

// WithDefaults returns r with each 0 replaced by its default. What is off stays negative.
func (r Restart) WithDefaults() Restart {
	orDefault(&r.Backoff.Initial, DefaultInitial)
	orDefault(&r.Backoff.Max, max(DefaultMax, r.Backoff.Initial))
	orDefault(&r.Backoff.Factor, DefaultFactor)
	orDefault(&r.Backoff.Jitter, DefaultJitter)
	orDefault(&r.ResetAfter, DefaultResetAfter)
	orDefault(&r.Window.Count, DefaultCount)
	orDefault(&r.Window.Per, DefaultPer)
	return r
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate returns all mistakes, joined, each with the name of its field; nil if there is none.
func (r Restart) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !known(policyNames, r.Policy) {
		bad("policy: there is no policy %d", r.Policy)
	}
	b := r.WithDefaults().Backoff
	switch {
	case b.Max < 0:
		bad("backoff.max: %v is negative; a wait without an end can't be had, a large one can", b.Max)
	case b.Max < b.Initial:
		bad("backoff.max: %v is less than backoff.initial, %v", b.Max, b.Initial)
	}
	if !(b.Factor >= 1) || math.IsInf(b.Factor, 0) {
		bad("backoff.factor: %v is not at least 1; with 1 the wait doesn't grow", b.Factor)
	}
	if !(b.Jitter <= 1) {
		bad("backoff.jitter: %v is not a share from 0 to 1", b.Jitter)
	}
	if r.Window.Count > MaxCount {
		bad("window.count: %d is more than %d; -1 is any number", r.Window.Count, MaxCount)
	}
	if r.Window.Per < 0 {
		bad("window.per: %v is negative; for no window set window.count to -1", r.Window.Per)
	}
	if !known(thenNames, r.Window.Then) {
		bad("window.then: there is no then %d", r.Window.Then)
	}
	r.validateRules(bad)
	return errors.Join(errs...)
}

func (r Restart) validateRules(bad func(string, ...any)) {
	codes, signals := map[int]int{}, map[int]int{} // the rule that has it
	for i, c := range r.ByCode {
		if !known(ruleActionNames, c.Action) {
			bad("by_code[%d].action: none is set", i)
		}
		if len(c.Codes)+len(c.Signals) == 0 {
			bad("by_code[%d]: it has neither codes nor signals, so it never applies", i)
		}
		check := func(field string, list []int, low, high int, seen map[int]int) {
			for _, n := range list {
				if n < low || n > high {
					bad("by_code[%d].%s: %d is not from %d to %d", i, field, n, low, high)
				} else if j, ok := seen[n]; ok && j < i {
					bad("by_code[%d].%s: %d is in by_code[%d] already, which comes first", i, field, n, j)
				} else {
					seen[n] = i
				}
			}
		}
		check("codes", c.Codes, 0, 255, codes)
		check("signals", c.Signals, 1, 64, signals)
	}
}

// rule is the first rule that fits o.
func (r Restart) rule(o Outcome) (CodeRule, bool) {
	code := ShellCode(o.Code, o.Signal)
	if !o.Cause.ownCode() || o.Cause == StartFailed && code == 0 { // what never ran has no code 0
		return CodeRule{}, false
	}
	for _, c := range r.ByCode {
		if slices.Contains(c.Codes, code) || o.Signal > 0 && slices.Contains(c.Signals, o.Signal) {
			return c, true
		}
	}
	return CodeRule{}, false
}

// Delay is the wait before restart number attempt, which begins with 1. chance is from 0 to 1 and moves the wait within its
// jitter; 0.5 is none. The wait is from 0 to Max and the jitter, even if b wasn't valid.
func (b Backoff) Delay(attempt int, chance float64) time.Duration {
	b = Restart{Backoff: b}.WithDefaults().Backoff
	if b.Initial < 0 || b.Max < 0 {
		return 0
	}
	factor, jitter := 1.0, 0.0
	if b.Factor > 1 { // false for NaN
		factor = b.Factor
	}
	if b.Jitter > 0 {
		jitter = min(b.Jitter, 1)
	}
	if !(chance >= 0 && chance <= 1) {
		chance = 0.5
	}
	d := float64(b.Initial) * math.Pow(factor, float64(max(attempt, 1)-1)) // may be +Inf, which Max caps
	d = min(d, float64(b.Max)) * (1 + jitter*(2*chance-1))
	if d >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(d)
}
