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
	HasTemp    bool           // temporary objects of this connection are among them: the snapshot is this connection's own
	ByOID      map[uint32]any // *Table, *Index, *Constraint, *Sequence, *Enum, *Domain, *Namespace
}

// Key names an object. Namespace is a PostgreSQL schema; MySQL's objects are in "public".
type Key struct{ Namespace, Name string }

// Public is the namespace of objects without another.
const Public = "public"

// TempNamespace is the namespace of temporary objects.
const TempNamespace = "pg_temp"

// Namespace is a PostgreSQL schema.
type Namespace struct {
	OID     uint32
	Name    string
	Owner   string
	Comment string
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
	// RowType and ArrayType are the OIDs of the table's row type and of arrays of it.
	RowType   uint32
	ArrayType uint32
	// Dialect is that of the statement that created the table: "postgresql", "mysql", "" for Foreign tables.
	Dialect string
	// LastColumn is the highest Num ever given out.
	LastColumn int16
	// Uses are the columns that a view reads: OIDs of tables and views with column names; "*" is all of them.
	Uses []Use
	// RowID is the column that is SQLite's rowid (INTEGER PRIMARY KEY), nil if none.
	RowID *Column
	// Foreign says that the table was not created through wire: types come from SQLite's declared types.
	Foreign bool
}

// Use names a column of a relation that a view reads.
type Use struct {
	Table  uint32
	Column string // "*": all of them
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
	Domain        uint32 // OID of the domain that gave the type, 0: none
	// Missing is the SQLite literal that rows written before the column was added read as; "" when there are none.
	// It stays SQLite's DEFAULT until the table is written anew, whatever becomes of Default.
	Missing string
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
	NoInherit         bool
	NotEnforced       bool
	Match             string
	// RefNames are the names of the referenced columns while the referenced table doesn't exist (RefTable 0): MySQL
	// lets a foreign key come first when foreign_key_checks is off.
	RefNames []string
	Comment  string
}

// Index is an index. The one of a primary key or unique constraint has Constraint set.
type Index struct {
	OID        uint32
	Namespace  string
	Name       string
	Relation   string // its name among PostgreSQL's relations, where Name is taken there (MySQL's are per table); "": Name
	SQLName    string // "" when SQLite keeps it as rowid or autoindex, or nothing is stored for it
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
	Nulls     int8 // 1 NULLS FIRST, -1 NULLS LAST, 0 the dialect's default
	Collation string
	OpClass   string
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
	Identity    bool // of an identity column: goes with it, and can't be dropped alone
	Temp        bool
	Comment     string
}

// Enum is an enumerated type. MySQL's ENUM columns have one of their own each, named table_column.
type Enum struct {
	OID       uint32
	ArrayOID  uint32
	Namespace string
	Name      string
	Owner     string
	Labels    []string
	// Table is the OID of the table whose MySQL ENUM column this is the type of; 0 for CREATE TYPE.
	Table   uint32
	Comment string
}

// Domain is a named type with constraints.
type Domain struct {
	OID         uint32
	ArrayOID    uint32
	Namespace   string
	Name        string
	Owner       string
	Comment     string
	Base        types.Type
	Declared    string
	NotNull     bool
	Default     string
	DefaultSQL  string
	Constraints []*Constraint
}
