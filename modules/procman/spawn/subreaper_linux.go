package spawn

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// EnableSubreaper makes this program the parent of descendants whose parent has ended, instead of init. It lasts over
// Reexec. Call ReapOrphans then and again, as on SIGCHLD, or they stay as zombies.
func EnableSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	return nil
}

// ReapOrphans reaps dead children that nobody waits for, and returns their pids. It leaves alone those for which known
// returns true, and those for which this program has a pidfd, as os/exec and this package keep for each child. So only
// children that were forked by other means (syscall.ForkExec, C) have to be known. known may be nil.
// It needs Linux 5.4; before, nothing is reaped.
func ReapOrphans(known func(pid int) bool) ([]int, error) {
	snap, err := takeSnapshot()
	if err != nil {
		return nil, err
	}
	var dead []ProcInfo
	for _, m := range snap.procs {
		if !m.alive() && m.PPid == os.Getpid() {
			dead = append(dead, m)
		}
	}
	return reapDead(dead, known), nil
}

// reaping keeps one reaper's pidfds from looking like an owner's to another.
var reaping sync.Mutex

// reapDead reaps those of the dead that are our children and nobody's.
func reapDead(dead []ProcInfo, known func(pid int) bool) (reaped []int) {
	self := os.Getpid()
	var owned map[int]bool
	for _, m := range dead {
		if m.PPid != self || known != nil && known(m.Pid) {
			continue
		}
		if owned == nil {
			reaping.Lock()
			defer reaping.Unlock()
			// After the scan: an owner that has reaped meanwhile makes the waitid below fail, one that hasn't is seen.
			owned = ownedPids()
		}
		if !owned[m.Pid] && reapOne(&m) {
			reaped = append(reaped, m.Pid)
		}
	}
	return reaped
}

// ownedPids are the processes that some descriptor of this program refers to. A pid of a child is in it from its fork on,
// for the kernel makes the pidfd with the process.
func ownedPids() map[int]bool {
	pids := map[int]bool{}
	dir, err := os.Open("/proc/self/fdinfo")
	if err != nil {
		return pids
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var buf [512]byte
	for _, n := range names {
		b, err := readSome("/proc/self/fdinfo/"+n, buf[:])
		if err != nil {
			continue
		}
		_, rest, ok := bytes.Cut(b, []byte("\nPid:\t"))
		if !ok {
			continue
		}
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if pid, err := strconv.Atoi(string(line)); err == nil && pid > 0 {
			pids[pid] = true
		}
	}
	return pids
}

// reapOne waits by pidfd, so that a pid that was given away since the scan isn't taken for it.
func reapOne(m *ProcInfo) bool {
	fd, err := unix.PidfdOpen(m.Pid, 0)
	if err != nil {
		return false // without pidfds nobody can tell whose it is
	}
	defer unix.Close(fd)
	st, err := readStat(m.Pid)
	if err != nil || st.StartTime != m.StartTime || st.alive() {
		return false
	}
	var info unix.Siginfo
	return unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED|unix.WNOHANG, nil) == nil
}
