package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	failovers       = 5
	failoverTarget  = 1500 * time.Millisecond
	failoverClients = 16
	attemptTimeout  = 500 * time.Millisecond // of a client that connects, or waits for its commit
	reconnectPause  = 10 * time.Millisecond
	loadBefore      = 500 * time.Millisecond // of commits, before the leader is killed
)

// measureFailover kills the leader under load, several times, and measures until a client that connected anew has
// committed.
func measureFailover(ctx context.Context, c *cluster) (string, error) {
	leader, err := c.settled(ctx)
	if err != nil {
		return "", err
	}
	if err := execute(ctx, leader, `CREATE TABLE kept (id bigint PRIMARY KEY)`); err != nil {
		return "", err
	}
	w := &writers{}
	var took []time.Duration
	for n := range failovers {
		d, err := failOver(ctx, c, w)
		if err != nil {
			return "", fmt.Errorf("failover %d: %w", n+1, err)
		}
		took = append(took, d)
	}
	leader, err = c.settled(ctx)
	if err != nil {
		return "", err
	}
	if err := w.check(ctx, leader); err != nil {
		return "", err
	}
	slices.Sort(took)
	worst, middle := took[len(took)-1], took[len(took)/2]
	return fmt.Sprintf(`The leader was killed (SIGKILL) %d times with %d clients committing. Until the first commit of a client that connected again:
median %v, worst %v (target < %v: %s). Of %d commits that were acknowledged none is missing; %d had an unknown outcome.
`, failovers, failoverClients, middle.Round(time.Millisecond), worst.Round(time.Millisecond), failoverTarget, met(worst < failoverTarget),
		len(w.acknowledged), len(w.unknown)), nil
}

// failOver kills the leader once and starts it again. It returns how long nobody could commit.
func failOver(ctx context.Context, c *cluster, w *writers) (time.Duration, error) {
	leader, err := c.settled(ctx)
	if err != nil {
		return 0, err
	}
	round, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	w.first = make(chan time.Time, 1)
	w.gone.Store(nil)
	urls := c.urls()
	committing := make(chan struct{}, 1)
	for i := range failoverClients {
		wg.Go(func() { w.run(round, urls, i, committing) })
	}
	warm := time.NewTimer(loadBefore)
	defer warm.Stop()
	select {
	case <-committing:
	case <-time.After(30 * time.Second):
		return 0, errors.New("no client could commit before the leader was killed")
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	<-warm.C
	at := time.Now()
	leader.bop.Kill()
	leader.bop = nil
	gone := time.Now()
	w.gone.Store(&gone)
	var took time.Duration
	select {
	case first := <-w.first:
		took = first.Sub(at)
	case <-time.After(30 * time.Second):
		return 0, errors.New("no client could commit for 30 s after the leader was killed")
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	cancel()
	wg.Wait()
	return took, c.start(ctx, leader)
}

// refusals are the codes by which a server says that nothing was done: it is a follower, the transaction has to be run
// again, it isn't ready.
var refusals = []string{"25006", "40001", "57P03"}

// writers are clients that insert rows and connect again, to one server after the other, when something fails.
type writers struct {
	ids   atomic.Int64
	gone  atomic.Pointer[time.Time] // when the leader was; nil: not yet
	first chan time.Time            // takes when the first commit on a connection made since then was acknowledged

	mu           sync.Mutex
	acknowledged []int64
	unknown      []int64
}

func (w *writers) run(ctx context.Context, urls []string, client int, committing chan<- struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for n := client; ctx.Err() == nil; n++ {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		w.session(ctx, urls[n%len(urls)], committing)
		pause.Reset(reconnectPause)
	}
}

// session is one connection, until something fails.
func (w *writers) session(ctx context.Context, url string, committing chan<- struct{}) {
	since := time.Now()
	soon, cancel := context.WithTimeout(ctx, attemptTimeout)
	conn, err := pgx.Connect(soon, url)
	if err == nil {
		_, err = conn.Prepare(soon, statement, `INSERT INTO kept (id) VALUES ($1)`)
	}
	cancel()
	if conn != nil {
		defer conn.Close(context.WithoutCancel(ctx))
	}
	for err == nil && ctx.Err() == nil {
		id := w.ids.Add(1)
		soon, cancel := context.WithTimeout(ctx, attemptTimeout)
		_, err = conn.Exec(soon, statement, id)
		cancel()
		w.note(id, err)
		if err != nil {
			return
		}
		select {
		case committing <- struct{}{}:
		default:
		}
		if at := w.gone.Load(); at != nil && since.After(*at) {
			select {
			case w.first <- time.Now():
			default:
			}
		}
	}
}

func (w *writers) note(id int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		w.acknowledged = append(w.acknowledged, id)
	case errors.As(err, &refusal) && slices.Contains(refusals, refusal.Code): // it must not be there
	default:
		w.unknown = append(w.unknown, id)
	}
}

// check compares the table with what the clients know.
func (w *writers) check(ctx context.Context, n *clusterNode) error {
	conn, err := pgx.Connect(ctx, n.url())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT id FROM kept`)
	if err != nil {
		return fmt.Errorf("reading what was kept: %w", err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("reading what was kept: %w", err)
	}
	return w.compare(kept)
}

// compare finds rows that were acknowledged and are missing, twice, or that nobody inserted.
func (w *writers) compare(kept []int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := make(map[int64]bool, len(kept))
	for _, id := range kept {
		if there[id] {
			return fmt.Errorf("%w: row %d is there twice", errLost, id)
		}
		there[id] = true
	}
	missing := 0
	for _, id := range w.acknowledged {
		if !there[id] {
			missing++
		}
		delete(there, id)
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d of %d acknowledged rows are missing", errLost, missing, len(w.acknowledged))
	}
	for _, id := range w.unknown {
		delete(there, id)
	}
	for id := range there {
		return fmt.Errorf("%w: nobody inserted row %d", errLost, id)
	}
	return nil
}
