package session

import (
	"context"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// runStatement runs any statement. more: others follow in the same implicit transaction (PostgreSQL).
func (x *Session) runStatement(ctx context.Context, f *planned, args []types.Value, more bool) (*Result, error) {
	if x.mysql() {
		if !keepsWarnings(f.st.Tree) {
			x.warnings = nil
		}
		if !x.vars.autocommit && !x.block.open && f.plan != nil {
			if err := x.openBlock(true, nil); err != nil {
				return nil, err
			}
		}
	} else if more && !x.block.open && f.plan != nil {
		if err := x.openBlock(false, nil); err != nil {
			return nil, err
		}
	}
	if f.plan != nil {
		return x.runPlan(ctx, f, args)
	}
	return x.runUtility(ctx, f.st, args, more)
}

// runPlan runs a query or a change of data.
func (x *Session) runPlan(ctx context.Context, f *planned, args []types.Value) (*Result, error) {
	p := f.plan
	if len(args) < len(p.Params) {
		return nil, sqlerr.New("08P01", "bind message supplies %d parameters, but the statement requires %d", len(args), len(p.Params)).
			My(1210, "Incorrect arguments to EXECUTE")
	}
	for _, w := range p.Warnings {
		x.warn("Warning", 1105, w)
	}
	if p.Class == plan.Write {
		return x.runWrite(ctx, f, args)
	}
	l, err := x.readConn(ctx, p.Stored)
	if err != nil {
		return nil, err
	}
	r, err := x.rows(l, p, args)
	if err != nil {
		x.giveBack(l)
		return nil, err
	}
	r.after = func(r *Result, err error) error {
		defer x.giveBack(l)
		if err == nil && !x.block.begun {
			err = x.gate(ctx, l)
		}
		if err == nil && x.mysql() {
			x.rowCount, x.foundRows = -1, r.read
			if p.CalcFound != "" {
				x.foundRows, err = x.countFound(l, p, args)
			}
		}
		return err
	}
	return r, nil
}

// rows begins a statement on a connection. It has made the first step when it returns without columns.
func (x *Session) rows(l *lent, p *plan.Plan, args []types.Value) (*Result, error) {
	x.fillEnv(l.st)
	c, err := l.st.get(l.Raw(), p.SQL)
	if err != nil {
		return nil, l.Explain(err)
	}
	if err := bind(c.stmt, args); err != nil {
		l.st.put(c)
		return nil, l.Explain(err)
	}
	return &Result{Columns: p.Columns, verb: p.Verb, counted: counted(p.Verb), x: x, l: l, c: c, stmt: c.stmt}, nil
}

// counted tells which tags carry a number of rows.
func counted(verb string) bool {
	switch verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "FETCH", "MOVE", "COPY", "MERGE":
		return true
	}
	return false
}

// runWrite runs a statement that takes the writer's place. Its rows are read before the end of an autocommit
// statement may be told, so they are collected.
func (x *Session) runWrite(ctx context.Context, f *planned, args []types.Value) (*Result, error) {
	p := f.plan
	l, err := x.writeConn(ctx, p.Verb)
	if err != nil {
		return nil, err
	}
	wrapped := !x.block.open && (len(p.Before) > 0 || x.vars.lockTimeout > 0)
	if wrapped {
		if err := x.takePlace(ctx, l); err != nil {
			x.giveBack(l)
			return nil, err
		}
	}
	r, err := x.change(l, p, args)
	if err != nil {
		err = x.blame(err, p)
	}
	if wrapped {
		end := "COMMIT"
		if err != nil {
			end = "ROLLBACK"
		}
		if !l.Raw().GetAutocommit() {
			if e := l.exec(end); err == nil && e != nil {
				err = deferred(e)
				l.exec("ROLLBACK")
			}
		}
	}
	if err == nil && !x.block.open {
		if err = x.gate(ctx, l); err == nil {
			x.committed(l)
		}
	}
	x.giveBack(l)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// change runs the statement itself.
func (x *Session) change(l *lent, p *plan.Plan, args []types.Value) (*Result, error) {
	for _, sql := range p.Before {
		if err := l.exec(sql); err != nil {
			return nil, err
		}
	}
	r, err := x.rows(l, p, args)
	if err != nil {
		return nil, err
	}
	if p.Columns != nil {
		if err := r.collect(); err != nil {
			return nil, err
		}
		r.affected = int64(len(r.rows))
		if p.Verb != "SELECT" {
			r.affected = l.Raw().Changes()
		}
	} else {
		err := r.stmt.Exec()
		if e := l.st.put(r.c); err == nil {
			err = e
		}
		if err != nil {
			return nil, l.Explain(err)
		}
		*r = Result{verb: r.verb, counted: r.counted, ended: true, affected: l.Raw().Changes()}
	}
	x.rowCount = r.affected
	if p.AutoColumn != nil && p.Verb == "INSERT" && x.mysql() && r.affected > 0 {
		// SQLite gives successive values to the rows of one statement and tells the last.
		last := l.Raw().LastInsertRowID()
		r.insertID = uint64(last - r.affected + 1)
		l.st.env.LastInsertID, x.lastInsertID = r.insertID, r.insertID
	}
	return r, nil
}

// countFound counts for SQL_CALC_FOUND_ROWS.
func (x *Session) countFound(l *lent, p *plan.Plan, args []types.Value) (int64, error) {
	c, err := l.st.get(l.Raw(), p.CalcFound)
	if err != nil {
		return 0, l.Explain(err)
	}
	defer l.st.put(c)
	if err := bind(c.stmt, args); err != nil {
		return 0, l.Explain(err)
	}
	if !c.stmt.Step() {
		return 0, l.Explain(c.stmt.Err())
	}
	return c.stmt.ColumnInt64(0), nil
}

// keepsWarnings tells which statements of MySQL leave the warnings of the one before.
func keepsWarnings(tree ir.Stmt) bool {
	s, ok := tree.(*ir.MyShow)
	return ok && (s.Kind == "WARNINGS" || s.Kind == "ERRORS" || s.Kind == "COUNT WARNINGS" || s.Kind == "COUNT ERRORS")
}
