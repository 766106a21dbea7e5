package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// call is a call of a catalog function: arguments are nil, int64, float64 or string.
type call struct {
	*Objects
	db  conn
	arg []any
}

func (c *call) has(i int) bool { return i < len(c.arg) && c.arg[i] != nil }

func (c *call) oid(i int) uint32 {
	switch v := c.arg[i].(type) {
	case int64:
		return uint32(v)
	case string:
		n, _ := strconv.ParseUint(v, 10, 32)
		return uint32(n)
	}
	return 0
}

func (c *call) text(i int) string {
	if !c.has(i) {
		return ""
	}
	return fmt.Sprint(c.arg[i])
}

func (c *call) int(i int) int {
	if n, ok := c.arg[i].(int64); ok {
		return int(n)
	}
	return 0
}

func (c *call) schema() *schema.Schema { return c.src.Schema() }

// function is a catalog function. Several signatures may share its implementation.
type function struct {
	name string
	sigs []*funcs.Signature
	null bool // is called with NULLs too
	run  func(c *call) (any, error)
}

var functions []*function

// dispatcher is the one function of SQLite that all scalar functions of this package are: making a hundred known to each
// connection would take longer than opening it.
const dispatcher = "bop_catalog"

// byName finds a function for the dispatcher.
var byName = sync.OnceValue(func() map[string]*function {
	m := make(map[string]*function, len(functions))
	for _, f := range functions {
		m[f.name] = f
	}
	return m
})

// setFunctions are the set-returning ones.
var setFunctions []*setFunction

type setFunction struct {
	sig  *funcs.Signature
	args int
	rows func(o *Objects, db conn, arg []any) ([][]any, error)
}

// sig makes a signature; optional says how many of the last arguments may be left out.
func sig(result types.Kind, optional int, args ...types.Kind) *funcs.Signature {
	return &funcs.Signature{Args: args, Optional: optional, Result: result}
}

// arrayOf makes a signature's result an array.
func arrayOf(elem types.Kind, s *funcs.Signature) *funcs.Signature {
	t := types.ArrayOf(elem)
	s.Result, s.ResultOf = types.Array, func([]types.Type) types.Type { return t }
	return s
}

// add makes a function known to package plan; Register makes it known to connections.
func add(name string, run func(c *call) (any, error), sigs ...*funcs.Signature) *function {
	f := &function{name: name, sigs: sigs, run: run}
	functions = append(functions, f)
	for _, s := range sigs {
		s.Name = name
		s.SQL = dispatcher + "('" + name + "')"
		if len(s.Args) > 0 {
			s.SQL = dispatcher + "('" + name + "', $*)"
		}
		funcs.Define([]ir.Dialect{ir.Postgres}, s)
	}
	return f
}

// addNull is add for functions that are called with NULLs.
func addNull(name string, run func(c *call) (any, error), sigs ...*funcs.Signature) {
	for _, s := range sigs {
		s.KeepNull = true
	}
	add(name, run, sigs...).null = true
}

// constant makes a function that always gives the same.
func constant(v any) func(*call) (any, error) { return func(*call) (any, error) { return v, nil } }

func addSet(name string, columns []funcs.ResultColumn, result types.Kind, optional int, args []types.Kind, rows func(o *Objects, db conn, arg []any) ([][]any, error)) {
	s := &funcs.Signature{Name: name, Args: args, Optional: optional, Form: funcs.SetReturning, Result: result, Columns: columns,
		SQL: "bop_" + name + "($*)"}
	funcs.Define([]ir.Dialect{ir.Postgres}, s)
	if !slices.ContainsFunc(setFunctions, func(f *setFunction) bool { return f.sig.Name == name }) {
		setFunctions = append(setFunctions, &setFunction{s, len(args), rows})
	}
}

// registerFunctions makes the functions known to a connection.
func registerFunctions(c *sqlite3.Conn, o *Objects) error {
	run := func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if len(arg) == 0 {
			return
		}
		f := byName()[string(arg[0].RawText())]
		if f == nil {
			ctx.ResultError(sqlerr.Carry(sqlerr.New("42883", "function %s does not exist", arg[0].Text())))
			return
		}
		defer func() {
			if p := recover(); p != nil {
				ctx.ResultError(sqlerr.Carry(sqlerr.New("XX000", "function %s failed: %v", f.name, p)))
			}
		}()
		list := make([]any, len(arg)-1)
		for i, a := range arg[1:] {
			if list[i] = plain(a); list[i] == nil && !f.null {
				ctx.ResultNull()
				return
			}
		}
		v, err := f.run(&call{Objects: o, db: c, arg: list})
		if err != nil {
			ctx.ResultError(sqlerr.Carry(err))
			return
		}
		give(ctx, v)
	}
	if err := c.CreateFunction(dispatcher, -1, sqlite3.INNOCUOUS, run); err != nil {
		return fmt.Errorf("register function %s: %w", dispatcher, err)
	}
	for _, s := range setFunctions {
		columns := []string{"value"}
		if s.sig.Columns != nil {
			columns = nil
			for _, rc := range s.sig.Columns {
				columns = append(columns, rc.Name)
			}
		}
		f := &tableFunc{name: "bop_" + s.sig.Name, columns: columns, args: s.args, rows: func(arg []any) ([][]any, error) { return s.rows(o, c, arg) }}
		if err := f.register(c); err != nil {
			return fmt.Errorf("register function %s: %w", s.sig.Name, err)
		}
	}
	return nil
}

// Register makes the relations and functions of this package known to a connection, once in its life. src is asked when
// they are read, never before.
func Register(c *sqlite3.Conn, src Source) error {
	if err := registerTables(c, src); err != nil {
		return err
	}
	return registerFunctions(c, For(src))
}

func init() {
	definitionFunctions()
	visibilityFunctions()
	serverFunctions()
	privilegeFunctions()
	setReturning()
}
