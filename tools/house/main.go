// Command house checks rules of this repository that no compiler knows: every package says what it is for, no package
// is a drawer for odds and ends, and modules import only the siblings that the architecture allows.
package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const house = "github.com/bop-platform/bop/"

// allowed lists, for each module, the siblings it may import. Arrows point one way.
var allowed = map[string][]string{
	"modules/aof":     nil,
	"modules/raft":    nil,
	"modules/seglog":  {"modules/aof", "modules/raft"},
	"modules/sqlite":  {"modules/aof", "modules/raft", "modules/seglog"},
	"modules/wire":    nil,
	"modules/procman": nil,
	"modules/agentic": {"modules/procman"},
	"apps/bop":        {"modules/raft", "modules/agentic", "modules/procman", "modules/sqlite", "modules/wire", "modules/aof"},
	"tools":           {"modules/aof", "modules/raft", "modules/seglog", "modules/sqlite", "modules/wire"},
}

// drawers are names that say nothing of what a package holds.
var drawers = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base"}

func main() {
	var found []string
	for _, top := range []string{"modules", "apps", "tools"} {
		if err := filepath.WalkDir(top, func(dir string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if name := d.Name(); name == "testdata" || strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			problems, err := inspect(dir)
			found = append(found, problems...)
			return err
		}); err != nil {
			fmt.Fprintln(os.Stderr, "house:", err)
			os.Exit(1)
		}
	}
	for _, f := range found {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// inspect returns what is wrong with the package in dir.
func inspect(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var problems []string
	documented, code := false, false
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		if slices.Contains(drawers, f.Name.Name) {
			problems = append(problems, fmt.Sprintf("%s: package %s: name it by what it holds", name, f.Name.Name))
		}
		if !strings.HasSuffix(name, "_test.go") {
			code = true
			documented = documented || f.Doc != nil
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if p := arrow(filepath.ToSlash(dir), path); p != "" {
				problems = append(problems, name+": "+p)
			}
		}
	}
	if code && !documented {
		problems = append(problems, dir+": no package comment: say in a sentence what the package is for")
	}
	return problems, nil
}

// arrow says what is wrong with an import, "" nothing.
func arrow(dir, path string) string {
	rest, ours := strings.CutPrefix(path, house)
	if !ours {
		return ""
	}
	from, to := moduleOf(dir), moduleOf(rest)
	if from == to || slices.Contains(allowed[from], to) {
		return ""
	}
	return fmt.Sprintf("%s must not import %s", from, to)
}

// moduleOf returns the module of a folder below the root.
func moduleOf(dir string) string {
	parts := strings.Split(dir, "/")
	if parts[0] == "tools" {
		return "tools"
	}
	return strings.Join(parts[:min(2, len(parts))], "/")
}
