package schema

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/ncruces/go-sqlite3"
)

// Names in SQLite of what exists only while a statement runs.
const (
	newTableName  = hiddenPrefix + "new"
	goneTableName = hiddenPrefix + "gone"
)

// editSchema runs edit with SQLite's schema table writable, and makes every connection read the schema again. What edit
// leaves there must parse: rewriteSQL tries a table's text first.
func (w *work) editSchema(db int, edit func() error) error {
	if defensive, err := w.c.Config(sqlite3.DBCONFIG_DEFENSIVE); err == nil && defensive {
		if _, err := w.c.Config(sqlite3.DBCONFIG_DEFENSIVE, false); err != nil {
			return err
		}
		defer w.c.Config(sqlite3.DBCONFIG_DEFENSIVE, true)
	}
	if err := exec(w.c, `PRAGMA writable_schema = ON`); err != nil {
		return err
	}
	defer exec(w.c, `PRAGMA writable_schema = OFF`)
	if err := edit(); err != nil {
		return err
	}
	w.dirty[db] = true
	return w.bump(db)
}

// updateSchema runs one statement on SQLite's schema table that must change n rows.
func (w *work) updateSchema(n int64, sql string, args ...any) error {
	if err := exec(w.c, sql, args...); err != nil {
		return err
	}
	if got := w.c.Changes(); got != n {
		return fmt.Errorf("%d rows of SQLite's schema changed, not %d", got, n)
	}
	return nil
}

// rewriteSQL brings the text of CREATE TABLE up to date. The rows keep their layout; the caller has validated them.
func (w *work) rewriteSQL(t *Table) error {
	if t.Foreign {
		return sqlerr.Unsupported("this change of a table that another program created")
	}
	db := dbOf(t.Temp)
	sql := w.s.tableSQL(t, parts{name: t.SQLName})
	old, err := foreignSQL(w.c, dbNames[db], t.SQLName)
	if err != nil || old == sql {
		return err
	}
	if err := w.tryTable(t); err != nil {
		return err
	}
	if strings.Contains(sql, " AUTOINCREMENT") {
		if err := w.ensureCounters(db); err != nil {
			return err
		}
	}
	return w.editSchema(db, func() error {
		return w.updateSchema(1, `UPDATE `+dbNames[db]+`.sqlite_schema SET sql = ?1 WHERE type = 'table' AND name = ?2`, sql, t.SQLName)
	})
}

// tryTable has SQLite check a table's text before it goes where a fault would make the database unreadable.
func (w *work) tryTable(t *Table) error {
	sql := w.s.tableSQL(t, parts{name: newTableName, noForeignKeys: true, noCounter: true})
	if t.Temp {
		sql = strings.Replace(sql, "CREATE TABLE ", "CREATE TEMP TABLE ", 1)
	}
	if err := exec(w.c, sql); err != nil {
		return w.tableError(t, err)
	}
	return exec(w.c, "DROP TABLE "+dbNames[dbOf(t.Temp)]+"."+quote(newTableName))
}

// ensureCounters makes sqlite_sequence, which SQLite only does itself in CREATE TABLE.
func (w *work) ensureCounters(db int) error {
	_, ok, err := number(w.c, `SELECT 1 FROM `+dbNames[db]+`.sqlite_schema WHERE name = 'sqlite_sequence'`)
	if err != nil || ok {
		return err
	}
	name := dbNames[db] + "." + quote(newTableName)
	if err := exec(w.c, "CREATE TABLE "+name+"(id INTEGER PRIMARY KEY AUTOINCREMENT)"); err != nil {
		return err
	}
	return exec(w.c, "DROP TABLE "+name)
}

// rebuild writes a table anew in the layout of t. values gives, by attnum, the expression over the old columns for each
// column that isn't copied as it is. All indexes in SQLite are gone afterwards; the caller makes them again.
//
// The new rows are written to a table beside the old one, and then the two exchange their root pages in SQLite's schema.
// DROP TABLE and RENAME would do it too, but with foreign keys on, dropping a referenced table deletes its rows first,
// with all that ON DELETE says, and foreign_keys can't be switched inside a transaction.
func (w *work) rebuild(old, t *Table, values map[int16]string) error {
	db := dbOf(t.Temp)
	schema := dbNames[db] + ".sqlite_schema"
	auto, _, err := number(w.c, `SELECT count(*) FROM `+schema+` WHERE tbl_name = ?1 AND name LIKE 'sqlite_autoindex%'`, t.SQLName)
	if err != nil {
		return err
	}
	if old.Foreign || auto > 0 {
		return sqlerr.Unsupported("this change of a table that another program created")
	}
	create := w.s.tableSQL(t, parts{name: newTableName, noForeignKeys: true, noCounter: true, onlyValid: true})
	final := w.s.tableSQL(t, parts{name: t.SQLName})
	if t.Temp {
		create = strings.Replace(create, "CREATE TABLE ", "CREATE TEMP TABLE ", 1)
	}
	if err := exec(w.c, create); err != nil {
		return w.tableError(t, err)
	}
	var cols, exprs []string
	for _, c := range t.Columns {
		if c.GeneratedSQL != "" {
			continue
		}
		e, ok := values[c.Num]
		if was := old.ColumnByNum(c.Num); !ok && was != nil {
			e = quote(was.Name)
		} else if !ok {
			e = cmp.Or(c.Missing, "NULL") // new, with the same value in every row there is
		}
		cols = append(cols, c.Name)
		exprs = append(exprs, e)
	}
	copyRows := "INSERT INTO " + dbNames[db] + "." + quote(newTableName) + "(" + quoteAll(cols) + ") SELECT " +
		strings.Join(exprs, ", ") + " FROM " + quote(t.SQLName)
	if t.RowID != nil && (old.RowID == nil || old.RowID.Num != t.RowID.Num) {
		if _, computed := values[t.RowID.Num]; !computed {
			// SQLite would make up a rowid for a NULL.
			if err := w.validateNotNull(old, old.ColumnByNum(t.RowID.Num)); err != nil {
				return err
			}
			// In the order of the new rowid the tree only grows at its end.
			copyRows += " ORDER BY " + quote(old.ColumnByNum(t.RowID.Num).Name)
		}
	}
	if err := exec(w.c, copyRows); err != nil {
		return w.rowError(t, err)
	}
	for _, x := range w.s.Indices(old) {
		if x.SQLName == "" {
			continue
		}
		if err := exec(w.c, "DROP INDEX IF EXISTS "+dbNames[db]+"."+quote(x.SQLName)); err != nil {
			return err
		}
	}
	if strings.Contains(final, " AUTOINCREMENT") {
		if err := w.ensureCounters(db); err != nil {
			return err
		}
	}
	newRoot, _, err := number(w.c, `SELECT rootpage FROM `+schema+` WHERE type = 'table' AND name = ?1`, newTableName)
	if err != nil {
		return err
	}
	oldRoot, _, err := number(w.c, `SELECT rootpage FROM `+schema+` WHERE type = 'table' AND name = ?1`, t.SQLName)
	if err != nil {
		return err
	}
	err = w.editSchema(db, func() error {
		update := `UPDATE ` + schema + ` SET rootpage = ?1, sql = ?2 WHERE type = 'table' AND name = ?3`
		if err := w.updateSchema(1, update, newRoot, final, t.SQLName); err != nil {
			return err
		}
		return w.updateSchema(1, update, oldRoot, "CREATE TABLE "+quote(newTableName)+"(x)", newTableName)
	})
	if err != nil {
		return fmt.Errorf("exchange the table's rows: %w", err)
	}
	if err := exec(w.c, "DROP TABLE "+dbNames[db]+"."+quote(newTableName)); err != nil {
		return fmt.Errorf("drop the old rows: %w", err)
	}
	for _, c := range t.Columns {
		c.Missing = ""
	}
	return nil
}

// rowError words why rows don't fit the new definition of their table.
func (w *work) rowError(t *Table, err error) error {
	if name, ok := failed(err, "NOT NULL constraint failed: "); ok {
		return containsNull(t, strings.TrimPrefix(name, newTableName+"."), err)
	}
	if name, ok := failed(err, "CHECK constraint failed: "); ok {
		return checkFailed(t, name, err)
	}
	if _, ok := failed(err, "UNIQUE constraint failed: "); ok {
		if pk := t.PrimaryKey(); pk != nil {
			if x, ok := w.s.ByOID[pk.Index].(*Index); ok {
				return w.duplicateKey(t, x, err)
			}
		}
	}
	if msg, ok := sqliteMessage(err); ok && strings.Contains(msg, "datatype mismatch") || strings.Contains(msg, "cannot store") {
		return sqlerr.New("42804", "rows of table \"%s\" don't fit the new column type", t.Name).My(1366, "Incorrect value for the new column type")
	}
	return err
}

func containsNull(t *Table, column string, cause error) *sqlerr.Error {
	e := sqlerr.New("23502", "column \"%s\" of relation \"%s\" contains null values", column, t.Name).My(1138, "Invalid use of NULL value")
	e.Table, e.Column, e.Schema, e.Err = t.Name, column, t.Namespace, cause
	return e
}

// checkFailed words the failure of a check on rows that were there before.
func checkFailed(t *Table, name string, cause error) *sqlerr.Error {
	e := &sqlerr.Error{Schema: t.Namespace, Table: t.Name, Err: cause}
	if c, ok := strings.CutPrefix(name, RangeCheck); ok {
		e.State, e.Column = "22003", c
		typ := ""
		if col := t.Column(c); col != nil {
			typ = col.Declared
		}
		e.Message = typ + " out of range"
		return e.My(1264, "Out of range value for column '%s'", c)
	}
	if c, ok := strings.CutPrefix(name, LengthCheck); ok {
		e.State, e.Column = "22001", c
		e.Message = "value too long for the type of column \"" + c + "\""
		if col := t.Column(c); col != nil {
			e.Message = "value too long for type " + col.Declared
		}
		return e.My(1406, "Data too long for column '%s'", c)
	}
	if c, ok := strings.CutPrefix(name, EnumCheck); ok {
		e.State, e.Column = "22P02", c
		e.Message = "a row has an invalid input value for the enum of column \"" + c + "\""
		return e.My(1265, "Data truncated for column '%s'", c)
	}
	e.State, e.Constraint = "23514", name
	e.Message = "check constraint \"" + name + "\" of relation \"" + t.Name + "\" is violated by some row"
	return e.My(3819, "Check constraint '%s' is violated.", name)
}

// dropSQLTable drops a table in SQLite. A referenced one is made unknown to its foreign keys first: else SQLite deletes
// its rows with all that ON DELETE says.
func (w *work) dropSQLTable(t *Table) error {
	db := dbOf(t.Temp)
	plain := t.Foreign || len(w.s.Referencing(t)) == 0
	for _, k := range t.Constraints {
		plain = plain && (k.Kind != ForeignKey || !k.Deferrable)
	}
	if plain {
		return exec(w.c, "DROP TABLE "+dbNames[db]+"."+quote(t.SQLName))
	}
	schema := dbNames[db] + ".sqlite_schema"
	var indexes []string
	err := rows(w.c, `SELECT name FROM `+schema+` WHERE type = 'index' AND tbl_name = ?1`, func(st *sqlite3.Stmt) error {
		indexes = append(indexes, st.ColumnText(0))
		return nil
	}, t.SQLName)
	if err != nil {
		return err
	}
	for _, name := range indexes {
		if err := exec(w.c, "DROP INDEX "+dbNames[db]+"."+quote(name)); err != nil {
			return err
		}
	}
	if t.RowID != nil && t.RowID.AutoIncrement {
		if err := exec(w.c, `DELETE FROM `+dbNames[db]+`.sqlite_sequence WHERE name = ?1`, t.SQLName); err != nil {
			return err
		}
	}
	err = w.editSchema(db, func() error {
		if err := exec(w.c, `DELETE FROM `+schema+` WHERE type = 'trigger' AND tbl_name = ?1`, t.SQLName); err != nil {
			return err
		}
		return w.updateSchema(1, `UPDATE `+schema+` SET name = ?1, tbl_name = ?1, sql = ?2 WHERE type = 'table' AND name = ?3`,
			goneTableName, "CREATE TABLE "+quote(goneTableName)+"(x)", t.SQLName)
	})
	if err != nil {
		return err
	}
	return exec(w.c, "DROP TABLE "+dbNames[db]+"."+quote(goneTableName))
}

// violates runs a query that finds rows in the way; found tells whether there are any.
func (w *work) violates(sql string, args ...any) (values []string, found bool, err error) {
	err = rows(w.c, sql, func(st *sqlite3.Stmt) error {
		if found {
			return nil
		}
		found = true
		for i := range st.ColumnCount() {
			values = append(values, st.ColumnText(i))
		}
		return nil
	}, args...)
	return values, found, err
}

// validateNotNull says if a column has NULLs.
func (w *work) validateNotNull(t *Table, c *Column) error {
	_, found, err := w.violates("SELECT 1 FROM " + quote(t.SQLName) + " WHERE " + quote(c.Name) + " IS NULL LIMIT 1")
	if err == nil && found {
		return containsNull(t, c.Name, nil)
	}
	return err
}

// validateCheck says if rows break a condition.
func (w *work) validateCheck(t *Table, name, sql string) error {
	_, found, err := w.violates("SELECT 1 FROM " + quote(t.SQLName) + " WHERE NOT (" + sql + ") LIMIT 1")
	if err == nil && found {
		return checkFailed(t, name, nil)
	}
	return err
}

// validateForeignKey says if rows have no parent.
func (w *work) validateForeignKey(t *Table, k *Constraint) error {
	ref, ok := w.s.ByOID[k.RefTable].(*Table)
	if !ok {
		return nil
	}
	var cols, where, on []string
	for i, n := range k.Columns {
		child := "c." + quote(t.ColumnByNum(n).Name)
		cols = append(cols, child)
		where = append(where, child+" IS NOT NULL")
		on = append(on, "p."+quote(ref.ColumnByNum(k.RefColumns[i]).Name)+" = "+child)
	}
	values, found, err := w.violates("SELECT " + strings.Join(cols, ", ") + " FROM " + quote(t.SQLName) + " c WHERE " +
		strings.Join(where, " AND ") + " AND NOT EXISTS (SELECT 1 FROM " + quote(ref.SQLName) + " p WHERE " +
		strings.Join(on, " AND ") + ") LIMIT 1")
	if err != nil || !found {
		return err
	}
	e := sqlerr.New("23503", "insert or update on table \"%s\" violates foreign key constraint \"%s\"", t.Name, k.Name).
		My(1452, "Cannot add or update a child row: a foreign key constraint fails (`%s`.`%s`, %s)", w.env.Database, t.Name, mysqlForeignKey(w.s, t, k))
	e.Detail = "Key (" + strings.Join(columnNames(t, k.Columns), ", ") + ")=(" + strings.Join(values, ", ") +
		") is not present in table \"" + ref.Name + "\"."
	e.Schema, e.Table, e.Constraint = t.Namespace, t.Name, k.Name
	return e
}
