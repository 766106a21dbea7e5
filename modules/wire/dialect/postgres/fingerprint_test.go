package postgres

import (
	"reflect"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

func TestFingerprint(t *testing.T) {
	for _, c := range []struct {
		name, text, key string // key "": not ok
	}{
		{"strings and numbers in conditions are lifted", "SELECT a FROM t WHERE b = 'x' AND c > 5", "SELECT a FROM t WHERE b = $1 AND c > $2 --u4"},
		{"the types of the literals are part of the key", "select a from t where b = 5000000000 or b = 1.50", "select a from t where b = $1 or b = $2 --8n"},
		{"a sign belongs to its number", "update t set a = a + -5, b = -3 where c - 2 = - -1", "update t set a = a + $1, b = $2 where c - $3 = - -1 --444"},
		{"comments and white space don't matter", "select a /* x */ from t\n where b=1 -- tail\n", "select a from t where b=$1 --4"},
		{"a word next to a literal stays a word", "select a from t where b='x'and c=1", "select a from t where b=$1 and c=$2 --u4"},
		{"the values of an insert are lifted", "INSERT INTO t(a, b) VALUES (1, 'a''b'), (-2, E'c\\n') ON CONFLICT (a) WHERE b = 'z' DO UPDATE SET b = 'q' WHERE t.a = 3",
			"INSERT INTO t(a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT (a) WHERE b = 'z' DO UPDATE SET b = $5 WHERE t.a = $6 --4u4uu4"},
		{"limit, ordinals, casts, calls and typed literals stay", "select 1, f(2) from t where a = '5'::int and b > date '2020-01-01' and f(3) = 4 order by 1 limit 10",
			"select 1, f(2) from t where a = '5'::int and b > date '2020-01-01' and f(3) = $1 order by 1 limit 10 --4"},
		{"lists and ranges are lifted", "select a from t where a in (1, 2) and b between 'x' and 'y'", "select a from t where a in ($1, $2) and b between $3 and $4 --44uu"},
		{"a subquery's conditions are lifted", "select a from t where exists (select 1 from u where u.a = 5)", "select a from t where exists (select 1 from u where u.a = $1) --4"},
		{"dollar quotes are strings", "delete from t where a = $x$it's$x$;", "delete from t where a = $1 --u"},
		{"json operators keep their keys", "select a from t where d ->> 'k' = 'v'", "select a from t where d ->> 'k' = $1 --u"},
		{"a text without literals is a key", "select  now()", "select now()"},
		{"grouping by a literal is not simple", "select a, count(*) from t where b = 1 group by 1", ""},
		{"distinct ordered by a literal is not simple", "select distinct a from t where b = 1 order by a + 1", ""},
		{"set operations are not simple", "select a from t where b = 1 union select 2", ""},
		{"parameters are not simple", "select a from t where b = $1 and c = 2", ""},
		{"two statements are not simple", "select 1; select 2", ""},
		{"definitions are not simple", "create table t (a int default 5)", ""},
		{"WITH is not simple", "with x as (select 1) select * from x where a = 1", ""},
		{"an open string is not simple", "select a from t where b = 'x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, literals, ok := Fingerprint(c.text)
			if ok != (c.key != "") || key != c.key {
				t.Fatalf("%q, %v; want %q", key, ok, c.key)
			}
			if ok {
				same(t, c.text, key, literals)
			}
		})
	}
	t.Run("literals have their values", func(t *testing.T) {
		_, l, _ := Fingerprint(`insert into t values ('it''s', -7, 1e3, 3000000000, E'a\tb\\')`)
		want := []Literal{{Text: "it's"}, {Type: types.T(types.Int4), Int: -7}, {Type: types.T(types.Numeric), Text: "1000"},
			{Type: types.T(types.Int8), Int: 3000000000}, {Text: "a\tb\\"}}
		for i := range l {
			l[i].Pos = 0
		}
		if !reflect.DeepEqual(l, want) {
			t.Fatalf("%+v", l)
		}
	})
}

// same fails unless key is the statement of text with parameters in the place of literals.
func same(t testing.TB, text, key string, literals []Literal) {
	t.Helper()
	was, err := Parse(text)
	if err != nil {
		return // what the grammar refuses is refused either way
	}
	is, err := Parse(key)
	if err != nil {
		t.Fatalf("%q became %q: %v", text, key, err)
	}
	if len(was) != 1 || len(is) != 1 {
		t.Fatalf("%q: %d statements, %q: %d", text, len(was), key, len(is))
	}
	if is[0].Params != len(literals) {
		t.Fatalf("%q has %d parameters for %d literals", key, is[0].Params, len(literals))
	}
	if !alike(reflect.ValueOf(was[0].Tree), reflect.ValueOf(is[0].Tree), literals) {
		t.Fatalf("%q means something else than %q", key, text)
	}
}

// alike compares trees without their positions; a parameter is like the literal it stands for.
func alike(a, b reflect.Value, literals []Literal) bool {
	if a.Kind() == reflect.Interface && b.Kind() == reflect.Interface && !a.IsNil() && !b.IsNil() {
		lit, ok1 := a.Interface().(*ir.Literal)
		par, ok2 := b.Interface().(*ir.Param)
		if ok1 && ok2 {
			l := literals[par.N-1]
			return lit.Type == l.Type && reflect.DeepEqual(lit.Value, l.Value())
		}
	}
	if a.Kind() != b.Kind() || a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return alike(a.Elem(), b.Elem(), literals)
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !alike(a.Index(i), b.Index(i), literals) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range a.NumField() {
			switch a.Type().Field(i).Name {
			case "Pos", "Text":
				continue
			}
			if !alike(a.Field(i), b.Field(i), literals) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func FuzzFingerprint(f *testing.F) {
	for _, s := range []string{
		"SELECT abalance FROM pgbench_accounts WHERE aid = 5;",
		"UPDATE pgbench_branches SET bbalance = bbalance + -77 WHERE bid = 3;",
		"INSERT INTO h (a, b, c) VALUES (1, 'x', CURRENT_TIMESTAMP) returning a",
		"select distinct c from t where id between 5 and 9 order by c",
		"delete from t where (a, b) in ((1, 'x')) and not c = - - 5 and d is not distinct from 4 and e - -3 < .5e2",
		"update t set a = case when b = 1 then 'x' else 'y' end, (c, d) = (1, 2) where e like 'x%' escape '!' or f[1] = array[2]",
		"select a from (values (1, 'a')) v(a, b) where b = 'x'and a<-1 or a=+1 for update",
		"select a from t where a = 'x'\n'y' and b = U&'z' and c = N'n' and d = B'101' and e = 0x1F and f = 1_000",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, literals, ok := Fingerprint(text)
		if ok {
			same(t, text, key, literals)
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	for b.Loop() {
		Fingerprint("UPDATE pgbench_accounts SET abalance = abalance + 1721 WHERE aid = 88123;")
	}
}
