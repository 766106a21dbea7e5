package mysql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	parsermysql "github.com/pingcap/tidb/pkg/parser/mysql"
	driver "github.com/pingcap/tidb/pkg/parser/test_driver"

	"github.com/bop-platform/bop/modules/wire/ir"
)

func upper(s string) string { return strings.ToUpper(strings.Join(strings.Fields(s), " ")) }

// set maps SET with its several assignments.
func (m *mapper) set(n *ast.SetStmt) ir.Stmt {
	if b := m.transactionModes(n); b != nil {
		return &ir.Set{Vars: []ir.SetVar{{Name: "transaction", Begin: b, Pos: -1}}}
	}
	s := &ir.Set{}
	for _, a := range n.Variables {
		v := ir.SetVar{Name: strings.ToLower(a.Name), Pos: -1}
		switch a.Name {
		case ast.SetNames:
			v.Name = "names"
		case ast.SetCharset:
			v.Name = "character_set"
		}
		switch {
		case a.IsGlobal, a.IsInstance:
			v.Scope = "global"
		case !a.IsSystem && v.Name != "names" && v.Name != "character_set":
			v.Scope = "user"
		}
		if d, ok := a.Value.(*ast.DefaultExpr); !ok || d.Name != nil {
			v.Values = append(v.Values, m.expr(a.Value))
			if a.ExtendValue != nil {
				v.Values = append(v.Values, m.expr(a.ExtendValue))
			}
		}
		s.Vars = append(s.Vars, v)
	}
	return s
}

// transactionModes are those of SET TRANSACTION, which counts for one transaction; SET SESSION TRANSACTION sets variables.
func (m *mapper) transactionModes(n *ast.SetStmt) *ir.Begin {
	l := m.o.lexer(m.text)
	l.next()
	if !l.is(l.next(), "transaction") {
		return nil
	}
	b := &ir.Begin{}
	for _, a := range n.Variables {
		value, _ := textOf(a.Value)
		switch {
		case strings.HasPrefix(a.Name, "tx_isolation"):
			b.Isolation = strings.ReplaceAll(value, "-", " ")
		case a.Name == "tx_read_only":
			readOnly := value == "1"
			b.ReadOnly = &readOnly
		}
	}
	return b
}

func (m *mapper) setRole(n *ast.SetRoleStmt) ir.Stmt {
	v := ir.SetVar{Name: "role", Pos: -1}
	if len(n.RoleList) > 0 {
		v.Values = []ir.Expr{str(n.RoleList[0].Username)}
	} else {
		v.Values = []ir.Expr{str("none")}
	}
	return &ir.Set{Vars: []ir.SetVar{v}}
}

// shows are the kinds of SHOW that have nothing special about them.
var shows = map[ast.ShowStmtType]string{
	ast.ShowEngines: "ENGINES", ast.ShowDatabases: "DATABASES", ast.ShowTables: "TABLES", ast.ShowTableStatus: "TABLE STATUS",
	ast.ShowColumns: "COLUMNS", ast.ShowWarnings: "WARNINGS", ast.ShowErrors: "ERRORS", ast.ShowCharset: "CHARACTER SET",
	ast.ShowVariables: "VARIABLES", ast.ShowStatus: "STATUS", ast.ShowCollation: "COLLATION", ast.ShowCreateTable: "CREATE TABLE",
	ast.ShowCreateView: "CREATE VIEW", ast.ShowCreateDatabase: "CREATE DATABASE", ast.ShowGrants: "GRANTS", ast.ShowTriggers: "TRIGGERS",
	ast.ShowProcedureStatus: "PROCEDURE STATUS", ast.ShowFunctionStatus: "FUNCTION STATUS", ast.ShowIndex: "INDEX",
	ast.ShowProcessList: "PROCESSLIST", ast.ShowEvents: "EVENTS", ast.ShowPlugins: "PLUGINS", ast.ShowProfiles: "PROFILES",
	ast.ShowMasterStatus: "MASTER STATUS", ast.ShowBinlogStatus: "MASTER STATUS", ast.ShowReplicaStatus: "SLAVE STATUS",
	ast.ShowPrivileges: "PRIVILEGES", ast.ShowOpenTables: "OPEN TABLES",
}

func (m *mapper) show(n *ast.ShowStmt) ir.Stmt {
	kind, ok := shows[n.Tp]
	if !ok {
		m.lack(m.verb())
		return nil
	}
	s := &ir.MyShow{Kind: kind, Full: n.Full, Global: n.GlobalScope, IfNot: n.IfNotExists, Where: m.expr(n.Where)}
	if n.CountWarningsOrErrors {
		s.Kind = "COUNT " + kind
	}
	if n.Table != nil {
		s.Table = tableName(n.Table)
	}
	if n.DBName != "" {
		s.Table.Schema = n.DBName
		if n.Tp == ast.ShowCreateDatabase {
			s.Table = ir.Name{Name: n.DBName, Pos: -1}
		}
	}
	if n.Pattern != nil {
		if pattern, ok := textOf(n.Pattern.Pattern); ok {
			s.Like = &pattern
		} else {
			m.lack("SHOW … LIKE with something other than a string")
		}
	}
	return s
}

func (m *mapper) explain(n *ast.ExplainStmt) ir.Stmt {
	if sh, ok := n.Stmt.(*ast.ShowStmt); ok {
		d := &ir.Describe{Table: tableName(sh.Table)}
		if sh.Column != nil {
			d.Column = sh.Column.Name.O
		}
		return d
	}
	if n.Stmt == nil {
		m.lack("EXPLAIN without a statement")
		return nil
	}
	s := &ir.Explain{Analyze: n.Analyze, Format: strings.ToLower(n.Format), Stmt: m.statement(n.Stmt)}
	switch s.Format {
	case "row", "brief":
		s.Format = ""
	case "", "text", "json", "tree", "traditional":
	default:
		m.lack("EXPLAIN FORMAT = " + strings.ToUpper(s.Format))
	}
	return s
}

// kill is KILL with an expression; only constants and connection_id() of others' making are known before it runs.
func (m *mapper) kill(n *ast.KillStmt) ir.Stmt {
	if v, ok := n.Expr.(*driver.ValueExpr); ok && v.Kind() == driver.KindInt64 {
		return &ir.Kill{ID: uint64(v.GetInt64()), Query: n.Query}
	}
	m.lack("KILL with an expression")
	return nil
}

func (m *mapper) grant(privs []*ast.PrivElem, level *ast.GrantLevel, users []*ast.UserSpec, withGrant, revoke bool) ir.Stmt {
	s := &ir.GrantRevoke{Revoke: revoke, WithGrant: withGrant}
	for _, p := range privs {
		if p.Priv == parsermysql.AllPriv {
			s.Privileges = nil
			break
		}
		s.Privileges = append(s.Privileges, strings.ToUpper(p.Priv.String()))
	}
	s.Kind = ir.TableObject
	switch {
	case level == nil:
	case level.TableName != "":
		s.Objects = []ir.Name{{Schema: level.DBName, Name: level.TableName, Pos: -1}}
	default:
		s.Kind = ir.DatabaseObject
		if level.DBName != "" {
			s.Objects = []ir.Name{{Name: level.DBName, Pos: -1}}
		}
	}
	for _, u := range users {
		if u.User != nil {
			s.Roles = append(s.Roles, u.User.Username)
		}
	}
	return s
}
