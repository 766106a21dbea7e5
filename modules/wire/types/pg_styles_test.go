package types

import (
	"errors"
	"strconv"
	"testing"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func TestValuesPrintInEveryStyle(t *testing.T) {
	loc := berlin(t)
	for _, f := range goldenLines(t, "pg_styles.tsv") {
		t.Run(f[1]+" "+f[3], func(t *testing.T) {
			format := NewPGFormat()
			format.Location = loc
			switch f[0] {
			case "datestyle":
				switch f[1][:3] {
				case "SQL":
					format.DateStyle = SQLStyle
				case "Ger":
					format.DateStyle, format.DateOrder = GermanStyle, DMY
				case "Pos":
					format.DateStyle = PostgresStyle
				}
				if f[1][len(f[1])-3:] == "DMY" {
					format.DateOrder = DMY
				}
			case "intervalstyle":
				format.IntervalStyle = map[string]IntervalStyle{
					"postgres": IntervalPostgres, "postgres_verbose": IntervalVerbose, "sql_standard": IntervalSQL, "iso_8601": IntervalISO,
				}[f[1]]
			case "extra_float_digits":
				format.ExtraFloatDigits, _ = strconv.Atoi(f[1])
			case "bytea_output":
				format.ByteaEscape = true
			}
			typ := typeOf(t, f[2])
			v, err := ParseText(typ, []byte(f[3]), &Input{Location: loc})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(AppendPGText(nil, typ, v, format)); got != f[4] {
				t.Errorf("got %q, want %q", got, f[4])
			}
		})
	}
}

func TestDatesAreReadInTheSessionsOrder(t *testing.T) {
	for _, f := range goldenLines(t, "pg_orders.tsv") {
		t.Run(f[1]+" "+f[3], func(t *testing.T) {
			in, format := &Input{}, NewPGFormat()
			switch f[1] {
			case "ISO, DMY":
				in.DateOrder = DMY
			case "ISO, YMD":
				in.DateOrder = YMD
			case "sql_standard":
				in.IntervalStyle, format.IntervalStyle = IntervalSQL, IntervalSQL
			}
			typ := typeOf(t, f[2])
			v, err := ParseText(typ, []byte(f[3]), in)
			got := ""
			var e *sqlerr.Error
			switch {
			case errors.As(err, &e):
				got = "!" + e.State + " " + e.Message
			case err != nil:
				t.Fatal(err)
			default:
				got = string(AppendPGText(nil, typ, v, format))
			}
			if got != f[4] {
				t.Errorf("got %s, want %s", got, f[4])
			}
		})
	}
}
