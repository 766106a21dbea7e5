package session

import (
	"context"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Copy is the data side of COPY. The protocol moves the bytes: of FROM STDIN it gives rows to Row and ends with Done or
// Abort; of TO STDOUT it reads the Result's rows.
type Copy struct {
	Statement *ir.Copy
	Columns   []plan.Column

	x     *Session
	ctx   context.Context
	l     *lent
	c     *cached
	p     *plan.Plan
	rows  int64
	own   bool // the transaction is the statement's own
	ended bool
	end   func(error) error
}

// copy begins COPY. Files of the server are refused: clients have \copy.
func (x *Session) copy(ctx context.Context, st *ir.Statement, s *ir.Copy) (*Result, error) {
	if s.File != "" || s.Program {
		return nil, sqlerr.New("42501", "COPY with a file or program of the server is not allowed").
			WithHint("Use COPY … FROM STDIN or TO STDOUT; psql's \\copy does.")
	}
	sch, _, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(st, x.planEnv(sch, nil))
	if err != nil {
		return nil, err
	}
	if !s.From {
		r, err := x.runPlan(ctx, &planned{st: st, plan: p}, nil)
		if err != nil {
			return nil, err
		}
		r.Copy = &Copy{Statement: s, Columns: p.Columns}
		r.verb, r.counted = "COPY", true
		return r, nil
	}
	c, err := x.loading(ctx, p, "COPY FROM")
	if err != nil {
		return nil, err
	}
	c.Statement = s
	for i, t := range p.Params {
		name := ""
		if i < len(p.Columns) {
			name = p.Columns[i].Name
		}
		c.Columns = append(c.Columns, plan.Column{Name: name, Type: t})
	}
	return &Result{Copy: c, verb: "COPY", counted: true, ended: true}, nil
}

// loading prepares the statement that stores one row, inside a transaction. verb is for errors.
func (x *Session) loading(ctx context.Context, p *plan.Plan, verb string) (*Copy, error) {
	own := !x.block.open
	if own {
		if err := x.openBlock(false, nil); err != nil {
			return nil, err
		}
	}
	l, err := x.writeConn(ctx, verb)
	if err == nil {
		x.fillEnv(l.st)
		var c *cached
		if c, err = l.st.get(l.Raw(), p.SQL); err == nil {
			return &Copy{x: x, ctx: ctx, l: l, c: c, p: p, own: own}, nil
		}
		err = l.Explain(err)
	}
	if own {
		x.rollbackBlock()
	}
	return nil, err
}

// Row stores one row, in storage form and in the order of Columns.
func (c *Copy) Row(args []types.Value) (err error) {
	defer c.x.guard(&err)
	if c.ctx.Err() != nil {
		return sqlerr.FromSQLite(context.Cause(c.ctx))
	}
	if err := bind(c.c.stmt, args); err != nil {
		return sqlerr.FromSQLite(c.l.Explain(err))
	}
	if err := c.c.stmt.Exec(); err != nil {
		return sqlerr.FromSQLite(c.x.blame(c.l.Explain(err), c.p))
	}
	c.rows += c.l.Raw().Changes() // none, where a row that is there already is left
	return nil
}

// Rows is the number of rows stored so far.
func (c *Copy) Rows() int64 { return c.rows }

// Done ends the load. The rows are there when it and the Result's Close returned nil.
func (c *Copy) Done(r *Result) error {
	if c.ended {
		return nil
	}
	c.ended = true
	c.l.st.put(c.c)
	r.affected = c.rows
	if !c.own {
		return nil
	}
	return c.x.commitBlock(c.ctx)
}

// Abort undoes the load; err is why.
func (c *Copy) Abort(err error) {
	if c.ended {
		return
	}
	c.ended = true
	c.l.st.put(c.c)
	if c.own {
		c.x.rollbackBlock()
		return
	}
	c.x.failedStatement(err)
}

// Load is LOAD DATA LOCAL: the protocol fetches the file from the client and gives its rows to Copy.
type Load struct {
	Statement *ir.LoadData
	*Copy
}

func (x *Session) load(ctx context.Context, st *ir.Statement, s *ir.LoadData) (*Result, error) {
	if !s.Local {
		return nil, sqlerr.New("42501", "LOAD DATA of a file of the server is not allowed").
			My(1290, "The server does not read files of its own machine; use LOAD DATA LOCAL INFILE")
	}
	sch, _, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(st, x.planEnv(sch, nil))
	if err != nil {
		return nil, err
	}
	c, err := x.loading(ctx, p, "LOAD DATA")
	if err != nil {
		return nil, err
	}
	for _, t := range p.Params {
		c.Columns = append(c.Columns, plan.Column{Type: t})
	}
	return &Result{Load: &Load{Statement: s, Copy: c}, verb: "LOAD DATA", ended: true}, nil
}
