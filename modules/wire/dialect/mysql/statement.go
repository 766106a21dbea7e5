package mysql

import (
	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// statement maps any statement of the parser's.
func (m *mapper) statement(n ast.StmtNode) ir.Stmt {
	switch n := n.(type) {
	case *ast.SelectStmt, *ast.SetOprStmt:
		return m.query(n)
	case *ast.InsertStmt:
		return m.insert(n)
	case *ast.UpdateStmt:
		return m.update(n)
	case *ast.DeleteStmt:
		return m.delete(n)
	case *ast.LoadDataStmt:
		return m.loadData(n)
	case *ast.DoStmt:
		return &ir.Do{Exprs: m.exprs(n.Exprs)}
	case *ast.TruncateTableStmt:
		return &ir.Truncate{Tables: []ir.Name{tableName(n.Table)}, RestartIdentity: true}

	case *ast.CreateTableStmt:
		return m.createTable(n)
	case *ast.AlterTableStmt:
		return m.alterTable(n)
	case *ast.CreateIndexStmt:
		return m.createIndex(n)
	case *ast.CreateViewStmt:
		return m.createView(n)
	case *ast.DropTableStmt:
		return m.dropTable(n)
	case *ast.DropIndexStmt:
		t := tableName(n.Table)
		return &ir.Drop{Kind: ir.IndexObject, Names: []ir.Name{{Name: n.IndexName, Pos: -1}}, Table: &t, IfExists: n.IfExists}
	case *ast.RenameTableStmt:
		s := &ir.RenameTables{}
		for _, t := range n.TableToTables {
			s.From = append(s.From, tableName(t.OldTable))
			s.To = append(s.To, tableName(t.NewTable))
		}
		return s
	case *ast.CreateDatabaseStmt:
		return &ir.CreateDatabase{Name: n.Name.O, IfNotExists: n.IfNotExists, Options: databaseOptions(n.Options)}
	case *ast.DropDatabaseStmt:
		return &ir.DropDatabase{Name: n.Name.O, IfExists: n.IfExists}
	case *ast.AlterDatabaseStmt:
		return &ir.AlterDatabase{Name: n.Name.O, Options: databaseOptions(n.Options)}

	case *ast.SetStmt:
		return m.set(n)
	case *ast.SetRoleStmt:
		return m.setRole(n)
	case *ast.ShowStmt:
		return m.show(n)
	case *ast.UseStmt:
		return &ir.Use{Database: n.DBName}
	case *ast.ExplainStmt:
		return m.explain(n)
	case *ast.PrepareStmt:
		s := &ir.Prepare{Name: n.Name, Text: n.SQLText}
		if n.SQLVar != nil {
			s.FromVar = n.SQLVar.Name
		}
		return s
	case *ast.ExecuteStmt:
		return &ir.Execute{Name: n.Name, Args: m.exprs(n.UsingVars)}
	case *ast.DeallocateStmt:
		return &ir.Deallocate{Name: n.Name}
	case *ast.BeginStmt:
		s := &ir.Begin{}
		if n.ReadOnly {
			yes := true
			s.ReadOnly = &yes
		}
		return s
	case *ast.CommitStmt:
		return &ir.Commit{Chain: n.CompletionType == ast.CompletionTypeChain, Release: n.CompletionType == ast.CompletionTypeRelease}
	case *ast.RollbackStmt:
		if n.SavepointName != "" {
			return &ir.RollbackTo{Name: n.SavepointName}
		}
		return &ir.Rollback{Chain: n.CompletionType == ast.CompletionTypeChain, Release: n.CompletionType == ast.CompletionTypeRelease}
	case *ast.SavepointStmt:
		return &ir.Savepoint{Name: n.Name}
	case *ast.ReleaseSavepointStmt:
		return &ir.ReleaseSavepoint{Name: n.Name}
	case *ast.LockTablesStmt:
		s := &ir.LockTables{Mode: "READ"}
		for _, t := range n.TableLocks {
			s.Tables = append(s.Tables, tableName(t.Table))
			if t.Type == ast.TableLockWrite || t.Type == ast.TableLockWriteLocal {
				s.Mode = "WRITE"
			}
		}
		return s
	case *ast.UnlockTablesStmt:
		return &ir.LockTables{Unlock: true}
	case *ast.KillStmt:
		if n.Expr != nil {
			return m.kill(n)
		}
		return &ir.Kill{ID: n.ConnectionID, Query: n.Query}
	case *ast.AnalyzeTableStmt:
		return &ir.Maintain{Kind: "ANALYZE TABLE", Tables: tableNames(n.TableNames)}
	case *ast.OptimizeTableStmt:
		return &ir.Maintain{Kind: "OPTIMIZE TABLE", Tables: tableNames(n.Tables)}
	case *ast.FlushStmt:
		return &ir.Maintain{Kind: "FLUSH"}
	case *ast.GrantStmt:
		return m.grant(n.Privs, n.Level, n.Users, n.WithGrant, false)
	case *ast.RevokeStmt:
		return m.grant(n.Privs, n.Level, n.Users, false, true)
	}
	m.lack(m.verb())
	return nil
}

// verb names the statement by its first words, for errors.
func (m *mapper) verb() string {
	if what := unsupported(m.original, m.o); what != "" {
		return what
	}
	l := m.o.lexer(m.text)
	a := l.next()
	b := l.next()
	if b.kind != tokWord || b.from-a.to > 1 {
		return upper(m.text[a.from:a.to])
	}
	return upper(m.text[a.from:b.to])
}
