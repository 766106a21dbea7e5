package session

import (
	"context"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/types"
)

// showMySQL is MySQL's SHOW and DESCRIBE: a query of the catalogs, but for what only the session knows.
func (x *Session) showMySQL(ctx context.Context, st *ir.Statement) (*Result, error) {
	if s, ok := st.Tree.(*ir.MyShow); ok {
		if r := x.showWarnings(s); r != nil {
			return r, nil
		}
	}
	f, err := x.showPlan(ctx, st)
	if err != nil {
		return nil, err
	}
	return x.runPlan(ctx, f, nil)
}

// showPlan plans the query that a SHOW stands for.
func (x *Session) showPlan(ctx context.Context, st *ir.Statement) (*planned, error) {
	q, err := catalog.ShowMySQL(st.Tree, &connState{user: x})
	if err != nil {
		return nil, err
	}
	s, version, err := x.schema(ctx)
	if err != nil {
		return nil, err
	}
	inner := &ir.Statement{Dialect: st.Dialect, Text: st.Text, Tree: q}
	p, err := plan.Build(inner, x.planEnv(s, nil))
	if err != nil {
		return nil, err
	}
	return &planned{st: inner, plan: p, version: version}, nil
}

// describeShow tells the columns of a SHOW.
func (x *Session) describeShow(ctx context.Context, st *ir.Statement) ([]plan.Column, error) {
	if s, ok := st.Tree.(*ir.MyShow); ok {
		if r := x.showWarnings(s); r != nil {
			return r.Columns, nil
		}
	}
	f, err := x.showPlan(ctx, st)
	if err != nil {
		return nil, err
	}
	return f.plan.Columns, nil
}

// showWarnings answers SHOW WARNINGS, ERRORS and their counts; nil for any other SHOW.
func (x *Session) showWarnings(s *ir.MyShow) *Result {
	count := func(name string, n int) *Result {
		columns := []plan.Column{{Name: name, Type: types.T(types.Int8)}}
		return table("SELECT", columns, [][]types.Value{{types.IntValue(int64(n))}})
	}
	errorsOnly := func() (out []Warning) {
		for _, w := range x.warnings {
			if w.Level == "Error" {
				out = append(out, w)
			}
		}
		return out
	}
	list := x.warnings
	switch s.Kind {
	case "COUNT WARNINGS":
		return count("@@session.warning_count", len(list))
	case "COUNT ERRORS":
		return count("@@session.error_count", len(errorsOnly()))
	case "ERRORS":
		list = errorsOnly()
	case "WARNINGS":
	default:
		return nil
	}
	rows := make([][]types.Value, len(list))
	for i, w := range list {
		rows[i] = textRow(w.Level, strconv.Itoa(int(w.Number)), w.Message)
	}
	return table("SELECT", textColumns("Level", "Code", "Message"), rows)
}
