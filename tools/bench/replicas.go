package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	hashicorp "github.com/hashicorp/raft"

	"github.com/bop-platform/bop/tools/bench/floor"
)

const replicaCount = 3

// contenders are the floor first, then bop's raft on each of its log stores, then the peer.
func contenders() []memberKind {
	all := []memberKind{floorKind}
	for _, l := range logKinds {
		all = append(all, memberKind{"bop raft, " + l.name, startHost(l, 1, firstLeads), 1})
	}
	return append(all,
		memberKind{"hashicorp/raft 1.7.3, raft-wal 0.4.2", startPeer(func(*hashicorp.Config) {}), 1},
		memberKind{"the same, tuned", startPeer(func(c *hashicorp.Config) { c.MaxAppendEntries, c.BatchApplyCh = 1024, true }), 1})
}

// groupings are one group and many on a log store.
func groupings(l logKind) []memberKind {
	return []memberKind{
		{l.name + ", 1 group", startHost(l, 1, firstLeads), 1},
		{fmt.Sprintf("%s, %d groups, all led by one host", l.name, manyGroups), startHost(l, manyGroups, firstLeads), 1},
		{fmt.Sprintf("%s, %d groups, led by all hosts", l.name, manyGroups), startHost(l, manyGroups, allLead), replicaCount},
	}
}

// memberKinds are all that a process can be a member of.
func memberKinds() []memberKind {
	all := contenders()
	for _, l := range logKinds {
		all = append(all, groupings(l)...)
	}
	return all
}

var floorKind = memberKind{"floor", startFloor, 1}

// floorFollower is a member that never leads.
type floorFollower struct{ *floor.Follower }

// floorLeader connects to its followers when they are there.
type floorLeader struct {
	seat
	*floor.Leader
}

func startFloor(s seat) (member, error) {
	if s.id == 1 {
		return &floorLeader{seat: s}, nil
	}
	f, err := floor.Follow(filepath.Join(s.dir, "records"), s.address(), floor.Options{})
	return floorFollower{f}, err
}

func (l *floorLeader) settle(context.Context) (err error) {
	l.Leader, err = floor.Lead(filepath.Join(l.dir, "records"), [2]string(l.addresses[1:]), floor.Options{})
	return err
}

func (l *floorLeader) commit(_ context.Context, _ int, command []byte) error {
	return l.Commit(command)
}

func (l *floorLeader) close() error {
	if l.Leader == nil {
		return nil
	}
	return l.Close()
}

func (floorFollower) settle(context.Context) error { return nil }
func (floorFollower) commit(context.Context, int, []byte) error {
	return fmt.Errorf("a follower of the floor takes no commands: %w", errors.ErrUnsupported)
}
func (f floorFollower) close() error { return f.Close() }

// replicas are three members, each a process.
type replicas struct {
	kind  memberKind
	procs []*memberProcess
}

// memberProcess is a process that is told what to do.
type memberProcess struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
	stderr  bytes.Buffer
}

// startReplicas starts three members with their data in folders below dir and waits until those lead that are meant to.
func startReplicas(ctx context.Context, k memberKind, dir string) (_ *replicas, err error) {
	r := &replicas{kind: k}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("starting %s: %w", k.name, err), r.close())
		}
	}()
	addresses, err := freeAddresses(replicaCount)
	if err != nil {
		return nil, err
	}
	for id := 1; id <= replicaCount; id++ {
		own := filepath.Join(dir, strconv.Itoa(id))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return nil, err
		}
		p, err := startMember(ctx, k.name, id, own, addresses)
		if err != nil {
			return nil, err
		}
		r.procs = append(r.procs, p)
	}
	if _, err := r.each(func(p *memberProcess, _ int) (outcome, error) { return p.answer() }); err != nil {
		return nil, err
	}
	_, err = r.each(func(p *memberProcess, _ int) (outcome, error) { return p.do(order{}) })
	return r, err
}

func startMember(ctx context.Context, kind string, id int, dir string, addresses []string) (*memberProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &memberProcess{cmd: exec.CommandContext(ctx, self, memberCommand, kind, strconv.Itoa(id), dir, strings.Join(addresses, ","))}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.orders, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting member %d: %w", id, err)
	}
	p.answers = json.NewDecoder(out)
	return p, nil
}

func (p *memberProcess) do(o order) (outcome, error) {
	if err := json.NewEncoder(p.orders).Encode(o); err != nil {
		return outcome{}, err
	}
	return p.answer()
}

// errMember: a member couldn't do what it was told.
var errMember = errors.New("a member failed")

func (p *memberProcess) answer() (out outcome, err error) {
	if err := p.answers.Decode(&out); err != nil {
		return out, fmt.Errorf("%w without an answer: %w", errMember, err)
	}
	if out.Error != "" {
		return out, fmt.Errorf("%w: %s", errMember, out.Error)
	}
	return out, nil
}

// each does something with all members at once.
func (r *replicas) each(do func(p *memberProcess, i int) (outcome, error)) ([]outcome, error) {
	var wg sync.WaitGroup
	all, errs := make([]outcome, len(r.procs)), make([]error, len(r.procs))
	for i, p := range r.procs {
		wg.Go(func() { all[i], errs[i] = do(p, i) })
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// load has so many proposers commit commands of one size for a while; they are spread over those members that lead.
func (r *replicas) load(proposers, size int, d time.Duration) (rate float64, waits []time.Duration, err error) {
	return r.have(order{Proposers: proposers, Bytes: size, Duration: d})
}

// have is load for any order.
func (r *replicas) have(o order) (rate float64, waits []time.Duration, err error) {
	proposers := o.Proposers
	all, err := r.each(func(p *memberProcess, i int) (outcome, error) {
		n := r.kind.leaders
		share := proposers*(i+1)/n - proposers*i/n
		if i >= n || share == 0 {
			return outcome{}, nil
		}
		own := o
		own.Proposers = share
		return p.do(own)
	})
	if err != nil {
		return 0, nil, fmt.Errorf("%s, %d proposers of %d bytes: %w", r.kind.name, proposers, o.Bytes, err)
	}
	for _, out := range all {
		if len(out.Waits) > 0 {
			rate += float64(len(out.Waits)) / out.Elapsed.Seconds()
			waits = slices.Concat(waits, out.Waits)
		}
	}
	return rate, waits, nil
}

// close ends the processes, the leader's first.
func (r *replicas) close() (err error) {
	for i, p := range r.procs {
		p.orders.Close()
		if e := p.cmd.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("member %d of %s: %w\n%s", i+1, r.kind.name, e, p.stderr.String()))
		}
	}
	return err
}
