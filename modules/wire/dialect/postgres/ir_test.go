package postgres

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/types"
)

var rewrite = flag.Bool("rewrite", false, "write the trees into testdata/trees.txt")

// testdata/trees.txt holds statements, each followed by its tree, indented: fields that are zero and positions are left out.
func TestTrees(t *testing.T) {
	const file = "testdata/trees.txt"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	statement, want := "", ""
	check := func() {
		if statement == "" {
			return
		}
		all, err := Parse(statement)
		got := ""
		if err != nil {
			got = "\t" + err.Error() + "\n"
		}
		for _, st := range all {
			var d strings.Builder
			dump(&d, reflect.ValueOf(st.Tree))
			got += "\t" + d.String() + "\n"
		}
		fmt.Fprintf(&out, "%s\n%s", statement, got)
		if got != want && !*rewrite {
			t.Errorf("%s\ngot\n%swant\n%s", statement, got, want)
		}
		statement, want = "", ""
	}
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.HasPrefix(line, "#"):
			check()
			out.WriteString(line)
		case strings.HasPrefix(line, "\t"):
			want += line
		default:
			check()
			statement = strings.TrimRight(line, "\n")
		}
	}
	check()
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func dump(b *strings.Builder, v reflect.Value) {
	switch x := v.Interface().(type) {
	case types.Value:
		switch x.Class {
		case types.Null:
			b.WriteString("NULL")
		case types.Int:
			fmt.Fprint(b, x.I)
		default:
			fmt.Fprintf(b, "%q", x.B)
		}
		return
	case types.Type:
		b.WriteString(x.PGName())
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		dump(b, v.Elem())
	case reflect.Struct:
		b.WriteString(v.Type().Name() + "{")
		first := true
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Pos" || v.Field(i).IsZero() {
				continue
			}
			if !first {
				b.WriteString(", ")
			}
			first = false
			b.WriteString(f.Name + ": ")
			dump(b, v.Field(i))
		}
		b.WriteString("}")
	case reflect.Slice:
		b.WriteString("[")
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			dump(b, v.Index(i))
		}
		b.WriteString("]")
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	case reflect.Uint8, reflect.Int8:
		fmt.Fprint(b, v.Interface())
	default:
		fmt.Fprint(b, v.Interface())
	}
}
