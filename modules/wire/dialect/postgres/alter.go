package postgres

import (
	"strconv"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
)

// alterKind is what follows ALTER in ir.AlterTable; "" if ir has none.
func alterKind(t ast.ObjectType) string {
	switch t {
	case ast.OBJECT_TABLE:
		return "TABLE"
	case ast.OBJECT_INDEX:
		return "INDEX"
	case ast.OBJECT_VIEW, ast.OBJECT_MATVIEW:
		return "VIEW"
	case ast.OBJECT_SEQUENCE:
		return "SEQUENCE"
	case ast.OBJECT_TYPE:
		return "TYPE"
	case ast.OBJECT_DOMAIN:
		return "DOMAIN"
	case ast.OBJECT_SCHEMA:
		return "SCHEMA"
	case ast.OBJECT_DATABASE:
		return "DATABASE"
	}
	return ""
}

func (m *mapper) alterTable(n *ast.AlterTableStmt) ir.Stmt {
	a := &ir.AlterTable{Name: m.name(n.Relation), IfExists: n.MissingOk, Only: n.Relation != nil && !n.Relation.Inh, Kind: alterKind(n.Objtype)}
	if a.Kind == "" || a.Kind == "TYPE" {
		return m.none("ALTER " + objectName(n.Objtype))
	}
	for _, c := range n.Cmds {
		if c, ok := c.(*ast.AlterTableCmd); ok {
			a.Actions = append(a.Actions, m.action(c))
		}
	}
	return a
}

func (m *mapper) action(n *ast.AlterTableCmd) ir.AlterAction {
	a := ir.AlterAction{IfExists: n.MissingOk, Cascade: cascade(n.Behavior)}
	switch n.Subtype {
	case ast.AT_AddColumn:
		a.Kind, a.IfNot, a.IfExists = ir.AddColumn, n.MissingOk, false
		if d, ok := n.Def.(*ast.ColumnDef); ok {
			a.Def = m.columnDef(d, nil)
		}
	case ast.AT_DropColumn:
		a.Kind, a.Column = ir.DropColumn, n.Name
	case ast.AT_ColumnDefault:
		a.Kind, a.Column = ir.DropDefault, n.Name
		if n.Def != nil {
			a.Kind, a.Default = ir.SetDefault, m.expr(n.Def)
			a.Text = m.format(a.Default, ir.TypeName{}, nil)
		}
	case ast.AT_SetNotNull:
		a.Kind, a.Column = ir.SetNotNull, n.Name
	case ast.AT_DropNotNull:
		a.Kind, a.Column = ir.DropNotNull, n.Name
	case ast.AT_AlterColumnType:
		a.Kind, a.Column = ir.AlterColumnType, n.Name
		if d, ok := n.Def.(*ast.ColumnDef); ok {
			a.Type, a.Using = m.typeName(d.TypeName), m.expr(d.RawDefault)
			if d.CollClause != nil {
				a.Collation = last(d.CollClause.Collname)
			}
		}
	case ast.AT_AddConstraint, ast.AT_AddIndexConstraint:
		a.Kind = ir.AddConstraint
		if c, ok := n.Def.(*ast.Constraint); ok {
			a.Constraint = m.constraint(c, nil)
		}
	case ast.AT_DropConstraint:
		a.Kind, a.Name = ir.DropConstraint, n.Name
	case ast.AT_ValidateConstraint:
		a.Kind, a.Name = ir.ValidateConstraint, n.Name
	case ast.AT_AddIdentity:
		a.Kind, a.Column = ir.AddIdentity, n.Name
		if c, ok := n.Def.(*ast.Constraint); ok {
			a.Name, a.Sequence = identity(c.GeneratedWhen), m.sequenceOptions(c.Options)
		}
	case ast.AT_SetIdentity:
		a.Kind, a.Column = ir.SetIdentity, n.Name
		if l, ok := n.Def.(*ast.List); ok {
			var rest []ast.Node
			for _, o := range l.Items {
				if d, ok := o.(*ast.DefElem); ok && d.Defname == "generated" {
					if i, ok := d.Arg.(*ast.Integer); ok {
						a.Name = identity(string(rune(i.Ival)))
					}
					continue
				}
				rest = append(rest, o)
			}
			a.Sequence = m.sequenceOptions(rest)
		}
	case ast.AT_DropIdentity:
		a.Kind, a.Column = ir.DropIdentity, n.Name
	case ast.AT_DropExpression:
		a.Kind, a.Column = ir.DropExpression, n.Name
	case ast.AT_ChangeOwner:
		a.Kind, a.Name = ir.SetOwner, role(n.Newowner)
	case ast.AT_SetRelOptions:
		a.Kind = ir.SetTableOptions
		if l, ok := n.Def.(*ast.List); ok {
			a.Options = m.options(l.Items)
		}
	case ast.AT_ResetRelOptions:
		a.Kind = ir.SetTableOptions
	case ast.AT_SetStatistics, ast.AT_SetOptions, ast.AT_ResetOptions,
		ast.AT_SetStorage, ast.AT_SetCompression, ast.AT_ClusterOn,
		ast.AT_DropCluster, ast.AT_SetLogged, ast.AT_SetUnLogged,
		ast.AT_SetAccessMethod, ast.AT_SetTableSpace, ast.AT_ReplicaIdentity,
		ast.AT_EnableTrig, ast.AT_EnableTrigAll, ast.AT_EnableTrigUser,
		ast.AT_DisableTrig, ast.AT_DisableTrigAll, ast.AT_DisableTrigUser:
		a.Kind, a.Column = ir.SetStatistics, n.Name
	case ast.AT_AlterConstraint:
		m.lack("ALTER TABLE … ALTER CONSTRAINT")
	case ast.AT_SetExpression:
		m.lack("ALTER COLUMN … SET EXPRESSION")
	case ast.AT_AddInherit, ast.AT_DropInherit:
		m.lack("ALTER TABLE … INHERIT")
	case ast.AT_AttachPartition, ast.AT_DetachPartition:
		m.lack("ALTER TABLE … PARTITION")
	case ast.AT_EnableRowSecurity, ast.AT_DisableRowSecurity,
		ast.AT_ForceRowSecurity, ast.AT_NoForceRowSecurity:
		m.lack("ROW LEVEL SECURITY")
	default:
		m.lack("this form of ALTER TABLE")
	}
	return a
}

func (m *mapper) rename(n *ast.RenameStmt) ir.Stmt {
	a := &ir.AlterTable{Name: m.name(n.Relation), IfExists: n.MissingOk, Only: n.Relation != nil && !n.Relation.Inh}
	act := ir.AlterAction{NewName: n.Newname}
	switch n.RenameType {
	case ast.OBJECT_TABLE, ast.OBJECT_VIEW, ast.OBJECT_MATVIEW, ast.OBJECT_SEQUENCE:
		a.Kind, act.Kind = alterKind(n.RenameType), ir.RenameTable
	case ast.OBJECT_INDEX:
		a.Kind, act.Kind = "INDEX", ir.RenameTable
	case ast.OBJECT_COLUMN:
		a.Kind, act.Kind, act.Column = alterKind(n.RelationType), ir.RenameColumn, n.Subname
	case ast.OBJECT_TABCONSTRAINT:
		a.Kind, act.Kind, act.Name = "TABLE", ir.RenameConstraint, n.Subname
	case ast.OBJECT_TYPE:
		return &ir.AlterEnum{Name: m.object(n.Object), NewName: n.Newname}
	case ast.OBJECT_DATABASE:
		return &ir.AlterDatabase{Name: n.Subname, NewName: n.Newname}
	case ast.OBJECT_SCHEMA:
		a.Name, a.Kind, act.Kind = ir.Name{Name: n.Subname, Pos: -1}, "SCHEMA", ir.RenameTable
	case ast.OBJECT_DOMAIN:
		a.Name, a.Kind, act.Kind = m.object(n.Object), "DOMAIN", ir.RenameTable
	default:
		return m.none("ALTER " + objectName(n.RenameType) + " RENAME")
	}
	a.Actions = []ir.AlterAction{act}
	return a
}

func (m *mapper) alterSchema(n *ast.AlterObjectSchemaStmt) ir.Stmt {
	a := &ir.AlterTable{IfExists: n.MissingOk, Kind: alterKind(n.ObjectType), Actions: []ir.AlterAction{{Kind: ir.SetSchema, Name: n.Newschema}}}
	if a.Kind == "" {
		return m.none("ALTER " + objectName(n.ObjectType) + " SET SCHEMA")
	}
	if n.Relation != nil {
		a.Name = m.name(n.Relation)
	} else {
		a.Name = m.object(n.Object)
	}
	return a
}

func (m *mapper) alterOwner(n *ast.AlterOwnerStmt) ir.Stmt {
	a := &ir.AlterTable{Kind: alterKind(n.ObjectType), Actions: []ir.AlterAction{{Kind: ir.SetOwner, Name: role(n.Newowner)}}}
	if a.Kind == "" {
		return m.none("ALTER " + objectName(n.ObjectType) + " OWNER")
	}
	a.Name = m.object(n.Object)
	return a
}

// sequenceOptions reads the options of a sequence; nil if there are none.
func (m *mapper) sequenceOptions(nodes []ast.Node) *ir.SequenceOptions {
	if len(nodes) == 0 {
		return nil
	}
	o := &ir.SequenceOptions{Type: ir.TypeName{Pos: -1}}
	for _, n := range nodes {
		d, ok := n.(*ast.DefElem)
		if !ok {
			continue
		}
		value := func() *int64 {
			i, err := strconv.ParseInt(m.option(d.Arg), 10, 64)
			if err != nil {
				m.fail(d.Location, "22003", "value %q is out of range for type bigint", m.option(d.Arg))
			}
			return &i
		}
		switch d.Defname {
		case "as":
			if t, ok := d.Arg.(*ast.TypeName); ok {
				o.Type = m.typeName(t)
			}
		case "start":
			o.Start = value()
		case "restart":
			if o.RestartDefault = d.Arg == nil; d.Arg != nil {
				o.Restart = value()
			}
		case "increment":
			if o.Increment = value(); *o.Increment == 0 {
				m.fail(d.Location, "22023", "INCREMENT must not be zero")
			}
		case "minvalue":
			if o.NoMin = d.Arg == nil; d.Arg != nil {
				o.Min = value()
			}
		case "maxvalue":
			if o.NoMax = d.Arg == nil; d.Arg != nil {
				o.Max = value()
			}
		case "cache":
			if o.Cache = value(); *o.Cache < 1 {
				m.fail(d.Location, "22023", "CACHE (%d) must be greater than zero", *o.Cache)
			}
		case "cycle":
			b, _ := d.Arg.(*ast.Boolean)
			on := b != nil && b.Boolval
			o.Cycle = &on
		case "owned_by":
			l, _ := d.Arg.(*ast.List)
			if l == nil {
				continue
			}
			parts := words(l.Items)
			switch {
			case len(parts) == 1 && parts[0] == "none":
				o.OwnedNone = true
			case len(parts) < 2:
				m.fail(d.Location, "42601", "invalid OWNED BY option")
			default:
				table := qualified(parts[:len(parts)-1])
				o.OwnedTable, o.OwnedColumn = &table, parts[len(parts)-1]
			}
		case "sequence_name":
			if l, ok := d.Arg.(*ast.List); ok {
				name := qualified(words(l.Items))
				o.Name = &name
			}
		case "logged":
		default:
			m.lack("the sequence option " + d.Defname)
		}
	}
	return o
}
