package schema

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

// PostgresType returns a type as format_type prints it, with the names of enums.
func PostgresType(s *Schema, t types.Type) string {
	switch {
	case t.Kind == types.Enum || t.Kind == types.Set:
		if e, ok := s.ByOID[t.OID].(*Enum); ok {
			return qualified(e.Namespace, e.Name, Public)
		}
		return "text"
	case t.Kind == types.Array && t.Elem == types.Enum:
		for _, e := range s.Enums {
			if e.ArrayOID == t.OID {
				return qualified(e.Namespace, e.Name, Public) + "[]"
			}
		}
	}
	return t.PGName()
}

// Visible tells whether names of a namespace need no qualification under a search path (nil: public).
func Visible(path []string, namespace string) bool {
	if namespace == TempNamespace {
		return true
	}
	if path == nil {
		return namespace == Public
	}
	return slices.Contains(path, namespace)
}

// RelationText writes a relation's name, qualified unless it is visible.
func RelationText(path []string, namespace, name string) string {
	if Visible(path, namespace) {
		return quoteIdent(name)
	}
	return quoteIdent(namespace) + "." + quoteIdent(name)
}

func identList(t *Table, nums []int16) string {
	names := columnNames(t, nums)
	for i, n := range names {
		names[i] = quoteIdent(n)
	}
	return strings.Join(names, ", ")
}

// ConstraintDefinition returns a constraint as pg_get_constraintdef does.
func ConstraintDefinition(s *Schema, t *Table, k *Constraint, path []string) string {
	var b strings.Builder
	switch k.Kind {
	case PrimaryKey, Unique:
		b.WriteString("PRIMARY KEY (")
		if k.Kind == Unique {
			b.Reset()
			b.WriteString("UNIQUE (")
		}
		b.WriteString(identList(t, k.Columns) + ")")
		if x, ok := s.ByOID[k.Index].(*Index); ok && len(x.Include) > 0 {
			b.WriteString(" INCLUDE (" + identList(t, x.Include) + ")")
		}
	case Check:
		b.WriteString("CHECK (" + operation(k.Expr) + ")")
		if k.NoInherit {
			b.WriteString(" NO INHERIT")
		}
	case ForeignKey:
		b.WriteString("FOREIGN KEY (" + identList(t, k.Columns) + ") REFERENCES " +
			RelationText(path, k.RefTableName.Namespace, k.RefTableName.Name))
		if p, ok := s.ByOID[k.RefTable].(*Table); ok {
			b.WriteString("(" + identList(p, k.RefColumns) + ")")
		} else {
			b.WriteString("(" + strings.Join(k.RefNames, ", ") + ")")
		}
		if k.Match == "FULL" {
			b.WriteString(" MATCH FULL")
		}
		if k.OnUpdate != "" && k.OnUpdate != "NO ACTION" {
			b.WriteString(" ON UPDATE " + k.OnUpdate)
		}
		if k.OnDelete != "" && k.OnDelete != "NO ACTION" {
			b.WriteString(" ON DELETE " + k.OnDelete)
		}
	}
	if k.Deferrable {
		b.WriteString(" DEFERRABLE")
		if k.InitiallyDeferred {
			b.WriteString(" INITIALLY DEFERRED")
		}
	}
	if k.NotValid {
		b.WriteString(" NOT VALID")
	}
	return b.String()
}

// IndexDefinition returns an index as pg_get_indexdef does.
func IndexDefinition(s *Schema, t *Table, x *Index) string {
	var b strings.Builder
	b.WriteString("CREATE ")
	if x.Unique {
		b.WriteString("UNIQUE ")
	}
	b.WriteString("INDEX " + quoteIdent(x.RelationName()) + " ON " + quoteIdent(t.Namespace) + "." + quoteIdent(t.Name) +
		" USING " + IndexMethod(x) + " (")
	for i := range x.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(IndexColumnDefinition(t, x, i, true))
	}
	b.WriteString(")")
	if len(x.Include) > 0 {
		b.WriteString(" INCLUDE (" + identList(t, x.Include) + ")")
	}
	if x.Where != "" {
		b.WriteString(" WHERE " + operation(x.Where))
	}
	return b.String()
}

// IndexMethod returns the access method that an index shows to PostgreSQL clients.
func IndexMethod(x *Index) string {
	switch x.Method {
	case "":
		return "btree"
	case "fulltext", "spatial", "rtree":
		return "gist"
	}
	return x.Method
}

// IndexColumnDefinition returns column i, from 0, of an index as pg_get_indexdef does; full adds what isn't the name or
// expression itself.
func IndexColumnDefinition(t *Table, x *Index, i int, full bool) string {
	if i >= len(x.Columns) {
		if i -= len(x.Columns); i < len(x.Include) {
			return quoteIdent(t.ColumnByNum(x.Include[i]).Name)
		}
		return ""
	}
	c := x.Columns[i]
	var out string
	if col := t.ColumnByNum(c.Column); col != nil {
		out = quoteIdent(col.Name)
	} else if isCall(c.Expr) {
		out = c.Expr
	} else {
		out = "(" + operation(c.Expr) + ")"
	}
	if !full {
		return out
	}
	if c.Collation != "" && c.Collation != "default" {
		out += " COLLATE " + quoteIdent(c.Collation)
	}
	if c.OpClass != "" && !defaultOpClass(c.OpClass) {
		out += " " + c.OpClass
	}
	if c.Desc {
		out += " DESC"
		if c.Nulls < 0 {
			out += " NULLS LAST"
		}
	} else if c.Nulls > 0 {
		out += " NULLS FIRST"
	}
	return out
}

// defaultOpClass tells whether an operator class is its type's own, which isn't printed.
func defaultOpClass(name string) bool {
	return strings.HasSuffix(name, "_ops") && !strings.Contains(name, "pattern") && !strings.Contains(name, "path") && !strings.Contains(name, "trgm")
}

// ViewDefinition returns a view's query as pg_get_viewdef does: the tables it reads are qualified where the search path
// doesn't show them.
func ViewDefinition(s *Schema, v *Table, path []string) string {
	q := strings.TrimSuffix(strings.TrimSpace(v.ViewText), ";")
	if v.Dialect == "mysql" {
		q = strings.ReplaceAll(q, "`", `"`)
	}
	qualify := map[string]string{}
	for _, u := range v.Uses {
		if t, ok := s.ByOID[u.Table].(*Table); ok && !Visible(path, t.Namespace) {
			qualify[t.Name] = quoteIdent(t.Namespace) + "."
		}
	}
	if len(qualify) > 0 {
		q = qualifyTables(q, qualify)
	}
	return " " + q + ";"
}

// qualifyTables puts what prefix gives for a table's name before it, where a query names it in FROM and JOIN.
func qualifyTables(q string, prefix map[string]string) string {
	var b strings.Builder
	last := 0
	// For each open parenthesis: whether it holds a query or tables (else an expression), and whether FROM was seen.
	type level struct{ tables, from bool }
	stack := []level{{tables: true}}
	wanted := false // the next name is that of a table
	list := slices.DeleteFunc(tokens(q), func(t token) bool { return t.kind == 'w' })
	word := func(i int) string {
		if i < 0 || i >= len(list) {
			return ""
		}
		return strings.ToLower(q[list[i].start:list[i].end])
	}
	for i, t := range list {
		top := &stack[len(stack)-1]
		switch w := word(i); {
		case w == "(":
			n := word(i + 1)
			stack = append(stack, level{tables: wanted || n == "select" || n == "with" || n == "values", from: wanted})
			wanted = wanted && n != "select" && n != "with" && n != "values"
		case w == ")":
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
			wanted = false
		case !top.tables:
		case w == "from" || w == "join":
			top.from, wanted = true, true
		case w == ",":
			wanted = top.from
		case wanted && (w == "only" || w == "lateral"):
		case wanted && t.kind == 'i':
			name := t.name
			if c := q[t.start]; c != '"' && c != '`' {
				name = strings.ToLower(name)
			}
			if p := prefix[name]; p != "" && word(i+1) != "." && word(i+1) != "(" {
				b.WriteString(q[last:t.start] + p)
				last = t.start
			}
			wanted = false
		case w == "where" || w == "group" || w == "order" || w == "having" || w == "limit" || w == "window" || w == "on" || w == "union" ||
			w == "except" || w == "intersect" || w == "select":
			if w != "on" {
				top.from = false
			}
			wanted = false
		}
	}
	return b.String() + q[last:]
}

// SequenceOwner returns the table and column that own a sequence, nil if there are none.
func SequenceOwner(s *Schema, q *Sequence) (*Table, *Column) {
	t, ok := s.ByOID[q.OwnedTable].(*Table)
	if !ok {
		return nil, nil
	}
	return t, t.ColumnByNum(q.OwnedColumn)
}

// DefaultDefinition returns a column's default as pg_get_expr does, "" for none.
func DefaultDefinition(s *Schema, c *Column, path []string) string {
	if c.Generated != "" {
		return operation(c.Generated)
	}
	if q, ok := s.ByOID[c.NextVal].(*Sequence); ok && c.NextVal != 0 {
		if c.Identity != "" {
			return ""
		}
		return "nextval(" + text(RelationText(path, q.Namespace, q.Name)) + "::regclass)"
	}
	switch {
	case c.Default == "":
		return ""
	case c.Dialect == "mysql":
		if strings.HasPrefix(c.Default, "CURRENT_TIMESTAMP") {
			return "CURRENT_TIMESTAMP"
		}
		if c.Type.IsNumber() || c.Type.Kind == types.Bool {
			return strings.Trim(c.Default, "'")
		}
		if strings.HasPrefix(c.Default, "'") {
			return c.Default + "::" + baseName(PostgresType(s, c.Type))
		}
	}
	return operation(c.Default)
}

// operation puts what isn't one operand into parentheses, as PostgreSQL prints operators.
func operation(expr string) string {
	if isOperand(expr) {
		return expr
	}
	return parenthesised(expr)
}

// isOperand tells whether an expression stands as an argument without parentheses: a constant, a name, a call, a cast of
// one.
func isOperand(expr string) bool {
	depth := 0
	prev := byte(0)
	for _, t := range tokens(expr) {
		s := expr[t.start:t.end]
		switch {
		case t.kind == 'w':
			continue
		case s == "(" || s == "[":
			if depth == 0 && prev != 'i' {
				return false
			}
			depth++
		case s == ")" || s == "]":
			depth--
			prev = ')'
			continue
		case depth > 0:
			continue
		case s == ":" || s == ".":
		case t.kind == 'p':
			if !(s == "-" && prev == 0) {
				return false
			}
		case t.kind == 'i' && prev == 'i':
			// "timestamp without time zone", "character varying" in a cast; "a IS NULL" and "NOT a" are operations.
			switch strings.ToLower(s) {
			case "is", "and", "or", "not", "in", "like", "ilike", "between", "collate", "at", "similar":
				return false
			}
		case t.kind == 'i' && prev == ')':
			if w := strings.ToLower(s); w != "without" && w != "with" && w != "time" {
				return false
			}
		}
		prev = t.kind
		if t.kind == 'p' {
			prev = s[0]
		}
	}
	lower := strings.ToLower(strings.TrimSpace(expr))
	return !strings.HasPrefix(lower, "not ") && !strings.HasPrefix(lower, "case ")
}

// isCall tells whether an expression is one function call.
func isCall(expr string) bool {
	list := tokens(expr)
	return len(list) > 2 && list[0].kind == 'i' && strings.HasSuffix(expr, ")") && isOperand(expr) && !strings.Contains(expr, "::")
}
