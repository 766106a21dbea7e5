package funcs

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Any matches an argument of any type; AnyElem and AnyArray bind to each other (PostgreSQL's anyelement, anyarray).
const (
	Any      types.Kind = 250 + iota // any type, as it is
	AnyElem                          // element type bound by AnyArray, or shared by all AnyElem arguments
	AnyArray                         // an array of AnyElem
	Same                             // result: the type of the first argument
)

// Form says how a function is called.
type Form uint8

// The forms.
const (
	Scalar Form = iota
	Aggregate
	WindowOnly
	SetReturning // a table function: FROM f(…), or in a select list
)

// Signature is one overload of a function, operator or cast of a dialect.
type Signature struct {
	Name     string // as the client calls it, lower case; operators by ir.Binary's spelling
	Args     []types.Kind
	Optional int  // how many of the last Args may be left out
	Variadic bool // the last of Args repeats
	Form     Form
	Result   types.Kind
	// ResultOf computes the result type where Result can't say it (typmods, MySQL decimals); nil: types.T(Result).
	ResultOf func(args []types.Type) types.Type
	// SQL is what is printed: $1, $2 … stand for the printed arguments (each in parentheses where needed), $* for all
	// of them separated by commas. "": the name as a plain call of the same SQLite function.
	SQL string
	// Columns names the result columns of a SetReturning signature that gives more than one (pg_get_keywords).
	Columns []ResultColumn
	// Volatile: has an effect, or differs between two calls of one statement; never folded.
	Volatile bool
	// Writes: changes the database (nextval, setval): the statement takes the writer's place.
	Writes bool
	// KeepNull: called with NULLs too; otherwise a NULL argument may be folded to NULL.
	KeepNull bool
}

// ResultColumn is a column of a table function.
type ResultColumn struct {
	Name string
	Type types.Type
}

// Level says in which context a conversion happens, as pg_cast.castcontext does.
type Level uint8

// The levels: each allows what the ones before it allow.
const (
	Implicit Level = iota
	Assignment
	Explicit
)

var (
	functions = map[ir.Dialect]map[string][]*Signature{}
	operators = map[ir.Dialect]map[string][]*Signature{}
)

// Lookup returns the overloads of a function.
func Lookup(d ir.Dialect, name string) []*Signature { return functions[d][name] }

// Operators returns the overloads of an operator; prefix operators have one argument.
func Operators(d ir.Dialect, op string) []*Signature { return operators[d][op] }

// Names returns the names of all functions of a dialect, for catalogs.
func Names(d ir.Dialect) map[string][]*Signature { return functions[d] }

// define is called by the init functions of this package's files, once per group of functions.
func define(ds []ir.Dialect, sigs ...*Signature) { add(functions, ds, sigs) }

func defineOp(ds []ir.Dialect, sigs ...*Signature) { add(operators, ds, sigs) }

func add(to map[ir.Dialect]map[string][]*Signature, ds []ir.Dialect, sigs []*Signature) {
	for _, d := range ds {
		if to[d] == nil {
			to[d] = map[string][]*Signature{}
		}
		for _, s := range sigs {
			to[d][s.Name] = append(to[d][s.Name], s)
		}
	}
}
