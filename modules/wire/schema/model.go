// Package schema is the logical schema of a database: what the clients declared, beside what SQLite's own schema can
// hold. It is stored in tables of the database itself (their names begin with __bop_), written in the same transaction
// as the DDL, so that it replicates, rolls back and restores with the data.
package schema

import "github.com/bop-platform/bop/modules/wire/types"

// Schema is an immutable snapshot of the logical schema.
type Schema struct {
	Cookie     uint32 // SQLite's schema cookie it was read under
	Namespaces []Namespace
	Tables     map[Key]*Table // tables and views
	Indexes    map[Key]*Index
	Sequences  map[Key]*Sequence
	Enums      map[Key]*Enum
	Domains    map[Key]*Domain
	ByOID      map[uint32]any // *Table, *Index, *Constraint, *Sequence, *Enum, *Domain, *Namespace
}

// Key names an object. Namespace is a PostgreSQL schema; MySQL's objects are in "public".
type Key struct{ Namespace, Name string }

// Public is the namespace of objects without another.
const Public = "public"

// Namespace is a PostgreSQL schema.
type Namespace struct {
	OID   uint32
	Name  string
	Owner string
}

// Table is a table or a view.
type Table struct {
	OID         uint32
	Namespace   string
	Name        string
	SQLName     string // its name in SQLite: Name in public, "ns.name" elsewhere
	Owner       string
	Temp        bool
	View        bool
	ViewText    string // the query in the dialect it was created in
	ViewDialect string // "postgresql" or "mysql"
	Columns     []*Column
	Constraints []*Constraint
	Comment     string
	Options     map[string]string // MySQL: engine, charset, collate …
	// RowID is the column that is SQLite's rowid (INTEGER PRIMARY KEY), nil if none.
	RowID *Column
	// Foreign says that the table was not created through wire: types come from SQLite's declared types.
	Foreign bool
}

// Column is a column of a table.
type Column struct {
	Num           int16 // attnum, from 1; never used again after a drop
	Name          string
	Type          types.Type
	Declared      string // type as written: "character varying(20)", "int unsigned"
	NotNull       bool
	Default       string // in the dialect it was written in; "" none
	DefaultSQL    string // in SQLite's SQL
	Dialect       string // of Default, Generated: "postgresql" or "mysql"
	Generated     string
	GeneratedSQL  string
	Stored        bool
	Identity      string // "", "ALWAYS", "BY DEFAULT"
	AutoIncrement bool
	OnUpdateNow   bool   // MySQL ON UPDATE CURRENT_TIMESTAMP
	Sequence      uint32 // OID of the sequence that serial or identity owns
	Collation     string
	Charset       string
	Comment       string
}

// ConstraintKind is a constraint's kind as pg_constraint.contype spells it.
type ConstraintKind byte

// The kinds.
const (
	PrimaryKey ConstraintKind = 'p'
	Unique     ConstraintKind = 'u'
	Check      ConstraintKind = 'c'
	ForeignKey ConstraintKind = 'f'
)

// Constraint is a constraint of a table.
type Constraint struct {
	OID               uint32
	Kind              ConstraintKind
	Name              string
	Columns           []int16 // attnums, in key order
	Index             uint32  // OID of the index behind a key
	Expr              string  // of a check, in its dialect
	ExprSQL           string
	Dialect           string
	RefTable          uint32 // OID
	RefTableName      Key
	RefColumns        []int16
	OnDelete          string // "NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"
	OnUpdate          string
	Deferrable        bool
	InitiallyDeferred bool
	NotValid          bool
}

// Index is an index. The one of a primary key or unique constraint has Constraint set.
type Index struct {
	OID        uint32
	Namespace  string
	Name       string
	SQLName    string // "" when SQLite keeps it as rowid or autoindex
	Table      uint32
	Columns    []IndexColumn
	Include    []int16
	Unique     bool
	Primary    bool
	Constraint uint32
	Method     string
	Where      string
	WhereSQL   string
	Comment    string
}

// IndexColumn is a column or expression of an index.
type IndexColumn struct {
	Column    int16 // 0: an expression
	Expr      string
	ExprSQL   string
	Desc      bool
	Collation string
	Prefix    int
}

// Sequence is a sequence; its value is in the table __bop_sequences.
type Sequence struct {
	OID         uint32
	Namespace   string
	Name        string
	Owner       string
	Type        types.Type
	Start       int64
	Increment   int64
	Min, Max    int64
	Cache       int64
	Cycle       bool
	OwnedTable  uint32
	OwnedColumn int16
}

// Enum is an enumerated type. MySQL's ENUM columns have one of their own each, named table_column.
type Enum struct {
	OID       uint32
	ArrayOID  uint32
	Namespace string
	Name      string
	Labels    []string
}

// Domain is a named type with constraints.
type Domain struct {
	OID         uint32
	Namespace   string
	Name        string
	Base        types.Type
	Declared    string
	NotNull     bool
	Default     string
	DefaultSQL  string
	Constraints []*Constraint
}
