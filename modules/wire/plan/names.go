package plan

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// outputName names an element of a select list that has no alias, by the dialect's rule.
func (b *builder) outputName(it ir.Item) string {
	if b.my() {
		if c, ok := it.Expr.(*ir.ColumnRef); ok {
			return c.Name
		}
		if it.Text != "" {
			return it.Text
		}
	}
	name, _ := figureName(it.Expr)
	if name == "" {
		return "?column?"
	}
	return name
}

// figureName is PostgreSQL's FigureColname. strength 2: a name that counts, 1: only for lack of a better one.
func figureName(e ir.Expr) (name string, strength int) {
	switch x := e.(type) {
	case *ir.ColumnRef:
		return x.Name, 2
	case *ir.Func:
		return x.Name, 2
	case *ir.Field:
		if x.Name == "*" {
			return "", 0
		}
		return x.Name, 2
	case *ir.Index:
		return figureName(x.X)
	case *ir.Cast:
		if n, s := figureName(x.X); s > 0 {
			return n, s
		}
		return castName(&x.To), 1
	case *ir.Collate:
		return figureName(x.X)
	case *ir.Case:
		if n, s := figureName(x.Else); s > 1 {
			return n, s
		}
		return "case", 1
	case *ir.Subquery:
		switch {
		case x.Exists:
			return "exists", 2
		case x.Array:
			return "array", 2
		}
		for q := x.Query; q != nil; {
			switch body := q.Body.(type) {
			case *ir.Select:
				if len(body.Items) == 0 {
					return "", 0
				}
				if body.Items[0].Alias != "" {
					return body.Items[0].Alias, 2
				}
				return figureName(body.Items[0].Expr)
			case *ir.SetOp:
				q = body.Left
				continue
			case *ir.Values:
				return "column1", 2
			}
			break
		}
	case *ir.ArrayExpr:
		return "array", 2
	case *ir.Row:
		return "row", 2
	case *ir.Literal:
		if x.Type.Kind == types.Bool {
			return "bool", 1
		}
		if !x.Type.IsNumber() && x.Type.Kind != types.Unknown {
			if bt, ok := types.BuiltinByOID(x.Type.PGOID()); ok {
				return bt.Name, 1
			}
		}
	case *ir.Binary:
		if x.Op == "AT TIME ZONE" {
			return "timezone", 2
		}
	}
	return "", 0
}

func castName(tn *ir.TypeName) string {
	if tn.Name.Name != "" && tn.Type.Kind == types.Unknown {
		return tn.Name.Name
	}
	t := tn.Type
	if t.Kind == types.Array {
		t = types.T(t.Elem)
	}
	if bt, ok := types.BuiltinByOID(t.PGOID()); ok {
		return bt.Name
	}
	return ""
}
