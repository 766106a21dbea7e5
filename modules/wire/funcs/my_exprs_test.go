package funcs_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// answeredByMySQL is what MySQL 8 answers where the recorded server differs.
var answeredByMySQL = map[string]string{
	"'a' = 'a '":   "0", // utf8mb4_0900_ai_ci doesn't pad
	"any_value(3)": "3",
	"std(x) from (select 1 x union all select 3) t":           "1",
	"var_samp(x) from (select 1 x union all select 3) t":      "2",
	"json_arrayagg(x) from (select 1 x union all select 2) t": "[1, 2]",
	"json_objectagg(k, v) from (select 'a' k, 1 v) t":         `{"a": 1}`,
}

// ask translates a query of MySQL, runs it and returns the text of its first value.
func ask(t *testing.T, c *sqlite3.Conn, text string) string {
	t.Helper()
	sts, err := mysql.Parse(text, mysql.Options{})
	if err != nil || len(sts) != 1 {
		return "!parse: " + err.Error()
	}
	p, err := plan.Build(sts[0], &plan.Env{Schema: &schema.Schema{}, Database: "test", Strict: true})
	if err != nil {
		return "!plan: " + err.Error()
	}
	st, _, err := c.Prepare(p.SQL)
	if err != nil {
		return "!prepare: " + err.Error() + "\n" + p.SQL
	}
	defer st.Close()
	if !st.Step() {
		var se *sqlite3.Error
		if errors.As(st.Err(), &se) {
			if e, ok := sqlerr.Carried(se.Error()); ok {
				return "!" + e.MyMessage
			}
		}
		return "!run: " + st.Err().Error() + "\n" + p.SQL
	}
	var v types.Value
	switch st.ColumnType(0) {
	case sqlite3.NULL:
		return "NULL"
	case sqlite3.INTEGER:
		v = types.IntValue(st.ColumnInt64(0))
	case sqlite3.FLOAT:
		v = types.FloatValue(st.ColumnFloat(0))
	case sqlite3.TEXT:
		v = types.StringValue(st.ColumnText(0))
	case sqlite3.BLOB:
		v = types.BlobValue(st.ColumnBlob(0, nil))
	}
	// The client that recorded the results shows a backslash as two.
	return strings.ReplaceAll(string(types.AppendMySQLText(nil, p.Columns[0].Type, v, nil)), `\`, `\\`)
}

func TestExpressionsOfMySQLAnswerAsTheServerDoes(t *testing.T) {
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	env := &funcs.Env{Strict: true, Location: time.UTC, Database: "test"}
	if err := funcs.Register(c, env); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/my_exprs.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		expr, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		t.Run(expr, func(t *testing.T) {
			if w, ok := answeredByMySQL[expr]; ok {
				want = w
			}
			if got := ask(t, c, "SELECT "+expr); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
