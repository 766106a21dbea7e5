package catalog

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/ncruces/go-sqlite3"
)

// tableFunc is a set-returning function: an eponymous virtual table whose hidden columns are the arguments.
type tableFunc struct {
	name    string
	columns []string
	args    int
	rows    func(arg []any) ([][]any, error) // nil where an argument is NULL or was left out
}

func (f *tableFunc) register(c *sqlite3.Conn) error {
	var ddl strings.Builder
	ddl.WriteString("CREATE TABLE x(")
	for i, n := range f.columns {
		if i > 0 {
			ddl.WriteString(", ")
		}
		ddl.WriteString(strconv.Quote(n))
	}
	for i := range f.args {
		ddl.WriteString(", bop_a" + strconv.Itoa(i) + " HIDDEN")
	}
	ddl.WriteString(")")
	return sqlite3.CreateModule(c, f.name, nil, func(db *sqlite3.Conn, _, _, _ string, _ ...string) (*tableFunc, error) {
		return f, db.DeclareVTab(ddl.String())
	})
}

// BestIndex takes the equalities of the hidden columns as arguments; IdxNum has a bit for each that is there.
func (f *tableFunc) BestIndex(idx *sqlite3.IndexInfo) error {
	at := make([]int, f.args)
	for i, c := range idx.Constraint {
		arg := c.Column - len(f.columns)
		if arg < 0 || arg >= f.args || c.Op != sqlite3.INDEX_CONSTRAINT_EQ {
			continue
		}
		if !c.Usable {
			return sqlite3.CONSTRAINT // the argument comes from a table that has to be read first
		}
		at[arg] = i + 1
	}
	n := 0
	for arg, i := range at {
		if i > 0 {
			n++
			idx.ConstraintUsage[i-1] = sqlite3.IndexConstraintUsage{ArgvIndex: n, Omit: true}
			idx.IdxNum |= 1 << arg
		}
	}
	idx.EstimatedCost, idx.EstimatedRows = 10, 10
	return nil
}

func (f *tableFunc) Open() (sqlite3.VTabCursor, error) { return &funcCursor{f: f}, nil }

type funcCursor struct {
	f    *tableFunc
	args []any
	rows [][]any
	n    int
}

func (c *funcCursor) Filter(idxNum int, _ string, arg ...sqlite3.Value) (err error) {
	c.args, c.n = make([]any, c.f.args), 0
	used := 0
	for i := range c.args {
		if idxNum&(1<<i) != 0 {
			c.args[i] = plain(arg[used])
			used++
		}
	}
	if c.rows, err = c.f.rows(c.args); err != nil {
		return sqlerr.Carry(err)
	}
	return nil
}

// plain copies an argument out of SQLite.
func plain(v sqlite3.Value) any {
	switch v.Type() {
	case sqlite3.INTEGER:
		return v.Int64()
	case sqlite3.FLOAT:
		return v.Float()
	case sqlite3.TEXT:
		return v.Text()
	case sqlite3.BLOB:
		return string(v.RawBlob())
	}
	return nil
}

func (c *funcCursor) Next() error {
	c.n++
	return nil
}

func (c *funcCursor) EOF() bool { return c.n >= len(c.rows) }

func (c *funcCursor) Column(ctx sqlite3.Context, n int) error {
	var v any
	switch row := c.rows[c.n]; {
	case n < len(row):
		v = row[n]
	case n-len(c.f.columns) < len(c.args):
		v = c.args[n-len(c.f.columns)]
	}
	give(ctx, v)
	return nil
}

// give makes v a result.
func give(ctx sqlite3.Context, v any) {
	switch v := value(v).(type) {
	case int64:
		ctx.ResultInt64(v)
	case string:
		ctx.ResultText(v)
	case float64:
		ctx.ResultFloat(v)
	default:
		ctx.ResultNull()
	}
}

func (c *funcCursor) RowID() (int64, error) { return int64(c.n) + 1, nil }
