package ir

// CreateTable creates a table.
type CreateTable struct {
	Name        Name
	Temp        bool
	Unlogged    bool
	IfNotExists bool
	Columns     []ColumnDef
	Constraints []Constraint
	Indexes     []CreateIndex // MySQL's KEY clauses
	As          *Query        // CREATE TABLE … AS
	WithNoData  bool
	Like        *Name
	LikeAll     bool              // INCLUDING ALL, and MySQL's LIKE
	OnCommit    string            // "", "DROP", "DELETE"
	Options     map[string]string // MySQL: engine, charset, collate, comment, auto_increment …
	Inherits    []Name
	PartitionBy bool
}

// ColumnDef defines a column. The texts beside expressions are in the client's dialect, as catalogs show them.
type ColumnDef struct {
	Name          string
	Type          TypeName
	NotNull       bool
	Null          bool // said explicitly
	Default       Expr
	DefaultText   string
	OnUpdate      Expr // MySQL: ON UPDATE CURRENT_TIMESTAMP
	AutoIncrement bool
	Identity      string // "", "ALWAYS", "BY DEFAULT"
	Sequence      *SequenceOptions
	Generated     Expr
	GeneratedText string
	Stored        bool
	Collation     string
	Charset       string
	Comment       string
	Constraints   []Constraint // those written at the column; Columns filled in
	Pos           int
}

// ConstraintKind is the kind of a Constraint.
type ConstraintKind uint8

// The kinds of constraint.
const (
	PrimaryKey ConstraintKind = iota
	Unique
	Check
	ForeignKey
	Exclude
)

// Constraint is a table constraint.
type Constraint struct {
	Kind              ConstraintKind
	Name              string // "": named by the dialect's rule
	Columns           []IndexColumn
	Expr              Expr // Check
	Text              string
	RefTable          Name
	RefColumns        []string
	OnDelete          string // "", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"
	OnUpdate          string
	Match             string
	Deferrable        bool
	InitiallyDeferred bool
	NotValid          bool
	NoInherit         bool
	UsingIndex        string
	NullsNotDistinct  bool
	NotEnforced       bool
}

// IndexColumn is a column or expression of an index or key.
type IndexColumn struct {
	Column    string
	Expr      Expr // when Column is ""
	Text      string
	Desc      bool
	Nulls     int8
	Collation string
	OpClass   string
	Prefix    int // MySQL: key on the first n characters
}

// AlterTable is ALTER TABLE (also ALTER INDEX, VIEW and SEQUENCE where they only rename or set an owner or schema, and
// ALTER TYPE, DOMAIN, SCHEMA and DATABASE where they set an owner or schema; for SCHEMA and DOMAIN also RenameTable).
type AlterTable struct {
	Name     Name
	IfExists bool
	Only     bool
	Kind     string // "TABLE", "INDEX", "VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA", "DATABASE"
	Actions  []AlterAction
}

// AlterAction is one action; Kind says which fields count.
type AlterAction struct {
	Kind       AlterKind
	Column     string // existing column
	NewName    string
	Def        *ColumnDef
	Constraint *Constraint
	Index      *CreateIndex
	Name       string // constraint or index; owner, schema
	Type       TypeName
	Using      Expr
	Collation  string
	Default    Expr
	Text       string
	First      bool
	After      string
	IfExists   bool
	IfNot      bool
	Cascade    bool
	Sequence   *SequenceOptions
	Options    map[string]string
	Query      *Query
}

// AlterKind says what an AlterAction does.
type AlterKind uint8

// The actions.
const (
	AddColumn AlterKind = iota
	DropColumn
	RenameColumn
	RenameTable
	RenameConstraint
	RenameIndex
	AlterColumnType // PostgreSQL
	ModifyColumn    // MySQL MODIFY and CHANGE: Column, Def
	SetDefault
	DropDefault
	SetNotNull
	DropNotNull
	AddConstraint
	DropConstraint
	DropPrimaryKey
	DropForeignKey
	ValidateConstraint
	AddIndex
	DropIndexAction
	AddIdentity
	DropIdentity
	SetIdentity
	DropExpression
	SetOwner
	SetSchema
	SetTableOptions
	SetStatistics // no effect on results: statistics, storage, cluster, replica identity, fill factor, enable/disable keys or triggers
	ConvertCharset
)

// CreateIndex creates an index.
type CreateIndex struct {
	Name             string
	Table            Name
	Columns          []IndexColumn
	Include          []string
	Unique           bool
	Method           string // "", "btree", "hash", "gin", "fulltext", "spatial" …
	Where            Expr
	WhereText        string
	IfNotExists      bool
	Concurrently     bool
	NullsNotDistinct bool
	Comment          string
}

// ObjectKind names what Drop and Comment speak of.
type ObjectKind string

// The kinds of object.
const (
	TableObject      ObjectKind = "table"
	ViewObject       ObjectKind = "view"
	MatViewObject    ObjectKind = "materialized view"
	IndexObject      ObjectKind = "index"
	SequenceObject   ObjectKind = "sequence"
	TypeObject       ObjectKind = "type"
	DomainObject     ObjectKind = "domain"
	SchemaObject     ObjectKind = "schema"
	ColumnObject     ObjectKind = "column"
	ConstraintObject ObjectKind = "constraint"
	DatabaseObject   ObjectKind = "database"
	ExtensionObject  ObjectKind = "extension"
	FunctionObject   ObjectKind = "function"
	TriggerObject    ObjectKind = "trigger"
	RoleObject       ObjectKind = "role"
)

// Drop drops objects. For MySQL's DROP INDEX i ON t, Table is set.
type Drop struct {
	Kind     ObjectKind
	Names    []Name
	Table    *Name
	Temp     bool
	IfExists bool
	Cascade  bool
}

// CreateView creates a view; Text is the query in the client's dialect.
type CreateView struct {
	Name         Name
	Columns      []string
	Query        *Query
	Text         string
	OrReplace    bool
	Temp         bool
	IfNotExists  bool
	Materialized bool
}

// SequenceOptions are the options of a sequence; nil pointers were not given.
type SequenceOptions struct {
	Type           TypeName
	Start, Restart *int64
	RestartDefault bool // RESTART without a value
	Increment      *int64
	Min, Max       *int64
	NoMin, NoMax   bool
	Cache          *int64
	Cycle          *bool
	OwnedTable     *Name // OWNED BY table.column; Name "" with OwnedNone
	OwnedColumn    string
	OwnedNone      bool
	Name           *Name // SEQUENCE NAME inside identity
}

// CreateSequence creates a sequence.
type CreateSequence struct {
	Name        Name
	Temp        bool
	IfNotExists bool
	Options     SequenceOptions
}

// AlterSequence changes a sequence.
type AlterSequence struct {
	Name     Name
	IfExists bool
	Options  SequenceOptions
}

// CreateEnum is CREATE TYPE … AS ENUM.
type CreateEnum struct {
	Name   Name
	Labels []string
}

// AlterEnum adds or renames a label, or renames the type.
type AlterEnum struct {
	Name        Name
	Add         string
	IfNotExists bool
	Before      string
	After       string
	RenameFrom  string
	RenameTo    string
	NewName     string
}

// CreateDomain is CREATE DOMAIN.
type CreateDomain struct {
	Name        Name
	Type        TypeName
	NotNull     bool
	Default     Expr
	DefaultText string
	Constraints []Constraint
}

// CreateSchema is CREATE SCHEMA.
type CreateSchema struct {
	Name        string
	IfNotExists bool
	Owner       string
}

// CreateDatabase and DropDatabase act on the server.
type CreateDatabase struct {
	Name        string
	IfNotExists bool
	Options     map[string]string
}

// DropDatabase drops a database.
type DropDatabase struct {
	Name     string
	IfExists bool
	Force    bool
}

// AlterDatabaseSet changes what a variable is for sessions on a database that don't set it.
type AlterDatabaseSet struct {
	Name    string
	Var     string // lower case; "" is all, of RESET ALL
	Reset   bool
	Current bool // to what it is in this session
	Values  []Expr
}

// AlterDatabase renames a database or sets options.
type AlterDatabase struct {
	Name    string
	NewName string
	Options map[string]string
}

// CommentOn sets or removes (nil) a comment.
type CommentOn struct {
	Kind   ObjectKind
	Name   Name
	Column string // of a column; name of a constraint
	Text   *string
}

// RenameTables is MySQL's RENAME TABLE.
type RenameTables struct{ From, To []Name }

// CreateExtension, and other definitions that the server accepts only when they name something it already has.
type CreateExtension struct {
	Name        string
	IfNotExists bool
}

// Unsupported is a statement that was understood but isn't supported; What names it: "CREATE FUNCTION".
type Unsupported struct{ What string }

func (*CreateTable) stmt()      {}
func (*AlterTable) stmt()       {}
func (*CreateIndex) stmt()      {}
func (*Drop) stmt()             {}
func (*CreateView) stmt()       {}
func (*CreateSequence) stmt()   {}
func (*AlterSequence) stmt()    {}
func (*CreateEnum) stmt()       {}
func (*AlterEnum) stmt()        {}
func (*CreateDomain) stmt()     {}
func (*CreateSchema) stmt()     {}
func (*CreateDatabase) stmt()   {}
func (*DropDatabase) stmt()     {}
func (*AlterDatabase) stmt()    {}
func (*AlterDatabaseSet) stmt() {}
func (*CommentOn) stmt()        {}
func (*RenameTables) stmt()     {}
func (*CreateExtension) stmt()  {}
func (*Unsupported) stmt()      {}
