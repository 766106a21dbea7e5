package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memberCommand makes this program one member of three: memberCommand, kind, number, folder, addresses of all. It is told
// what to do line by line, and ends when there are no more lines.
const memberCommand = "raft-member"

// member is one of three that agree on the order of commands. Each runs in a process of its own: in one process those
// that wait for the disk would hold up the others.
type member interface {
	// settle returns when the members lead that are meant to.
	settle(ctx context.Context) error
	// commit returns when a command was committed, and applied here. This member leads.
	commit(ctx context.Context, proposer int, command []byte) error
	close() error
}

// reader is a member that reads too.
type reader interface {
	// read returns when everything that was committed before is applied here, and a majority has said so.
	read(ctx context.Context, reader int) error
}

func read(ctx context.Context, m member, n int) error {
	r, ok := m.(reader)
	if !ok {
		return errors.New("this kind of member doesn't read")
	}
	return r.read(ctx, n)
}

// seat is a member's place.
type seat struct {
	id        int // from 1
	dir       string
	addresses []string // of all
}

func (s seat) address() string { return s.addresses[s.id-1] }

// memberKind is a way to start members in empty folders.
type memberKind struct {
	name    string
	start   func(seat) (member, error)
	leaders int // how many of the members lead something: the first, or all
}

// order is what a member is told: to settle when Proposers is 0, to have so many commit, or read, for a while otherwise.
type order struct {
	Proposers int
	Bytes     int
	Reads     bool
	Duration  time.Duration
}

// outcome is what a member answers.
type outcome struct {
	Error   string
	Elapsed time.Duration
	Waits   []time.Duration // for each commit
}

// runMember is what such a process does.
func runMember(args []string) {
	if err := serveMember(args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func serveMember(args []string, in io.Reader, out io.Writer) (err error) {
	if len(args) != 4 {
		return fmt.Errorf("usage: %s kind number folder addresses", memberCommand)
	}
	i := slices.IndexFunc(memberKinds(), func(k memberKind) bool { return k.name == args[0] })
	if i < 0 {
		return fmt.Errorf("no kind of member %q", args[0])
	}
	s := seat{dir: args[2], addresses: strings.Split(args[3], ",")}
	if s.id, err = strconv.Atoi(args[1]); err != nil || s.id < 1 || s.id > len(s.addresses) {
		return fmt.Errorf("no member %q among %d", args[1], len(s.addresses))
	}
	m, err := memberKinds()[i].start(s)
	if err != nil {
		return fmt.Errorf("starting member %d of %s: %w", s.id, args[0], err)
	}
	defer func() { err = errors.Join(err, m.close()) }()
	answers, orders := json.NewEncoder(out), json.NewDecoder(in)
	if err := answers.Encode(outcome{}); err != nil { // it is there
		return err
	}
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading what to do: %w", err)
		}
		if err := answers.Encode(follow(m, o)); err != nil {
			return err
		}
	}
}

// follow does what a member is told.
func follow(m member, o order) (out outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), o.Duration+30*time.Second)
	defer cancel()
	var err error
	if o.Proposers == 0 {
		err = m.settle(ctx)
	} else {
		command := record(o.Bytes, 1)
		var r appendRound
		do := func(proposer int) error { return m.commit(ctx, proposer, command) }
		if o.Reads {
			do = func(proposer int) error { return read(ctx, m, proposer) }
		}
		r, err = appendFor(ctx, o.Duration, o.Proposers, do)
		out.Elapsed, out.Waits = r.elapsed, r.waits
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}
