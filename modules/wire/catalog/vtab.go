package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/ncruces/go-sqlite3"
)

// conn is what fill functions may ask of the connection that reads.
type conn = *sqlite3.Conn

// vtab is a relation in a connection.
type vtab struct {
	rel *relation
	src Source
	db  conn
}

// registerTables makes the relations known to a connection.
func registerTables(c *sqlite3.Conn, src Source) error {
	for _, rel := range relations().list {
		connect := func(db *sqlite3.Conn, _, _, _ string, _ ...string) (*vtab, error) {
			return &vtab{rel: rel, src: src, db: db}, db.DeclareVTab(rel.declaration())
		}
		if err := sqlite3.CreateModule(c, rel.module, nil, connect); err != nil {
			return fmt.Errorf("register %s: %w", rel.module, err)
		}
	}
	return nil
}

func (r *relation) declaration() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE x(")
	for i, c := range r.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(c) + " " + schema.Storage(r.types[i]))
		if r.folded && schema.Storage(r.types[i]) == "TEXT" {
			b.WriteString(" COLLATE NOCASE")
		}
	}
	b.WriteString(")")
	return b.String()
}

func (v *vtab) view() *view { return &view{src: v.src, s: v.src.Schema(), db: v.db} }

// BestIndex takes the one equality that leaves the fewest rows.
func (v *vtab) BestIndex(idx *sqlite3.IndexInfo) error {
	rows, distinct := v.estimate()
	best, bestRows := -1, rows
	for i, c := range idx.Constraint {
		if !c.Usable || c.Op != sqlite3.INDEX_CONSTRAINT_EQ || c.Column < 0 || c.Column >= len(v.rel.columns) {
			continue
		}
		switch strings.ToLower(idx.Collation(i)) {
		case "binary", "":
		case "nocase", "bop_ci":
			if !v.rel.folded {
				continue
			}
		default:
			continue
		}
		if n := rows / max(distinct(c.Column), 1); best < 0 || n < bestRows {
			best, bestRows = i, n
		}
	}
	if best < 0 {
		idx.EstimatedRows, idx.EstimatedCost = int64(rows), float64(rows)+5
		return nil
	}
	idx.ConstraintUsage[best].ArgvIndex = 1
	idx.IdxNum = idx.Constraint[best].Column + 1
	idx.EstimatedRows, idx.EstimatedCost = int64(max(bestRows, 1)), float64(bestRows)+1
	return nil
}

// estimate tells how many rows there are, and how many values a column has. Rows that are read anew each time are few.
func (v *vtab) estimate() (rows int, distinct func(int) int) {
	if v.rel.live != nil {
		return 20, func(int) int { return 20 }
	}
	sets := v.rel.sets(v.view())
	for _, s := range sets {
		rows += len(s.rows)
	}
	return rows, func(c int) (n int) {
		for _, s := range sets {
			n += s.distinct(c)
		}
		return n
	}
}

func (v *vtab) Open() (sqlite3.VTabCursor, error) { return &cursor{tab: v}, nil }

// cursor walks over the rows that Filter chose.
type cursor struct {
	tab  *vtab
	sets []*rowSet
	hits [][]int32 // by set; nil: all rows
	set  int
	row  int
	cur  []any
}

func (c *cursor) Filter(idxNum int, _ string, arg ...sqlite3.Value) error {
	c.sets = c.tab.rel.sets(c.tab.view())
	c.hits, c.set, c.row = nil, 0, -1
	if idxNum > 0 {
		column := idxNum - 1
		key := argument(arg[0], c.tab.rel, column)
		if key == nil { // nothing is equal to NULL
			c.sets = nil
			return c.Next()
		}
		if s, ok := key.(string); ok && c.tab.rel.folded && !ascii(s) {
			return c.Next() // SQLite compares
		}
		c.hits = make([][]int32, len(c.sets))
		for i, s := range c.sets {
			c.hits[i] = s.lookup(column, key)
		}
	}
	return c.Next()
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// argument reads the right side of an equality in the form that rows hold.
func argument(v sqlite3.Value, rel *relation, column int) any {
	integer := schema.Storage(rel.types[column]) == "INTEGER"
	switch v.Type() {
	case sqlite3.INTEGER:
		if !integer {
			return strconv.FormatInt(v.Int64(), 10)
		}
		return v.Int64()
	case sqlite3.TEXT:
		s := v.Text()
		if integer {
			n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil {
				return s
			}
			return n
		}
		return s
	case sqlite3.FLOAT:
		if f := v.Float(); integer && f == float64(int64(f)) {
			return int64(f)
		}
		return v.Float()
	case sqlite3.BLOB:
		return string(v.RawBlob())
	}
	return nil
}

func (c *cursor) Next() error {
	c.cur = nil
	for c.set < len(c.sets) {
		c.row++
		s := c.sets[c.set]
		if c.hits != nil {
			if hits := c.hits[c.set]; c.row < len(hits) {
				c.cur = s.rows[hits[c.row]]
				return nil
			}
		} else if c.row < len(s.rows) {
			c.cur = s.rows[c.row]
			return nil
		}
		c.set++
		c.row = -1
	}
	return nil
}

func (c *cursor) EOF() bool { return c.cur == nil }

func (c *cursor) Column(ctx sqlite3.Context, n int) error {
	if n < 0 || n >= len(c.cur) {
		ctx.ResultNull()
		return nil
	}
	switch v := c.cur[n].(type) {
	case int64:
		ctx.ResultInt64(v)
	case string:
		ctx.ResultText(v)
	case float64:
		ctx.ResultFloat(v)
	default:
		ctx.ResultNull()
	}
	return nil
}

func (c *cursor) RowID() (int64, error) { return int64(c.set)<<32 | int64(c.row), nil }
