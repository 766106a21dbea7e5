package postgres

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/ident"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Format prints an expression as pg_get_expr prints what a catalog holds: every operator in parentheses, string
// literals with the type their context gives them. column tells the type of a column, nil or Unknown if it isn't
// known; want is the type the whole has to have (that of a column for its default), Unknown for any. ok is false when
// the expression holds a subquery, which no catalog expression may.
func Format(e ir.Expr, want ir.TypeName, column func(name string) types.Type) (s string, ok bool) {
	p := printer{column: column}
	p.typed(e, want)
	return p.b.String(), !p.bad
}

type printer struct {
	b      strings.Builder
	column func(string) types.Type
	domain bool // of a domain's check: VALUE is a key word
	bad    bool
}

func (p *printer) put(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
}

// typed prints e where a value of type want is needed: an untyped literal shows that type.
func (p *printer) typed(e ir.Expr, want ir.TypeName) {
	lit, ok := e.(*ir.Literal)
	if !ok || lit.Type.Kind != types.Unknown || want.Declared == "" {
		p.expr(e)
		return
	}
	declared, _, _ := strings.Cut(want.Declared, "(")
	if _, rest, ok := strings.Cut(want.Declared, ")"); ok {
		declared += rest
	}
	if want.Type.Kind == types.Char && declared == "character" {
		declared = "bpchar"
	}
	if lit.Value.IsNull() {
		p.put("NULL::", declared)
		return
	}
	text := string(lit.Value.B)
	switch {
	case want.Type.Kind == types.Bool:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "t", "true", "yes", "y", "on", "1":
			p.put("true")
			return
		case "f", "false", "no", "n", "off", "0":
			p.put("false")
			return
		}
	case want.Type.IsNumber() && want.Type.Kind != types.Oid && want.Type.Kind != types.Xid:
		if v := strings.TrimSpace(text); v != "" && strings.Trim(v, "0123456789.") == "" {
			p.put(v)
			return
		}
	}
	p.put(ident.QuoteLiteral(text), "::", declared)
}

// list prints expressions separated by commas.
func (p *printer) list(es []ir.Expr, want ir.TypeName) {
	for i, e := range es {
		if i > 0 {
			p.put(", ")
		}
		p.typed(e, want)
	}
}

var textType = ir.TypeName{Type: types.T(types.Text), Declared: "text"}

// operandTypes finds what an untyped literal beside x becomes.
func (p *printer) beside(x ir.Expr) ir.TypeName {
	switch x := x.(type) {
	case *ir.ColumnRef:
		if p.column == nil {
			return textType
		}
		t := p.column(x.Name)
		switch t.Kind {
		case types.Unknown, types.Varchar, types.Name:
			return textType
		}
		return ir.TypeName{Type: t, Declared: declaredName(t)}
	case *ir.Cast:
		return x.To
	case *ir.Literal:
		if x.Type.Kind != types.Unknown {
			return ir.TypeName{Type: x.Type, Declared: declaredName(x.Type)}
		}
	case *ir.Collate:
		return p.beside(x.X)
	}
	return textType
}

// declaredName is the type's name without modifiers; types of the schema have none here.
func declaredName(t types.Type) string {
	array := ""
	kind := t.Kind
	if kind == types.Array {
		kind, array = t.Elem, "[]"
	}
	for _, b := range builtins {
		if b.kind == kind && kind != types.Other && b.declared != "bit varying" {
			return b.declared + array
		}
	}
	return "text"
}

// operand prints a side of an operator. A varchar column meets text operators through a cast.
func (p *printer) operand(e, other ir.Expr, textual bool) {
	if c, ok := e.(*ir.ColumnRef); ok && textual && p.column != nil {
		if p.column(c.Name).Kind == types.Varchar {
			p.put("(")
			p.expr(e)
			p.put(")::text")
			return
		}
	}
	p.typed(e, p.beside(other))
}

// kindOf is the kind of an expression as far as its form tells.
func (p *printer) kindOf(e ir.Expr) types.Kind {
	switch e := e.(type) {
	case *ir.Literal:
		return e.Type.Kind
	case *ir.Cast:
		return e.To.Type.Kind
	case *ir.ColumnRef:
		if p.column != nil {
			return p.column(e.Name).Kind
		}
	case *ir.Func:
		if e.Name == "extract" {
			return types.Numeric
		}
	case *ir.Binary:
		switch e.Op {
		case "+", "-", "*", "/", "%":
			l, r := p.kindOf(e.Left), p.kindOf(e.Right)
			for _, k := range []types.Kind{types.Float8, types.Float4, types.Numeric, types.Int8, types.Int4} {
				if l == k || r == k {
					return k
				}
			}
		}
	}
	return types.Unknown
}

// converted prints an integer constant with the conversion that its operator needs; false when there is none.
func (p *printer) converted(op string, e, other ir.Expr) bool {
	lit, ok := e.(*ir.Literal)
	if !ok || lit.Value.Class != types.Int || lit.Type.Kind == types.Bool || lit.Value.I < 0 {
		return false
	}
	to := ""
	switch k := p.kindOf(other); {
	case k == types.Float8:
		to = "double precision"
	case k == types.Numeric:
		to = "numeric"
	case k == types.Int8 && op == "%" && lit.Type.Kind == types.Int4:
		to = "bigint"
	default:
		return false
	}
	p.put("(")
	p.literal(lit)
	p.put(")::", to)
	return true
}

func (p *printer) binary(op string, left, right ir.Expr) {
	textual := false
	switch op {
	case "?", "->", "->>":
		p.put("(")
		p.expr(left)
		p.put(" ", op, " ")
		p.typed(right, textType)
		p.put(")")
		return
	case "=", "<>", "<", ">", "<=", ">=", "~", "~*", "!~", "!~*", "~~", "!~~", "~~*", "!~~*", "||":
		textual = true
	}
	p.put("(")
	if !p.converted(op, left, right) {
		p.operand(left, right, textual)
	}
	p.put(" ", op, " ")
	if !p.converted(op, right, left) {
		p.operand(right, left, textual)
	}
	p.put(")")
}

func (p *printer) expr(e ir.Expr) {
	switch e := e.(type) {
	case nil:
	case *ir.Literal:
		p.literal(e)
	case *ir.Param:
		p.put("$", strconv.Itoa(e.N))
	case *ir.ColumnRef:
		if p.domain && e.Name == "value" {
			p.put("VALUE")
			return
		}
		p.put(ident.Quote(e.Name))
	case *ir.Default:
		p.put("DEFAULT")
	case *ir.Unary:
		if e.Op == "NOT" {
			p.put("(NOT ")
		} else {
			p.put("(", e.Op, " ")
		}
		p.expr(e.X)
		p.put(")")
	case *ir.Binary:
		switch e.Op {
		case "AND", "OR":
			p.put("(")
			p.chain(e.Op, e.Left)
			p.put(" ", e.Op, " ")
			p.chain(e.Op, e.Right)
			p.put(")")
		case "AT TIME ZONE":
			p.put("(")
			p.expr(e.Left)
			p.put(" AT TIME ZONE ")
			p.typed(e.Right, textType)
			p.put(")")
		case "<=>":
			p.put("(NOT ")
			p.binary("IS DISTINCT FROM", e.Left, e.Right)
			p.put(")")
		default:
			p.binary(e.Op, e.Left, e.Right)
		}
	case *ir.Like:
		p.like(e)
	case *ir.Is:
		p.put("(")
		p.expr(e.X)
		p.put(" IS ")
		if e.Not {
			p.put("NOT ")
		}
		p.put(e.What, ")")
	case *ir.Between:
		p.between(e)
	case *ir.In:
		p.in(e)
	case *ir.Quantified:
		if e.Query != nil {
			p.bad = true
			return
		}
		p.put("(")
		p.operand(e.X, e.Array, true)
		word := " ANY ("
		if e.All {
			word = " ALL ("
		}
		p.put(" ", e.Op, word)
		p.expr(e.Array)
		p.put("))")
	case *ir.Case:
		p.put("CASE")
		if e.X != nil {
			p.put(" ")
			p.expr(e.X)
		}
		for _, w := range e.Whens {
			p.put("\n    WHEN ")
			p.expr(w.Cond)
			p.put(" THEN ")
			p.typed(w.Then, textType)
		}
		if e.Else != nil {
			p.put("\n    ELSE ")
			p.typed(e.Else, textType)
		}
		p.put("\nEND")
	case *ir.Cast:
		p.cast(e)
	case *ir.Func:
		p.call(e)
	case *ir.ArrayExpr:
		p.put("ARRAY[")
		p.list(e.Elems, textType)
		p.put("]")
	case *ir.Row:
		p.put("ROW(")
		p.list(e.Elems, ir.TypeName{})
		p.put(")")
	case *ir.Index:
		p.put("(")
		p.expr(e.X)
		p.put(")[")
		if e.Slice {
			p.expr(e.Low)
			p.put(":")
			p.expr(e.High)
		} else {
			p.expr(e.I)
		}
		p.put("]")
	case *ir.Field:
		p.put("(")
		p.expr(e.X)
		p.put(").", ident.Quote(e.Name))
	case *ir.Collate:
		p.put("(")
		p.expr(e.X)
		p.put(" COLLATE ", ident.Quote(e.Collation.Name), ")")
	default:
		p.bad = true
	}
}

// chain prints an operand of AND or OR; operands of the same operator share its parentheses.
func (p *printer) chain(op string, e ir.Expr) {
	if b, ok := e.(*ir.Binary); ok && b.Op == op {
		p.chain(op, b.Left)
		p.put(" ", op, " ")
		p.chain(op, b.Right)
		return
	}
	p.expr(e)
}

func (p *printer) literal(e *ir.Literal) {
	switch e.Value.Class {
	case types.Null:
		p.put("NULL")
	case types.Int:
		switch {
		case e.Type.Kind == types.Bool && e.Value.I != 0:
			p.put("true")
		case e.Type.Kind == types.Bool:
			p.put("false")
		case e.Value.I < 0 && e.Type.Kind == types.Int8:
			p.put("'", strconv.FormatInt(e.Value.I, 10), "'::bigint")
		case e.Value.I < 0:
			p.put("'", strconv.FormatInt(e.Value.I, 10), "'::integer")
		case e.Type.Kind == types.Int8:
			p.put("'", strconv.FormatInt(e.Value.I, 10), "'::bigint")
		default:
			p.put(strconv.FormatInt(e.Value.I, 10))
		}
	case types.Float:
		p.put(strconv.FormatFloat(e.Value.F, 'g', -1, 64))
	case types.String:
		switch {
		case e.Type.Kind == types.Numeric && e.Value.B[0] == '-':
			p.put("'", string(e.Value.B), "'::numeric")
		case e.Type.Kind == types.Numeric:
			p.put(string(e.Value.B))
		default:
			p.put(ident.QuoteLiteral(string(e.Value.B)))
		}
	}
}

func (p *printer) like(e *ir.Like) {
	if e.Escape != nil || e.Kind == "SIMILAR" {
		name := "like_escape"
		op := map[bool]string{false: "~~", true: "!~~"}[e.Not]
		switch e.Kind {
		case "ILIKE":
			op += "*"
		case "SIMILAR":
			op, name = map[bool]string{false: "~", true: "!~"}[e.Not], "similar_to_escape"
		}
		args := []ir.Expr{e.Pattern}
		if e.Escape != nil {
			args = append(args, e.Escape)
		}
		p.put("(")
		p.operand(e.X, e.Pattern, true)
		p.put(" ", op, " ", name, "(")
		p.list(args, textType)
		p.put("))")
		return
	}
	op := map[string]string{"LIKE": "~~", "ILIKE": "~~*"}[e.Kind]
	if e.Not {
		op = "!" + op
	}
	p.binary(op, e.X, e.Pattern)
}

func (p *printer) between(e *ir.Between) {
	low, high, join := ">=", "<=", " AND "
	if e.Not {
		low, high, join = "<", ">", " OR "
	}
	if e.Symmetric {
		p.put("(")
		p.expr(e.X)
		if e.Not {
			p.put(" NOT")
		}
		p.put(" BETWEEN SYMMETRIC ")
		p.typed(e.Low, p.beside(e.X))
		p.put(" AND ")
		p.typed(e.High, p.beside(e.X))
		p.put(")")
		return
	}
	p.put("(")
	p.binary(low, e.X, e.Low)
	p.put(join)
	p.binary(high, e.X, e.High)
	p.put(")")
}

func (p *printer) in(e *ir.In) {
	if e.Query != nil {
		p.bad = true
		return
	}
	op, word := " = ", "ANY"
	if e.Not {
		op, word = " <> ", "ALL"
	}
	if len(e.List) == 1 {
		p.binary(strings.TrimSpace(op), e.X, e.List[0])
		return
	}
	want := p.beside(e.X)
	varchar := false
	if c, ok := e.X.(*ir.ColumnRef); ok && p.column != nil && p.column(c.Name).Kind == types.Varchar {
		varchar, want = true, ir.TypeName{Type: types.T(types.Varchar), Declared: "character varying"}
	}
	p.put("(")
	p.operand(e.X, nil, varchar)
	if varchar {
		p.put(op, word, " ((ARRAY[")
		p.list(e.List, want)
		p.put("])::text[]))")
		return
	}
	p.put(op, word, " (ARRAY[")
	p.list(e.List, want)
	p.put("]))")
}

func (p *printer) cast(e *ir.Cast) {
	if lit, ok := e.X.(*ir.Literal); ok && lit.Type.Kind == types.Unknown {
		if strings.Contains(e.To.Declared, "(") && !lit.Value.IsNull() {
			p.put("(")
			p.typed(lit, e.To)
			p.put(")::", e.To.Declared)
			return
		}
		p.typed(lit, e.To)
		return
	}
	if lit, ok := e.X.(*ir.Literal); ok && lit.Value.Class == types.Int && lit.Value.I >= 0 {
		p.put("(")
		p.literal(lit)
		p.put(")::", e.To.Declared)
		return
	}
	p.put("(")
	p.expr(e.X)
	p.put(")::", e.To.Declared)
}

// niladics are the functions that are written without parentheses.
var niladics = map[string]bool{
	"current_date": true, "current_time": true, "current_timestamp": true, "localtime": true, "localtimestamp": true,
	"current_user": true, "session_user": true, "user": true, "current_role": true, "current_catalog": true, "current_schema": true,
}

func (p *printer) call(e *ir.Func) {
	if e.Over != nil || e.Filter != nil || e.WithinGroup || len(e.OrderBy) > 0 {
		p.bad = true
		return
	}
	want := textType
	switch e.Name {
	case "coalesce", "greatest", "least", "nullif":
		p.put(strings.ToUpper(e.Name), "(")
		for _, a := range e.Args {
			if lit, ok := a.(*ir.Literal); !ok || lit.Type.Kind != types.Unknown {
				want = p.beside(a)
				break
			}
		}
		p.list(e.Args, want)
		p.put(")")
		return
	case "nextval", "currval", "setval":
		want = ir.TypeName{Type: types.T(types.Regclass), Declared: "regclass"}
	case "extract":
		if len(e.Args) == 2 {
			p.put("EXTRACT(")
			if lit, ok := e.Args[0].(*ir.Literal); ok {
				p.put(string(lit.Value.B))
			} else {
				p.expr(e.Args[0])
			}
			p.put(" FROM ")
			p.expr(e.Args[1])
			p.put(")")
			return
		}
	}
	if niladics[e.Name] && e.Schema == "" {
		p.put(strings.ToUpper(e.Name))
		if len(e.Args) == 1 {
			p.put("(")
			p.expr(e.Args[0])
			p.put(")")
		}
		return
	}
	if e.Schema != "" && e.Schema != "pg_catalog" {
		p.put(ident.Quote(e.Schema), ".")
	}
	p.put(ident.Quote(e.Name), "(")
	if e.Star {
		p.put("*")
	}
	if e.Distinct {
		p.put("DISTINCT ")
	}
	p.list(e.Args, want)
	p.put(")")
}
