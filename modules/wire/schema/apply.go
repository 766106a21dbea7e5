package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/ncruces/go-sqlite3"
)

// Apply runs one DDL statement on c. The caller has begun a transaction that may write, and no statement of the
// connection is half-way through its rows. s is the schema as Load gave it; it isn't changed. On an error the database
// is as it was before. Errors are *sqlerr.Error, or SQLite's own where it alone knows what is wrong.
//
// Statements that act on the server rather than on a database (CREATE DATABASE …) are none of Apply's.
func Apply(c *sqlite3.Conn, s *Schema, st *ir.Statement, env Env) (Result, error) {
	w, err := begin(c, s, st, env)
	if err != nil {
		return Result{}, err
	}
	if err := exec(c, `SAVEPOINT "__bop_ddl"`); err != nil {
		return Result{}, err
	}
	err = w.run(st.Tree)
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		// A statement that failed may have ended the transaction (disk full); then there is no savepoint to go back to.
		_ = exec(c, `ROLLBACK TO "__bop_ddl"`)
		_ = exec(c, `RELEASE "__bop_ddl"`)
		return Result{}, err
	}
	if err := exec(c, `RELEASE "__bop_ddl"`); err != nil {
		return Result{}, err
	}
	return w.res, nil
}

// work is one DDL statement on its way.
type work struct {
	c       *sqlite3.Conn
	st      *ir.Statement
	dialect ir.Dialect
	mysql   bool
	env     Env
	s       *Schema // a copy that follows what is done; its objects are replaced, never changed
	res     Result
	cookie  [2]int64 // of main and temp at the start
	dirty   [2]bool  // objects of main, temp were written
	next    [2]uint32
	planned []string // names in SQLite of what is about to be made
}

const (
	mainDB = 0
	tempDB = 1
)

var dbNames = [2]string{"main", "temp"}

func begin(c *sqlite3.Conn, s *Schema, st *ir.Statement, env Env) (*work, error) {
	w := &work{c: c, st: st, dialect: st.Dialect, mysql: st.Dialect == ir.MySQL, env: env}
	for i, db := range dbNames {
		n, _, err := number(c, `PRAGMA `+db+`.schema_version`)
		if err != nil {
			return nil, fmt.Errorf("read the schema's cookie: %w", err)
		}
		w.cookie[i] = n
	}
	if s == nil || s.Cookie != uint32(w.cookie[mainDB]) {
		var err error
		if s, err = Load(c); err != nil {
			return nil, err
		}
	}
	w.s = s.clone()
	return w, nil
}

// clone copies the maps; the objects are shared.
func (s *Schema) clone() *Schema {
	n := *s
	n.Namespaces = slices.Clone(s.Namespaces)
	n.Tables = maps.Clone(s.Tables)
	n.Indexes = maps.Clone(s.Indexes)
	n.Sequences = maps.Clone(s.Sequences)
	n.Enums = maps.Clone(s.Enums)
	n.Domains = maps.Clone(s.Domains)
	n.ByOID = maps.Clone(s.ByOID)
	n.indexes, n.references, n.memo = nil, nil, nil
	return &n
}

// clone copies a table with its columns and constraints.
func (t *Table) clone() *Table {
	n := *t
	n.Columns = make([]*Column, len(t.Columns))
	n.RowID = nil
	for i, c := range t.Columns {
		cc := *c
		n.Columns[i] = &cc
		if c == t.RowID {
			n.RowID = &cc
		}
	}
	n.Constraints = make([]*Constraint, len(t.Constraints))
	for i, k := range t.Constraints {
		n.Constraints[i] = k.clone()
	}
	n.Options = maps.Clone(t.Options)
	n.Uses = slices.Clone(t.Uses)
	return &n
}

func (k *Constraint) clone() *Constraint {
	n := *k
	n.Columns = slices.Clone(k.Columns)
	n.RefColumns = slices.Clone(k.RefColumns)
	n.RefNames = slices.Clone(k.RefNames)
	return &n
}

func (x *Index) clone() *Index {
	n := *x
	n.Columns = slices.Clone(x.Columns)
	n.Include = slices.Clone(x.Include)
	return &n
}

func (w *work) run(tree ir.Stmt) error {
	switch t := tree.(type) {
	case *ir.CreateTable:
		return w.createTable(t)
	case *ir.CreateIndex:
		return w.createIndex(t)
	case *ir.Drop:
		return w.drop(t)
	case *ir.AlterTable:
		return w.alterTable(t)
	case *ir.CreateView:
		return w.createView(t)
	case *ir.CreateSequence:
		return w.createSequence(t)
	case *ir.AlterSequence:
		return w.alterSequence(t)
	case *ir.CreateEnum:
		return w.createEnum(t)
	case *ir.AlterEnum:
		return w.alterEnum(t)
	case *ir.CreateDomain:
		return w.createDomain(t)
	case *ir.CreateSchema:
		return w.createSchema(t)
	case *ir.CommentOn:
		return w.comment(t)
	case *ir.RenameTables:
		return w.renameTables(t)
	case *ir.CreateExtension:
		return w.createExtension(t)
	case *ir.Unsupported:
		return sqlerr.Unsupported(t.What)
	}
	return sqlerr.Unsupported(fmt.Sprintf("%T", tree))
}

// finish writes the counters and moves the schema's cookie if SQLite didn't.
func (w *work) finish() error {
	for i, db := range dbNames {
		if w.next[i] != 0 {
			def, err := json.Marshal(meta{Format: formatVersion, Next: w.next[i]})
			if err != nil {
				return err
			}
			if err := w.writeRow(i, metaOID, kindMeta, "", "", string(def)); err != nil {
				return err
			}
		}
		if !w.dirty[i] {
			continue
		}
		w.res.Changed = true
		n, _, err := number(w.c, `PRAGMA `+db+`.schema_version`)
		if err != nil {
			return err
		}
		if n == w.cookie[i] {
			if err := w.bump(i); err != nil {
				return err
			}
		}
	}
	// Temporary objects don't move main's cookie, but what this connection cached may have to go: a temporary table
	// hides one of the same name. The caller sees Changed and HasTemp.
	return nil
}

// bump moves a schema's cookie, so that every connection, this one too, reads the schema again.
func (w *work) bump(db int) error {
	n, _, err := number(w.c, `PRAGMA `+dbNames[db]+`.schema_version`)
	if err != nil {
		return err
	}
	return exec(w.c, fmt.Sprintf(`PRAGMA %s.schema_version = %d`, dbNames[db], n+1))
}

// newOID gives out an OID that was never used before.
func (w *work) newOID(db int) (uint32, error) {
	if w.next[db] == 0 {
		if err := w.ensureObjects(db); err != nil {
			return 0, err
		}
		next := uint32(firstOID)
		if db == tempDB {
			next = firstTempOID
		}
		err := rows(w.c, `SELECT def FROM `+dbNames[db]+`."__bop_objects" WHERE oid = ?1`, func(st *sqlite3.Stmt) error {
			var m meta
			if err := json.Unmarshal(st.ColumnRawText(0), &m); err != nil {
				return fmt.Errorf("read the counter of OIDs: %w", err)
			}
			next = m.Next
			return nil
		}, metaOID)
		if err != nil {
			return 0, err
		}
		w.next[db] = next
	}
	oid := w.next[db]
	if db == mainDB && oid >= foreignOID {
		return 0, sqlerr.New("54000", "out of object identifiers")
	}
	w.next[db]++
	return oid, nil
}

// ensureObjects makes the tables of the logical schema.
func (w *work) ensureObjects(db int) error {
	_, ok, err := number(w.c, `SELECT 1 FROM `+dbNames[db]+`.sqlite_schema WHERE name = '__bop_objects'`)
	if err != nil || ok {
		return err
	}
	for _, ddl := range []string{objectsDDL, sequencesDDL} {
		if err := exec(w.c, fmt.Sprintf(ddl, dbNames[db])); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) writeRow(db int, oid uint32, kind, ns, name, def string) error {
	if err := w.ensureObjects(db); err != nil {
		return err
	}
	w.dirty[db] = true
	return exec(w.c, `INSERT INTO `+dbNames[db]+`."__bop_objects"(oid, kind, namespace, name, def) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (oid) DO UPDATE SET kind = excluded.kind, namespace = excluded.namespace, name = excluded.name, def = excluded.def`,
		oid, kind, ns, name, def)
}

func (w *work) deleteRow(db int, oid uint32) error {
	if err := w.ensureObjects(db); err != nil {
		return err
	}
	w.dirty[db] = true
	return exec(w.c, `DELETE FROM `+dbNames[db]+`."__bop_objects" WHERE oid = ?1`, oid)
}

func dbOf(temp bool) int {
	if temp {
		return tempDB
	}
	return mainDB
}

// put writes an object's definition and makes it part of the working schema. An object that was renamed or moved is
// taken out under its old key by forget first.
func (w *work) put(o any) error {
	def, err := encode(o)
	if err != nil {
		return fmt.Errorf("encode a definition: %w", err)
	}
	switch o := o.(type) {
	case *Table:
		kind := kindTable
		if o.View {
			kind = kindView
		}
		w.s.Tables[o.Key()] = o
		w.s.ByOID[o.OID] = o
		for _, k := range o.Constraints {
			w.s.ByOID[k.OID] = k
		}
		if o.Foreign {
			return nil // described by SQLite's schema alone
		}
		return w.writeRow(dbOf(o.Temp), o.OID, kind, o.Namespace, o.Name, def)
	case *Index:
		w.s.Indexes[Key{o.Namespace, o.RelationName()}] = o
		w.s.ByOID[o.OID] = o
		if isForeign(o.OID) {
			return nil
		}
		t, _ := w.s.ByOID[o.Table].(*Table)
		return w.writeRow(dbOf(t != nil && t.Temp), o.OID, kindIndex, o.Namespace, o.RelationName(), def)
	case *Sequence:
		w.s.Sequences[Key{o.Namespace, o.Name}] = o
		w.s.Tables[Key{o.Namespace, o.Name}] = o.relation()
		w.s.ByOID[o.OID] = o
		return w.writeRow(dbOf(o.Temp), o.OID, kindSequence, o.Namespace, o.Name, def)
	case *Enum:
		w.s.Enums[Key{o.Namespace, o.Name}] = o
		w.s.ByOID[o.OID] = o
		t, _ := w.s.ByOID[o.Table].(*Table)
		return w.writeRow(dbOf(t != nil && t.Temp || o.OID >= firstTempOID), o.OID, kindEnum, o.Namespace, o.Name, def)
	case *Domain:
		w.s.Domains[Key{o.Namespace, o.Name}] = o
		w.s.ByOID[o.OID] = o
		return w.writeRow(mainDB, o.OID, kindDomain, o.Namespace, o.Name, def)
	case *Namespace:
		w.s.Namespaces = append(slices.DeleteFunc(w.s.Namespaces, func(n Namespace) bool { return n.Name == o.Name }), *o)
		w.s.ByOID[o.OID] = o
		return w.writeRow(mainDB, o.OID, kindNamespace, "", o.Name, def)
	}
	return fmt.Errorf("can't store %T", o)
}

// forget takes an object out of the working schema, not out of the database.
func (w *work) forget(o any) {
	switch o := o.(type) {
	case *Table:
		delete(w.s.Tables, o.Key())
		delete(w.s.ByOID, o.OID)
	case *Index:
		delete(w.s.Indexes, Key{o.Namespace, o.RelationName()})
		delete(w.s.ByOID, o.OID)
	case *Sequence:
		delete(w.s.Sequences, Key{o.Namespace, o.Name})
		delete(w.s.Tables, Key{o.Namespace, o.Name})
		delete(w.s.ByOID, o.OID)
	case *Enum:
		delete(w.s.Enums, Key{o.Namespace, o.Name})
		delete(w.s.ByOID, o.OID)
	case *Domain:
		delete(w.s.Domains, Key{o.Namespace, o.Name})
		delete(w.s.ByOID, o.OID)
	}
}

// remove takes an object out of both.
func (w *work) remove(o any) error {
	w.forget(o)
	switch o := o.(type) {
	case *Table:
		if o.Foreign {
			return nil
		}
		return w.deleteRow(dbOf(o.Temp), o.OID)
	case *Index:
		if isForeign(o.OID) {
			return nil
		}
		return w.deleteRow(dbOf(o.OID >= firstTempOID), o.OID)
	case *Sequence:
		db := dbOf(o.Temp)
		if err := w.deleteRow(db, o.OID); err != nil {
			return err
		}
		if err := exec(w.c, `DROP VIEW IF EXISTS `+dbNames[db]+"."+quote(o.relation().SQLName)); err != nil {
			return err
		}
		return exec(w.c, `DELETE FROM `+dbNames[db]+`."__bop_sequences" WHERE oid = ?1`, o.OID)
	case *Enum:
		return w.deleteRow(dbOf(o.OID >= firstTempOID), o.OID)
	case *Domain:
		return w.deleteRow(mainDB, o.OID)
	}
	return fmt.Errorf("can't remove %T", o)
}

func (w *work) notice(e *sqlerr.Error) {
	e.Severity = "NOTICE"
	w.res.Notices = append(w.res.Notices, e)
}

// namespaceOf returns the namespace that a qualified name speaks of, "" for an unqualified one.
func (w *work) namespaceOf(n ir.Name) (string, error) {
	if w.mysql {
		if n.Schema != "" && w.env.Database != "" && !strings.EqualFold(n.Schema, w.env.Database) {
			return "", sqlerr.Unsupported("DDL in another database than the current one")
		}
		return Public, nil
	}
	if n.Catalog != "" && n.Catalog != w.env.Database && w.env.Database != "" {
		return "", sqlerr.New("0A000", "cross-database references are not implemented: \"%s.%s.%s\"", n.Catalog, n.Schema, n.Name)
	}
	switch n.Schema {
	case "", Public:
		return n.Schema, nil
	case "pg_catalog", "information_schema":
		return "", sqlerr.New("42501", "permission denied to create or change \"%s.%s\"", n.Schema, n.Name).
			WithHint("System catalog modifications are disallowed.")
	}
	return n.Schema, nil
}

// createIn returns the namespace that a new object goes to.
func (w *work) createIn(n ir.Name, temp bool) (string, error) {
	if hidden(n.Name) || strings.HasPrefix(strings.ToLower(n.Name), "sqlite_") {
		return "", sqlerr.New("42939", "the name \"%s\" is reserved", n.Name).My(1103, "Incorrect table name '%s'", n.Name)
	}
	if n.Name == "" {
		return "", sqlerr.New("42601", "zero-length delimited identifier").My(1103, "Incorrect table name ''")
	}
	ns, err := w.namespaceOf(n)
	if err != nil {
		return "", err
	}
	if temp || ns == TempNamespace {
		if n.Schema != "" && ns != TempNamespace && !w.mysql {
			return "", sqlerr.New("42P16", "cannot create temporary relation in non-temporary schema")
		}
		return TempNamespace, nil
	}
	if ns != "" {
		if w.s.Namespace(ns) == nil {
			return "", noNamespace(ns)
		}
		return ns, nil
	}
	if w.env.SearchPath == nil {
		if w.s.Namespace(Public) != nil {
			return Public, nil
		}
	}
	for _, ns := range w.env.SearchPath {
		if w.s.Namespace(ns) != nil {
			return ns, nil
		}
	}
	return "", sqlerr.New("3F000", "no schema has been selected to create in")
}

// find looks for an existing relation of any kind.
func (w *work) find(n ir.Name) (any, error) {
	ns, err := w.namespaceOf(n)
	if err != nil {
		return nil, err
	}
	if w.mysql {
		for _, ns := range []string{TempNamespace, Public} {
			if t := w.s.Tables[Key{ns, n.Name}]; t != nil && t.Sequence == 0 {
				return t, nil
			}
		}
		return nil, nil
	}
	return w.s.Relation(w.env.SearchPath, ns, n.Name), nil
}

// table looks for an existing table or view and says so if there is none.
func (w *work) table(n ir.Name) (*Table, error) {
	o, err := w.find(n)
	if err != nil {
		return nil, err
	}
	switch o := o.(type) {
	case *Table:
		return o, nil
	case nil:
		return nil, w.noTable(n)
	}
	return nil, sqlerr.New("42809", "\"%s\" is not a table", n.Name).My(1347, "'%s.%s' is not BASE TABLE", w.env.Database, n.Name)
}

// column looks for a column by the dialect's comparison of names.
func (w *work) column(t *Table, name string) *Column {
	if w.mysql {
		return t.Column(name)
	}
	return t.exact(name)
}
