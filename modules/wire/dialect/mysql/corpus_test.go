package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// captured returns what real clients sent to a server, from its log.
func captured(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/captured/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captured statements: %v", err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(b), "\n-- [") {
			kind, text, ok := strings.Cut(part, "]\n")
			if ok && (kind == "Query" || kind == "Prepare" || kind == "Execute") {
				out[strings.TrimSuffix(strings.TrimSpace(text), ";")] = filepath.Base(f)
			}
		}
	}
	return out
}

func TestCaptured(t *testing.T) {
	for text, file := range captured(t) {
		list, err := Parse(text, Options{})
		if err != nil {
			t.Errorf("%s: %v\n\t%s", file, err, text)
			continue
		}
		for _, st := range list {
			if u, ok := st.Tree.(*ir.Unsupported); ok && u.What != "SHOW PACKAGE" { // asked of MariaDB only
				t.Errorf("%s: unsupported %s\n\t%s", file, u.What, text)
			}
		}
	}
}
