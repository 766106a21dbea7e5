package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// level is one query level: what its names can mean, and what its aggregates need.
type level struct {
	outer *level
	items []*item
	// hidden are FROM elements that can't be referred to where the resolution stands; errors speak of them.
	hidden []*item
	ctes   []*cte

	// outputs are the select list's names, for the places where the dialect lets expressions use them.
	outputs      []output
	outputsFirst bool
	windows      []ir.NamedWindow

	// clause names the clause being resolved where aggregates, window functions or set-returning functions are
	// refused or special; see expr.
	clause clause
	// grouped: GROUP BY, HAVING or an aggregate is there, so columns must be grouped or inside an aggregate.
	grouped   bool
	checking  bool
	groups    []string // printed grouping expressions
	ungrouped []use
	nulled    []string // printed grouping expressions that are NULL in this row of WITH ROLLUP
	inside    int      // depth of aggregate arguments
	sets      []*tableCall
	aggregate bool             // an aggregate was seen
	assigned  map[string]*node // MySQL: columns that the statement has assigned already
	uses      int              // references to columns of items
}

// clause is the part of a query that an expression stands in.
type clause uint8

const (
	inOther clause = iota
	inSelect
	inWhere
	inGroup
	inHaving
	inOrder
	inJoin
	inValues
	inReturning
	inFrom
)

var clauseNames = [...]string{"this context", "SELECT", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "JOIN conditions", "VALUES", "RETURNING", "functions in FROM"}

// use is a column used outside of aggregates in a grouped query.
type use struct {
	column *column
	item   *item
	pos    int
}

// output is a named element of a select list.
type output struct {
	name string
	node *node
}

// cte is a common table expression in scope.
type cte struct {
	name    string
	sql     string // its name in the printed statement
	columns []*column
}

// item is an element of FROM.
type item struct {
	name      string
	namespace string // of an unaliased table: schema.table.column finds it
	ref       string // quoted alias in the printed statement
	columns   []*column
	table     *schema.Table
	visible   bool // its columns are found without a qualifier
	named     bool // its columns are found by its name
	outer     bool // may be null-extended
	excluded  bool // excluded.* of an upsert, or VALUES(…)
	scalar    bool // a function's single column: the item's name is a column as well
}

// column is a column of an item.
type column struct {
	name    string
	alias   string // the item's name, as the client knows it
	sql     string
	typ     types.Type
	notNull bool
	source  *schema.Column
	table   *schema.Table
	coll    string
	bare    bool
	fields  []*column // of a composite value
	hidden  bool      // system columns: not in *
	span    span
}

func (c *column) node() *node {
	n := &node{sql: c.sql, typ: c.typ, atom: true, notNull: c.notNull, column: c, coll: c.coll, bare: c.bare, span: c.span}
	for _, f := range c.fields {
		n.row = append(n.row, f.node())
		n.names = append(n.names, f.name)
	}
	return n
}

// same compares names as the dialect does.
func (b *builder) same(a, c string) bool {
	if b.d == ir.MySQL {
		return strings.EqualFold(a, c)
	}
	return a == c
}

// collation is the SQLite collation of a stored column.
func collationOf(c *schema.Column) string {
	switch {
	case c.Type.Kind == types.Numeric:
		return "bop_decimal"
	case c.Type.IsString() && c.Collation != "" && !c.Type.Binary:
		return collationName(c.Collation)
	}
	return ""
}

// collationName maps a MySQL or PostgreSQL collation to SQLite's: "" compares bytes.
func collationName(name string) string {
	name = strings.ToLower(name)
	switch {
	case name == "bop_ci" || name == "bop_ci_pad":
		return name
	case strings.HasSuffix(name, "_ci") || strings.HasSuffix(name, "_ai_ci"):
		return "bop_ci"
	}
	return ""
}

// tableItem makes a FROM element of a table. ref is its quoted alias, "" for bare column names.
func (b *builder) tableItem(t *schema.Table, name, ref string) *item {
	it := &item{name: name, namespace: t.Namespace, ref: ref, table: t, visible: true, named: true}
	prefix := ""
	if ref != "" {
		prefix = ref + "."
	}
	columns := make([]column, len(t.Columns))
	it.columns = make([]*column, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = column{name: c.Name, alias: name, sql: prefix + quote(c.Name), typ: c.Type, notNull: c.NotNull || c == t.RowID,
			source: c, table: t, coll: collationOf(c), bare: !t.View || c.Type.Kind != types.Numeric}
		if !t.Foreign {
			columns[i].span = spanOf(c.Type)
		}
		it.columns[i] = &columns[i]
	}
	return it
}

// findCTE looks for a common table expression from the inside out.
func (b *builder) findCTE(sc *level, name string) *cte {
	for l := sc; l != nil; l = l.outer {
		for i := len(l.ctes) - 1; i >= 0; i-- {
			if b.same(l.ctes[i].name, name) {
				return l.ctes[i]
			}
		}
	}
	return nil
}

// findItem looks for the FROM element that a qualifier names, from the inside out.
func (b *builder) findItem(sc *level, namespace, name string) (*item, *level) {
	for l := sc; l != nil; l = l.outer {
		var found *item
		for _, it := range l.items {
			if it.named && b.isNamed(it, name) && (namespace == "" || namespace == it.namespace || b.my() && namespace == b.env.Database) {
				if found != nil && b.pg() {
					b.fail(sqlerr.New("42P09", "table reference \"%s\" is ambiguous", name))
				}
				found = it
			}
		}
		if found != nil {
			return found, l
		}
	}
	return nil, nil
}

// sameTable compares names of tables and aliases: exactly in both dialects, as MySQL does where files have case. Catalog
// relations are found in any case.
func (b *builder) sameTable(a, c string) bool { return a == c }

func (b *builder) isNamed(it *item, name string) bool {
	return it.name == name || b.my() && it.table != nil && b.isSystem(it.table) && strings.EqualFold(it.name, name)
}

// columnRef resolves a name in an expression.
func (b *builder) columnRef(r *ir.ColumnRef, sc *level) *node {
	if r.Table == "" && sc.outputsFirst {
		if n := b.outputRef(r.Name, sc); n != nil {
			return n
		}
	}
	n := b.findColumn(r, sc)
	if n != nil {
		n.pos = r.Pos
		return n
	}
	if r.Table == "" && !sc.outputsFirst {
		if n := b.outputRef(r.Name, sc); n != nil {
			return n
		}
	}
	b.noColumn(r, sc)
	return nil
}

func (b *builder) outputRef(name string, sc *level) *node {
	for _, o := range sc.outputs {
		if b.same(o.name, name) {
			return o.node
		}
	}
	return nil
}

func (b *builder) findColumn(r *ir.ColumnRef, sc *level) *node {
	if r.Table != "" {
		it, l := b.findItem(sc, r.Schema, r.Table)
		if it == nil {
			return nil
		}
		var found *column
		for _, c := range it.columns {
			if !b.same(c.name, r.Name) {
				continue
			}
			if found != nil {
				b.failAt(sqlerr.New("42702", "column reference \"%s\" is ambiguous", r.Name).
					My(1052, "Column '%s.%s' in %s is ambiguous", r.Table, r.Name, myClause(sc)), r.Pos)
			}
			found = c
		}
		if found != nil {
			return b.useColumn(found, it, l, r.Pos)
		}
		return b.systemColumn(it, r.Name)
	}
	for l := sc; l != nil; l = l.outer {
		var found *column
		var in *item
		for _, it := range l.items {
			if !it.visible {
				continue
			}
			for _, c := range it.columns {
				if !b.same(c.name, r.Name) {
					continue
				}
				if found != nil {
					b.failAt(sqlerr.New("42702", "column reference \"%s\" is ambiguous", r.Name).
						My(1052, "Column '%s' in %s is ambiguous", r.Name, myClause(sc)), r.Pos)
				}
				found, in = c, it
			}
		}
		if found != nil {
			return b.useColumn(found, in, l, r.Pos)
		}
		// PostgreSQL: a bare name may be a row of a FROM element, or its system column.
		if b.pg() {
			for _, it := range l.items {
				if it.named && it.name == r.Name {
					return b.wholeRow(it, l, r.Pos)
				}
			}
			for _, it := range l.items {
				if it.visible {
					if n := b.systemColumn(it, r.Name); n != nil {
						return n
					}
				}
			}
		}
	}
	return nil
}

// useColumn makes the node of a column and notes its use.
func (b *builder) useColumn(c *column, it *item, l *level, pos int) *node {
	if c.source != nil && !it.excluded {
		b.touch(c.table, "SELECT", c.source.Name)
	}
	l.uses++
	if l.assigned != nil && !it.excluded {
		if n := l.assigned[c.sql]; n != nil {
			return n
		}
	}
	if l.checking && l.inside == 0 && !slices.Contains(l.groups, c.sql) {
		l.ungrouped = append(l.ungrouped, use{c, it, pos})
	}
	return c.node()
}

// wholeRow is a reference to a row of a FROM element.
func (b *builder) wholeRow(it *item, l *level, pos int) *node {
	if it.scalar && len(it.columns) > 0 {
		return b.useColumn(it.columns[0], it, l, pos)
	}
	n := &node{typ: types.T(types.Record), atom: true, pos: pos, row: []*node{}}
	for _, c := range it.columns {
		if !c.hidden {
			n.row = append(n.row, b.useColumn(c, it, l, pos))
			n.names = append(n.names, c.name)
		}
	}
	return n
}

// systemColumn gives PostgreSQL's system columns where they mean something here.
func (b *builder) systemColumn(it *item, name string) *node {
	if !b.pg() || it.table == nil || it.table.View {
		return nil
	}
	switch name {
	case "tableoid":
		return constant(types.IntValue(int64(it.table.OID)), types.T(types.Oid))
	case "ctid":
		if it.ref != "" && !b.isSystem(it.table) {
			return atom("('(0,' || "+it.ref+"."+rowid(it.table)+" || ')')", types.Type{Kind: types.Other, OID: 27})
		}
	case "xmin", "xmax", "cmin", "cmax":
		if b.isSystem(it.table) {
			return constant(types.IntValue(1), types.T(types.Xid))
		}
	}
	return nil
}

// star expands * or table.*.
func (b *builder) star(s *ir.Star, sc *level) []output {
	var out []output
	add := func(it *item) {
		for _, c := range it.columns {
			if !c.hidden {
				out = append(out, output{c.name, b.useColumn(c, it, sc, s.Pos)})
			}
		}
	}
	if s.Table != "" {
		it, l := b.findItem(sc, s.Schema, s.Table)
		if it == nil {
			b.failAt(sqlerr.New("42P01", "missing FROM-clause entry for table \"%s\"", s.Table).
				My(1051, "Unknown table '%s'", s.Table), s.Pos)
		}
		for _, c := range it.columns {
			if !c.hidden {
				out = append(out, output{c.name, b.useColumn(c, it, l, s.Pos)})
			}
		}
		return out
	}
	for _, it := range sc.items {
		if it.visible {
			add(it)
		}
	}
	if len(out) == 0 && len(sc.items) == 0 {
		b.failAt(sqlerr.New("42601", "SELECT * with no tables specified is not valid").My(1096, "No tables used"), s.Pos)
	}
	return out
}
