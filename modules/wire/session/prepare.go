package session

import (
	"context"
	"strings"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Prepared is a statement that can be executed again and again. It belongs to its session.
type Prepared struct {
	Params  []types.Type
	Columns []plan.Column // nil: it gives no rows

	text  string
	types []types.Type // as the client gave them
	env   string
	p     *planned
}

// Text is the statement's own text.
func (p *Prepared) Text() string { return p.text }

// Prepare translates one statement. paramTypes are the types of the parameters as far as the client gave them. An empty
// text is allowed and executes to an empty result; several statements are 42601.
func (x *Session) Prepare(ctx context.Context, text string, paramTypes []types.Type) (p *Prepared, err error) {
	defer x.guard(&err)
	run, finish := x.start(ctx, text)
	defer func() {
		if err = finish(err); err != nil {
			x.failedStatement(err)
		}
	}()
	key := x.key(text, paramTypes)
	found := x.cached(key)
	if found == nil {
		statements, err := x.parse(text)
		if err != nil {
			return nil, err
		}
		if len(statements) > 1 {
			return nil, sqlerr.New("42601", "cannot insert multiple commands into a prepared statement").
				My(1064, "You have an error in your SQL syntax: a prepared statement holds one statement")
		}
		if found, err = x.translate(run, statements[0], paramTypes, key); err != nil {
			return nil, err
		}
	}
	return x.wrap(run, found, text, paramTypes)
}

// wrap describes a planned statement.
func (x *Session) wrap(ctx context.Context, f *planned, text string, paramTypes []types.Type) (*Prepared, error) {
	p := &Prepared{text: text, types: paramTypes, env: x.vars.planEnv(), p: f}
	if f.plan != nil {
		p.Params, p.Columns = f.plan.Params, f.plan.Columns
		return p, nil
	}
	p.Params = make([]types.Type, f.st.Params)
	for i := range p.Params {
		p.Params[i] = types.T(types.Text)
	}
	columns, err := x.describe(ctx, f.st)
	p.Columns = columns
	return p, err
}

// parse parses a text in the session's dialect.
func (x *Session) parse(text string) ([]*ir.Statement, error) {
	if x.mysql() {
		return mysql.Parse(text, x.vars.parseOptions())
	}
	return postgres.Parse(text)
}

// key names a plan of this session's.
func (x *Session) key(text string, paramTypes []types.Type) planKey {
	k := planKey{dialect: x.cfg.Dialect, env: x.vars.planEnv(), text: text}
	if x.db != nil {
		k.version = x.db.Version()
	}
	if len(paramTypes) > 0 {
		var b strings.Builder
		for _, t := range paramTypes {
			b.WriteString(t.PGName())
			b.WriteByte(byte(t.Kind))
		}
		k.params = b.String()
	}
	return k
}

// cached returns a plan from the server's cache; none while the session has changes of the schema of its own.
func (x *Session) cached(k planKey) *planned {
	if x.block.ddl || x.vars.temporary {
		return nil
	}
	p := x.server.plans.get(k)
	x.server.metrics.plan(p != nil)
	return p
}

// translate plans a statement and keeps the plan for others.
func (x *Session) translate(ctx context.Context, st *ir.Statement, paramTypes []types.Type, key planKey) (*planned, error) {
	if !isPlanned(st.Tree) {
		return &planned{st: st, version: key.version}, nil
	}
	f, err := x.translateNow(ctx, st, paramTypes, key)
	if err != nil && x.behind(ctx, err) {
		return x.translateNow(ctx, st, paramTypes, key)
	}
	return f, err
}

// translateNow translates by the schema that this server has.
func (x *Session) translateNow(ctx context.Context, st *ir.Statement, paramTypes []types.Type, key planKey) (*planned, error) {
	f := &planned{st: st}
	s, version, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	f.version = version
	if f.plan, err = plan.Build(st, x.planEnv(s, paramTypes)); err != nil {
		return nil, err
	}
	if !x.block.ddl && !x.vars.temporary && !s.HasTemp {
		key.version = version
		x.server.plans.put(key, f)
	}
	return f, nil
}

// isPlanned tells whether package plan translates a statement; the others are this package's.
func isPlanned(tree ir.Stmt) bool {
	switch tree.(type) {
	case *ir.Query, *ir.Insert, *ir.Update, *ir.Delete, *ir.Truncate, *ir.Do:
		return true
	}
	return false
}

// planEnv is what plans of this session depend on.
func (x *Session) planEnv(s *schema.Schema, paramTypes []types.Type) *plan.Env {
	v := x.vars
	return &plan.Env{
		Schema: s, SearchPath: v.searchPath, Database: x.Database(), ParamTypes: paramTypes,
		ANSIQuotes: v.ansiQuotes, PipesAsOr: v.pipesAsOr, Strict: v.strict, FoundRows: x.cfg.FoundRows,
		NoAutoValueOnZero: v.noAutoValueOnZero, NoForeignKeyChecks: v.foreignKeysOff, BinaryStrings: v.binaryStrings, System: catalog.Relation,
	}
}

// schema returns the logical schema that the session's next statement runs against, and the version it belongs to.
func (x *Session) schema(ctx context.Context) (*schema.Schema, engine.Version, error) {
	var v engine.Version
	if x.db == nil {
		if x.mysql() {
			return emptySchema, v, nil
		}
		return nil, v, sqlerr.New("3D000", "no database selected")
	}
	own := x.block.ddl || x.vars.temporary
	v = x.db.Version()
	if !own {
		if s := x.server.schemas.get(v); s != nil {
			return s, v, nil
		}
	} else if x.held != nil && x.held.st.schema != nil {
		return x.held.st.schema, v, nil
	}
	l, err := x.borrow(ctx)
	if err != nil {
		return nil, v, err
	}
	defer x.giveBack(l)
	s, err := schema.Load(l.Raw())
	if err != nil {
		return nil, v, l.Explain(err)
	}
	if own {
		l.st.schema = s
		return s, v, nil
	}
	if v.Schema == s.Cookie && !s.HasTemp {
		x.server.schemas.put(v, s)
	}
	v.Schema = s.Cookie
	return s, v, nil
}

var emptySchema = &schema.Schema{}

// fresh returns the plan to run now: the statement is planned again when the schema has moved since.
func (x *Session) fresh(ctx context.Context, p *Prepared) (*planned, error) {
	if p.p.plan == nil || x.db == nil {
		return p.p, nil
	}
	if v := x.db.Version(); v == p.p.version && !x.block.ddl && !x.vars.temporary && p.env == x.vars.planEnv() {
		return p.p, nil
	}
	key := x.key(p.text, p.types)
	f := x.cached(key)
	if f == nil {
		var err error
		if f, err = x.translate(ctx, p.p.st, p.types, key); err != nil {
			return nil, err
		}
	}
	if err := sameShape(p, f.plan); err != nil {
		return nil, err
	}
	p.p, p.env = f, x.vars.planEnv()
	return f, nil
}

// sameShape refuses a plan whose rows look other than what the client was told.
func sameShape(p *Prepared, n *plan.Plan) error {
	if len(n.Columns) == len(p.Columns) {
		same := true
		for i := range n.Columns {
			same = same && n.Columns[i].Type == p.Columns[i].Type
		}
		if same {
			return nil
		}
	}
	return sqlerr.New("0A000", "cached plan must not change result type").My(1615, "Prepared statement needs to be re-prepared")
}
