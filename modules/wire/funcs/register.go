package funcs

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Values are the arguments of a function call; they are valid during the call only.
type Values = []sqlite3.Value

// flags of most functions: same arguments, same result, no effect.
const pure = sqlite3.DETERMINISTIC | sqlite3.INNOCUOUS

// Registrar adds functions to one connection. The first error is kept and the rest is skipped.
type Registrar struct {
	Conn *sqlite3.Conn
	Env  *Env
	err  error
}

// Pure adds a scalar function whose result depends on its arguments alone. args -1: any number.
func (r *Registrar) Pure(name string, args int, fn func(ctx sqlite3.Context, arg Values)) {
	r.scalar(name, args, pure, fn)
}

// Impure adds a scalar function that depends on the session or has an effect.
func (r *Registrar) Impure(name string, args int, fn func(ctx sqlite3.Context, arg Values)) {
	r.scalar(name, args, sqlite3.INNOCUOUS, fn)
}

func (r *Registrar) scalar(name string, args int, flags sqlite3.FunctionFlag, fn func(sqlite3.Context, Values)) {
	if r.err != nil {
		return
	}
	guarded := func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		defer guard(ctx, name)
		fn(ctx, arg)
	}
	if err := r.Conn.CreateFunction(name, args, flags, guarded); err != nil {
		r.err = fmt.Errorf("register function %s: %w", name, err)
	}
}

// guard turns a panic of a function into an error of its statement.
func guard(ctx sqlite3.Context, name string) {
	if p := recover(); p != nil {
		fail(ctx, sqlerr.New("XX000", "function %s failed: %v", name, p))
	}
}

// Aggregate adds an aggregate function. What construct returns may also be a sqlite3.WindowFunction; then it serves
// sliding windows without starting over.
func (r *Registrar) Aggregate(name string, args int, construct func() sqlite3.AggregateFunction) {
	if r.err != nil {
		return
	}
	if err := r.Conn.CreateWindowFunction(name, args, pure, construct); err != nil {
		r.err = fmt.Errorf("register aggregate %s: %w", name, err)
	}
}

// Collation adds a collating sequence.
func (r *Registrar) Collation(name string, compare func(a, b []byte) int) {
	if r.err != nil {
		return
	}
	if err := r.Conn.CreateCollation(name, compare); err != nil {
		r.err = fmt.Errorf("register collation %s: %w", name, err)
	}
}

// Do runs a registration that the other methods have no form for (virtual tables).
func (r *Registrar) Do(what string, err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("register %s: %w", what, err)
	}
}

// registrations are run for every connection, in the order of the files' names.
var registrations []func(*Registrar)

// implement adds registrations; called by init functions of this package's files.
func implement(fs ...func(*Registrar)) { registrations = append(registrations, fs...) }

// Register makes every function, aggregate and collation of this package known to a connection, once in its life. env is
// read when a function is called, never before.
func Register(c *sqlite3.Conn, env *Env) error {
	r := &Registrar{Conn: c, Env: env}
	for _, f := range registrations {
		f(r)
	}
	return r.err
}

// fail makes err the result of the call; an *sqlerr.Error arrives at the client with all its fields.
func fail(ctx sqlite3.Context, err error) { ctx.ResultError(sqlerr.Carry(err)) }
