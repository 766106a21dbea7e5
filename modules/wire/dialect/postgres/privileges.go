package postgres

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
)

func (m *mapper) grant(n *ast.GrantStmt) ir.Stmt {
	if n.Targtype == ast.ACL_TARGET_DEFAULTS {
		return m.none("ALTER DEFAULT PRIVILEGES")
	}
	g := &ir.GrantRevoke{Revoke: !n.IsGrant, WithGrant: n.GrantOption}
	for _, p := range n.Privileges {
		if p, ok := p.(*ast.AccessPriv); ok {
			if len(p.Cols) > 0 {
				m.lack("privileges on columns")
			}
			g.Privileges = append(g.Privileges, strings.ToUpper(p.PrivName))
		}
	}
	g.Roles = m.roles(n.Grantees)
	switch n.Objtype {
	case ast.OBJECT_TABLE:
		g.Kind = ir.TableObject
	case ast.OBJECT_SEQUENCE:
		g.Kind = ir.SequenceObject
	case ast.OBJECT_SCHEMA:
		g.Kind = ir.SchemaObject
	case ast.OBJECT_DATABASE:
		g.Kind = ir.DatabaseObject
	case ast.OBJECT_TYPE:
		g.Kind = ir.TypeObject
	case ast.OBJECT_DOMAIN:
		g.Kind = ir.DomainObject
	case ast.OBJECT_FUNCTION, ast.OBJECT_PROCEDURE, ast.OBJECT_ROUTINE:
		g.Kind = ir.FunctionObject
	default:
		return m.none("GRANT on " + objectName(n.Objtype))
	}
	for _, o := range n.Objects {
		switch o := o.(type) {
		case *ast.RangeVar:
			g.Objects = append(g.Objects, m.name(o))
		case *ast.String:
			if n.Targtype == ast.ACL_TARGET_ALL_IN_SCHEMA {
				g.Objects = append(g.Objects, ir.Name{Schema: o.Sval, Name: "*", Pos: -1})
				continue
			}
			g.Objects = append(g.Objects, ir.Name{Name: o.Sval, Pos: -1})
		default:
			g.Objects = append(g.Objects, m.object(o))
		}
	}
	return g
}

func (m *mapper) roles(nodes []ast.Node) []string {
	var out []string
	for _, n := range nodes {
		if r, ok := n.(*ast.RoleSpec); ok {
			out = append(out, role(r))
		}
	}
	return out
}

func (m *mapper) grantRole(n *ast.GrantRoleStmt) ir.Stmt {
	g := &ir.GrantRevoke{Revoke: !n.IsGrant, Kind: ir.RoleObject, Roles: m.roles(n.GranteeRoles)}
	for _, r := range n.GrantedRoles {
		if r, ok := r.(*ast.AccessPriv); ok {
			g.Granted = append(g.Granted, r.PrivName)
		}
	}
	for _, o := range n.Opt {
		if d, ok := o.(*ast.DefElem); ok && d.Defname == "admin" {
			g.WithGrant = true
		}
	}
	return g
}
