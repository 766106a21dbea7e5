package funcs

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "time/tzdata"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// typeNamed reads a type as the golden files write it.
func typeNamed(t testing.TB, name string) types.Type {
	t.Helper()
	if name == `"char"` {
		return types.T(types.InternalChar)
	}
	base, mods, _ := strings.Cut(name, "(")
	if base == "char" {
		base = "bpchar"
	}
	typ, ok := types.PGTypeByName(base)
	if !ok {
		t.Fatalf("no type %q", name)
	}
	if mods == "" {
		return typ
	}
	p, s, _ := strings.Cut(strings.TrimSuffix(mods, ")"), ",")
	n, _ := strconv.Atoi(p)
	scale, _ := strconv.Atoi(s)
	switch typ.Kind {
	case types.Numeric:
		typ.Len, typ.Scale = int32(n), int32(scale)
	case types.Varchar, types.Char, types.Bit:
		typ.Len = int32(n)
	default:
		typ.Len = int32(n) + 1
	}
	return typ
}

// literal prints a value of a type as SQLite takes it.
func literal(t testing.TB, typ types.Type, text string, env *Env) string {
	t.Helper()
	if text == "NULL" {
		return "NULL"
	}
	in := env.input()
	in.Explicit = true
	v, err := types.ParseText(typ, []byte(text), in)
	if err != nil {
		t.Fatal(err)
	}
	switch v.Class {
	case types.Int:
		if v.I == -1<<63 {
			return "(-9223372036854775807 - 1)"
		}
		return strconv.FormatInt(v.I, 10)
	case types.Float:
		return "CAST('" + strconv.FormatFloat(v.F, 'g', -1, 64) + "' AS REAL)"
	case types.Blob:
		return "x'" + hex.EncodeToString(v.B) + "'"
	}
	return "'" + strings.ReplaceAll(string(v.B), "'", "''") + "'"
}

// signature finds the overload whose arguments are exactly these kinds.
func signature(sigs []*Signature, ks ...types.Kind) *Signature {
	for _, s := range sigs {
		if len(s.Args) != len(ks) {
			continue
		}
		match := true
		for i, k := range ks {
			match = match && (s.Args[i] == k || s.Args[i] == Any || s.Args[i] == AnyArray && k == types.Array)
		}
		if match {
			return s
		}
	}
	return nil
}

func fill(template string, args ...string) string {
	for i, a := range args {
		template = strings.ReplaceAll(template, "$"+strconv.Itoa(i+1), "("+a+")")
	}
	return template
}

// show evaluates SQL to a value of a type and prints it as PostgreSQL does.
func show(t testing.TB, c *sqlite3.Conn, sql string, typ types.Type, env *Env) string {
	t.Helper()
	st, _, err := c.Prepare("SELECT " + sql)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer st.Close()
	if !st.Step() {
		var se *sqlite3.Error
		if errors.As(st.Err(), &se) {
			if e, ok := sqlerr.Carried(se.Error()); ok {
				return "!" + e.State + " " + e.Message
			}
		}
		return "!" + st.Err().Error()
	}
	return string(types.AppendPGText(nil, typ, columnValue(st), env.format()))
}

func columnValue(st *sqlite3.Stmt) types.Value {
	switch st.ColumnType(0) {
	case sqlite3.INTEGER:
		return types.IntValue(st.ColumnInt64(0))
	case sqlite3.FLOAT:
		return types.FloatValue(st.ColumnFloat(0))
	case sqlite3.TEXT:
		return types.Value{Class: types.String, B: st.ColumnRawText(0)}
	case sqlite3.BLOB:
		return types.Value{Class: types.Blob, B: st.ColumnRawBlob(0)}
	}
	return types.Value{}
}

func TestOperatorsCastsAndAggregatesAnswerAsPostgreSQL(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	env := &Env{Location: loc}
	c := open(t, env)
	for _, line := range lines(t, "pg_ops.tsv") {
		f := strings.Split(line, "\t")
		kind, lt, l, op, rt, r, want := f[0], f[1], f[2], f[3], f[4], f[5], f[6]
		t.Run(strings.Join(f[:6], " "), func(t *testing.T) {
			left := typeNamed(t, lt)
			var got string
			switch kind {
			case "op":
				right := typeNamed(t, rt)
				s := signature(Operators(ir.Postgres, op), left.Kind, right.Kind)
				if s == nil {
					t.Fatal("no such operator")
				}
				got = show(t, c, fill(s.SQL, literal(t, left, l, env), literal(t, right, r, env)), types.T(s.Result), env)
			case "pre":
				s := signature(Operators(ir.Postgres, op), left.Kind)
				if s == nil {
					t.Fatal("no such operator")
				}
				got = show(t, c, fill(s.SQL, literal(t, left, l, env)), types.T(s.Result), env)
			case "cast":
				to := typeNamed(t, op)
				template, ok := Cast(ir.Postgres, left, to, Explicit)
				if !ok {
					t.Fatal("no such cast")
				}
				got = show(t, c, fill(template, literal(t, left, l, env)), to, env)
			case "agg":
				s := signature(Lookup(ir.Postgres, op), left.Kind)
				if s == nil {
					t.Fatal("no such aggregate")
				}
				var rows []string
				for _, v := range strings.Split(l, "|") {
					rows = append(rows, "("+literal(t, left, v, env)+")")
				}
				got = show(t, c, fill(s.SQL, "column1")+" FROM (VALUES "+strings.Join(rows, ", ")+")", types.T(s.Result), env)
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
