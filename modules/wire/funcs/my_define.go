package funcs

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/types"
)

// myFunc is a function of MySQL: its signature and how it works. In SQLite it is called my_<name>.
type myFunc struct {
	name     string
	args     []types.Kind
	optional int
	variadic bool
	result   types.Kind
	resultOf func(args []types.Type) types.Type
	// keepNull: called with NULLs; otherwise a NULL argument gives NULL.
	keepNull bool
	// session: reads the session, or gives another value each time.
	session bool
	// effect: changes something; called once per row, never left out.
	effect bool
	call   func(e *Env, a []types.Value) (types.Value, error)
	// sql is printed in place of a call of the function, which then needs no implementation.
	sql string
	// as is the name in SQLite when several overloads share one implementation or differ by it.
	as string
	// json: the result is JSON, and arguments that are JSON may be told from strings by their subtype.
	json bool
}

// jsonSubtype is the subtype by which SQLite tells JSON from other text.
const jsonSubtype = 'J'

// implementMy registers functions of MySQL and their signatures.
func implementMy(fs ...myFunc) {
	for _, f := range fs {
		name := f.as
		if name == "" {
			name = "my_" + f.name
		}
		sql := f.sql
		if sql == "" {
			sql = name + "($*)"
		}
		define(my, &Signature{
			Name: f.name, Args: f.args, Optional: f.optional, Variadic: f.variadic, Result: f.result, ResultOf: f.resultOf,
			SQL: sql, Volatile: f.session || f.effect, KeepNull: f.keepNull,
		})
	}
	implement(func(r *Registrar) {
		done := map[string]bool{}
		for _, f := range fs {
			name := f.as
			if name == "" {
				name = "my_" + f.name
			}
			if f.call == nil || done[name] {
				continue
			}
			done[name] = true
			flags := sqlite3.INNOCUOUS
			if !f.session && !f.effect {
				flags = pure
			}
			if f.json {
				flags |= sqlite3.SUBTYPE | sqlite3.RESULT_SUBTYPE
			}
			r.scalar(name, -1, flags, f.adapt(r.Env))
		}
	})
}

// adapt makes SQLite's form of the function. Arguments are read into memory that is used again by the next call.
func (f myFunc) adapt(env *Env) func(sqlite3.Context, Values) {
	var buf []types.Value
	return func(ctx sqlite3.Context, arg Values) {
		buf = buf[:0]
		for _, a := range arg {
			v := valueOf(a)
			if v.IsNull() && !f.keepNull {
				return
			}
			if f.json && v.Class == types.String && a.Subtype() == jsonSubtype {
				v.I = jsonSubtype
			}
			buf = append(buf, v)
		}
		v, err := f.call(env, buf)
		if err != nil {
			fail(ctx, err)
			return
		}
		result(ctx, v)
		if f.json && v.Class == types.String && v.I == jsonSubtype {
			ctx.ResultSubtype(jsonSubtype)
		}
	}
}

func kinds(ks ...types.Kind) []types.Kind { return ks }

// Shorthands for the tables of functions.
const (
	tText  = types.Varchar
	tInt   = types.Int8
	tFloat = types.Float8
	tDec   = types.Numeric
	tBytes = types.Bytes
	tDate  = types.Date
	tTime  = types.Time
	tStamp = types.Timestamp
	tJSON  = types.JSONB
)

func textValue(b []byte) types.Value {
	if b == nil {
		b = []byte{}
	}
	return types.Value{Class: types.String, B: b}
}

// null is the result NULL.
var null types.Value

// bounded refuses to make a string larger than MySQL's max_allowed_packet; the result is NULL with a warning.
func bounded(e *Env, name string, size int64) bool {
	if size <= maxString {
		return true
	}
	e.warn(1301, "Result of "+name+"() was larger than max_allowed_packet (67108864) - truncated")
	return false
}

// maxString is the largest string that a function makes.
const maxString = 64 << 20
