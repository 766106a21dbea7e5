package schema

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Env is what DDL depends on beside the statement and the schema.
type Env struct {
	SearchPath []string // PostgreSQL: objects are created in the first that exists; nil: public
	Database   string   // the current database's name: MySQL qualifies names with it
	User       string   // owner of what is created
	// NoForeignKeyChecks is MySQL's foreign_key_checks = 0: foreign keys may name tables that don't exist yet, rows are
	// not validated, and referenced tables may be dropped. The caller also switches SQLite's foreign_keys off.
	NoForeignKeyChecks bool
	// Expr translates an expression to SQLite's SQL. Columns of scope (nil: there are none) are printed as bare quoted
	// names, without the table's. A conversion to a column's type is asked for by an *ir.Cast around the expression.
	Expr func(e ir.Expr, scope *Table) (sql string, t types.Type, err error)
	// Format prints a PostgreSQL expression as catalogs show it, given the type that it has to have and the types of
	// columns (postgres.Format); nil: the text that the parser made.
	Format func(e ir.Expr, want ir.TypeName, column func(name string) types.Type) (string, bool)
	// Query translates the query of a view or of CREATE TABLE … AS.
	Query func(q *ir.Query) (sql string, columns []QueryColumn, err error)
}

// QueryColumn is a result column of a translated query.
type QueryColumn struct {
	Name    string
	Type    types.Type
	NotNull bool
	Source  *Column // the column it comes from unchanged, nil for expressions
}

// Result tells what DDL did.
type Result struct {
	Tag     string // PostgreSQL's command tag: "CREATE TABLE"; "SELECT 5" for CREATE TABLE … AS
	Rows    int64  // rows written by CREATE TABLE … AS
	Notices []*sqlerr.Error
	Changed bool // the schema moved: load it again
}
