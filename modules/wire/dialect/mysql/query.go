package mysql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// query maps anything that gives rows.
func (m *mapper) query(n ast.Node) *ir.Query {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return m.selectQuery(n)
	case *ast.SetOprStmt:
		q := m.setOperation(n.SelectList, n.With)
		q.OrderBy = m.orderBy(n.OrderBy)
		m.limit(q, n.Limit)
		return q
	case *ast.SetOprSelectList:
		if len(n.Selects) == 1 && n.OrderBy == nil && n.Limit == nil && n.With == nil {
			return m.query(n.Selects[0])
		}
		q := m.setOperation(n, n.With)
		q.OrderBy = m.orderBy(n.OrderBy)
		m.limit(q, n.Limit)
		return q
	case *ast.SubqueryExpr:
		return m.query(n.Query)
	}
	m.fail(unknown("query"))
	return &ir.Query{Body: &ir.Select{}}
}

func (m *mapper) selectQuery(n *ast.SelectStmt) *ir.Query {
	q := &ir.Query{With: m.with(n.With), OrderBy: m.orderBy(n.OrderBy)}
	m.limit(q, n.Limit)
	if n.LockInfo != nil {
		q.Lock = lockOf(n.LockInfo.LockType)
	}
	if n.SelectIntoOpt != nil {
		m.lack("SELECT … INTO")
	}
	switch n.Kind {
	case ast.SelectStmtKindValues:
		v := &ir.Values{}
		for _, row := range n.Lists {
			v.Rows = append(v.Rows, m.exprs(row.Values))
		}
		q.Body = v
		return q
	case ast.SelectStmtKindTable:
		q.Body = &ir.Select{Items: []ir.Item{{Expr: &ir.Star{Pos: -1}}}, From: m.from(n.From)}
		return q
	}
	s := &ir.Select{Distinct: n.Distinct, From: m.from(n.From)}
	if n.SelectStmtOpts != nil {
		q.CalcFoundRows = n.SelectStmtOpts.CalcFoundRows
	}
	for _, f := range n.Fields.Fields {
		s.Items = append(s.Items, m.item(f))
	}
	s.Where = m.expr(n.Where)
	if n.GroupBy != nil {
		for _, it := range n.GroupBy.Items {
			s.GroupBy = append(s.GroupBy, m.ordinal(it.Expr))
		}
		s.WithRollup = n.GroupBy.Rollup
	}
	if n.Having != nil {
		s.Having = m.expr(n.Having.Expr)
	}
	for i := range n.WindowSpecs {
		w := &n.WindowSpecs[i]
		s.Windows = append(s.Windows, ir.NamedWindow{Name: w.Name.O, Spec: *m.windowSpec(w)})
	}
	q.Body = s
	return q
}

func lockOf(t ast.SelectLockType) ir.Lock {
	switch t {
	case ast.SelectLockForUpdate, ast.SelectLockForUpdateWaitN:
		return ir.Lock{Strength: ir.ForUpdate}
	case ast.SelectLockForUpdateNoWait:
		return ir.Lock{Strength: ir.ForUpdate, NoWait: true}
	case ast.SelectLockForUpdateSkipLocked:
		return ir.Lock{Strength: ir.ForUpdate, SkipLocked: true}
	case ast.SelectLockForShare:
		return ir.Lock{Strength: ir.ForShare}
	case ast.SelectLockForShareNoWait:
		return ir.Lock{Strength: ir.ForShare, NoWait: true}
	case ast.SelectLockForShareSkipLocked:
		return ir.Lock{Strength: ir.ForShare, SkipLocked: true}
	}
	return ir.Lock{}
}

// item maps an element of a select list. Its text is the column's name when it has no alias: a string's is its value.
func (m *mapper) item(f *ast.SelectField) ir.Item {
	if f.WildCard != nil {
		return ir.Item{Expr: &ir.Star{Schema: f.WildCard.Schema.O, Table: f.WildCard.Table.O, Pos: f.Offset}}
	}
	it := ir.Item{Expr: m.expr(f.Expr), Alias: f.AsName.O, Text: strings.TrimSpace(f.OriginalText())}
	if lit, ok := it.Expr.(*ir.Literal); ok && lit.Type.IsString() && it.Alias == "" {
		if _, cast := f.Expr.(*ast.FuncCallExpr); !cast {
			it.Text = strings.TrimLeft(string(lit.Value.B), " \t\r\n")
		}
	}
	return it
}

// with maps a WITH clause.
func (m *mapper) with(w *ast.WithClause) *ir.With {
	if w == nil {
		return nil
	}
	out := &ir.With{Recursive: w.IsRecursive}
	for _, c := range w.CTEs {
		out.CTEs = append(out.CTEs, ir.CTE{Name: c.Name.O, Columns: names(c.ColNameList), Stmt: m.query(c.Query)})
	}
	return out
}

// setOperation maps a list of queries; INTERSECT binds tighter than the others.
func (m *mapper) setOperation(list *ast.SetOprSelectList, with *ast.WithClause) *ir.Query {
	type part struct {
		q   *ir.Query
		op  string
		all bool
	}
	var parts []part
	for _, n := range list.Selects {
		p := part{}
		var after *ast.SetOprType
		switch n := n.(type) {
		case *ast.SelectStmt:
			p.q, after = m.selectQuery(n), n.AfterSetOperator
		case *ast.SetOprSelectList:
			p.q, after = m.query(n), n.AfterSetOperator
		default:
			m.fail(unknown("set operation"))
			return &ir.Query{Body: &ir.Select{}}
		}
		if after != nil {
			switch *after {
			case ast.Union:
				p.op = "UNION"
			case ast.UnionAll:
				p.op, p.all = "UNION", true
			case ast.Except:
				p.op = "EXCEPT"
			case ast.ExceptAll:
				p.op, p.all = "EXCEPT", true
			case ast.Intersect:
				p.op = "INTERSECT"
			case ast.IntersectAll:
				p.op, p.all = "INTERSECT", true
			}
		}
		if n := len(parts); p.op == "INTERSECT" && n > 0 {
			last := &parts[n-1]
			last.q = &ir.Query{Body: &ir.SetOp{Op: p.op, All: p.all, Left: last.q, Right: p.q}}
			continue
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		m.fail(unknown("set operation"))
		return &ir.Query{Body: &ir.Select{}}
	}
	q := parts[0].q
	for _, p := range parts[1:] {
		q = &ir.Query{Body: &ir.SetOp{Op: p.op, All: p.all, Left: q, Right: p.q}}
	}
	if len(parts) == 1 && (q.OrderBy != nil || q.Limit != nil || q.With != nil) {
		// ((SELECT … LIMIT 1)) LIMIT 2: the inner clauses stay the inner query's.
		q = &ir.Query{Body: &ir.Select{Items: []ir.Item{{Expr: &ir.Star{Pos: -1}}}, From: []ir.TableExpr{&ir.Derived{Query: q, Alias: "_"}}}}
	}
	if with != nil {
		q.With = m.with(with)
	}
	return q
}

func (m *mapper) orderBy(o *ast.OrderByClause) []ir.Order {
	if o == nil {
		return nil
	}
	out := make([]ir.Order, len(o.Items))
	for i, it := range o.Items {
		out[i] = ir.Order{Expr: m.ordinal(it.Expr), Desc: it.Desc}
	}
	return out
}

// ordinal maps a key of ORDER BY or GROUP BY, which may be the number of a column.
func (m *mapper) ordinal(n ast.ExprNode) ir.Expr {
	if p, ok := n.(*ast.PositionExpr); ok {
		if p.P != nil {
			return m.expr(p.P)
		}
		return &ir.Literal{Value: types.IntValue(int64(p.N)), Type: types.T(types.Int8), Pos: p.OriginTextPosition()}
	}
	return m.expr(n)
}

func (m *mapper) limit(q *ir.Query, l *ast.Limit) {
	if l == nil {
		return
	}
	q.Limit, q.Offset = m.expr(l.Count), m.expr(l.Offset)
}

// from maps a FROM clause; joins by comma at its top are a list.
func (m *mapper) from(c *ast.TableRefsClause) []ir.TableExpr {
	if c == nil || c.TableRefs == nil {
		return nil
	}
	var out []ir.TableExpr
	var n ast.ResultSetNode = c.TableRefs
	for {
		j, ok := n.(*ast.Join)
		if !ok || j.ExplicitParens || j.Right == nil || j.Tp != ast.CrossJoin || j.On != nil || len(j.Using) > 0 || j.NaturalJoin || j.StraightJoin {
			out = append(out, m.table(n))
			break
		}
		out = append(out, m.table(j.Right))
		n = j.Left
	}
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out
}

// table maps one element of FROM.
func (m *mapper) table(n ast.ResultSetNode) ir.TableExpr {
	switch n := n.(type) {
	case *ast.Join:
		if n.Right == nil {
			return m.table(n.Left)
		}
		j := &ir.Join{Natural: n.NaturalJoin, Left: m.table(n.Left), Right: m.table(n.Right), Using: columnNames(n.Using)}
		switch n.Tp {
		case ast.LeftJoin:
			j.Kind = ir.LeftJoin
		case ast.RightJoin:
			j.Kind = ir.RightJoin
		default:
			j.Kind = ir.CrossJoin
			if n.On != nil || len(n.Using) > 0 || n.NaturalJoin {
				j.Kind = ir.InnerJoin
			}
		}
		if n.On != nil {
			j.On = m.expr(n.On.Expr)
		}
		return j
	case *ast.TableSource:
		switch src := n.Source.(type) {
		case *ast.TableName:
			if len(src.PartitionNames) > 0 {
				m.lack("PARTITION (…) in FROM")
			}
			if src.TableSample != nil || src.AsOf != nil {
				m.lack("TABLESAMPLE and AS OF")
			}
			return &ir.Table{Name: tableName(src), Alias: n.AsName.O, Columns: names(n.ColumnNames)}
		case *ast.SelectStmt, *ast.SetOprStmt:
			return &ir.Derived{Query: m.query(src), Alias: n.AsName.O, Columns: names(n.ColumnNames), Lateral: n.Lateral}
		case *ast.Join:
			return m.table(src)
		}
	case *ast.TableName:
		return &ir.Table{Name: tableName(n)}
	case *ast.SelectStmt, *ast.SetOprStmt:
		return &ir.Derived{Query: m.query(n)}
	}
	m.fail(unknown("table"))
	return &ir.Table{}
}
