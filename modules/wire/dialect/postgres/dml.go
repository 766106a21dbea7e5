package postgres

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

func (m *mapper) insert(n *ast.InsertStmt) ir.Stmt {
	in := &ir.Insert{With: m.with(n.WithClause), Table: m.name(n.Relation), Returning: m.items(n.ReturningList)}
	if n.Relation != nil {
		in.Alias, _ = alias(n.Relation.Alias)
	}
	for _, c := range n.Cols {
		if c, ok := c.(*ast.ResTarget); ok {
			in.Columns = append(in.Columns, c.Name)
			if len(c.Indirection) > 0 {
				m.lack("INSERT into a part of a column")
			}
		}
	}
	if n.SelectStmt != nil {
		in.Source = m.queryNode(n.SelectStmt)
	}
	switch n.Override {
	case ast.OVERRIDING_SYSTEM_VALUE:
		in.Overriding = "SYSTEM"
	case ast.OVERRIDING_USER_VALUE:
		in.Overriding = "USER"
	}
	if c := n.OnConflictClause; c != nil {
		in.OnConflict = &ir.OnConflict{Update: m.assigns(c.TargetList), UpdateIf: m.expr(c.WhereClause)}
		if c.Infer != nil {
			in.OnConflict.Constraint = c.Infer.Conname
			in.OnConflict.Columns = m.indexColumns(c.Infer.IndexElems)
			in.OnConflict.Where = m.expr(c.Infer.WhereClause)
		}
		if c.Action == ast.ONCONFLICT_UPDATE && c.Infer == nil {
			m.fail(c.Location, "42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name")
		}
	}
	return in
}

func (m *mapper) update(n *ast.UpdateStmt) ir.Stmt {
	return &ir.Update{
		With: m.with(n.WithClause), Target: m.tableExpr(n.Relation), Set: m.assigns(n.TargetList), From: m.from(n.FromClause),
		Where: m.expr(n.WhereClause), Returning: m.items(n.ReturningList),
	}
}

func (m *mapper) delete(n *ast.DeleteStmt) ir.Stmt {
	return &ir.Delete{
		With: m.with(n.WithClause), From: m.tableExpr(n.Relation), Using: m.from(n.UsingClause),
		Where: m.expr(n.WhereClause), Returning: m.items(n.ReturningList),
	}
}

// assigns maps SET lists. (a, b) = … comes as one target for each column that refers to the same source.
func (m *mapper) assigns(nodes []ast.Node) []ir.Assign {
	var out []ir.Assign
	for _, n := range nodes {
		t, ok := n.(*ast.ResTarget)
		if !ok {
			continue
		}
		if len(t.Indirection) > 0 {
			m.lack("assignment to a part of a column")
		}
		col := ir.ColumnRef{Name: t.Name, Pos: m.pos(t.Location)}
		ref, ok := t.Val.(*ast.MultiAssignRef)
		if !ok {
			out = append(out, ir.Assign{Columns: []ir.ColumnRef{col}, Value: m.expr(t.Val)})
			continue
		}
		if ref.Colno > 1 && len(out) > 0 {
			a := &out[len(out)-1]
			a.Columns = append(a.Columns, col)
			continue
		}
		value := m.expr(ref.Source)
		switch v := value.(type) {
		case *ir.Row:
			if len(v.Elems) != int(ref.Ncolumns) {
				m.fail(t.Location, "42601", "number of columns does not match number of values")
			}
		case *ir.Subquery:
		default:
			m.fail(t.Location, "0A000", "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression")
		}
		out = append(out, ir.Assign{Columns: []ir.ColumnRef{col}, Value: value})
	}
	return out
}

func (m *mapper) copy(n *ast.CopyStmt) ir.Stmt {
	c := &ir.Copy{
		Columns: words(n.Attlist), From: n.IsFrom, File: n.Filename, Program: n.IsProgram, Format: "text",
		Options: map[string]string{}, Where: m.expr(n.WhereClause),
	}
	if n.Relation != nil {
		name := m.name(n.Relation)
		c.Table = &name
	}
	if n.Query != nil {
		c.Query = m.statement(n.Query)
	}
	for _, o := range n.Options {
		d, ok := o.(*ast.DefElem)
		if !ok {
			continue
		}
		if _, ok := c.Options[d.Defname]; ok {
			m.fail(d.Location, "42601", "conflicting or redundant options")
		}
		value := m.option(d.Arg)
		switch d.Defname {
		case "format":
			switch c.Format = value; value {
			case "text", "csv", "binary":
			default:
				m.fail(d.Location, "22023", "COPY format %q not recognized", value)
			}
			continue
		case "freeze", "header":
			switch strings.ToLower(value) {
			case "", "true", "on", "1":
				value = "true"
			case "false", "off", "0":
				value = "false"
			case "match":
				if d.Defname == "freeze" || !n.IsFrom {
					m.fail(d.Location, "42601", "%s requires a Boolean value", d.Defname)
				}
			default:
				m.fail(d.Location, "42601", "%s requires a Boolean value", d.Defname)
			}
		case "delimiter", "null", "quote", "escape", "encoding", "force_quote", "force_null", "force_not_null":
		default:
			m.fail(d.Location, "42601", "option %q not recognized", d.Defname)
		}
		c.Options[d.Defname] = value
	}
	return c
}

// option prints the value of an option: "" when it has none, lists with commas.
func (m *mapper) option(n ast.Node) string {
	switch n := n.(type) {
	case nil:
		return ""
	case *ast.String:
		return n.Sval
	case *ast.Integer:
		return strconv.Itoa(int(n.Ival))
	case *ast.Float:
		return n.Fval
	case *ast.Boolean:
		return strconv.FormatBool(n.Boolval)
	case *ast.AStar:
		return "*"
	case *ast.AConst:
		if lit, ok := m.constant(n).(*ir.Literal); ok {
			switch lit.Value.Class {
			case types.Int:
				return strconv.FormatInt(lit.Value.I, 10)
			case types.String:
				return string(lit.Value.B)
			}
		}
		return ""
	case *ast.TypeName:
		return last(n.Names)
	case *ast.RoleSpec:
		return role(n)
	case *ast.List:
		parts := make([]string, len(n.Items))
		for i, item := range n.Items {
			parts[i] = m.option(item)
		}
		return strings.Join(parts, ",")
	}
	m.lack("this value of an option")
	return ""
}

// options reads a list of options; a name without a value is "true".
func (m *mapper) options(nodes []ast.Node) map[string]string {
	if len(nodes) == 0 {
		return nil
	}
	out := make(map[string]string, len(nodes))
	for _, n := range nodes {
		if d, ok := n.(*ast.DefElem); ok {
			value := "true"
			if d.Arg != nil {
				value = m.option(d.Arg)
			}
			out[d.Defname] = value
		}
	}
	return out
}

func (m *mapper) truncate(n *ast.TruncateStmt) ir.Stmt {
	return &ir.Truncate{Tables: m.names(n.Relations), RestartIdentity: n.RestartSeqs, Cascade: cascade(n.Behavior)}
}

func cascade(b ast.DropBehavior) bool { return b == ast.DROP_CASCADE }
