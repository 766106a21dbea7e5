package pgcopy

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func options(t testing.TB, format string, given map[string]string, columns ...string) *Options {
	t.Helper()
	o, err := ParseOptions(format, given, columns)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// all reads everything and writes it as rows of [values].
func all(r *Reader) (string, error) {
	var b strings.Builder
	for {
		row, err := r.Row()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		for _, f := range row {
			if f.Null {
				b.WriteString("[NULL]")
			} else {
				fmt.Fprintf(&b, "[%s]", f.B)
			}
		}
		b.WriteByte(';')
	}
}

func TestReader(t *testing.T) {
	for _, c := range []struct {
		name, format string
		given        map[string]string
		data, want   string
		state        string // of the error
		context      string
	}{
		{name: "text is divided by tabs and lines", data: "a\tb\nc\td\n", want: "[a][b];[c][d];"},
		{name: "the last line may lack its end", data: "a\tb\nc\td", want: "[a][b];[c][d];"},
		{name: "nothing is no row", data: "", want: ""},
		{name: "values may be empty", data: "\t\n", want: "[][];"},
		{name: "NULL is a word of its own", data: "\\N\tx\\N\n", want: "[NULL][xN];"},
		{name: "escapes stand for characters", data: `\b\f\n\r\t\v\\` + "\t" + `\101\x41\x4Az\q\.` + "\n", want: "[\b\f\n\r\t\v\\][AAJzq.];"},
		{name: "an escaped line end is data", data: "a\\\nb\tc\n", want: "[a\nb][c];"},
		{name: "an escaped delimiter is data", data: "a\\\tb\tc\n", want: "[a\tb][c];"},
		{name: "the mark ends the data, whatever follows", data: "a\tb\n\\.\nx", want: "[a][b];"},
		{name: "lines may end as on Windows", data: "a\tb\r\nc\td\r\n", want: "[a][b];[c][d];"},
		{name: "lines may end as on old Macs", data: "a\tb\rc\td\r", want: "[a][b];[c][d];"},
		{name: "but not now so and now so", data: "a\tb\nc\td\r\n", want: "[a][b];", state: "22P04", context: "line 2"},
		{name: "too few values are refused", data: "a\tb\nc\n", want: "[a][b];", state: "22P04", context: "line 2"},
		{name: "so are too many", data: "a\tb\tc\n", state: "22P04", context: "line 1"},
		{name: "delimiter and NULL can be chosen", given: map[string]string{"delimiter": "|", "null": "-"}, data: "a|-\n", want: "[a][NULL];"},
		{name: "a header is passed over", given: map[string]string{"header": "true"}, data: "x\ty\na\tb\n", want: "[a][b];"},
		{name: "a header can be checked", given: map[string]string{"header": "match"}, data: "a\tb\n1\t2\n", want: "[1][2];"},
		{name: "a wrong header is refused", given: map[string]string{"header": "match"}, data: "a\tx\n1\t2\n", state: "22P04", context: "line 1"},

		{name: "CSV is divided by commas", format: "csv", data: "a,b\nc,d\n", want: "[a][b];[c][d];"},
		{name: "CSV quotes hold anything", format: "csv", data: "\"a,\"\"\nb\",c\n", want: "[a,\"\nb][c];"},
		{name: "quotes may be in the middle", format: "csv", data: "a\"b,c\"d,e\n", want: "[ab,cd][e];"},
		{name: "the empty value is NULL and the quoted one is not", format: "csv", data: ",\"\"\n", want: "[NULL][];"},
		{name: "FORCE_NULL makes the quoted one NULL", format: "csv", given: map[string]string{"force_null": "b"}, data: ",\"\"\n", want: "[NULL][NULL];"},
		{name: "FORCE_NOT_NULL makes none of them NULL", format: "csv", given: map[string]string{"force_not_null": "*"}, data: ",\"\"\n", want: "[][];"},
		{name: "quote and escape can be chosen", format: "csv", given: map[string]string{"quote": "'", "escape": "\\"}, data: "'a\\'b','c\\\\'\n", want: "[a'b][c\\];"},
		{name: "an open quote is refused", format: "csv", data: "a,\"b\n", state: "22P04", context: "line 1"},
		{name: "the line of an error counts those inside of values", format: "csv", data: "\"a\n\",b\nc\n", want: "[a\n][b];", state: "22P04", context: "line 3"},
		{name: "CSV lines may end as on Windows", format: "csv", data: "a,b\r\nc,\"d\r\n\"\r\n", want: "[a][b];[c][d\r\n];"},

		{name: "binary rows", format: "binary", data: "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
			"\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff" + "\xff\xff", want: "[a][NULL];"},
		{name: "binary data needs its signature", format: "binary", data: "a\tb\n", state: "22P04", context: "line 0"},
		{name: "binary data must not stop in a row", format: "binary", data: "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
			"\x00\x02\x00\x00\x00\x05a", state: "22P04", context: "line 1"},
		{name: "binary rows have all columns", format: "binary", data: "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
			"\x00\x01\x00\x00\x00\x01a", state: "22P04", context: "line 1"},
		{name: "a promised length costs nothing", format: "binary", data: "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
			"\x00\x02\x7f\xff\xff\xff", state: "54000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, c.format, c.given, "a", "b")
			for _, source := range []io.Reader{strings.NewReader(c.data), iotest.OneByteReader(strings.NewReader(c.data))} {
				got, err := all(NewReader(source, o))
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				state, context := "", ""
				if err != nil {
					e := sqlerr.FromSQLite(err)
					state, context = e.State, e.Context
				}
				if state != c.state || context != c.context {
					t.Errorf("error %v at %q", err, context)
				}
			}
		})
	}
	t.Run("a row that is too long is refused", func(t *testing.T) {
		for _, format := range []string{"text", "csv"} {
			o := options(t, format, nil, "a")
			o.MaxRow = 100
			_, err := all(NewReader(strings.NewReader(strings.Repeat("x", 101)), o))
			if sqlerr.FromSQLite(err).State != "54000" {
				t.Error(format, err)
			}
		}
	})
	t.Run("an error of the source comes through", func(t *testing.T) {
		_, err := all(NewReader(iotest.ErrReader(io.ErrClosedPipe), options(t, "", nil, "a")))
		if err != io.ErrClosedPipe {
			t.Fatal(err)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		format, name, value, state string
	}{
		{"text", "delimiter", "ab", "0A000"}, {"text", "delimiter", "\n", "22023"}, {"text", "delimiter", "a", "22023"},
		{"text", "quote", "x", "0A000"}, {"csv", "quote", ",", "22023"}, {"csv", "null", "a,", "22023"}, {"csv", "null", "\"", "22023"},
		{"text", "null", "a\nb", "22023"}, {"text", "force_null", "a", "0A000"}, {"csv", "force_null", "z", "42703"},
		{"binary", "delimiter", ",", "42601"}, {"text", "encoding", "latin1", "0A000"}, {"text", "header", "maybe", "42601"},
		{"yaml", "", "", "22023"},
	} {
		_, err := ParseOptions(c.format, map[string]string{c.name: c.value}, []string{"a"})
		if err == nil || sqlerr.FromSQLite(err).State != c.state {
			t.Errorf("%s %s %q: %v, want %s", c.format, c.name, c.value, err, c.state)
		}
	}
}

// write makes data of rows; nil is NULL.
func write(t testing.TB, o *Options, rows [][][]byte) []byte {
	t.Helper()
	var scratch []byte
	out := o.AppendHeader(nil)
	for _, row := range rows {
		var err error
		out, err = o.AppendRow(out, &scratch, func(dst []byte, i int) ([]byte, bool, error) {
			return append(dst, row[i]...), row[i] != nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return o.AppendTrailer(out)
}

func TestWriter(t *testing.T) {
	rows := [][][]byte{{[]byte("a"), nil}, {[]byte("tab\tnl\ncr\r\\"), []byte(`q"u,o`)}, {[]byte(`\N`), []byte{}}, {[]byte(`\.`), []byte("x")}}
	for _, c := range []struct {
		format string
		given  map[string]string
		want   string
	}{
		{"text", nil, "a\t\\N\ntab\\tnl\\ncr\\r\\\\\tq\"u,o\n\\\\N\t\n\\\\.\tx\n"},
		{"csv", map[string]string{"header": "true"}, "a,b\na,\n\"tab\tnl\ncr\r\\\",\"q\"\"u,o\"\n\\N,\"\"\n\\.,x\n"},
		{"csv", map[string]string{"force_quote": "b"}, "a,\n\"tab\tnl\ncr\r\\\",\"q\"\"u,o\"\n\\N,\"\"\n\\.,\"x\"\n"},
	} {
		o := options(t, c.format, c.given, "a", "b")
		if got := string(write(t, o, rows)); got != c.want {
			t.Errorf("%s %v:\ngot  %q\nwant %q", c.format, c.given, got, c.want)
		}
	}
	t.Run("what is written is read as it was", func(t *testing.T) {
		for _, format := range []string{"text", "csv", "binary"} {
			o := options(t, format, nil, "a", "b")
			got, err := all(NewReader(bytes.NewReader(write(t, o, rows)), o))
			want := "[a][NULL];[tab\tnl\ncr\r\\][q\"u,o];[\\N][];[\\.][x];"
			if err != nil || got != want {
				t.Errorf("%s: %q %v", format, got, err)
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add("a\tb\nc\\\nd\t\\N\n\\.\n", uint8(0))
	f.Add("\"a\"\"\",b\r\nc,\n", uint8(1))
	f.Add("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff\xff\xff", uint8(2))
	f.Add("a\rb\r", uint8(0))
	f.Fuzz(func(t *testing.T, data string, format uint8) {
		o := options(t, []string{"text", "csv", "binary"}[format%3], nil, "a", "b")
		o.MaxRow = 1 << 16
		whole, err1 := all(NewReader(strings.NewReader(data), o))
		slow, err2 := all(NewReader(iotest.OneByteReader(strings.NewReader(data)), o))
		if whole != slow || (err1 == nil) != (err2 == nil) {
			t.Fatalf("%q %v\n%q %v", whole, err1, slow, err2)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("a\tb"), []byte(`\N`), uint8(0))
	f.Add([]byte("a,\"b"), []byte(""), uint8(1))
	f.Fuzz(func(t *testing.T, a, b []byte, format uint8) {
		o := options(t, []string{"text", "csv", "binary"}[format%3], nil, "a", "b")
		if a == nil {
			a = []byte{}
		}
		r := NewReader(bytes.NewReader(write(t, o, [][][]byte{{a, b}})), o)
		row, err := r.Row()
		if err != nil || row[0].Null || !bytes.Equal(row[0].B, a) || row[1].Null != (b == nil) || !bytes.Equal(row[1].B, b) {
			t.Fatalf("%q %q came back as %v: %v", a, b, row, err)
		}
	})
}
