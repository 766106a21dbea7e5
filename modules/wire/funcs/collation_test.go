package funcs

import (
	"bytes"
	"testing"
	"unicode/utf8"
)

func TestCaseAndAccentsDoNotMatterToBopCI(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"abc", "ABC", 0}, {"é", "E", 0}, {"e\u0301", "é", 0}, {"straße", "STRASSE", 0}, {"a", "b", -1}, {"b", "A", 1}, {"", "a", -1}, {"a", "a ", -1},
		{"abc", "abcd", -1}, {"Z", "é", 1}, {"_", "a", -1}, {"1", "a", -1}, {"ä", "b", -1}, {"日本", "日本", 0}, {"e", "e\u0301", 0}, {"æ", "AE", 0}, {"-", "_", 1},
	} {
		if got := sign(CompareCI([]byte(c.a), []byte(c.b))); got != c.want {
			t.Errorf("%q <=> %q is %d, want %d", c.a, c.b, got, c.want)
		}
		if got := sign(CompareCI([]byte(c.b), []byte(c.a))); got != -c.want {
			t.Errorf("%q <=> %q is %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

func TestDecimalsCompareByValue(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.10", "1.1", 0}, {"9", "10", -1}, {"-9", "-10", 1}, {"NaN", "Infinity", 1}, {"-Infinity", "-1", -1}, {"0", "-0.00", 0}, {"x", "1", -1}, {"x", "y", -1},
	} {
		if got := sign(CompareDecimal([]byte(c.a), []byte(c.b))); got != c.want {
			t.Errorf("%s <=> %s is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// A collation must order any three strings without contradiction, or SQLite's indexes break.
func FuzzCollations(f *testing.F) {
	f.Add([]byte("a"), []byte("B"), []byte("é"))
	f.Add([]byte("e\u0301x"), []byte("ex"), []byte("é"))
	f.Add([]byte("ß"), []byte("ss"), []byte("st"))
	f.Add([]byte("1.10"), []byte("1.1"), []byte("x"))
	f.Add([]byte("10:00:00"), []byte("-10:00:00"), []byte("100:00:00"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		for name, compare := range map[string]func(a, b []byte) int{"bop_ci": CompareCI, "bop_decimal": CompareDecimal, "bop_time": CompareTime} {
			ab, ba := sign(compare(a, b)), sign(compare(b, a))
			if ab != -ba {
				t.Fatalf("%s: %q <=> %q is %d and %d", name, a, b, ab, ba)
			}
			if bc := sign(compare(b, c)); ab == bc || ab == 0 || bc == 0 {
				want := ab
				if want == 0 {
					want = bc
				}
				if ac := sign(compare(a, c)); ac != want {
					t.Fatalf("%s: %q %d %q %d %q, but %d", name, a, ab, b, bc, c, ac)
				}
			}
		}
	})
}

func FuzzLike(f *testing.F) {
	f.Add([]byte("hello"), []byte("h%l_"))
	f.Add([]byte("a%c"), []byte(`a\%c`))
	f.Add([]byte("é"), []byte("_"))
	f.Fuzz(func(t *testing.T, text, pattern []byte) {
		Like(text, pattern, '\\', true)
		got := Like(text, pattern, -1, false)
		if !bytes.ContainsAny(pattern, "%_") && utf8.Valid(text) && utf8.Valid(pattern) && got != bytes.Equal(text, pattern) {
			t.Fatalf("%q like %q is %t", text, pattern, got)
		}
		if !Like(text, append([]byte{'%'}, text...), -1, false) && !bytes.ContainsAny(text, "%_") {
			t.Fatalf("%q isn't like itself behind a percent sign", text)
		}
	})
}

func FuzzJSONPath(f *testing.F) {
	f.Add([]byte(`$.a[1]."b c"[last-1].*[*]**.x`), []byte(`{"a": [1, {"b c": [1, 2]}]}`))
	f.Fuzz(func(t *testing.T, path, doc []byte) {
		p, err := parsePath(path)
		if err != nil || len(doc) > 200 {
			return
		}
		v, err := parseDoc(textValue(doc), "f", 1)
		if err != nil {
			return
		}
		found := p.find(v)
		if !p.wild() && len(found) > 1 {
			t.Fatalf("%s found %d values", path, len(found))
		}
		x := jsonString([]byte("x"))
		for _, mode := range []changeMode{setOrInsert, insertOnly, replaceOnly, arrayAppend, arrayInsert} {
			if !p.wild() {
				again, _ := parseDoc(textValue(doc), "f", 1)
				p.change(again, x, mode).AppendText(nil)
			}
		}
		if len(p) > 0 {
			p.remove(v)
		}
		v.AppendText(nil)
	})
}

func FuzzMySQLDates(f *testing.F) {
	f.Add([]byte("2024-02-29 10:11:12"), []byte("%Y-%m-%d %H:%i:%s.%f %W %j %X %v"), "DAY_HOUR", int64(3))
	f.Add([]byte("-10:11:12"), []byte("%h:%i %p"), "MONTH", int64(-1<<62))
	f.Fuzz(func(t *testing.T, date, format []byte, unit string, n int64) {
		v := textValue(date)
		if m, ok := stamp(v); ok {
			formatDate(m, format)
			for mode := range int64(8) {
				if m.Whole() {
					week(m, mode)
				}
			}
			extractUnit(&Env{}, unit, m, m.Micros)
		}
		parseByFormat(date, format)
		for _, amount := range [][]byte{date, format, textValue([]byte("1 2:3")).B} {
			dateAddUnit(v, textValue(amount), unit, 1)
		}
		unitSpan(unit, n)
	})
}
