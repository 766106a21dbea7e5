package session

import (
	"context"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// isolation is a transaction's isolation level.
type isolation uint8

const (
	readUncommitted isolation = iota // as readCommitted
	readCommitted
	repeatableRead
	serializable
)

var isolationNames = [...]string{"read uncommitted", "read committed", "repeatable read", "serializable"}

func (i isolation) String() string { return isolationNames[i] }

func parseIsolation(s string) (isolation, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "-", " "))
	for i, name := range isolationNames {
		if s == name {
			return isolation(i), true
		}
	}
	return 0, false
}

// block is a transaction block: one that the client opened, or the implicit one around several statements.
type block struct {
	open     bool
	explicit bool
	failed   bool // PostgreSQL: only its end is accepted
	begun    bool // SQLite is in a transaction on the held connection
	writer   bool // it has the writer's place
	wrote    bool // a statement of it changed something, or may have
	ddl      bool // the schema was changed: plans are this session's own
	level    isolation
	readOnly bool
	saves    []string // savepoints in order; the same ones are in SQLite once begun
	started  time.Time
	messages []Notification // NOTIFY of this transaction
}

// abandon forgets the block; what SQLite had of it is gone with the connection.
func (b *block) abandon() {
	failed := b.open && b.explicit
	*b = block{open: failed, explicit: failed, failed: failed, started: b.started}
}

// openBlock begins a block without touching SQLite.
func (x *Session) openBlock(explicit bool, m *ir.Begin) error {
	b := block{open: true, explicit: explicit, level: x.vars.isolation, readOnly: x.vars.readOnly, started: time.Now()}
	x.block = b
	x.vars.push()
	if m != nil {
		return x.setModes(m)
	}
	return nil
}

// setModes applies the modes of BEGIN and SET TRANSACTION to the open block.
func (x *Session) setModes(m *ir.Begin) error {
	if m.Isolation != "" {
		level, ok := parseIsolation(m.Isolation)
		if !ok {
			return sqlerr.New("22023", "unknown isolation level %q", m.Isolation)
		}
		if x.block.begun && level != x.block.level {
			return sqlerr.New("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query").
				My(1568, "Transaction characteristics can't be changed while a transaction is in progress")
		}
		x.block.level = level
	}
	if m.ReadOnly != nil {
		if !*m.ReadOnly && x.block.readOnly && x.block.begun {
			return sqlerr.New("25001", "transaction read-write mode must be set before any query")
		}
		x.block.readOnly = *m.ReadOnly
	}
	return nil
}

// begin is BEGIN and START TRANSACTION.
func (x *Session) begin(ctx context.Context, m *ir.Begin) (*Result, error) {
	switch {
	case x.block.open && x.block.explicit && !x.mysql():
		x.warning("25001", "there is already a transaction in progress")
		return done("BEGIN"), nil
	case x.block.open && x.mysql():
		if err := x.commitBlock(ctx); err != nil {
			return nil, err
		}
	case x.block.open:
		x.block.explicit = true // PostgreSQL: the implicit block becomes the client's
		return done("BEGIN"), x.setModes(m)
	}
	if err := x.openBlock(true, m); err != nil {
		return nil, err
	}
	if m.Snapshot {
		if _, err := x.readConn(ctx, true); err != nil {
			return nil, err
		}
	}
	return done("BEGIN"), nil
}

// commitOpen is MySQL's implicit commit.
func (x *Session) commitOpen(ctx context.Context) error {
	if !x.block.open {
		return nil
	}
	return x.commitBlock(ctx)
}

// commitBlock ends the block. A failed one is rolled back, which the caller tells by block.failed before.
func (x *Session) commitBlock(ctx context.Context) error {
	if x.block.failed {
		x.rollbackBlock()
		return nil
	}
	x.closeCursors(func(c *cursor) bool { return !c.hold })
	if err := x.holdCursors(ctx); err != nil {
		x.rollbackBlock()
		return err
	}
	l := x.held
	if x.block.begun {
		l.SetContext(ctx)
		if err := l.exec("COMMIT"); err != nil {
			x.rollbackBlock()
			return deferred(err)
		}
		if err := x.gate(ctx, l); err != nil {
			x.endBlock(false)
			return err
		}
		if x.block.wrote {
			x.committed(l)
		}
		if x.block.ddl { // the next statement is planned with the committed schema
			if err := x.settle(ctx, l); err != nil {
				x.endBlock(true)
				return err
			}
		}
	}
	messages := x.block.messages
	x.endBlock(true)
	x.server.hub.publish(x, messages)
	return nil
}

// deferred words a foreign key that was only checked at the end.
func deferred(err error) error {
	e := sqlerr.FromSQLite(err)
	if e.State == "23503" && e.Detail == "" {
		e.Detail = "A deferred constraint was checked at the end of the transaction."
	}
	return e
}

// rollbackBlock undoes the block, in whatever state it is.
func (x *Session) rollbackBlock() {
	x.closeCursors(func(c *cursor) bool { return !c.held })
	if x.block.begun && x.held != nil {
		l := x.held
		l.SetContext(context.Background())
		if !l.Raw().GetAutocommit() {
			if err := l.exec("ROLLBACK"); err != nil {
				x.server.o.Logger.Warn("rolling back failed; the connection is dropped", "session", x.id, "err", err)
				x.endBlock(false)
				x.letGo(true)
				return
			}
		}
		// What the transaction saw may not be committed yet; its end says nothing but that it is undone.
		if err := l.Gate(x.base); err != nil {
			x.server.o.Logger.Debug("the base of a rolled back transaction was dropped", "session", x.id, "err", err)
		}
	}
	x.endBlock(false)
}

// endBlock leaves the block and gives the connection back.
func (x *Session) endBlock(committed bool) {
	if x.block.ddl && x.held != nil {
		x.held.st.schema = nil
		x.held.st.forget()
	}
	x.block = block{}
	x.vars.pop(committed)
	funcs.ReleaseTransactionLocks(x.id)
	if x.held != nil {
		x.giveBack(x.held)
	}
}

// gate passes the output gate: nothing about the end of a transaction leaves before.
func (x *Session) gate(ctx context.Context, l *lent) error {
	if err := l.Gate(ctx); err != nil {
		return sqlerr.FromSQLite(err)
	}
	return nil
}

// readConn returns the connection for a statement that only reads. stored: it reads what is stored, not only what the
// session knows by itself; a statement whose snapshot the whole transaction keeps counts as one that does.
func (x *Session) readConn(ctx context.Context, stored bool) (*lent, error) {
	keeps := x.block.open && x.block.level > readCommitted
	if !x.block.begun && (stored || keeps) {
		// Before a connection is borrowed: others need it while this session waits.
		if err := x.freshen(ctx); err != nil {
			return nil, err
		}
	}
	l, err := x.borrow(ctx)
	if err != nil {
		return nil, err
	}
	if !x.block.begun {
		if err := x.settle(ctx, l); err != nil {
			x.giveBack(l)
			return nil, err
		}
	}
	if x.block.begun || !keeps {
		return l, nil
	}
	if err := l.exec("BEGIN"); err != nil {
		x.giveBack(l)
		return nil, err
	}
	// The snapshot is taken at the first read, which is the statement that asked.
	x.held, x.block.begun = l, true
	return l, x.replaySavepoints(l)
}

// writeConn returns the connection for a statement that changes something. Inside a block it is, or becomes, the writer.
// verb is the statement's, for errors.
func (x *Session) writeConn(ctx context.Context, verb string) (*lent, error) {
	if err := x.mayWrite(verb); err != nil {
		return nil, err
	}
	l, err := x.borrow(ctx)
	if err != nil || !x.block.open {
		return l, err
	}
	x.block.wrote = true
	if x.block.writer {
		return l, nil
	}
	if x.block.begun {
		if !x.mysql() {
			// PostgreSQL keeps its snapshot: SQLite takes the writer's place only if that is still the newest.
			x.block.writer = true
			return l, nil
		}
		if err := l.exec("COMMIT"); err != nil {
			return nil, err
		}
		x.block.begun = false
	}
	if err := x.takePlace(ctx, l); err != nil {
		x.giveBack(l)
		return nil, err
	}
	x.held, x.block.begun, x.block.writer = l, true, true
	if err := x.replaySavepoints(l); err != nil {
		return nil, err
	}
	if err := x.holdReads(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// mayWrite refuses what changes something in a transaction that only reads, and on a server that follows.
func (x *Session) mayWrite(verb string) error {
	if x.block.open && x.block.readOnly || !x.block.open && x.vars.readOnly {
		return sqlerr.New("25006", "cannot execute %s in a read-only transaction", verb).
			My(1792, "Cannot execute statement in a READ ONLY transaction.")
	}
	if ok, leader := x.server.o.Engine.Writable(); !ok {
		return following("execute", verb, leader)
	}
	return nil
}

// follows tells whether another server accepts the writes.
func (x *Session) follows() bool {
	ok, _ := x.server.o.Engine.Writable()
	return !ok
}

// takePlace begins a transaction of SQLite as the writer, after a wait of no more than the session's lock time-out.
func (x *Session) takePlace(ctx context.Context, l *lent) error {
	if x.vars.lockTimeout > 0 {
		wait, cancel := context.WithTimeoutCause(ctx, x.vars.lockTimeout, errLockTimeout)
		defer cancel()
		l.SetContext(wait)
		defer l.SetContext(ctx)
	}
	return l.exec("BEGIN IMMEDIATE")
}

var errLockTimeout = sqlerr.New("55P03", "canceling statement due to lock timeout").My(1205, "Lock wait timeout exceeded; try restarting transaction")

func (x *Session) replaySavepoints(l *lent) error {
	for _, name := range x.block.saves {
		if err := l.Raw().Exec("SAVEPOINT " + quote(name)); err != nil {
			return l.Explain(err)
		}
	}
	return nil
}

// failed is called for every error of a statement inside a block.
func (x *Session) failedStatement(err error) {
	if !x.block.open {
		return
	}
	// SQLite ends the transaction itself after some errors: a full disk, an interrupted write, a lost snapshot.
	if x.block.begun && x.held != nil && x.held.Raw().GetAutocommit() {
		x.block.begun, x.block.writer = false, false
		x.block.saves = nil
		if x.mysql() {
			x.endBlock(false)
			return
		}
		x.block.failed = true
	}
	if !x.mysql() {
		x.block.failed = true
	}
}

// savepoint, release and rollbackTo keep SQLite's savepoints and the block's list the same.
func (x *Session) savepoint(ctx context.Context, name string) (*Result, error) {
	if !x.block.open || !x.block.explicit {
		if x.mysql() {
			return done("SAVEPOINT"), nil
		}
		return nil, sqlerr.New("25P01", "SAVEPOINT can only be used in transaction blocks")
	}
	if x.block.begun {
		x.held.SetContext(ctx)
		if err := x.held.Raw().Exec("SAVEPOINT " + quote(name)); err != nil {
			return nil, x.held.Explain(err)
		}
	}
	x.block.saves = append(x.block.saves, name)
	x.vars.push()
	return done("SAVEPOINT"), nil
}

func (x *Session) findSavepoint(name, verb string) (int, error) {
	if !x.block.open || !x.block.explicit {
		if !x.mysql() {
			return 0, sqlerr.New("25P01", "%s can only be used in transaction blocks", verb)
		}
	}
	for i := len(x.block.saves) - 1; i >= 0; i-- {
		if x.block.saves[i] == name || x.mysql() && strings.EqualFold(x.block.saves[i], name) {
			return i, nil
		}
	}
	return 0, sqlerr.New("3B001", `savepoint "%s" does not exist`, name).My(1305, "SAVEPOINT %s does not exist", name)
}

func (x *Session) releaseSavepoint(ctx context.Context, name string) (*Result, error) {
	i, err := x.findSavepoint(name, "RELEASE SAVEPOINT")
	if err != nil {
		return nil, err
	}
	if x.block.begun {
		x.held.SetContext(ctx)
		if err := x.held.Raw().Exec("RELEASE " + quote(x.block.saves[i])); err != nil {
			return nil, x.held.Explain(err)
		}
	}
	for range len(x.block.saves) - i {
		x.vars.pop(true)
	}
	x.block.saves = x.block.saves[:i]
	return done("RELEASE"), nil
}

func (x *Session) rollbackTo(ctx context.Context, name string) (*Result, error) {
	i, err := x.findSavepoint(name, "ROLLBACK TO SAVEPOINT")
	if err != nil {
		return nil, err
	}
	x.closeCursors(func(c *cursor) bool { return !c.held && c.depth > i })
	if x.block.begun {
		x.held.SetContext(ctx)
		if err := x.held.Raw().Exec("ROLLBACK TO " + quote(x.block.saves[i])); err != nil {
			return nil, x.held.Explain(err)
		}
		x.held.st.schema = nil
	} else if x.block.failed && x.block.wrote {
		// SQLite gave the transaction up: there is nothing to go back to.
		return nil, sqlerr.New("25P02", "the transaction was rolled back by an earlier error; only ROLLBACK can end it")
	}
	for range len(x.block.saves) - i {
		x.vars.pop(false)
	}
	x.vars.push()
	x.block.saves = x.block.saves[:i+1]
	x.block.failed = false
	return done("ROLLBACK"), nil
}

// quote quotes an identifier for SQLite.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

var errAborted = sqlerr.New("25P02", "current transaction is aborted, commands ignored until end of transaction block")
