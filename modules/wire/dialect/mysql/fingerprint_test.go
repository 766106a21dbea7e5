package mysql

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// constant is the literal as Parse gives it.
func (l Literal) constant() ir.Expr {
	switch l.Type.Kind {
	case types.Int8:
		return integer(l.Int, -1)
	case types.Numeric:
		return decimal(l.Text, -1)
	}
	return text(l.Text, "", -1)
}

// filled prints the tree of a key with its literals in place.
func filled(st *ir.Statement, literals []Literal) string {
	s := dump(reflect.ValueOf(st.Tree))
	for i := len(literals); i > 0; i-- {
		s = strings.ReplaceAll(s, fmt.Sprintf("Param{N:%d}", i), dump(reflect.ValueOf(literals[i-1].constant())))
	}
	return s
}

// sameTree checks that a fingerprint means what its text does.
func sameTree(t *testing.T, text string, o Options) {
	key, literals, ok := Fingerprint(text, o)
	if !ok {
		return
	}
	want, err := Parse(text, o)
	if err != nil {
		return // the text itself will be refused
	}
	got, err := Parse(key, o)
	if err != nil || len(got) != 1 || len(want) != 1 {
		t.Fatalf("%q\nkey %q: %d statements, %v", text, key, len(got), err)
	}
	if got[0].Params != len(literals) {
		t.Fatalf("%q\nkey %q has %d parameters for %d literals", text, key, got[0].Params, len(literals))
	}
	if a, b := filled(got[0], literals), dump(reflect.ValueOf(want[0].Tree)); a != b {
		t.Fatalf("%q\nkey %q\n got %s\nwant %s", text, key, a, b)
	}
}

func TestFingerprint(t *testing.T) {
	for _, c := range []struct{ text, key string }{
		{"SELECT c FROM sbtest1 WHERE id=42", "SELECT c FROM sbtest1 WHERE id=? -- 8"},
		{"  /* a */ select  a  +  1 FROM t where b = 'x' /* c */ and c<-5 ; ", "select  a  +  1 FROM t where b = ? /* c */ and c<? -- s8"},
		{"INSERT INTO t (a,b) VALUES (1,'it''s'),(-2.50,\"q\\n\")", "INSERT INTO t (a,b) VALUES (?,?),(?,?) -- 8sns"},
		{"INSERT INTO t SET a = 1 ON DUPLICATE KEY UPDATE a = a + 1, b = 'x'", "INSERT INTO t SET a = ? ON DUPLICATE KEY UPDATE a = a + ?, b = ? -- 88s"},
		{"UPDATE t SET k=k+1 WHERE id=5 LIMIT 3", "UPDATE t SET k=k+? WHERE id=? LIMIT 3 -- 88"},
		{"DELETE FROM t WHERE a IN (1, 2) AND b BETWEEN 3 AND 4 ORDER BY 1", "DELETE FROM t WHERE a IN (?, ?) AND b BETWEEN ? AND ? ORDER BY 1 -- 8888"},
		{"SELECT 1, 'a', f(2) FROM t WHERE f(3) = 4 GROUP BY 5 HAVING a > 6 LIMIT 7", "SELECT 1, 'a', f(2) FROM t WHERE f(3) = ? GROUP BY 5 HAVING a > 6 LIMIT 7 -- 8"},
		{"SELECT a FROM t WHERE b LIKE 'x%' AND c = DATE '2020-01-01' AND d > NOW() - INTERVAL 1 DAY AND e = _utf8mb4'z' AND f = 'a' 'b' AND g = x'00' AND h = 1e5",
			"SELECT a FROM t WHERE b LIKE 'x%' AND c = DATE '2020-01-01' AND d > NOW() - INTERVAL 1 DAY AND e = _utf8mb4'z' AND f = 'a' 'b' AND g = x'00' AND h = 1e5"},
		{"SELECT a FROM t WHERE b = 'x' COLLATE utf8mb4_bin AND c->'$.a' = 5 AND d REGEXP 'r'", "SELECT a FROM t WHERE b = 'x' COLLATE utf8mb4_bin AND c->'$.a' = ? AND d REGEXP 'r' -- 8"},
		{"SELECT (SELECT b FROM u WHERE c = 1) FROM t WHERE EXISTS (SELECT 2 FROM u WHERE d = 3)", "SELECT (SELECT b FROM u WHERE c = 1) FROM t WHERE EXISTS (SELECT 2 FROM u WHERE d = ?) -- 8"},
		{"SELECT a FROM t WHERE b = - 5 AND c = 3 - 4 AND d = '5' + 1", "SELECT a FROM t WHERE b = ? AND c = ? - ? AND d = '5' + ? -- 8888"},
		{"SELECT a FROM t WHERE b = 12345678901234567890", "SELECT a FROM t WHERE b = 12345678901234567890"},
		{"SELECT a FROM t JOIN u ON t.i = u.i AND u.k = 3 WHERE 1", "SELECT a FROM t JOIN u ON t.i = u.i AND u.k = ? WHERE ? -- 88"},
		{"SELECT a FROM t WHERE b = 'x'and c = 1", "SELECT a FROM t WHERE b = ? and c = ? -- s8"},
		{"REPLACE INTO t VALUES (1, REPLACE('a', 'b', 'c'), NULL, TRUE, @x)", "REPLACE INTO t VALUES (?, REPLACE('a', 'b', 'c'), NULL, TRUE, @x) -- 8"},
	} {
		key, _, ok := Fingerprint(c.text, Options{})
		if !ok || key != c.key {
			t.Errorf("%s\n got %q %v\nwant %q", c.text, key, ok, c.key)
		}
		sameTree(t, c.text, Options{})
	}
	t.Run("statements that aren't simple have none", func(t *testing.T) {
		for _, text := range []string{"", "SET a = 1", "SELECT 1; SELECT 2", "SELECT ?", "SELECT 1 UNION SELECT 2", "WITH a AS (SELECT 1) SELECT * FROM a",
			"SELECT 1 INTO @a", "SELECT /*! 1 */ FROM t", "SELECT 'open", "CREATE TABLE t (a INT DEFAULT 1)", "SELECT 1)", "SELECT * FROM t WHERE d = {d '2020-01-01'}"} {
			if key, _, ok := Fingerprint(text, Options{}); ok {
				t.Errorf("%q has %q", text, key)
			}
		}
	})
	t.Run("modes change what a literal is", func(t *testing.T) {
		key, literals, _ := Fingerprint(`SELECT a FROM t WHERE "b" = 'c\'`, Options{ANSIQuotes: true, NoBackslashEscapes: true})
		if key != `SELECT a FROM t WHERE "b" = ? -- s` || literals[0].Text != `c\` {
			t.Errorf("%q %v", key, literals)
		}
	})
	t.Run("what clients really send", func(t *testing.T) {
		some := 0
		for text := range captured(t) {
			if _, l, ok := Fingerprint(text, Options{}); ok && len(l) > 0 {
				some++
			}
			sameTree(t, text, Options{})
		}
		if some < 50 {
			t.Errorf("only %d captured texts have literals to lift", some)
		}
	})
}

func TestConvert(t *testing.T) {
	in := &types.Input{MySQL: true, Location: time.UTC}
	str := types.T(types.Varchar)
	for _, c := range []struct {
		v        types.Value
		from, to types.Type
		want     string // "": something would be lost
	}{
		{types.StringValue("42"), str, types.T(types.Int4), "42"},
		{types.StringValue("4 2"), str, types.T(types.Int4), ""},
		{types.StringValue("4.0"), str, types.T(types.Int4), ""},
		{types.StringValue("300"), str, types.T(types.Int1), ""},
		{types.StringValue("abc"), str, types.T(types.Text), "abc"},
		{types.StringValue("2020-02-29"), str, types.T(types.Date), "2020-02-29"},
		{types.StringValue("2020-02-30"), str, types.T(types.Date), ""},
		{types.StringValue("2020-02-29 10:00:00"), str, types.T(types.Date), ""},
		{types.StringValue("2020-02-29"), str, types.Type{Kind: types.Timestamp, Len: 7}, "2020-02-29 00:00:00.000000"},
		{types.StringValue("1.239"), str, types.Type{Kind: types.Numeric, Len: 10, Scale: 2}, ""},
		{types.StringValue("1.2"), str, types.Type{Kind: types.Numeric, Len: 10, Scale: 2}, "1.20"},
		{types.StringValue("nan"), str, types.T(types.Float8), ""},
		{types.StringValue("x"), str, types.T(types.Enum), "x"},
		{types.StringValue("{"), str, types.T(types.JSONB), ""},
		{types.StringValue("\xff"), str, types.T(types.Text), ""},
		{types.IntValue(5), types.T(types.Int8), types.T(types.Varchar), ""},
		{types.IntValue(5), types.T(types.Int8), types.T(types.Unknown), ""},
		{types.IntValue(5), types.T(types.Int8), types.T(types.Numeric), "5"},
		{types.IntValue(1 << 60), types.T(types.Int8), types.T(types.Float8), ""},
		{types.FloatValue(1.5), types.T(types.Float8), types.T(types.Int4), ""},
		{types.IntValue(20200229), types.T(types.Int8), types.T(types.Date), "2020-02-29"},
	} {
		got, ok := Convert(c.v, c.from, c.to, in)
		s := ""
		if ok {
			s = string(types.AppendMySQLText(nil, types.T(types.Text), got, nil))
		}
		if s != c.want {
			t.Errorf("%v as %v: got %q, want %q", c.v, c.to.MySQLName(), s, c.want)
		}
	}
}

func FuzzFingerprint(f *testing.F) {
	for text := range captured(f) {
		f.Add(text, uint8(0))
	}
	for _, s := range []string{"select a from t where b=-1 and c='x' 'y' and d = 5 collate x", "update t set a=- 5*-3,b=--4", "insert t values(1,(2),('a'))",
		"select 1 from t where a=1 -- x\n and b=2#y", "select a from t where a>='\\'' and b=\"\\\"\"", "delete from t where not 5 and 6-7 limit 8",
		"select a from t where (1,2)=(a,b) and 0x1 = 1 and 1.=.5 and a=5.5e1", "select a from t where a = 1 is null and b = 2 in (3)"} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, modes uint8) {
		if len(text) > 4<<10 {
			return
		}
		sameTree(t, text, Options{ANSIQuotes: modes&1 != 0, NoBackslashEscapes: modes&2 != 0, PipesAsConcat: modes&4 != 0})
	})
}

func FuzzParse(f *testing.F) {
	for text := range captured(f) {
		f.Add(text)
	}
	for _, s := range []string{"CREATE TABLE t (a INT DEFAULT (1 + (2)), CHECK (a > 0))", "INSERT INTO t VALUES (1) AS n(a) ON DUPLICATE KEY UPDATE a=n.a",
		"/*!50003 CREATE*/ /*!50017 DEFINER=x@y*/ /*!50003 TRIGGER t BEGIN END */", "DELETE FROM t RETURNING a, b", "select * from (((a)))",
		"CREATE VIEW v AS SELECT 1 WITH LOCAL CHECK OPTION", "ALTER TABLE t ALTER a SET DEFAULT (1)", "/*!/*!*/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 16<<10 {
			return
		}
		for _, o := range []Options{{}, {ANSIQuotes: true, NoBackslashEscapes: true, PipesAsConcat: true}} {
			list, err := Parse(text, o)
			if err == nil && len(list) == 0 {
				t.Fatal("neither statements nor an error")
			}
			for _, st := range list {
				if st.Tree == nil {
					t.Fatalf("%q has no tree", st.Text)
				}
				if st.Offset < 0 || st.Offset+len(st.Text) > len(text) {
					t.Fatalf("%q lies outside of its text", st.Text)
				}
			}
			n, _ := Count(text, o)
			if err == nil && n != len(list) && n > 0 {
				t.Fatalf("%d statements, counted %d", len(list), n)
			}
		}
	})
}
