package funcs

import (
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// The files pg_*.go hold PostgreSQL's own functions. Beside $1 and $*, their templates use $tN for the type of argument N
// as types.Type.Code gives it, and $T for those of all arguments in one string, separated by commas: a function that
// prints values of any type (concat, to_json) can't tell a boolean from a number by what SQLite stores. Where a
// template's reader doesn't know them they are unbound parameters of SQLite, and values print by their storage class.

// pgFn is a signature of a scalar function.
func pgFn(name string, result types.Kind, sql string, args ...types.Kind) *Signature {
	return &Signature{Name: name, Args: args, Result: result, SQL: sql}
}

// pgOpt is a signature whose last n arguments may be left out.
func pgOpt(n int, s *Signature) *Signature {
	s.Optional = n
	return s
}

// pgNull is a signature that is called with NULLs.
func pgNull(s *Signature) *Signature {
	s.KeepNull = true
	return s
}

// pgVolatile is a signature whose calls differ.
func pgVolatile(s *Signature) *Signature {
	s.Volatile = true
	return s
}

// pgArray gives a signature an array result of a fixed element kind.
func pgArray(elem types.Kind, s *Signature) *Signature {
	t := types.ArrayOf(elem)
	s.Result, s.ResultOf = types.Array, func([]types.Type) types.Type { return t }
	return s
}

// pgSet is a signature of a set-returning function with one column.
func pgSet(name string, result types.Kind, sql string, args ...types.Kind) *Signature {
	return &Signature{Name: name, Args: args, Form: SetReturning, Result: result, SQL: sql}
}

// pgAgg is a signature of an aggregate.
func pgAgg(name string, result types.Kind, sql string, args ...types.Kind) *Signature {
	return &Signature{Name: name, Args: args, Form: Aggregate, Result: result, SQL: sql}
}

// strict makes a function of values that gives NULL for NULL. The values' bytes are valid during the call.
func pgStrict(fn func(a []types.Value) (types.Value, error)) func(sqlite3.Context, Values) {
	return func(ctx sqlite3.Context, arg Values) {
		if anyNull(arg) {
			return
		}
		pgLoose(fn)(ctx, arg)
	}
}

// loose makes a function of values that sees NULLs.
func pgLoose(fn func(a []types.Value) (types.Value, error)) func(sqlite3.Context, Values) {
	return func(ctx sqlite3.Context, arg Values) {
		var buf [6]types.Value
		vs := buf[:0]
		for _, a := range arg {
			vs = append(vs, valueOf(a))
		}
		v, err := fn(vs)
		if err != nil {
			fail(ctx, err)
			return
		}
		result(ctx, v)
	}
}

// str is a value's text; of a number, its digits.
func pgStr(v types.Value) string {
	if v.Class == types.String || v.Class == types.Blob {
		return string(v.B)
	}
	return string(types.AppendPGText(nil, types.T(types.Unknown), v, nil))
}

// print appends the text form of a value of type t, as the session prints it.
func (e *Env) pgPrint(dst []byte, t types.Type, v types.Value) []byte {
	if t.Kind == types.Unknown && v.Class == types.String {
		return append(dst, v.B...)
	}
	return types.AppendPGText(dst, t, v, e.format())
}

// pgText is a string result.
func pgText(s string) types.Value { return types.Value{Class: types.String, B: []byte(s)} }

// pgMaxResult bounds the bytes of a string that a function makes.
const pgMaxResult = 256 << 20

func pgTooLong() error { return sqlerr.New("54000", "requested length too large") }

// pgCodes reads the list that $T prints, or the one code of $tN; none when the template's reader didn't know them.
func pgCodes(v types.Value) []types.Type {
	switch v.Class {
	case types.Int:
		return []types.Type{types.FromCode(v.I)}
	case types.String:
		if len(v.B) == 0 {
			return nil
		}
		ts := make([]types.Type, 0, 4)
		for s := range strings.SplitSeq(string(v.B), ",") {
			c, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil {
				return nil
			}
			ts = append(ts, types.FromCode(c))
		}
		return ts
	}
	return nil
}

// pgTypes is n types, from the i-th on.
func pgTypes(ts []types.Type, i, n int) []types.Type {
	out := make([]types.Type, n)
	if i < len(ts) {
		copy(out, ts[i:])
	}
	return out
}
