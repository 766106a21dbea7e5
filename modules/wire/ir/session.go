package ir

// Begin starts a transaction. Isolation "" is the session's default.
type Begin struct {
	Isolation  string // "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"
	ReadOnly   *bool
	Deferrable *bool
	Snapshot   bool // MySQL: WITH CONSISTENT SNAPSHOT
}

// Commit ends a transaction; Chain begins another.
type Commit struct{ Chain, Release bool }

// Rollback undoes a transaction.
type Rollback struct{ Chain, Release bool }

// Savepoint sets a savepoint.
type Savepoint struct{ Name string }

// ReleaseSavepoint forgets a savepoint.
type ReleaseSavepoint struct{ Name string }

// RollbackTo goes back to a savepoint.
type RollbackTo struct{ Name string }

// PrepareTransaction and its companions of two-phase commit are Unsupported.

// Set sets session variables. PostgreSQL: one Assignment; MySQL: several.
type Set struct{ Vars []SetVar }

// SetVar is one assignment. Values empty: DEFAULT. SET TIME ZONE is name "timezone", SET NAMES "names"
// (values: charset[, collation]), SET CHARACTER SET "character_set", SET TRANSACTION "transaction" with Begin set,
// SET SESSION CHARACTERISTICS "session_characteristics", SET ROLE "role", SET PASSWORD is Unsupported. SET CONSTRAINTS is
// "constraints" (values: "deferred" or "immediate", then the names, none for ALL).
type SetVar struct {
	Name   string // lower case, with its prefix if any: "bop.read_consistency"
	Scope  string // "", "local", "session", "global", "user" (MySQL @x)
	Values []Expr
	Begin  *Begin
	Pos    int
}

// Reset is RESET name, RESET ALL (Name ""), DISCARD (Discard "ALL", "PLANS", "SEQUENCES", "TEMP").
type Reset struct {
	Name    string
	Discard string
}

// Show is PostgreSQL's SHOW name ("all", "transaction_isolation", "timezone" …).
type Show struct{ Name string }

// MyShow is MySQL's SHOW. Kind in upper case: "DATABASES", "TABLES", "TABLE STATUS", "COLUMNS", "INDEX", "CREATE TABLE",
// "CREATE VIEW", "CREATE DATABASE", "VARIABLES", "STATUS", "WARNINGS", "ERRORS", "COUNT WARNINGS", "PROCESSLIST", "ENGINES",
// "COLLATION", "CHARACTER SET", "GRANTS", "PLUGINS", "TRIGGERS", "EVENTS", "PROCEDURE STATUS", "FUNCTION STATUS",
// "PRIVILEGES", "MASTER STATUS", "BINARY LOGS", "SLAVE STATUS", "OPEN TABLES", "PROFILES".
type MyShow struct {
	Kind   string
	Full   bool
	Global bool
	Table  Name // of TABLES, COLUMNS, INDEX …: Schema is FROM db, Name the table
	Like   *string
	Where  Expr
	IfNot  bool
}

// Describe is MySQL's DESCRIBE table [column].
type Describe struct {
	Table  Name
	Column string // a name or a LIKE pattern
}

// Explain explains a statement.
type Explain struct {
	Analyze bool
	Format  string // "", "text", "json", "xml", "yaml", "tree", "traditional"
	Options map[string]string
	Stmt    Stmt
}

// Use is MySQL's USE.
type Use struct{ Database string }

// Prepare is PREPARE name AS statement. MySQL: FROM 'text' or @var (Text, FromVar).
type Prepare struct {
	Name    string
	Types   []TypeName
	Stmt    Stmt
	Text    string // the statement's own text
	FromVar string
}

// Execute is EXECUTE name (args), MySQL: USING @a, @b.
type Execute struct {
	Name string
	Args []Expr
}

// Deallocate forgets a prepared statement; Name "" all.
type Deallocate struct{ Name string }

// DeclareCursor is DECLARE name CURSOR FOR query.
type DeclareCursor struct {
	Name   string
	Hold   bool
	Scroll int8 // 0 unsaid, 1 SCROLL, -1 NO SCROLL
	Binary bool
	Query  *Query
	Text   string
}

// Fetch is FETCH and MOVE. How: "NEXT", "PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "FORWARD", "BACKWARD"; All with the last two.
type Fetch struct {
	Cursor string
	How    string
	Count  int64
	All    bool
	Move   bool
}

// CloseCursor closes a cursor; Name "" all.
type CloseCursor struct{ Name string }

// Listen, Unlisten ("*" all) and Notify are PostgreSQL's notifications.
type Listen struct{ Channel string }

// Unlisten stops listening.
type Unlisten struct{ Channel string }

// Notify sends a notification at commit.
type Notify struct{ Channel, Payload string }

// LockTables is LOCK TABLE and MySQL's LOCK TABLES; Unlock is UNLOCK TABLES.
type LockTables struct {
	Tables []Name
	Mode   string // "ACCESS SHARE" … "ACCESS EXCLUSIVE"; MySQL "READ", "WRITE"
	NoWait bool
	Unlock bool
}

// Maintain is VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, OPTIMIZE/CHECK/REPAIR/ANALYZE TABLE, FLUSH (Kind in upper case).
type Maintain struct {
	Kind    string
	Tables  []Name
	Options map[string]string
}

// Kill ends a session or its statement (MySQL).
type Kill struct {
	ID    uint64
	Query bool
}

// Do evaluates expressions and drops the result (MySQL DO). PostgreSQL's DO block is Unsupported.
type Do struct{ Exprs []Expr }

// GrantRevoke is GRANT and REVOKE of privileges or roles.
type GrantRevoke struct {
	Revoke     bool
	Privileges []string // empty: ALL
	Kind       ObjectKind
	Objects    []Name
	Roles      []string // to or from whom
	Granted    []string // roles that are granted
	WithGrant  bool
}

// Attempt is the one form of PostgreSQL's DO that migration tools write: BEGIN statements EXCEPTION WHEN condition THEN
// NULL; END. The statements run in a savepoint of their own; an error with one of States undoes them and is forgotten.
// States is empty when there is no EXCEPTION clause; "*" stands for any error (OTHERS).
type Attempt struct {
	Stmts  []*Statement
	States []string
}

// Empty is a statement without anything in it (only comments).
type Empty struct{}

func (*Begin) stmt()            {}
func (*Commit) stmt()           {}
func (*Rollback) stmt()         {}
func (*Savepoint) stmt()        {}
func (*ReleaseSavepoint) stmt() {}
func (*RollbackTo) stmt()       {}
func (*Set) stmt()              {}
func (*Reset) stmt()            {}
func (*Show) stmt()             {}
func (*MyShow) stmt()           {}
func (*Describe) stmt()         {}
func (*Explain) stmt()          {}
func (*Use) stmt()              {}
func (*Prepare) stmt()          {}
func (*Execute) stmt()          {}
func (*Deallocate) stmt()       {}
func (*DeclareCursor) stmt()    {}
func (*Fetch) stmt()            {}
func (*CloseCursor) stmt()      {}
func (*Listen) stmt()           {}
func (*Unlisten) stmt()         {}
func (*Notify) stmt()           {}
func (*LockTables) stmt()       {}
func (*Maintain) stmt()         {}
func (*Kill) stmt()             {}
func (*Do) stmt()               {}
func (*GrantRevoke) stmt()      {}
func (*Attempt) stmt()          {}
func (*Empty) stmt()            {}
