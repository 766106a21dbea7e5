// Package policy decides whether and when a process is started again.
//
// # Usage
//
//	t := policy.Tracker{Restart: policy.Restart{Policy: policy.Always}, Random: rand.Float64}
//	...
//	d := t.Exited(time.Now(), started, policy.Outcome{Cause: policy.Crash, Code: 1})
//	switch d.Action {
//	case policy.DoRestart, policy.DoHold:
//		// start it at d.At, that is in d.After
//	case policy.DoEscalate:
//		// policy.Place{...}.Escalations() tells what its group and its namespace do
//	}
//
// It only decides: there is no I/O, no goroutine and no clock here, times are arguments. The same arguments always give
// the same decision, so every case is a line of a test.
//
// # The caller's duties
//
//  1. Call Exited once for each run that ended, and for each start that failed.
//  2. Call Manual when a person starts it, and Stop when a person stops it while it waits for its restart.
//  3. Store the Tracker as JSON if the supervisor can be restarted, and set Restart and Random again after decoding: they
//     aren't stored, for the policy may have changed meanwhile. Due tells what is left of a wait.
//  4. Call Forget for each process that a group restarts after an escalation: the group counts from there on.
//
// # What it promises
//
// An intended end is never followed by a restart, and never counted. What a person stopped stays stopped until a person
// starts it, whatever is reported in between.
//
// In no time of Window.Per there are more than Window.Count restarts, those after a hold included.
//
// A wait is never negative and never longer than Backoff.Max and its jitter, whatever the clock does. When the clock jumps
// back, no time has passed: restarts that seem to be in the future happened just now. So the window is full for up to Per
// too long, but is never lost. A jump forward can't be told from time that passed; its worst is one more window of
// restarts, and when the clock comes back, the restarts before the jump count again.
//
// # Concurrency
//
// All values are plain: a copy of a Tracker is independent of the original. A Tracker is used by one goroutine at a time.
package policy
