package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/ncruces/go-sqlite3"
)

// publicOID is the OID of the namespace public, as in PostgreSQL.
const publicOID = 2200

// Load reads the logical schema as the connection sees it now: in a transaction that of its snapshot, with its
// temporary objects. Tables that were not created through wire get Foreign definitions from their declared types.
func Load(c *sqlite3.Conn) (*Schema, error) {
	s := &Schema{
		Tables:    map[Key]*Table{},
		Indexes:   map[Key]*Index{},
		Sequences: map[Key]*Sequence{},
		Enums:     map[Key]*Enum{},
		Domains:   map[Key]*Domain{},
		ByOID:     map[uint32]any{},
		memo:      &sync.Map{},
	}
	cookie, _, err := number(c, `PRAGMA main.schema_version`)
	if err != nil {
		return nil, fmt.Errorf("read the schema's cookie: %w", err)
	}
	s.Cookie = uint32(cookie)
	public := true
	for _, db := range []string{"main", "temp"} {
		if err := s.load(c, db, &public); err != nil {
			return nil, fmt.Errorf("load the schema: %w", err)
		}
	}
	if public {
		s.addNamespace(&Namespace{OID: publicOID, Name: Public})
	}
	slices.SortFunc(s.Namespaces, func(a, b Namespace) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.Namespaces {
		s.ByOID[s.Namespaces[i].OID] = &s.Namespaces[i]
	}
	s.link()
	return s, nil
}

func (s *Schema) load(c *sqlite3.Conn, db string, public *bool) error {
	type object struct{ kind, table, sql string }
	actual := map[string]object{}
	var objects bool
	err := rows(c, `SELECT type, name, tbl_name, substr(sql, 1, 32) FROM `+db+`.sqlite_schema`, func(st *sqlite3.Stmt) error {
		name := st.ColumnText(1)
		if strings.HasPrefix(name, hiddenPrefix) {
			objects = objects || name == "__bop_objects"
			return nil
		}
		if !strings.HasPrefix(name, "sqlite_") {
			actual[name] = object{st.ColumnText(0), st.ColumnText(2), st.ColumnText(3)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if objects {
		err := rows(c, `SELECT oid, kind, namespace, name, def FROM `+db+`."__bop_objects"`, func(st *sqlite3.Stmt) error {
			oid, kind, ns, name := uint32(st.ColumnInt64(0)), st.ColumnText(1), st.ColumnText(2), st.ColumnText(3)
			exists := func(sqlName string) bool {
				_, ok := actual[sqlName]
				delete(actual, sqlName)
				return ok
			}
			if err := s.add(oid, kind, ns, name, st.ColumnRawText(4), exists, public); err != nil {
				return fmt.Errorf("definition of %s %q: %w", kind, name, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var foreign, foreignIndexes []string
	for name, o := range actual {
		switch o.kind {
		case "table", "view":
			foreign = append(foreign, name)
		case "index":
			foreignIndexes = append(foreignIndexes, name)
		}
	}
	slices.Sort(foreign)
	slices.Sort(foreignIndexes)
	for _, name := range foreign {
		virtual := strings.HasPrefix(strings.ToUpper(actual[name].sql), "CREATE VIRTUAL")
		if err := s.addForeign(c, db, name, actual[name].kind == "view", virtual); err != nil {
			return fmt.Errorf("definition of %q: %w", name, err)
		}
	}
	for _, name := range foreignIndexes {
		if err := s.addForeignIndex(c, db, name, actual[name].table); err != nil {
			return fmt.Errorf("definition of index %q: %w", name, err)
		}
	}
	return nil
}

// add decodes one row of __bop_objects. exists tells whether SQLite has a table, view or index of a name: a definition
// whose storage another program dropped counts for nothing.
func (s *Schema) add(oid uint32, kind, ns, name string, def []byte, exists func(string) bool, public *bool) error {
	switch kind {
	case kindMeta:
		var m meta
		if err := json.Unmarshal(def, &m); err != nil {
			return err
		}
		if m.Format > formatVersion {
			return sqlerr.New("58000", "the database was written by a newer version (schema format %d, known %d)", m.Format, formatVersion).
				WithHint("Open it with the newer version.")
		}
	case kindNamespace:
		r := namespaceRecord{Namespace: &Namespace{}}
		if err := json.Unmarshal(def, &r); err != nil {
			return err
		}
		if name == Public {
			*public = false
		}
		if !r.Dropped {
			r.Namespace.OID, r.Namespace.Name = oid, name
			s.addNamespace(r.Namespace)
		}
	case kindExtension:
		if s.Extensions == nil {
			s.Extensions = map[string]uint32{}
		}
		s.Extensions[name] = oid
	case kindTable, kindView:
		o, err := decoded(row{oid, kind, ns, name}, def)
		if err != nil {
			return err
		}
		t := o.(*Table)
		if exists(t.SQLName) {
			s.Tables[Key{ns, name}] = t
			s.ByOID[oid] = t
			s.HasTemp = s.HasTemp || t.Temp
		}
	case kindIndex:
		o, err := decoded(row{oid, kind, ns, name}, def)
		if err != nil {
			return err
		}
		x := o.(*Index)
		if x.SQLName == "" || exists(x.SQLName) {
			s.Indexes[Key{ns, name}] = x
			s.ByOID[oid] = x
		}
	case kindSequence:
		o, err := decoded(row{oid, kind, ns, name}, def)
		if err != nil {
			return err
		}
		q := o.(*Sequence)
		s.Sequences[Key{ns, name}] = q
		s.ByOID[oid] = q
		s.Tables[Key{ns, name}] = q.relation()
		s.HasTemp = s.HasTemp || q.Temp
	case kindEnum:
		o, err := decoded(row{oid, kind, ns, name}, def)
		if err != nil {
			return err
		}
		e := o.(*Enum)
		s.Enums[Key{ns, name}] = e
		s.ByOID[oid] = e
	case kindDomain:
		o, err := decoded(row{oid, kind, ns, name}, def)
		if err != nil {
			return err
		}
		d := o.(*Domain)
		s.Domains[Key{ns, name}] = d
		s.ByOID[oid] = d
	}
	return nil
}

func (s *Schema) addNamespace(n *Namespace) { s.Namespaces = append(s.Namespaces, *n) }

// link fills in what follows from other objects.
func (s *Schema) link() {
	s.indexes, s.references = map[uint32][]*Index{}, map[uint32][]Reference{}
	objects := make([]any, 0, len(s.ByOID))
	for _, o := range s.ByOID {
		objects = append(objects, o)
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *Index:
			// The table was dropped by a program that doesn't know our definitions.
			if t, ok := s.ByOID[o.Table].(*Table); !ok || t.View {
				delete(s.ByOID, o.OID)
				delete(s.Indexes, Key{o.Namespace, o.RelationName()})
				continue
			}
			s.indexes[o.Table] = append(s.indexes[o.Table], o)
		case *Table:
			if s.stale(o) {
				o = o.clone()
				for _, k := range o.Constraints {
					if k.Kind == ForeignKey {
						s.resolve(k)
					}
				}
				s.ByOID[o.OID], s.Tables[o.Key()] = o, o
			}
			for _, k := range o.Constraints {
				s.ByOID[k.OID] = k
				if k.Kind == ForeignKey && k.RefTable != 0 {
					s.references[k.RefTable] = append(s.references[k.RefTable], Reference{o, k})
				}
			}
		case *Domain:
			for _, k := range o.Constraints {
				s.ByOID[k.OID] = k
			}
		}
	}
	for _, list := range s.indexes {
		sortIndexes(list)
	}
	for _, list := range s.references {
		sortReferences(list)
	}
}

// stale tells whether a foreign key of a table doesn't name the table that it refers to, as it is now. That happens to
// tables of other programs and by them; our own DDL keeps the names right.
func (s *Schema) stale(t *Table) bool {
	return slices.ContainsFunc(t.Constraints, func(k *Constraint) bool {
		if k.Kind != ForeignKey {
			return false
		}
		if ref, ok := s.ByOID[k.RefTable].(*Table); ok && k.RefTable != 0 {
			return ref.Key() != k.RefTableName || len(k.RefColumns) == 0
		}
		return k.RefTable != 0 || s.Tables[k.RefTableName] != nil
	})
}

// resolve finds the table that a foreign key refers to.
func (s *Schema) resolve(k *Constraint) {
	ref, ok := s.ByOID[k.RefTable].(*Table)
	if !ok || k.RefTable == 0 {
		ref = s.Tables[k.RefTableName]
	}
	if ref == nil {
		k.RefTable = 0
		return
	}
	k.RefTable, k.RefTableName = ref.OID, ref.Key()
	if len(k.RefColumns) > 0 {
		return
	}
	for _, name := range k.RefNames {
		if col := ref.Column(name); col != nil {
			k.RefColumns = append(k.RefColumns, col.Num)
		}
	}
	if pk := ref.PrimaryKey(); pk != nil && len(k.RefNames) == 0 {
		k.RefColumns = slices.Clone(pk.Columns)
	}
}

// sqlName is the usual name of an object in SQLite.
func sqlName(namespace, name string) string {
	if namespace == Public || namespace == TempNamespace {
		return name
	}
	return namespace + "." + name
}
