package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// bound is how long the cluster may take to serve writes on every node once a fault is healed.
const bound = 30 * time.Second

type options struct {
	binary   string
	duration time.Duration
	seed     uint64
	faults   []string
	nodes    int
	dir      string
}

// run is one cluster, its clients and what they saw.
type run struct {
	o       options
	work    string // folder of everything
	servers *servers
	disks   *disks
	random  *rand.Rand
	coming  []string  // the kinds of the next faults
	out     io.Writer // what happens, with times
	started time.Time

	stop chan struct{} // closed when the clients are to end
	wg   sync.WaitGroup

	values  atomic.Int64 // the last unique value
	history history
	book    book
	pulse   pulse

	mu         sync.Mutex // guards what follows
	random2    *rand.Rand // makes the clients' seeds
	ops        map[string]map[string]int
	errors     map[string]int
	violations []string
}

// summary is what a run says in the end.
type summary struct {
	Seed         uint64                    `json:"seed"`
	Seconds      float64                   `json:"seconds"`
	Operations   map[string]map[string]int `json:"operations"` // by kind and outcome
	Errors       map[string]int            `json:"errors"`     // by SQLSTATE or what became of the connection
	Faults       map[string]int            `json:"faults"`
	P50MS        float64                   `json:"unavailable_p50_ms"`
	MaxMS        float64                   `json:"unavailable_max_ms"`
	Linearizable string                    `json:"linearizable"` // yes, no, or unknown if it couldn't be decided in time
	Inserts      audit                     `json:"inserts"`
	Violations   []string                  `json:"violations"`
	Identical    bool                      `json:"identical"` // all nodes hold the same database
}

// now is the history's clock.
func (r *run) now() int64 { return int64(time.Since(r.started)) }

func (r *run) logf(format string, args ...any) {
	fmt.Fprintf(r.out, "%8.3f  %s\n", time.Duration(r.now()).Seconds(), fmt.Sprintf(format, args...))
}

// fork makes a source of random numbers of its own for a client.
func (r *run) fork() *rand.Rand {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rand.New(rand.NewPCG(r.random2.Uint64(), r.random2.Uint64()))
}

func (r *run) tally(what string, o outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ops[what] == nil {
		r.ops[what] = map[string]int{}
	}
	r.ops[what][o.String()]++
	if err != nil {
		r.errors[reason(err)]++
	}
}

// violated records that a promise was broken.
func (r *run) violated(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	r.logf("VIOLATED %s", what)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.violations) < 100 {
		r.violations = append(r.violations, what)
	}
}

// execute runs a cluster for the duration and checks it. The summary is nil if it never came to its end.
func execute(ctx context.Context, o options, work string, out io.Writer) (s *summary, err error) {
	r := &run{o: o, work: work, out: out, started: time.Now(), stop: make(chan struct{}), random: rand.New(rand.NewPCG(o.seed, 0)),
		random2: rand.New(rand.NewPCG(o.seed, 1)), ops: map[string]map[string]int{}, errors: map[string]int{}}
	if r.servers, err = newServers(o.binary, work, o.nodes); err != nil {
		return nil, err
	}
	defer r.servers.close()
	if r.disks, err = mountDisks(r); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.disks.close(r.servers, err != nil)) }()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.load()
	faults, gaps, err := r.torment(ctx)
	close(r.stop)
	r.wg.Wait()
	if err != nil {
		return nil, err
	}
	p50, highest := spread(gaps)
	s = &summary{Seed: o.seed, Seconds: time.Since(r.started).Seconds(), Operations: r.ops, Errors: r.errors, Faults: faults,
		P50MS: float64(p50.Microseconds()) / 1000, MaxMS: float64(highest.Microseconds()) / 1000}
	return s, r.verify(ctx, s)
}

// prepare starts the cluster and makes the tables.
func (r *run) prepare(ctx context.Context) error {
	startCtx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := r.servers.startAll(startCtx); err != nil {
		return err
	}
	var err error
	for {
		if err = r.createTables(startCtx); err == nil {
			break
		}
		select {
		case <-startCtx.Done():
			return fmt.Errorf("making the tables: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := r.writable(startCtx); err != nil {
		return err
	}
	r.logf("%d nodes serve; the data is in %s", len(r.servers.nodes), r.work)
	return nil
}

// createTables makes what isn't there yet, so that it can be tried again.
func (r *run) createTables(ctx context.Context) error {
	conn, err := connect(ctx, r.servers.nodes[0], false, 2*time.Second)
	if err != nil {
		return err
	}
	defer closeNow(conn)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	var there bool
	if err := tx.QueryRow(ctx, `SELECT count(*) > 0 FROM information_schema.tables WHERE table_name = 'pulses'`).Scan(&there); err != nil || there {
		return err
	}
	for _, stmt := range schema {
		if _, err := tx.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return tx.Commit(ctx)
}

// writable waits until a write succeeds through each node, and each node's own database has what was written.
func (r *run) writable(ctx context.Context) error {
	began := r.now()
	if err := r.onEach(ctx, "a write through", r.pulseThrough); err != nil {
		return err
	}
	return r.onEach(ctx, "catching up of", func(ctx context.Context, n *node) error { return caughtUp(ctx, n, began) })
}

// onEach does something on each node, again until it succeeds.
func (r *run) onEach(ctx context.Context, what string, do func(context.Context, *node) error) error {
	for _, n := range r.servers.nodes {
		for {
			err := do(ctx, n)
			if err == nil {
				break
			}
			if err := n.ended(); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s %s: %w", what, n.name, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func (r *run) pulseThrough(ctx context.Context, n *node) error {
	conn, err := connect(ctx, n, false, 2*time.Second)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	defer closeNow(conn)
	_, err = conn.Exec(ctx, `INSERT INTO pulses VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET at = excluded.at`, n.name, r.now())
	return err
}

// caughtUp looks whether the node itself has pulses that were written after a time.
func caughtUp(ctx context.Context, n *node, after int64) error {
	conn, err := connect(ctx, n, true, 2*time.Second)
	if err != nil {
		return err
	}
	defer closeNow(conn)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var at int64
	if err := conn.QueryRow(ctx, `SELECT min(at) FROM pulses`).Scan(&at); err != nil {
		return err
	}
	if at < after {
		return fmt.Errorf("its database stands where it was %v ago, while the others go on", time.Duration(after-at).Round(time.Millisecond))
	}
	return nil
}

// verify waits until the nodes agree, and checks everything. It fills the summary also when it fails.
func (r *run) verify(ctx context.Context, s *summary) error {
	var errs []error
	result, info := r.history.check(2 * time.Minute)
	switch result {
	case porcupine.Ok:
		s.Linearizable = "yes"
	case porcupine.Unknown:
		s.Linearizable = "unknown"
		r.logf("whether the registers are linearizable could not be decided in two minutes")
	default:
		s.Linearizable = "no"
	}
	if result != porcupine.Ok {
		page := filepath.Join(r.work, "registers.html")
		errs = append(errs, fmt.Errorf("registers: linearizable: %s; see %s", s.Linearizable, page), porcupine.VisualizePath(registers, info, page))
	}
	settleCtx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if err := r.writable(settleCtx); err != nil {
		errs = append(errs, fmt.Errorf("in the end: %w", err))
	}
	files, err := r.exports(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	err = sameFiles(files)
	s.Identical = err == nil
	errs = append(errs, err)
	for i, file := range files {
		ids, err := inspect(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.servers.nodes[i].name, err))
			continue
		}
		a := r.book.audit(ids)
		if err := a.err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.servers.nodes[i].name, err))
		}
		if i == 0 || s.Inserts.err() == nil {
			s.Inserts = a
		}
	}
	s.Violations = r.violations
	for _, v := range r.violations {
		errs = append(errs, errors.New(v))
	}
	err = errors.Join(errs...)
	if err == nil {
		for _, f := range files {
			os.Remove(f)
		}
	}
	return err
}
