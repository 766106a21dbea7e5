package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience is how long a client waits for an answer before it calls the outcome unknown.
const patience = 5 * time.Second

// restlessness is how long the writers wait that measure unavailability.
const restlessness = 500 * time.Millisecond

// harmless are the SQLSTATEs that promise that nothing happened.
var harmless = []string{"40001", "40P01", "25006", "25P02", "55P03", "57P03"}

// classify says what an error means for a statement or COMMIT that was asked for.
func classify(err error) outcome {
	var said *pgconn.PgError
	switch {
	case err == nil:
		return acknowledged
	case errors.Is(err, pgx.ErrTxCommitRollback), errors.Is(err, errBeforeCommit), pgconn.SafeToRetry(err):
		return refused
	case errors.As(err, &said) && slices.Contains(harmless, said.Code):
		return refused
	}
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		return refused
	}
	return unknown
}

// errBeforeCommit: a transaction ended before its COMMIT was sent, so that it can't have happened.
var errBeforeCommit = errors.New("the transaction didn't come to its COMMIT")

// reason names an error by its SQLSTATE, or by what became of the connection.
func reason(err error) string {
	var said *pgconn.PgError
	var connecting *pgconn.ConnectError
	switch {
	case errors.As(err, &said):
		return said.Code
	case errors.As(err, &connecting):
		return "connect"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "broken"
}

// client holds a connection to one node or another.
type client struct {
	id     int
	run    *run
	random *rand.Rand
	stale  bool // reads what the node itself has
	conn   *pgx.Conn
	node   *node

	inserted []int64 // rows whose payloads are there
}

// connected makes sure of a connection, now and then to another node.
func (c *client) connected(ctx context.Context) error {
	if c.conn != nil && !c.conn.IsClosed() && c.random.IntN(100) > 0 {
		return nil
	}
	c.drop()
	n := c.run.servers.nodes[c.random.IntN(len(c.run.servers.nodes))]
	conn, err := connect(ctx, n, c.stale, 2*time.Second)
	if err != nil {
		return err
	}
	c.conn, c.node = conn, n
	return nil
}

func connect(ctx context.Context, n *node, stale bool, patience time.Duration) (*pgx.Conn, error) {
	addr, _ := n.addresses()
	o, err := pgx.ParseConfig("postgres://bop@" + addr + "/bop?sslmode=disable")
	if err != nil {
		return nil, err
	}
	if stale {
		o.RuntimeParams["options"] = "-c bop.read_consistency=stale"
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return pgx.ConnectConfig(ctx, o)
}

// drop closes the connection.
func (c *client) drop() {
	if c.conn != nil {
		closeNow(c.conn)
		c.conn = nil
	}
}

// closeNow closes a connection without waiting for a server that may not answer.
func closeNow(conn *pgx.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	conn.Close(ctx)
}

// try does one operation and tells how it ended. After an error that leaves the connection in doubt it is dropped.
func (c *client) try(what string, do func(context.Context) error) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.connected(ctx)
	if err == nil {
		err = do(ctx)
	} else {
		err = fmt.Errorf("%w: %w", errBeforeCommit, err)
	}
	o := classify(err)
	c.run.tally(what, o, err)
	var said *pgconn.PgError
	if err != nil && (!errors.As(err, &said) || c.conn == nil || c.conn.IsClosed() || c.conn.PgConn().TxStatus() != 'I') {
		c.drop()
	}
	if err != nil {
		// A node that refuses does so at once: without a pause its refusals would be all that is measured.
		select {
		case <-time.After(20 * time.Millisecond):
		case <-c.run.stop:
		}
	}
	return o
}

// transaction runs do between BEGIN and COMMIT. Its error tells whether COMMIT was sent.
func (c *client) transaction(ctx context.Context, begin string, do func(ctx context.Context) error) error {
	_, err := c.conn.Exec(ctx, begin)
	if err == nil {
		err = do(ctx)
	}
	if err != nil {
		if !c.conn.IsClosed() {
			c.conn.Exec(ctx, "ROLLBACK")
		}
		return fmt.Errorf("%w: %w", errBeforeCommit, err)
	}
	tag, err := c.conn.Exec(ctx, "COMMIT")
	if err == nil && tag.String() != "COMMIT" {
		return pgx.ErrTxCommitRollback
	}
	return err
}
