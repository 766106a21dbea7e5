package types

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "time/tzdata"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// typeOf reads a type as the golden files write it: numeric(5,2), int4[], "char".
func typeOf(t testing.TB, name string) Type {
	t.Helper()
	base, mods, _ := strings.Cut(strings.Trim(name, `"`), "(")
	if name == `"char"` {
		return T(InternalChar)
	}
	if base == "char" {
		base = "bpchar"
	}
	typ, ok := PGTypeByName(base)
	if !ok {
		t.Fatalf("no type %q", name)
	}
	if mods == "" {
		return typ
	}
	p, s, _ := strings.Cut(strings.TrimSuffix(mods, ")"), ",")
	n, _ := strconv.Atoi(p)
	switch typ.Kind {
	case Numeric:
		scale, _ := strconv.Atoi(s)
		typ.Len, typ.Scale = int32(n), int32(scale)
	case Varchar, Char, Bit:
		typ.Len = int32(n)
	default:
		typ.Len = int32(n) + 1
	}
	return typ
}

func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n").Replace(s)
}

// goldenLines are the lines of a golden file, cut at tabs.
func goldenLines(t testing.TB, file string) [][]string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(b)) {
		out = append(out, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return out
}

func berlin(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestValuesReadAndPrintAsPostgreSQLDoes(t *testing.T) {
	in := &Input{Location: berlin(t), Explicit: true}
	format := NewPGFormat()
	format.Location = in.Location
	for _, f := range goldenLines(t, "pg_values.tsv") {
		name, input, want, wantBinary := f[0], unescape(f[1]), unescape(f[2]), f[3]
		t.Run(name+" "+f[1], func(t *testing.T) {
			typ := typeOf(t, name)
			v, err := ParseText(typ, []byte(input), in)
			if strings.HasPrefix(want, "!") {
				if err == nil {
					t.Fatalf("read as %s, want error %s", AppendPGText(nil, typ, v, format), want)
				}
				var e *sqlerr.Error
				if !errors.As(err, &e) {
					t.Fatalf("error is a %T: %v", err, err)
				}
				if got := "!" + e.State + " " + e.Message; got != want {
					t.Errorf("error\n got %s\nwant %s", got, want)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v, want %s", err, want)
			}
			if got := string(AppendPGText(nil, typ, v, format)); got != want {
				t.Errorf("got %q, want %q (stored as %s)", got, want, v.B)
			}
			if wantBinary == "" && want != "" || !typ.HasPGBinary() {
				return
			}
			b, err := AppendPGBinary(nil, typ, v, format)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(b); got != wantBinary {
				t.Errorf("binary\n got %s\nwant %s", got, wantBinary)
			}
			back, err := DecodePGBinary(typ, b)
			if err != nil {
				t.Fatalf("binary back: %v", err)
			}
			if back.Class != v.Class || back.I != v.I || back.F != v.F || !bytes.Equal(back.B, v.B) {
				t.Errorf("binary came back as %+v, was %+v", back, v)
			}
		})
	}
}
