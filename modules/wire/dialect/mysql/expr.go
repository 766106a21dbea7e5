package mysql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	driver "github.com/pingcap/tidb/pkg/parser/test_driver"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

func (m *mapper) exprs(ns []ast.ExprNode) []ir.Expr {
	if len(ns) == 0 {
		return nil
	}
	out := make([]ir.Expr, len(ns))
	for i, n := range ns {
		out[i] = m.expr(n)
	}
	return out
}

var operators = map[opcode.Op]string{
	opcode.LogicAnd: "AND", opcode.LogicOr: "OR", opcode.LogicXor: "XOR",
	opcode.EQ: "=", opcode.NE: "<>", opcode.LT: "<", opcode.LE: "<=", opcode.GT: ">", opcode.GE: ">=", opcode.NullEQ: "<=>",
	opcode.Plus: "+", opcode.Minus: "-", opcode.Mul: "*", opcode.Div: "/", opcode.IntDiv: "DIV", opcode.Mod: "%",
	opcode.And: "&", opcode.Or: "|", opcode.Xor: "#", opcode.LeftShift: "<<", opcode.RightShift: ">>",
}

// expr maps an expression; nil stays nil.
func (m *mapper) expr(n ast.ExprNode) ir.Expr {
	switch n := n.(type) {
	case nil:
		return nil
	case *driver.ValueExpr:
		if e := m.rewritten.at(n.OriginTextPosition()); e != nil {
			return m.parsed(e)
		}
		return m.literal(n)
	case *driver.ParamMarkerExpr:
		return m.param(n.Offset)
	case *ast.ParenthesesExpr:
		return m.expr(n.Expr)
	case *ast.ColumnNameExpr:
		return columnRef(n.Name, n.OriginTextPosition())
	case *ast.BinaryOperationExpr:
		op, ok := operators[n.Op]
		if !ok {
			m.fail(unknown("operator"))
		}
		return &ir.Binary{Op: op, Left: m.expr(n.L), Right: m.expr(n.R), Pos: n.OriginTextPosition()}
	case *ast.UnaryOperationExpr:
		return m.unary(n)
	case *ast.BetweenExpr:
		return &ir.Between{X: m.expr(n.Expr), Low: m.expr(n.Left), High: m.expr(n.Right), Not: n.Not, Pos: n.OriginTextPosition()}
	case *ast.PatternInExpr:
		in := &ir.In{X: m.expr(n.Expr), Not: n.Not, Pos: n.OriginTextPosition()}
		if n.Sel != nil {
			in.Query = m.query(n.Sel)
		} else {
			in.List = m.exprs(n.List)
		}
		return in
	case *ast.PatternLikeOrIlikeExpr:
		return m.like(n)
	case *ast.PatternRegexpExpr:
		op := "REGEXP"
		if n.Not {
			op = "NOT REGEXP"
		}
		return &ir.Binary{Op: op, Left: m.expr(n.Expr), Right: m.expr(n.Pattern), Pos: n.OriginTextPosition()}
	case *ast.IsNullExpr:
		return &ir.Is{X: m.expr(n.Expr), What: "NULL", Not: n.Not, Pos: n.OriginTextPosition()}
	case *ast.IsTruthExpr:
		what := "FALSE"
		if n.True != 0 {
			what = "TRUE"
		}
		return &ir.Is{X: m.expr(n.Expr), What: what, Not: n.Not, Pos: n.OriginTextPosition()}
	case *ast.CaseExpr:
		c := &ir.Case{X: m.expr(n.Value), Else: m.expr(n.ElseClause), Pos: n.OriginTextPosition()}
		for _, w := range n.WhenClauses {
			c.Whens = append(c.Whens, ir.When{Cond: m.expr(w.Expr), Then: m.expr(w.Result)})
		}
		return c
	case *ast.SubqueryExpr:
		return &ir.Subquery{Query: m.query(n.Query), Pos: n.OriginTextPosition()}
	case *ast.ExistsSubqueryExpr:
		var e ir.Expr = &ir.Subquery{Query: m.query(n.Sel), Exists: true, Pos: n.OriginTextPosition()}
		if n.Not {
			e = &ir.Unary{Op: "NOT", X: e, Pos: n.OriginTextPosition()}
		}
		return e
	case *ast.CompareSubqueryExpr:
		return &ir.Quantified{X: m.expr(n.L), Op: operators[n.Op], All: n.All, Query: m.query(n.R), Pos: n.OriginTextPosition()}
	case *ast.RowExpr:
		return &ir.Row{Elems: m.exprs(n.Values), Pos: n.OriginTextPosition()}
	case *ast.DefaultExpr:
		if n.Name == nil {
			return &ir.Default{Pos: n.OriginTextPosition()}
		}
		return &ir.Func{Name: "default", Args: []ir.Expr{columnRef(n.Name, -1)}, Pos: n.OriginTextPosition()}
	case *ast.ValuesExpr:
		return &ir.Func{Name: "values", Args: []ir.Expr{columnRef(n.Column.Name, -1)}, Pos: n.OriginTextPosition()}
	case *ast.VariableExpr:
		return m.variable(n)
	case *ast.MatchAgainst:
		return m.match(n)
	case *ast.SetCollationExpr:
		return &ir.Collate{X: m.expr(n.Expr), Collation: ir.Name{Name: n.Collate, Pos: -1}, Pos: n.OriginTextPosition()}
	case *ast.FuncCastExpr:
		to := castType(n.Tp)
		if n.Tp.IsArray() {
			m.lack("CAST … AS … ARRAY (an index over several values)")
		}
		return &ir.Cast{X: m.expr(n.Expr), To: to, Pos: n.OriginTextPosition()}
	case *ast.FuncCallExpr:
		return m.call(n)
	case *ast.AggregateFuncExpr:
		f := &ir.Func{Name: strings.ToLower(n.F), Args: m.exprs(n.Args), Distinct: n.Distinct, OrderBy: m.orderBy(n.Order), Pos: n.OriginTextPosition()}
		m.aggregate(f)
		return f
	case *ast.WindowFuncExpr:
		f := &ir.Func{Name: strings.ToLower(n.Name), Args: m.exprs(n.Args), Distinct: n.Distinct, Over: m.over(&n.Spec), Pos: n.OriginTextPosition()}
		if n.IgnoreNull {
			m.lack("IGNORE NULLS")
		}
		if n.FromLast {
			m.lack("FROM LAST")
		}
		m.aggregate(f)
		return f
	case *ast.PositionExpr:
		return m.ordinal(n)
	case *ast.TableNameExpr:
		m.lack("a sequence")
		return &ir.Literal{Pos: -1}
	case *ast.TimeUnitExpr:
		return str(n.Unit.String())
	case *ast.MaxValueExpr:
		m.lack("PARTITION BY")
		return &ir.Literal{Pos: -1}
	}
	m.fail(unknown("expression"))
	return &ir.Literal{Pos: -1}
}

func (m *mapper) unary(n *ast.UnaryOperationExpr) ir.Expr {
	x := m.expr(n.V)
	pos := n.OriginTextPosition()
	switch n.Op {
	case opcode.Minus:
		if e := negative(x, pos); e != nil {
			return e
		}
		return &ir.Unary{Op: "-", X: x, Pos: pos}
	case opcode.Plus:
		return &ir.Unary{Op: "+", X: x, Pos: pos}
	case opcode.BitNeg:
		return &ir.Unary{Op: "~", X: x, Pos: pos}
	case opcode.Not, opcode.Not2:
		return &ir.Unary{Op: "NOT", X: x, Pos: pos}
	}
	m.fail(unknown("operator"))
	return x
}

func (m *mapper) like(n *ast.PatternLikeOrIlikeExpr) ir.Expr {
	l := &ir.Like{Kind: "LIKE", Not: n.Not, X: m.expr(n.Expr), Pattern: m.expr(n.Pattern), Pos: n.OriginTextPosition()}
	if !n.IsLike {
		l.Kind = "ILIKE"
	}
	switch {
	case m.o.NoBackslashEscapes && !n.EscapeExplicit:
		l.Escape = str("")
	case n.EscapeExplicit && n.Escape != '\\':
		if n.Escape == 0 {
			l.Escape = str("")
		} else {
			l.Escape = str(string(rune(n.Escape)))
		}
	}
	return l
}

func (m *mapper) variable(n *ast.VariableExpr) ir.Expr {
	v := &ir.Variable{Name: n.Name, User: !n.IsSystem, Pos: n.OriginTextPosition()}
	if n.IsSystem {
		v.Name = strings.ToLower(n.Name)
		switch {
		case n.IsGlobal:
			v.Scope = "global"
		case n.ExplicitScope:
			v.Scope = "session"
		}
	} else {
		v.Name = strings.ToLower(n.Name) // names of user variables ignore case
	}
	if n.Value != nil {
		v.Assign = m.expr(n.Value)
	}
	return v
}

func (m *mapper) match(n *ast.MatchAgainst) ir.Expr {
	e := &ir.Match{Against: m.expr(n.Against), Pos: n.OriginTextPosition()}
	for _, c := range n.ColumnNames {
		e.Columns = append(e.Columns, *columnRef(c, -1))
	}
	switch {
	case n.Modifier.IsBooleanMode():
		e.Mode = "BOOLEAN"
	case n.Modifier.WithQueryExpansion():
		e.Mode = "QUERY EXPANSION"
	default:
		e.Mode = "NATURAL LANGUAGE"
	}
	return e
}

// functionNames are those that the parser calls otherwise than the client does.
var functionNames = map[string]string{
	ast.InsertFunc: "insert", ast.PasswordFunc: "password", ast.JSONMemberOf: "member of",
}

// call maps a function.
func (m *mapper) call(n *ast.FuncCallExpr) ir.Expr {
	pos := n.OriginTextPosition()
	name := n.FnName.L
	switch name {
	case ast.DateLiteral, ast.TimeLiteral, ast.TimestampLiteral:
		return m.dateLiteral(name, n.Args, pos)
	case ast.Trim:
		return m.trim(n)
	case ast.AddDate, ast.SubDate, ast.DateAdd, ast.DateSub:
		if len(n.Args) == 3 {
			if unit, ok := n.Args[2].(*ast.TimeUnitExpr); ok {
				name = strings.Replace(strings.Replace(name, "adddate", "date_add", 1), "subdate", "date_sub", 1)
				return &ir.Func{Name: name, Args: []ir.Expr{m.expr(n.Args[0]),
					&ir.IntervalOf{X: m.expr(n.Args[1]), Unit: unit.Unit.String(), Pos: pos}}, Pos: pos}
			}
		}
	case ast.GetFormat:
		if s, ok := n.Args[0].(*ast.GetFormatSelectorExpr); ok {
			word := map[ast.GetFormatSelectorType]string{ast.GetFormatSelectorDate: "DATE", ast.GetFormatSelectorTime: "TIME", ast.GetFormatSelectorDatetime: "DATETIME"}[s.Selector]
			return &ir.Func{Name: name, Args: append([]ir.Expr{str(word)}, m.exprs(n.Args[1:])...), Pos: pos}
		}
	case ast.CharFunc:
		args := m.exprs(n.Args)
		if last, ok := args[len(args)-1].(*ir.Literal); ok && last.Value.IsNull() {
			args = args[:len(args)-1] // no USING
		} else {
			return &ir.Func{Name: "convert", Args: []ir.Expr{&ir.Func{Name: "char", Args: args[:len(args)-1], Pos: pos}, args[len(args)-1]}, Pos: pos}
		}
		return &ir.Func{Name: "char", Args: args, Pos: pos}
	case ast.NextVal, ast.LastVal, ast.SetVal:
		m.lack("sequences of MariaDB")
	}
	if other, ok := functionNames[name]; ok {
		name = other
	}
	return &ir.Func{Schema: n.Schema.O, Name: name, Args: m.exprs(n.Args), Pos: pos}
}

// dateLiteral is DATE '…', TIME '…', TIMESTAMP '…' and their ODBC forms.
func (m *mapper) dateLiteral(name string, args []ast.ExprNode, pos int) ir.Expr {
	s, ok := "", false
	if len(args) == 1 {
		s, ok = textOf(args[0])
	}
	if !ok {
		m.syntax(pos)
		return &ir.Literal{Pos: pos}
	}
	t := types.Type{Kind: types.Date}
	if name != ast.DateLiteral {
		t.Kind, t.Len = types.Timestamp, 1
		if name == ast.TimeLiteral {
			t.Kind = types.Time
		}
		if i := strings.LastIndexByte(s, '.'); i >= 0 {
			t.Len = int32(min(len(s)-i-1, 6)) + 1
		}
	}
	return &ir.Literal{Value: types.StringValue(s), Type: t, Pos: pos}
}

// trim is TRIM([BOTH|LEADING|TRAILING] [c] FROM x).
func (m *mapper) trim(n *ast.FuncCallExpr) ir.Expr {
	f := &ir.Func{Name: "btrim", Args: []ir.Expr{m.expr(n.Args[0])}, Pos: n.OriginTextPosition()}
	if len(n.Args) > 2 {
		if d, ok := n.Args[2].(*ast.TrimDirectionExpr); ok {
			switch d.Direction {
			case ast.TrimLeading:
				f.Name = "ltrim"
			case ast.TrimTrailing:
				f.Name = "rtrim"
			}
		}
	}
	if len(n.Args) > 1 {
		f.Args = append(f.Args, m.expr(n.Args[1]))
	}
	return f
}

// aggregate brings an aggregate's arguments into the shared form.
func (m *mapper) aggregate(f *ir.Func) {
	switch f.Name {
	case "count":
		if len(f.Args) == 1 && !f.Distinct {
			if l, ok := f.Args[0].(*ir.Literal); ok && !l.Value.IsNull() {
				f.Star, f.Args = true, nil
			}
		}
	case "group_concat":
		if n := len(f.Args); n > 2 {
			f.Args = []ir.Expr{&ir.Func{Name: "concat", Args: f.Args[:n-1], Pos: f.Pos}, f.Args[n-1]}
		}
	}
}

// over maps OVER name and OVER (…).
func (m *mapper) over(s *ast.WindowSpec) *ir.Window {
	if s.OnlyAlias {
		return &ir.Window{Name: s.Name.O}
	}
	return m.windowSpec(s)
}

func (m *mapper) windowSpec(s *ast.WindowSpec) *ir.Window {
	w := &ir.Window{Name: s.Ref.O}
	if s.PartitionBy != nil {
		for _, it := range s.PartitionBy.Items {
			w.Partition = append(w.Partition, m.ordinal(it.Expr))
		}
	}
	w.OrderBy = m.orderBy(s.OrderBy)
	if s.Frame == nil {
		return w
	}
	kind := "ROWS"
	switch s.Frame.Type {
	case ast.Ranges:
		kind = "RANGE"
	case ast.Groups:
		kind = "GROUPS"
	}
	w.Frame = kind + " BETWEEN " + m.bound(w, &s.Frame.Extent.Start) + " AND " + m.bound(w, &s.Frame.Extent.End)
	return w
}

func (m *mapper) bound(w *ir.Window, b *ast.FrameBound) string {
	word := "PRECEDING"
	switch b.Type {
	case ast.CurrentRow:
		return "CURRENT ROW"
	case ast.Following:
		word = "FOLLOWING"
	}
	if b.UnBounded {
		return "UNBOUNDED " + word
	}
	if b.Unit != ast.TimeUnitInvalid {
		m.lack("a frame over an INTERVAL")
	}
	w.Bounds = append(w.Bounds, m.expr(b.Expr))
	return "%s " + word
}
