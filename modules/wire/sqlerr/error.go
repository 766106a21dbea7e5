// Package sqlerr is the one error type that wire shows to clients: it carries what the PostgreSQL and the MySQL
// protocol each need.
package sqlerr

import "fmt"

// Error is an error in terms of both protocols. The zero Severity is ERROR.
type Error struct {
	State      string // SQLSTATE as PostgreSQL would send it, five characters
	Number     uint16 // MySQL error number; 0: derived from State
	MyState    string // SQLSTATE as MySQL would send it; "": derived from Number
	Message    string // one sentence, lower case, as PostgreSQL words it
	MyMessage  string // as MySQL words it; "": Message
	Detail     string
	Hint       string // the next step for the reader
	Position   int    // 1-based character offset in the client's text; 0: unknown
	Schema     string
	Table      string
	Column     string
	Constraint string
	Context    string // where it happened: "COPY t, line 3, column a"
	Severity   string // "", FATAL, PANIC
	Err        error  // the cause, for logs; not shown to clients

	key []string // columns of a duplicate key
}

// Key returns the columns of the key that a duplicate was refused for, as SQLite names them; nil for other errors and
// keys of expressions.
func (e *Error) Key() []string { return e.key }

func (e *Error) Error() string { return e.Message + " (SQLSTATE " + e.State + ")" }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an Error with a SQLSTATE and a formatted message.
func New(state, format string, args ...any) *Error {
	return &Error{State: state, Message: fmt.Sprintf(format, args...)}
}

// My returns e with the number and words that MySQL uses.
func (e *Error) My(number uint16, format string, args ...any) *Error {
	e.Number = number
	e.MyMessage = fmt.Sprintf(format, args...)
	return e
}

// At returns e with a position; offset is 0-based in bytes of the client's text, negative: unknown.
func (e *Error) At(offset int) *Error {
	if offset >= 0 {
		e.Position = offset + 1
	}
	return e
}

// WithHint returns e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Unsupported is the error for a feature that is not there: SQLSTATE 0A000, MySQL 1235.
func Unsupported(what string) *Error {
	return New("0A000", "%s is not supported", what).My(1235, "This version of BOP doesn't yet support '%s'", what)
}
