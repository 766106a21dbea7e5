package policy

import (
	"math"
	"slices"
	"time"
)

// Outcome is how a run ended.
type Outcome struct {
	// Cause is why.
	Cause Cause `json:"cause"`
	// Code is the exit code, 0 if there is none.
	Code int `json:"code,omitempty"`
	// Signal is the number of the signal that ended it, 0 if none did.
	Signal int `json:"signal,omitempty"`
	// By is who stopped it, for StoppedBy, or what it depends on, for Dependency.
	By string `json:"by,omitempty"`
	// Ready is whether it was ready once. Default: unknown.
	Ready Readiness `json:"ready,omitempty"`
}

// Decision is what is to be done, and why.
type Decision struct {
	// Action is what to do.
	Action Action `json:"action"`
	// After is how long to wait until At. It is 0 unless Action is DoRestart or DoHold.
	After time.Duration `json:"after,omitempty"`
	// At is when to start it, a wall time. It is zero unless Action is DoRestart or DoHold.
	At time.Time `json:"at,omitzero"`
	// Attempt is how many restarts there were in a row without a run that lived long enough, this one included.
	Attempt int `json:"attempt,omitempty"`
	// Reason is one sentence for people.
	Reason string `json:"reason,omitempty"`
}

// Tracker remembers what happened to one process, or to one group. The zero value is ready for use. As JSON it survives the
// supervisor: decode it, set Restart and Random, and it goes on as before. A decoded one is never trusted.
type Tracker struct {
	// Restart is the policy. It may be changed between two calls.
	Restart Restart `json:"-"`
	// Random is the source of the jitter, from 0 to below 1, such as rand.Float64. Default: none, so no jitter.
	Random func() float64 `json:"-"`

	// Attempt is how many restarts there were in a row without a run that lived long enough.
	Attempt int `json:"attempt,omitempty"`
	// Restarts are the times of the latest restarts, oldest first, at most Window.Count. The last one may be to come.
	Restarts []time.Time `json:"restarts,omitempty"`
	// Stopped is that a person stopped it. Only Manual ends that.
	Stopped bool `json:"stopped,omitempty"`
	// By is who stopped it.
	By string `json:"by,omitempty"`
	// Last is what was decided last.
	Last Decision `json:"last,omitzero"`
}

// maxAttempt keeps a counter from a file from running over.
const maxAttempt = math.MaxInt32

// Exited decides after the end of a run that began at started, or after a start that failed. started is zero if it isn't
// known. The times are best passed as time.Now gave them: how long the run lived is then right even if the clock jumped.
func (t *Tracker) Exited(now, started time.Time, o Outcome) Decision {
	r := t.Restart.WithDefaults()
	e := end{Outcome: o}
	if !started.IsZero() && o.Cause != StartFailed {
		e.ran, e.lived = true, max(0, now.Sub(started))
	}
	now = now.Round(0) // the rest is by wall time, so that a decoded Tracker decides the same
	t.tidy(now, started.Round(0))
	if e.ran && r.ResetAfter >= 0 && e.lived >= r.ResetAfter && o.Ready != NeverReady {
		t.Attempt = 0
	}
	t.Last = t.decide(r, now, e)
	return t.Last
}

func (t *Tracker) decide(r Restart, now time.Time, e end) Decision {
	d := Decision{Action: DoFinish, Attempt: t.Attempt}
	rule, ruled := r.rule(e.Outcome)
	switch {
	case e.Cause == StoppedBy:
		t.Stopped, t.By = true, e.By
		d.Reason = e.say("it stays down until it is started by hand")
	case e.Cause.Intended():
		d.Reason = e.say("nothing is to be done")
	case t.Stopped:
		d.Reason = e.say("it stays down, for %s stopped it", someone(t.By))
	case ruled && rule.Action == RuleStop:
		d.Reason = e.say("a rule for its code says that this is as wanted")
	case ruled && rule.Action == RuleFail:
		d.Action, d.Reason = DoFail, e.say("a rule for its code says that a restart would not help")
	case ruled && rule.Action == RuleEscalate:
		d.Action, d.Reason = DoEscalate, e.say("a rule for its code says that its group decides")
	case ruled:
		return t.restart(r, now, e, rule.Action == RuleRestartNow)
	case r.Policy == Never && e.Cause.Failure():
		d.Action, d.Reason = DoFail, e.say("its policy is never to restart it")
	case r.Policy == Always || e.Cause.Failure():
		return t.restart(r, now, e, false)
	default:
		d.Reason = e.say("its policy is %s, so it is done", r.Policy)
	}
	return d
}

// restart plans one, unless there were too many.
func (t *Tracker) restart(r Restart, now time.Time, e end, atOnce bool) Decision {
	d := Decision{Action: DoRestart, Attempt: min(t.Attempt, maxAttempt-1) + 1}
	if !atOnce {
		chance := 0.5
		if t.Random != nil {
			chance = t.Random()
		}
		d.After = r.Backoff.Delay(d.Attempt, chance)
	}
	d.At = now.Add(d.After)
	count, per := min(r.Window.Count, MaxCount), max(r.Window.Per, 0)
	switch {
	case count < 0 || t.within(d.At, per) < count:
		d.Reason = e.say("restart %d follows %s", d.Attempt, in(d.After))
	case r.Window.Then == ThenHold:
		// A person may be asleep, so a hold ends by itself; what has to wait for a person says ThenFail.
		d.Action, d.After, d.At = DoHold, per, now.Add(per)
		d.Reason = e.say("%s is tried again %s", tooMany(count, per), in(per))
	case r.Window.Then == ThenEscalate:
		return Decision{Action: DoEscalate, Attempt: t.Attempt, Reason: e.say("%s is for its group to decide", tooMany(count, per))}
	default:
		return Decision{Action: DoFail, Attempt: t.Attempt, Reason: e.say("%s stays down", tooMany(count, per))}
	}
	t.Attempt = d.Attempt
	if count > 0 {
		t.Restarts = append(t.Restarts, d.At)
		t.Restarts = slices.Clip(t.Restarts[max(0, len(t.Restarts)-count):])
	}
	return d
}

// within is how many restarts there were in the time per before at.
func (t *Tracker) within(at time.Time, per time.Duration) int {
	n := 0
	for _, r := range t.Restarts {
		if at.Sub(r) < per {
			n++
		}
	}
	return n
}

// tidy makes the state one that can be, after a file was edited or the clock jumped. A restart was not later than now: one
// that seems to be is counted as of now, not forgotten. Nor was the last one before the start that it led to, which may have
// waited for what it depends on. The list is a new one, for a copy of the Tracker may share the old.
func (t *Tracker) tidy(now, started time.Time) {
	t.Attempt = min(max(t.Attempt, 0), maxAttempt)
	list := make([]time.Time, len(t.Restarts), len(t.Restarts)+1)
	copy(list, t.Restarts)
	slices.SortFunc(list, time.Time.Compare)
	if n := len(list); n > 0 && t.Last.starts() && started.After(list[n-1]) {
		list[n-1] = started
	}
	for i := range list {
		if list[i].After(now) {
			list[i] = now
		}
	}
	t.Restarts = list[max(0, len(list)-MaxCount):]
}

// Manual is that a person starts it now. It ends a stop, a hold and a failure: all restarts are forgotten.
func (t *Tracker) Manual(now time.Time) Decision {
	t.Forget()
	t.Stopped, t.By = false, ""
	t.Last = Decision{Action: DoRestart, At: now.Round(0), Reason: "It is started by hand."}
	return t.Last
}

// Stop is that by stops it now while it isn't running, since it waits for its restart or is held. The end of a run that was
// stopped is told by Exited.
func (t *Tracker) Stop(now time.Time, by string) Decision {
	return t.Exited(now, time.Time{}, Outcome{Cause: StoppedBy, By: by})
}

// Forget forgets all restarts, since someone else counts from here on, but not that a person stopped it.
func (t *Tracker) Forget() { t.Attempt, t.Restarts = 0, nil }

// Due is how long to wait still for the start that Last says; ok is false if it says none. It is never negative and never
// longer than the wait was at first, whatever the clock did while the supervisor was away.
func (t *Tracker) Due(now time.Time) (wait time.Duration, ok bool) {
	if !t.Last.starts() {
		return 0, false
	}
	return min(max(0, t.Last.At.Sub(now)), max(0, t.Last.After)), true
}

// starts is whether a start follows.
func (d Decision) starts() bool { return d.Action == DoRestart || d.Action == DoHold }
