package funcs

import (
	"errors"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// open returns a connection with the functions registered.
func open(t testing.TB, env *Env) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := Register(c, env); err != nil {
		t.Fatal(err)
	}
	return c
}

// eval runs a query and returns the text of its only value, "NULL" for NULL.
func eval(t testing.TB, c *sqlite3.Conn, sql string) (string, error) {
	t.Helper()
	st, _, err := c.Prepare(sql)
	if err != nil {
		return "", err
	}
	defer st.Close()
	if !st.Step() {
		return "", st.Err()
	}
	switch st.ColumnType(0) {
	case sqlite3.NULL:
		return "NULL", nil
	case sqlite3.FLOAT:
		return string(types.AppendMySQLFloat(nil, st.ColumnFloat(0), false)), nil
	}
	return st.ColumnText(0), nil
}

func TestErrorsCarryTheirState(t *testing.T) {
	c := open(t, &Env{})
	_, err := eval(t, c, "SELECT bop_div(1, 0)")
	var se *sqlite3.Error
	if !errors.As(err, &se) {
		t.Fatalf("got %v", err)
	}
	e, ok := sqlerr.Carried(se.Error())
	if !ok || e.State != "22012" || e.Message != "division by zero" || e.Number != 1365 {
		t.Fatalf("got %+v from %q", e, se.Error())
	}
}
