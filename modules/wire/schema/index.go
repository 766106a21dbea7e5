package schema

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// indexColumns resolves the columns of an index or key; names are those that its own name is made of.
func (w *work) indexColumns(t *Table, list []ir.IndexColumn, key bool) (out []IndexColumn, names []string, err error) {
	if len(list) > 32 {
		return nil, nil, sqlerr.New("54011", "cannot use more than 32 columns in an index").My(1070, "Too many key parts specified; max 32 parts allowed")
	}
	for _, ic := range list {
		c := IndexColumn{Desc: ic.Desc, Nulls: ic.Nulls, Collation: ic.Collation, OpClass: ic.OpClass}
		if ic.Column == "" {
			if key && !w.mysql {
				return nil, nil, sqlerr.New("42601", "a key can't be made of an expression")
			}
			sql, typ, err := w.expr(ic.Expr, t, nil)
			if err != nil {
				return nil, nil, err
			}
			c.TypeOID = typ.PGOID()
			c.Expr, c.ExprSQL = w.format(t, ic.Expr, ic.Text), sql
			name := "expr"
			if f, ok := ic.Expr.(*ir.Func); ok && !w.mysql {
				name = f.Name
			}
			names = append(names, name)
			out = append(out, c)
			continue
		}
		col := w.column(t, ic.Column)
		if col == nil {
			if key {
				return nil, nil, sqlerr.New("42703", "column \"%s\" named in key does not exist", ic.Column).
					My(1072, "Key column '%s' doesn't exist in table", ic.Column)
			}
			return nil, nil, sqlerr.New("42703", "column \"%s\" does not exist", ic.Column).
				My(1072, "Key column '%s' doesn't exist in table", ic.Column)
		}
		c.Column = col.Num
		// The whole column serves a prefix that can't be shorter than its values.
		if ic.Prefix > 0 && !(col.Type.Len > 0 && int(col.Type.Len) <= ic.Prefix) {
			switch col.Type.Kind {
			case types.Text, types.Varchar, types.Char, types.Bytes:
				c.Prefix = ic.Prefix
			default:
				return nil, nil, sqlerr.New("42804", "column \"%s\" can't have a key on a prefix", col.Name).
					My(1089, "Incorrect prefix key; the used key part isn't a string, the used length is longer than the key part, or the storage engine doesn't support unique prefix keys")
			}
		}
		names = append(names, col.Name)
		out = append(out, c)
	}
	return out, names, nil
}

func (w *work) createIndex(n *ir.CreateIndex) error {
	w.res.Tag = "CREATE INDEX"
	t, err := w.table(n.Table)
	if err != nil {
		return err
	}
	if t.View {
		return sqlerr.New("42809", "cannot create index on relation \"%s\"", t.Name).My(1347, "'%s.%s' is not BASE TABLE", w.env.Database, t.Name)
	}
	if n.IfNotExists && n.Name != "" && w.s.relationTaken(t.Namespace, n.Name) {
		w.notice(sqlerr.New("42P07", "relation \"%s\" already exists, skipping", n.Name))
		return nil
	}
	t = t.clone()
	x, err := w.newIndex(t, n)
	if err != nil {
		return err
	}
	if err := w.put(t); err != nil {
		return err
	}
	return w.makeIndex(t, x)
}

// storedMethods are the methods for which SQLite has an index that serves the same queries.
var storedMethods = map[string]bool{"": true, "btree": true, "hash": true, "rtree": false}

// newIndex makes an index of a definition. It adds nothing to SQLite yet.
func (w *work) newIndex(t *Table, n *ir.CreateIndex) (*Index, error) {
	method := strings.ToLower(n.Method)
	switch method {
	case "", "btree", "hash", "gin", "gist", "spgist", "brin", "fulltext", "spatial", "rtree":
	default:
		return nil, sqlerr.New("42704", "access method \"%s\" does not exist", method)
	}
	if method == "btree" {
		method = ""
	}
	if n.NullsNotDistinct {
		return nil, sqlerr.Unsupported("UNIQUE NULLS NOT DISTINCT")
	}
	if n.Unique && method != "" && method != "hash" {
		return nil, sqlerr.New("0A000", "access method \"%s\" does not support unique indexes", method)
	}
	x := &Index{Namespace: t.Namespace, Table: t.OID, Unique: n.Unique, Method: method, Comment: n.Comment}
	cols, names, err := w.indexColumns(t, n.Columns, false)
	if err != nil {
		return nil, err
	}
	x.Columns = cols
	for _, name := range n.Include {
		c := w.column(t, name)
		if c == nil {
			return nil, sqlerr.New("42703", "column \"%s\" does not exist", name)
		}
		x.Include = append(x.Include, c.Num)
		names = append(names, c.Name)
	}
	if n.Where != nil {
		if x.WhereSQL, _, err = w.expr(n.Where, t, nil); err != nil {
			return nil, err
		}
		x.Where = w.format(t, n.Where, n.WhereText)
	}
	name := n.Name
	switch {
	case name == "" && w.mysql:
		name = w.mysqlIndexName(t, names)
	case name == "":
		name = freeName(t.Name, strings.Join(names, "_"), "idx", func(s string) bool { return w.s.relationTaken(t.Namespace, s) })
	case w.mysql && (w.tableIndex(t, name) != nil || t.Constraint(name) != nil && t.Constraint(name).Kind == Unique):
		return nil, sqlerr.New("42P07", "relation \"%s\" already exists", name).My(1061, "Duplicate key name '%s'", name)
	case w.mysql && strings.EqualFold(name, "primary"):
		return nil, sqlerr.New("42939", "the name \"%s\" is reserved", name).My(1280, "Incorrect index name '%s'", name)
	}
	if x.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
		return nil, err
	}
	// In MySQL a unique index is a constraint.
	if w.mysql && n.Unique && x.Where == "" {
		k := &Constraint{Kind: Unique, Name: name, Index: x.OID, Dialect: w.dialect.String()}
		for _, c := range x.Columns {
			if c.Column == 0 || c.Prefix > 0 {
				k = nil
				break
			}
			k.Columns = append(k.Columns, c.Column)
		}
		if k != nil {
			if k.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
				return nil, err
			}
			x.Constraint = k.OID
			t.Constraints = append(t.Constraints, k)
		}
	}
	if err := w.nameIndex(t, x, name); err != nil {
		return nil, err
	}
	if stored, known := storedMethods[method]; !known || !stored {
		// What such an index would find is found by reading the rows; a b-tree of the values would serve nothing.
		x.SQLName = ""
		w.notice(sqlerr.New("00000", "index \"%s\" is recorded, but queries don't use indexes of method %s", name, method).
			My(1105, "Index '%s' is recorded, but queries don't use %s indexes", name, strings.ToUpper(method)))
	}
	return x, nil
}

// makeIndex stores an index and builds it.
func (w *work) makeIndex(t *Table, x *Index) error {
	if err := w.put(x); err != nil {
		return err
	}
	if x.SQLName == "" {
		return nil
	}
	return w.buildIndex(t, x)
}

// buildIndex runs CREATE INDEX and words what rows break.
func (w *work) buildIndex(t *Table, x *Index) error {
	err := exec(w.c, w.s.indexSQL(t, x))
	if err == nil {
		return nil
	}
	if _, unique := failed(err, "UNIQUE constraint failed: "); unique {
		return w.duplicateKey(t, x, err)
	}
	if msg, ok := sqliteMessage(err); ok && strings.Contains(msg, "non-deterministic functions") {
		return sqlerr.New("42P17", "functions in index expression must be marked IMMUTABLE").
			My(3758, "Expression of functional index '%s' contains a disallowed function.", x.Name)
	}
	return err
}

// duplicateKey says which values stand in the way of a unique index.
func (w *work) duplicateKey(t *Table, x *Index, cause error) error {
	var exprs []string
	for _, c := range x.Columns {
		switch col := t.ColumnByNum(c.Column); {
		case col == nil:
			exprs = append(exprs, "("+c.ExprSQL+")")
		case c.Prefix > 0:
			exprs = append(exprs, "substr("+quote(col.Name)+", 1, "+itoa(c.Prefix)+")")
		default:
			exprs = append(exprs, quote(col.Name))
		}
	}
	list := strings.Join(exprs, ", ")
	sql := "SELECT " + list + " FROM " + quote(t.SQLName)
	where := make([]string, len(exprs))
	for i, e := range exprs {
		where[i] = e + " IS NOT NULL"
	}
	sql += " WHERE " + strings.Join(where, " AND ")
	if x.WhereSQL != "" {
		sql += " AND (" + x.WhereSQL + ")"
	}
	sql += " GROUP BY " + list + " HAVING count(*) > 1 LIMIT 1"
	var values []string
	_ = rows(w.c, sql, func(st *sqlite3.Stmt) error {
		for i := range exprs {
			values = append(values, st.ColumnText(i))
		}
		return nil
	})
	return duplicate(t, x, values, cause)
}

func duplicate(t *Table, x *Index, values []string, cause error) *sqlerr.Error {
	key := x.Name
	if x.Primary {
		key = "PRIMARY"
	}
	e := sqlerr.New("23505", "could not create unique index \"%s\"", x.Name).
		My(1062, "Duplicate entry '%s' for key '%s.%s'", strings.Join(values, "-"), t.Name, key)
	if values != nil {
		var names []string
		for _, c := range x.Columns {
			if col := t.ColumnByNum(c.Column); col != nil {
				names = append(names, col.Name)
			} else {
				names = append(names, c.Expr)
			}
		}
		e.Detail = "Key (" + strings.Join(names, ", ") + ")=(" + strings.Join(values, ", ") + ") is duplicated."
	}
	e.Table, e.Constraint, e.Err = t.Name, x.Name, cause
	return e
}

// keyFromIndex is ADD CONSTRAINT … USING INDEX.
func (w *work) keyFromIndex(t *Table, k *Constraint, n *ir.Constraint) (*Index, error) {
	old := w.s.Indexes[Key{t.Namespace, n.UsingIndex}]
	if old == nil || old.Table != t.OID {
		return nil, sqlerr.New("42704", "index \"%s\" does not exist", n.UsingIndex)
	}
	if !old.Unique || old.Where != "" || old.Constraint != 0 {
		return nil, sqlerr.New("42809", "\"%s\" is not a unique index that can become a constraint", n.UsingIndex)
	}
	x := old.clone()
	for _, c := range x.Columns {
		if c.Column == 0 {
			return nil, sqlerr.New("42809", "index \"%s\" contains expressions", n.UsingIndex)
		}
		k.Columns = append(k.Columns, c.Column)
		if k.Kind == PrimaryKey {
			t.ColumnByNum(c.Column).NotNull = true
		}
	}
	w.forget(old)
	if k.Name == "" {
		k.Name = x.Name
	}
	x.Name, x.Relation, x.Constraint, x.Primary = k.Name, "", k.OID, k.Kind == PrimaryKey
	k.Index = x.OID
	t.Constraints = append(t.Constraints, k)
	return x, nil
}
