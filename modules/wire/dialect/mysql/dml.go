package mysql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// one returns the only table of a clause.
func (m *mapper) one(c *ast.TableRefsClause) *ir.Table {
	list := m.from(c)
	if len(list) == 1 {
		if t, ok := list[0].(*ir.Table); ok {
			return t
		}
	}
	m.fail(unknown("target table"))
	return &ir.Table{}
}

func (m *mapper) insert(n *ast.InsertStmt) ir.Stmt {
	t := m.one(n.Table)
	s := &ir.Insert{Table: t.Name, Alias: t.Alias, Columns: columnNames(n.Columns), Ignore: n.IgnoreErr, Replace: n.IsReplace}
	if len(n.PartitionNames) > 0 {
		m.lack("PARTITION (…) in INSERT")
	}
	switch {
	case n.Select != nil:
		s.Source = m.query(n.Select)
	default:
		v := &ir.Values{}
		for _, row := range n.Lists {
			v.Rows = append(v.Rows, m.exprs(row))
		}
		// INSERT INTO t () VALUES () has neither columns nor values.
		if len(v.Rows) > 1 || len(v.Rows) == 1 && len(v.Rows[0]) > 0 {
			s.Source = &ir.Query{Body: v}
		}
	}
	if len(n.OnDuplicate) > 0 {
		s.OnConflict = &ir.OnConflict{AnyKey: true, Update: m.assignments(n.OnDuplicate), RowAlias: m.rewritten.alias}
		if m.rewritten.alias != "" {
			m.aliasColumns(s)
		}
	}
	return s
}

// aliasColumns puts the real columns in the place of the names that VALUES (…) AS row (a, b) gives them.
func (m *mapper) aliasColumns(s *ir.Insert) {
	list := m.rewritten.aliasColumns
	if len(list) == 0 {
		return
	}
	if len(s.Columns) > 0 && len(list) != len(s.Columns) {
		m.lack("VALUES … AS row with another number of columns")
		return
	}
	if len(s.Columns) == 0 {
		m.lack("VALUES … AS row (columns) without the columns of the table")
		return
	}
	real := map[string]string{}
	for i, c := range list {
		real[strings.ToLower(c)] = s.Columns[i]
	}
	for _, a := range s.OnConflict.Update {
		walkColumns(a.Value, func(c *ir.ColumnRef) {
			name, ok := real[strings.ToLower(c.Name)]
			if ok && (c.Table == "" || c.Table == s.OnConflict.RowAlias) {
				c.Table, c.Name = s.OnConflict.RowAlias, name
			}
		})
	}
}

// walkColumns calls f for the columns of an expression outside of its subqueries.
func walkColumns(e ir.Expr, f func(*ir.ColumnRef)) {
	each := func(es []ir.Expr) {
		for _, e := range es {
			walkColumns(e, f)
		}
	}
	switch e := e.(type) {
	case *ir.ColumnRef:
		f(e)
	case *ir.Unary:
		walkColumns(e.X, f)
	case *ir.Binary:
		walkColumns(e.Left, f)
		walkColumns(e.Right, f)
	case *ir.Like:
		each([]ir.Expr{e.X, e.Pattern, e.Escape})
	case *ir.Is:
		walkColumns(e.X, f)
	case *ir.Between:
		each([]ir.Expr{e.X, e.Low, e.High})
	case *ir.In:
		walkColumns(e.X, f)
		each(e.List)
	case *ir.Case:
		each([]ir.Expr{e.X, e.Else})
		for _, w := range e.Whens {
			each([]ir.Expr{w.Cond, w.Then})
		}
	case *ir.Cast:
		walkColumns(e.X, f)
	case *ir.Func:
		each(e.Args)
	case *ir.Row:
		each(e.Elems)
	case *ir.Collate:
		walkColumns(e.X, f)
	case *ir.IntervalOf:
		walkColumns(e.X, f)
	}
}

func (m *mapper) assignments(as []*ast.Assignment) []ir.Assign {
	out := make([]ir.Assign, len(as))
	for i, a := range as {
		out[i] = ir.Assign{Columns: []ir.ColumnRef{*columnRef(a.Column, -1)}, Value: m.expr(a.Expr)}
	}
	return out
}

func (m *mapper) update(n *ast.UpdateStmt) ir.Stmt {
	s := &ir.Update{With: m.with(n.With), Set: m.assignments(n.List), Where: m.expr(n.Where), OrderBy: m.orderBy(n.Order), Ignore: n.IgnoreErr}
	s.Target = joined(m.from(n.TableRefs))
	if n.Limit != nil {
		s.Limit = m.expr(n.Limit.Count)
	}
	return s
}

// joined makes one table expression of a list.
func joined(list []ir.TableExpr) ir.TableExpr {
	if len(list) == 0 {
		return nil
	}
	t := list[0]
	for _, r := range list[1:] {
		t = &ir.Join{Kind: ir.CrossJoin, Left: t, Right: r}
	}
	return t
}

func (m *mapper) delete(n *ast.DeleteStmt) ir.Stmt {
	s := &ir.Delete{With: m.with(n.With), From: joined(m.from(n.TableRefs)), Where: m.expr(n.Where), OrderBy: m.orderBy(n.Order), Ignore: n.IgnoreErr}
	if n.IsMultiTable && n.Tables != nil {
		s.Targets = tableNames(n.Tables.Tables)
	}
	if n.Limit != nil {
		s.Limit = m.expr(n.Limit.Count)
	}
	return s
}

func (m *mapper) loadData(n *ast.LoadDataStmt) ir.Stmt {
	s := &ir.LoadData{
		Local: n.FileLocRef == ast.FileLocClient, File: n.Path, Table: tableName(n.Table), Set: m.assignments(n.ColumnAssignments),
		Replace: n.OnDuplicate == ast.OnDuplicateKeyHandlingReplace, Ignore: n.OnDuplicate == ast.OnDuplicateKeyHandlingIgnore,
		FieldsTerminated: "\t", FieldsEscaped: `\`, LinesTerminated: "\n",
	}
	if len(s.Set) == 0 {
		s.Set = nil
	}
	for _, c := range n.ColumnsAndUserVars {
		if c.ColumnName != nil {
			s.Columns = append(s.Columns, c.ColumnName.Name.O)
		} else {
			s.Columns = append(s.Columns, "@"+c.UserVar.Name)
		}
	}
	if n.Format != nil || len(n.Options) > 0 {
		m.lack("LOAD DATA … FORMAT and WITH")
	}
	if f := n.FieldsInfo; f != nil {
		set(&s.FieldsTerminated, f.Terminated)
		set(&s.FieldsEnclosed, f.Enclosed)
		set(&s.FieldsEscaped, f.Escaped)
		s.OptionallyEnclosed = f.OptEnclosed
	}
	if l := n.LinesInfo; l != nil {
		set(&s.LinesStarting, l.Starting)
		set(&s.LinesTerminated, l.Terminated)
	}
	if n.IgnoreLines != nil {
		s.IgnoreLines = int(min(*n.IgnoreLines, 1<<31-1))
	}
	set(&s.Charset, n.Charset)
	return s
}

func set(to, from *string) {
	if from != nil {
		*to = *from
	}
}
