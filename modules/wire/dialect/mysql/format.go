package mysql

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Format prints an expression as MySQL 8's catalogs do: operators in parentheses, names quoted, strings with their character
// set. What it can't print (subqueries, windows) becomes "…"; definitions of tables have none of it.
func Format(e ir.Expr) string {
	var p printer
	p.expr(e)
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) list(es []ir.Expr) {
	for i, e := range es {
		if i > 0 {
			p.WriteByte(',')
		}
		p.expr(e)
	}
}

func (p *printer) name(s string) { p.WriteString("`" + strings.ReplaceAll(s, "`", "``") + "`") }

// all prints parts in parentheses: strings as they are, expressions as expressions.
func (p *printer) all(parts ...any) {
	p.WriteByte('(')
	for _, x := range parts {
		switch x := x.(type) {
		case string:
			p.WriteString(x)
		case ir.Expr:
			p.expr(x)
		}
	}
	p.WriteByte(')')
}

func not(n bool) string {
	if n {
		return "not "
	}
	return ""
}

func (p *printer) expr(e ir.Expr) {
	switch e := e.(type) {
	case nil:
	case *ir.Literal:
		p.literal(e)
	case *ir.Param:
		p.WriteByte('?')
	case *ir.ColumnRef:
		if e.Table != "" {
			p.name(e.Table)
			p.WriteByte('.')
		}
		p.name(e.Name)
	case *ir.Default:
		p.WriteString("default")
	case *ir.Unary:
		switch e.Op {
		case "NOT":
			p.WriteString("(not(")
			p.expr(e.X)
			p.WriteString("))")
		default:
			p.WriteString(e.Op)
			p.expr(e.X)
		}
	case *ir.Binary:
		p.binary(e)
	case *ir.Like:
		parts := []any{e.X, " " + not(e.Not) + "like ", e.Pattern}
		if e.Escape != nil {
			parts = append(parts, " escape ", e.Escape)
		}
		p.all(parts...)
	case *ir.Is:
		p.all(e.X, " is "+not(e.Not)+strings.ToLower(e.What))
	case *ir.Between:
		p.all(e.X, " "+not(e.Not)+"between ", e.Low, " and ", e.High)
	case *ir.In:
		p.WriteByte('(')
		p.expr(e.X)
		p.WriteString(" " + not(e.Not) + "in (")
		if e.Query != nil {
			p.WriteString("…")
		}
		p.list(e.List)
		p.WriteString("))")
	case *ir.Case:
		p.caseExpr(e)
	case *ir.Cast:
		p.WriteString("cast(")
		p.expr(e.X)
		p.WriteString(" as " + castName(e.To.Type) + ")")
	case *ir.Func:
		p.call(e)
	case *ir.Row:
		p.WriteByte('(')
		p.list(e.Elems)
		p.WriteByte(')')
	case *ir.Collate:
		p.all(e.X, " collate "+e.Collation.Name)
	case *ir.IntervalOf:
		p.WriteString("interval ")
		p.expr(e.X)
		p.WriteString(" " + strings.ToLower(e.Unit))
	case *ir.Variable:
		p.variable(e)
	default:
		p.WriteString("…")
	}
}

func (p *printer) literal(l *ir.Literal) {
	v := l.Value
	switch v.Class {
	case types.Null:
		p.WriteString("NULL")
	case types.Int:
		if l.Type.Kind == types.Bit {
			p.WriteString("0x" + strings.ToUpper(strconv.FormatInt(v.I, 16)))
			return
		}
		p.WriteString(strconv.FormatInt(v.I, 10))
	case types.Float:
		p.WriteString(strconv.FormatFloat(v.F, 'g', -1, 64))
	case types.Blob:
		p.WriteString("0x" + strings.ToUpper(hex.EncodeToString(v.B)))
	case types.String:
		switch l.Type.Kind {
		case types.Numeric:
			p.Write(v.B)
		case types.Date:
			p.WriteString("DATE" + quote(string(v.B)))
		case types.Time:
			p.WriteString("TIME" + quote(string(v.B)))
		case types.Timestamp:
			p.WriteString("TIMESTAMP" + quote(string(v.B)))
		default:
			p.WriteString("_utf8mb4" + quote(string(v.B)))
		}
	}
}

var quoter = strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\x1a", `\Z`)

func quote(s string) string { return "'" + quoter.Replace(s) + "'" }

func (p *printer) binary(e *ir.Binary) {
	op := strings.ToLower(e.Op)
	switch e.Op {
	case "AND", "OR":
		var terms []ir.Expr
		var flat func(x ir.Expr)
		flat = func(x ir.Expr) {
			if in, ok := x.(*ir.Binary); ok && in.Op == e.Op {
				flat(in.Left)
				flat(in.Right)
				return
			}
			terms = append(terms, x)
		}
		flat(e)
		p.WriteByte('(')
		for i, t := range terms {
			if i > 0 {
				p.WriteString(" " + op + " ")
			}
			p.expr(t)
		}
		p.WriteByte(')')
		return
	case "#":
		op = "^"
	case "REGEXP":
		p.WriteString("regexp_like(")
		p.list([]ir.Expr{e.Left, e.Right})
		p.WriteByte(')')
		return
	case "NOT REGEXP":
		p.WriteString("(not(regexp_like(")
		p.list([]ir.Expr{e.Left, e.Right})
		p.WriteString(")))")
		return
	}
	p.all(e.Left, " "+op+" ", e.Right)
}

func (p *printer) caseExpr(e *ir.Case) {
	p.WriteString("(case ")
	if e.X != nil {
		p.expr(e.X)
		p.WriteByte(' ')
	}
	for _, w := range e.Whens {
		p.WriteString("when ")
		p.expr(w.Cond)
		p.WriteString(" then ")
		p.expr(w.Then)
		p.WriteByte(' ')
	}
	if e.Else != nil {
		p.WriteString("else ")
		p.expr(e.Else)
		p.WriteByte(' ')
	}
	p.WriteString("end)")
}

func (p *printer) call(e *ir.Func) {
	switch {
	case (e.Name == "date_add" || e.Name == "date_sub") && len(e.Args) == 2:
		op := " + "
		if e.Name == "date_sub" {
			op = " - "
		}
		p.all(e.Args[0], op, e.Args[1])
		return
	case e.Name == "extract" && len(e.Args) == 2:
		unit, _ := e.Args[0].(*ir.Literal)
		if unit != nil {
			p.WriteString("extract(" + strings.ToLower(string(unit.Value.B)) + " from ")
			p.expr(e.Args[1])
			p.WriteByte(')')
			return
		}
	case (e.Name == "btrim" || e.Name == "ltrim" || e.Name == "rtrim") && len(e.Args) == 2:
		word := map[string]string{"btrim": "both", "ltrim": "leading", "rtrim": "trailing"}[e.Name]
		p.WriteString("trim(" + word + " ")
		p.expr(e.Args[1])
		p.WriteString(" from ")
		p.expr(e.Args[0])
		p.WriteByte(')')
		return
	case e.Name == "convert" && len(e.Args) == 2:
		if cs, ok := e.Args[1].(*ir.Literal); ok {
			p.WriteString("convert(")
			p.expr(e.Args[0])
			p.WriteString(" using " + string(cs.Value.B) + ")")
			return
		}
	case (e.Name == "timestampadd" || e.Name == "timestampdiff" || e.Name == "get_format") && len(e.Args) > 1:
		if unit, ok := e.Args[0].(*ir.Literal); ok {
			p.WriteString(e.Name + "(" + string(unit.Value.B) + ",")
			p.list(e.Args[1:])
			p.WriteByte(')')
			return
		}
	}
	name := e.Name
	switch name {
	case "btrim":
		name = "trim"
	case "current_timestamp", "localtime", "localtimestamp":
		name = "now"
	case "current_date":
		name = "curdate"
	case "current_time":
		name = "curtime"
	}
	p.WriteString(name + "(")
	if e.Star {
		p.WriteByte('*')
	}
	if e.Distinct {
		p.WriteString("distinct ")
	}
	p.list(e.Args)
	p.WriteByte(')')
}

func (p *printer) variable(e *ir.Variable) {
	switch {
	case e.User:
		p.WriteByte('@')
	case e.Scope != "":
		p.WriteString("@@" + e.Scope + ".")
	default:
		p.WriteString("@@")
	}
	p.name(e.Name)
}

// castName is a type as CAST takes it.
func castName(t types.Type) string {
	n := func(word string, length int32) string {
		if length > 0 {
			return word + "(" + strconv.Itoa(int(length)) + ")"
		}
		return word
	}
	switch t.Kind {
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8:
		if t.Unsigned {
			return "unsigned"
		}
		return "signed"
	case types.Numeric:
		return "decimal(" + strconv.Itoa(int(t.Len)) + "," + strconv.Itoa(int(t.Scale)) + ")"
	case types.Float4:
		return "float"
	case types.Float8:
		return "double"
	case types.Bytes:
		return n("binary", t.Len)
	case types.Date:
		return "date"
	case types.Time:
		return n("time", t.Len-1)
	case types.Timestamp, types.TimestampTZ:
		return n("datetime", t.Len-1)
	case types.Year:
		return "year"
	case types.JSON, types.JSONB:
		return "json"
	}
	return n("char", t.Len) + " charset utf8mb4"
}
