package schema

import (
	"cmp"
	"slices"
	"strings"
)

// Key returns the table's key in Schema.Tables.
func (t *Table) Key() Key { return Key{t.Namespace, t.Name} }

// Column returns the column of that name, nil if there is none. Names are compared as MySQL does (without case) only
// when no column has the name exactly and the table has one that differs in case alone.
func (t *Table) Column(name string) *Column {
	var folded *Column
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
		if folded == nil && strings.EqualFold(c.Name, name) {
			folded = c
		}
	}
	return folded
}

// exact returns the column whose name is spelled exactly so.
func (t *Table) exact(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// ColumnByNum returns the column with an attnum, nil if there is none.
func (t *Table) ColumnByNum(n int16) *Column {
	if i := int(n) - 1; i >= 0 && i < len(t.Columns) && t.Columns[i].Num == n {
		return t.Columns[i]
	}
	for _, c := range t.Columns {
		if c.Num == n {
			return c
		}
	}
	return nil
}

// PrimaryKey returns the primary key, nil if there is none.
func (t *Table) PrimaryKey() *Constraint {
	for _, k := range t.Constraints {
		if k.Kind == PrimaryKey {
			return k
		}
	}
	return nil
}

// Constraint returns the constraint of that name, nil if there is none.
func (t *Table) Constraint(name string) *Constraint {
	for _, k := range t.Constraints {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// RelationName is the index's name among PostgreSQL's relations.
func (x *Index) RelationName() string { return cmp.Or(x.Relation, x.Name) }

// Namespace returns the namespace of that name, nil if there is none.
func (s *Schema) Namespace(name string) *Namespace {
	for i := range s.Namespaces {
		if s.Namespaces[i].Name == name {
			return &s.Namespaces[i]
		}
	}
	return nil
}

// Find looks for a table or view: in namespace if it is given, else among temporary ones, then along path (nil:
// public). nil if there is none.
func (s *Schema) Find(path []string, namespace, name string) *Table {
	for ns := range s.candidates(path, namespace) {
		if t := s.Tables[Key{ns, name}]; t != nil {
			return t
		}
	}
	return nil
}

// candidates are the namespaces to look in, in order.
func (s *Schema) candidates(path []string, namespace string) func(func(string) bool) {
	return func(yield func(string) bool) {
		if namespace != "" {
			yield(namespace)
			return
		}
		if s.HasTemp && !slices.Contains(path, TempNamespace) && !yield(TempNamespace) {
			return
		}
		if path == nil {
			yield(Public)
			return
		}
		for _, ns := range path {
			if !yield(ns) {
				return
			}
		}
	}
}

// Relation looks like Find for anything that PostgreSQL keeps in pg_class: *Table, *Index or *Sequence; nil if there is
// none.
func (s *Schema) Relation(path []string, namespace, name string) any {
	for ns := range s.candidates(path, namespace) {
		key := Key{ns, name}
		if q := s.Sequences[key]; q != nil {
			return q
		}
		if t := s.Tables[key]; t != nil {
			return t
		}
		if x := s.Indexes[key]; x != nil {
			return x
		}
	}
	return nil
}

// Indices returns a table's indexes in the order of their OIDs, the primary key's first.
func (s *Schema) Indices(t *Table) []*Index {
	if s.indexes != nil {
		return s.indexes[t.OID]
	}
	var out []*Index
	for _, x := range s.Indexes {
		if x.Table == t.OID {
			out = append(out, x)
		}
	}
	sortIndexes(out)
	return out
}

func sortIndexes(out []*Index) {
	slices.SortFunc(out, func(a, b *Index) int {
		if a.Primary != b.Primary {
			if a.Primary {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.OID, b.OID)
	})
}

// Referencing returns the foreign keys that point at a table, with the tables that have them, in a stable order.
func (s *Schema) Referencing(t *Table) []Reference {
	if s.references != nil {
		return s.references[t.OID]
	}
	var out []Reference
	for _, from := range s.Tables {
		for _, k := range from.Constraints {
			if k.Kind == ForeignKey && (k.RefTable == t.OID || k.RefTable == 0 && k.RefTableName == t.Key()) {
				out = append(out, Reference{from, k})
			}
		}
	}
	sortReferences(out)
	return out
}

func sortReferences(out []Reference) {
	slices.SortFunc(out, func(a, b Reference) int { return cmp.Compare(a.Constraint.OID, b.Constraint.OID) })
}

// Reference is a foreign key with its table.
type Reference struct {
	Table      *Table
	Constraint *Constraint
}

// SortedTables returns the tables and views in the order of namespace and name.
func (s *Schema) SortedTables() []*Table {
	out := make([]*Table, 0, len(s.Tables))
	for _, t := range s.Tables {
		if t.Sequence == 0 {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *Table) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return out
}

// Memo returns what make returned for the key, which it keeps with the snapshot: catalogs and caches derive things from
// a snapshot once and lose them with it.
func (s *Schema) Memo(key any, make func() any) any {
	if s.memo == nil {
		return make()
	}
	if v, ok := s.memo.Load(key); ok {
		return v
	}
	v, _ := s.memo.LoadOrStore(key, make())
	return v
}
