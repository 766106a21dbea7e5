package postgres

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

func (m *mapper) exprs(nodes []ast.Node) []ir.Expr {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]ir.Expr, len(nodes))
	for i, n := range nodes {
		out[i] = m.expr(n)
	}
	return out
}

// expr maps an expression; nil stays nil.
func (m *mapper) expr(n ast.Node) ir.Expr {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.AConst:
		return m.constant(n)
	case *ast.ColumnRef:
		return m.column(n)
	case *ast.ParamRef:
		m.params = max(m.params, int(n.Number))
		if n.Number < 1 || n.Number > maxParams {
			m.fail(n.Location, "42P02", "there is no parameter $%d", n.Number)
		}
		return &ir.Param{N: int(n.Number), Pos: m.pos(n.Location)}
	case *ast.AExpr:
		return m.operator(n)
	case *ast.BoolExpr:
		return m.boolean(n)
	case *ast.TypeCast:
		return m.cast(n)
	case *ast.FuncCall:
		return m.call(n)
	case *ast.SQLValueFunction:
		return m.niladic(n)
	case *ast.NullTest:
		return &ir.Is{X: m.expr(n.Arg), What: "NULL", Not: n.Nulltesttype == ast.IS_NOT_NULL, Pos: m.pos(n.Location)}
	case *ast.BooleanTest:
		is := &ir.Is{X: m.expr(n.Arg), Pos: m.pos(n.Location)}
		switch n.Booltesttype {
		case ast.IS_TRUE:
			is.What = "TRUE"
		case ast.IS_NOT_TRUE:
			is.What, is.Not = "TRUE", true
		case ast.IS_FALSE:
			is.What = "FALSE"
		case ast.IS_NOT_FALSE:
			is.What, is.Not = "FALSE", true
		case ast.IS_UNKNOWN:
			is.What = "UNKNOWN"
		case ast.IS_NOT_UNKNOWN:
			is.What, is.Not = "UNKNOWN", true
		}
		return is
	case *ast.CaseExpr:
		c := &ir.Case{X: m.expr(n.Arg), Else: m.expr(n.Defresult), Pos: m.pos(n.Location)}
		for _, w := range n.Args {
			if w, ok := w.(*ast.CaseWhen); ok {
				c.Whens = append(c.Whens, ir.When{Cond: m.expr(w.Expr), Then: m.expr(w.Result)})
			}
		}
		return c
	case *ast.CoalesceExpr:
		return &ir.Func{Name: "coalesce", Args: m.exprs(n.Args), Pos: m.pos(n.Location)}
	case *ast.MinMaxExpr:
		name := "greatest"
		if n.Op == ast.IS_LEAST {
			name = "least"
		}
		return &ir.Func{Name: name, Args: m.exprs(n.Args), Pos: m.pos(n.Location)}
	case *ast.SubLink:
		return m.sublink(n)
	case *ast.RowExpr:
		return &ir.Row{Elems: m.exprs(n.Args), Pos: m.pos(n.Location)}
	case *ast.AArrayExpr:
		return &ir.ArrayExpr{Elems: m.exprs(n.Elements), Pos: m.pos(n.Location)}
	case *ast.AIndirection:
		return m.indirection(m.expr(n.Arg), n.Indirection)
	case *ast.CollateClause:
		return &ir.Collate{X: m.expr(n.Arg), Collation: qualified(words(n.Collname)), Pos: m.pos(n.Location)}
	case *ast.SetToDefault:
		return &ir.Default{Pos: m.pos(n.Location)}
	case *ast.JsonIsPredicate:
		if n.ItemType != ast.JS_TYPE_ANY || n.UniqueKeys {
			m.lack("IS JSON with a type or unique keys")
		}
		return &ir.Is{X: m.expr(n.Expr), What: "JSON", Pos: m.pos(n.Location)}
	case *ast.NamedArgExpr:
		return m.expr(n.Arg)
	case *ast.GroupingFunc:
		m.lack("GROUPING")
	case *ast.GroupingSet:
		m.lack("GROUPING SETS")
	case *ast.CurrentOfExpr:
		m.lack("WHERE CURRENT OF")
	case *ast.XmlExpr, *ast.XmlSerialize:
		m.lack("XML")
	case *ast.JsonFuncExpr, *ast.JsonObjectConstructor, *ast.JsonArrayConstructor:
		m.lack("SQL/JSON constructors and query functions")
	case *ast.AStar:
		return &ir.Star{Pos: -1}
	case *ast.Other:
		m.lack(n.Name)
	default:
		m.lack("this expression")
	}
	return &ir.Literal{Pos: -1}
}

// maxParams is the protocol's bound on the number of parameters.
const maxParams = 65535

func (m *mapper) constant(n *ast.AConst) ir.Expr {
	lit := &ir.Literal{Pos: m.pos(n.Location)}
	switch {
	case n.Isnull:
	case n.Ival != nil:
		lit.Value, lit.Type = types.IntValue(int64(n.Ival.Ival)), types.T(types.Int4)
	case n.Fval != nil:
		lit.Value, lit.Type = number(n.Fval.Fval)
	case n.Boolval != nil:
		lit.Value, lit.Type = types.BoolValue(n.Boolval.Boolval), types.T(types.Bool)
	case n.Sval != nil:
		lit.Value = types.StringValue(n.Sval.Sval)
	case n.Bsval != nil:
		return m.bits(n.Bsval.Bsval, lit)
	}
	return lit
}

// number reads a numeric literal: an int4 or int8 where it fits, else numeric in canonical digits.
func number(s string) (types.Value, types.Type) {
	if i, err := strconv.ParseInt(s, 0, 64); err == nil && !oldOctal(s) {
		return integer(i)
	}
	s = strings.ReplaceAll(s, "_", "")
	if len(s) > 2 && s[0] == '0' && (s[1]|0x20 == 'x' || s[1]|0x20 == 'o' || s[1]|0x20 == 'b') {
		return types.StringValue(bigDigits(s)), types.T(types.Numeric)
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return integer(i)
	}
	return types.StringValue(decimal(s)), types.T(types.Numeric)
}

func integer(i int64) (types.Value, types.Type) {
	if i == int64(int32(i)) {
		return types.IntValue(i), types.T(types.Int4)
	}
	return types.IntValue(i), types.T(types.Int8)
}

// oldOctal reports a leading zero, which means octal to strconv and nothing to PostgreSQL.
func oldOctal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return len(s) > 1 && s[0] == '0' && (isDigit(s[1]) || s[1] == '_')
}

// bits makes B'…' and X'…' a cast of their digits, which gives them their storage form.
func (m *mapper) bits(s string, lit *ir.Literal) ir.Expr {
	if s == "" {
		return lit
	}
	var b strings.Builder
	for _, c := range []byte(s[1:]) {
		if s[0] == 'b' || s[0] == 'B' {
			if c != '0' && c != '1' {
				m.fail(int32(lit.Pos+m.offset), "22P02", `"%c" is not a valid binary digit`, c)
			}
			b.WriteByte(c)
			continue
		}
		d, err := strconv.ParseUint(string(rune(c)), 16, 8)
		if err != nil {
			m.fail(int32(lit.Pos+m.offset), "22P02", `"%c" is not a valid hexadecimal digit`, c)
		}
		for i := 3; i >= 0; i-- {
			b.WriteByte('0' + byte(d>>i)&1)
		}
	}
	lit.Value = types.StringValue(b.String())
	n := int32(b.Len())
	return &ir.Cast{X: lit, Pos: lit.Pos, To: ir.TypeName{
		Type: types.Type{Kind: types.Bit, Len: n}, Declared: "bit(" + strconv.Itoa(int(n)) + ")", Pos: -1}}
}

func (m *mapper) column(n *ast.ColumnRef) ir.Expr {
	parts := words(n.Fields)
	pos := m.pos(n.Location)
	if len(n.Fields) > 0 {
		if _, ok := n.Fields[len(n.Fields)-1].(*ast.AStar); ok {
			s := &ir.Star{Pos: pos}
			switch len(parts) {
			case 0:
			case 1:
				s.Table = parts[0]
			default:
				s.Schema, s.Table = parts[len(parts)-2], parts[len(parts)-1]
			}
			return s
		}
	}
	c := &ir.ColumnRef{Pos: pos}
	switch len(parts) {
	case 0:
	case 1:
		c.Name = parts[0]
	case 2:
		c.Table, c.Name = parts[0], parts[1]
	case 3, 4:
		c.Schema, c.Table, c.Name = parts[len(parts)-3], parts[len(parts)-2], parts[len(parts)-1]
	default:
		m.fail(n.Location, "42601", "improper qualified name (too many dotted names): %s", strings.Join(parts, "."))
	}
	return c
}

func (m *mapper) boolean(n *ast.BoolExpr) ir.Expr {
	pos := m.pos(n.Location)
	if n.Boolop == ast.NOT_EXPR {
		return &ir.Unary{Op: "NOT", X: m.expr(n.Args[0]), Pos: pos}
	}
	op := "AND"
	if n.Boolop == ast.OR_EXPR {
		op = "OR"
	}
	return m.balanced(op, n.Args, pos)
}

// balanced builds a tree of the least depth from the arguments of an AND or OR, of which a client may send thousands.
func (m *mapper) balanced(op string, args []ast.Node, pos int) ir.Expr {
	switch len(args) {
	case 0:
		return &ir.Literal{Pos: pos}
	case 1:
		return m.expr(args[0])
	}
	half := len(args) / 2
	if len(args) < 16 {
		half = len(args) - 1 // a short chain leans left, as it was written
	}
	left := m.balanced(op, args[:half], pos)
	return &ir.Binary{Op: op, Left: left, Right: m.balanced(op, args[half:], pos), Pos: pos}
}

func (m *mapper) operator(n *ast.AExpr) ir.Expr {
	op := last(n.Name)
	pos := m.pos(n.Location)
	switch n.Kind {
	case ast.AEXPR_OP:
		switch op {
		case "~~", "!~~", "~~*", "!~~*":
			return m.like(n, op)
		}
		if n.Lexpr == nil {
			return &ir.Unary{Op: op, X: m.expr(n.Rexpr), Pos: pos}
		}
		return &ir.Binary{Op: op, Left: m.expr(n.Lexpr), Right: m.expr(n.Rexpr), Pos: pos}
	case ast.AEXPR_LIKE, ast.AEXPR_ILIKE, ast.AEXPR_SIMILAR:
		return m.like(n, op)
	case ast.AEXPR_DISTINCT:
		return &ir.Binary{Op: "IS DISTINCT FROM", Left: m.expr(n.Lexpr), Right: m.expr(n.Rexpr), Pos: pos}
	case ast.AEXPR_NOT_DISTINCT:
		return &ir.Binary{Op: "<=>", Left: m.expr(n.Lexpr), Right: m.expr(n.Rexpr), Pos: pos}
	case ast.AEXPR_NULLIF:
		return &ir.Func{Name: "nullif", Args: []ir.Expr{m.expr(n.Lexpr), m.expr(n.Rexpr)}, Pos: pos}
	case ast.AEXPR_IN:
		in := &ir.In{X: m.expr(n.Lexpr), Not: op == "<>", Pos: pos}
		if l, ok := n.Rexpr.(*ast.List); ok {
			in.List = m.exprs(l.Items)
		}
		return in
	case ast.AEXPR_OP_ANY, ast.AEXPR_OP_ALL:
		return &ir.Quantified{X: m.expr(n.Lexpr), Op: likeName(op), All: n.Kind == ast.AEXPR_OP_ALL,
			Array: m.expr(n.Rexpr), Pos: pos}
	case ast.AEXPR_BETWEEN, ast.AEXPR_NOT_BETWEEN,
		ast.AEXPR_BETWEEN_SYM, ast.AEXPR_NOT_BETWEEN_SYM:
		b := &ir.Between{X: m.expr(n.Lexpr), Pos: pos}
		b.Not = n.Kind == ast.AEXPR_NOT_BETWEEN || n.Kind == ast.AEXPR_NOT_BETWEEN_SYM
		b.Symmetric = n.Kind == ast.AEXPR_BETWEEN_SYM || n.Kind == ast.AEXPR_NOT_BETWEEN_SYM
		if l, ok := n.Rexpr.(*ast.List); ok && len(l.Items) == 2 {
			b.Low, b.High = m.expr(l.Items[0]), m.expr(l.Items[1])
		}
		return b
	}
	m.lack("this operator")
	return &ir.Literal{Pos: pos}
}

// likeName gives the operators behind LIKE and ILIKE their keywords.
func likeName(op string) string {
	switch op {
	case "~~":
		return "LIKE"
	case "!~~":
		return "NOT LIKE"
	case "~~*":
		return "ILIKE"
	case "!~~*":
		return "NOT ILIKE"
	}
	return op
}

// like maps LIKE, ILIKE and SIMILAR TO, whose ESCAPE hides in a call around the pattern.
func (m *mapper) like(n *ast.AExpr, op string) ir.Expr {
	l := &ir.Like{Kind: "LIKE", Not: strings.HasPrefix(op, "!"), X: m.expr(n.Lexpr), Pos: m.pos(n.Location)}
	pattern, escape := n.Rexpr, "like_escape"
	switch {
	case n.Kind == ast.AEXPR_SIMILAR:
		l.Kind, escape = "SIMILAR", "similar_to_escape"
	case strings.HasSuffix(op, "*"):
		l.Kind = "ILIKE"
	}
	if f, ok := pattern.(*ast.FuncCall); ok && n.Kind != ast.AEXPR_OP && len(f.Funcname) == 2 && last(f.Funcname) == escape && len(f.Args) > 0 {
		pattern = f.Args[0]
		if len(f.Args) > 1 {
			l.Escape = m.expr(f.Args[1])
		}
	}
	l.Pattern = m.expr(pattern)
	return l
}

func (m *mapper) sublink(n *ast.SubLink) ir.Expr {
	pos := m.pos(n.Location)
	q := m.queryNode(n.Subselect)
	switch n.SubLinkType {
	case ast.EXISTS_SUBLINK:
		return &ir.Subquery{Query: q, Exists: true, Pos: pos}
	case ast.ARRAY_SUBLINK:
		return &ir.Subquery{Query: q, Array: true, Pos: pos}
	case ast.EXPR_SUBLINK:
		return &ir.Subquery{Query: q, Pos: pos}
	case ast.ANY_SUBLINK:
		if len(n.OperName) == 0 {
			return &ir.In{X: m.expr(n.Testexpr), Query: q, Pos: pos}
		}
		return &ir.Quantified{X: m.expr(n.Testexpr), Op: likeName(last(n.OperName)), Query: q, Pos: pos}
	case ast.ALL_SUBLINK:
		return &ir.Quantified{X: m.expr(n.Testexpr), Op: likeName(last(n.OperName)), All: true, Query: q, Pos: pos}
	}
	m.lack("this kind of subquery")
	return &ir.Literal{Pos: pos}
}

// indirection applies .field, .* and [subscript] to x.
func (m *mapper) indirection(x ir.Expr, list []ast.Node) ir.Expr {
	for _, n := range list {
		switch n := n.(type) {
		case *ast.String:
			x = &ir.Field{X: x, Name: n.Sval, Pos: -1}
		case *ast.AStar:
			x = &ir.Field{X: x, Name: "*", Pos: -1}
		case *ast.AIndices:
			i := &ir.Index{X: x, Slice: n.IsSlice, Pos: -1}
			if n.IsSlice {
				i.Low, i.High = m.expr(n.Lidx), m.expr(n.Uidx)
			} else {
				i.I = m.expr(n.Uidx)
			}
			x = i
		}
	}
	return x
}

func (m *mapper) cast(n *ast.TypeCast) ir.Expr {
	to := m.typeName(n.TypeName)
	x := m.expr(n.Arg)
	if to.Type.Kind == types.Interval && len(n.TypeName.Typmods) > 0 {
		if lit, ok := x.(*ir.Literal); ok && lit.Value.Class == types.String {
			lit.Value = types.StringValue(intervalFields(string(lit.Value.B), n.TypeName.Typmods))
		}
	}
	return &ir.Cast{X: x, To: to, Pos: m.pos(n.Location)}
}

// niladic maps CURRENT_DATE and its like.
func (m *mapper) niladic(n *ast.SQLValueFunction) ir.Expr {
	f := &ir.Func{Pos: m.pos(n.Location)}
	precision := false
	switch n.Op {
	case ast.SVFOP_CURRENT_DATE:
		f.Name = "current_date"
	case ast.SVFOP_CURRENT_TIME:
		f.Name = "current_time"
	case ast.SVFOP_CURRENT_TIME_N:
		f.Name, precision = "current_time", true
	case ast.SVFOP_CURRENT_TIMESTAMP:
		f.Name = "current_timestamp"
	case ast.SVFOP_CURRENT_TIMESTAMP_N:
		f.Name, precision = "current_timestamp", true
	case ast.SVFOP_LOCALTIME:
		f.Name = "localtime"
	case ast.SVFOP_LOCALTIME_N:
		f.Name, precision = "localtime", true
	case ast.SVFOP_LOCALTIMESTAMP:
		f.Name = "localtimestamp"
	case ast.SVFOP_LOCALTIMESTAMP_N:
		f.Name, precision = "localtimestamp", true
	case ast.SVFOP_CURRENT_ROLE:
		f.Name = "current_role"
	case ast.SVFOP_CURRENT_USER:
		f.Name = "current_user"
	case ast.SVFOP_USER:
		f.Name = "user"
	case ast.SVFOP_SESSION_USER:
		f.Name = "session_user"
	case ast.SVFOP_CURRENT_CATALOG:
		f.Name = "current_catalog"
	case ast.SVFOP_CURRENT_SCHEMA:
		f.Name = "current_schema"
	}
	if precision {
		f.Args = []ir.Expr{&ir.Literal{Value: types.IntValue(int64(n.Typmod)), Type: types.T(types.Int4), Pos: -1}}
	}
	return f
}

func (m *mapper) call(n *ast.FuncCall) ir.Expr {
	name := qualified(words(n.Funcname))
	pos := m.pos(n.Location)
	if n.Funcformat == ast.COERCE_SQL_SYNTAX {
		switch {
		case name.Name == "timezone" && len(n.Args) == 2:
			return &ir.Binary{Op: "AT TIME ZONE", Left: m.expr(n.Args[1]), Right: m.expr(n.Args[0]), Pos: pos}
		case name.Name == "position" && len(n.Args) == 2:
			return &ir.Func{Name: "position", Args: []ir.Expr{m.expr(n.Args[1]), m.expr(n.Args[0])}, Pos: pos}
		}
		name.Schema = ""
	}
	f := &ir.Func{
		Schema: name.Schema, Name: name.Name, Args: m.exprs(n.Args), Variadic: n.FuncVariadic, Star: n.AggStar,
		Distinct: n.AggDistinct, OrderBy: m.order(n.AggOrder), WithinGroup: n.AggWithinGroup,
		Filter: m.expr(n.AggFilter), Over: m.window(n.Over), Pos: pos,
	}
	for i, a := range n.Args {
		if a, ok := a.(*ast.NamedArgExpr); ok {
			if f.ArgNames == nil {
				f.ArgNames = make([]string, len(n.Args))
			}
			f.ArgNames[i] = a.Name
		}
	}
	return f
}

// The bits of WindowDef.FrameOptions that a frame is printed from.
const (
	frameNonDefault         = 0x1
	frameRange              = 0x2
	frameRows               = 0x4
	frameGroups             = 0x8
	frameBetween            = 0x10
	startUnboundedPreceding = 0x20
	endUnboundedFollowing   = 0x100
	startCurrentRow         = 0x200
	endCurrentRow           = 0x400
	startOffsetPreceding    = 0x800
	endOffsetPreceding      = 0x1000
	startOffsetFollowing    = 0x2000
	endOffsetFollowing      = 0x4000
	frameExcludeCurrentRow  = 0x8000
	frameExcludeGroup       = 0x10000
	frameExcludeTies        = 0x20000
)

func (m *mapper) window(n *ast.WindowDef) *ir.Window {
	if n == nil {
		return nil
	}
	w := &ir.Window{Name: n.Name, Partition: m.exprs(n.PartitionClause), OrderBy: m.order(n.OrderClause)}
	if n.Refname != "" {
		w.Name = n.Refname
	}
	o := n.FrameOptions
	if o&frameNonDefault == 0 {
		return w
	}
	var b strings.Builder
	switch {
	case o&frameRows != 0:
		b.WriteString("ROWS ")
	case o&frameGroups != 0:
		b.WriteString("GROUPS ")
	default:
		b.WriteString("RANGE ")
	}
	if o&frameBetween != 0 {
		b.WriteString("BETWEEN ")
	}
	switch {
	case o&startUnboundedPreceding != 0:
		b.WriteString("UNBOUNDED PRECEDING")
	case o&startCurrentRow != 0:
		b.WriteString("CURRENT ROW")
	case o&startOffsetPreceding != 0:
		b.WriteString("%s PRECEDING")
		w.Bounds = append(w.Bounds, m.expr(n.StartOffset))
	case o&startOffsetFollowing != 0:
		b.WriteString("%s FOLLOWING")
		w.Bounds = append(w.Bounds, m.expr(n.StartOffset))
	}
	if o&frameBetween != 0 {
		b.WriteString(" AND ")
		switch {
		case o&endUnboundedFollowing != 0:
			b.WriteString("UNBOUNDED FOLLOWING")
		case o&endCurrentRow != 0:
			b.WriteString("CURRENT ROW")
		case o&endOffsetPreceding != 0:
			b.WriteString("%s PRECEDING")
			w.Bounds = append(w.Bounds, m.expr(n.EndOffset))
		case o&endOffsetFollowing != 0:
			b.WriteString("%s FOLLOWING")
			w.Bounds = append(w.Bounds, m.expr(n.EndOffset))
		}
	}
	switch {
	case o&frameExcludeCurrentRow != 0:
		b.WriteString(" EXCLUDE CURRENT ROW")
	case o&frameExcludeGroup != 0:
		b.WriteString(" EXCLUDE GROUP")
	case o&frameExcludeTies != 0:
		b.WriteString(" EXCLUDE TIES")
	}
	w.Frame = b.String()
	return w
}
