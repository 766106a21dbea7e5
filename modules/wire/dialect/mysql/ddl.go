package mysql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	parsermysql "github.com/pingcap/tidb/pkg/parser/mysql"

	"github.com/bop-platform/bop/modules/wire/ir"
)

func (m *mapper) createTable(n *ast.CreateTableStmt) ir.Stmt {
	s := &ir.CreateTable{Name: tableName(n.Table), Temp: n.TemporaryKeyword != ast.TemporaryNone, IfNotExists: n.IfNotExists,
		PartitionBy: n.Partition != nil, Options: m.tableOptions(n.Options)}
	if n.ReferTable != nil {
		like := tableName(n.ReferTable)
		s.Like, s.LikeAll = &like, true
		return s
	}
	for _, c := range n.Cols {
		s.Columns = append(s.Columns, m.column(c))
	}
	for _, c := range n.Constraints {
		k, x := m.constraint(c)
		if k != nil {
			s.Constraints = append(s.Constraints, *k)
		}
		if x != nil {
			s.Indexes = append(s.Indexes, *x)
		}
	}
	if n.Select != nil {
		s.As = m.query(n.Select)
		if n.OnDuplicate != ast.OnDuplicateKeyHandlingError {
			m.lack("CREATE TABLE … IGNORE and REPLACE")
		}
	}
	return s
}

// tableOptions keeps the options that say something about the table; the others tune storage engines.
func (m *mapper) tableOptions(list []*ast.TableOption) map[string]string {
	var out map[string]string
	put := func(k, v string) {
		if out == nil {
			out = map[string]string{}
		}
		out[k] = v
	}
	for _, o := range list {
		switch o.Tp {
		case ast.TableOptionEngine:
			put("engine", o.StrValue)
		case ast.TableOptionCharset:
			if o.Default {
				put("charset", "utf8mb4")
			} else {
				put("charset", strings.ToLower(o.StrValue))
			}
		case ast.TableOptionCollate:
			put("collate", strings.ToLower(o.StrValue))
		case ast.TableOptionComment:
			put("comment", o.StrValue)
		case ast.TableOptionAutoIncrement:
			put("auto_increment", uitoa(o.UintValue))
		case ast.TableOptionRowFormat:
			if f, ok := rowFormats[o.UintValue]; ok {
				put("row_format", f)
			}
		case ast.TableOptionUnion:
			m.lack("UNION tables")
		}
	}
	return out
}

var rowFormats = map[uint64]string{ast.RowFormatDynamic: "DYNAMIC", ast.RowFormatFixed: "FIXED", ast.RowFormatCompressed: "COMPRESSED",
	ast.RowFormatRedundant: "REDUNDANT", ast.RowFormatCompact: "COMPACT"}

// column maps the definition of a column.
func (m *mapper) column(n *ast.ColumnDef) ir.ColumnDef {
	d := ir.ColumnDef{Name: n.Name.Name.O, Pos: -1}
	if n.Tp != nil {
		d.Type = columnType(n.Tp)
		if !isBinary(n.Tp) {
			d.Charset = strings.ToLower(n.Tp.GetCharset())
			d.Collation = strings.ToLower(n.Tp.GetCollate())
			if n.Tp.GetFlag()&parsermysql.BinaryFlag != 0 && d.Collation == "" {
				d.Collation = "utf8mb4_bin" // CHAR(10) BINARY
				if d.Charset != "" {
					d.Collation = d.Charset + "_bin"
				}
			}
		}
	}
	own := []ir.IndexColumn{{Column: d.Name}}
	for _, o := range n.Options {
		switch o.Tp {
		case ast.ColumnOptionNotNull:
			d.NotNull = true
		case ast.ColumnOptionNull:
			d.Null = true
		case ast.ColumnOptionAutoIncrement:
			d.AutoIncrement = true
		case ast.ColumnOptionPrimaryKey:
			d.Constraints = append(d.Constraints, ir.Constraint{Kind: ir.PrimaryKey, Columns: own})
		case ast.ColumnOptionUniqKey:
			d.Constraints = append(d.Constraints, ir.Constraint{Kind: ir.Unique, Columns: own})
		case ast.ColumnOptionDefaultValue:
			d.Default, d.DefaultText = m.defaultValue(o.Expr)
		case ast.ColumnOptionOnUpdate:
			d.OnUpdate = m.expr(o.Expr)
		case ast.ColumnOptionComment:
			d.Comment, _ = textOf(o.Expr)
		case ast.ColumnOptionGenerated:
			d.Generated, d.Stored = m.expr(o.Expr), o.Stored
			d.GeneratedText = Format(d.Generated)
		case ast.ColumnOptionCollate:
			d.Collation = strings.ToLower(o.StrValue)
		case ast.ColumnOptionCheck:
			k := ir.Constraint{Kind: ir.Check, Name: o.ConstraintName, Columns: own, Expr: m.expr(o.Expr), NotEnforced: !o.Enforced}
			k.Text = Format(k.Expr)
			d.Constraints = append(d.Constraints, k)
		}
		// REFERENCES at a column is read and forgotten, as MySQL does. COLUMN_FORMAT, STORAGE and AUTO_RANDOM tune engines.
	}
	return d
}

// defaultValue maps a default and the text of one that is an expression.
func (m *mapper) defaultValue(n ast.ExprNode) (ir.Expr, string) {
	e := m.expr(n)
	if _, ok := e.(*ir.Literal); ok {
		return e, ""
	}
	return e, "(" + Format(e) + ")"
}

// indexColumns maps the parts of a key.
func (m *mapper) indexColumns(parts []*ast.IndexPartSpecification) []ir.IndexColumn {
	out := make([]ir.IndexColumn, len(parts))
	for i, p := range parts {
		c := ir.IndexColumn{Desc: p.Desc}
		if p.Expr != nil {
			c.Expr = m.expr(p.Expr)
			c.Text = Format(c.Expr)
		} else {
			c.Column = p.Column.Name.O
		}
		if p.Length > 0 {
			c.Prefix = p.Length
		}
		out[i] = c
	}
	return out
}

func referOption(o ast.ReferOptionType) string {
	switch o {
	case ast.ReferOptionRestrict:
		return "RESTRICT"
	case ast.ReferOptionCascade:
		return "CASCADE"
	case ast.ReferOptionSetNull:
		return "SET NULL"
	case ast.ReferOptionNoAction:
		return "NO ACTION"
	case ast.ReferOptionSetDefault:
		return "SET DEFAULT"
	}
	return ""
}

// constraint maps a table constraint, or a key that is only an index.
func (m *mapper) constraint(n *ast.Constraint) (*ir.Constraint, *ir.CreateIndex) {
	k := &ir.Constraint{Name: n.Name}
	index := func(method string) (*ir.Constraint, *ir.CreateIndex) {
		x := &ir.CreateIndex{Name: n.Name, Columns: m.indexColumns(n.Keys), Method: method, IfNotExists: n.IfNotExists}
		m.indexOption(x, n.Option)
		return nil, x
	}
	switch n.Tp {
	case ast.ConstraintPrimaryKey:
		k.Kind, k.Columns = ir.PrimaryKey, m.indexColumns(n.Keys)
		return k, nil
	case ast.ConstraintUniq, ast.ConstraintUniqKey, ast.ConstraintUniqIndex:
		k.Kind, k.Columns = ir.Unique, m.indexColumns(n.Keys)
		return k, nil
	case ast.ConstraintKey, ast.ConstraintIndex:
		return index("")
	case ast.ConstraintFulltext:
		return index("fulltext")
	case ast.ConstraintForeignKey:
		k.Kind, k.Columns = ir.ForeignKey, m.indexColumns(n.Keys)
		k.RefTable = tableName(n.Refer.Table)
		for _, p := range n.Refer.IndexPartSpecifications {
			if p.Column != nil {
				k.RefColumns = append(k.RefColumns, p.Column.Name.O)
			}
		}
		if n.Refer.OnDelete != nil {
			k.OnDelete = referOption(n.Refer.OnDelete.ReferOpt)
		}
		if n.Refer.OnUpdate != nil {
			k.OnUpdate = referOption(n.Refer.OnUpdate.ReferOpt)
		}
		return k, nil
	case ast.ConstraintCheck:
		k.Kind, k.Expr, k.NotEnforced = ir.Check, m.expr(n.Expr), !n.Enforced
		k.Text = Format(k.Expr)
		return k, nil
	}
	m.lack("vector and columnar indexes")
	return nil, nil
}

func (m *mapper) indexOption(x *ir.CreateIndex, o *ast.IndexOption) {
	if o == nil {
		return
	}
	x.Comment = o.Comment
	switch o.Tp {
	case ast.IndexTypeBtree:
		x.Method = "btree"
	case ast.IndexTypeHash:
		x.Method = "hash"
	}
	if o.Condition != nil {
		m.lack("an index with a condition")
	}
}

func (m *mapper) createIndex(n *ast.CreateIndexStmt) ir.Stmt {
	x := &ir.CreateIndex{Name: n.IndexName, Table: tableName(n.Table), Columns: m.indexColumns(n.IndexPartSpecifications), IfNotExists: n.IfNotExists}
	m.indexOption(x, n.IndexOption)
	switch n.KeyType {
	case ast.IndexKeyTypeUnique:
		x.Unique = true
	case ast.IndexKeyTypeFulltext:
		x.Method = "fulltext"
	case ast.IndexKeyTypeSpatial:
		x.Method = "spatial"
	case ast.IndexKeyTypeVector, ast.IndexKeyTypeColumnar:
		m.lack("vector and columnar indexes")
	}
	return x
}

func (m *mapper) createView(n *ast.CreateViewStmt) ir.Stmt {
	return &ir.CreateView{Name: tableName(n.ViewName), Columns: names(n.Cols), OrReplace: n.OrReplace, Query: m.query(n.Select), Text: m.viewText()}
}

// viewText is what follows the AS of CREATE VIEW.
func (m *mapper) viewText() string {
	l := m.o.lexer(m.text)
	open, view := 0, false
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad:
			return ""
		case t.kind == tokPunct && t.op == '(':
			open++
		case t.kind == tokPunct && t.op == ')':
			open--
		case l.is(t, "view"):
			view = true
		case view && open == 0 && l.is(t, "as"):
			return strings.TrimSpace(m.text[t.to:])
		}
	}
}

func (m *mapper) dropTable(n *ast.DropTableStmt) ir.Stmt {
	s := &ir.Drop{Kind: ir.TableObject, Names: tableNames(n.Tables), IfExists: n.IfExists, Temp: n.TemporaryKeyword != ast.TemporaryNone}
	if n.IsView {
		s.Kind = ir.ViewObject
	}
	return s
}

// databaseOptions maps CHARACTER SET and COLLATE of a database.
func databaseOptions(list []*ast.DatabaseOption) map[string]string {
	var out map[string]string
	for _, o := range list {
		if out == nil {
			out = map[string]string{}
		}
		switch o.Tp {
		case ast.DatabaseOptionCharset:
			out["charset"] = strings.ToLower(o.Value)
		case ast.DatabaseOptionCollate:
			out["collate"] = strings.ToLower(o.Value)
		}
	}
	return out
}
