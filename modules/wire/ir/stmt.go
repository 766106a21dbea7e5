package ir

import "github.com/bop-platform/bop/modules/wire/types"

// Dialect is the language a statement was written in.
type Dialect uint8

// The dialects.
const (
	Postgres Dialect = iota
	MySQL
)

func (d Dialect) String() string { return [...]string{"postgresql", "mysql"}[d] }

// Statement is one parsed statement of a client's text.
type Statement struct {
	Dialect Dialect
	Text    string // the statement's own text, without the final semicolon
	Offset  int    // where Text begins in what the client sent
	Params  int    // number of parameters ($n: the highest n; ?: their count)
	// ParamTypes are types that the text itself gives ($1::int), index n-1; Unknown where it doesn't.
	Tree Stmt
}

// Stmt is one of the statement nodes of this package.
type Stmt interface{ stmt() }

// Name is a possibly qualified name. Schema is a PostgreSQL schema or a MySQL database.
type Name struct {
	Catalog string
	Schema  string
	Name    string
	Pos     int // byte offset in Statement.Text; -1 unknown
}

// TypeName is a type as written. Builtins have Type set; others (enums, domains) keep their name for the schema to resolve.
type TypeName struct {
	Type     types.Type
	Name     Name   // the name as written, when Type.Kind is Unknown; "" otherwise
	Declared string // as SHOW CREATE TABLE and format_type print it, e.g. "character varying(20)", "int(10) unsigned", "mediumtext"
	Array    bool   // an array of the named type
	Serial   bool   // PostgreSQL serial types: the type and a sequence
	Pos      int
}

// ---- queries

// Query is SELECT, VALUES, TABLE or a set operation, with what belongs to the whole.
type Query struct {
	With    *With
	Body    Body
	OrderBy []Order
	Limit   Expr // nil: none
	Offset  Expr
	Lock    Lock
	// CalcFoundRows is MySQL's SQL_CALC_FOUND_ROWS.
	CalcFoundRows bool
}

// Body is *Select, *SetOp or *Values.
type Body interface{ body() }

// Lock is a FOR UPDATE or FOR SHARE clause.
type Lock struct {
	Strength   LockStrength
	NoWait     bool
	SkipLocked bool
}

// LockStrength orders the locking clauses.
type LockStrength uint8

// The strengths; zero is no clause.
const (
	NoLock LockStrength = iota
	ForShare
	ForUpdate
)

// With is a WITH clause.
type With struct {
	Recursive bool
	CTEs      []CTE
}

// CTE is one common table expression. Stmt is *Query, *Insert, *Update or *Delete.
type CTE struct {
	Name         string
	Columns      []string
	Stmt         Stmt
	Materialized int8 // 0 unsaid, 1 MATERIALIZED, -1 NOT MATERIALIZED
}

// Select is one SELECT core.
type Select struct {
	Distinct   bool
	DistinctOn []Expr
	Items      []Item
	From       []TableExpr // comma-separated
	Where      Expr
	GroupBy    []Expr
	WithRollup bool
	Having     Expr
	Windows    []NamedWindow
}

// Item is one element of a select list or of RETURNING.
type Item struct {
	Expr  Expr   // *Star for * and t.*
	Alias string // as given by AS; "": the dialect's rule names the column
	Text  string // the expression's source text, MySQL's column name when there is no alias
}

// Order is one sort key. NullsFirst 0: the dialect's default (PostgreSQL: NULL is largest; MySQL: smallest).
type Order struct {
	Expr  Expr
	Desc  bool
	Nulls int8 // 0 default, 1 NULLS FIRST, -1 NULLS LAST
}

// NamedWindow is an element of a WINDOW clause.
type NamedWindow struct {
	Name string
	Spec Window
}

// SetOp is UNION, INTERSECT or EXCEPT of two queries (with their own ORDER BY and LIMIT if parenthesised).
type SetOp struct {
	Op          string // "UNION", "INTERSECT", "EXCEPT"
	All         bool
	Left, Right *Query
}

// Values is a list of rows; an element may be *Default inside INSERT.
type Values struct{ Rows [][]Expr }

// TableExpr is an element of FROM: *Table, *Join, *Derived or *TableFunc.
type TableExpr interface{ table() }

// Table names a table, view or CTE.
type Table struct {
	Name    Name
	Alias   string
	Columns []string // column aliases
	Only    bool
}

// JoinKind is the kind of a Join.
type JoinKind uint8

// The kinds of join; CrossJoin is also MySQL's JOIN without a condition.
const (
	InnerJoin JoinKind = iota
	LeftJoin
	RightJoin
	FullJoin
	CrossJoin
)

// Join joins two table expressions.
type Join struct {
	Kind        JoinKind
	Natural     bool
	Left, Right TableExpr
	Using       []string
	On          Expr
	Alias       string
}

// Derived is a subquery in FROM.
type Derived struct {
	Query   *Query
	Alias   string
	Columns []string
	Lateral bool
}

// TableFunc is a set-returning function in FROM. Several Funcs: ROWS FROM.
type TableFunc struct {
	Funcs      []*Func
	Alias      string
	Columns    []string
	Types      []TypeName // of a column definition list
	Ordinality bool
	Lateral    bool
}

func (*Select) body()     {}
func (*SetOp) body()      {}
func (*Values) body()     {}
func (*Table) table()     {}
func (*Join) table()      {}
func (*Derived) table()   {}
func (*TableFunc) table() {}

// ---- data

// Insert is INSERT and MySQL's REPLACE. Source nil: DEFAULT VALUES.
type Insert struct {
	With       *With
	Table      Name
	Alias      string
	Columns    []string // empty: all, in order
	Source     *Query
	OnConflict *OnConflict
	Returning  []Item
	Overriding string // "", "SYSTEM", "USER"
	Ignore     bool   // INSERT IGNORE
	Replace    bool
}

// OnConflict is ON CONFLICT and ON DUPLICATE KEY UPDATE (AnyKey).
type OnConflict struct {
	AnyKey     bool
	Columns    []IndexColumn
	Where      Expr // of the target
	Constraint string
	Update     []Assign // empty: DO NOTHING
	UpdateIf   Expr
	RowAlias   string // MySQL 8: VALUES (…) AS new
}

// Assign sets columns. Several Columns take a *Row or a *Subquery of as many columns.
type Assign struct {
	Columns []ColumnRef
	Value   Expr
}

// Update changes rows. PostgreSQL: Target is *Table and From the rest; MySQL: Target may be a *Join, From is empty.
type Update struct {
	With      *With
	Target    TableExpr
	Set       []Assign
	From      []TableExpr
	Where     Expr
	OrderBy   []Order
	Limit     Expr
	Returning []Item
	Ignore    bool
}

// Delete removes rows. Targets are the tables to delete from where From joins several (MySQL); empty: From's only table.
type Delete struct {
	With      *With
	Targets   []Name
	From      TableExpr
	Using     []TableExpr
	Where     Expr
	OrderBy   []Order
	Limit     Expr
	Returning []Item
	Ignore    bool
}

// Truncate empties tables.
type Truncate struct {
	Tables          []Name
	RestartIdentity bool
	Cascade         bool
}

// Copy is PostgreSQL's COPY. Exactly one of Table and Query is set.
type Copy struct {
	Table   *Name
	Columns []string
	Query   Stmt
	From    bool   // FROM (else TO)
	File    string // "": STDIN or STDOUT
	Program bool
	Format  string            // "text", "csv", "binary"
	Options map[string]string // lower-case option names: delimiter, null, header, quote, escape, encoding, freeze, force_quote (comma list or "*"), force_null, force_not_null
	Where   Expr
}

// LoadData is MySQL's LOAD DATA [LOCAL] INFILE.
type LoadData struct {
	Local                                           bool
	File                                            string
	Table                                           Name
	Columns                                         []string
	Set                                             []Assign
	Replace, Ignore                                 bool
	IgnoreLines                                     int
	FieldsTerminated, FieldsEnclosed, FieldsEscaped string
	OptionallyEnclosed                              bool
	LinesStarting, LinesTerminated                  string
	Charset                                         string
}

func (*Query) stmt()    {}
func (*Insert) stmt()   {}
func (*Update) stmt()   {}
func (*Delete) stmt()   {}
func (*Truncate) stmt() {}
func (*Copy) stmt()     {}
func (*LoadData) stmt() {}
