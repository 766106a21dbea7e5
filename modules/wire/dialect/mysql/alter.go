package mysql

import (
	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/bop-platform/bop/modules/wire/ir"
)

func (m *mapper) alterTable(n *ast.AlterTableStmt) ir.Stmt {
	s := &ir.AlterTable{Name: tableName(n.Table), Kind: "TABLE"}
	for _, spec := range n.Specs {
		s.Actions = append(s.Actions, m.alterAction(spec)...)
	}
	return s
}

// alterAction maps one action; some have several parts.
func (m *mapper) alterAction(n *ast.AlterTableSpec) []ir.AlterAction {
	one := func(a ir.AlterAction) []ir.AlterAction { return []ir.AlterAction{a} }
	place := func(a *ir.AlterAction) {
		if n.Position == nil {
			return
		}
		switch n.Position.Tp {
		case ast.ColumnPositionFirst:
			a.First = true
		case ast.ColumnPositionAfter:
			a.After = n.Position.RelativeColumn.Name.O
		}
	}
	switch n.Tp {
	case ast.AlterTableAddColumns:
		var out []ir.AlterAction
		for _, c := range n.NewColumns {
			d := m.column(c)
			a := ir.AlterAction{Kind: ir.AddColumn, Def: &d, IfNot: n.IfNotExists}
			place(&a)
			out = append(out, a)
		}
		for _, c := range n.NewConstraints {
			out = append(out, m.addConstraint(c)...)
		}
		return out
	case ast.AlterTableAddConstraint:
		return m.addConstraint(n.Constraint)
	case ast.AlterTableDropColumn:
		return one(ir.AlterAction{Kind: ir.DropColumn, Column: n.OldColumnName.Name.O, IfExists: n.IfExists})
	case ast.AlterTableDropPrimaryKey:
		return one(ir.AlterAction{Kind: ir.DropPrimaryKey})
	case ast.AlterTableDropIndex:
		return one(ir.AlterAction{Kind: ir.DropIndexAction, Name: n.Name, IfExists: n.IfExists})
	case ast.AlterTableDropForeignKey:
		return one(ir.AlterAction{Kind: ir.DropForeignKey, Name: n.Name, IfExists: n.IfExists})
	case ast.AlterTableDropCheck:
		return one(ir.AlterAction{Kind: ir.DropConstraint, Name: n.Constraint.Name})
	case ast.AlterTableModifyColumn, ast.AlterTableChangeColumn:
		d := m.column(n.NewColumns[0])
		a := ir.AlterAction{Kind: ir.ModifyColumn, Column: d.Name, Def: &d, IfExists: n.IfExists}
		if n.OldColumnName != nil {
			a.Column = n.OldColumnName.Name.O
		}
		place(&a)
		return one(a)
	case ast.AlterTableAlterColumn:
		c := n.NewColumns[0]
		a := ir.AlterAction{Kind: ir.DropDefault, Column: c.Name.Name.O}
		if len(c.Options) > 0 {
			a.Kind = ir.SetDefault
			a.Default, a.Text = m.defaultValue(c.Options[0].Expr)
		}
		return one(a)
	case ast.AlterTableRenameColumn:
		return one(ir.AlterAction{Kind: ir.RenameColumn, Column: n.OldColumnName.Name.O, NewName: n.NewColumnName.Name.O})
	case ast.AlterTableRenameTable:
		if n.NewTable.Schema.O != "" {
			m.lack("RENAME of a table into another database")
		}
		return one(ir.AlterAction{Kind: ir.RenameTable, NewName: n.NewTable.Name.O})
	case ast.AlterTableRenameIndex:
		return one(ir.AlterAction{Kind: ir.RenameIndex, Name: n.FromKey.O, NewName: n.ToKey.O})
	case ast.AlterTableOption:
		return m.alterOptions(n)
	case ast.AlterTableLock, ast.AlterTableAlgorithm, ast.AlterTableForce, ast.AlterTableEnableKeys, ast.AlterTableDisableKeys,
		ast.AlterTableWithValidation, ast.AlterTableWithoutValidation, ast.AlterTableIndexInvisible, ast.AlterTableOrderByColumns,
		ast.AlterTableStatsOptions, ast.AlterTableAttributes:
		return one(ir.AlterAction{Kind: ir.SetStatistics})
	case ast.AlterTableAlterCheck:
		m.lack("ALTER CHECK … [NOT] ENFORCED")
	case ast.AlterTableImportTablespace, ast.AlterTableDiscardTablespace:
		m.lack("tablespaces")
	case ast.AlterTablePartition, ast.AlterTableAddPartitions, ast.AlterTableDropPartition, ast.AlterTableTruncatePartition,
		ast.AlterTableCoalescePartitions, ast.AlterTableReorganizePartition, ast.AlterTableRemovePartitioning, ast.AlterTableExchangePartition:
		m.lack("partitions")
	default:
		m.lack("this action of ALTER TABLE")
	}
	return nil
}

func (m *mapper) addConstraint(c *ast.Constraint) []ir.AlterAction {
	k, x := m.constraint(c)
	switch {
	case k != nil:
		return []ir.AlterAction{{Kind: ir.AddConstraint, Constraint: k}}
	case x != nil:
		return []ir.AlterAction{{Kind: ir.AddIndex, Index: x, IfNot: c.IfNotExists}}
	}
	return nil
}

// alterOptions maps table options; CONVERT TO CHARACTER SET comes as one of them.
func (m *mapper) alterOptions(n *ast.AlterTableSpec) []ir.AlterAction {
	kind := ir.SetTableOptions
	for _, o := range n.Options {
		if o.Tp == ast.TableOptionCharset && o.UintValue == ast.TableOptionCharsetWithConvertTo {
			kind = ir.ConvertCharset
		}
	}
	options := m.tableOptions(n.Options)
	if options == nil {
		return []ir.AlterAction{{Kind: ir.SetStatistics}}
	}
	return []ir.AlterAction{{Kind: kind, Options: options}}
}
