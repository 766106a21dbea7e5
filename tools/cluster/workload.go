package main

import (
	"context"
	"fmt"
	"time"
)

const (
	accounts     = 10
	balance      = 1000
	keys         = 5                // registers in use at a time
	shelfLife    = 10 * time.Second // after which other registers are used, so that no history becomes long
	registerRows = 5000

	// In READ COMMITTED, the default, what was read may be outdated when something is written for it.
	serializable = "BEGIN ISOLATION LEVEL SERIALIZABLE"
)

// schema is made before the clients begin.
var schema = []string{
	`CREATE TABLE registers (k int PRIMARY KEY, v bigint NOT NULL, before bigint NOT NULL)`,
	fmt.Sprintf(`INSERT INTO registers SELECT g, 0, 0 FROM generate_series(0, %d) AS g`, registerRows-1),
	`CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL)`,
	fmt.Sprintf(`INSERT INTO accounts SELECT g, %d FROM generate_series(0, %d) AS g`, balance, accounts-1),
	`CREATE TABLE entries (id bigint NOT NULL, payload text)`, // duplicates shall be possible
	`CREATE INDEX entries_id ON entries (id)`,
	`CREATE TABLE pulses (node text PRIMARY KEY, at bigint NOT NULL)`,
}

// register does one operation on a register.
func (c *client) register() {
	generation := int(c.run.now() / int64(shelfLife))
	o := operation{client: c.id, key: (generation*keys + c.random.IntN(keys)) % registerRows, action: action(c.random.IntN(4))}
	if o.action != read {
		o.value = c.run.values.Add(1)
	}
	var began int64
	out := c.try("register", func(ctx context.Context) error {
		began = c.run.now()
		switch o.action {
		case read:
			return c.conn.QueryRow(ctx, `SELECT v FROM registers WHERE k = $1`, o.key).Scan(&o.seen)
		case write:
			var now int64
			err := c.conn.QueryRow(ctx, `UPDATE registers SET v = $2 WHERE k = $1 RETURNING v`, o.key, o.value).Scan(&now)
			if err == nil && now != o.value {
				c.run.violated("register %d: UPDATE … RETURNING wrote %d and returned %d", o.key, o.value, now)
			}
			return err
		case swap:
			return c.conn.QueryRow(ctx, `UPDATE registers SET before = v, v = $2 WHERE k = $1 RETURNING before`, o.key, o.value).Scan(&o.seen)
		}
		return c.compareAndSet(ctx, &o)
	})
	o.call, o.ret, o.unknown = began, c.run.now(), out == unknown
	if out != refused {
		c.run.history.add(o)
	}
}

// compareAndSet looks first, expects what it saw three times of four, and looks and sets in a transaction.
func (c *client) compareAndSet(ctx context.Context, o *operation) error {
	if err := c.conn.QueryRow(ctx, `SELECT v FROM registers WHERE k = $1`, o.key).Scan(&o.expected); err != nil {
		return fmt.Errorf("%w: %w", errBeforeCommit, err)
	}
	if c.random.IntN(4) == 0 {
		o.expected--
	}
	return c.transaction(ctx, serializable, func(ctx context.Context) error {
		if err := c.conn.QueryRow(ctx, `SELECT v FROM registers WHERE k = $1`, o.key).Scan(&o.seen); err != nil || o.seen != o.expected {
			return err
		}
		_, err := c.conn.Exec(ctx, `UPDATE registers SET v = $2 WHERE k = $1`, o.key, o.value)
		return err
	})
}

// transfer moves money between two accounts.
func (c *client) transfer() {
	from := c.random.IntN(accounts)
	to := (from + 1 + c.random.IntN(accounts-1)) % accounts
	amount := c.random.Int64N(50) + 1
	c.try("transfer", func(ctx context.Context) error {
		return c.transaction(ctx, serializable, func(ctx context.Context) error {
			var a, b int64
			look := `SELECT balance FROM accounts WHERE id = $1`
			if c.random.IntN(2) == 0 {
				look += ` FOR UPDATE` // waits for its turn instead of being refused in the end
			}
			if err := c.conn.QueryRow(ctx, look, from).Scan(&a); err != nil {
				return err
			}
			if err := c.conn.QueryRow(ctx, look, to).Scan(&b); err != nil {
				return err
			}
			if _, err := c.conn.Exec(ctx, `UPDATE accounts SET balance = $2 WHERE id = $1`, from, a-amount); err != nil {
				return err
			}
			_, err := c.conn.Exec(ctx, `UPDATE accounts SET balance = $2 WHERE id = $1`, to, b+amount)
			return err
		})
	})
}

// count adds up all accounts, in one statement or in two of one snapshot.
func (c *client) count() {
	var total, rest int64
	name := "count"
	if c.stale {
		name = "stale count"
	}
	out := c.try(name, func(ctx context.Context) error {
		total, rest = 0, 0
		if c.random.IntN(2) == 0 {
			return c.conn.QueryRow(ctx, `SELECT sum(balance)::bigint FROM accounts`).Scan(&total)
		}
		return c.transaction(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", func(ctx context.Context) error {
			if err := c.conn.QueryRow(ctx, `SELECT sum(balance)::bigint FROM accounts WHERE id < 5`).Scan(&total); err != nil {
				return err
			}
			return c.conn.QueryRow(ctx, `SELECT sum(balance)::bigint FROM accounts WHERE id >= 5`).Scan(&rest)
		})
	})
	if out == acknowledged && total+rest != accounts*balance {
		c.run.violated("bank: a snapshot through %s (stale %t) held %d, not %d", c.node.name, c.stale, total+rest, accounts*balance)
	}
}

// kept is how many payloads each client leaves in the table, so that half an hour of inserts fits on the nodes' disks.
const kept = 500

// insert adds a row with an id of its own, and takes the payload out of an old one.
func (c *client) insert() {
	if len(c.inserted) > kept {
		id := c.inserted[0]
		if c.try("trim", func(ctx context.Context) error {
			_, err := c.conn.Exec(ctx, `UPDATE entries SET payload = NULL WHERE id = $1`, id)
			return err
		}) == acknowledged {
			c.inserted = c.inserted[1:]
		}
	}
	id := c.run.values.Add(1)
	size := 10 + c.random.IntN(500)
	if c.random.IntN(32) == 0 {
		size = 64 << 10 // more than a network's buffers hold of a slow link
	}
	out := c.try("insert", func(ctx context.Context) error {
		_, err := c.conn.Exec(ctx, `INSERT INTO entries VALUES ($1, $2)`, id, fmt.Sprintf("%0*d", size, id))
		return err
	})
	c.run.book.enter(id, out)
	if out == acknowledged {
		c.inserted = append(c.inserted, id)
	}
}

// beat writes through one node again and again, with so little patience that a server which doesn't answer isn't taken
// for a cluster that doesn't.
func (r *run) beat(n *node) {
	for {
		r.beatOnce(n)
		select {
		case <-r.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// beatOnce writes through one connection until it fails.
func (r *run) beatOnce(n *node) {
	conn, err := connect(context.Background(), n, false, restlessness)
	if err != nil {
		return
	}
	defer closeNow(conn)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), restlessness)
		_, err := conn.Exec(ctx, `UPDATE pulses SET at = $2 WHERE node = $1`, n.name, r.now())
		cancel()
		if err != nil {
			return
		}
		r.pulse.beat(r.now())
		select {
		case <-r.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// load begins the clients. They end their last operation after stop was closed.
func (r *run) load() {
	for _, n := range r.servers.nodes {
		r.wg.Go(func() { r.beat(n) })
	}
	for i, do := range []func(*client){
		(*client).register, (*client).register, (*client).register, (*client).register, (*client).register,
		(*client).transfer, (*client).transfer, (*client).count, (*client).count, (*client).insert, (*client).insert,
	} {
		c := &client{id: i, run: r, random: r.fork(), stale: i == 8}
		r.wg.Go(func() {
			defer c.drop()
			for {
				select {
				case <-r.stop:
					return
				default:
					do(c)
				}
			}
		})
	}
}
