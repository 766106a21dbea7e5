package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/types"
)

func TestObjectName(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, tt := range []struct{ table, column, label, want string }{
		{"t", "", "pkey", "t_pkey"},
		{"t", "a_b", "key", "t_a_b_key"},
		{long, "a", "idx", strings.Repeat("x", 57) + "_a_idx"},
		{long, long, "fkey", strings.Repeat("x", 29) + "_" + strings.Repeat("x", 28) + "_fkey"},
		{strings.Repeat("ä", 40), "", "pkey", strings.Repeat("ä", 29) + "_pkey"},
	} {
		if got := objectName(tt.table, tt.column, tt.label); got != tt.want || len(got) > maxName {
			t.Errorf("objectName(%q, %q, %q) = %q, want %q", tt.table, tt.column, tt.label, got, tt.want)
		}
	}
}

func TestTypeText(t *testing.T) {
	for k := range types.Other + 1 {
		for _, typ := range []types.Type{{Kind: k}, {Kind: k, Unsigned: true}, {Kind: k, Binary: true, Len: 20}, {Kind: k, Len: 10, Scale: 2},
			{Kind: k, Scale: -3}, {Kind: types.Array, Elem: k}, {Kind: k, OID: 16400}} {
			b, err := typeText(typ).MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			var got typeText
			if err := got.UnmarshalText(b); err != nil || types.Type(got) != typ {
				t.Errorf("%s read as %+v, want %+v (%v)", b, got, typ, err)
			}
		}
	}
}

func TestIsLiteral(t *testing.T) {
	for sql, want := range map[string]bool{
		"5": true, "-5": true, "(5)": true, "'it''s'": true, "NULL": true, "x'00'": true, "1.5": true,
		"now()": false, "5 + 1": false, "a": false, "": false, "'a' || 'b'": false, "(": false, "TRUE": false,
	} {
		if got := isLiteral(sql); got != want {
			t.Errorf("isLiteral(%q) = %v", sql, got)
		}
	}
}

func TestReplaceIdent(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a > 0 AND b <> 'a'", "c > 0 AND b <> 'a'"},
		{`"a" > A`, "c > c"},
		{"a(a) -- a", "a(c) -- a"},
		{"`a` > 1", "`c` > 1"},
		{"t.a, aa", "t.c, aa"},
	} {
		if got := replaceIdent(tt.text, "a", "c"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestOperand(t *testing.T) {
	for expr, want := range map[string]bool{
		"a": true, "lower(a)": true, "'x'::text": true, "(a > 0)": false, "a > 0": false, "-1": true, "now()": true, "a + b": false,
		"'2020'::timestamp with time zone": true, "(name)::text": false, "a IS NULL": false, "NOT a": false, "nextval('s'::regclass)": true,
	} {
		if got := isOperand(expr); got != want {
			t.Errorf("isOperand(%q) = %v", expr, got)
		}
	}
	for expr, want := range map[string]string{"a > 0": "(a > 0)", "(a > 0)": "(a > 0)", "(a) > (b)": "((a) > (b))", "f(a)": "f(a)"} {
		if got := operation(expr); got != want {
			t.Errorf("operation(%q) = %q, want %q", expr, got, want)
		}
	}
}

func TestQualifyTables(t *testing.T) {
	prefix := map[string]string{"users": "public.", "Odd": "public."}
	for _, tt := range []struct{ in, want string }{
		{"SELECT users.id FROM users", "SELECT users.id FROM public.users"},
		{"SELECT id, users FROM a, users u JOIN users ON u.id = users.id WHERE users > 1 ORDER BY id, users", "SELECT id, users FROM a, public.users u JOIN public.users ON u.id = users.id WHERE users > 1 ORDER BY id, users"},
		{"SELECT extract(year FROM users) FROM b", "SELECT extract(year FROM users) FROM b"},
		{`SELECT (SELECT max(id) FROM ONLY users) FROM "Odd" UNION SELECT 1, users FROM other.users`, `SELECT (SELECT max(id) FROM ONLY public.users) FROM public."Odd" UNION SELECT 1, users FROM other.users`},
		{"SELECT * FROM (users CROSS JOIN (SELECT 1, users FROM users) s)", "SELECT * FROM (public.users CROSS JOIN (SELECT 1, users FROM public.users) s)"},
		{"SELECT * FROM users(1), Users", "SELECT * FROM users(1), public.Users"},
	} {
		if got := qualifyTables(tt.in, prefix); got != tt.want {
			t.Errorf("%s\n%s, want\n%s", tt.in, got, tt.want)
		}
	}
}

func TestSplitName(t *testing.T) {
	for _, tt := range []struct{ in, ns, name string }{
		{"users", "", "users"}, {"Users", "", "users"}, {`"Users"`, "", "Users"}, {`a."b.c"`, "a", "b.c"}, {` A . "q""x" `, "a", `q"x`}, {"db.a.b", "a", "b"},
	} {
		ns, name, err := SplitName(tt.in)
		if err != nil || ns != tt.ns || name != tt.name {
			t.Errorf("%q: %q, %q, %v", tt.in, ns, name, err)
		}
	}
	for _, bad := range []string{"", "a.", ".a", `"a`, "a b", `""`, "a.b.c.d"} {
		if _, _, err := SplitName(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzTypeText(f *testing.F) {
	for _, s := range []string{"int4", "numeric 10 2", "array:text", "enum @16400", "bytes binary 20", "int8 unsigned", "kind99", "array:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v typeText
		if v.UnmarshalText(b) != nil {
			return
		}
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again typeText
		if err := again.UnmarshalText(text); err != nil || again != v {
			t.Fatalf("%q is %+v, written as %q it is %+v (%v)", b, v, text, again, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(kindTable, `{"sql":"t","constraints":[{"oid":1,"kind":"p","name":"t_pkey","cols":[1]}],"rowid":1,"columns":[{"n":1,"name":"id","t":"int4"}]}`)
	f.Add(kindIndex, `{"name":"i","table":5,"cols":[{"c":1},{"expr":"a"}]}`)
	f.Add(kindSequence, `{"start":1,"inc":1,"t":"int8"}`)
	f.Add(kindEnum, `{"labels":["a"]}`)
	f.Add(kindDomain, `{"t":"text","constraints":[null]}`)
	f.Fuzz(func(t *testing.T, kind, def string) {
		o, err := decode(row{oid: 20000, kind: kind, ns: Public, name: "n"}, []byte(def))
		if err != nil {
			return
		}
		text, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(row{oid: 20000, kind: kind, ns: Public, name: "n"}, []byte(text))
		if err != nil {
			t.Fatalf("%s doesn't decode: %v", text, err)
		}
		a, _ := json.Marshal(o)
		b, _ := json.Marshal(again)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%s\n%s", a, b)
		}
	})
}

func FuzzTokens(f *testing.F) {
	for _, s := range []string{`a "b""c" 'd''e' [f] x'00' 1.5e3 /* g */ -- h`, `'`, `"`, `[`, `/*`, "`a``b`", "X'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		at := 0
		for _, tok := range tokens(sql) {
			if tok.start != at || tok.end <= tok.start {
				t.Fatalf("%q: token %+v at %d", sql, tok, at)
			}
			at = tok.end
		}
		if at != len(sql) {
			t.Fatalf("%q: tokens end at %d", sql, at)
		}
		isLiteral(sql)
		isOperand(sql)
		enclosed(sql)
		replaceIdent(sql, "a", "b")
		labelsOf(sql)
		declaredType(sql)
		_, _, _ = SplitName(sql)
	})
}
