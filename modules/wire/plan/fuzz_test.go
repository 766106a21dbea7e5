package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/plan"
)

// FuzzBuild looks for panics, and for plans that SQLite doesn't compile.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("testdata/postgres/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	setup := ""
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
				f.Add(body)
			}
		}
	}
	d := openDB(f)
	if got := d.command("setup", "postgres", setup); got != "" {
		f.Fatal(got)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := postgres.Parse(text)
		if err != nil {
			return
		}
		for _, st := range list {
			p, err := plan.Build(st, &d.env)
			if err != nil || len(p.Params) > 100 {
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
