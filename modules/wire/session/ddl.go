package session

import (
	"context"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// ddl changes the schema, inside the open transaction or one of its own. In MySQL it commits the open one first, and
// again at its end.
func (x *Session) ddl(ctx context.Context, st *ir.Statement) (*Result, error) {
	temporary := isTemporary(st.Tree)
	if x.mysql() && !temporary {
		if err := x.commitOpen(ctx); err != nil {
			return nil, err
		}
	}
	own := !x.block.open
	if own {
		if err := x.openBlock(false, nil); err != nil {
			return nil, err
		}
	}
	r, err := x.applyDDL(ctx, st, temporary)
	if !own {
		return r, err
	}
	if err != nil {
		x.rollbackBlock()
		return nil, err
	}
	if err := x.commitBlock(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (x *Session) applyDDL(ctx context.Context, st *ir.Statement, temporary bool) (*Result, error) {
	if x.db == nil {
		return nil, sqlerr.New("3D000", "no database selected").My(1046, "No database selected")
	}
	// Open statements on the tables that change would be in the way, and their rows would be of the past.
	x.closeCursors(func(c *cursor) bool { return false })
	if x.vars.foreignKeysOff && !x.block.begun {
		// SQLite's switch works between transactions only.
		if err := x.switchForeignKeys(ctx, false); err != nil {
			return nil, err
		}
	}
	l, err := x.writeConn(ctx, verbOf(st.Text))
	if err != nil {
		return nil, err
	}
	l.st.forget()
	x.fillEnv(l.st)
	if l.st.schema == nil || !x.block.ddl {
		if l.st.schema, err = schema.Load(l.Raw()); err != nil {
			return nil, l.Explain(err)
		}
	}
	res, err := schema.Apply(l.Raw(), l.st.schema, st, x.schemaEnv(l.st.schema, st.Dialect))
	if err != nil {
		return nil, l.Explain(err)
	}
	for _, n := range res.Notices {
		x.notice(n)
	}
	if res.Changed {
		x.block.ddl = true
		x.vars.temporary = x.vars.temporary || temporary
		l.st.schema, err = schema.Load(l.Raw())
		if err != nil {
			return nil, l.Explain(err)
		}
	}
	r := done(res.Tag)
	r.affected = res.Rows
	return r, nil
}

// verbOf is what a statement does by its first words, for errors: CREATE TABLE, DROP INDEX.
func verbOf(text string) string {
	var words []string
	for word := range strings.FieldsSeq(text) {
		word = strings.TrimRight(word, ";")
		if len(words) == 2 || word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			break
		}
		words = append(words, strings.ToUpper(word))
	}
	switch {
	case len(words) == 0:
		return "the statement"
	case words[0] == "CREATE", words[0] == "ALTER", words[0] == "DROP", words[0] == "COMMENT":
		return strings.Join(words, " ")
	}
	return words[0]
}

// schemaEnv lets package schema translate the expressions and queries of DDL.
func (x *Session) schemaEnv(s *schema.Schema, d ir.Dialect) schema.Env {
	env := x.planEnv(s, nil)
	return schema.Env{
		SearchPath: x.vars.searchPath, Database: x.Database(), User: x.cfg.User, NoForeignKeyChecks: x.vars.foreignKeysOff,
		Format: postgres.Format,
		Expr: func(e ir.Expr, scope *schema.Table) (string, types.Type, error) {
			return plan.Expression(e, d, env, scope)
		},
		Query: func(q *ir.Query) (string, []schema.QueryColumn, error) {
			sql, columns, err := plan.View(q, d, env)
			out := make([]schema.QueryColumn, len(columns))
			for i, c := range columns {
				out[i] = schema.QueryColumn{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Source: c.Source}
			}
			return sql, out, err
		},
	}
}

// switchForeignKeys turns SQLite's enforcement off or on for the session's connection, which it then keeps.
func (x *Session) switchForeignKeys(ctx context.Context, on bool) error {
	l, err := x.borrow(ctx)
	if err != nil {
		return err
	}
	value := "OFF"
	if on {
		value = "ON"
	}
	if err := l.Raw().Exec("PRAGMA foreign_keys = " + value); err != nil {
		x.giveBack(l)
		return l.Explain(err)
	}
	// The switch lives on the connection: the session keeps it until the switch is back.
	x.vars.temporary = !on
	x.giveBack(l)
	return nil
}

// isTemporary tells whether a statement makes something of this session alone.
func isTemporary(tree ir.Stmt) bool {
	switch s := tree.(type) {
	case *ir.CreateTable:
		return s.Temp
	case *ir.CreateView:
		return s.Temp
	case *ir.CreateSequence:
		return s.Temp
	case *ir.Drop:
		return s.Temp
	}
	return false
}

// findTable finds a table or view as the session's search path does.
func (x *Session) findTable(s *schema.Schema, name ir.Name) *schema.Table {
	if x.mysql() {
		return s.Tables[schema.Key{Namespace: schema.Public, Name: name.Name}]
	}
	if name.Schema != "" {
		return s.Tables[schema.Key{Namespace: name.Schema, Name: name.Name}]
	}
	for _, namespace := range append([]string{schema.TempNamespace}, x.vars.path()...) {
		if t := s.Tables[schema.Key{Namespace: namespace, Name: name.Name}]; t != nil {
			return t
		}
	}
	return nil
}

func (x *Session) databaseName() string {
	if x.db == nil {
		return ""
	}
	return x.db.Name()
}
