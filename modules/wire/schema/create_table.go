package schema

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (w *work) createTable(n *ir.CreateTable) error {
	w.res.Tag = "CREATE TABLE"
	if n.As != nil {
		w.res.Tag = "SELECT 0"
	}
	switch {
	case len(n.Inherits) > 0:
		return sqlerr.Unsupported("INHERITS")
	case n.PartitionBy:
		return sqlerr.Unsupported("PARTITION BY")
	case n.OnCommit != "":
		return sqlerr.Unsupported("ON COMMIT " + n.OnCommit)
	}
	ns, err := w.createIn(n.Name, n.Temp)
	if err != nil {
		return err
	}
	if w.s.relationTaken(ns, n.Name.Name) || w.mysql && w.foldedTable(ns, n.Name.Name) {
		if n.IfNotExists {
			w.notice(sqlerr.New("42P07", "relation \"%s\" already exists, skipping", n.Name.Name).
				My(1050, "Table '%s' already exists", n.Name.Name))
			return nil
		}
		return relationExists(n.Name.Name)
	}
	if w.s.typeTaken(ns, n.Name.Name) {
		return sqlerr.New("42710", "type \"%s\" already exists", n.Name.Name)
	}
	t := &Table{Namespace: ns, Name: n.Name.Name, Owner: w.env.User, Temp: ns == TempNamespace, Dialect: w.dialect.String()}
	if err := w.newTableIDs(t); err != nil {
		return err
	}
	if w.mysql {
		w.setTableOptions(t, n.Options)
	}
	if n.Like != nil {
		return w.createLike(t, n)
	}
	var query string
	if n.As != nil {
		if query, err = w.asColumns(t, n); err != nil {
			return err
		}
	}
	var indexes []*Index
	add := func(k *ir.Constraint) error {
		_, x, err := w.newConstraint(t, k)
		if x != nil {
			indexes = append(indexes, x)
			if x.SQLName != "" {
				w.planned = append(w.planned, x.SQLName)
			}
			// Names of what follows must not be taken twice.
			w.s.Indexes[Key{x.Namespace, x.RelationName()}] = x
			w.s.ByOID[x.OID] = x
		}
		return err
	}
	if err := w.addColumns(t, n.Columns); err != nil {
		return err
	}
	if len(t.Columns) == 0 && w.mysql {
		return sqlerr.New("42P16", "a table must have at least one column").My(1113, "A table must have at least 1 column")
	}
	for i := range n.Columns {
		for j := range n.Columns[i].Constraints {
			if err := add(&n.Columns[i].Constraints[j]); err != nil {
				return err
			}
		}
	}
	for i := range n.Constraints {
		if n.Constraints[i].Kind != ir.ForeignKey {
			if err := add(&n.Constraints[i]); err != nil {
				return err
			}
		}
	}
	for i := range n.Indexes {
		x, err := w.newIndex(t, &n.Indexes[i])
		if err != nil {
			return err
		}
		indexes = append(indexes, x)
		if x.SQLName != "" {
			w.planned = append(w.planned, x.SQLName)
		}
		w.s.Indexes[Key{x.Namespace, x.RelationName()}] = x
		w.s.ByOID[x.OID] = x
	}
	for i := range n.Constraints {
		if n.Constraints[i].Kind == ir.ForeignKey {
			if err := add(&n.Constraints[i]); err != nil {
				return err
			}
		}
	}
	if w.mysql {
		more, err := w.foreignKeyIndexes(t, indexes)
		if err != nil {
			return err
		}
		indexes = append(indexes, more...)
		if err := w.autoIncrementKey(t); err != nil {
			return err
		}
	}
	if err := w.makeTable(t, indexes); err != nil {
		return err
	}
	if n.As != nil && !n.WithNoData {
		return w.fill(t, query)
	}
	if v := n.Options["auto_increment"]; v != "" && w.mysql {
		return w.setAutoIncrement(t, v)
	}
	return nil
}

// foldedTable tells whether a table's name is taken but for case: SQLite compares names so.
func (w *work) foldedTable(ns, name string) bool {
	for k := range w.s.Tables {
		if k.Namespace == ns && strings.EqualFold(k.Name, name) {
			return true
		}
	}
	return false
}

// newTableIDs gives a table its OIDs and its name in SQLite.
func (w *work) newTableIDs(t *Table) (err error) {
	db := dbOf(t.Temp)
	for _, p := range []*uint32{&t.OID, &t.RowType, &t.ArrayType} {
		if *p, err = w.newOID(db); err != nil {
			return err
		}
	}
	t.SQLName, err = w.freeSQLName(sqlName(t.Namespace, t.Name), t.Temp)
	return err
}

// setTableOptions keeps MySQL's table options.
func (w *work) setTableOptions(t *Table, options map[string]string) {
	if t.Options == nil {
		t.Options = map[string]string{}
	}
	for k, v := range options {
		switch k {
		case "comment":
			t.Comment = v
		case "auto_increment", "charset", "collate", "character set":
		default:
			t.Options[k] = v
		}
	}
	if t.Options["engine"] == "" {
		t.Options["engine"] = "InnoDB"
	}
	inheritedCharset, inheritedCollation := t.Options["charset"], t.Options["collate"]
	if inheritedCharset == "" {
		inheritedCharset, inheritedCollation = defaultCharset, defaultTextCollation
	}
	charset := options["charset"]
	if charset == "" {
		charset = options["character set"]
	}
	t.Options["charset"], t.Options["collate"] = charsetOf(charset, options["collate"], inheritedCharset, inheritedCollation)
}

// addColumns adds the columns of definitions.
func (w *work) addColumns(t *Table, defs []ir.ColumnDef) error {
	first := len(t.Columns)
	for i := range defs {
		if old := t.Column(defs[i].Name); old != nil {
			if old.Name == defs[i].Name || w.mysql {
				return sqlerr.New("42701", "column \"%s\" specified more than once", defs[i].Name).
					My(1060, "Duplicate column name '%s'", defs[i].Name).At(defs[i].Pos)
			}
			return sqlerr.Unsupported(fmt.Sprintf("a table with columns that differ in case alone (%s, %s)", old.Name, defs[i].Name))
		}
		c, err := w.newColumn(t, &defs[i])
		if err != nil {
			return err
		}
		t.Columns = append(t.Columns, c)
	}
	for i := range defs {
		if defs[i].Generated != nil {
			if err := w.setGenerated(t, t.Columns[first+i], defs[i].Generated); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeTable creates a table in SQLite, stores it and its indexes.
func (w *work) makeTable(t *Table, indexes []*Index) error {
	if t.Temp {
		w.s.HasTemp = true
	}
	w.s.ByOID[t.OID] = t
	w.s.Tables[t.Key()] = t
	sql := w.s.tableSQL(t, parts{name: t.SQLName})
	if len(t.Columns) == 0 {
		return sqlerr.Unsupported("a table without columns")
	}
	if t.Temp {
		sql = strings.Replace(sql, "CREATE TABLE ", "CREATE TEMP TABLE ", 1)
	}
	if err := exec(w.c, sql); err != nil {
		return w.tableError(t, err)
	}
	if err := w.put(t); err != nil {
		return err
	}
	for _, x := range indexes {
		if err := w.makeIndex(t, x); err != nil {
			return err
		}
	}
	if !w.mysql {
		return nil
	}
	// Foreign keys that came before their table find it now.
	var waiting []Reference
	for _, r := range w.s.Referencing(t) {
		if r.Constraint.RefTable == 0 {
			waiting = append(waiting, r)
		}
	}
	return w.point(waiting, t)
}

// tableError words what SQLite has against a table's definition.
func (w *work) tableError(t *Table, err error) error {
	msg, ok := sqliteMessage(err)
	switch {
	case !ok:
		return err
	case strings.Contains(msg, "subqueries prohibited in CHECK"):
		return sqlerr.New("0A000", "cannot use subquery in check constraint")
	case strings.Contains(msg, "subqueries prohibited in generated"):
		return sqlerr.New("0A000", "cannot use subquery in column generation expression")
	case strings.Contains(msg, "non-deterministic"):
		return sqlerr.New("42P17", "generation expression is not immutable").
			My(3763, "Expression of generated column contains a disallowed function.")
	case strings.Contains(msg, "too many columns"):
		return sqlerr.New("54011", "tables can have at most 1600 columns").My(1117, "Too many columns")
	}
	return fmt.Errorf("create table %s: %w", t.Name, err)
}

// asColumns gives a table the columns of its query, and returns the query in SQLite's SQL.
func (w *work) asColumns(t *Table, n *ir.CreateTable) (string, error) {
	if w.env.Query == nil {
		return "", sqlerr.Unsupported("CREATE TABLE AS")
	}
	sql, cols, err := w.env.Query(n.As)
	if err != nil {
		return "", err
	}
	names := n.Columns
	if !w.mysql && len(names) > len(cols) {
		return "", sqlerr.New("42601", "too many column names were specified")
	}
	for i, q := range cols {
		name := q.Name
		if !w.mysql && i < len(names) {
			name = names[i].Name
		}
		if t.Column(name) != nil {
			return "", sqlerr.New("42701", "column \"%s\" specified more than once", name).My(1060, "Duplicate column name '%s'", name)
		}
		t.LastColumn++
		c := &Column{Num: t.LastColumn, Name: name, Type: q.Type, Dialect: w.dialect.String()}
		if c.Type.Kind == types.Unknown || c.Type.Kind == types.Void {
			c.Type = types.T(types.Text)
		}
		if q.Source != nil && q.Source.Dialect == c.Dialect && q.Source.Type == c.Type {
			c.Declared = q.Source.Declared
		} else {
			c.Declared = w.declaredName(c.Type)
		}
		if w.mysql {
			c.NotNull = q.NotNull
			w.setCharset(t, c, "", "")
		}
		t.Columns = append(t.Columns, c)
	}
	if !w.mysql {
		n.Columns = nil
	}
	return sql, nil
}

// declaredName writes a type as the dialect's DDL does.
func (w *work) declaredName(t types.Type) string {
	if w.mysql {
		return MySQLType(w.s, t)
	}
	return PostgresType(w.s, t)
}

// fill runs the query of CREATE TABLE … AS.
func (w *work) fill(t *Table, query string) error {
	var names []string
	for _, c := range t.Columns {
		if c.GeneratedSQL == "" {
			names = append(names, c.Name)
		}
	}
	if err := exec(w.c, "INSERT INTO "+quote(t.SQLName)+"("+quoteAll(names)+") "+query); err != nil {
		return err
	}
	w.res.Rows = w.c.Changes()
	w.res.Tag = fmt.Sprintf("SELECT %d", w.res.Rows)
	return nil
}

// createLike copies another table's definition: all of it in MySQL, the columns alone in PostgreSQL unless INCLUDING ALL.
func (w *work) createLike(t *Table, n *ir.CreateTable) error {
	src, err := w.table(*n.Like)
	if err != nil {
		return err
	}
	if src.View && w.mysql {
		return sqlerr.New("42809", "\"%s\" is not a table", src.Name).My(1347, "'%s.%s' is not BASE TABLE", w.env.Database, src.Name)
	}
	like := src.clone()
	renumber := map[int16]int16{}
	for i, c := range like.Columns {
		renumber[c.Num] = int16(i + 1)
		c.Num = int16(i + 1)
		c.Missing = ""
		if !n.LikeAll {
			c.Default, c.DefaultSQL, c.NextVal, c.Generated, c.GeneratedSQL, c.Identity, c.Comment = "", "", 0, "", "", "", ""
		}
		c.Sequence = 0
	}
	t.Columns, t.LastColumn = like.Columns, int16(len(like.Columns))
	if n.LikeAll {
		t.Comment = like.Comment
		if w.mysql && src.Options != nil {
			t.Options = maps.Clone(src.Options)
		}
	}
	for _, c := range t.Columns {
		if c.Identity != "" {
			if err := w.ownSequence(t, c, nil); err != nil {
				return err
			}
		}
		if old, ok := w.s.ByOID[c.Type.OID].(*Enum); ok && old.Table != 0 {
			e := *old
			e.Table = t.OID
			e.Name = t.Name + "_" + c.Name
			if e.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
				return err
			}
			if e.ArrayOID, err = w.newOID(dbOf(t.Temp)); err != nil {
				return err
			}
			c.Type.OID = e.OID
			if err := w.put(&e); err != nil {
				return err
			}
		}
	}
	if err := w.addColumns(t, n.Columns); err != nil {
		return err
	}
	var indexes []*Index
	if n.LikeAll {
		for _, k := range src.Constraints {
			if k.Kind != Check {
				continue
			}
			c := k.clone()
			for i, num := range c.Columns {
				c.Columns[i] = renumber[num]
			}
			if c.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
				return err
			}
			if w.mysql {
				if rest, ok := strings.CutPrefix(c.Name, src.Name+"_chk_"); ok {
					c.Name = t.Name + "_chk_" + rest
				}
			}
			t.Constraints = append(t.Constraints, c)
		}
		for _, old := range w.s.Indices(src) {
			x, err := w.copyIndex(t, src, old, renumber)
			if err != nil {
				return err
			}
			indexes = append(indexes, x)
			if x.SQLName != "" {
				w.planned = append(w.planned, x.SQLName)
			}
			w.s.Indexes[Key{x.Namespace, x.RelationName()}] = x
			w.s.ByOID[x.OID] = x
		}
	}
	for i := range n.Constraints {
		_, x, err := w.newConstraint(t, &n.Constraints[i])
		if err != nil {
			return err
		}
		if x != nil {
			indexes = append(indexes, x)
		}
	}
	if w.mysql {
		if err := w.autoIncrementKey(t); err != nil {
			return err
		}
	}
	return w.makeTable(t, indexes)
}

// copyIndex makes an index of t like one of src.
func (w *work) copyIndex(t, src *Table, old *Index, renumber map[int16]int16) (*Index, error) {
	x := old.clone()
	x.Namespace, x.Table = t.Namespace, t.OID
	var names []string
	for i, c := range x.Columns {
		x.Columns[i].Column = renumber[c.Column]
		if col := t.ColumnByNum(renumber[c.Column]); col != nil {
			names = append(names, col.Name)
		} else {
			names = append(names, "expr")
		}
	}
	for i, n := range x.Include {
		x.Include[i] = renumber[n]
	}
	var err error
	if x.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
		return nil, err
	}
	label := "idx"
	var k *Constraint
	for _, c := range src.Constraints {
		if c.OID == old.Constraint && old.Constraint != 0 {
			k = c.clone()
		}
	}
	if k != nil {
		if k.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
			return nil, err
		}
		label = "key"
		for i, n := range k.Columns {
			k.Columns[i] = renumber[n]
		}
	}
	name := old.Name
	switch {
	case old.Primary:
		name = w.keyName(t, PrimaryKey, nil)
	case !w.mysql:
		name = freeName(t.Name, strings.Join(names, "_"), label, func(s string) bool { return w.s.relationTaken(t.Namespace, s) })
	}
	if err := w.nameIndex(t, x, name); err != nil {
		return nil, err
	}
	if old.Method != "" && old.SQLName == "" {
		x.SQLName = ""
	}
	x.Constraint = 0
	if k != nil {
		k.Name, k.Index, x.Constraint = x.Name, x.OID, k.OID
		t.Constraints = append(t.Constraints, k)
		if x.Primary && w.becomesRowID(t, x) {
			t.RowID, x.SQLName = t.ColumnByNum(k.Columns[0]), ""
		}
	}
	return x, nil
}

// foreignKeyIndexes adds the indexes that MySQL makes for foreign keys without one.
func (w *work) foreignKeyIndexes(t *Table, have []*Index) ([]*Index, error) {
	var out []*Index
	for _, k := range t.Constraints {
		if k.Kind != ForeignKey || w.leads(t, k.Columns, have) || w.leads(t, k.Columns, out) {
			continue
		}
		x := &Index{Namespace: t.Namespace, Table: t.OID}
		var names []string
		for _, n := range k.Columns {
			x.Columns = append(x.Columns, IndexColumn{Column: n})
			names = append(names, t.ColumnByNum(n).Name)
		}
		name := k.Name
		if strings.HasPrefix(name, t.Name+"_ibfk_") || w.tableIndex(t, name) != nil {
			name = w.mysqlIndexName(t, names)
		}
		if err := w.nameIndex(t, x, name); err != nil {
			return nil, err
		}
		w.planned = append(w.planned, x.SQLName)
		var err error
		if x.OID, err = w.newOID(dbOf(t.Temp)); err != nil {
			return nil, err
		}
		w.s.Indexes[Key{x.Namespace, x.RelationName()}] = x
		w.s.ByOID[x.OID] = x
		out = append(out, x)
	}
	return out, nil
}

// leads tells whether one of the indexes begins with the columns.
func (w *work) leads(t *Table, cols []int16, list []*Index) bool {
	for _, x := range list {
		if len(x.Columns) < len(cols) || x.Where != "" {
			continue
		}
		ok := true
		for i, n := range cols {
			ok = ok && x.Columns[i].Column == n && x.Columns[i].Prefix == 0
		}
		if ok {
			return true
		}
	}
	return false
}

// autoIncrementKey makes the AUTO_INCREMENT column the rowid, whichever key it leads.
func (w *work) autoIncrementKey(t *Table) error {
	var auto *Column
	for _, c := range t.Columns {
		if !c.AutoIncrement {
			continue
		}
		if auto != nil {
			return wrongAutoKey()
		}
		if !c.Type.IsInteger() || c.DefaultSQL != "" {
			return sqlerr.New("42601", "incorrect column specifier for column \"%s\"", c.Name).
				My(1063, "Incorrect column specifier for column '%s'", c.Name)
		}
		auto = c
		c.NotNull = true
	}
	if auto == nil || t.RowID == auto {
		return nil
	}
	keyed := false
	for _, x := range w.s.Indices(t) {
		keyed = keyed || len(x.Columns) > 0 && x.Columns[0].Column == auto.Num
	}
	if !keyed {
		return wrongAutoKey()
	}
	if t.RowID != nil {
		// The primary key was to be the rowid: it becomes an index like others.
		pk := t.PrimaryKey()
		x := w.s.ByOID[pk.Index].(*Index).clone()
		var err error
		if x.SQLName, err = w.freeSQLName(sqlName(x.Namespace, x.RelationName()), t.Temp); err != nil {
			return err
		}
		*w.s.ByOID[pk.Index].(*Index) = *x
	}
	t.RowID = auto
	return nil
}

func wrongAutoKey() *sqlerr.Error {
	return sqlerr.New("42P16", "there can be only one auto-increment column and it must be defined as a key").
		My(1075, "Incorrect table definition; there can be only one auto column and it must be defined as a key")
}

// setAutoIncrement makes n the next value of a table's AUTO_INCREMENT column, unless there are larger ones.
func (w *work) setAutoIncrement(t *Table, v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || t.RowID == nil || !t.RowID.AutoIncrement {
		return nil
	}
	db := dbNames[dbOf(t.Temp)]
	high, _, err := number(w.c, "SELECT max("+quote(t.RowID.Name)+") FROM "+quote(t.SQLName))
	if err != nil {
		return err
	}
	last := max(n-1, high)
	if err := exec(w.c, `DELETE FROM `+db+`.sqlite_sequence WHERE name = ?1`, t.SQLName); err != nil {
		return err
	}
	w.dirty[dbOf(t.Temp)] = true
	return exec(w.c, `INSERT INTO `+db+`.sqlite_sequence(name, seq) VALUES (?1, ?2)`, t.SQLName, last)
}

// NextAutoIncrement returns the next value that AUTO_INCREMENT gives; ok is false for tables without such a column.
func NextAutoIncrement(c *sqlite3.Conn, t *Table) (next int64, ok bool) {
	if t.RowID == nil || !t.RowID.AutoIncrement {
		return 0, false
	}
	last, _, err := number(c, `SELECT seq FROM `+dbNames[dbOf(t.Temp)]+`.sqlite_sequence WHERE name = ?1`, t.SQLName)
	if err != nil {
		return 1, true
	}
	return last + 1, true
}
