package schema

import (
	"sync"

	"github.com/bop-platform/bop/modules/wire/types"
)

// Schema is an immutable snapshot of the logical schema.
type Schema struct {
	Cookie     uint32 // SQLite's schema cookie it was read under
	Namespaces []Namespace
	Tables     map[Key]*Table // tables and views
	Indexes    map[Key]*Index
	Sequences  map[Key]*Sequence
	Enums      map[Key]*Enum
	Domains    map[Key]*Domain
	Extensions map[string]uint32 // OIDs of what CREATE EXTENSION named, by name
	HasTemp    bool              // temporary objects of this connection are among them: the snapshot is this connection's own
	ByOID      map[uint32]any    // *Table, *Index, *Constraint, *Sequence, *Enum, *Domain, *Namespace

	indexes    map[uint32][]*Index    // by table; nil in a Schema that Load didn't make
	references map[uint32][]Reference // by referenced table
	memo       *sync.Map
}

// Key names an object. Namespace is a PostgreSQL schema; MySQL's objects are in "public".
type Key struct{ Namespace, Name string }

// Public is the namespace of objects without another.
const Public = "public"

// TempNamespace is the namespace of temporary objects.
const TempNamespace = "pg_temp"

// Namespace is a PostgreSQL schema.
type Namespace struct {
	OID     uint32 `json:"-"`
	Name    string `json:"-"`
	Owner   string `json:"owner,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// Table is a table or a view.
type Table struct {
	OID         uint32            `json:"-"`
	Namespace   string            `json:"-"`
	Name        string            `json:"-"`
	SQLName     string            `json:"sql,omitempty"` // its name in SQLite: Name in public, "ns.name" elsewhere
	Owner       string            `json:"owner,omitempty"`
	Temp        bool              `json:"temp,omitempty"`
	View        bool              `json:"-"`
	ViewText    string            `json:"text,omitempty"` // the query in the dialect it was created in
	ViewDialect string            `json:"-"`              // "postgresql" or "mysql"
	Columns     []*Column         `json:"-"`
	Constraints []*Constraint     `json:"constraints,omitempty"`
	Comment     string            `json:"comment,omitempty"`
	Options     map[string]string `json:"options,omitempty"` // MySQL: engine, charset, collate …
	// RowType and ArrayType are the OIDs of the table's row type and of arrays of it.
	RowType   uint32 `json:"rowtype,omitempty"`
	ArrayType uint32 `json:"arraytype,omitempty"`
	// Dialect is that of the statement that created the table: "postgresql", "mysql", "" for Foreign tables.
	Dialect string `json:"dialect,omitempty"`
	// LastColumn is the highest Num ever given out.
	LastColumn int16 `json:"last,omitempty"`
	// Uses are the columns that a view reads: OIDs of tables and views with column names; "*" is all of them.
	Uses []Use `json:"uses,omitempty"`
	// RowID is the column that is SQLite's rowid (INTEGER PRIMARY KEY), nil if none.
	RowID *Column `json:"-"`
	// Sequence says that the relation shows the state of the sequence with this OID (SELECT last_value FROM s). Such
	// relations are in Schema.Tables, but they are no tables: SortedTables leaves them out.
	Sequence uint32 `json:"-"`
	// Foreign says that the table was not created through wire: types come from SQLite's declared types.
	Foreign bool `json:"-"`
}

// Use names a column of a relation that a view reads.
type Use struct {
	Table  uint32 `json:"t,omitempty"`
	Column string `json:"c,omitempty"` // "*": all of them
}

// Column is a column of a table.
type Column struct {
	Num           int16      `json:"n,omitempty"` // attnum, from 1; never used again after a drop
	Name          string     `json:"name,omitempty"`
	Type          types.Type `json:"-"`
	Declared      string     `json:"decl,omitempty"` // type as written: "character varying(20)", "int unsigned"
	NotNull       bool       `json:"notnull,omitempty"`
	Default       string     `json:"def,omitempty"`     // in the dialect it was written in; "" none
	DefaultSQL    string     `json:"defsql,omitempty"`  // in SQLite's SQL
	Dialect       string     `json:"dialect,omitempty"` // of Default, Generated: "postgresql" or "mysql"
	Generated     string     `json:"gen,omitempty"`
	GeneratedSQL  string     `json:"gensql,omitempty"`
	Stored        bool       `json:"stored,omitempty"`
	Identity      string     `json:"identity,omitempty"` // "", "ALWAYS", "BY DEFAULT"
	AutoIncrement bool       `json:"auto,omitempty"`
	OnUpdateNow   bool       `json:"onupdate,omitempty"` // MySQL ON UPDATE CURRENT_TIMESTAMP
	Sequence      uint32     `json:"seq,omitempty"`      // OID of the sequence that serial or identity owns
	NextVal       uint32     `json:"nextval,omitempty"`  // OID of the sequence whose nextval is the default
	Collation     string     `json:"coll,omitempty"`
	Charset       string     `json:"charset,omitempty"`
	Comment       string     `json:"comment,omitempty"`
	Domain        uint32     `json:"domain,omitempty"` // OID of the domain that gave the type, 0: none
	// Missing is the SQLite literal that rows written before the column was added read as; "" when there are none.
	// It stays SQLite's DEFAULT until the table is written anew, whatever becomes of Default.
	Missing string `json:"missing,omitempty"`
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
	OID               uint32         `json:"oid,omitempty"`
	Kind              ConstraintKind `json:"kind,omitempty"`
	Name              string         `json:"name,omitempty"`
	Columns           []int16        `json:"cols,omitempty"`  // attnums, in key order
	Index             uint32         `json:"index,omitempty"` // OID of the index behind a key
	Expr              string         `json:"expr,omitempty"`  // of a check, in its dialect
	ExprSQL           string         `json:"exprsql,omitempty"`
	Dialect           string         `json:"dialect,omitempty"`
	RefTable          uint32         `json:"ref,omitempty"` // OID
	RefTableName      Key            `json:"refname,omitzero"`
	RefColumns        []int16        `json:"refcols,omitempty"`
	OnDelete          string         `json:"ondelete,omitempty"` // "NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"
	OnUpdate          string         `json:"onupdate,omitempty"`
	Deferrable        bool           `json:"deferrable,omitempty"`
	InitiallyDeferred bool           `json:"deferred,omitempty"`
	NotValid          bool           `json:"notvalid,omitempty"`
	NoInherit         bool           `json:"noinherit,omitempty"`
	NotEnforced       bool           `json:"notenforced,omitempty"`
	Match             string         `json:"match,omitempty"`
	// RefNames are the names of the referenced columns while the referenced table doesn't exist (RefTable 0): MySQL
	// lets a foreign key come first when foreign_key_checks is off.
	RefNames []string `json:"refnames,omitempty"`
	Comment  string   `json:"comment,omitempty"`
}

// Index is an index. The one of a primary key or unique constraint has Constraint set.
type Index struct {
	OID        uint32        `json:"-"`
	Namespace  string        `json:"-"`
	Name       string        `json:"name,omitempty"`
	Relation   string        `json:"-"`             // its name among PostgreSQL's relations, where Name is taken there (MySQL's are per table); "": Name
	SQLName    string        `json:"sql,omitempty"` // "" when SQLite keeps it as rowid or autoindex, or nothing is stored for it
	Table      uint32        `json:"table,omitempty"`
	Columns    []IndexColumn `json:"cols,omitempty"`
	Include    []int16       `json:"include,omitempty"`
	Unique     bool          `json:"unique,omitempty"`
	Primary    bool          `json:"primary,omitempty"`
	Constraint uint32        `json:"constraint,omitempty"`
	Method     string        `json:"method,omitempty"`
	Where      string        `json:"where,omitempty"`
	WhereSQL   string        `json:"wheresql,omitempty"`
	Comment    string        `json:"comment,omitempty"`
}

// IndexColumn is a column or expression of an index.
type IndexColumn struct {
	Column    int16  `json:"c,omitempty"` // 0: an expression
	Expr      string `json:"expr,omitempty"`
	ExprSQL   string `json:"sql,omitempty"`
	Desc      bool   `json:"desc,omitempty"`
	Nulls     int8   `json:"nulls,omitempty"` // 1 NULLS FIRST, -1 NULLS LAST, 0 the dialect's default
	Collation string `json:"coll,omitempty"`
	OpClass   string `json:"opclass,omitempty"`
	Prefix    int    `json:"prefix,omitempty"`
	TypeOID   uint32 `json:"type,omitempty"` // of an expression: its PostgreSQL type
}

// Sequence is a sequence; its value is in the table __bop_sequences.
type Sequence struct {
	OID         uint32     `json:"-"`
	Namespace   string     `json:"-"`
	Name        string     `json:"-"`
	Owner       string     `json:"owner,omitempty"`
	Type        types.Type `json:"-"`
	Start       int64      `json:"start,omitempty"`
	Increment   int64      `json:"inc,omitempty"`
	Min         int64      `json:"min,omitempty"`
	Max         int64      `json:"max,omitempty"`
	Cache       int64      `json:"cache,omitempty"`
	Cycle       bool       `json:"cycle,omitempty"`
	OwnedTable  uint32     `json:"table,omitempty"`
	OwnedColumn int16      `json:"column,omitempty"`
	Identity    bool       `json:"identity,omitempty"` // of an identity column: goes with it, and can't be dropped alone
	Temp        bool       `json:"temp,omitempty"`
	Comment     string     `json:"comment,omitempty"`
}

// Enum is an enumerated type. MySQL's ENUM columns have one of their own each, named table_column.
type Enum struct {
	OID       uint32   `json:"-"`
	ArrayOID  uint32   `json:"array,omitempty"`
	Namespace string   `json:"-"`
	Name      string   `json:"-"`
	Owner     string   `json:"owner,omitempty"`
	Labels    []string `json:"labels,omitempty"`
	// Table is the OID of the table whose MySQL ENUM column this is the type of; 0 for CREATE TYPE.
	Table   uint32 `json:"table,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// Domain is a named type with constraints.
type Domain struct {
	OID         uint32        `json:"-"`
	ArrayOID    uint32        `json:"array,omitempty"`
	Namespace   string        `json:"-"`
	Name        string        `json:"-"`
	Owner       string        `json:"owner,omitempty"`
	Comment     string        `json:"comment,omitempty"`
	Base        types.Type    `json:"-"`
	Declared    string        `json:"decl,omitempty"`
	NotNull     bool          `json:"notnull,omitempty"`
	Default     string        `json:"def,omitempty"`
	DefaultSQL  string        `json:"defsql,omitempty"`
	Constraints []*Constraint `json:"constraints,omitempty"`
}
