package plan

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Class says what a plan does to the database.
type Class uint8

// The classes.
const (
	Read    Class = iota // sees a snapshot
	Write                // takes the writer's place
	Utility              // not a plan of this package: DDL, transaction and session statements
)

// Env is what a plan depends on beside the statement. Two equal Envs give equal plans; session variables that only
// change values at run time (time zone, now()) are not here but in funcs.Env.
type Env struct {
	Schema     *schema.Schema
	SearchPath []string // PostgreSQL; nil: public
	Database   string   // current database: MySQL qualifies names with it
	ParamTypes []types.Type
	ANSIQuotes bool // MySQL sql_mode bits that change meaning
	PipesAsOr  bool
	Strict     bool // STRICT_TRANS_TABLES or STRICT_ALL_TABLES
	FoundRows  bool // client flag: an UPDATE counts the rows it found, not those it changed
	// NoAutoValueOnZero is the sql_mode bit: 0 is stored as it is in an AUTO_INCREMENT column.
	NoAutoValueOnZero  bool
	NoForeignKeyChecks bool // MySQL: foreign_key_checks = 0
	// BinaryStrings says that collation_connection is a binary one: strings of no column compare byte by byte.
	BinaryStrings bool
	// System finds the relations of pg_catalog, information_schema and mysql (package catalog): Table.SQLName is the
	// virtual table to read. namespace "" looks in those that the dialect searches implicitly. nil: there are none.
	System func(d ir.Dialect, namespace, name string) *schema.Table
}

// Column describes a result column.
type Column struct {
	Name      string
	Type      types.Type
	Table     *schema.Table  // origin, nil for expressions
	Source    *schema.Column // origin
	TableName string         // alias as the client sees it (MySQL)
	NotNull   bool
}

// Plan is immutable and may be shared by sessions.
type Plan struct {
	Dialect ir.Dialect
	Verb    string // "SELECT", "INSERT" …: the first word of the command tag
	Class   Class
	SQL     string       // one SQLite statement; parameter n is ?n
	Before  []string     // statements to run first in the same transaction, without parameters
	Params  []types.Type // the logical type of each parameter: values are bound in its storage form
	Columns []Column
	Touched []Access
	// AutoColumn is the column whose generated value LAST_INSERT_ID and lastval report, nil if none.
	AutoColumn *schema.Column
	Table      *schema.Table // target of a write
	CalcFound  string        // SQL that counts the rows without LIMIT (SQL_CALC_FOUND_ROWS), same parameters
	Stored     bool          // reads tables, sequences or catalogs, or changes them
	Volatile   bool          // calls nextval, setval or another function with an effect
	Warnings   []string
}

// Access is a privilege that a plan needs.
type Access struct {
	Table     *schema.Table
	Privilege string // "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"
	Columns   []string
}
