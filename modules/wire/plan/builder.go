package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

const (
	implicit   = funcs.Implicit
	assignment = funcs.Assignment
	explicit   = funcs.Explicit
)

// builder is the state of one analysis.
type builder struct {
	d       ir.Dialect
	env     *Env
	st      *ir.Statement
	params  []types.Type // Unknown until the context of a parameter says
	used    map[string]struct{}
	touched []Access
	calc    string

	writes   bool
	volatile bool
	sequence bool // the rows of one are read
	warnings []string
	through  *throughCTE // the query that shows what the planned change returns
}

func newBuilder(d ir.Dialect, env *Env, st *ir.Statement) *builder {
	b := &builder{d: d, env: env, st: st}
	if b.env == nil {
		b.env = &Env{}
	}
	n := 0
	if st != nil {
		n = st.Params
	}
	b.params = make([]types.Type, n)
	copy(b.params, b.env.ParamTypes)
	return b
}

func (b *builder) pg() bool { return b.d == ir.Postgres }
func (b *builder) my() bool { return b.d == ir.MySQL }

// alias returns name, or name with a number behind it, so that it is used only once in the statement in SQLite's eyes.
func (b *builder) alias(name string) string {
	if b.used == nil {
		b.used = make(map[string]struct{}, 8)
	}
	key := strings.ToLower(name)
	if _, taken := b.used[key]; !taken {
		b.used[key] = struct{}{}
		return name
	}
	for i := 2; ; i++ {
		n := name + "_" + strconv.Itoa(i)
		key = strings.ToLower(n)
		if _, taken := b.used[key]; !taken {
			b.used[key] = struct{}{}
			return n
		}
	}
}

// touch notes that a privilege is needed, on the table or on one of its columns.
func (b *builder) touch(t *schema.Table, privilege string, column string) {
	if t == nil {
		return
	}
	for i := range b.touched {
		a := &b.touched[i]
		if a.Table != t || a.Privilege != privilege {
			continue
		}
		if column != "" {
			for _, c := range a.Columns {
				if c == column {
					return
				}
			}
			a.Columns = append(a.Columns, column)
		}
		return
	}
	a := Access{Table: t, Privilege: privilege}
	if column != "" {
		a.Columns = []string{column}
	}
	b.touched = append(b.touched, a)
}

// param returns the node of parameter n.
func (b *builder) param(p *ir.Param) *node {
	if p.N < 1 || p.N > 65535 {
		b.failAt(sqlerr.New("42P02", "there is no parameter $%d", p.N), p.Pos)
	}
	for len(b.params) < p.N {
		b.params = append(b.params, types.Type{})
	}
	t := b.params[p.N-1]
	n := &node{sql: "?" + strconv.Itoa(p.N), typ: t, atom: true, param: p.N, open: t.Kind == types.Unknown, pos: p.Pos}
	n.span = spanOf(t)
	return n
}

// finish fills what every plan has.
func (b *builder) finish(p *Plan) *Plan {
	p.Dialect = b.d
	for i := range b.params {
		if b.params[i].Kind == types.Unknown {
			b.params[i] = types.T(types.Text)
		}
	}
	p.Params = b.params
	p.Touched = b.touched
	p.Stored = len(b.touched) > 0 || b.sequence
	p.Volatile = b.volatile
	p.Warnings = b.warnings
	if b.writes && p.Class == Read {
		p.Class = Write
	}
	return p
}

// Build plans a query, INSERT, UPDATE, DELETE, TRUNCATE, COPY (its query, or the reading or writing of its table), DO, and
// the statement inside of EXPLAIN. Errors are *sqlerr.Error.
func Build(st *ir.Statement, env *Env) (p *Plan, err error) {
	defer catch(&err)
	b := newBuilder(st.Dialect, env, st)
	return b.statement(st.Tree), nil
}

func (b *builder) statement(tree ir.Stmt) *Plan {
	switch s := tree.(type) {
	case *ir.Query:
		return b.selectPlan(s)
	case *ir.Insert:
		return b.insertPlan(s)
	case *ir.Update:
		return b.updatePlan(s)
	case *ir.Delete:
		return b.deletePlan(s)
	case *ir.Truncate:
		return b.truncatePlan(s)
	case *ir.Copy:
		return b.copyPlan(s)
	case *ir.LoadData:
		return b.loadPlan(s)
	case *ir.Do:
		return b.doPlan(s)
	case *ir.Explain:
		return b.statement(s.Stmt)
	}
	b.fail(sqlerr.New("XX000", "plan: %T is not a query or a change of data", tree))
	return nil
}

// Expression translates an expression of DDL: a default, check, generated column or index. Columns of scope (nil: there
// are none) are printed as bare quoted names. A constant expression of unknown type is text.
func Expression(e ir.Expr, d ir.Dialect, env *Env, scope *schema.Table) (sql string, t types.Type, err error) {
	defer catch(&err)
	b := newBuilder(d, env, nil)
	sc := &level{}
	if scope != nil {
		it := b.tableItem(scope, scope.Name, "")
		sc.items = []*item{it}
	}
	n := b.settle(b.expr(e, sc))
	return n.text(), n.typ, nil
}

// View translates the query of a view or of CREATE TABLE … AS; the result columns of sql have the names of columns, made
// unique where PostgreSQL would allow two of one name.
func View(q *ir.Query, d ir.Dialect, env *Env) (sql string, columns []Column, err error) {
	defer catch(&err)
	b := newBuilder(d, env, nil)
	rel := b.query(q, &level{})
	rel.settle(b)
	return rel.print(b, rel.uniqueNames()), rel.columns(), nil
}

func (b *builder) selectPlan(q *ir.Query) *Plan {
	if p := b.changingCTE(q); p != nil {
		return p
	}
	p := &Plan{Verb: "SELECT"}
	rel := b.query(q, &level{})
	rel.settle(b)
	p.SQL = rel.print(b, nil)
	p.Columns = rel.columns()
	if q.Lock.Strength != ir.NoLock {
		p.Class = Write
	}
	if q.CalcFoundRows {
		p.CalcFound = b.calc
	}
	return b.finish(p)
}

func (b *builder) doPlan(s *ir.Do) *Plan {
	p := &Plan{Verb: "DO"}
	var out []*node
	sc := &level{}
	for _, e := range s.Exprs {
		out = append(out, b.settle(b.expr(e, sc)))
	}
	p.SQL = "SELECT 1 WHERE (" + list(out) + ") IS NULL AND 0"
	if len(out) > 1 {
		p.SQL = "SELECT " + list(out)
	}
	return b.finish(p)
}
