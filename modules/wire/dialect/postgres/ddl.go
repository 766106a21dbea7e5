package postgres

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// define maps the statements that define, change and drop objects.
func (m *mapper) define(n ast.Node) ir.Stmt {
	switch n := n.(type) {
	case *ast.CreateStmt:
		return m.createTable(n)
	case *ast.CreateTableAsStmt:
		return m.createTableAs(n)
	case *ast.AlterTableStmt:
		return m.alterTable(n)
	case *ast.RenameStmt:
		return m.rename(n)
	case *ast.AlterObjectSchemaStmt:
		return m.alterSchema(n)
	case *ast.AlterOwnerStmt:
		return m.alterOwner(n)
	case *ast.IndexStmt:
		return m.createIndex(n)
	case *ast.DropStmt:
		return m.drop(n)
	case *ast.DropRoleStmt:
		d := &ir.Drop{Kind: ir.RoleObject, IfExists: n.MissingOk}
		for _, r := range n.Roles {
			if r, ok := r.(*ast.RoleSpec); ok {
				d.Names = append(d.Names, ir.Name{Name: role(r), Pos: m.pos(r.Location)})
			}
		}
		return d
	case *ast.ViewStmt:
		return m.createView(n)
	case *ast.CreateSeqStmt:
		s := &ir.CreateSequence{Name: m.name(n.Sequence), Temp: temp(n.Sequence), IfNotExists: n.IfNotExists}
		if o := m.sequenceOptions(n.Options); o != nil {
			s.Options = *o
		}
		return s
	case *ast.AlterSeqStmt:
		s := &ir.AlterSequence{Name: m.name(n.Sequence), IfExists: n.MissingOk}
		if o := m.sequenceOptions(n.Options); o != nil {
			s.Options = *o
		}
		return s
	case *ast.CreateEnumStmt:
		return &ir.CreateEnum{Name: qualified(words(n.TypeName)), Labels: words(n.Vals)}
	case *ast.AlterEnumStmt:
		return m.alterEnum(n)
	case *ast.CreateDomainStmt:
		return m.createDomain(n)
	case *ast.AlterDomainStmt:
		return m.none("ALTER DOMAIN")
	case *ast.CreateSchemaStmt:
		if len(n.SchemaElts) > 0 {
			return m.none("CREATE SCHEMA with elements")
		}
		s := &ir.CreateSchema{Name: n.Schemaname, IfNotExists: n.IfNotExists, Owner: role(n.Authrole)}
		if s.Name == "" {
			s.Name = s.Owner
		}
		return s
	case *ast.CreatedbStmt:
		return &ir.CreateDatabase{Name: n.Dbname, Options: m.options(n.Options)}
	case *ast.DropdbStmt:
		d := &ir.DropDatabase{Name: n.Dbname, IfExists: n.MissingOk}
		_, d.Force = m.options(n.Options)["force"]
		return d
	case *ast.AlterDatabaseStmt:
		return &ir.AlterDatabase{Name: n.Dbname, Options: m.options(n.Options)}
	case *ast.AlterDatabaseSetStmt:
		return m.databaseSet(n)
	case *ast.CommentStmt:
		return m.comment(n)
	case *ast.CreateExtensionStmt:
		return &ir.CreateExtension{Name: n.Extname, IfNotExists: n.IfNotExists}
	case *ast.CreateRoleStmt:
		return m.none("CREATE ROLE")
	case *ast.DropOwnedStmt:
		return m.none("DROP OWNED")
	}
	return m.none("this statement")
}

func (m *mapper) databaseSet(n *ast.AlterDatabaseSetStmt) ir.Stmt {
	set := n.Setstmt
	s := &ir.AlterDatabaseSet{Name: n.Dbname, Var: strings.ToLower(set.Name)}
	switch set.Kind {
	case ast.VAR_SET_VALUE:
		s.Values = m.exprs(set.Args)
	case ast.VAR_SET_CURRENT:
		s.Current = true
	case ast.VAR_SET_DEFAULT, ast.VAR_RESET, ast.VAR_RESET_ALL:
		s.Reset = true
	default:
		s.Var = set.Name // TRANSACTION and SESSION CHARACTERISTICS, which PostgreSQL takes for unknown variables here
	}
	return s
}

func temp(r *ast.RangeVar) bool {
	return r != nil && (r.Relpersistence == "t" || r.Schemaname == "pg_temp")
}

// role returns the name of a role; the key words stay key words.
func role(r *ast.RoleSpec) string {
	if r == nil {
		return ""
	}
	switch r.Roletype {
	case ast.ROLESPEC_CURRENT_USER:
		return "current_user"
	case ast.ROLESPEC_SESSION_USER:
		return "session_user"
	case ast.ROLESPEC_CURRENT_ROLE:
		return "current_role"
	case ast.ROLESPEC_PUBLIC:
		return "public"
	}
	return r.Rolename
}

func onCommit(a ast.OnCommitAction) string {
	switch a {
	case ast.ONCOMMIT_DROP:
		return "DROP"
	case ast.ONCOMMIT_DELETE_ROWS:
		return "DELETE"
	}
	return ""
}

func (m *mapper) createTable(n *ast.CreateStmt) ir.Stmt {
	if n.Partbound != nil {
		return m.none("CREATE TABLE … PARTITION OF")
	}
	if n.OfTypename != nil {
		return m.none("CREATE TABLE OF")
	}
	t := &ir.CreateTable{
		Name: m.name(n.Relation), Temp: temp(n.Relation), Unlogged: n.Relation != nil && n.Relation.Relpersistence == "u",
		IfNotExists: n.IfNotExists, OnCommit: onCommit(n.Oncommit), Inherits: m.names(n.InhRelations), PartitionBy: n.Partspec != nil,
	}
	// Checks are printed with the types of the table's columns, which come in any order.
	columns := map[string]types.Type{}
	for _, e := range n.TableElts {
		if c, ok := e.(*ast.ColumnDef); ok {
			columns[c.Colname] = m.typeName(c.TypeName).Type
		}
	}
	lookup := func(name string) types.Type { return columns[name] }
	for _, e := range n.TableElts {
		switch e := e.(type) {
		case *ast.ColumnDef:
			t.Columns = append(t.Columns, *m.columnDef(e, lookup))
		case *ast.Constraint:
			if c := m.constraint(e, lookup); c != nil {
				t.Constraints = append(t.Constraints, *c)
			}
		case *ast.TableLikeClause:
			if t.Like != nil {
				m.lack("several LIKE clauses")
			}
			name := m.name(e.Relation)
			t.Like, t.LikeAll = &name, e.Options != 0
		}
	}
	return t
}

func (m *mapper) intoTable(n *ast.IntoClause) *ir.CreateTable {
	t := &ir.CreateTable{
		Name: m.name(n.Rel), Temp: temp(n.Rel), Unlogged: n.Rel != nil && n.Rel.Relpersistence == "u",
		OnCommit: onCommit(n.OnCommit), WithNoData: n.SkipData,
	}
	for _, c := range words(n.ColNames) {
		t.Columns = append(t.Columns, ir.ColumnDef{Name: c, Pos: -1})
	}
	return t
}

func (m *mapper) createTableAs(n *ast.CreateTableAsStmt) ir.Stmt {
	s, ok := n.Query.(*ast.SelectStmt)
	if !ok {
		return m.none("CREATE TABLE AS EXECUTE")
	}
	if n.Objtype == ast.OBJECT_MATVIEW {
		v := &ir.CreateView{Name: m.name(n.Into.Rel), Columns: words(n.Into.ColNames), Query: m.query(s), IfNotExists: n.IfNotExists, Materialized: true}
		v.Text = m.viewText("data")
		return v
	}
	t := m.intoTable(n.Into)
	t.IfNotExists = n.IfNotExists
	t.As = m.query(s)
	return t
}

func (m *mapper) createView(n *ast.ViewStmt) ir.Stmt {
	return &ir.CreateView{
		Name: m.name(n.View), Columns: words(n.Aliases), Query: m.queryNode(n.Query), Text: m.viewText("option"),
		OrReplace: n.Replace, Temp: temp(n.View),
	}
}

// viewText returns the text of the query behind AS, without a WITH clause after it that ends in the given word:
// WITH [NO] DATA, WITH [LOCAL | CASCADED] CHECK OPTION.
func (m *mapper) viewText(end string) string {
	s := m.after("as", "")
	l := lexer{s: s}
	var with, prev, final token
	for {
		t := l.next()
		if t.kind == tokEnd || t.kind == tokBad {
			break
		}
		if l.is(t, "with") {
			with = t
		}
		prev, final = final, t
	}
	if l.is(final, end) && with.to > 0 && !l.is(prev, "as") {
		switch {
		case end == "data" && (with.to == prev.to || l.is(prev, "no")),
			end == "option" && l.is(prev, "check"):
			s = s[:with.from]
		}
	}
	return strings.TrimSpace(s)
}

func (m *mapper) columnDef(n *ast.ColumnDef, lookup func(string) types.Type) *ir.ColumnDef {
	c := &ir.ColumnDef{Name: n.Colname, Type: m.typeName(n.TypeName), Pos: m.pos(n.Location)}
	if n.CollClause != nil {
		c.Collation = last(n.CollClause.Collname)
	}
	for _, e := range n.Constraints {
		k, ok := e.(*ast.Constraint)
		if !ok {
			continue
		}
		switch k.Contype {
		case ast.CONSTR_NULL:
			c.Null = true
		case ast.CONSTR_NOTNULL:
			c.NotNull = true
		case ast.CONSTR_DEFAULT:
			if c.Default != nil {
				m.fail(k.Location, "42601", "multiple default values specified for column %q", n.Colname)
			}
			c.Default = m.expr(k.RawExpr)
			c.DefaultText = m.format(c.Default, c.Type, lookup)
		case ast.CONSTR_IDENTITY:
			c.Identity, c.NotNull = identity(k.GeneratedWhen), true
			c.Sequence = m.sequenceOptions(k.Options)
		case ast.CONSTR_GENERATED:
			c.Generated, c.Stored = m.expr(k.RawExpr), true
			c.GeneratedText = m.format(c.Generated, c.Type, lookup)
		case ast.CONSTR_ATTR_DEFERRABLE, ast.CONSTR_ATTR_NOT_DEFERRABLE,
			ast.CONSTR_ATTR_DEFERRED, ast.CONSTR_ATTR_IMMEDIATE:
			if len(c.Constraints) == 0 {
				m.fail(k.Location, "42601", "misplaced DEFERRABLE clause")
				continue
			}
			p := &c.Constraints[len(c.Constraints)-1]
			switch k.Contype {
			case ast.CONSTR_ATTR_DEFERRABLE:
				p.Deferrable = true
			case ast.CONSTR_ATTR_DEFERRED:
				p.Deferrable, p.InitiallyDeferred = true, true
			}
		default:
			if p := m.constraint(k, lookup); p != nil {
				if p.Kind != ir.Check {
					p.Columns = []ir.IndexColumn{{Column: n.Colname}}
				}
				c.Constraints = append(c.Constraints, *p)
			}
		}
	}
	return c
}

func identity(when string) string {
	if when == "a" {
		return "ALWAYS"
	}
	return "BY DEFAULT"
}

// format prints an expression for a catalog; those that can't be printed are refused by whoever plans them.
func (m *mapper) format(e ir.Expr, want ir.TypeName, lookup func(string) types.Type) string {
	s, ok := Format(e, want, lookup)
	if !ok {
		m.lack("a subquery, aggregate or window function in a default, check or index")
	}
	return s
}

func (m *mapper) constraint(n *ast.Constraint, lookup func(string) types.Type) *ir.Constraint {
	c := &ir.Constraint{
		Name: n.Conname, Deferrable: n.Deferrable, InitiallyDeferred: n.Initdeferred, NotValid: n.SkipValidation,
		NoInherit: n.IsNoInherit, UsingIndex: n.Indexname, NullsNotDistinct: n.NullsNotDistinct,
	}
	for _, k := range words(n.Keys) {
		c.Columns = append(c.Columns, ir.IndexColumn{Column: k})
	}
	switch n.Contype {
	case ast.CONSTR_PRIMARY:
		c.Kind = ir.PrimaryKey
	case ast.CONSTR_UNIQUE:
		c.Kind = ir.Unique
	case ast.CONSTR_CHECK:
		c.Kind, c.Expr = ir.Check, m.expr(n.RawExpr)
		c.Text = m.format(c.Expr, ir.TypeName{}, lookup)
	case ast.CONSTR_FOREIGN:
		c.Kind, c.RefTable, c.RefColumns = ir.ForeignKey, m.name(n.Pktable), words(n.PkAttrs)
		c.Columns = nil
		for _, k := range words(n.FkAttrs) {
			c.Columns = append(c.Columns, ir.IndexColumn{Column: k})
		}
		c.OnDelete, c.OnUpdate = action(n.FkDelAction), action(n.FkUpdAction)
		switch n.FkMatchtype {
		case "f":
			c.Match = "FULL"
		case "p":
			c.Match = "PARTIAL"
		}
		if len(n.FkDelSetCols) > 0 {
			m.lack("ON DELETE SET with a list of columns")
		}
	case ast.CONSTR_EXCLUSION:
		c.Kind = ir.Exclude
		m.lack("EXCLUDE constraints")
	default:
		m.lack("this constraint")
		return nil
	}
	return c
}

func action(a string) string {
	switch a {
	case "r":
		return "RESTRICT"
	case "c":
		return "CASCADE"
	case "n":
		return "SET NULL"
	case "d":
		return "SET DEFAULT"
	}
	return "NO ACTION"
}

func (m *mapper) indexColumns(nodes []ast.Node) []ir.IndexColumn {
	var out []ir.IndexColumn
	for _, n := range nodes {
		e, ok := n.(*ast.IndexElem)
		if !ok {
			continue
		}
		c := ir.IndexColumn{
			Column: e.Name, Desc: e.Ordering == ast.SORTBY_DESC, Nulls: nulls(e.NullsOrdering),
			Collation: last(e.Collation), OpClass: last(e.Opclass),
		}
		if e.Expr != nil {
			c.Expr = m.expr(e.Expr)
			c.Text = m.format(c.Expr, ir.TypeName{}, nil)
		}
		out = append(out, c)
	}
	return out
}

func (m *mapper) createIndex(n *ast.IndexStmt) ir.Stmt {
	x := &ir.CreateIndex{
		Name: n.Idxname, Table: m.name(n.Relation), Columns: m.indexColumns(n.IndexParams), Unique: n.Unique,
		Method: n.AccessMethod, Where: m.expr(n.WhereClause), IfNotExists: n.IfNotExists, Concurrently: n.Concurrent,
		NullsNotDistinct: n.NullsNotDistinct,
	}
	for _, c := range m.indexColumns(n.IndexIncludingParams) {
		x.Include = append(x.Include, c.Column)
	}
	if x.Where != nil {
		x.WhereText = m.format(x.Where, ir.TypeName{}, nil)
	}
	return x
}

func (m *mapper) alterEnum(n *ast.AlterEnumStmt) ir.Stmt {
	e := &ir.AlterEnum{Name: qualified(words(n.TypeName)), IfNotExists: n.SkipIfNewValExists}
	if n.OldVal != "" {
		e.RenameFrom, e.RenameTo = n.OldVal, n.NewVal
		return e
	}
	e.Add = n.NewVal
	if n.NewValNeighbor != "" {
		if n.NewValIsAfter {
			e.After = n.NewValNeighbor
		} else {
			e.Before = n.NewValNeighbor
		}
	}
	return e
}

func (m *mapper) createDomain(n *ast.CreateDomainStmt) ir.Stmt {
	d := &ir.CreateDomain{Name: qualified(words(n.Domainname)), Type: m.typeName(n.TypeName)}
	lookup := func(name string) types.Type {
		if name == "value" {
			return d.Type.Type
		}
		return types.Type{}
	}
	for _, e := range n.Constraints {
		k, ok := e.(*ast.Constraint)
		if !ok {
			continue
		}
		switch k.Contype {
		case ast.CONSTR_NULL:
		case ast.CONSTR_NOTNULL:
			d.NotNull = true
		case ast.CONSTR_DEFAULT:
			d.Default = m.expr(k.RawExpr)
			d.DefaultText = m.format(d.Default, d.Type, nil)
		case ast.CONSTR_CHECK:
			if c := m.constraint(k, lookup); c != nil {
				p := printer{column: lookup, domain: true}
				p.expr(c.Expr)
				c.Text = p.b.String()
				d.Constraints = append(d.Constraints, *c)
			}
		default:
			m.fail(k.Location, "42601", "this constraint is not possible for domains")
		}
	}
	return d
}

func (m *mapper) drop(n *ast.DropStmt) ir.Stmt {
	d := &ir.Drop{IfExists: n.MissingOk, Cascade: cascade(n.Behavior)}
	switch n.RemoveType {
	case ast.OBJECT_TABLE:
		d.Kind = ir.TableObject
	case ast.OBJECT_VIEW:
		d.Kind = ir.ViewObject
	case ast.OBJECT_MATVIEW:
		d.Kind = ir.MatViewObject
	case ast.OBJECT_INDEX:
		d.Kind = ir.IndexObject
	case ast.OBJECT_SEQUENCE:
		d.Kind = ir.SequenceObject
	case ast.OBJECT_TYPE:
		d.Kind = ir.TypeObject
	case ast.OBJECT_DOMAIN:
		d.Kind = ir.DomainObject
	case ast.OBJECT_SCHEMA:
		d.Kind = ir.SchemaObject
	case ast.OBJECT_EXTENSION:
		d.Kind = ir.ExtensionObject
	case ast.OBJECT_FUNCTION, ast.OBJECT_PROCEDURE, ast.OBJECT_ROUTINE, ast.OBJECT_AGGREGATE:
		d.Kind = ir.FunctionObject
	case ast.OBJECT_TRIGGER:
		d.Kind = ir.TriggerObject
	default:
		return m.none("DROP " + objectName(n.RemoveType))
	}
	for _, o := range n.Objects {
		name := m.object(o)
		if d.Kind == ir.TriggerObject {
			if l, ok := o.(*ast.List); ok {
				if parts := words(l.Items); len(parts) > 1 {
					name = ir.Name{Name: parts[len(parts)-1], Pos: -1}
					table := qualified(parts[:len(parts)-1])
					d.Table = &table
				}
			}
		}
		d.Names = append(d.Names, name)
	}
	return d
}

// objectName is the name of a kind of object: OBJECT_FOREIGN_TABLE is FOREIGN TABLE.
func objectName(t ast.ObjectType) string {
	switch t {
	case ast.OBJECT_POLICY:
		return "POLICY"
	case ast.OBJECT_RULE:
		return "RULE"
	case ast.OBJECT_FOREIGN_TABLE:
		return "FOREIGN TABLE"
	case ast.OBJECT_PUBLICATION:
		return "PUBLICATION"
	case ast.OBJECT_STATISTIC_EXT:
		return "STATISTICS"
	case ast.OBJECT_COLLATION:
		return "COLLATION"
	case ast.OBJECT_LANGUAGE:
		return "LANGUAGE"
	case ast.OBJECT_CAST:
		return "CAST"
	case ast.OBJECT_OPERATOR:
		return "OPERATOR"
	case ast.OBJECT_SCHEMA:
		return "SCHEMA"
	case ast.OBJECT_ROLE:
		return "ROLE"
	case ast.OBJECT_FUNCTION, ast.OBJECT_PROCEDURE, ast.OBJECT_ROUTINE, ast.OBJECT_AGGREGATE:
		return "FUNCTION"
	case ast.OBJECT_EVENT_TRIGGER:
		return "EVENT TRIGGER"
	case ast.OBJECT_ATTRIBUTE:
		return "TYPE attributes"
	case ast.OBJECT_TRIGGER:
		return "TRIGGER"
	case ast.OBJECT_DOMCONSTRAINT:
		return "DOMAIN CONSTRAINT"
	}
	return "of this kind of object"
}

// object returns the name of an object in the forms in which DROP and COMMENT carry it.
func (m *mapper) object(n ast.Node) ir.Name {
	switch n := n.(type) {
	case *ast.List:
		return qualified(words(n.Items))
	case *ast.String:
		return ir.Name{Name: n.Sval, Pos: -1}
	case *ast.TypeName:
		name := qualified(words(n.Names))
		name.Pos = m.pos(n.Location)
		return name
	case *ast.ObjectWithArgs:
		return qualified(words(n.Objname))
	}
	return ir.Name{Pos: -1}
}

func (m *mapper) comment(n *ast.CommentStmt) ir.Stmt {
	c := &ir.CommentOn{Name: m.object(n.Object)}
	// An empty comment is none in PostgreSQL too.
	if n.Comment != "" {
		c.Text = &n.Comment
	}
	var parts []string
	if l, ok := n.Object.(*ast.List); ok {
		parts = words(l.Items)
	}
	switch n.Objtype {
	case ast.OBJECT_TABLE:
		c.Kind = ir.TableObject
	case ast.OBJECT_VIEW:
		c.Kind = ir.ViewObject
	case ast.OBJECT_MATVIEW:
		c.Kind = ir.MatViewObject
	case ast.OBJECT_INDEX:
		c.Kind = ir.IndexObject
	case ast.OBJECT_SEQUENCE:
		c.Kind = ir.SequenceObject
	case ast.OBJECT_TYPE:
		c.Kind = ir.TypeObject
	case ast.OBJECT_DOMAIN:
		c.Kind = ir.DomainObject
	case ast.OBJECT_SCHEMA:
		c.Kind = ir.SchemaObject
	case ast.OBJECT_DATABASE:
		c.Kind = ir.DatabaseObject
	case ast.OBJECT_EXTENSION:
		c.Kind = ir.ExtensionObject
	case ast.OBJECT_ROLE:
		c.Kind = ir.RoleObject
	case ast.OBJECT_COLUMN, ast.OBJECT_TABCONSTRAINT, ast.OBJECT_TRIGGER:
		c.Kind = map[ast.ObjectType]ir.ObjectKind{
			ast.OBJECT_COLUMN: ir.ColumnObject, ast.OBJECT_TABCONSTRAINT: ir.ConstraintObject,
			ast.OBJECT_TRIGGER: ir.TriggerObject,
		}[n.Objtype]
		if len(parts) < 2 {
			m.fail(-1, "42601", "column name must be qualified")
			return c
		}
		c.Name, c.Column = qualified(parts[:len(parts)-1]), parts[len(parts)-1]
	case ast.OBJECT_FUNCTION, ast.OBJECT_PROCEDURE, ast.OBJECT_ROUTINE, ast.OBJECT_AGGREGATE:
		c.Kind = ir.FunctionObject
	default:
		return m.none("COMMENT ON " + objectName(n.Objtype))
	}
	return c
}
