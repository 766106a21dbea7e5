package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// ConnectorOptions are for DB.Connector.
type ConnectorOptions struct {
	ConnOptions
	// TimeFormat is how a time.Time is stored. Default: RFC 3339 with nanoseconds. Columns declared DATE, DATETIME,
	// TIME or TIMESTAMP are read as time.Time in whatever format of SQLite's they are.
	TimeFormat sqlite3.TimeFormat
	// Statements is how many prepared statements each connection keeps. Default: 64.
	Statements int
}

// Connector connects database/sql: sql.OpenDB(db.Connector()). The answer to a commit, and to anything else that ends
// a transaction, has passed the output gate.
//
// A transaction with the default isolation, LevelSerializable or LevelLinearizable takes the writer's place when it
// begins. One that is read-only, or LevelSnapshot or LevelRepeatableRead, begins with a snapshot; if it writes, that
// fails with ErrStaleSnapshot unless the snapshot is still the newest.
func (db *DB) Connector() driver.Connector { return db.ConnectorWith(ConnectorOptions{}) }

// ConnectorWith is Connector with options.
func (db *DB) ConnectorWith(o ConnectorOptions) driver.Connector {
	if o.TimeFormat == "" {
		o.TimeFormat = sqlite3.TimeFormatDefault
	}
	setDefault(&o.Statements, 64)
	return &connector{db, o}
}

type connector struct {
	db *DB
	o  ConnectorOptions
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.db.Conn(ctx, c.o.ConnOptions)
	if err != nil {
		return nil, err
	}
	return &driverConn{c: conn, o: &c.o, cache: map[string]*cached{}}, nil
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return noDriver{} }

// noDriver has no data source names: databases belong to an open Host.
type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("sqlite: databases are opened by their Host, use sql.OpenDB(db.Connector())")
}

// driverConn is a connection of database/sql.
type driverConn struct {
	c     *Conn
	o     *ConnectorOptions
	cache map[string]*cached
	clock uint64
	tx    bool
	query bool // PRAGMA query_only is on
}

var (
	_ driver.ConnPrepareContext = (*driverConn)(nil)
	_ driver.ConnBeginTx        = (*driverConn)(nil)
	_ driver.ExecerContext      = (*driverConn)(nil)
	_ driver.QueryerContext     = (*driverConn)(nil)
	_ driver.SessionResetter    = (*driverConn)(nil)
	_ driver.Validator          = (*driverConn)(nil)
	_ driver.Pinger             = (*driverConn)(nil)
	_ driver.NamedValueChecker  = (*driverConn)(nil)
)

// cached is a prepared statement that stays.
type cached struct {
	s     *sqlite3.Stmt
	sql   string
	inUse bool
	used  uint64

	readOnly bool
	names    []string
	kinds    []kind
	decls    []string
	named    bool // it has named parameters
	params   int
}

// Conn is what sql.Conn.Raw passes.
func (d *driverConn) Conn() *Conn { return d.c }

// run calls fn with the context of the caller, and passes the output gate if fn has ended a transaction.
func (d *driverConn) run(ctx context.Context, fn func() error) error {
	d.c.SetContext(ctx)
	err := d.c.Protect(fn)
	if err != nil && ctx.Err() != nil && d.c.broken == nil && errors.Is(err, sqlite3.INTERRUPT) {
		err = context.Cause(ctx)
	}
	if d.c.broken == nil && (d.tx || !d.c.raw.GetAutocommit()) {
		return d.c.Explain(err)
	}
	if gate := d.c.Gate(ctx); gate != nil {
		return gate
	}
	return d.c.Explain(err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (d *driverConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	var st *cached
	err := d.run(ctx, func() (err error) {
		st, err = d.prepare(query)
		return err
	})
	if err != nil {
		return nil, err
	}
	st.inUse = false
	return &driverStmt{d: d, sql: query, st: st}, nil
}

// Prepare implements driver.Conn.
func (d *driverConn) Prepare(query string) (driver.Stmt, error) {
	return d.PrepareContext(context.Background(), query)
}

// prepare returns a statement that nobody else is using, marked as in use.
func (d *driverConn) prepare(query string) (*cached, error) {
	d.clock++
	old := d.cache[query]
	if old != nil && !old.inUse {
		old.inUse, old.used = true, d.clock
		return old, nil
	}
	s, tail, err := d.c.raw.PrepareFlags(query, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errors.New("sqlite: there is no statement in the text")
	}
	if rest, _, err := d.c.raw.Prepare(tail); tail != "" && (rest != nil || err != nil) {
		return nil, errors.Join(errors.New("sqlite: more than one statement can't be prepared"), s.Close(), rest.Close())
	}
	st := &cached{s: s, sql: query, inUse: true, used: d.clock, readOnly: s.ReadOnly(), params: s.BindCount()}
	for i := range st.params {
		st.named = st.named || s.BindName(i+1) != ""
	}
	if old == nil {
		d.evict()
		d.cache[query] = st
	}
	return st, nil
}

func (d *driverConn) evict() {
	if len(d.cache) < d.o.Statements {
		return
	}
	var victim *cached
	for _, c := range d.cache {
		if !c.inUse && (victim == nil || c.used < victim.used) {
			victim = c
		}
	}
	if victim != nil {
		delete(d.cache, victim.sql)
		_ = victim.s.Close()
	}
}

// release gives a statement back; one that isn't in the cache is closed.
func (d *driverConn) release(st *cached) {
	st.inUse = false
	if d.cache[st.sql] != st && d.c.broken == nil && d.c.raw != nil {
		_ = st.s.Close()
	}
}

// ExecContext implements driver.ExecerContext. Without arguments the text may hold several statements.
func (d *driverConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	var res driver.Result
	err := d.run(ctx, func() error {
		if len(args) == 0 && d.cache[query] == nil {
			before := d.c.raw.TotalChanges()
			if err := d.c.raw.Exec(query); err != nil {
				return err
			}
			res = d.result(before)
			return nil
		}
		st, err := d.prepare(query)
		if err != nil {
			return err
		}
		defer d.release(st)
		res, err = d.exec(st, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

func (d *driverConn) exec(st *cached, args []driver.NamedValue) (driver.Result, error) {
	if err := d.bind(st, args); err != nil {
		return nil, err
	}
	before := d.c.raw.TotalChanges()
	for st.s.Step() {
	}
	err := st.s.Reset()
	if len(args) > 0 {
		err = errors.Join(err, st.s.ClearBindings())
	}
	if err != nil {
		return nil, err
	}
	return d.result(before), nil
}

func (d *driverConn) result(before int64) driver.Result {
	r := result{id: d.c.raw.LastInsertRowID()}
	if d.c.raw.TotalChanges() != before {
		r.rows = d.c.raw.Changes()
	}
	return r
}

type result struct{ id, rows int64 }

func (r result) LastInsertId() (int64, error) { return r.id, nil }
func (r result) RowsAffected() (int64, error) { return r.rows, nil }

// QueryContext implements driver.QueryerContext.
func (d *driverConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	var rows driver.Rows
	err := d.run(ctx, func() error {
		st, err := d.prepare(query)
		if err != nil {
			return err
		}
		rows, err = d.rows(ctx, st, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// BeginTx implements driver.ConnBeginTx.
func (d *driverConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	begin := `BEGIN IMMEDIATE`
	switch sql.IsolationLevel(o.Isolation) {
	case sql.LevelDefault, sql.LevelSerializable, sql.LevelLinearizable:
	case sql.LevelSnapshot, sql.LevelRepeatableRead:
		begin = `BEGIN`
	default:
		return nil, fmt.Errorf("sqlite: isolation level %s is not supported", sql.IsolationLevel(o.Isolation))
	}
	if o.ReadOnly || d.c.file.ReadOnly {
		begin = `BEGIN`
	}
	err := d.run(ctx, func() error {
		if o.ReadOnly {
			if err := d.c.raw.Exec(`PRAGMA query_only = on`); err != nil {
				return err
			}
			d.query = true
		}
		d.tx = true
		_, err := d.plain(begin)
		return err
	})
	if err != nil {
		d.tx = false
		return nil, errors.Join(err, d.endQueryOnly())
	}
	return driverTx{d, ctx}, nil
}

// plain runs a statement without arguments through the cache.
func (d *driverConn) plain(query string) (driver.Result, error) {
	st, err := d.prepare(query)
	if err != nil {
		return nil, err
	}
	defer d.release(st)
	return d.exec(st, nil)
}

func (d *driverConn) endQueryOnly() error {
	if !d.query || d.c.broken != nil {
		return nil
	}
	d.query = false
	return d.c.Protect(func() error { return d.c.raw.Exec(`PRAGMA query_only = off`) })
}

type driverTx struct {
	d   *driverConn
	ctx context.Context
}

// Commit implements driver.Tx.
func (t driverTx) Commit() error {
	// database/sql rolls back by itself when the context of the transaction ends, so that a commit which has begun is
	// waited for.
	return t.end(`COMMIT`)
}

// Rollback implements driver.Tx.
func (t driverTx) Rollback() error { return t.end(`ROLLBACK`) }

func (t driverTx) end(how string) error {
	d := t.d
	d.tx = false
	err := d.run(context.WithoutCancel(t.ctx), func() error {
		if d.c.raw.GetAutocommit() {
			// The transaction has ended already: by an error that SQLite answers with a rollback.
			if how == `ROLLBACK` {
				return nil
			}
			return errors.Join(ErrNotCommitted, errors.New("sqlite: an error has rolled the transaction back"))
		}
		_, err := d.plain(how)
		if err != nil && !d.c.raw.GetAutocommit() {
			err = errors.Join(err, d.c.raw.Exec(`ROLLBACK`))
		}
		return err
	})
	return errors.Join(err, d.endQueryOnly())
}

// Begin implements driver.Conn.
func (d *driverConn) Begin() (driver.Tx, error) {
	return d.BeginTx(context.Background(), driver.TxOptions{})
}

// ResetSession implements driver.SessionResetter.
func (d *driverConn) ResetSession(context.Context) error {
	if !d.IsValid() {
		return driver.ErrBadConn
	}
	d.c.SetContext(nil)
	return nil
}

// IsValid implements driver.Validator.
func (d *driverConn) IsValid() bool { return d.c.raw != nil && !d.c.Stale() }

// Ping implements driver.Pinger.
func (d *driverConn) Ping(context.Context) error {
	if !d.IsValid() {
		return driver.ErrBadConn
	}
	return nil
}

// Close implements driver.Conn.
func (d *driverConn) Close() error { return d.c.Close() }
