package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Session is one client's session.
type Session struct {
	server *Server
	cfg    Config
	id     uint32
	secret uint32
	opened time.Time

	db    engine.Database
	vars  *vars
	env   funcs.Env // what doesn't change of it
	block block
	held  *lent // the connection that a transaction, a cursor or a temporary table keeps; nil: none

	prepared  map[string]*Prepared // see Name
	cursors   map[string]*cursor
	listening map[string]bool
	warnings  []Warning
	locked    bool // MySQL: by LOCK TABLES
	sequences funcs.SequenceValues
	seed      *float64
	lastTXID  uint64
	unsure    unsure

	lastInsertID uint64
	rowCount     int64
	foundRows    int64

	// base ends with the session; run is the child of it that the current statement runs under.
	base   context.Context
	end    context.CancelCauseFunc
	runMu  sync.Mutex
	run    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // of idling in a transaction

	doing statement // what the session is doing, for others to see; runMu guards it
}

// statement is what pg_stat_activity and PROCESSLIST show.
type statement struct {
	text  string
	began time.Time
	state string
	since time.Time
	tx    time.Time
}

// Warning is a MySQL warning, for SHOW WARNINGS.
type Warning struct {
	Level   string // "Note", "Warning", "Error"
	Number  uint16
	Message string
}

// ID is the session's number: PostgreSQL's backend pid and MySQL's connection id.
func (x *Session) ID() uint32 { return x.id }

// Secret is the key that CancelRequest has to name.
func (x *Session) Secret() uint32 { return x.secret }

// User is who the client is.
func (x *Session) User() string { return x.cfg.User }

// Database is the current database, "" if none is chosen.
func (x *Session) Database() string {
	if x.db == nil {
		return ""
	}
	return x.db.Name()
}

// Dialect is the session's language.
func (x *Session) Dialect() ir.Dialect { return x.cfg.Dialect }

func (x *Session) mysql() bool { return x.cfg.Dialect == ir.MySQL }

// Status is the transaction status that PostgreSQL tells its clients: 'I' idle, 'T' in a block, 'E' in a failed one.
func (x *Session) Status() byte {
	switch {
	case !x.block.open || !x.block.explicit:
		return 'I'
	case x.block.failed:
		return 'E'
	default:
		return 'T'
	}
}

// InTransaction tells whether a block is open (MySQL's status flag).
func (x *Session) InTransaction() bool { return x.block.open }

// Autocommit is MySQL's variable of that name.
func (x *Session) Autocommit() bool { return x.vars.autocommit }

// LastInsertID is MySQL's LAST_INSERT_ID().
func (x *Session) LastInsertID() uint64 { return x.lastInsertID }

// LastTXID is the number of the last transaction that the session committed.
func (x *Session) LastTXID() uint64 { return x.lastTXID }

// Warnings are those of the last statement.
func (x *Session) Warnings() []Warning { return x.warnings }

// PGFormat says how values are printed for this client now.
func (x *Session) PGFormat() *types.PGFormat { return x.vars.pgFormat() }

// MyFormat says how values are printed for this client now.
func (x *Session) MyFormat() *types.MyFormat { return &types.MyFormat{Location: x.vars.location} }

// Input says how this client's values are read.
func (x *Session) Input() *types.Input { return x.vars.input() }

// Running is the text of the statement that runs now, "" when none does. It may be called by any goroutine.
func (x *Session) Running() string {
	if s := x.activity(); s.state == "active" {
		return s.text
	}
	return ""
}

// UseDatabase makes another database current. MySQL's USE; an open transaction is committed first.
func (x *Session) UseDatabase(ctx context.Context, name string) error {
	db, err := x.server.o.Engine.Database(ctx, name)
	if errors.Is(err, engine.ErrNoDatabase) {
		return sqlerr.New("3D000", `database "%s" does not exist`, name).My(1049, "Unknown database '%s'", name).
			WithHint("bop db list shows the databases, CREATE DATABASE makes one.")
	}
	if err != nil {
		return sqlerr.FromSQLite(err)
	}
	if x.db == db {
		return nil
	}
	if err := x.commitOpen(ctx); err != nil {
		return err
	}
	if err := x.settleAlone(ctx); err != nil {
		return err
	}
	settings, err := x.settings(ctx, name)
	if err != nil {
		return err
	}
	x.letGo(false)
	x.db, x.lastTXID = db, 0 // each database numbers its own
	x.vars.inherit(settings)
	return nil
}

// Close ends the session: an open transaction is rolled back. Nothing else may be called afterwards.
func (x *Session) Close() {
	x.server.mu.Lock()
	delete(x.server.sessions, x.id)
	x.server.mu.Unlock()
	x.stopIdling()
	x.closeCursors(func(*cursor) bool { return true })
	x.rollbackBlock()
	x.server.hub.leave(x)
	x.letGo(false)
	x.releaseLocks()
	x.end(errors.New("the session has ended"))
}

// releaseLocks gives up what GET_LOCK and pg_advisory_lock gave to the session.
func (x *Session) releaseLocks() {
	funcs.ReleaseNamedLocks(x.id)
	funcs.ReleaseLocks(x.id)
}

// Cancel interrupts the running statement, if one runs. It may be called by any goroutine.
func (x *Session) Cancel() {
	x.runMu.Lock()
	defer x.runMu.Unlock()
	if x.cancel != nil {
		x.cancel(errCanceled)
	}
}

var errCanceled = sqlerr.New("57014", "canceling statement due to user request").My(1317, "Query execution was interrupted")

// terminate ends the session from another goroutine.
func (x *Session) terminate(why *sqlerr.Error) {
	x.runMu.Lock()
	x.end(why) // what starts later sees it
	if x.cancel != nil {
		x.cancel(why)
	}
	x.runMu.Unlock()
	if x.cfg.Terminate != nil {
		x.cfg.Terminate(why)
	}
}

// start begins a command: it returns the context that its statements run under. finish must be called at its end.
func (x *Session) start(ctx context.Context, text string) (context.Context, func(error) error) {
	x.stopIdling()
	began := time.Now()
	x.runMu.Lock()
	run, cancel := context.WithCancelCause(ctx)
	x.run, x.cancel = run, cancel
	x.doing = statement{text: text, began: began, state: "active", since: began, tx: x.block.started}
	if x.base.Err() != nil {
		cancel(context.Cause(x.base))
	}
	x.runMu.Unlock()
	limit := x.vars.statementTimeout
	var clock *time.Timer
	if limit > 0 {
		clock = time.AfterFunc(limit, func() {
			cancel(sqlerr.New("57014", "canceling statement due to statement timeout").My(3024, "Query execution was interrupted, maximum statement execution time exceeded"))
		})
	}
	return run, func(err error) error {
		if clock != nil {
			clock.Stop()
		}
		cause := context.Cause(run)
		x.runMu.Lock()
		x.run, x.cancel = nil, nil
		x.doing = statement{text: text, began: began, state: x.stateName(), since: time.Now(), tx: x.block.started}
		x.runMu.Unlock()
		cancel(nil)
		x.idle()
		if err == nil {
			return nil
		}
		out := sqlerr.FromSQLite(err)
		// Why the statement was interrupted is known better here than the error tells that came of it, unless it says that
		// the outcome of a commit is unknown.
		var why *sqlerr.Error
		if out.State != "08007" && errors.As(cause, &why) {
			out = why
		}
		return out
	}
}

// suspend leaves the running statement between two of its rows.
func (x *Session) suspend() {
	x.runMu.Lock()
	x.run, x.cancel = nil, nil
	x.doing.state, x.doing.since = x.stateName(), time.Now()
	x.runMu.Unlock()
	x.idle()
}

// activity is what the session is doing. It may be called by any goroutine.
func (x *Session) activity() statement {
	x.runMu.Lock()
	defer x.runMu.Unlock()
	return x.doing
}

func (x *Session) stateName() string {
	switch x.Status() {
	case 'T':
		return "idle in transaction"
	case 'E':
		return "idle in transaction (aborted)"
	}
	return "idle"
}

// idle starts the clock of a session that holds the writer's place, or whose own time-outs ask for it.
func (x *Session) idle() {
	x.stopIdling()
	limit := x.vars.idleInTransaction
	if limit == 0 && x.block.writer {
		limit = max(x.server.o.IdleInTransaction, 0)
	}
	if limit := x.vars.idleSession; !x.block.open && limit > 0 {
		x.timer = time.AfterFunc(limit, func() {
			x.terminate(sqlerr.New("57P05", "terminating connection due to idle-session timeout"))
		})
	}
	if !x.block.open || limit == 0 {
		return
	}
	x.timer = time.AfterFunc(limit, func() {
		x.terminate(sqlerr.New("25P03", "terminating connection due to idle-in-transaction timeout").
			My(1205, "The transaction was idle for longer than allowed and has been rolled back"))
	})
}

func (x *Session) stopIdling() {
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
}

// notice tells the client something that is no error.
func (x *Session) notice(e *sqlerr.Error) {
	if x.mysql() {
		level := "Note"
		if e.Severity == "WARNING" {
			level = "Warning"
		}
		number, text := e.Number, e.MyMessage
		if text == "" {
			text = e.Message
		}
		x.warn(level, number, text)
		return
	}
	level := "notice"
	if e.Severity != "" {
		level = strings.ToLower(e.Severity)
	}
	if i := slices.Index(x.vars.specs["client_min_messages"].enum, level); x.cfg.Notice != nil && i >= x.vars.leastNotice {
		x.cfg.Notice(e)
	}
}

// warning is a notice of severity WARNING.
func (x *Session) warning(state, format string, args ...any) {
	e := sqlerr.New(state, format, args...)
	e.Severity = "WARNING"
	x.notice(e)
}

const maxWarnings = 64 // MySQL's max_error_count was 64

func (x *Session) warn(level string, number uint16, message string) {
	if len(x.warnings) < maxWarnings {
		x.warnings = append(x.warnings, Warning{level, number, message})
	}
}

// guard turns a panic in a statement into an error of that statement. The connection that it ran on is not used again.
func (x *Session) guard(err *error) {
	p := recover()
	if p == nil {
		return
	}
	x.server.o.Logger.Error("a statement panicked", "session", x.id, "panic", p, "stack", stack())
	x.block.abandon()
	x.letGo(true)
	e := sqlerr.New("XX000", "internal error: %v", p).My(1105, "internal error: %v", p)
	e.Err = fmt.Errorf("panic: %v", p)
	*err = e
}
