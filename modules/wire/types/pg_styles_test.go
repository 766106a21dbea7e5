package types

import (
	"strconv"
	"testing"
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
