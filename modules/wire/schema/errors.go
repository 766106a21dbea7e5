package schema

import (
	"errors"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/ncruces/go-sqlite3"
)

// written spells a name as the client did.
func written(n ir.Name) string {
	if n.Schema != "" {
		return n.Schema + "." + n.Name
	}
	return n.Name
}

func (w *work) noTable(n ir.Name) *sqlerr.Error {
	return sqlerr.New("42P01", "relation \"%s\" does not exist", written(n)).
		My(1146, "Table '%s.%s' doesn't exist", w.env.Database, n.Name).At(n.Pos)
}

func noNamespace(name string) *sqlerr.Error {
	return sqlerr.New("3F000", "schema \"%s\" does not exist", name).My(1049, "Unknown database '%s'", name)
}

func relationExists(name string) *sqlerr.Error {
	return sqlerr.New("42P07", "relation \"%s\" already exists", name).My(1050, "Table '%s' already exists", name)
}

func noColumn(t *Table, name string) *sqlerr.Error {
	e := sqlerr.New("42703", "column \"%s\" of relation \"%s\" does not exist", name, t.Name).
		My(1054, "Unknown column '%s' in '%s'", name, t.Name)
	e.Table, e.Column = t.Name, name
	return e
}

func columnExists(t, name string) *sqlerr.Error {
	return sqlerr.New("42701", "column \"%s\" of relation \"%s\" already exists", name, t).
		My(1060, "Duplicate column name '%s'", name)
}

// sqliteMessage returns what SQLite says of an error after its prefix; ok is false for other errors.
func sqliteMessage(err error) (msg string, ok bool) {
	var e *sqlite3.Error
	if !errors.As(err, &e) {
		return "", false
	}
	msg = e.Error()
	msg = strings.TrimPrefix(msg, "sqlite3: ")
	for _, p := range []string{"constraint failed: ", "SQL logic error: "} {
		msg = strings.TrimPrefix(msg, p)
	}
	return msg, true
}

// failed returns the rest of a message that begins with prefix, as SQLite names what broke a constraint.
func failed(err error, prefix string) (string, bool) {
	msg, ok := sqliteMessage(err)
	if !ok {
		return "", false
	}
	return strings.CutPrefix(msg, prefix)
}
