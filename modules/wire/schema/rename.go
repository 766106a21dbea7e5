package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func parseInt(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// renameTable renames a table or view. SQLite follows the name through foreign keys, indexes, views and triggers.
func (w *work) renameTable(t *Table, name string) error {
	if name == t.Name {
		if w.mysql {
			return nil
		}
		return relationExists(name)
	}
	if hidden(name) || name == "" || strings.HasPrefix(strings.ToLower(name), "sqlite_") {
		return sqlerr.New("42939", "the name \"%s\" is reserved", name).My(1103, "Incorrect table name '%s'", name)
	}
	if w.s.relationTaken(t.Namespace, name) {
		return relationExists(name)
	}
	if w.s.typeTaken(t.Namespace, name) {
		return sqlerr.New("42710", "type \"%s\" already exists", name)
	}
	return w.moveTable(t, t.Namespace, name)
}

// moveTable gives a table another namespace and name.
func (w *work) moveTable(t *Table, namespace, name string) error {
	n := t.clone()
	n.Namespace, n.Name = namespace, name
	usual := sqlName(namespace, name)
	// A change of case alone is no other name in SQLite.
	if strings.EqualFold(usual, t.SQLName) {
		n.SQLName = t.SQLName
	} else {
		var err error
		if n.SQLName, err = w.freeSQLName(usual, t.Temp); err != nil {
			return err
		}
		if err := w.renameInSQLite(t, n); err != nil {
			return err
		}
	}
	if w.mysql {
		for _, k := range n.Constraints {
			for _, suffix := range []string{"_ibfk_", "_chk_"} {
				if rest, ok := strings.CutPrefix(k.Name, t.Name+suffix); ok {
					k.Name = n.Name + suffix + rest
				}
			}
		}
	}
	children := w.s.Referencing(t)
	w.forget(t)
	if err := w.put(n); err != nil {
		return err
	}
	if err := w.point(children, n); err != nil {
		return err
	}
	n = w.s.Tables[n.Key()]
	if w.mysql && !t.Foreign && !t.View {
		if err := w.rewriteSQL(n); err != nil {
			return err
		}
	}
	for _, v := range w.dependentViews(t, "") {
		c := v.clone()
		c.ViewText = replaceIdent(c.ViewText, t.Name, n.Name)
		if err := w.put(c); err != nil {
			return err
		}
	}
	return nil
}

// alterInSQLite runs one of SQLite's own ALTER TABLE. It reads the whole schema, and a view whose table is gone (MySQL
// lets it stand) would be an error; with writable_schema on, SQLite leaves such a view as it is.
func (w *work) alterInSQLite(sql string) error {
	if err := exec(w.c, `PRAGMA writable_schema = ON`); err != nil {
		return err
	}
	defer exec(w.c, `PRAGMA writable_schema = OFF`)
	return exec(w.c, sql)
}

// point makes foreign keys name the table that they refer to.
func (w *work) point(children []Reference, t *Table) error {
	for _, r := range children {
		c, ok := w.s.ByOID[r.Table.OID].(*Table)
		if !ok {
			continue
		}
		c = c.clone()
		for _, k := range c.Constraints {
			if k.OID == r.Constraint.OID {
				k.RefTable, k.RefTableName = t.OID, t.Key()
				w.s.resolve(k)
			}
		}
		if err := w.put(c); err != nil {
			return err
		}
	}
	return nil
}

// renameInSQLite gives a table or view its new name there.
func (w *work) renameInSQLite(t, n *Table) error {
	db := dbNames[dbOf(t.Temp)]
	w.dirty[dbOf(t.Temp)] = true
	if !t.View {
		return w.alterInSQLite("ALTER TABLE " + db + "." + quote(t.SQLName) + " RENAME TO " + quote(n.SQLName))
	}
	// SQLite has no rename for views. Views that read this one are printed from its name, so they change with it.
	for _, v := range w.dependentViews(t, "") {
		if err := w.editView(v, func(sql string) string { return replaceName(sql, t.SQLName, quote(n.SQLName)) }); err != nil {
			return err
		}
	}
	return w.editSchema(dbOf(t.Temp), func() error {
		sql, err := foreignSQL(w.c, db, t.SQLName)
		if err != nil {
			return err
		}
		head, rest, ok := strings.Cut(sql, quote(t.SQLName))
		if !ok {
			return sqlerr.Unsupported("a new name for a view that another program created")
		}
		return w.updateSchema(1, `UPDATE `+db+`.sqlite_schema SET name = ?1, tbl_name = ?1, sql = ?2 WHERE type = 'view' AND name = ?3`,
			n.SQLName, head+quote(n.SQLName)+rest, t.SQLName)
	})
}

// editView changes a view's text in SQLite.
func (w *work) editView(v *Table, change func(string) string) error {
	db := dbNames[dbOf(v.Temp)]
	sql, err := foreignSQL(w.c, db, v.SQLName)
	if err != nil {
		return err
	}
	return w.editSchema(dbOf(v.Temp), func() error {
		return w.updateSchema(1, `UPDATE `+db+`.sqlite_schema SET sql = ?1 WHERE type = 'view' AND name = ?2`, change(sql), v.SQLName)
	})
}

// renameColumn renames a column of a table.
func (w *work) renameColumn(t *Table, from, to string) error {
	c := w.column(t, from)
	if c == nil {
		return noColumn(t, from)
	}
	if to == "" || hidden(to) {
		return sqlerr.New("42939", "the column name \"%s\" is reserved", to).My(1166, "Incorrect column name '%s'", to)
	}
	if other := t.Column(to); other != nil && other != c {
		return columnExists(t.Name, to)
	}
	if c.Name == to {
		return nil
	}
	from = c.Name
	w.dirty[dbOf(t.Temp)] = true
	if err := w.alterInSQLite("ALTER TABLE " + dbNames[dbOf(t.Temp)] + "." + quote(t.SQLName) + " RENAME COLUMN " + quote(from) + " TO " + quote(to)); err != nil {
		return err
	}
	if t.Foreign {
		return nil
	}
	n := t.clone()
	n.ColumnByNum(c.Num).Name = to
	for _, k := range n.Constraints {
		if k.Kind == Check {
			k.ExprSQL = replaceName(k.ExprSQL, from, quote(to))
			k.Expr = replaceIdent(k.Expr, from, to)
		}
	}
	for _, g := range n.Columns {
		if g.GeneratedSQL != "" {
			g.GeneratedSQL = replaceName(g.GeneratedSQL, from, quote(to))
			g.Generated = replaceIdent(g.Generated, from, to)
		}
	}
	if err := w.put(n); err != nil {
		return err
	}
	for _, x := range w.s.Indices(n) {
		y := x.clone()
		for i := range y.Columns {
			y.Columns[i].ExprSQL = replaceName(y.Columns[i].ExprSQL, from, quote(to))
			y.Columns[i].Expr = replaceIdent(y.Columns[i].Expr, from, to)
		}
		y.WhereSQL = replaceName(y.WhereSQL, from, quote(to))
		y.Where = replaceIdent(y.Where, from, to)
		if err := w.put(y); err != nil {
			return err
		}
	}
	for _, v := range w.dependentViews(t, from) {
		nv := v.clone()
		nv.ViewText = replaceIdent(nv.ViewText, from, to)
		for i, u := range nv.Uses {
			if u.Table == t.OID && u.Column == from {
				nv.Uses[i].Column = to
			}
		}
		if err := w.put(nv); err != nil {
			return err
		}
	}
	return w.rewriteSQL(n)
}

// replaceIdent renames an identifier in a text of the client's dialect: quoted or folded, but not the name of a
// function that is called.
func replaceIdent(text, from, to string) string {
	list := tokens(text)
	var b strings.Builder
	last := 0
	for i, t := range list {
		if t.kind != 'i' {
			continue
		}
		quoted := text[t.start] == '"' || text[t.start] == '`'
		if t.name != from && (quoted || !strings.EqualFold(t.name, from)) {
			continue
		}
		if next := i + 1; next < len(list) && text[list[next].start:list[next].end] == "(" && !quoted {
			continue
		}
		b.WriteString(text[last:t.start])
		if text[t.start] == '`' {
			b.WriteString("`" + strings.ReplaceAll(to, "`", "``") + "`")
		} else {
			b.WriteString(quoteIdent(to))
		}
		last = t.end
	}
	b.WriteString(text[last:])
	return b.String()
}

// setNamespace is SET SCHEMA.
func (w *work) setNamespace(t *Table, namespace string) error {
	if w.s.Namespace(namespace) == nil {
		return noNamespace(namespace)
	}
	if t.Temp || t.Foreign {
		return sqlerr.Unsupported("another schema for this table")
	}
	if namespace == t.Namespace {
		return nil
	}
	if w.s.relationTaken(namespace, t.Name) {
		return sqlerr.New("42P07", "relation \"%s\" already exists in schema \"%s\"", t.Name, namespace)
	}
	for _, x := range slices.Clone(w.s.Indices(t)) {
		if w.s.relationTaken(namespace, x.RelationName()) {
			return sqlerr.New("42P07", "relation \"%s\" already exists in schema \"%s\"", x.RelationName(), namespace)
		}
		w.forget(x)
		n := x.clone()
		n.Namespace = namespace
		if err := w.put(n); err != nil {
			return err
		}
	}
	for _, q := range w.sequencesOf(t, 0) {
		w.forget(q)
		n := *q
		n.Namespace = namespace
		if err := w.put(&n); err != nil {
			return err
		}
		if err := w.renamedSequence(&n); err != nil {
			return err
		}
	}
	return w.moveTable(w.s.ByOID[t.OID].(*Table), namespace, t.Name)
}

// renamedSequence brings the texts of defaults up to date.
func (w *work) renamedSequence(q *Sequence) error {
	for _, t := range w.s.SortedTables() {
		if !slices.ContainsFunc(t.Columns, func(c *Column) bool { return c.NextVal == q.OID }) {
			continue
		}
		n := t.clone()
		for _, c := range n.Columns {
			if c.NextVal == q.OID && c.Identity == "" {
				c.Default = "nextval(" + text(qualified(q.Namespace, q.Name, Public)) + "::regclass)"
			}
		}
		if err := w.put(n); err != nil {
			return err
		}
	}
	return nil
}

// alterIndex is ALTER INDEX.
func (w *work) alterIndex(x *Index, n *ir.AlterTable) error {
	t, _ := w.s.ByOID[x.Table].(*Table)
	for i := range n.Actions {
		act := &n.Actions[i]
		switch act.Kind {
		case ir.RenameTable, ir.RenameIndex:
			if t == nil || t.Foreign || isForeign(x.OID) {
				return sqlerr.Unsupported("a new name for an index that another program created")
			}
			a := w.alter(t)
			if err := a.renameIndex(x, act.NewName); err != nil {
				return err
			}
			if err := w.put(a.t); err != nil {
				return err
			}
		case ir.SetOwner, ir.SetStatistics, ir.SetTableOptions:
		default:
			return sqlerr.New("42809", "\"%s\" is not a table", x.Name)
		}
	}
	return nil
}

// alterSequenceObject is what ALTER TABLE and ALTER SEQUENCE do to a sequence beside its options.
func (w *work) alterSequenceObject(q *Sequence, n *ir.AlterTable) error {
	for i := range n.Actions {
		act := &n.Actions[i]
		c := *q
		switch act.Kind {
		case ir.RenameTable:
			if hidden(act.NewName) {
				return sqlerr.New("42939", "the name \"%s\" is reserved", act.NewName)
			}
			if w.s.relationTaken(q.Namespace, act.NewName) {
				return relationExists(act.NewName)
			}
			c.Name = act.NewName
		case ir.SetOwner:
			c.Owner = act.Name
		case ir.SetSchema:
			if w.s.Namespace(act.Name) == nil {
				return noNamespace(act.Name)
			}
			if q.OwnedTable != 0 {
				return sqlerr.New("0A000", "cannot move an owned sequence into another schema")
			}
			if w.s.relationTaken(act.Name, q.Name) {
				return relationExists(q.Name)
			}
			c.Namespace = act.Name
		case ir.SetStatistics, ir.SetTableOptions:
			continue
		default:
			return sqlerr.New("42809", "\"%s\" is not a table", q.Name)
		}
		w.forget(q)
		if err := w.put(&c); err != nil {
			return err
		}
		if err := w.renamedSequence(&c); err != nil {
			return err
		}
		q = &c
	}
	return nil
}

// alterView is ALTER VIEW and ALTER TABLE on a view.
func (w *work) alterView(v *Table, n *ir.AlterTable) error {
	for i := range n.Actions {
		act := &n.Actions[i]
		var err error
		switch act.Kind {
		case ir.RenameTable:
			err = w.renameTable(v, act.NewName)
		case ir.SetSchema:
			if w.s.Namespace(act.Name) == nil {
				return noNamespace(act.Name)
			}
			err = w.moveTable(v, act.Name, v.Name)
		case ir.SetOwner:
			c := v.clone()
			c.Owner = act.Name
			err = w.put(c)
		case ir.SetStatistics, ir.SetTableOptions:
		default:
			err = sqlerr.New("42809", "ALTER action cannot be performed on relation \"%s\"", v.Name).
				My(1347, "'%s.%s' is not BASE TABLE", w.env.Database, v.Name)
		}
		if err != nil {
			return err
		}
		v, _ = w.s.ByOID[v.OID].(*Table)
	}
	return nil
}

// renameTables is MySQL's RENAME TABLE: each in turn.
func (w *work) renameTables(n *ir.RenameTables) error {
	w.res.Tag = "RENAME TABLE"
	for i, from := range n.From {
		t, err := w.table(from)
		if err != nil {
			return err
		}
		if _, err := w.namespaceOf(n.To[i]); err != nil {
			return err
		}
		if err := w.renameTable(t, n.To[i].Name); err != nil {
			return err
		}
	}
	return nil
}
