package postgres

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func TestMain(m *testing.M) {
	grammars.limit = 1 // making one takes long with the race detector
	if err := Warm(context.Background()); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// clients are the statements that thirty PostgreSQL clients were seen to send.
func clients(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/clients.sql")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n-- next\n")
}

func TestWhatClientsSendIsUnderstood(t *testing.T) {
	for _, text := range clients(t) {
		all, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, st := range all {
			if u, ok := st.Tree.(*ir.Unsupported); ok {
				t.Errorf("%s is unsupported in %s", u.What, st.Text)
			}
			if text[st.Offset:st.Offset+len(st.Text)] != st.Text {
				t.Errorf("the statement %q is not at offset %d of %q", st.Text, st.Offset, text)
			}
		}
	}
}

func TestFingerprintsOfWhatClientsSend(t *testing.T) {
	n := 0
	for _, text := range clients(t) {
		if key, literals, ok := Fingerprint(text); ok {
			same(t, text, key, literals)
			n++
		}
	}
	if n < 200 {
		t.Fatalf("only %d statements have a fingerprint", n)
	}
}

func TestSplitting(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"one statement", "SELECT 1", []string{"SELECT 1"}},
		{"a final semicolon is not part of it", "SELECT 1 ; ", []string{"SELECT 1"}},
		{"several statements", "BEGIN;\n SELECT 'a;b'; COMMIT", []string{"BEGIN", "SELECT 'a;b'", "COMMIT"}},
		{"empty ones between are left out", ";;SELECT 1;;SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		{"a comment belongs to the statement behind it", "SELECT 1; /* x */ SELECT 2", []string{"SELECT 1", "/* x */ SELECT 2"}},
		{"an empty text is an empty statement", "", []string{""}},
		{"a comment is an empty statement", "-- ping", []string{"-- ping"}},
		{"a semicolon is an empty statement", " ; ", []string{";"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, st := range all {
				got = append(got, st.Text)
				if !strings.HasPrefix(c.text[st.Offset:], st.Text) && st.Text != ";" {
					t.Errorf("%q is not at %d", st.Text, st.Offset)
				}
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Fatalf("%q", got)
			}
			if _, ok := all[0].Tree.(*ir.Empty); ok != (strings.TrimLeft(c.want[0], "-; ping") == "") {
				t.Fatalf("%T", all[0].Tree)
			}
		})
	}
}

func TestPositionsAreInTheStatementsOwnText(t *testing.T) {
	all, err := Parse("SELECT 1;  SELECT foo FROM bar")
	if err != nil {
		t.Fatal(err)
	}
	s := all[1].Tree.(*ir.Query).Body.(*ir.Select)
	if c := s.Items[0].Expr.(*ir.ColumnRef); all[1].Text[c.Pos:c.Pos+3] != "foo" {
		t.Fatal(c.Pos)
	}
	if n := s.From[0].(*ir.Table).Name; all[1].Text[n.Pos:] != "bar" {
		t.Fatal(n.Pos)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name, text, state, message string
		position                   int
	}{
		{"a syntax error has its place", "SELECT 1 FORM t WHERE x", "42601", `syntax error at or near "t"`, 15},
		{"the end of the text is a place", "SELECT (1", "42601", "syntax error at end of input", 10},
		{"places are counted in characters", "SELECT 'äöü' FROM FROM", "42601", `syntax error at or near "FROM"`, 19},
		{"the place is in the whole text", "SELECT 1; SELECT 2 2", "42601", `syntax error at or near "2"`, 20},
		{"an open string", "SELECT 'x", "42601", `unterminated quoted string at or near "'x"`, 8},
		{"an open comment", "SELECT 1 /* x", "42601", `unterminated /* comment at or near "/* x"`, 10},
		{"junk behind a number", "SELECT 1a", "42601", `trailing junk after numeric literal at or near "1a"`, 8},
		{"rows of unequal length", "VALUES (1, 2), (3)", "42601", "VALUES lists must all be the same length", 17},
		{"a parameter that can't be", "SELECT $70000", "42P02", "there is no parameter $70000", 8},
		{"a precision out of range", "CREATE TABLE t (a numeric(1001))", "22023", "NUMERIC precision 1001 must be between 1 and 1000", 19},
		{"a position in a later statement of a text with wide characters", "SELECT 'ä'; SELECT $70000", "42P02", "there is no parameter $70000", 20},
		{"bytes that are not UTF-8", "SELECT '\xff'", "22021", `invalid byte sequence for encoding "UTF8": 0xff`, 0},
		{"a NUL", "SELECT '\x00'", "22021", `invalid byte sequence for encoding "UTF8": 0x00`, 0},
		{"an option that COPY lacks", "COPY t FROM STDIN (foo 1)", "42601", `option "foo" not recognized`, 20},
		{"two defaults", "CREATE TABLE t (a int DEFAULT 1 DEFAULT 2)", "42601", `multiple default values specified for column "a"`, 33},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.text)
			var e *sqlerr.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v", err)
			}
			if e.State != c.state || e.Message != c.message || e.Position != c.position {
				t.Fatalf("%s %q at %d", e.State, e.Message, e.Position)
			}
		})
	}
	t.Run("a text beyond the limit", func(t *testing.T) {
		_, err := Parse("SELECT '" + strings.Repeat("x", MaxText) + "'")
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.State != "54000" {
			t.Fatal(err)
		}
	})
}

// deep are texts that nest n levels deep in one construct each.
var deep = map[string]func(n int) string{
	"parentheses": func(n int) string { return "SELECT " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n) },
	"subqueries":  func(n int) string { return "SELECT " + strings.Repeat("(SELECT ", n) + "1" + strings.Repeat(")", n) },
	"from": func(n int) string {
		return "SELECT * FROM " + strings.Repeat("(SELECT * FROM ", n) + "t" + strings.Repeat(") a", n)
	},
	"calls":   func(n int) string { return "SELECT " + strings.Repeat("f(", n) + "1" + strings.Repeat(")", n) },
	"not":     func(n int) string { return "SELECT " + strings.Repeat("NOT ", n) + "true" },
	"minus":   func(n int) string { return "SELECT " + strings.Repeat("- ", n) + "a" },
	"plus":    func(n int) string { return "SELECT 1" + strings.Repeat(" + 1", n) },
	"casts":   func(n int) string { return "SELECT (1)" + strings.Repeat("::int", n) },
	"is null": func(n int) string { return "SELECT (1)" + strings.Repeat(" IS NULL", n) },
	"isnull":  func(n int) string { return "SELECT (1)" + strings.Repeat(" ISNULL", n) },
	"unions":  func(n int) string { return "SELECT 1" + strings.Repeat(" UNION SELECT 1", n) },
	"joins":   func(n int) string { return "SELECT * FROM a" + strings.Repeat(" JOIN b ON true", n) },
	"case": func(n int) string {
		return "SELECT " + strings.Repeat("CASE WHEN true THEN ", n) + "1" + strings.Repeat(" END", n)
	},
	"array":   func(n int) string { return "SELECT ARRAY" + strings.Repeat("[", n) + "1" + strings.Repeat("]", n) },
	"index":   func(n int) string { return "SELECT a" + strings.Repeat("[1]", n) },
	"fields":  func(n int) string { return "SELECT (a)" + strings.Repeat(".b", n) },
	"collate": func(n int) string { return "SELECT a" + strings.Repeat(" COLLATE x", n) },
	"with": func(n int) string {
		return strings.Repeat("WITH a AS (", n) + "SELECT 1" + strings.Repeat(") SELECT 1", n)
	},
	"exists": func(n int) string {
		return "SELECT 1 WHERE " + strings.Repeat("EXISTS (SELECT 1 WHERE ", n) + "true" + strings.Repeat(")", n)
	},
	"in": func(n int) string {
		return "SELECT " + strings.Repeat("a IN (SELECT ", n) + "1" + strings.Repeat(")", n)
	},
	"rows": func(n int) string { return "SELECT " + strings.Repeat("ROW(", n) + "1" + strings.Repeat(")", n) },
	"and or": func(n int) string {
		return "SELECT * FROM a WHERE " + strings.Repeat("(a AND b OR ", n) + "c" + strings.Repeat(")", n)
	},
	"between": func(n int) string {
		return "SELECT " + strings.Repeat("a BETWEEN b AND (", n) + "1" + strings.Repeat(")", n)
	},
	"like":    func(n int) string { return "SELECT a" + strings.Repeat(" || (b LIKE 'x')", n) },
	"at zone": func(n int) string { return "SELECT a" + strings.Repeat(" AT TIME ZONE 'UTC'", n) },
	"windows": func(n int) string {
		return "SELECT " + strings.Repeat("sum(", n) + "1" + strings.Repeat(") OVER (PARTITION BY a)", n)
	},
	"commas": func(n int) string { return "SELECT " + strings.Repeat("f(1, ", n) + "1" + strings.Repeat(")", n) },
	"distinct": func(n int) string {
		return "SELECT a" + strings.Repeat(" IS DISTINCT FROM (b", n) + strings.Repeat(")", n)
	},
	"quantified": func(n int) string {
		return "SELECT " + strings.Repeat("a = ANY (SELECT ", n) + "1" + strings.Repeat(")", n)
	},
	"values": func(n int) string {
		return strings.Repeat("SELECT * FROM (", n) + "VALUES (1)" + strings.Repeat(") a", n)
	},
	"lateral": func(n int) string {
		return "SELECT * FROM " + strings.Repeat("a, LATERAL (SELECT * FROM ", n) + "t" + strings.Repeat(") a", n)
	},
	"named": func(n int) string { return "SELECT " + strings.Repeat("f(x => ", n) + "1" + strings.Repeat(")", n) },
	"filter": func(n int) string {
		return "SELECT " + strings.Repeat("count(*) FILTER (WHERE ", n) + "true" + strings.Repeat(")", n)
	},
	"operator": func(n int) string {
		return "SELECT 1" + strings.Repeat(" OPERATOR(pg_catalog.+) 1", n)
	},
	"truth":    func(n int) string { return "SELECT a" + strings.Repeat(" IS NOT TRUE", n) },
	"brackets": func(n int) string { return "SELECT a" + strings.Repeat("[1:(b", n) + strings.Repeat(")]", n) },
	"group": func(n int) string {
		return "SELECT 1 GROUP BY " + strings.Repeat("ROLLUP (", n) + "a" + strings.Repeat(")", n)
	},
	"not like": func(n int) string {
		return "SELECT " + strings.Repeat("(a NOT LIKE ", n) + "'x'" + strings.Repeat(")", n)
	},
	"json":     func(n int) string { return "SELECT " + strings.Repeat("json_array(", n) + "1" + strings.Repeat(")", n) },
	"coalesce": func(n int) string { return "SELECT " + strings.Repeat("coalesce(", n) + "1" + strings.Repeat(")", n) },
	"except": func(n int) string {
		return strings.Repeat("(SELECT 1 EXCEPT ", n) + "SELECT 1" + strings.Repeat(")", n)
	},
	"right": func(n int) string {
		return "SELECT * FROM " + strings.Repeat("(a CROSS JOIN ", n) + "b" + strings.Repeat(")", n)
	},
}

func TestDeepNestingIsRefusedBeforeItHarms(t *testing.T) {
	for name, text := range deep {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{50, 480, 950, 100_000} {
				_, err := Parse(text(n))
				var e *sqlerr.Error
				switch {
				case err == nil:
				case !errors.As(err, &e) || e.State != "54001" || e.Message != "stack depth limit exceeded":
					t.Fatalf("%d levels: %v", n, err)
				case n <= 50:
					t.Fatalf("%d levels are refused", n)
				}
			}
			if _, err := Parse("SELECT 1"); err != nil {
				t.Fatalf("afterwards: %v", err)
			}
		})
	}
	t.Run("long lists are not deep", func(t *testing.T) {
		text := "SELECT * FROM t WHERE a IN (1" + strings.Repeat(", 1", 50_000) + ") AND (b = 1" + strings.Repeat(" OR b = 1", 5000) + ")"
		if _, err := Parse(text); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("INSERT INTO t VALUES (1, -2)" + strings.Repeat(", (1, -2 + 3)", 50_000)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestManyParseAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if _, err := Parse("SELECT a, b FROM t WHERE a = $1"); err != nil {
					t.Error(err)
				}
				if _, err := Parse("SELECT FROM WHERE"); err == nil {
					t.Error("no error")
				}
			}
		})
	}
	wg.Wait()
}

func TestInstancesAreReplacedAndAdded(t *testing.T) {
	// Past the guard, the grammar's stack overflows.
	take()
	_, err := run("SELECT " + strings.Repeat("NOT ", 9000) + "true")
	var broken *brokenError
	if !errors.As(err, &broken) {
		t.Fatalf("got %v", err)
	}
	// The broken instance is gone; its successor and another one are made side by side.
	grammars.mu.Lock()
	grammars.limit = 2
	grammars.mu.Unlock()
	grow()
	if _, err := Parse("SELECT 1"); err != nil {
		t.Fatal(err)
	}
	take()
	take() // both tokens are back when both instances are made
	grammars.idle <- struct{}{}
	if b, err := run("SELECT 1"); err != nil || len(b) == 0 {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range clients(f)[:60] {
		f.Add(s)
	}
	for _, text := range deep {
		f.Add(text(20))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Parse(text)
		var e *sqlerr.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T %v", err, err)
		}
		var broken *brokenError
		if errors.As(err, &broken) {
			t.Fatalf("the grammar broke: %v", err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"point select": "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
		"insert":       "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
