package sqlerr

import (
	"context"
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/engine"
)

// situations are the engine's errors in the words of both protocols.
var situations = []struct {
	err     error
	state   string
	number  uint16
	message string
	hint    string
}{
	{engine.ErrOutcomeUnknown, "08007", 1180, "the outcome of the transaction is unknown", "Look whether it happened before trying again."},
	{engine.ErrSerialization, "40001", 1213, "could not serialize access: the transaction ran on a state that was rolled back", "Run the transaction again."},
	{engine.ErrBusySnapshot, "40001", 1213, "could not serialize access due to concurrent update", "Run the transaction again."},
	{engine.ErrLockTimeout, "55P03", 1205, "canceling statement due to lock timeout", ""},
	{engine.ErrReadOnly, "25006", 1290, "the database does not accept writes", ""},
	{engine.ErrNoDatabase, "3D000", 1049, "database does not exist", ""},
	{engine.ErrDatabaseExists, "42P04", 1007, "database already exists", ""},
	{engine.ErrUnavailable, "57P03", 1105, "the database is not available", ""},
}

// FromSQLite turns an error of SQLite, or of the engine that lent the connection, into one that clients understand. An
// *Error comes back as it is.
func FromSQLite(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, s := range situations {
		if errors.Is(err, s.err) {
			out := New(s.state, "%s", s.message)
			out.Number, out.Hint, out.Err = s.number, s.hint, err
			if s.err == engine.ErrOutcomeUnknown {
				out.MyState = s.state // MySQL has none that says so
			}
			if s.err == engine.ErrUnavailable || s.err == engine.ErrReadOnly {
				out.Detail = err.Error()
			}
			return out
		}
	}
	var s *sqlite3.Error
	var code sqlite3.ErrorCode
	if !errors.As(err, &s) && errors.As(err, &code) {
		// The binding itself returns bare codes where it doesn't ask SQLite.
		out := fromCode(code, code.ExtendedCode(), err.Error())
		out.Err = err
		return out
	}
	if s == nil {
		if errors.Is(err, sqlite3.INTERRUPT) {
			return canceled(err)
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return canceled(err)
		}
		out := New("XX000", "%s", err).My(1105, "%s", err)
		out.Err = err
		return out
	}
	text := message(s)
	if carried, ok := Carried(text); ok {
		carried.Err = err
		return carried
	}
	out := fromCode(s.Code(), s.ExtendedCode(), text)
	out.Err = err
	return out
}

// message takes the code's own words off the front of SQLite's text.
func message(s *sqlite3.Error) string {
	text := strings.TrimPrefix(s.Error(), "sqlite3: ")
	if i := strings.Index(text, ": "); i >= 0 && strings.HasPrefix(s.Code().Error(), "sqlite3: "+text[:i]) {
		return text[i+2:]
	}
	return text
}

func canceled(err error) *Error {
	out := New("57014", "canceling statement due to user request").My(1317, "Query execution was interrupted")
	out.Err = err
	return out
}

func fromCode(code sqlite3.ErrorCode, extended sqlite3.ExtendedErrorCode, text string) *Error {
	switch extended {
	case sqlite3.CONSTRAINT_UNIQUE, sqlite3.CONSTRAINT_PRIMARYKEY, sqlite3.CONSTRAINT_ROWID:
		return unique(text)
	case sqlite3.CONSTRAINT_NOTNULL:
		return notNull(text)
	case sqlite3.CONSTRAINT_FOREIGNKEY:
		return New("23503", "insert or update or delete violates a foreign key constraint").
			My(1452, "Cannot add, delete or update a row: a foreign key constraint fails")
	case sqlite3.CONSTRAINT_CHECK:
		return check(text)
	case sqlite3.CONSTRAINT_DATATYPE:
		return New("22P02", "%s", text).My(1366, "Incorrect value: %s", text)
	case sqlite3.BUSY_SNAPSHOT:
		return New("40001", "could not serialize access due to concurrent update").
			My(1213, "Deadlock found when trying to get lock; try restarting transaction").WithHint("Run the transaction again.")
	}
	switch code {
	case sqlite3.BUSY, sqlite3.LOCKED:
		return New("55P03", "canceling statement due to lock timeout").My(1205, "Lock wait timeout exceeded; try restarting transaction")
	case sqlite3.INTERRUPT:
		return canceled(code)
	case sqlite3.READONLY:
		return New("25006", "cannot execute the statement: the database is read-only").My(1290, "The server is running in read-only mode so it cannot execute this statement")
	case sqlite3.FULL:
		return New("53100", "could not write: the disk is full").My(1114, "The table is full").WithHint("Make room on the disk that holds the data folder.")
	case sqlite3.TOOBIG:
		return New("54000", "a value or statement is too large").My(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
	case sqlite3.NOMEM:
		return New("53200", "out of memory").My(1037, "Out of memory")
	case sqlite3.CORRUPT, sqlite3.NOTADB:
		return New("XX001", "%s", text).My(1194, "%s", text)
	case sqlite3.IOERR:
		return New("58030", "%s", text).My(1026, "%s", text)
	case sqlite3.MISMATCH:
		return New("22P02", "%s", text).My(1366, "Incorrect value: %s", text)
	case sqlite3.AUTH:
		return New("42501", "%s", text).My(1142, "%s", text)
	}
	return statement(text)
}

// unique is a duplicate key: "UNIQUE constraint failed: t.a, t.b", or "… failed: index 'name'".
func unique(text string) *Error {
	_, what, _ := strings.Cut(text, "failed: ")
	e := New("23505", "duplicate key value violates unique constraint")
	e.Table, e.Column = columns(what)
	if e.Table != "" {
		for part := range strings.SplitSeq(what, ", ") {
			e.key = append(e.key, strings.TrimPrefix(part, e.Table+"."))
		}
	}
	if name, ok := strings.CutPrefix(what, "index '"); ok {
		e.Constraint = strings.TrimSuffix(name, "'")
		e.Message += ` "` + e.Constraint + `"`
	}
	return e.My(1062, "Duplicate entry for key '%s'", strings.ReplaceAll(what, "'", ""))
}

// columns takes the table and the only column out of "t.a, t.b".
func columns(what string) (table, column string) {
	list := strings.Split(what, ", ")
	table, column, ok := cutLast(list[0], ".")
	if !ok || len(list) > 1 {
		column = ""
	}
	if !ok {
		return "", ""
	}
	return table, column
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func notNull(text string) *Error {
	_, what, _ := strings.Cut(text, "failed: ")
	table, column := columns(what)
	e := New("23502", `null value in column "%s" of relation "%s" violates not-null constraint`, column, table)
	e.Table, e.Column = table, column
	return e.My(1048, "Column '%s' cannot be null", column)
}

// check is a failed CHECK. The ones that stand for a type's range are named __bop_<what>_<column>.
func check(text string) *Error {
	_, name, _ := strings.Cut(text, "failed: ")
	for prefix, of := range map[string]func(column string) *Error{
		"__bop_range_": func(c string) *Error {
			return New("22003", "value is out of range for column %q", c).My(1264, "Out of range value for column '%s'", c)
		},
		"__bop_len_": func(c string) *Error {
			return New("22001", "value too long for the type of column %q", c).My(1406, "Data too long for column '%s'", c)
		},
		"__bop_enum_": func(c string) *Error {
			return New("22P02", "invalid input value for the enum of column %q", c).My(1265, "Data truncated for column '%s'", c)
		},
	} {
		if column, ok := strings.CutPrefix(name, prefix); ok {
			e := of(column)
			e.Column = column
			return e
		}
	}
	e := New("23514", `new row violates check constraint "%s"`, name)
	e.Constraint = name
	return e.My(3819, "Check constraint '%s' is violated.", name)
}

// statement is SQLITE_ERROR: what SQLite found wrong with a statement that was translated for it.
func statement(text string) *Error {
	for _, s := range []struct {
		prefix, state, message string
		number                 uint16
		my                     string
	}{
		{"no such table: ", "42P01", `relation "%s" does not exist`, 1146, "Table '%s' doesn't exist"},
		{"no such column: ", "42703", `column "%s" does not exist`, 1054, "Unknown column '%s' in 'field list'"},
		{"no such function: ", "42883", "function %s does not exist", 1305, "FUNCTION %s does not exist"},
		{"no such savepoint: ", "3B001", `savepoint "%s" does not exist`, 1305, "SAVEPOINT %s does not exist"},
	} {
		if name, ok := strings.CutPrefix(text, s.prefix); ok {
			return New(s.state, s.message, name).My(s.number, s.my, name)
		}
	}
	switch {
	case strings.Contains(text, "integer overflow"):
		return New("22003", "bigint out of range").My(1690, "BIGINT value is out of range")
	case strings.HasSuffix(text, "already exists"):
		return New("42P07", "%s", text).My(1050, "%s", text)
	case strings.Contains(text, "too many"):
		return New("54001", "%s", text).My(1105, "%s", text)
	}
	return New("XX000", "%s", text).My(1105, "%s", text)
}
