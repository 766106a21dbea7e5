package session

import (
	"container/list"
	"context"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// lent is a connection while a session has it.
type lent struct {
	engine.Conn
	st *connState
	// keep counts who needs the connection beyond the statement: cursors and portals.
	keep int
}

// connState stays with a connection across loans: its prepared statements, and what functions know of the session.
type connState struct {
	env    *funcs.Env
	user   *Session // who has the connection now
	loan   lent     // what user was given
	stmts  map[string]*list.Element
	recent *list.List // of *cached, the most recently used first

	objects *catalog.Objects // finds objects by name and number for functions
	schema  *schema.Schema   // as this connection last saw it in a transaction with DDL
}

// cached is a prepared statement of SQLite.
type cached struct {
	sql  string
	stmt *sqlite3.Stmt
	busy bool
	row  []types.Value // of whoever uses it
}

const statementsPerConn = 64

// borrow takes a connection for this session.
func (x *Session) borrow(ctx context.Context) (*lent, error) {
	if x.held != nil {
		x.held.SetContext(ctx)
		return x.held, nil
	}
	db, err := x.home(ctx)
	if err != nil {
		return nil, err
	}
	c, err := db.Borrow(ctx)
	if err != nil {
		return nil, sqlerr.FromSQLite(err)
	}
	slot := c.Session()
	st, _ := (*slot).(*connState)
	if st == nil {
		st = &connState{env: &funcs.Env{}, stmts: map[string]*list.Element{}, recent: list.New()}
		st.objects = catalog.For(st)
		if err := st.prepare(c.Raw()); err != nil {
			c.Release(true)
			return nil, err
		}
		*slot = st
	}
	l := &st.loan
	*l = lent{Conn: c, st: st}
	l.SetContext(ctx)
	if x.vars.durability != engine.Quorum {
		l.setDurability(x.vars.durability)
	}
	st.user = x
	x.fillEnv(st)
	return l, nil
}

// home is the database whose connections the session uses: the current one, or, for a MySQL client that has chosen none,
// any, of which it then sees no tables.
func (x *Session) home(ctx context.Context) (engine.Database, error) {
	if x.db != nil {
		return x.db, nil
	}
	none := sqlerr.New("3D000", "no database selected").My(1046, "No database selected")
	if !x.mysql() {
		return nil, none
	}
	names, err := x.server.o.Engine.Databases(ctx)
	if err != nil {
		return nil, sqlerr.FromSQLite(err)
	}
	if len(names) == 0 {
		return nil, none
	}
	db, err := x.server.o.Engine.Database(ctx, names[0])
	if err != nil {
		return nil, sqlerr.FromSQLite(err)
	}
	return db, nil
}

// prepare makes a new connection ready for translated SQL.
func (st *connState) prepare(c *sqlite3.Conn) error {
	if err := funcs.Register(c, st.env); err != nil {
		return err
	}
	if err := catalog.Register(c, st); err != nil {
		return err
	}
	return c.Exec(`PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON`)
}

// newEnv is what functions are told of a session that doesn't change.
func (x *Session) newEnv() funcs.Env {
	return funcs.Env{
		User: x.cfg.User, SessionUser: x.cfg.User, ClientAddr: x.clientAddr(), ConnectionID: x.id,
		Setting: x.vars.lookup, SetSetting: x.vars.setByFunction, UserVariable: x.vars.userVariable,
		Warn:   func(number uint16, message string) { x.warn("Warning", number, message) },
		Notify: x.notify, Cancel: x.server.kill,
	}
}

// fillEnv tells functions of the session that has the connection.
func (x *Session) fillEnv(st *connState) {
	e := st.env
	*e = x.env
	e.Catalog = st.objects
	e.Location, e.TimeZone, e.Database, e.SearchPath = x.vars.location, x.vars.timeZone, x.Database(), x.vars.searchPath
	e.Strict, e.ZeroDates = x.vars.strict, x.vars.zeroDates
	e.LastInsertID, e.RowCount, e.FoundRows = x.lastInsertID, x.rowCount, x.foundRows
	e.Sequences, e.Seed = x.sequences, x.seed
	e.StatementTime = time.Now()
	e.TxTime = e.StatementTime
	if x.block.open {
		e.TxTime = x.block.started
	}
}

// readEnv takes back what functions changed.
func (x *Session) readEnv(e *funcs.Env) {
	x.sequences, x.seed, x.lastInsertID = e.Sequences, e.Seed, e.LastInsertID
}

// giveBack returns a connection after a statement, unless the session has to keep it.
func (x *Session) giveBack(l *lent) {
	x.readEnv(l.st.env)
	if !x.block.open {
		funcs.ReleaseTransactionLocks(x.id)
	}
	if l == x.held {
		if !x.block.begun && l.keep == 0 && !x.pinned() {
			x.letGo(false)
		}
		return
	}
	if l.keep > 0 || x.block.begun || x.pinned() {
		x.held = l
		return
	}
	l.st.user = nil
	l.Release(false)
}

// pinned tells whether the session has state that lives on its connection alone.
func (x *Session) pinned() bool { return x.vars.temporary }

// letGo gives the held connection back. bad: it must not be used again.
func (x *Session) letGo(bad bool) {
	l := x.held
	if l == nil {
		return
	}
	x.held = nil
	if bad {
		x.vars.temporary = false
	}
	l.st.user = nil
	l.Release(bad || x.vars.temporary)
	x.vars.temporary = false
}

// get returns a prepared statement of SQLite for sql. put must be called when it was used.
func (st *connState) get(c *sqlite3.Conn, sql string) (*cached, error) {
	if e := st.stmts[sql]; e != nil {
		if s := e.Value.(*cached); !s.busy {
			s.busy = true
			st.recent.MoveToFront(e)
			return s, nil
		}
	}
	stmt, tail, err := c.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(tail) != "" {
		stmt.Close()
		return nil, sqlerr.New("XX000", "the translation of the statement has more than one part")
	}
	s := &cached{sql: sql, stmt: stmt, busy: true}
	if st.stmts[sql] == nil {
		st.stmts[sql] = st.recent.PushFront(s)
		st.trim()
	}
	return s, nil
}

// trim closes what wasn't used for longest.
func (st *connState) trim() {
	for e := st.recent.Back(); e != nil && st.recent.Len() > statementsPerConn; {
		prev := e.Prev()
		if s := e.Value.(*cached); !s.busy {
			st.recent.Remove(e)
			delete(st.stmts, s.sql)
			s.stmt.Close()
		}
		e = prev
	}
}

// put ends the use of a statement.
func (st *connState) put(s *cached) error {
	err := s.stmt.Reset()
	s.busy = false
	if e := st.stmts[s.sql]; e == nil || e.Value.(*cached) != s {
		s.stmt.Close()
		return err
	}
	s.stmt.ClearBindings()
	return err
}

// forget closes all statements: after DDL most of them would be prepared anew anyway, and open ones hinder it.
func (st *connState) forget() {
	for e := st.recent.Front(); e != nil; {
		next := e.Next()
		if s := e.Value.(*cached); !s.busy {
			st.recent.Remove(e)
			delete(st.stmts, s.sql)
			s.stmt.Close()
		}
		e = next
	}
}

// exec runs a statement of ours without rows.
func (l *lent) exec(sql string) error {
	s, err := l.st.get(l.Raw(), sql)
	if err != nil {
		return l.Explain(err)
	}
	err = s.stmt.Exec()
	if e := l.st.put(s); err == nil {
		err = e
	}
	return l.Explain(err)
}

// bind sets the parameters of a statement.
func bind(stmt *sqlite3.Stmt, args []types.Value) error {
	n := stmt.BindCount()
	for i := range min(n, len(args)) {
		var err error
		switch v := &args[i]; v.Class {
		case types.Int:
			err = stmt.BindInt64(i+1, v.I)
		case types.Float:
			err = stmt.BindFloat(i+1, v.F)
		case types.String:
			err = stmt.BindRawText(i+1, v.B)
		case types.Blob:
			err = stmt.BindBlob(i+1, v.B)
		default:
			err = stmt.BindNull(i + 1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// column reads one value of the current row; it is valid until the next step.
func column(stmt *sqlite3.Stmt, i int) types.Value {
	switch stmt.ColumnType(i) {
	case sqlite3.INTEGER:
		return types.Value{Class: types.Int, I: stmt.ColumnInt64(i)}
	case sqlite3.FLOAT:
		return types.Value{Class: types.Float, F: stmt.ColumnFloat(i)}
	case sqlite3.TEXT:
		return types.Value{Class: types.String, B: stmt.ColumnRawText(i)}
	case sqlite3.BLOB:
		return types.Value{Class: types.Blob, B: stmt.ColumnRawBlob(i)}
	}
	return types.Value{}
}

func (x *Session) clientAddr() string {
	if x.cfg.RemoteAddr == nil {
		return ""
	}
	return x.cfg.RemoteAddr.String()
}

func stack() string { return string(debug.Stack()) }
