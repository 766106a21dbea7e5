package funcs

import (
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Set-returning functions are eponymous virtual tables whose hidden columns are the arguments. Their rowid counts from
// one, which is what WITH ORDINALITY shows.

// pgRowSource gives the rows of one call, one after the other. A row's slice is only used until the next one.
type pgRowSource interface {
	// row returns the next row; ok is false behind the last.
	row() (values []types.Value, ok bool, err error)
}

// pgRowsFunc makes the rows of a call. The arguments are its own to keep; one that was left out is missing from the end.
type pgRowsFunc func(a []types.Value) (pgRowSource, error)

// pgRows registers a table function with up to args arguments. columns nil: one, named value. A NULL argument gives no
// rows.
func (r *Registrar) pgRows(name string, args int, columns []string, fn pgRowsFunc) {
	r.pgRowsNull(name, args, columns, func(a []types.Value) (pgRowSource, error) {
		for _, v := range a {
			if v.IsNull() {
				return pgList(nil), nil
			}
		}
		return fn(a)
	})
}

// pgRowsNull is pgRows for functions that look at NULLs themselves.
func (r *Registrar) pgRowsNull(name string, args int, columns []string, fn pgRowsFunc) {
	if r.err != nil {
		return
	}
	if columns == nil {
		columns = []string{"value"}
	}
	var ddl strings.Builder
	ddl.WriteString("CREATE TABLE x(")
	for i, c := range columns {
		if i > 0 {
			ddl.WriteString(", ")
		}
		ddl.WriteString(`"` + c + `"`)
	}
	for i := range args {
		ddl.WriteString(", bop_a" + strconv.Itoa(i) + " HIDDEN")
	}
	ddl.WriteString(")")
	t := &pgTable{name: name, columns: len(columns), args: args, fn: fn}
	r.Do("table function "+name, sqlite3.CreateModule(r.Conn, name, nil,
		func(c *sqlite3.Conn, _, _, _ string, _ ...string) (*pgTable, error) {
			if err := c.VTabConfig(sqlite3.VTAB_INNOCUOUS); err != nil {
				return nil, err
			}
			return t, c.DeclareVTab(ddl.String())
		}))
}

type pgTable struct {
	name    string
	columns int
	args    int
	fn      pgRowsFunc
}

// BestIndex takes the equality of each hidden column as that argument; IdxNum has a bit for each that is there.
func (t *pgTable) BestIndex(idx *sqlite3.IndexInfo) error {
	at := make([]int, t.args)
	for i, c := range idx.Constraint {
		arg := c.Column - t.columns
		if arg < 0 || arg >= t.args || c.Op != sqlite3.INDEX_CONSTRAINT_EQ {
			continue
		}
		if !c.Usable {
			return sqlite3.CONSTRAINT // the argument comes from a table that must be scanned first
		}
		at[arg] = i + 1
	}
	n := 0
	for arg, i := range at {
		if i == 0 {
			continue
		}
		n++
		idx.ConstraintUsage[i-1] = sqlite3.IndexConstraintUsage{ArgvIndex: n, Omit: true}
		idx.IdxNum |= 1 << arg
	}
	idx.EstimatedCost = 10
	idx.EstimatedRows = 100
	return nil
}

func (t *pgTable) Open() (sqlite3.VTabCursor, error) { return &pgCursor{table: t}, nil }

type pgCursor struct {
	table  *pgTable
	source pgRowSource
	values []types.Value
	args   []types.Value
	n      int64
	done   bool
}

func (c *pgCursor) Filter(_ int, _ string, arg ...sqlite3.Value) (err error) {
	defer c.guard(&err)
	c.args = make([]types.Value, len(arg))
	for i, a := range arg {
		c.args[i] = valueOf(a).Clone()
	}
	c.n, c.done = 0, false
	if c.source, err = c.table.fn(c.args); err != nil {
		c.done = true
		return sqlerr.Carry(err)
	}
	return c.Next()
}

func (c *pgCursor) Next() (err error) {
	defer c.guard(&err)
	var ok bool
	c.n++
	if c.values, ok, err = c.source.row(); err != nil {
		c.done = true
		return sqlerr.Carry(err)
	}
	c.done = !ok
	return nil
}

// guard turns a panic into an error of the statement.
func (c *pgCursor) guard(err *error) {
	if p := recover(); p != nil {
		c.done = true
		*err = sqlerr.Carry(sqlerr.New("XX000", "function %s failed: %v", c.table.name, p))
	}
}

func (c *pgCursor) EOF() bool { return c.done }

func (c *pgCursor) Column(ctx sqlite3.Context, n int) error {
	switch {
	case n < len(c.values):
		result(ctx, c.values[n])
	case n >= c.table.columns && n-c.table.columns < len(c.args):
		result(ctx, c.args[n-c.table.columns])
	}
	return nil
}

func (c *pgCursor) RowID() (int64, error) { return c.n, nil }

// pgList gives rows of one column.
func pgList(rows []types.Value) pgRowSource { return &pgSlice{rows: rows, width: 1} }

// pgTableOf gives rows of several columns, one after the other in values.
func pgTableOf(values []types.Value, width int) pgRowSource {
	return &pgSlice{rows: values, width: width}
}

type pgSlice struct {
	rows  []types.Value
	width int
}

func (s *pgSlice) row() ([]types.Value, bool, error) {
	if len(s.rows) == 0 {
		return nil, false, nil
	}
	row := s.rows[:s.width]
	s.rows = s.rows[s.width:]
	return row, true, nil
}

// pgSteps gives rows of one column that a function computes.
type pgSteps struct {
	next func() (types.Value, bool, error)
	buf  [1]types.Value
}

func (s *pgSteps) row() ([]types.Value, bool, error) {
	v, ok, err := s.next()
	s.buf[0] = v
	return s.buf[:], ok, err
}
