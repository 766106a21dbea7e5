package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"
)

// kinds are the faults, and whether they need more than one node.
var kinds = map[string]bool{"kill": false, "pause": false, "disk": false, "partition": true, "oneway": true, "slow": true}

// fault is one that was chosen: what to do, for how long, and how to undo it.
type fault struct {
	kind, words string
	lasts       time.Duration
	inject      func(ctx context.Context) error
	heal        func(ctx context.Context) error
}

// torment does one fault after the other until the duration is over, each healed and the cluster writable again before
// the next. It returns the faults by kind and how long writes stood still in each.
func (r *run) torment(ctx context.Context) (map[string]int, []time.Duration, error) {
	counts, end := map[string]int{}, time.Now().Add(r.o.duration)
	var gaps []time.Duration
	for {
		pause := time.Second + time.Duration(r.random.Int64N(int64(2*time.Second)))
		if len(r.o.faults) == 0 {
			pause = r.o.duration
		}
		if err := wait(ctx, min(pause, time.Until(end))); err != nil {
			return counts, gaps, err
		}
		for _, n := range r.servers.nodes {
			if err := n.ended(); err != nil {
				return counts, gaps, err
			}
		}
		if len(r.o.faults) == 0 || time.Now().After(end) {
			return counts, gaps, nil
		}
		f := r.choose(ctx)
		counts[f.kind]++
		r.logf("%s: %s for %v", f.kind, f.words, f.lasts)
		r.pulse.begin(r.now())
		if err := f.inject(ctx); err != nil {
			return counts, gaps, fmt.Errorf("%s: %w", f.words, err)
		}
		if err := wait(ctx, f.lasts); err != nil {
			return counts, gaps, err
		}
		healed := time.Now()
		healCtx, cancel := context.WithTimeout(ctx, bound)
		err := f.heal(healCtx)
		switch {
		case err != nil:
		case r.random.IntN(3) == 0: // the next fault may come while a node is still catching up
			err = r.onEach(healCtx, "a write through", r.pulseThrough)
		default:
			err = r.writable(healCtx)
		}
		cancel()
		if err != nil {
			return counts, gaps, fmt.Errorf("not writable on every node %v after the end of: %s: %w", time.Since(healed).Round(time.Millisecond), f.words, err)
		}
		gap := r.pulse.end(r.now())
		gaps = append(gaps, gap)
		r.logf("healed; writable on every node %v later, without any write for %v at most", time.Since(healed).Round(time.Millisecond), gap.Round(time.Millisecond))
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// between is a random time.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(random.Int64N(int64(most-least)))).Round(time.Millisecond)
}

// choose picks the next fault. The same seed chooses the same kinds, times and nodes, but who leads is up to the run.
func (r *run) choose(ctx context.Context) *fault {
	if len(r.coming) == 0 { // each kind in its turn, in a new order each time
		for _, i := range r.random.Perm(len(r.o.faults)) {
			r.coming = append(r.coming, r.o.faults[i])
		}
	}
	kind := r.coming[0]
	r.coming = r.coming[1:]
	n := r.servers.nodes[r.random.IntN(len(r.servers.nodes))]
	l := r.servers.leader(ctx)
	if preferred := r.random.IntN(2) == 0; preferred && l != nil {
		n = l
	}
	who := n.name
	if n == l {
		who += ", which leads,"
	}
	f := &fault{kind: kind, lasts: between(r.random, 200*time.Millisecond, 8*time.Second)}
	switch kind {
	case "kill":
		f.words = who + " is killed"
		f.lasts = between(r.random, time.Millisecond, 5*time.Second)
		f.inject = func(context.Context) error { n.kill(); return nil }
		f.heal = func(ctx context.Context) error { return n.start(ctx, r.o.binary) }
	case "pause":
		f.words = who + " is stopped"
		f.inject = func(context.Context) error { return n.signal(syscall.SIGSTOP) }
		f.heal = func(context.Context) error { return n.signal(syscall.SIGCONT) }
	case "disk":
		f.words = who + " has a full disk"
		f.inject = func(context.Context) error { return r.disks.fill(n) }
		f.heal = func(ctx context.Context) error { return r.emptied(ctx, n) }
	default:
		r.network(f, n, who)
	}
	return f
}

// network makes a fault of the links around a node.
func (r *run) network(f *fault, n *node, who string) {
	w := weather{cut: []cut{holding, swallowing, resetting}[r.random.IntN(3)]}
	var out, in []*link
	for _, other := range r.servers.nodes {
		if other != n {
			out = append(out, r.servers.links[[2]string{n.name, other.name}])
			in = append(in, r.servers.links[[2]string{other.name, n.name}])
		}
	}
	var links []*link
	switch {
	case f.kind == "partition":
		links = slices.Concat(out, in)
		f.words = who + " is cut off"
	case f.kind == "slow":
		links = slices.Concat(out, in)
		w = weather{delay: between(r.random, 5*time.Millisecond, 150*time.Millisecond), rate: 64<<10 + r.random.IntN(4<<20)}
		f.words = fmt.Sprintf("%s has slow links, %v and %d KiB/s,", who, w.delay, w.rate>>10)
	default:
		links = [][]*link{out, in, out[:1], in[:1]}[r.random.IntN(4)] // to all or to one of the others
		f.words = who + " has one way cut,"
	}
	if f.kind != "slow" {
		var names []string
		for _, k := range links {
			names = append(names, k.name)
		}
		f.words += fmt.Sprintf(" (%s, %v)", strings.Join(names, " "), w.cut)
	}
	f.inject = func(context.Context) error {
		for _, k := range links {
			k.set(w)
		}
		return nil
	}
	f.heal = func(context.Context) error { r.servers.heal(); return nil }
}

// emptied frees a node's disk. A node that doesn't recover by itself is started again, as its operator would.
func (r *run) emptied(ctx context.Context, n *node) error {
	if err := r.disks.free(n); err != nil {
		return err
	}
	own, cancel := context.WithTimeout(ctx, bound/3)
	defer cancel()
	for n.ended() == nil {
		if r.pulseThrough(own, n) == nil {
			if at, err := n.standing(own); err == nil && at.Writable {
				return nil
			}
		}
		if wait(own, 50*time.Millisecond) != nil {
			break
		}
	}
	if err := n.ended(); err != nil {
		r.logf("%v", err)
	}
	r.logf("%s doesn't recover from a full disk by itself: it is started again", n.name)
	n.kill()
	return n.start(ctx, r.o.binary)
}
