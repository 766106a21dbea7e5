package postgres

import (
	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
)

// queryNode maps the query of a subselect.
func (m *mapper) queryNode(n ast.Node) *ir.Query {
	s, ok := n.(*ast.SelectStmt)
	if !ok {
		m.lack("this kind of subquery")
		return &ir.Query{Body: &ir.Values{}}
	}
	return m.query(s)
}

func (m *mapper) query(s *ast.SelectStmt) *ir.Query {
	if s.IntoClause != nil {
		m.fail(-1, "42601", "SELECT ... INTO is not allowed here")
	}
	q := &ir.Query{With: m.with(s.WithClause), OrderBy: m.order(s.SortClause)}
	switch {
	case s.Op != ast.SETOP_NONE && s.Larg != nil && s.Rarg != nil:
		q.Body = &ir.SetOp{Op: map[ast.SetOperation]string{
			ast.SETOP_UNION: "UNION", ast.SETOP_INTERSECT: "INTERSECT", ast.SETOP_EXCEPT: "EXCEPT",
		}[s.Op], All: s.All, Left: m.query(s.Larg), Right: m.query(s.Rarg)}
	case len(s.ValuesLists) > 0:
		q.Body = m.values(s.ValuesLists)
	default:
		q.Body = m.selectCore(s)
	}
	if s.LimitOption == ast.LIMIT_OPTION_WITH_TIES {
		m.lack("FETCH FIRST … WITH TIES")
	}
	if c, ok := s.LimitCount.(*ast.AConst); !ok || !c.Isnull { // LIMIT ALL is a NULL
		q.Limit = m.expr(s.LimitCount)
	}
	q.Offset = m.expr(s.LimitOffset)
	for _, n := range s.LockingClause {
		l, ok := n.(*ast.LockingClause)
		if !ok {
			continue
		}
		strength := ir.ForUpdate
		if l.Strength == ast.LCS_FORSHARE || l.Strength == ast.LCS_FORKEYSHARE {
			strength = ir.ForShare
		}
		q.Lock.Strength = max(q.Lock.Strength, strength)
		q.Lock.NoWait = q.Lock.NoWait || l.WaitPolicy == ast.LockWaitError
		q.Lock.SkipLocked = q.Lock.SkipLocked || l.WaitPolicy == ast.LockWaitSkip
	}
	return q
}

func (m *mapper) values(lists []ast.Node) *ir.Values {
	v := &ir.Values{Rows: make([][]ir.Expr, 0, len(lists))}
	for _, n := range lists {
		l, ok := n.(*ast.List)
		if !ok {
			continue
		}
		if len(v.Rows) > 0 && len(l.Items) != len(v.Rows[0]) {
			m.fail(location(l), "42601", "VALUES lists must all be the same length")
		}
		v.Rows = append(v.Rows, m.exprs(l.Items))
	}
	return v
}

// location returns where the first element of a list begins, -1 if it doesn't say.
func location(l *ast.List) int32 {
	if len(l.Items) == 0 {
		return -1
	}
	switch n := l.Items[0].(type) {
	case *ast.AConst:
		return n.Location
	case *ast.ColumnRef:
		return n.Location
	case *ast.ParamRef:
		return n.Location
	case *ast.FuncCall:
		return n.Location
	case *ast.TypeCast:
		return n.Location
	case *ast.SetToDefault:
		return n.Location
	}
	return -1
}

func (m *mapper) selectCore(s *ast.SelectStmt) *ir.Select {
	core := &ir.Select{
		Items: m.items(s.TargetList), From: m.from(s.FromClause), Where: m.expr(s.WhereClause), Having: m.expr(s.HavingClause),
	}
	if len(s.DistinctClause) > 0 {
		// A plain DISTINCT is a list of one empty node.
		if s.DistinctClause[0] == nil {
			core.Distinct = true
		} else {
			core.DistinctOn = m.exprs(s.DistinctClause)
		}
	}
	if s.GroupDistinct {
		m.lack("GROUP BY DISTINCT")
	}
	core.GroupBy, core.WithRollup = m.groups(s.GroupClause)
	for _, n := range s.WindowClause {
		if w, ok := n.(*ast.WindowDef); ok {
			spec := m.window(w)
			spec.Name = w.Refname
			core.Windows = append(core.Windows, ir.NamedWindow{Name: w.Name, Spec: *spec})
		}
	}
	return core
}

// groups maps GROUP BY. Of the grouping sets ROLLUP alone can be expressed; the empty set () alone groups by nothing.
func (m *mapper) groups(nodes []ast.Node) (by []ir.Expr, rollup bool) {
	if len(nodes) == 1 {
		if g, ok := nodes[0].(*ast.GroupingSet); ok && g.Kind == ast.GROUPING_SET_ROLLUP {
			for _, n := range g.Content {
				if _, ok := n.(*ast.RowExpr); ok {
					m.lack("ROLLUP of groups of columns")
				}
			}
			return m.exprs(g.Content), true
		}
	}
	return m.exprs(nodes), false
}

func (m *mapper) items(nodes []ast.Node) []ir.Item {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]ir.Item, 0, len(nodes))
	for _, n := range nodes {
		if t, ok := n.(*ast.ResTarget); ok {
			out = append(out, ir.Item{Expr: m.expr(t.Val), Alias: t.Name})
		}
	}
	return out
}

func (m *mapper) order(nodes []ast.Node) []ir.Order {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]ir.Order, 0, len(nodes))
	for _, n := range nodes {
		s, ok := n.(*ast.SortBy)
		if !ok {
			continue
		}
		o := ir.Order{Expr: m.expr(s.Node), Desc: s.SortbyDir == ast.SORTBY_DESC, Nulls: nulls(s.SortbyNulls)}
		if s.SortbyDir == ast.SORTBY_USING {
			switch last(s.UseOp) {
			case "<":
			case ">":
				o.Desc = true
			default:
				m.fail(s.Location, "42809", "operator %s is not a valid ordering operator", last(s.UseOp))
			}
		}
		out = append(out, o)
	}
	return out
}

func nulls(n ast.SortByNulls) int8 {
	switch n {
	case ast.SORTBY_NULLS_FIRST:
		return 1
	case ast.SORTBY_NULLS_LAST:
		return -1
	}
	return 0
}

func (m *mapper) with(w *ast.WithClause) *ir.With {
	if w == nil {
		return nil
	}
	out := &ir.With{Recursive: w.Recursive}
	for _, n := range w.Ctes {
		c, ok := n.(*ast.CommonTableExpr)
		if !ok {
			continue
		}
		if c.SearchClause != nil || c.CycleClause != nil {
			m.lack("SEARCH and CYCLE clauses")
		}
		cte := ir.CTE{Name: c.Ctename, Columns: words(c.Aliascolnames), Stmt: m.statement(c.Ctequery)}
		switch c.Ctematerialized {
		case ast.CTEMaterializeAlways:
			cte.Materialized = 1
		case ast.CTEMaterializeNever:
			cte.Materialized = -1
		}
		out.CTEs = append(out.CTEs, cte)
	}
	return out
}

func (m *mapper) from(nodes []ast.Node) []ir.TableExpr {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]ir.TableExpr, len(nodes))
	for i, n := range nodes {
		out[i] = m.tableExpr(n)
	}
	return out
}

func (m *mapper) tableExpr(n ast.Node) ir.TableExpr {
	switch n := n.(type) {
	case *ast.RangeVar:
		t := &ir.Table{Name: m.name(n), Only: !n.Inh}
		t.Alias, t.Columns = alias(n.Alias)
		return t
	case *ast.JoinExpr:
		j := &ir.Join{
			Natural: n.IsNatural, Left: m.tableExpr(n.Larg), Right: m.tableExpr(n.Rarg),
			Using: words(n.UsingClause), On: m.expr(n.Quals),
		}
		switch n.Jointype {
		case ast.JOIN_LEFT:
			j.Kind = ir.LeftJoin
		case ast.JOIN_RIGHT:
			j.Kind = ir.RightJoin
		case ast.JOIN_FULL:
			j.Kind = ir.FullJoin
		default:
			if j.On == nil && len(j.Using) == 0 && !j.Natural {
				j.Kind = ir.CrossJoin
			}
		}
		var columns []string
		if j.Alias, columns = alias(n.Alias); len(columns) > 0 {
			m.lack("column aliases of a join")
		}
		if n.JoinUsingAlias != nil {
			m.lack("JOIN USING … AS")
		}
		return j
	case *ast.RangeSubselect:
		d := &ir.Derived{Query: m.queryNode(n.Subquery), Lateral: n.Lateral}
		d.Alias, d.Columns = alias(n.Alias)
		return d
	case *ast.RangeFunction:
		return m.tableFunc(n)
	case *ast.Other:
		switch n.Name {
		case "RangeTableSample":
			m.lack("TABLESAMPLE")
		case "RangeTableFunc":
			m.lack("XMLTABLE")
		case "JsonTable":
			m.lack("JSON_TABLE")
		default:
			m.lack(n.Name)
		}
	default:
		m.lack("this element of FROM")
	}
	return &ir.Table{Name: ir.Name{Pos: -1}}
}

func (m *mapper) tableFunc(n *ast.RangeFunction) ir.TableExpr {
	t := &ir.TableFunc{Ordinality: n.Ordinality, Lateral: n.Lateral}
	t.Alias, t.Columns = alias(n.Alias)
	for _, f := range n.Functions {
		l, ok := f.(*ast.List)
		if !ok || len(l.Items) == 0 {
			continue
		}
		fn, ok := m.expr(l.Items[0]).(*ir.Func)
		if !ok {
			m.lack("an expression that is no function call in FROM")
			continue
		}
		if len(l.Items) > 1 {
			if defs, ok := l.Items[1].(*ast.List); ok && len(defs.Items) > 0 {
				m.lack("column definitions inside ROWS FROM")
			}
		}
		t.Funcs = append(t.Funcs, fn)
	}
	for _, c := range n.Coldeflist {
		if c, ok := c.(*ast.ColumnDef); ok {
			t.Columns = append(t.Columns, c.Colname)
			t.Types = append(t.Types, m.typeName(c.TypeName))
		}
	}
	return t
}

func alias(a *ast.Alias) (string, []string) {
	if a == nil {
		return "", nil
	}
	return a.Aliasname, words(a.Colnames)
}
