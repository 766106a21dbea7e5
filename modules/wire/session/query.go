package session

import (
	"context"
	"errors"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Query runs a text of one or more statements without parameters and calls each with every result in turn; each must
// close it (Query does if it doesn't). In PostgreSQL several statements without BEGIN are one transaction. The first
// error ends it.
func (x *Session) Query(ctx context.Context, text string, each func(*Result) error) (err error) {
	defer x.guard(&err)
	run, finish := x.start(ctx, text)
	run, end := x.server.observe(run, x, text)
	defer func() {
		if err != nil {
			x.failedStatement(err)
			x.endImplicit(false)
		}
		err = finish(err)
		end(err)
	}()
	// A text that was planned before needs no parser.
	key := x.key(text, nil)
	if f := x.cached(key); f != nil {
		return x.serve(run, f, nil, each, false)
	}
	if f, args, ok := x.lifted(run, text); ok {
		return x.serve(run, f, args, each, false)
	}
	statements, bad := x.parse(text) // MySQL runs what stands before a bad statement
	if bad != nil && len(statements) == 0 {
		return bad
	}
	several := len(statements) > 1 || bad != nil
	for i, st := range statements {
		k := planKey{}
		if !several {
			k = key
		} else {
			k = x.key(st.Text, nil)
		}
		if err := x.admit(st.Tree); err != nil {
			return err
		}
		f := x.cachedStatement(k, several)
		if f == nil {
			if f, err = x.translate(run, st, nil, k); err != nil {
				return err
			}
		}
		if err := x.serve(run, f, nil, each, several && i < len(statements)-1 || several && x.block.open); err != nil {
			return err
		}
	}
	if bad != nil {
		return bad
	}
	return x.endImplicit(true)
}

// cachedStatement looks one of several statements up.
func (x *Session) cachedStatement(k planKey, several bool) *planned {
	if !several {
		return nil // was looked up as the whole text
	}
	return x.cached(k)
}

// serve runs one statement and hands its result over.
func (x *Session) serve(ctx context.Context, f *planned, args []types.Value, each func(*Result) error, more bool) error {
	if err := x.admit(f.st.Tree); err != nil {
		return err
	}
	r, err := x.runStatement(ctx, f, args, more)
	if err != nil {
		return err
	}
	if err := each(r); err != nil {
		return errors.Join(err, r.Close())
	}
	return r.Close()
}

// admit refuses statements in a failed block, before they are planned.
func (x *Session) admit(tree ir.Stmt) error {
	if !x.block.failed {
		return nil
	}
	switch tree.(type) {
	case *ir.Commit, *ir.Rollback, *ir.RollbackTo, *ir.Empty:
		return nil
	}
	return errAborted
}

// ExecuteOptions say how a prepared statement is executed.
type ExecuteOptions struct {
	// Last: no other statement follows before Sync, so that it need not begin an implicit transaction.
	Last bool
	// Portal: the result may stay open while other statements run.
	Portal bool
}

// Execute runs a prepared statement. args are in the storage form of p.Params.
func (x *Session) Execute(ctx context.Context, p *Prepared, args []types.Value, o ExecuteOptions) (r *Result, err error) {
	defer x.guard(&err)
	if p.p.st == nil {
		return &Result{empty: true, ended: true}, nil
	}
	run, finish := x.start(ctx, p.text)
	run, end := x.server.observe(run, x, p.text)
	fail := func(err error) error {
		if err != nil {
			x.failedStatement(err)
		}
		err = finish(err)
		end(err)
		return err
	}
	if err := x.admit(p.p.st.Tree); err != nil {
		return nil, fail(err)
	}
	f, err := x.fresh(run, p)
	if err != nil {
		return nil, fail(err)
	}
	r, err = x.runStatement(run, f, args, !o.Last && !x.mysql())
	if err != nil && x.retry(err, f) {
		if f, err = x.replan(run, p); err == nil {
			r, err = x.runStatement(run, f, args, !o.Last && !x.mysql())
		}
	}
	if err != nil {
		return nil, fail(err)
	}
	if o.Portal && r.stmt != nil && r.l != nil {
		r.l.keep++
	}
	after := r.after
	r.after = func(r *Result, err error) error {
		if o.Portal && r.l != nil {
			r.l.keep--
		}
		if after != nil {
			err = after(r, err)
		}
		return fail(err)
	}
	return r, nil
}

// retry tells whether an error may come from a schema that moved between planning and running. Inside of a block the
// statement can't be run again by itself.
func (x *Session) retry(err error, f *planned) bool {
	if f.plan == nil || x.db == nil || x.block.open || x.db.Version() == f.version {
		return false
	}
	switch sqlerr.FromSQLite(err).State {
	case "42P01", "42703", "XX000":
		return true
	}
	return false
}

func (x *Session) replan(ctx context.Context, p *Prepared) (*planned, error) {
	return x.fresh(ctx, p)
}

// Sync ends the implicit transaction of the extended protocol.
func (x *Session) Sync(ctx context.Context) (err error) {
	if !x.block.open || x.block.explicit {
		return nil
	}
	defer x.guard(&err)
	run, finish := x.start(ctx, "")
	return finish(x.endImplicitIn(run, !x.block.failed))
}

// Fail tells that the protocol saw an error: an implicit transaction is undone, an explicit one has failed.
func (x *Session) Fail() {
	if !x.block.open {
		return
	}
	if !x.block.explicit {
		x.rollbackBlock()
		return
	}
	if !x.mysql() {
		x.block.failed = true
	}
}

func (x *Session) endImplicit(commit bool) error { return x.endImplicitIn(x.base, commit) }

func (x *Session) endImplicitIn(ctx context.Context, commit bool) error {
	if !x.block.open || x.block.explicit {
		return nil
	}
	if !commit || x.block.failed {
		x.rollbackBlock()
		return nil
	}
	return x.commitBlock(ctx)
}
