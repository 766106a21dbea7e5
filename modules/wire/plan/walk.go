package plan

import "github.com/bop-platform/bop/modules/wire/ir"

// walk visits an expression and its parts, subqueries excepted, as long as visit returns true.
func walk(e ir.Expr, visit func(ir.Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	all := func(es ...ir.Expr) {
		for _, x := range es {
			if x != nil {
				walk(x, visit)
			}
		}
	}
	switch x := e.(type) {
	case *ir.Unary:
		all(x.X)
	case *ir.Binary:
		all(x.Left, x.Right)
	case *ir.Like:
		all(x.X, x.Pattern, x.Escape)
	case *ir.Is:
		all(x.X)
	case *ir.Between:
		all(x.X, x.Low, x.High)
	case *ir.In:
		all(x.X)
		all(x.List...)
	case *ir.Quantified:
		all(x.X, x.Array)
	case *ir.Case:
		all(x.X)
		for _, w := range x.Whens {
			all(w.Cond, w.Then)
		}
		all(x.Else)
	case *ir.Cast:
		all(x.X)
	case *ir.Func:
		all(x.Args...)
		for _, o := range x.OrderBy {
			all(o.Expr)
		}
		all(x.Filter)
		if x.Over != nil {
			all(x.Over.Partition...)
			for _, o := range x.Over.OrderBy {
				all(o.Expr)
			}
			all(x.Over.Bounds...)
		}
	case *ir.ArrayExpr:
		all(x.Elems...)
	case *ir.Row:
		all(x.Elems...)
	case *ir.Index:
		all(x.X, x.I, x.Low, x.High)
	case *ir.Field:
		all(x.X)
	case *ir.Collate:
		all(x.X)
	case *ir.IntervalOf:
		all(x.X)
	case *ir.Variable:
		all(x.Assign)
	case *ir.Match:
		all(x.Against)
	}
}

// refers reports whether a query reads a relation of that unqualified name in any FROM, at any depth.
func refers(q *ir.Query, name string) bool {
	if q == nil {
		return false
	}
	if q.With != nil {
		for i := range q.With.CTEs {
			if in, ok := q.With.CTEs[i].Stmt.(*ir.Query); ok && refers(in, name) {
				return true
			}
		}
	}
	switch body := q.Body.(type) {
	case *ir.SetOp:
		return refers(body.Left, name) || refers(body.Right, name)
	case *ir.Select:
		for _, te := range body.From {
			if refersIn(te, name) {
				return true
			}
		}
		found := false
		each := func(e ir.Expr) {
			walk(e, func(e ir.Expr) bool {
				found = found || subqueryRefers(e, name)
				return !found
			})
		}
		each(body.Where)
		each(body.Having)
		for _, it := range body.Items {
			each(it.Expr)
		}
		return found
	}
	return false
}

func subqueryRefers(e ir.Expr, name string) bool {
	switch x := e.(type) {
	case *ir.Subquery:
		return refers(x.Query, name)
	case *ir.In:
		return refers(x.Query, name)
	case *ir.Quantified:
		return refers(x.Query, name)
	}
	return false
}

func refersIn(te ir.TableExpr, name string) bool {
	switch t := te.(type) {
	case *ir.Table:
		return t.Name.Schema == "" && t.Name.Name == name
	case *ir.Join:
		return refersIn(t.Left, name) || refersIn(t.Right, name)
	case *ir.Derived:
		return refers(t.Query, name)
	}
	return false
}

// posOf is where an expression begins, -1 if that isn't known.
func posOf(e ir.Expr) int {
	switch x := e.(type) {
	case *ir.Literal:
		return x.Pos
	case *ir.Param:
		return x.Pos
	case *ir.ColumnRef:
		return x.Pos
	case *ir.Star:
		return x.Pos
	case *ir.Default:
		return x.Pos
	case *ir.Unary:
		return x.Pos
	case *ir.Binary:
		return x.Pos
	case *ir.Like:
		return x.Pos
	case *ir.Is:
		return x.Pos
	case *ir.Between:
		return x.Pos
	case *ir.In:
		return x.Pos
	case *ir.Quantified:
		return x.Pos
	case *ir.Subquery:
		return x.Pos
	case *ir.Case:
		return x.Pos
	case *ir.Cast:
		return x.Pos
	case *ir.Func:
		return x.Pos
	case *ir.ArrayExpr:
		return x.Pos
	case *ir.Row:
		return x.Pos
	case *ir.Index:
		return x.Pos
	case *ir.Field:
		return x.Pos
	case *ir.Collate:
		return x.Pos
	case *ir.IntervalOf:
		return x.Pos
	case *ir.Variable:
		return x.Pos
	case *ir.Match:
		return x.Pos
	}
	return -1
}
