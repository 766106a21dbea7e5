package postgres

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// testdata/formats.txt has PostgreSQL's own texts; to ask it again: go test -run TestFormat -psql "psql -h HOST …"
var psql = flag.String("psql", "", "command line of psql; records PostgreSQL's answers in testdata/formats.txt")

func TestFormat(t *testing.T) {
	const file = "testdata/formats.txt"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	columns := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") {
			from, to := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
			columns = line[from+1 : to]
			out.WriteString(line + "\n")
			continue
		}
		source, want, _ := strings.Cut(line, "\t")
		ddl, query := "", ""
		if check, ok := strings.CutPrefix(source, "CHECK "); ok {
			ddl = "CREATE TEMP TABLE x (" + columns + ", CHECK (" + check + "))"
			query = "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = 'x'::regclass"
		} else {
			typ, def, _ := strings.Cut(source, " = ")
			ddl = "CREATE TEMP TABLE x (z " + typ + " DEFAULT " + def + ")"
			query = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'x'::regclass"
		}
		if *psql != "" {
			args := strings.Fields(*psql)
			answer, err := exec.Command(args[0], append(args[1:], "-XqAt", "-c", ddl, "-c", query)...).Output()
			if err != nil {
				t.Fatalf("%s: %v", ddl, err)
			}
			want = strings.TrimSpace(string(answer))
			out.WriteString(source + "\t" + want + "\n")
		}
		t.Run(source, func(t *testing.T) {
			all, err := Parse(ddl)
			if err != nil {
				t.Fatal(err)
			}
			table := all[0].Tree.(*ir.CreateTable)
			got := table.Columns[0].DefaultText
			if strings.HasPrefix(source, "CHECK ") {
				got = table.Constraints[0].Text
			}
			if got != want {
				t.Errorf("got\n%s\nPostgreSQL\n%s", got, want)
			}
		})
	}
	if *psql != "" {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
