package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/plan"
)

// FuzzBuildPostgres and FuzzBuildMySQL look for panics, and for plans that SQLite doesn't compile.
func FuzzBuildPostgres(f *testing.F) { fuzzBuild(f, "postgres") }

// FuzzBuildMySQL is FuzzBuildPostgres for the other dialect.
func FuzzBuildMySQL(f *testing.F) { fuzzBuild(f, "mysql") }

func fuzzBuild(f *testing.F, dialectName string) {
	files, err := filepath.Glob("testdata/" + dialectName + "/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	setup, n := "", 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "\n\n") {
			head, body, _ := strings.Cut(part, "\n")
			body, _, _ = strings.Cut(body, "----")
			switch head {
			case "setup":
				if strings.HasSuffix(file, "queries.txt") {
					setup = body
				}
			case "same", "params":
				// The scripts' own tests run them all: a part is seed enough.
				if n++; n%5 == 0 {
					f.Add(body)
				}
			}
		}
	}
	d := openDB(f)
	if got := d.command("setup", dialectName, setup); got != "" {
		f.Fatal(got)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, _, err := parse(dialectName, text)
		if err != nil {
			return
		}
		for _, st := range list {
			p, err := plan.Build(st, &d.env)
			if err != nil || len(p.Params) > 100 || p.SQL == "" {
				continue
			}
			s, _, err := d.c.Prepare(p.SQL)
			if err != nil {
				t.Fatalf("%s\n%s\n%v", st.Text, p.SQL, err)
			}
			s.Close()
		}
	})
}
