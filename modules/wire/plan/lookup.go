package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// findTable resolves the name of a table or view; nil when there is none.
func (b *builder) findTable(name ir.Name) *schema.Table {
	if b.d == ir.MySQL {
		return b.findMySQL(name)
	}
	if name.Catalog != "" && name.Catalog != b.env.Database && b.env.Database != "" {
		b.failAt(sqlerr.New("0A000", "cross-database references are not implemented: \"%s.%s.%s\"", name.Catalog, name.Schema, name.Name), name.Pos)
	}
	s := b.env.Schema
	if name.Schema == "" {
		if s != nil && s.HasTemp {
			if t := s.Tables[schema.Key{Namespace: schema.TempNamespace, Name: name.Name}]; t != nil {
				return t
			}
		}
		if !slices.Contains(b.env.SearchPath, "pg_catalog") {
			if t := b.system("", name.Name); t != nil {
				return t
			}
		}
		path := b.env.SearchPath
		if path == nil {
			path = defaultPath
		}
		for _, ns := range path {
			if t := b.tableIn(ns, name.Name); t != nil {
				return t
			}
		}
		return nil
	}
	return b.tableIn(name.Schema, name.Name)
}

var defaultPath = []string{schema.Public}

func (b *builder) tableIn(namespace, name string) *schema.Table {
	if namespace == "pg_catalog" || namespace == "information_schema" {
		return b.system(namespace, name)
	}
	if b.env.Schema == nil {
		return nil
	}
	return b.env.Schema.Tables[schema.Key{Namespace: namespace, Name: name}]
}

func (b *builder) system(namespace, name string) *schema.Table {
	if b.env.System == nil {
		return nil
	}
	return b.env.System(b.d, namespace, name)
}

func (b *builder) findMySQL(name ir.Name) *schema.Table {
	switch strings.ToLower(name.Schema) {
	case "information_schema", "mysql", "performance_schema", "sys":
		if t := b.system(strings.ToLower(name.Schema), name.Name); t != nil || !strings.EqualFold(name.Schema, b.env.Database) {
			return t
		}
	}
	if name.Schema != "" && name.Schema != b.env.Database || b.env.Schema == nil {
		return nil
	}
	return b.env.Schema.Find(nil, "", name.Name)
}

// noTable is the error for a table that isn't there.
func (b *builder) noTable(name ir.Name) {
	shown := name.Name
	if name.Schema != "" {
		shown = name.Schema + "." + name.Name
	}
	db := name.Schema
	if db == "" {
		db = b.env.Database
	}
	err := sqlerr.New("42P01", "relation \"%s\" does not exist", shown)
	if b.d == ir.MySQL && db == "" {
		err = sqlerr.New("3D000", "no database selected").My(1046, "No database selected")
	} else {
		err.My(1146, "Table '%s.%s' doesn't exist", db, name.Name)
	}
	b.failAt(err, name.Pos)
}

// table resolves the name of a table that must be there.
func (b *builder) table(name ir.Name) *schema.Table {
	t := b.findTable(name)
	if t == nil {
		b.noTable(name)
	}
	return t
}

// isSystem reports whether t is a catalog relation and not one of the schema's.
func (b *builder) isSystem(t *schema.Table) bool {
	return t.Namespace == "pg_catalog" || t.Namespace == "information_schema" || t.SQLName != t.Name && t.SQLName != t.Namespace+"."+t.Name
}

// rowid is a name of SQLite's row number that no column of t hides.
func rowid(t *schema.Table) string {
	for _, name := range [...]string{"rowid", "_rowid_", "oid"} {
		if !slices.ContainsFunc(t.Columns, func(c *schema.Column) bool { return strings.EqualFold(c.Name, name) }) {
			return name
		}
	}
	return "rowid"
}

// noColumn is the error for a column that isn't there.
func (b *builder) noColumn(r *ir.ColumnRef, sc *level) {
	if r.Table == "" {
		err := sqlerr.New("42703", "column \"%s\" does not exist", r.Name).
			My(1054, "Unknown column '%s' in '%s'", r.Name, myClause(sc))
		if hint := b.nearest(r, sc); hint != "" {
			err.Hint = hint
		}
		b.failAt(err, r.Pos)
	}
	full := r.Table + "." + r.Name
	if it, _ := b.findItem(sc, r.Schema, r.Table); it != nil {
		err := sqlerr.New("42703", "column %s does not exist", full).
			My(1054, "Unknown column '%s' in '%s'", full, myClause(sc))
		if hint := b.nearest(r, sc); hint != "" {
			err.Hint = hint
		}
		b.failAt(err, r.Pos)
	}
	err := sqlerr.New("42P01", "missing FROM-clause entry for table \"%s\"", r.Table).
		My(1054, "Unknown column '%s' in '%s'", full, myClause(sc))
	invalid := "invalid reference to FROM-clause entry for table \"" + r.Table + "\""
	for l := sc; l != nil; l = l.outer {
		for _, it := range l.hidden {
			if it.name == r.Table {
				err.Message = invalid
				err.Detail = "There is an entry for table \"" + r.Table + "\", but it cannot be referenced from this part of the query."
			}
		}
		for _, it := range l.items {
			if it.table != nil && it.table.Name == r.Table && it.name != r.Table {
				err.Message = invalid
				err.Hint = "Perhaps you meant to reference the table alias \"" + it.name + "\"."
			}
			if it.name == r.Table && r.Schema != "" {
				err.Message = invalid
			}
		}
	}
	b.failAt(err, r.Pos)
}

func myClause(sc *level) string {
	switch sc.clause {
	case inWhere:
		return "where clause"
	case inGroup:
		return "group statement"
	case inHaving:
		return "having clause"
	case inOrder:
		return "order clause"
	case inJoin:
		return "on clause"
	}
	return "field list"
}

// nearest is PostgreSQL's hint for a misspelt column.
func (b *builder) nearest(r *ir.ColumnRef, sc *level) string {
	best, hint, second := 4, "", ""
	for l := sc; l != nil; l = l.outer {
		for _, it := range l.items {
			if !it.named || it.name == "" {
				continue
			}
			penalty := 0
			if r.Table != "" {
				penalty = editDistance(r.Table, it.name, 4)
			}
			for _, c := range it.columns {
				d := editDistance(r.Name, c.name, 4) + penalty
				if d > len(r.Name)/2 {
					continue
				}
				name := "\"" + it.name + "." + c.name + "\""
				switch {
				case d < best:
					best, hint, second = d, name, ""
				case d == best && hint != "" && d < 4:
					second = name
				}
			}
		}
	}
	switch {
	case hint == "":
		return ""
	case second != "":
		return "Perhaps you meant to reference the column " + hint + " or the column " + second + "."
	}
	return "Perhaps you meant to reference the column " + hint + "."
}

// editDistance is Levenshtein's, cut off at limit.
func editDistance(a, c string, limit int) int {
	if len(a)-len(c) >= limit || len(c)-len(a) >= limit || len(a) > 63 || len(c) > 63 {
		return limit
	}
	var row [64]int
	for j := range len(c) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(c) {
			cost := 1
			if a[i] == c[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return min(row[len(c)], limit)
}
