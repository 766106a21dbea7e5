package postgres

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// statement maps any statement.
func (m *mapper) statement(n ast.Node) ir.Stmt {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return m.selectStmt(n)
	case *ast.InsertStmt:
		return m.insert(n)
	case *ast.UpdateStmt:
		return m.update(n)
	case *ast.DeleteStmt:
		return m.delete(n)
	case *ast.TruncateStmt:
		return m.truncate(n)
	case *ast.CopyStmt:
		return m.copy(n)
	case *ast.TransactionStmt:
		return m.transaction(n)
	case *ast.VariableSetStmt:
		return m.set(n)
	case *ast.VariableShowStmt:
		return &ir.Show{Name: strings.ToLower(n.Name)}
	case *ast.DiscardStmt:
		return &ir.Reset{Discard: map[ast.DiscardMode]string{
			ast.DISCARD_ALL: "ALL", ast.DISCARD_PLANS: "PLANS",
			ast.DISCARD_SEQUENCES: "SEQUENCES", ast.DISCARD_TEMP: "TEMP",
		}[n.Target]}
	case *ast.ExplainStmt:
		return m.explain(n)
	case *ast.PrepareStmt:
		p := &ir.Prepare{Name: n.Name, Stmt: m.statement(n.Query), Text: m.after("as", "")}
		for _, t := range n.Argtypes {
			if t, ok := t.(*ast.TypeName); ok {
				p.Types = append(p.Types, m.typeName(t))
			}
		}
		return p
	case *ast.ExecuteStmt:
		return &ir.Execute{Name: n.Name, Args: m.exprs(n.Params)}
	case *ast.DeallocateStmt:
		return &ir.Deallocate{Name: n.Name}
	case *ast.DeclareCursorStmt:
		return m.declare(n)
	case *ast.FetchStmt:
		return m.fetch(n)
	case *ast.ClosePortalStmt:
		return &ir.CloseCursor{Name: n.Portalname}
	case *ast.ListenStmt:
		return &ir.Listen{Channel: n.Conditionname}
	case *ast.UnlistenStmt:
		if n.Conditionname == "" {
			return &ir.Unlisten{Channel: "*"}
		}
		return &ir.Unlisten{Channel: n.Conditionname}
	case *ast.NotifyStmt:
		return &ir.Notify{Channel: n.Conditionname, Payload: n.Payload}
	case *ast.LockStmt:
		return m.lock(n)
	case *ast.ConstraintsSetStmt:
		return m.setConstraints(n)
	case *ast.VacuumStmt, *ast.ReindexStmt, *ast.ClusterStmt, *ast.CheckPointStmt, *ast.RefreshMatViewStmt:
		return m.maintain(n)
	case *ast.GrantStmt:
		return m.grant(n)
	case *ast.GrantRoleStmt:
		return m.grantRole(n)
	case *ast.DoStmt:
		return m.do(n)
	case *ast.MergeStmt:
		return m.none("MERGE")
	case *ast.Other:
		return m.none(statementName(n.Name))
	}
	return m.define(n)
}

// none says that the statement isn't supported.
func (m *mapper) none(what string) ir.Stmt {
	m.lack(what)
	return &ir.Unsupported{What: what}
}

// statementName turns the name of a node into that of its statement: CreateFunctionStmt is CREATE FUNCTION.
func statementName(node string) string {
	if s, ok := statementNames[node]; ok {
		return s
	}
	node = strings.TrimSuffix(node, "Stmt")
	var b strings.Builder
	for i, c := range []byte(node) {
		if i > 0 && 'A' <= c && c <= 'Z' && (node[i-1] < 'A' || node[i-1] > 'Z') {
			b.WriteByte(' ')
		}
		b.WriteByte(c)
	}
	return strings.ToUpper(b.String())
}

var statementNames = map[string]string{
	"CreateTrigStmt": "CREATE TRIGGER", "CreatePLangStmt": "CREATE LANGUAGE", "CreateAmStmt": "CREATE ACCESS METHOD",
	"CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER", "RuleStmt": "CREATE RULE", "DefineStmt": "CREATE AGGREGATE, OPERATOR OR TYPE",
	"CompositeTypeStmt": "CREATE TYPE AS", "CreateRangeStmt": "CREATE TYPE AS RANGE", "CreateStatsStmt": "CREATE STATISTICS",
	"CallStmt": "CALL", "SecLabelStmt": "SECURITY LABEL", "CreateEventTrigStmt": "CREATE EVENT TRIGGER", "LoadStmt": "LOAD",
	"AlterTSDictionaryStmt": "ALTER TEXT SEARCH DICTIONARY", "CreateOpClassStmt": "CREATE OPERATOR CLASS",
	"AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES", "AlterRoleSetStmt": "ALTER ROLE SET",
	"AlterObjectDependsStmt": "ALTER … DEPENDS ON EXTENSION", "AlterSystemStmt": "ALTER SYSTEM",
}

func (m *mapper) selectStmt(n *ast.SelectStmt) ir.Stmt {
	core := n // of a set operation, the leftmost query names the table
	for core.Larg != nil {
		core = core.Larg
	}
	into := core.IntoClause
	if into == nil {
		return m.query(n)
	}
	core.IntoClause = nil
	t := m.intoTable(into)
	t.As = m.query(n)
	return t
}

func (m *mapper) transaction(n *ast.TransactionStmt) ir.Stmt {
	switch n.Kind {
	case ast.TRANS_STMT_BEGIN, ast.TRANS_STMT_START:
		return m.modes(n.Options)
	case ast.TRANS_STMT_COMMIT:
		return &ir.Commit{Chain: n.Chain}
	case ast.TRANS_STMT_ROLLBACK:
		return &ir.Rollback{Chain: n.Chain}
	case ast.TRANS_STMT_SAVEPOINT:
		return &ir.Savepoint{Name: n.SavepointName}
	case ast.TRANS_STMT_RELEASE:
		return &ir.ReleaseSavepoint{Name: n.SavepointName}
	case ast.TRANS_STMT_ROLLBACK_TO:
		return &ir.RollbackTo{Name: n.SavepointName}
	case ast.TRANS_STMT_PREPARE:
		return m.none("PREPARE TRANSACTION")
	case ast.TRANS_STMT_COMMIT_PREPARED:
		return m.none("COMMIT PREPARED")
	}
	return m.none("ROLLBACK PREPARED")
}

// modes reads transaction modes.
func (m *mapper) modes(nodes []ast.Node) *ir.Begin {
	b := &ir.Begin{}
	for _, n := range nodes {
		d, ok := n.(*ast.DefElem)
		if !ok {
			continue
		}
		value := m.option(d.Arg)
		on := value == "1" || value == "true"
		switch d.Defname {
		case "transaction_isolation":
			b.Isolation = strings.ToUpper(value)
		case "transaction_read_only":
			b.ReadOnly = &on
		case "transaction_deferrable":
			b.Deferrable = &on
		}
	}
	return b
}

func (m *mapper) set(n *ast.VariableSetStmt) ir.Stmt {
	v := ir.SetVar{Name: strings.ToLower(n.Name), Pos: -1}
	if n.IsLocal {
		v.Scope = "local"
	}
	switch n.Kind {
	case ast.VAR_RESET:
		return &ir.Reset{Name: v.Name}
	case ast.VAR_RESET_ALL:
		return &ir.Reset{}
	case ast.VAR_SET_CURRENT:
		return m.none("SET … FROM CURRENT")
	case ast.VAR_SET_MULTI:
		switch v.Name {
		case "transaction":
			v.Begin = m.modes(n.Args)
		case "session characteristics":
			v.Name, v.Begin = "session_characteristics", m.modes(n.Args)
		default:
			return m.none("SET TRANSACTION SNAPSHOT")
		}
	case ast.VAR_SET_VALUE:
		v.Values = m.exprs(n.Args)
	}
	return &ir.Set{Vars: []ir.SetVar{v}}
}

// setConstraints is SET CONSTRAINTS: a variable "constraints" whose first value is the mode.
func (m *mapper) setConstraints(n *ast.ConstraintsSetStmt) ir.Stmt {
	mode := "immediate"
	if n.Deferred {
		mode = "deferred"
	}
	v := ir.SetVar{Name: "constraints", Pos: -1, Values: []ir.Expr{text(mode)}}
	for _, c := range m.names(n.Constraints) {
		v.Values = append(v.Values, text(c.Name))
	}
	return &ir.Set{Vars: []ir.SetVar{v}}
}

func text(s string) ir.Expr {
	return &ir.Literal{Value: types.StringValue(s), Pos: -1}
}

func (m *mapper) explain(n *ast.ExplainStmt) ir.Stmt {
	e := &ir.Explain{Stmt: m.statement(n.Query), Options: m.options(n.Options)}
	switch e.Options["analyze"] {
	case "true", "on", "1":
		e.Analyze = true
	}
	e.Format = strings.ToLower(e.Options["format"])
	return e
}

// The bits of DeclareCursorStmt.Options.
const (
	cursorBinary   = 0x1
	cursorScroll   = 0x2
	cursorNoScroll = 0x4
	cursorHold     = 0x20
)

func (m *mapper) declare(n *ast.DeclareCursorStmt) ir.Stmt {
	c := &ir.DeclareCursor{
		Name: n.Portalname, Hold: n.Options&cursorHold != 0, Binary: n.Options&cursorBinary != 0,
		Query: m.queryNode(n.Query), Text: m.after("for", ""),
	}
	switch {
	case n.Options&cursorScroll != 0:
		c.Scroll = 1
	case n.Options&cursorNoScroll != 0:
		c.Scroll = -1
	}
	return c
}

func (m *mapper) fetch(n *ast.FetchStmt) ir.Stmt {
	const all = 1<<63 - 1
	f := &ir.Fetch{Cursor: n.Portalname, Move: n.Ismove, Count: n.HowMany}
	switch n.Direction {
	case ast.FETCH_FORWARD:
		f.How = "FORWARD"
	case ast.FETCH_BACKWARD:
		f.How = "BACKWARD"
	case ast.FETCH_ABSOLUTE:
		f.How = "ABSOLUTE"
		switch n.HowMany {
		case 1:
			f.How = "FIRST"
		case -1:
			f.How = "LAST"
		}
	case ast.FETCH_RELATIVE:
		f.How = "RELATIVE"
	}
	// libpg_query passes FETCH ALL as the largest long, which has 32 bits in WebAssembly.
	if (n.HowMany == all || n.HowMany == 1<<31-1) && (f.How == "FORWARD" || f.How == "BACKWARD") {
		f.All, f.Count = true, 0
	}
	return f
}

func (m *mapper) lock(n *ast.LockStmt) ir.Stmt {
	modes := [...]string{"", "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE",
		"SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}
	l := &ir.LockTables{Tables: m.names(n.Relations), NoWait: n.Nowait}
	if n.Mode > 0 && int(n.Mode) < len(modes) {
		l.Mode = modes[n.Mode]
	}
	return l
}

func (m *mapper) maintain(n ast.Node) ir.Stmt {
	switch n := n.(type) {
	case *ast.VacuumStmt:
		s := &ir.Maintain{Kind: "ANALYZE", Options: m.options(n.Options)}
		if n.IsVacuumcmd {
			s.Kind = "VACUUM"
		}
		for _, r := range n.Rels {
			if r, ok := r.(*ast.VacuumRelation); ok {
				s.Tables = append(s.Tables, m.name(r.Relation))
			}
		}
		return s
	case *ast.ReindexStmt:
		s := &ir.Maintain{Kind: "REINDEX", Options: m.options(n.Params)}
		if n.Relation != nil {
			s.Tables = []ir.Name{m.name(n.Relation)}
		}
		return s
	case *ast.ClusterStmt:
		s := &ir.Maintain{Kind: "CLUSTER"}
		if n.Relation != nil {
			s.Tables = []ir.Name{m.name(n.Relation)}
		}
		return s
	case *ast.RefreshMatViewStmt:
		s := &ir.Maintain{Kind: "REFRESH MATERIALIZED VIEW", Tables: []ir.Name{m.name(n.Relation)}}
		if n.SkipData {
			s.Options = map[string]string{"no_data": "true"}
		}
		return s
	}
	return &ir.Maintain{Kind: "CHECKPOINT"}
}

// after returns the statement's text after the first word (of the two) that stands outside of parentheses.
func (m *mapper) after(word, or string) string {
	l := lexer{s: m.text}
	depth := 0
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad:
			return ""
		case t.op == '(' || t.op == '[':
			depth++
		case t.op == ')' || t.op == ']':
			depth--
		case depth == 0 && (l.is(t, word) || or != "" && l.is(t, or)):
			l.space()
			return m.text[l.i:]
		}
	}
}
