package spawn

import (
	"context"
	"syscall"
	"time"
)

// ProcInfo is one process as a scan found it.
type ProcInfo struct {
	Pid       int    `json:"pid"`
	PPid      int    `json:"ppid"`
	PGid      int    `json:"pgid"`
	Sid       int    `json:"sid"`
	StartTime uint64 `json:"start_time"` // clock ticks after boot
	State     byte   `json:"state"`      // as ps shows it: R, S, D, T, Z
	Comm      string `json:"comm"`
	RSS       int64  `json:"rss"`       // bytes
	CPUTicks  uint64 `json:"cpu_ticks"` // user and system, 100 a second
	Threads   int    `json:"threads"`
}

// alive tells whether there is something left to end. What a zombie lacks is only that its parent looks.
func (m *ProcInfo) alive() bool { return m.State != 'Z' && m.State != 'X' }

// StopOptions says how to end a tree.
type StopOptions struct {
	Signal    syscall.Signal // sent first, once, to all that are there then; default SIGTERM
	Grace     time.Duration  // until SIGKILL; default 10 s; negative: at once
	NoKill    bool           // give up after Grace instead
	KillWait  time.Duration  // until giving up after SIGKILL; default 5 s
	GroupOnly bool           // the process group alone, not those that left it
}

// StopReport tells what ending a tree took.
type StopReport struct {
	Signalled int           // processes that got the first signal
	Killed    int           // processes that got SIGKILL
	Remaining []ProcInfo    // alive at the end; none after a success
	Took      time.Duration // altogether
	Escalated bool          // Grace was over
}

// These bound how often the tree is looked at.
const (
	shortestPoll = time.Millisecond
	longestPoll  = 50 * time.Millisecond
)

// key names a process for as long as the machine runs.
type key struct {
	pid   int
	start uint64
}

// stopping is a StopTree under way.
type stopping struct {
	p      *Process
	o      StopOptions
	seen   map[key]bool // all that ever belonged to the tree
	killed map[key]bool
	live   []ProcInfo
	report StopReport
	began  time.Time
}

// StopTree ends the process and all that came from it: it sends the first signal to everything, waits for Grace, then
// sends SIGKILL again and again, for there may be new children. It succeeds only when the leader has exited and two looks
// one after the other found nothing alive; else the error is a *RemainError with what is left. When ctx ends it
// stops waiting and kills nothing. It may be called when the leader has exited already, and many times.
//
// Processes that appear after the first signal don't get it, for they may be what a graceful end needs.
func (p *Process) StopTree(ctx context.Context, o StopOptions) (StopReport, error) {
	if o.Signal == 0 {
		o.Signal = syscall.SIGTERM
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.KillWait == 0 {
		o.KillWait = 5 * time.Second
	}
	s := &stopping{p: p, o: o, seen: map[key]bool{}, killed: map[key]bool{}, began: time.Now()}
	err := s.run(ctx)
	s.report.Took = time.Since(s.began)
	return s.report, err
}

func (s *stopping) run(ctx context.Context) error {
	if err := s.look(); err != nil {
		return err
	}
	if s.o.Grace > 0 && len(s.live) > 0 {
		s.report.Signalled = s.signal(s.o.Signal)
	}
	deadline := s.began.Add(s.o.Grace)
	poll := shortestPoll
	for empty := 0; ; poll = min(poll*2, longestPoll) {
		if s.p.exited() && len(s.live) == 0 {
			if empty++; empty == 2 {
				return nil
			}
			poll = shortestPoll
		} else {
			empty = 0
			if !time.Now().Before(deadline) {
				if s.report.Escalated || s.o.NoKill {
					s.report.Escalated = true
					return s.remain(nil)
				}
				s.report.Escalated = true
				deadline = time.Now().Add(s.o.KillWait)
				poll = shortestPoll
			}
			if s.report.Escalated {
				s.kill()
			}
		}
		if !s.pause(ctx, min(poll, max(time.Until(deadline), shortestPoll))) {
			return s.remain(ctx.Err())
		}
		if err := s.look(); err != nil {
			return err
		}
	}
}

// pause waits for the leader's end or so long. false: ctx ended.
func (s *stopping) pause(ctx context.Context, d time.Duration) bool {
	done := s.p.done
	if s.p.exited() {
		done = nil // it would be ready for ever
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// look finds what is alive of the tree, and reaps those of its dead that were given to us.
func (s *stopping) look() error {
	members, err := s.p.members(s.seen)
	if err != nil {
		return err
	}
	s.live = s.live[:0]
	var dead []ProcInfo
	for _, m := range members {
		s.seen[key{m.Pid, m.StartTime}] = true
		switch {
		case s.o.GroupOnly && m.PGid != s.p.id.Pid:
		case m.alive():
			s.live = append(s.live, m)
		case m.Pid != s.p.id.Pid:
			dead = append(dead, m)
		}
	}
	reapDead(dead, nil)
	return nil
}

// signal sends to all that are alive, and returns how many that were.
func (s *stopping) signal(sig syscall.Signal) (n int) {
	group := s.p.SignalGroup(sig) == nil
	for i := range s.live {
		m := &s.live[i]
		if (group && m.PGid == s.p.id.Pid) || signalOne(m, sig) == nil {
			n++
		}
	}
	for i := range s.live {
		// A stopped process would get the signal only when it goes on.
		if s.live[i].State == 'T' && sig != syscall.SIGKILL {
			_ = signalOne(&s.live[i], sigCont)
		}
	}
	return n
}

func (s *stopping) kill() {
	if !s.o.GroupOnly {
		s.p.killCgroup()
	}
	s.signal(syscall.SIGKILL)
	for _, m := range s.live {
		s.killed[key{m.Pid, m.StartTime}] = true
	}
	s.report.Killed = len(s.killed)
}

func (s *stopping) remain(err error) error {
	s.report.Remaining = append([]ProcInfo(nil), s.live...)
	return &RemainError{Name: s.p.id.Name, Remaining: s.report.Remaining, Killed: s.report.Killed > 0,
		Took: time.Since(s.began), Err: err}
}

// Tree lists the process and all that is known to come from it, zombies too, in the order of their pids. It is empty when
// all has ended.
func (p *Process) Tree() ([]ProcInfo, error) { return p.members(nil) }
