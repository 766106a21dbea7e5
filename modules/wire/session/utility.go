package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// runUtility runs everything that package plan doesn't translate.
func (x *Session) runUtility(ctx context.Context, st *ir.Statement, args []types.Value, more bool) (*Result, error) {
	switch s := st.Tree.(type) {
	case *ir.Empty:
		return &Result{empty: true, ended: true}, nil
	case *ir.Unsupported:
		return nil, sqlerr.Unsupported(s.What)

	case *ir.Begin:
		return x.begin(ctx, s)
	case *ir.Commit:
		return x.commit(ctx, s.Chain)
	case *ir.Rollback:
		return x.rollback(s.Chain)
	case *ir.Savepoint:
		return x.savepoint(ctx, s.Name)
	case *ir.ReleaseSavepoint:
		return x.releaseSavepoint(ctx, s.Name)
	case *ir.RollbackTo:
		return x.rollbackTo(ctx, s.Name)

	case *ir.Set:
		return x.set(ctx, s)
	case *ir.Reset:
		return x.reset(s)
	case *ir.Show:
		return x.show(s.Name)
	case *ir.MyShow, *ir.Describe:
		return x.showMySQL(ctx, st)
	case *ir.Use:
		return done("USE"), x.UseDatabase(ctx, s.Database)
	case *ir.Explain:
		return x.explain(ctx, st, s, args)

	case *ir.Prepare:
		return x.sqlPrepare(ctx, s)
	case *ir.Execute:
		return x.sqlExecute(ctx, s, args, more)
	case *ir.Deallocate:
		return x.deallocate(s.Name)
	case *ir.DeclareCursor:
		return x.declare(ctx, st, s, args)
	case *ir.Fetch:
		return x.fetch(ctx, s)
	case *ir.CloseCursor:
		return x.closeCursor(s.Name)

	case *ir.Copy:
		return x.copy(ctx, st, s)
	case *ir.LoadData:
		return x.load(ctx, st, s)
	case *ir.Listen:
		x.listen(s.Channel, true)
		return done("LISTEN"), nil
	case *ir.Unlisten:
		x.listen(s.Channel, false)
		return done("UNLISTEN"), nil
	case *ir.Notify:
		return done("NOTIFY"), x.notify(s.Channel, s.Payload)

	case *ir.LockTables:
		return x.lockTables(ctx, s)
	case *ir.Maintain:
		return x.maintain(ctx, s)
	case *ir.Kill:
		return x.kill(s)
	case *ir.CreateDatabase:
		return x.createDatabase(ctx, s)
	case *ir.DropDatabase:
		return x.dropDatabase(ctx, s)
	case *ir.AlterDatabaseSet:
		return x.alterDatabaseSet(ctx, s)
	case *ir.AlterDatabase:
		return nil, sqlerr.Unsupported("ALTER DATABASE")
	case *ir.GrantRevoke:
		return nil, sqlerr.Unsupported(map[bool]string{false: "GRANT", true: "REVOKE"}[s.Revoke])
	case *ir.Attempt:
		return x.attempt(ctx, s)
	case *ir.Drop:
		if s.Kind == ir.DatabaseObject && len(s.Names) == 1 {
			return x.dropDatabase(ctx, &ir.DropDatabase{Name: s.Names[0].Name, IfExists: s.IfExists})
		}
	}
	return x.ddl(ctx, st)
}

// describe tells what rows a statement of this package gives, before it runs.
func (x *Session) describe(ctx context.Context, st *ir.Statement) ([]plan.Column, error) {
	switch s := st.Tree.(type) {
	case *ir.Show:
		r, err := x.show(s.Name)
		if err != nil {
			return nil, err
		}
		return r.Columns, nil
	case *ir.Explain:
		return textColumns("QUERY PLAN"), nil
	case *ir.Fetch:
		if c := x.cursors[s.Cursor]; c != nil && !s.Move {
			return c.columns, nil
		}
	case *ir.Execute:
		if p := x.prepared[s.Name]; p != nil {
			return p.Columns, nil
		}
	case *ir.MyShow, *ir.Describe:
		return x.describeShow(ctx, st)
	}
	return nil, nil
}

// textColumns are columns of type text.
func textColumns(names ...string) []plan.Column {
	out := make([]plan.Column, len(names))
	for i, n := range names {
		out[i] = plan.Column{Name: n, Type: types.T(types.Text)}
	}
	return out
}

func textRow(values ...string) []types.Value {
	out := make([]types.Value, len(values))
	for i, v := range values {
		out[i] = types.StringValue(v)
	}
	return out
}

func (x *Session) commit(ctx context.Context, chain bool) (*Result, error) {
	if !x.block.open || !x.block.explicit {
		if !x.mysql() {
			x.warning("25P01", "there is no transaction in progress")
		}
		return done("COMMIT"), x.endImplicitIn(ctx, true)
	}
	tag, modes := "COMMIT", x.modes()
	if x.block.failed {
		tag = "ROLLBACK"
	}
	if err := x.commitBlock(ctx); err != nil {
		return nil, err
	}
	return done(tag), x.chain(chain, modes)
}

func (x *Session) rollback(chain bool) (*Result, error) {
	if (!x.block.open || !x.block.explicit) && !x.mysql() {
		x.warning("25P01", "there is no transaction in progress")
	}
	modes := x.modes()
	if x.block.open {
		x.rollbackBlock()
	}
	return done("ROLLBACK"), x.chain(chain, modes)
}

// modes are those of the open block, for AND CHAIN.
func (x *Session) modes() *ir.Begin {
	readOnly := x.block.readOnly
	return &ir.Begin{Isolation: x.block.level.String(), ReadOnly: &readOnly}
}

func (x *Session) chain(chain bool, modes *ir.Begin) error {
	if !chain {
		return nil
	}
	return x.openBlock(true, modes)
}

// attempt is a DO block whose statements may fail with certain errors.
func (x *Session) attempt(ctx context.Context, s *ir.Attempt) (*Result, error) {
	own := !x.block.open
	if own {
		if err := x.openBlock(false, nil); err != nil {
			return nil, err
		}
	}
	const name = "__bop_attempt"
	l, err := x.writeConn(ctx, "DO")
	if err != nil {
		return nil, err
	}
	if err := l.exec("SAVEPOINT " + name); err != nil {
		return nil, err
	}
	err = func() error {
		for _, inner := range s.Stmts {
			f, err := x.translate(ctx, inner, nil, planKey{})
			if err != nil {
				return err
			}
			r, err := x.runStatement(ctx, f, nil, true)
			if err != nil {
				return err
			}
			if err := r.Close(); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		if !slices.Contains(s.States, sqlerr.FromSQLite(err).State) {
			return nil, err
		}
		if err := l.exec("ROLLBACK TO " + name); err != nil {
			return nil, err
		}
		x.block.failed = false
		l.st.schema = nil
	}
	if err := l.exec("RELEASE " + name); err != nil {
		return nil, err
	}
	if own {
		if err := x.endImplicitIn(ctx, true); err != nil {
			return nil, err
		}
	}
	return done("DO"), nil
}

func (x *Session) sqlPrepare(ctx context.Context, s *ir.Prepare) (*Result, error) {
	text := s.Text
	if s.FromVar != "" {
		v, _ := x.vars.userVariable(s.FromVar).(string)
		text = v
	}
	paramTypes := make([]types.Type, len(s.Types))
	for i, t := range s.Types {
		paramTypes[i] = t.Type
	}
	statements, err := x.parse(text)
	if err != nil {
		return nil, err
	}
	if len(statements) != 1 {
		return nil, sqlerr.New("42601", "PREPARE takes one statement").My(1064, "You have an error in your SQL syntax: PREPARE takes one statement")
	}
	f, err := x.translate(ctx, statements[0], paramTypes, x.key(text, paramTypes))
	if err != nil {
		return nil, err
	}
	p, err := x.wrap(ctx, f, text, paramTypes)
	if err != nil {
		return nil, err
	}
	if x.mysql() {
		x.Forget(s.Name) // a name may be used again
	}
	return done("PREPARE"), x.Name(s.Name, p)
}

func (x *Session) sqlExecute(ctx context.Context, s *ir.Execute, outer []types.Value, more bool) (*Result, error) {
	p := x.prepared[s.Name]
	if p == nil {
		return nil, sqlerr.New("26000", `prepared statement "%s" does not exist`, s.Name).
			My(1243, "Unknown prepared statement handler (%s) given to EXECUTE", s.Name)
	}
	if len(s.Args) != len(p.Params) {
		return nil, sqlerr.New("42601", `wrong number of parameters for prepared statement "%s"`, s.Name).
			My(1210, "Incorrect arguments to EXECUTE")
	}
	args := make([]types.Value, len(s.Args))
	for i, e := range s.Args {
		v, err := x.evaluate(ctx, e, p.Params[i], outer)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	f, err := x.fresh(ctx, p)
	if err != nil {
		return nil, err
	}
	return x.runStatement(ctx, f, args, more)
}

// evaluate computes an expression without columns as a value of type t in storage form.
func (x *Session) evaluate(ctx context.Context, e ir.Expr, t types.Type, params []types.Value) (types.Value, error) {
	if t.Kind != types.Unknown {
		e = &ir.Cast{X: e, To: ir.TypeName{Type: t}, Pos: -1}
	}
	st := &ir.Statement{Dialect: x.cfg.Dialect, Params: len(params), Tree: &ir.Query{Body: &ir.Select{Items: []ir.Item{{Expr: e}}}}}
	s, _, err := x.schema(ctx)
	if err != nil {
		return types.Value{}, err
	}
	p, err := plan.Build(st, x.planEnv(s, nil))
	if err != nil {
		return types.Value{}, err
	}
	r, err := x.runPlan(ctx, &planned{st: st, plan: p}, params)
	if err != nil {
		return types.Value{}, err
	}
	var v types.Value
	if r.Next() {
		v = r.Row()[0].Clone()
	}
	return v, r.Close()
}

func (x *Session) deallocate(name string) (*Result, error) {
	if name == "" {
		clear(x.prepared)
		return done("DEALLOCATE ALL"), nil
	}
	if x.prepared[name] == nil {
		return nil, sqlerr.New("26000", `prepared statement "%s" does not exist`, name).
			My(1243, "Unknown prepared statement handler (%s) given to DEALLOCATE PREPARE", name)
	}
	delete(x.prepared, name)
	return done("DEALLOCATE"), nil
}

// lockTables takes the writer's place for locks that writers ask for; readers need none, because their snapshot stays.
func (x *Session) lockTables(ctx context.Context, s *ir.LockTables) (*Result, error) {
	if x.mysql() {
		// The locks of MySQL guard against others' changes between statements; here every statement has its snapshot and
		// transactions order writers. Open transactions are committed, as there: by LOCK, and by UNLOCK after it.
		if s.Unlock && !x.locked {
			return done("UNLOCK TABLES"), nil
		}
		x.locked = !s.Unlock
		return done("LOCK TABLES"), x.commitOpen(ctx)
	}
	if !x.block.open || !x.block.explicit {
		return nil, sqlerr.New("25P01", "LOCK TABLE can only be used in transaction blocks")
	}
	sch, _, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range s.Tables {
		if x.findTable(sch, name) == nil {
			return nil, sqlerr.New("42P01", `relation "%s" does not exist`, name.Name).At(name.Pos)
		}
	}
	if !strings.Contains(s.Mode, "SHARE") || strings.Contains(s.Mode, "EXCLUSIVE") || s.Mode == "SHARE" {
		_, err = x.writeConn(ctx, "LOCK TABLE")
	} else {
		_, err = x.readConn(ctx, true)
	}
	return done("LOCK TABLE"), err
}

// maintain runs VACUUM, ANALYZE and their relatives. Space is reclaimed and pages are checked by the storage; what
// remains for SQLite is statistics.
func (x *Session) maintain(ctx context.Context, s *ir.Maintain) (*Result, error) {
	kind, _, _ := strings.Cut(s.Kind, " ")
	if kind == "VACUUM" && x.block.open && x.block.explicit {
		return nil, sqlerr.New("25001", "VACUUM cannot run inside a transaction block")
	}
	sch, _, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	var rows [][]types.Value
	for _, name := range s.Tables {
		t := x.findTable(sch, name)
		if t == nil {
			return nil, sqlerr.New("42P01", `relation "%s" does not exist`, name.Name).My(1146, "Table '%s.%s' doesn't exist", x.Database(), name.Name).At(name.Pos)
		}
		rows = append(rows, textRow(x.Database()+"."+t.Name, strings.ToLower(kind), "status", "OK"))
	}
	var run []string
	switch kind {
	case "ANALYZE", "VACUUM", "OPTIMIZE":
		if _, ok := s.Options["analyze"]; ok || kind != "VACUUM" {
			for _, name := range s.Tables {
				run = append(run, "ANALYZE "+quote(x.findTable(sch, name).SQLName))
			}
			if len(s.Tables) == 0 {
				run = append(run, "ANALYZE")
			}
		}
	case "REINDEX":
		for _, name := range s.Tables {
			run = append(run, "REINDEX "+quote(x.findTable(sch, name).SQLName))
		}
	case "CHECKPOINT":
		run = append(run, "PRAGMA wal_checkpoint")
	}
	for _, sql := range run {
		l, err := x.writeConn(ctx, kind)
		if err != nil {
			return nil, err
		}
		err = l.exec(sql)
		if err == nil && !x.block.open {
			err = x.gate(ctx, l)
		}
		x.giveBack(l)
		if err != nil {
			return nil, err
		}
	}
	if x.mysql() && rows != nil {
		return table(kind, textColumns("Table", "Op", "Msg_type", "Msg_text"), rows), nil
	}
	return done(s.Kind), nil
}

func (x *Session) kill(s *ir.Kill) (*Result, error) {
	if s.ID > 1<<32-1 || !x.server.kill(uint32(s.ID), !s.Query) {
		return nil, sqlerr.New("22023", "no session %d", s.ID).My(1094, "Unknown thread id: %d", s.ID)
	}
	return done("KILL"), nil
}

func (x *Session) createDatabase(ctx context.Context, s *ir.CreateDatabase) (*Result, error) {
	if x.block.open && x.block.explicit && !x.mysql() {
		return nil, sqlerr.New("25001", "CREATE DATABASE cannot run inside a transaction block")
	}
	if err := x.commitOpen(ctx); err != nil {
		return nil, err
	}
	err := x.server.o.Engine.CreateDatabase(ctx, s.Name)
	if errors.Is(err, engine.ErrDatabaseExists) {
		if s.IfNotExists {
			x.warn("Note", 1007, "Can't create database '"+s.Name+"'; database exists")
			return done("CREATE DATABASE"), nil
		}
		return nil, sqlerr.New("42P04", `database "%s" already exists`, s.Name).My(1007, "Can't create database '%s'; database exists", s.Name)
	}
	r := done("CREATE DATABASE")
	r.affected = 1
	return r, err
}

func (x *Session) dropDatabase(ctx context.Context, s *ir.DropDatabase) (*Result, error) {
	if x.block.open && x.block.explicit && !x.mysql() {
		return nil, sqlerr.New("25001", "DROP DATABASE cannot run inside a transaction block")
	}
	if err := x.commitOpen(ctx); err != nil {
		return nil, err
	}
	if s.Name == x.Database() {
		if !x.mysql() {
			return nil, sqlerr.New("55006", "cannot drop the currently open database")
		}
		x.letGo(false)
		x.db = nil
		x.vars.inherit(nil)
	}
	for _, other := range x.server.list() {
		if other == x || other.databaseName() != s.Name {
			continue
		}
		if !s.Force && !x.mysql() {
			return nil, sqlerr.New("55006", `database "%s" is being accessed by other users`, s.Name).WithHint("DROP DATABASE … WITH (FORCE) ends their sessions.")
		}
		other.terminate(sqlerr.New("57P01", "terminating connection: the database was dropped").My(1049, "Unknown database '%s'", s.Name))
	}
	err := x.server.o.Engine.DropDatabase(ctx, s.Name)
	if errors.Is(err, engine.ErrNoDatabase) {
		if s.IfExists {
			x.notice(sqlerr.New("00000", `database "%s" does not exist, skipping`, s.Name).My(1008, "Can't drop database '%s'; database doesn't exist", s.Name))
			return done("DROP DATABASE"), nil
		}
		return nil, sqlerr.New("3D000", `database "%s" does not exist`, s.Name).My(1008, "Can't drop database '%s'; database doesn't exist", s.Name)
	}
	return done("DROP DATABASE"), err
}
