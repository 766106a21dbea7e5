package session

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// ownSpecs are this server's own variables, the same in both dialects.
const ownSpecs = `
bop.durability|quorum|e||quorum,local,async
bop.read_consistency|linearizable|s||How fresh reads are: linearizable, leader, stale or stale(10s).
bop.last_txid|0|s|f|The last transaction that this session committed.
bop.strict_reads|off|b||Holds the answers inside a transaction until what it stands on is committed.
bop.traceparent||s||The trace that this session's commands belong to.
bop.wait_for_txid|0|s||Waits until that transaction is visible here.
`

// ownMySQL are they with defaults in MySQL's way.
var ownMySQL = strings.ReplaceAll(ownSpecs, "|off|b|", "|0|b|")

const waitForTXID = "bop.wait_for_txid"

// own tells whether a name is one of this server's own.
func own(name string) bool { return strings.HasPrefix(name, "bop.") }

// reserved refuses names that only look like variables of an application's.
func reserved(name string) error {
	if !own(name) {
		return nil
	}
	e := sqlerr.New("42602", `invalid configuration parameter name "%s"`, name)
	e.Detail = `"bop" is a reserved prefix.`
	return e
}

// deriveOwn is derive for the variables of both dialects.
func (v *vars) deriveOwn(get func(string) string) {
	v.strictReads = truth(get("bop.strict_reads"))
	v.durability = engine.Durability(slices.Index(durabilities, get(durability)))
	v.consistency, _ = ParseConsistency(get(readConsistency))
	v.stale.Store(v.consistency.Level == engine.StaleReads)
	if l := v.x.held; l != nil {
		l.setDurability(v.durability)
	}
}

// durability is the variable that says when commits are answered, durabilities its values in engine.Durability's order.
const durability = "bop.durability"

var durabilities = []string{"quorum", "local", "async"}

// readConsistency is the variable that says how fresh reads have to be.
const readConsistency = "bop.read_consistency"

// ParseConsistency reads linearizable, leader, stale or stale(DURATION), the duration as in 10s or 500ms.
func ParseConsistency(text string) (c engine.Consistency, ok bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	switch text {
	case "linearizable", "":
		return c, true
	case "leader":
		return engine.Consistency{Level: engine.LeaderReads}, true
	case "stale":
		return engine.Consistency{Level: engine.StaleReads}, true
	}
	age, found := strings.CutPrefix(text, "stale(")
	if age, found = strings.CutSuffix(age, ")"); !found {
		return c, false
	}
	d, err := time.ParseDuration(strings.TrimSpace(age))
	if err != nil || d <= 0 {
		return c, false
	}
	return engine.Consistency{Level: engine.StaleReads, MaxAge: d}, true
}

// freshen waits until what is read next is as fresh as the session asks for.
func (x *Session) freshen(ctx context.Context) error {
	db, ok := x.db.(engine.Consistent)
	if !ok {
		return nil
	}
	err := db.Fresh(ctx, x.vars.consistency)
	if errors.Is(err, engine.ErrReadOnly) {
		_, leader := x.server.o.Engine.Writable()
		level, _ := x.vars.get(readConsistency)
		e := following("read", level, leader).WithHint("SET bop.read_consistency = 'stale' reads what this server has.")
		e.Detail, e.Err = err.Error(), err
		return e
	}
	if err != nil {
		return sqlerr.FromSQLite(err)
	}
	return nil
}

// behind tells whether a statement that can't be planned may name something that this server hasn't got yet: it has
// waited for what the session asks for, and its schema is another one now.
func (x *Session) behind(ctx context.Context, err error) bool {
	if _, ok := x.db.(engine.Consistent); !ok || x.block.begun {
		return false
	}
	switch sqlerr.FromSQLite(err).State {
	case "42P01", "42703", "3F000", "42704", "42883":
	default:
		return false
	}
	before := x.db.Version()
	return x.freshen(ctx) == nil && x.db.Version() != before
}

// following refuses what only the leader does.
func following(verb, what, leader string) *sqlerr.Error {
	words := "this server follows and no leader is known at present"
	if leader != "" {
		words = "this server follows; " + leader + " leads"
	}
	if what != "" {
		verb += " " + what
	}
	return sqlerr.New("25006", "cannot %s: %s", verb, words).My(1290, "The server can't %s: %s", verb, words)
}

// setDurability says when the answers to the connection's commits leave. An engine that knows one way alone commits in
// the safest.
func (l *lent) setDurability(d engine.Durability) {
	if c, ok := l.Conn.(engine.Durable); ok {
		c.SetDurability(d)
	}
}

// unsure is a commit that was answered before it was committed.
type unsure struct{ txid, epoch uint64 }

// committed accounts for a transaction that changed something.
func (x *Session) committed(l *lent) {
	x.lastTXID = max(x.lastTXID, l.LastTXID())
	if x.vars.durability == engine.Async && x.db != nil {
		x.unsure = unsure{l.LastTXID(), x.db.Version().Epoch}
	}
}

// settle waits until the session's own last commit is visible, which an asynchronous one isn't when it is answered.
func (x *Session) settle(ctx context.Context, l *lent) error {
	if x.unsure.txid == 0 {
		return nil
	}
	if x.db != nil && x.db.Version().Epoch == x.unsure.epoch {
		// A commit that was dropped was allowed to be lost: reads go on without it.
		if err := l.WaitTXID(ctx, x.unsure.txid); err != nil && !errors.Is(err, engine.ErrSerialization) {
			return sqlerr.FromSQLite(err)
		}
	}
	x.unsure = unsure{}
	return nil
}

// settleAlone is settle where no connection is at hand.
func (x *Session) settleAlone(ctx context.Context) error {
	if x.unsure.txid == 0 {
		return nil
	}
	l, err := x.borrow(ctx)
	if err != nil {
		return err
	}
	defer x.giveBack(l)
	return x.settle(ctx, l)
}

// holdReads makes a transaction that has become the writer wait until what it stands on is committed, if the session
// asks for that: nothing that it reads is then dropped later.
func (x *Session) holdReads(ctx context.Context) error {
	if !x.vars.strictReads || !x.block.open || !x.block.writer || x.held == nil {
		return nil
	}
	err := x.gate(ctx, x.held)
	if err != nil && x.mysql() {
		x.rollbackBlock() // MySQL's transactions end with errors of this kind
	}
	return err
}

// waitFor waits until a transaction is visible here: causal reads by the token of another session's commit.
func (x *Session) waitFor(ctx context.Context, token string) error {
	txid, err := strconv.ParseUint(strings.TrimSpace(token), 10, 64)
	if err != nil {
		return sqlerr.New("22023", `invalid value for parameter "%s": "%s"`, waitForTXID, token).
			My(1231, "Variable '%s' can't be set to the value of '%s'", waitForTXID, token).WithHint("Give what bop.last_txid told.")
	}
	if x.block.begun {
		// Its snapshot is older, and a writer would wait for those that wait for it.
		return sqlerr.New("25001", "SET %s must be called before any query of the transaction", waitForTXID).
			My(1568, "%s can't be set while a transaction is in progress", waitForTXID)
	}
	l, err := x.borrow(ctx)
	if err != nil {
		return err
	}
	defer x.giveBack(l)
	if err := l.WaitTXID(ctx, txid); err != nil {
		return sqlerr.FromSQLite(err)
	}
	return nil
}
