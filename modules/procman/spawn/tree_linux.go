package spawn

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const sigCont = syscall.SIGCONT

// snapshot is all processes of the machine as one scan found them.
type snapshot struct {
	procs []ProcInfo // in the order of their pids

	mu      sync.Mutex
	markers map[int]string // read so far, by pid
	buf     []byte
}

// scans lets callers that come at the same time share one scan. Who comes while one runs waits for the next, for what it
// asks about may have happened behind the running one.
var scans struct {
	mu            sync.Mutex
	running, next *scan
}

type scan struct {
	done chan struct{}
	snap *snapshot
	err  error
}

// takeSnapshot returns a scan that began after the call.
func takeSnapshot() (*snapshot, error) {
	scans.mu.Lock()
	s := &scan{done: make(chan struct{})}
	switch {
	case scans.running == nil:
		scans.running = s
		scans.mu.Unlock()
		s.run()
		return s.snap, s.err
	case scans.next == nil:
		scans.next = s
	default:
		s = scans.next
	}
	scans.mu.Unlock()
	<-s.done
	return s.snap, s.err
}

func (s *scan) run() {
	s.snap, s.err = scanProc()
	scans.mu.Lock()
	scans.running, scans.next = scans.next, nil
	if scans.running != nil {
		go scans.running.run()
	}
	scans.mu.Unlock()
	close(s.done)
}

func scanProc() (*snapshot, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	s := &snapshot{markers: map[int]string{}}
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// It may have ended meanwhile.
		if m, err := readStat(pid); err == nil {
			s.procs = append(s.procs, m)
		}
	}
	return s, nil
}

// marker is the process's marker. It is read once for all who share the scan.
func (s *snapshot) marker(pid int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.markers[pid]
	if !ok {
		if s.buf == nil {
			s.buf = make([]byte, 64<<10)
		}
		v = readMarker(pid, s.buf)
		s.markers[pid] = v
	}
	return v
}

// members is the tree: those that are found directly, those of seen, and all that came from either.
func (p *Process) members(seen map[key]bool) ([]ProcInfo, error) {
	// Whether the group is ours is asked on both sides of the scan: in between its number could become another's.
	ours, sure := p.handle.groupOurs()
	snap, err := takeSnapshot()
	if err != nil {
		return nil, err
	}
	if ours {
		ours, sure = p.handle.groupOurs()
	}
	t := &tree{p: p, snap: snap, ours: ours, sure: sure, in: map[int]bool{}}
	if p.id.Cgroup != "" {
		t.cgroup = cgroupPids(p.id.Cgroup)
	}
	for i := range snap.procs {
		m := &snap.procs[i]
		t.reused = t.reused || m.Pid == p.id.Pid && m.StartTime != p.id.StartTime
	}
	t.possible = make([]*ProcInfo, 0, 64)
	self := os.Getpid()
	for i := range snap.procs {
		m := &snap.procs[i]
		// Nothing that began before the leader came from it.
		if m.StartTime < p.id.StartTime && !t.cgroup[m.Pid] || m.Pid == self || m.Pid == 1 || m.PPid == 2 {
			continue
		}
		if seen[key{m.Pid, m.StartTime}] || t.direct(m) {
			t.in[m.Pid] = true
			continue
		}
		t.possible = append(t.possible, m)
	}
	t.close()
	var found []ProcInfo
	for _, m := range snap.procs {
		if t.in[m.Pid] {
			found = append(found, m)
		}
	}
	return found, nil
}

// tree is a tree that is being put together.
type tree struct {
	p          *Process
	snap       *snapshot
	ours, sure bool // the leader's pid as a number of a group
	reused     bool // another process has the leader's pid
	cgroup     map[int]bool
	in         map[int]bool
	possible   []*ProcInfo // not in it so far
}

// direct tells whether a process belongs to the tree by itself.
func (t *tree) direct(m *ProcInfo) bool {
	id := &t.p.id
	if m.Pid == id.Pid {
		return m.StartTime == id.StartTime
	}
	if t.cgroup[m.Pid] {
		return true
	}
	if !t.reused {
		// A number isn't given to a new process while a group or session has it.
		if t.ours && t.sure && m.PGid == id.Pid {
			return true
		}
		unsure := t.ours && m.PGid == id.Pid || id.Session && m.Sid == id.Pid
		if unsure {
			mark := t.snap.marker(m.Pid)
			return id.RunID == "" || mark == "" || mark == id.RunID
		}
	}
	return id.RunID != "" && m.alive() && t.snap.marker(m.Pid) == id.RunID
}

// close adds what came from those that are in: children, and the groups and sessions that they lead.
func (t *tree) close() {
	for changed := true; changed; {
		changed = false
		rest := t.possible[:0]
		for _, m := range t.possible {
			if t.in[m.PPid] || t.in[m.PGid] || t.in[m.Sid] {
				t.in[m.Pid] = true
				changed = true
				continue
			}
			rest = append(rest, m)
		}
		t.possible = rest
	}
}

// cgroupPids are the processes in a cgroup and those below it. What can't be read has none.
func cgroupPids(dir string) map[int]bool {
	pids := map[int]bool{}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		b, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
		return nil
	})
	return pids
}

// killCgroup kills all in the cgroup at once, unless that would be us too.
func (p *Process) killCgroup() {
	dir := p.id.Cgroup
	if dir == "" || cgroupPids(dir)[os.Getpid()] {
		return
	}
	// Before Linux 5.14 there is no such file; then it goes process by process.
	if f, err := os.OpenFile(filepath.Join(dir, "cgroup.kill"), os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString("1")
		f.Close()
	}
}
