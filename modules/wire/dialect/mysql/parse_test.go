package mysql

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

var update = flag.Bool("update", false, "write the trees of testdata/parse.txt anew")

// dump prints a tree without positions and without what is empty.
func dump(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case types.Value:
		switch x.Class {
		case types.Int:
			return strconv.FormatInt(x.I, 10)
		case types.Float:
			return strconv.FormatFloat(x.F, 'g', -1, 64)
		case types.String:
			return strconv.Quote(string(x.B))
		case types.Blob:
			return fmt.Sprintf("0x%x", x.B)
		}
		return "NULL"
	case types.Type:
		s := x.MySQLName()
		if x.Kind == types.Unknown {
			return "unknown"
		}
		return s
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return dump(v.Elem())
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			_, isValue := f.Interface().(types.Value)
			if name == "Pos" || f.IsZero() && !isValue {
				continue
			}
			parts = append(parts, name+":"+dump(f))
		}
		return v.Type().Name() + "{" + strings.Join(parts, " ") + "}"
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = dump(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.String:
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// options reads the modes at the head of a case: "ansi", "pipes", "nobackslash".
func options(modes string) Options {
	return Options{ANSIQuotes: strings.Contains(modes, "ansi"), PipesAsConcat: strings.Contains(modes, "pipes"), NoBackslashEscapes: strings.Contains(modes, "nobackslash")}
}

func answer(text string, o Options) string {
	list, err := Parse(text, o)
	var out []string
	for _, st := range list {
		line := dump(reflect.ValueOf(st.Tree))
		if st.Params > 0 {
			line += fmt.Sprintf(" params=%d", st.Params)
		}
		if len(list) > 1 {
			line += fmt.Sprintf(" at=%d text=%q", st.Offset, st.Text)
		}
		out = append(out, line)
	}
	if err != nil {
		var e *sqlerr.Error
		if !errors.As(err, &e) {
			return "not an *sqlerr.Error: " + err.Error()
		}
		out = append(out, fmt.Sprintf("error %d (%s) %s", e.Number, e.State, e.MyMessage))
	}
	return strings.Join(out, "\n")
}

// TestParse compares trees with those in testdata/parse.txt: a statement after "> ", its modes in brackets, and its tree.
func TestParse(t *testing.T) {
	const file = "testdata/parse.txt"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for part := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
		if strings.HasPrefix(part, "# ") {
			out.WriteString(part + "\n\n")
			continue
		}
		var text, want []string
		for line := range strings.SplitSeq(part, "\n") {
			if s, ok := strings.CutPrefix(line, "> "); ok && len(want) == 0 {
				text = append(text, s)
			} else {
				want = append(want, line)
			}
		}
		statement, modes := strings.Join(text, "\n"), ""
		if rest, ok := strings.CutPrefix(statement, "["); ok {
			modes, statement, _ = strings.Cut(rest, "] ")
		}
		got := answer(statement, options(modes))
		if !*update && got != strings.Join(want, "\n") {
			t.Errorf("%s\n got %s\nwant %s", statement, got, strings.Join(want, "\n"))
		}
		for _, l := range text {
			out.WriteString("> " + l + "\n")
		}
		out.WriteString(got + "\n\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimSpace(out.String())+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatements(t *testing.T) {
	t.Run("statements before a bad one are returned with its error", func(t *testing.T) {
		list, err := Parse("SELECT 1; SELEC 2; SELECT 3", Options{})
		if len(list) != 1 || list[0].Text != "SELECT 1" {
			t.Fatalf("got %d statements", len(list))
		}
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.Number != 1064 {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a text of comments is empty", func(t *testing.T) {
		for _, text := range []string{"", " ; ;", "-- nothing\n", "/* c */ # d", "/*!99999 SELECT 1 */;", "/*M!100100 SET x=1 */"} {
			list, err := Parse(text, Options{})
			if err != nil || len(list) != 1 {
				t.Fatalf("%q: %d statements, %v", text, len(list), err)
			}
			if _, ok := list[0].Tree.(*ir.Empty); !ok {
				t.Fatalf("%q: %T", text, list[0].Tree)
			}
		}
	})
	t.Run("nesting is bounded", func(t *testing.T) {
		for _, text := range []string{
			"SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000),
			"SELECT 1" + strings.Repeat("+1", 100_000),
			"SELECT " + strings.Repeat("NOT ", 5000) + "1",
			"SELECT " + strings.Repeat("CASE WHEN 1 THEN ", 3000) + "1" + strings.Repeat(" END", 3000),
			"SELECT * FROM a" + strings.Repeat(",a", 5000),
			"SELECT 1" + strings.Repeat(" UNION SELECT 1", 2000),
			strings.Repeat("SELECT (", 2000),
			"SELECT 1 WHERE 1" + strings.Repeat(" OR 1", 100_000),
		} {
			_, err := Parse(text, Options{})
			var e *sqlerr.Error
			if !errors.As(err, &e) || e.Number != 1436 {
				t.Errorf("%.40q: %v", text, err)
			}
		}
	})
	t.Run("long lists and long chains of OR are not", func(t *testing.T) {
		for _, text := range []string{
			"SELECT 1 WHERE 1 IN (1" + strings.Repeat(",1", 50_000) + ")",
			"SELECT 1 WHERE 1" + strings.Repeat(" OR 1 = 2", 5_000),
			"INSERT INTO t VALUES (1, 'a')" + strings.Repeat(", (1, 'a')", 20_000),
		} {
			if _, err := Parse(text, Options{}); err != nil {
				t.Errorf("%.40q: %v", text, err)
			}
		}
	})
	t.Run("a number longer than any decimal is an error", func(t *testing.T) {
		if _, err := Parse("SELECT "+strings.Repeat("9", 200), Options{}); err == nil {
			t.Fatal("no error")
		}
		if _, err := Parse("SELECT 1", Options{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a text beyond the limit is refused", func(t *testing.T) {
		_, err := Parse(strings.Repeat(" ", MaxText+1), Options{})
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.Number != 1153 {
			t.Fatalf("got %v", err)
		}
	})
}
