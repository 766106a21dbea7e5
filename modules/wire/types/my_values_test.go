package types

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// columnType reads a MySQL column type as my_values.txt writes it.
func columnType(t testing.TB, name string) (typ Type, labels []string) {
	t.Helper()
	name, typ.Unsigned = strings.CutSuffix(name, " unsigned")
	base, mods, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	kind, ok := map[string]Kind{
		"tinyint": Int1, "smallint": Int2, "mediumint": Int3, "int": Int4, "bigint": Int8, "year": Year, "float": Float4,
		"double": Float8, "decimal": Numeric, "varchar": Varchar, "char": Char, "text": Text, "date": Date, "datetime": Timestamp,
		"timestamp": TimestampTZ, "time": Time, "enum": Enum, "set": Set,
	}[base]
	if !ok {
		t.Fatalf("no type %q", name)
	}
	typ.Kind = kind
	p, s, _ := strings.Cut(mods, ",")
	n, _ := strconv.Atoi(p)
	switch kind {
	case Numeric:
		scale, _ := strconv.Atoi(s)
		typ.Len, typ.Scale = int32(n), int32(scale)
	case Varchar, Char:
		typ.Len = int32(n)
	case Timestamp, TimestampTZ, Time:
		typ.Len = int32(n) + 1
	case Enum, Set:
		for _, l := range strings.Split(mods, ",") {
			labels = append(labels, strings.Trim(l, "'"))
		}
	}
	return typ, labels
}

// asMySQL is what MySQL 8 does otherwise than the recorded server: it rounds fractions of a second.
var asMySQL = map[string]string{
	"double abc":                                "!1265",
	"datetime 2024-02-29 10:11:12.6":            "2024-02-29 10:11:13",
	"datetime 2024-02-29 23:59:59.9":            "2024-03-01 00:00:00",
	"datetime(3) 2024-02-29 10:11:12.3456":      "2024-02-29 10:11:12.346",
	"datetime(6) 2024-02-29 10:11:12.123456789": "2024-02-29 10:11:12.123457",
	"time(3) 10:11:12.3456":                     "10:11:12.346",
	"time 10:11:12.5":                           "10:11:13",
}

func TestMySQLStoresTextAsTheServerDoes(t *testing.T) {
	for _, f := range goldenLines(t, "my_values.tsv") {
		typ, labels := columnType(t, f[0])
		for i, mode := range []string{"strict", "lenient"} {
			t.Run(f[0]+" "+f[1]+" "+mode, func(t *testing.T) {
				want := f[2+i]
				if w, ok := asMySQL[f[0]+" "+f[1]]; ok && (w[0] != '!' || i == 0) {
					want = w
				}
				warned := false
				in := &Input{MySQL: true, Strict: i == 0, ZeroDates: i == 1, Warn: func(uint16, string) { warned = true }}
				if labels != nil {
					in.Labels = func(Type) (string, []string) { return "t", labels }
				}
				v, err := ParseText(typ, []byte(f[1]), in)
				var got string
				if err != nil {
					var e *sqlerr.Error
					if !errors.As(err, &e) {
						t.Fatalf("error is a %T: %v", err, err)
					}
					got = "!" + strconv.Itoa(int(e.Number))
				} else {
					got = string(AppendMySQLText(nil, typ, v, nil))
				}
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if i == 1 && strings.HasPrefix(f[2], "!") && !warned && f[1] != "0000-00-00" && !strings.HasPrefix(f[1], "0000-00-00 ") && f[1] != "2024-00-00" {
					t.Error("no warning")
				}
			})
		}
	}
}
