package schema

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// foreignID derives an OID for something that has no row in __bop_objects: the same name gives the same OID in every
// session, as long as no other name took it first (names come in order).
func (s *Schema) foreignID(parts ...string) uint32 {
	h := fnv.New32a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	for oid := foreignOID | h.Sum32()>>3; ; oid++ {
		if oid >= firstTempOID {
			oid = foreignOID
		}
		if _, taken := s.ByOID[oid]; !taken {
			return oid
		}
	}
}

// addForeign describes a table or view that another program made.
func (s *Schema) addForeign(c *sqlite3.Conn, db, name string, view, virtual bool) error {
	t := &Table{Namespace: Public, Name: name, SQLName: name, View: view, Foreign: true}
	if db == "temp" {
		t.Namespace, t.Temp = TempNamespace, true
		s.HasTemp = true
	} else if ns, rest, ok := strings.Cut(name, "."); ok && s.Namespace(ns) != nil && rest != "" {
		t.Namespace, t.Name = ns, rest
	}
	if s.Tables[t.Key()] != nil {
		return nil // hidden by one of ours
	}
	t.OID = s.foreignID(db, "table", name)
	s.ByOID[t.OID] = t // taken from here on
	t.RowType = s.foreignID(db, "rowtype", name)
	var key []int16
	keyOrder := map[int16]int{}
	err := rows(c, `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, ?2)`, func(st *sqlite3.Stmt) error {
		hidden := st.ColumnInt(5)
		if hidden == 1 { // of a virtual table
			return nil
		}
		t.LastColumn++
		col := &Column{Num: t.LastColumn, Name: st.ColumnText(0), NotNull: st.ColumnBool(2)}
		col.Type, col.Declared = declaredType(st.ColumnText(1))
		if st.ColumnType(3) != sqlite3.NULL {
			col.Default = st.ColumnText(3)
			col.DefaultSQL = col.Default
		}
		if hidden == 2 || hidden == 3 {
			col.Generated, col.Stored = "generated", hidden == 3
			col.Default, col.DefaultSQL = "", ""
		}
		if pk := st.ColumnInt(4); pk > 0 {
			keyOrder[col.Num] = pk
			key = append(key, col.Num)
		}
		t.Columns = append(t.Columns, col)
		return nil
	}, name, db)
	if err != nil {
		if view { // of tables or functions that aren't there
			delete(s.ByOID, t.OID)
			return nil
		}
		return err
	}
	if view {
		t.ViewText, err = foreignSQL(c, db, name)
		if err != nil {
			return err
		}
		if _, body, ok := cutWord(t.ViewText, "AS"); ok {
			t.ViewText = strings.TrimSpace(body)
		}
	}
	s.Tables[t.Key()] = t
	if view || virtual {
		return nil
	}
	if len(key) > 0 {
		ordered := make([]int16, len(key))
		for _, n := range key {
			if i := keyOrder[n] - 1; i < len(ordered) {
				ordered[i] = n
			}
		}
		k := &Constraint{Kind: PrimaryKey, Name: name + "_pkey", Columns: ordered}
		k.OID = s.foreignID(db, "constraint", name, k.Name)
		t.Constraints = append(t.Constraints, k)
		if len(key) == 1 {
			col := t.ColumnByNum(key[0])
			if strings.EqualFold(col.Declared, "integer") && !withoutRowID(c, db, name) {
				t.RowID, col.NotNull = col, true
				col.Type = types.T(types.Int8)
				sql, err := foreignSQL(c, db, name)
				if err != nil {
					return err
				}
				_, _, col.AutoIncrement = cutWord(sql, "AUTOINCREMENT")
				s.foreignKeyIndex(db, t, k, "")
			}
		}
	}
	if err := s.foreignAutoIndexes(c, db, t); err != nil {
		return err
	}
	return s.foreignReferences(c, db, t)
}

// foreignAutoIndexes adds the keys that are part of CREATE TABLE.
func (s *Schema) foreignAutoIndexes(c *sqlite3.Conn, db string, t *Table) error {
	type auto struct{ name, origin string }
	var list []auto
	err := rows(c, `SELECT name, origin FROM pragma_index_list(?1, ?2) WHERE origin <> 'c' ORDER BY seq DESC`, func(st *sqlite3.Stmt) error {
		list = append(list, auto{st.ColumnText(0), st.ColumnText(1)})
		return nil
	}, t.SQLName, db)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.origin == "pk" {
			if k := t.PrimaryKey(); k != nil && k.Index == 0 {
				s.foreignKeyIndex(db, t, k, "")
			}
			continue
		}
		k := &Constraint{Kind: Unique}
		names := []string{t.Name}
		err := rows(c, `SELECT name FROM pragma_index_info(?1, ?2)`, func(st *sqlite3.Stmt) error {
			if col := t.Column(st.ColumnText(0)); col != nil {
				k.Columns = append(k.Columns, col.Num)
				names = append(names, col.Name)
			}
			return nil
		}, a.name, db)
		if err != nil {
			return err
		}
		k.Name = objectName(strings.Join(names[:1], "_"), strings.Join(names[1:], "_"), "key")
		for n := 1; t.Constraint(k.Name) != nil; n++ {
			k.Name = objectName(t.Name, strings.Join(names[1:], "_"), "key"+strconv.Itoa(n))
		}
		k.OID = s.foreignID(db, "constraint", t.SQLName, k.Name)
		t.Constraints = append(t.Constraints, k)
		s.foreignKeyIndex(db, t, k, "")
	}
	return nil
}

// foreignKeyIndex adds the index behind a key.
func (s *Schema) foreignKeyIndex(db string, t *Table, k *Constraint, sqlName string) {
	x := &Index{Namespace: t.Namespace, Name: k.Name, SQLName: sqlName, Table: t.OID, Unique: true,
		Primary: k.Kind == PrimaryKey, Constraint: k.OID}
	for _, n := range k.Columns {
		x.Columns = append(x.Columns, IndexColumn{Column: n})
	}
	x.OID = s.foreignID(db, "index", t.SQLName, k.Name)
	k.Index = x.OID
	if s.Indexes[Key{x.Namespace, x.Name}] == nil {
		s.Indexes[Key{x.Namespace, x.Name}] = x
		s.ByOID[x.OID] = x
	}
}

func (s *Schema) foreignReferences(c *sqlite3.Conn, db string, t *Table) error {
	byID := map[int64]*Constraint{}
	var order []int64
	err := rows(c, `SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?1, ?2) ORDER BY id DESC, seq`, func(st *sqlite3.Stmt) error {
		id := st.ColumnInt64(0)
		k := byID[id]
		if k == nil {
			k = &Constraint{Kind: ForeignKey, RefTableName: Key{Public, st.ColumnText(1)}, OnUpdate: st.ColumnText(4), OnDelete: st.ColumnText(5)}
			if ns, rest, ok := strings.Cut(k.RefTableName.Name, "."); ok && s.Namespace(ns) != nil {
				k.RefTableName = Key{ns, rest}
			}
			byID[id] = k
			order = append(order, id)
		}
		if col := t.Column(st.ColumnText(2)); col != nil {
			k.Columns = append(k.Columns, col.Num)
		}
		if to := st.ColumnText(3); to != "" {
			k.RefNames = append(k.RefNames, to)
		}
		return nil
	}, t.SQLName, db)
	if err != nil {
		return err
	}
	for _, id := range order {
		k := byID[id]
		var names []string
		for _, n := range k.Columns {
			names = append(names, t.ColumnByNum(n).Name)
		}
		base := objectName(t.Name, strings.Join(names, "_"), "fkey")
		k.Name = base
		for n := 1; t.Constraint(k.Name) != nil; n++ {
			k.Name = base + strconv.Itoa(n)
		}
		k.OID = s.foreignID(db, "constraint", t.SQLName, k.Name)
		t.Constraints = append(t.Constraints, k)
	}
	return nil
}

// addForeignIndex describes an index made by CREATE INDEX outside wire.
func (s *Schema) addForeignIndex(c *sqlite3.Conn, db, name, table string) error {
	var t *Table
	for _, x := range s.Tables {
		if x.SQLName == table && x.Temp == (db == "temp") {
			t = x
		}
	}
	if t == nil {
		return nil
	}
	x := &Index{Namespace: t.Namespace, Name: name, SQLName: name, Table: t.OID}
	err := rows(c, `SELECT "unique", partial FROM pragma_index_list(?1, ?2) WHERE name = ?3`, func(st *sqlite3.Stmt) error {
		x.Unique = st.ColumnBool(0)
		return nil
	}, table, db, name)
	if err != nil {
		return err
	}
	err = rows(c, `SELECT cid, name, "desc", coll FROM pragma_index_xinfo(?1, ?2) WHERE key`, func(st *sqlite3.Stmt) error {
		ic := IndexColumn{Desc: st.ColumnBool(2)}
		if col := t.Column(st.ColumnText(1)); st.ColumnInt(0) >= 0 && col != nil {
			ic.Column = col.Num
		} else {
			ic.Expr = "expression"
		}
		x.Columns = append(x.Columns, ic)
		return nil
	}, name, db)
	if err != nil {
		return err
	}
	if s.Indexes[Key{x.Namespace, name}] != nil || s.Tables[Key{x.Namespace, name}] != nil {
		return nil
	}
	x.OID = s.foreignID(db, "index", name)
	s.Indexes[Key{x.Namespace, name}] = x
	s.ByOID[x.OID] = x
	return nil
}

func withoutRowID(c *sqlite3.Conn, db, name string) bool {
	n, _, err := number(c, `SELECT wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2`, db, name)
	return err == nil && n != 0
}

func foreignSQL(c *sqlite3.Conn, db, name string) (sql string, err error) {
	err = rows(c, `SELECT sql FROM `+db+`.sqlite_schema WHERE name = ?1`, func(st *sqlite3.Stmt) error {
		sql = st.ColumnText(0)
		return nil
	}, name)
	return sql, err
}

// cutWord cuts SQL around the first keyword w.
func cutWord(sql, w string) (before, after string, found bool) {
	for _, t := range tokens(sql) {
		if t.kind == 'i' && strings.EqualFold(sql[t.start:t.end], w) {
			return sql[:t.start], sql[t.end:], true
		}
	}
	return sql, "", false
}

// declaredType reads a type declared in plain SQLite. What isn't known by name follows SQLite's affinity rules.
func declaredType(declared string) (types.Type, string) {
	name, args, _ := strings.Cut(strings.ToLower(strings.TrimSpace(declared)), "(")
	name = strings.Join(strings.Fields(name), " ")
	args, tail, _ := strings.Cut(args, ")")
	var n [2]int32
	for i, a := range strings.SplitN(args, ",", 2) {
		v, err := strconv.ParseInt(strings.TrimSpace(a), 10, 32)
		if err == nil && v > 0 {
			n[i] = int32(v)
		}
	}
	unsigned := strings.Contains(name, "unsigned") || strings.Contains(tail, "unsigned")
	name = strings.TrimSpace(strings.TrimSuffix(name, "unsigned"))
	t := types.Type{Unsigned: unsigned}
	switch name {
	case "boolean", "bool":
		t.Kind = types.Bool
	case "tinyint":
		t.Kind = types.Int1
	case "smallint", "int2":
		t.Kind = types.Int2
	case "integer", "int", "int4", "mediumint", "bigint", "int8":
		// Whatever its name, such a column holds 64 bits.
		t.Kind, t.Unsigned = types.Int8, false
	case "varchar", "character varying", "nvarchar":
		t.Kind, t.Len = types.Varchar, n[0]
	case "date", "datetime", "timestamp", "timestamptz", "time", "decimal", "numeric", "json", "jsonb", "uuid":
		// Plain SQLite keeps what was put there; nothing says that it is in our storage form.
		t.Kind = types.Text
		if name == "decimal" || name == "numeric" {
			t.Kind = types.Float8
		}
	case "":
		t.Kind = types.Text
		if declared == "" {
			return t, "text"
		}
	default:
		switch {
		case strings.Contains(name, "int"):
			t.Kind = types.Int8
		case strings.Contains(name, "char"), strings.Contains(name, "clob"), strings.Contains(name, "text"):
			t.Kind = types.Text
		case strings.Contains(name, "blob"):
			t.Kind = types.Bytes
		case strings.Contains(name, "real"), strings.Contains(name, "floa"), strings.Contains(name, "doub"):
			t.Kind = types.Float8
		default:
			t.Kind = types.Text
		}
	}
	return t, declared
}
