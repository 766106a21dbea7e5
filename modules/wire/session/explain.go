package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// explain shows SQLite's plan of a statement as an indented tree; ANALYZE also runs it and tells rows and time.
func (x *Session) explain(ctx context.Context, st *ir.Statement, s *ir.Explain, args []types.Value) (*Result, error) {
	if f := strings.ToLower(s.Format); f != "" && f != "text" && f != "traditional" && f != "tree" {
		return nil, sqlerr.Unsupported("EXPLAIN in format " + f)
	}
	inner := &ir.Statement{Dialect: st.Dialect, Text: st.Text, Params: st.Params, Tree: s.Stmt}
	if !isPlanned(inner.Tree) {
		return nil, sqlerr.New("42601", "EXPLAIN takes a query or a change of data")
	}
	sch, _, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(inner, x.planEnv(sch, nil))
	if err != nil {
		return nil, err
	}
	lines, err := x.queryPlan(ctx, p, args)
	if err != nil {
		return nil, err
	}
	if s.Analyze {
		began := time.Now()
		r, err := x.runPlan(ctx, &planned{st: inner, plan: p}, args)
		if err != nil {
			return nil, err
		}
		for r.Next() {
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("Rows: %d", r.Affected()), fmt.Sprintf("Execution Time: %.3f ms", float64(time.Since(began).Microseconds())/1000))
	}
	if _, ok := s.Options["verbose"]; ok {
		lines = append(lines, "SQLite: "+p.SQL)
	}
	rows := make([][]types.Value, len(lines))
	for i, line := range lines {
		rows[i] = textRow(line)
	}
	name := "QUERY PLAN"
	if x.mysql() {
		name = "EXPLAIN"
	}
	return table("EXPLAIN", textColumns(name), rows), nil
}

// queryPlan asks SQLite and indents what it answers.
func (x *Session) queryPlan(ctx context.Context, p *plan.Plan, args []types.Value) ([]string, error) {
	l, err := x.readConn(ctx, true)
	if err != nil {
		return nil, err
	}
	defer x.giveBack(l)
	c, err := l.st.get(l.Raw(), "EXPLAIN QUERY PLAN "+p.SQL)
	if err != nil {
		return nil, l.Explain(err)
	}
	defer l.st.put(c)
	if err := bind(c.stmt, args); err != nil {
		return nil, l.Explain(err)
	}
	depth := map[int64]int{0: -1}
	var lines []string
	for c.stmt.Step() {
		d := depth[c.stmt.ColumnInt64(1)] + 1
		depth[c.stmt.ColumnInt64(0)] = d
		arrow := ""
		if d > 0 {
			arrow = "->  "
		}
		lines = append(lines, strings.Repeat("  ", d)+arrow+c.stmt.ColumnText(3))
	}
	if lines == nil {
		lines = []string{"Result"}
	}
	return lines, l.Explain(c.stmt.Err())
}
