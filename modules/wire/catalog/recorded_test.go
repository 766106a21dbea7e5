package catalog_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// psql records: go test ./catalog -run TestRecordedPostgres -psql 'psql -h HOST -p PORT -U USER NEWDATABASE', with an empty
// database of PostgreSQL 15.
var psql = flag.String("psql", "", "command that runs psql on an empty database of PostgreSQL 15, to record from")

// TestRecordedPostgres asks our catalogs what PostgreSQL 15 was asked, about the same definitions.
func TestRecordedPostgres(t *testing.T) {
	ddl, err := os.ReadFile("testdata/postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/postgres.queries.sql")
	if err != nil {
		t.Fatal(err)
	}
	queries := strings.Split(strings.TrimSpace(string(text)), "\n")
	if *psql != "" {
		recordPostgres(t, string(ddl), queries)
	}
	recorded, err := os.ReadFile("testdata/postgres.txt")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(strings.TrimSuffix(string(recorded), "\n"), "\n\n")
	if len(blocks) != len(queries) {
		t.Fatalf("%d answers are recorded for %d queries: record again", len(blocks), len(queries))
	}
	s := open(t)
	s.pg(string(ddl))
	for i, q := range queries {
		t.Run(q[:min(len(q), 60)], func(t *testing.T) {
			want := strings.Split(blocks[i], "\n")[1:]
			got, err := s.pgQuery(q)
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s\n%s", q, difference(got, want))
			}
		})
	}
}

func recordPostgres(t *testing.T, ddl string, queries []string) {
	run := func(sql string) string {
		args := strings.Fields(*psql)
		cmd := exec.Command(args[0], append(args[1:], "-AtX", "-q", "-v", "ON_ERROR_STOP=1", "-P", "null=∅", "-F", "|", "-f", "-")...)
		cmd.Stdin = strings.NewReader(sql)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		return string(out)
	}
	run(ddl)
	var b strings.Builder
	for i, q := range queries {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(q + "\n" + run(q+";"))
	}
	if err := os.WriteFile("testdata/postgres.txt", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pgQuery runs a query and prints its rows as psql -At does.
func (s *server) pgQuery(q string) ([]string, error) {
	list, err := postgres.Parse(q)
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(list[0], s.planEnv())
	if err != nil {
		return nil, err
	}
	st, _, err := s.c.Prepare(p.SQL)
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, p.SQL)
	}
	defer st.Close()
	format := types.NewPGFormat()
	format.Name = s.objects.NameOf
	var out []string
	for st.Step() {
		cols := make([]string, st.ColumnCount())
		for i := range cols {
			var v types.Value
			switch st.ColumnType(i) {
			case sqlite3.NULL:
				cols[i] = "∅"
				continue
			case sqlite3.INTEGER:
				v = types.IntValue(st.ColumnInt64(i))
			case sqlite3.FLOAT:
				v = types.FloatValue(st.ColumnFloat(i))
			default:
				v = types.StringValue(st.ColumnText(i))
			}
			cols[i] = string(types.AppendPGText(nil, p.Columns[i].Type, v, format))
		}
		out = append(out, strings.Join(cols, "|"))
	}
	return out, st.Err()
}

// difference shows the lines that only one side has.
func difference(got, want []string) string {
	var b strings.Builder
	for _, l := range want {
		if !slices.Contains(got, l) {
			b.WriteString("PostgreSQL: " + l + "\n")
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			b.WriteString("here:       " + l + "\n")
		}
	}
	if b.Len() == 0 {
		return "the order differs:\n" + strings.Join(got, "\n") + "\nnot\n" + strings.Join(want, "\n")
	}
	return b.String()
}
