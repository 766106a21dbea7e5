// Package spawn starts one process and ends its whole tree.
//
// # Usage
//
//	func main() {
//		spawn.Shim() // first of all: it returns at once unless this program was started as a shim
//		...
//		p, err := spawn.Start(ctx, spawn.Spec{Name: "web", Args: []string{"web", "-p", "80"}, Env: env, RunID: id})
//		exit, err := p.Wait(ctx)
//		report, err := p.StopTree(ctx, spawn.StopOptions{})
//	}
//
// There is no policy here: no restarts, probes or logs.
//
// # What it promises
//
// StopTree succeeds only when the leader has exited and nothing of its tree was found alive, twice in a row. The tree is
// what is found from the leader by process group, by session, by parent links, by the marker MarkerEnv that Spec.RunID
// puts into the environment, and in the cgroup if there is one. So a daemon that forked twice, made its own session and
// closed its pipes is found. What can still hide: without a cgroup, a process that left group and session, lost its
// parent and cleared its environment.
//
// A signal never hits a stranger: the leader and its group are signalled by pidfd, each other process by a pidfd whose
// start time was compared after it was opened. Where the kernel has no signal to a group by pidfd (before Linux 6.9), the
// group is signalled by number only while the leader isn't reaped, and afterwards process by process.
//
// Processes are waited for one by one, never all at once, so this package takes nobody else's children. A process that
// waits costs a goroutine, not a thread.
//
// Start leaves no descriptor of this program to the child but those in the Spec: it marks all others close-on-exec. A
// program that replaces itself and wants to keep some uses Reexec.
//
// # What it does on purpose
//
// Pdeathsig is not used. The kernel ties it to the thread that forked, which the Go runtime may end at any time, and the
// children would die when the supervisor replaces itself by a newer program, which they are meant to survive; Adopt takes
// them over then.
//
// # The shim
//
// Go has no hook between fork and exec. Resource limits, umask, nice, oom_score_adj and LISTEN_PID need one, so Start
// runs this same program again under another name, and Shim, which main must call first, sets them and executes the
// target. Start without any of these doesn't use the shim.
//
// # Concurrency
//
// All functions and methods may be called by many goroutines.
//
// # Systems
//
// Linux has all of it. Other Unix systems have process groups only: StopTree ends the group. Windows ends the leader.
// What is missing returns errors.ErrUnsupported.
package spawn
