package sqlite

import (
	"context"
	"sync"
)

// Pool lends the connections of a database, so that ten thousand idle sessions don't cost ten thousand engines. It
// opens as many as are asked for at once and keeps some of those that come back.
type Pool struct {
	db *DB

	mu     sync.Mutex
	idle   []*Conn // the one that came back last is lent first: its page cache is warm
	max    int
	closed bool
}

func newPool(db *DB, max int) *Pool { return &Pool{db: db, max: max} }

// Get lends a connection with the default options.
func (p *Pool) Get(ctx context.Context) (*Conn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, ErrClosed
		}
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return p.db.Conn(ctx, ConnOptions{})
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if !c.Stale() {
			return c, nil
		}
		_ = c.Close()
	}
}

// Put takes a connection back. Its statements stay, an open transaction is rolled back. One that is stale, broken, or
// said to be bad is closed; so is one that holds temporary tables or attached databases, which belong to a session.
func (p *Pool) Put(c *Conn, bad bool) {
	if bad || c.Stale() || !c.clean() {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	if !p.closed && len(p.idle) < p.max {
		p.idle = append(p.idle, c)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	_ = c.Close()
}

// Idle is the number of connections that wait to be lent.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

func (p *Pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

// clean ends what a session left on the connection, and tells whether nothing of it remains.
func (c *Conn) clean() bool {
	c.SetContext(nil)
	c.Reset()
	c.file.ClearErr()
	err := c.Protect(func() error {
		for s := range c.raw.Stmts() {
			if err := s.Reset(); err != nil {
				// Reset repeats the error of the last run; what counts is that the statement is at rest.
				continue
			}
		}
		if !c.raw.GetAutocommit() {
			return c.raw.Exec(`ROLLBACK`)
		}
		return nil
	})
	// temp is database 1 as soon as something was put into it, attached ones come after.
	return err == nil && c.broken == nil && c.raw.DBName(2) == "" && !c.temporary()
}

// temporary tells whether there are temporary tables, views or triggers.
func (c *Conn) temporary() (yes bool) {
	if !c.mayHaveTemps {
		return false
	}
	err := c.Protect(func() error {
		if c.temps == nil {
			var err error
			if c.temps, _, err = c.raw.Prepare(`SELECT 1 FROM sqlite_temp_schema LIMIT 1`); err != nil {
				return err
			}
		}
		yes = c.temps.Step()
		return c.temps.Reset()
	})
	return yes || err != nil
}
