package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	_ "time/tzdata" // the tests of cron must not depend on the machine
)

// parse reads bop.yaml's text.
func parse(t testing.TB, text string) *Project {
	t.Helper()
	p, err := Parse("/srv/app", "bop.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// faultsOf reads text that has faults.
func faultsOf(t testing.TB, text string) Errors {
	t.Helper()
	_, err := Parse("/srv/app", "bop.yaml", []byte(text))
	return listOf(t, err)
}

func listOf(t testing.TB, err error) Errors {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("want Errors, got %v", err)
	}
	return list
}

// folder makes a folder with files.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustContain(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q isn't in:\n%s", part, text)
		}
	}
}
