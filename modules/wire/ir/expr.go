package ir

import "github.com/bop-platform/bop/modules/wire/types"

// Expr is one of the expression nodes of this package.
type Expr interface{ expr() }

// Literal is a constant. A PostgreSQL string literal has Type Unknown until its context gives it one;
// DATE '…' and the like have theirs. Numbers keep their digits in Value.B as String when they don't fit int64 exactly
// (Type Numeric).
type Literal struct {
	Value types.Value
	Type  types.Type
	Pos   int
}

// Param is $N, or the N-th ?; N counts from 1.
type Param struct {
	N   int
	Pos int
}

// ColumnRef is a column, or whatever else a bare name can mean (a row of a table in PostgreSQL).
type ColumnRef struct {
	Schema string
	Table  string
	Name   string
	Pos    int
}

// Star is * or Table.*.
type Star struct {
	Schema string
	Table  string
	Pos    int
}

// Default is DEFAULT as a value.
type Default struct{ Pos int }

// Unary is a prefix operator: "-", "+", "NOT", "~" (bits), "!" and any PostgreSQL operator by its spelling.
type Unary struct {
	Op  string
	X   Expr
	Pos int
}

// Binary is an infix operator by its canonical spelling:
//
//	AND OR XOR = <> < <= > >= <=> (null-safe equal; IS NOT DISTINCT FROM) IS DISTINCT FROM
//	+ - * / DIV % ^ (power) & | # (bit xor) << >> || (concatenation)
//	~ ~* !~ !~* (POSIX regular expressions; MySQL REGEXP is REGEXP, NOT REGEXP)
//	-> ->> #> #>> @> <@ ? ?| ?& #- @@ && (JSON, arrays)  AT TIME ZONE  COLLATE is a node of its own
//
// "/" follows the dialect (PostgreSQL: whole for integers; MySQL: decimal); the statement's Dialect tells.
type Binary struct {
	Op          string
	Left, Right Expr
	Pos         int
}

// Like is LIKE, ILIKE or SIMILAR TO. Escape nil: the dialect's default, a backslash in both.
type Like struct {
	Kind       string // "LIKE", "ILIKE", "SIMILAR"
	Not        bool
	X, Pattern Expr
	Escape     Expr
	Pos        int
}

// Is tests X IS [NOT] What: "NULL", "TRUE", "FALSE", "UNKNOWN", "JSON".
type Is struct {
	X    Expr
	What string
	Not  bool
	Pos  int
}

// Between is X [NOT] BETWEEN [SYMMETRIC] Low AND High.
type Between struct {
	X, Low, High Expr
	Not          bool
	Symmetric    bool
	Pos          int
}

// In is X [NOT] IN (List) or X [NOT] IN (Query).
type In struct {
	X     Expr
	List  []Expr
	Query *Query
	Not   bool
	Pos   int
}

// Quantified is X Op ANY|ALL (Query or array expression).
type Quantified struct {
	X     Expr
	Op    string
	All   bool
	Query *Query
	Array Expr
	Pos   int
}

// Subquery is a scalar subquery; Exists and Array tell EXISTS (…) and ARRAY(…).
type Subquery struct {
	Query  *Query
	Exists bool
	Array  bool
	Pos    int
}

// Case is CASE [X] WHEN … THEN … ELSE … END.
type Case struct {
	X     Expr
	Whens []When
	Else  Expr
	Pos   int
}

// When is one branch of a Case.
type When struct{ Cond, Then Expr }

// Cast is an explicit conversion. Try: MySQL conversions that yield NULL or zero with a warning keep to that dialect's rule.
type Cast struct {
	X      Expr
	To     TypeName
	Assign bool // as a column of that type takes a value, which refuses more than CAST does in MySQL
	Pos    int
}

// Func is a call. Name is folded to lower case; Schema is kept ("pg_catalog"). Niladic SQL functions (CURRENT_DATE,
// CURRENT_TIMESTAMP(p), USER …) are calls too, by lower-case name: current_date, current_time, current_timestamp,
// localtime, localtimestamp, current_user, session_user, user, current_role, current_catalog, current_schema.
// EXTRACT(f FROM x) is extract('f', x); SUBSTRING(x FROM a FOR b) substring(x,a,b) (SUBSTRING(x FROM pattern) of
// PostgreSQL substring(x,pattern)); POSITION(a IN b) position(a,b) with a first; TRIM(BOTH c FROM x) btrim|ltrim|rtrim(x,c);
// OVERLAY overlay(x,y,from,len); COALESCE, NULLIF, GREATEST, LEAST, IF, IFNULL are calls as well.
// MySQL: DATE_ADD(x, INTERVAL n u) is date_add(x, *IntervalOf); GROUP_CONCAT's separator is the last argument, always given.
type Func struct {
	Schema      string
	Name        string
	Args        []Expr
	ArgNames    []string // PostgreSQL name => value; empty or as long as Args
	Variadic    bool     // the last argument is VARIADIC
	Star        bool     // count(*)
	Distinct    bool
	OrderBy     []Order // inside the call, or WITHIN GROUP
	WithinGroup bool
	Filter      Expr
	Over        *Window
	Pos         int
}

// Window is OVER name or OVER (…).
type Window struct {
	Name      string // OVER name, or the window that a specification extends
	Partition []Expr
	OrderBy   []Order
	Frame     string // SQLite's spelling of the frame with %s for each bound expression, "" none: "ROWS BETWEEN %s PRECEDING AND CURRENT ROW"
	Bounds    []Expr
}

// ArrayExpr is ARRAY[…].
type ArrayExpr struct {
	Elems []Expr
	Pos   int
}

// Row is ROW(…) or (a, b).
type Row struct {
	Elems []Expr
	Pos   int
}

// Index is X[I] or X[Low:High]; Field is (X).Field.
type Index struct {
	X         Expr
	I         Expr
	Low, High Expr
	Slice     bool
	Pos       int
}

// Field selects a field of a row value; Name "*" all.
type Field struct {
	X    Expr
	Name string
	Pos  int
}

// Collate is X COLLATE name.
type Collate struct {
	X         Expr
	Collation Name
	Pos       int
}

// IntervalOf is MySQL's INTERVAL n UNIT (unit in upper case, e.g. "DAY", "HOUR_MINUTE").
type IntervalOf struct {
	X    Expr
	Unit string
	Pos  int
}

// Variable is MySQL's @name (User) or @@[scope.]name, with an assignment when Assign is set (@a := 1).
type Variable struct {
	Name   string
	User   bool
	Scope  string // "", "global", "session"
	Assign Expr
	Pos    int
}

// Match is MySQL's MATCH (columns) AGAINST (x mode).
type Match struct {
	Columns []ColumnRef
	Against Expr
	Mode    string
	Pos     int
}

func (*Literal) expr()    {}
func (*Param) expr()      {}
func (*ColumnRef) expr()  {}
func (*Star) expr()       {}
func (*Default) expr()    {}
func (*Unary) expr()      {}
func (*Binary) expr()     {}
func (*Like) expr()       {}
func (*Is) expr()         {}
func (*Between) expr()    {}
func (*In) expr()         {}
func (*Quantified) expr() {}
func (*Subquery) expr()   {}
func (*Case) expr()       {}
func (*Cast) expr()       {}
func (*Func) expr()       {}
func (*ArrayExpr) expr()  {}
func (*Row) expr()        {}
func (*Index) expr()      {}
func (*Field) expr()      {}
func (*Collate) expr()    {}
func (*IntervalOf) expr() {}
func (*Variable) expr()   {}
func (*Match) expr()      {}
