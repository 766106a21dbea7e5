package catalog

import (
	"cmp"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	show := func(name string, f func(*table, *view)) { myFill(showNamespace, "show_"+name, fill{live: f}) }
	static := func(name string, f func(*table)) { myFill(showNamespace, "show_"+name, fill{static: f}) }
	named := func(name string, f func(*table, *schema.Schema, string)) {
		myFill(showNamespace, "show_"+name, fill{named: f})
	}

	show("databases", func(t *table, v *view) {
		for _, d := range mysqlDatabases(v) {
			t.add("Database", d)
		}
	})
	myFill(showNamespace, "show_tables", fill{
		named: func(t *table, s *schema.Schema, db string) {
			eachMySQLTable(s, db, func(r *schema.Table, rdb string) {
				kind := "BASE TABLE"
				if r.View {
					kind = "VIEW"
				}
				t.add("db", rdb, "Tables_in", r.Name, "Table_type", kind)
			})
		},
		static: func(t *table) {
			eachMySQLSystemTable(func(r *schema.Table, rdb string) {
				t.add("db", rdb, "Tables_in", r.Name, "Table_type", systemTableType(rdb))
			})
		},
	})
	show("table_status", func(t *table, v *view) {
		eachMySQLTable(v.s, v.src.Database(), func(r *schema.Table, rdb string) {
			row := []any{"db", rdb}
			pairs := myTable(v, r, rdb)
			for i := 0; i < len(pairs); i += 2 {
				if name := statusColumns[pairs[i].(string)]; name != "" {
					row = append(row, name, pairs[i+1])
				}
			}
			t.add(row...)
		})
		eachMySQLSystemTable(func(r *schema.Table, rdb string) {
			t.add("db", rdb, "Name", r.Name, "Version", 10, "Comment", strings.Replace(systemTableType(rdb), "BASE TABLE", "", 1))
		})
	})
	column := func(t *table, s *schema.Schema, r *schema.Table, rdb string) {
		for _, c := range r.Columns {
			row := []any{"db", rdb, "tbl", r.Name, "Field", c.Name, "Type", schema.MySQLColumnType(s, c), "Null", yes(!c.NotNull),
				"Key", columnKey(s, r, c), "Extra", extra(c), "Privileges", "select,insert,update,references", "Comment", c.Comment}
			if d, ok := columnDefault(c); ok {
				row = append(row, "Default", d)
			}
			if _, coll := schema.ColumnCharset(c); coll != "" {
				row = append(row, "Collation", coll)
			}
			t.add(row...)
		}
	}
	myFill(showNamespace, "show_columns", fill{
		named: func(t *table, s *schema.Schema, db string) {
			eachMySQLTable(s, db, func(r *schema.Table, rdb string) { column(t, s, r, rdb) })
			for _, r := range s.SortedTables() {
				if r.Temp {
					column(t, s, r, db)
				}
			}
		},
		static: func(t *table) {
			eachMySQLSystemTable(func(r *schema.Table, rdb string) { column(t, &schema.Schema{}, r, rdb) })
		},
	})
	named("index", func(t *table, s *schema.Schema, db string) {
		eachIndexPart(s, func(p indexPart) {
			t.add("db", db, "tbl", p.table.Name, "Table", p.table.Name, "Non_unique", p.nonUnique, "Key_name", p.name, "Seq_in_index", p.seq,
				"Column_name", p.column, "Collation", p.order, "Cardinality", 0, "Sub_part", p.prefix, "Null", p.nullable,
				"Index_type", p.method, "Index_comment", p.index.Comment, "Visible", "YES", "Expression", p.expr)
		})
	})
	show("create_table", func(t *table, v *view) {
		for _, r := range v.s.SortedTables() {
			if !r.View && (inMySQL(r) || r.Temp) {
				next, _ := schema.NextAutoIncrement(v.db, r)
				t.add("db", v.src.Database(), "tbl", r.Name, "Table", r.Name, "Create_Table", schema.CreateTableMySQL(v.s, r, next))
			}
		}
		eachMySQLSystemTable(func(r *schema.Table, rdb string) {
			t.add("db", rdb, "tbl", r.Name, "Table", r.Name, "Create_Table", schema.CreateTableMySQL(&schema.Schema{}, r, 0))
		})
	})
	named("create_view", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			if r.View && inMySQL(r) {
				t.add("db", db, "tbl", r.Name, "View", r.Name, "Create_View", schema.CreateViewMySQL(r), "character_set_client", "utf8mb4",
					"collation_connection", "utf8mb4_0900_ai_ci")
			}
		}
	})
	show("create_database", func(t *table, v *view) {
		for _, d := range mysqlDatabases(v) {
			t.add("db", d, "Database", d, "Create_Database", "CREATE DATABASE `"+strings.ReplaceAll(d, "`", "``")+
				"` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci */ /*!80016 DEFAULT ENCRYPTION='N' */")
		}
	})
	show("variables", func(t *table, v *view) {
		for _, s := range sortedSettings(v.src.Settings()) {
			t.add("Variable_name", s.Name, "Value", s.Value)
		}
	})
	show("global_variables", func(t *table, v *view) {
		for _, s := range sortedSettings(v.src.GlobalSettings()) {
			t.add("Variable_name", s.Name, "Value", s.Value)
		}
	})
	show("status", func(t *table, v *view) {
		for _, s := range statusVariables(v) {
			t.add("Variable_name", s.Name, "Value", s.Value)
		}
	})
	show("processlist", func(t *table, v *view) {
		eachProcess(v, func(p process) {
			t.add("Id", p.id, "User", p.user, "Host", p.host, "db", p.db, "Command", p.command, "Time", p.seconds, "State", p.state, "Info", p.info)
		})
	})
	static("engines", func(t *table) {
		t.add("Engine", "InnoDB", "Support", "DEFAULT", "Comment", "Supports transactions, row-level locking, and foreign keys",
			"Transactions", "YES", "XA", "NO", "Savepoints", "YES")
	})
	static("collation", func(t *table) {
		for _, c := range collations {
			t.add("Collation", c.name, "Charset", c.charset, "Id", c.id, "Default", c.isDefault(), "Compiled", "Yes", "Sortlen", 1, "Pad_attribute", c.pad())
		}
	})
	static("character_set", func(t *table) {
		for _, c := range characterSets {
			t.add("Charset", c.name, "Description", c.description, "Default_collation", c.collation, "Maxlen", c.max)
		}
	})
	show("grants", func(t *table, v *view) {
		for _, r := range allRoles(v) {
			grant := "GRANT ALL PRIVILEGES ON *.* TO `" + r.Name + "`@`%`"
			if r.Superuser {
				grant += " WITH GRANT OPTION"
			}
			t.add("usr", r.Name, "Grants", grant)
		}
	})
	static("plugins", func(t *table) {
		for _, p := range plugins {
			t.add("Name", p.name, "Status", "ACTIVE", "Type", p.kind, "License", "PROPRIETARY")
		}
	})
	static("privileges", func(t *table) {
		for _, p := range [][3]string{
			{"Alter", "Tables", "To alter the table"}, {"Create", "Databases,Tables,Indexes", "To create new databases and tables"},
			{"Delete", "Tables", "To delete existing rows"}, {"Drop", "Databases,Tables", "To drop databases, tables, and views"},
			{"Index", "Tables", "To create or drop indexes"}, {"Insert", "Tables", "To insert data into tables"},
			{"References", "Databases,Tables", "To have references on tables"}, {"Select", "Tables", "To retrieve rows from table"},
			{"Update", "Tables", "To update existing rows"},
		} {
			t.add("Privilege", p[0], "Context", p[1], "Comment", p[2])
		}
	})
}

// statusColumns are the columns of SHOW TABLE STATUS by those of information_schema.TABLES.
var statusColumns = map[string]string{
	"TABLE_NAME": "Name", "ENGINE": "Engine", "VERSION": "Version", "ROW_FORMAT": "Row_format", "TABLE_ROWS": "Rows",
	"AVG_ROW_LENGTH": "Avg_row_length", "DATA_LENGTH": "Data_length", "MAX_DATA_LENGTH": "Max_data_length", "INDEX_LENGTH": "Index_length",
	"DATA_FREE": "Data_free", "AUTO_INCREMENT": "Auto_increment", "CREATE_TIME": "Create_time", "TABLE_COLLATION": "Collation",
	"CREATE_OPTIONS": "Create_options", "TABLE_COMMENT": "Comment",
}

// shown are the headings that aren't valid names in mysqlRelations.
var shown = map[string]string{
	"Create_Table": "Create Table", "Create_View": "Create View", "Create_Database": "Create Database",
	"Default_collation": "Default collation", "Database_Collation": "Database Collation", "Time_zone": "Time zone",
	"Execute_at": "Execute at", "Interval_value": "Interval value", "Interval_field": "Interval field",
}

// ShowMySQL turns MySQL's SHOW or DESCRIBE into a query that package plan translates like any other; its columns are
// named exactly as MySQL names them. SHOW WARNINGS, ERRORS and their counts are the session's own. Errors: 1046 without
// a database, 1049 for an unknown one, 1146 for an unknown table.
func ShowMySQL(st ir.Stmt, src Source) (*ir.Query, error) {
	q := &showQuery{src: src}
	switch n := st.(type) {
	case *ir.Describe:
		q.relation, q.columns = "columns", []string{"Field", "Type", "Null", "Key", "Default", "Extra"}
		if err := q.table(n.Table); err != nil {
			return nil, err
		}
		if n.Column != "" {
			q.like = &n.Column
		}
		return q.build(), nil
	case *ir.MyShow:
		q.like, q.where = n.Like, n.Where
		if err := q.show(n); err != nil {
			return nil, err
		}
		return q.build(), nil
	}
	return nil, sqlerr.Unsupported("this form of SHOW")
}

// showQuery gathers what the query of a SHOW consists of.
type showQuery struct {
	src      Source
	relation string
	columns  []string          // shown, nil: all that don't begin with a lower-case letter
	headings map[string]string // for columns with another heading
	filters  []filter
	like     *string
	where    ir.Expr
	order    string
}

type filter struct{ column, value string }

func (q *showQuery) filter(column, value string) {
	q.filters = append(q.filters, filter{column, value})
}

// database chooses the rows of a database, the current one for "".
func (q *showQuery) database(name string) error {
	if name == "" {
		name = q.src.Database()
	}
	if name == "" {
		return sqlerr.New("3D000", "no database selected").My(1046, "No database selected")
	}
	name, ok := q.known(name)
	if !ok {
		return sqlerr.New("3D000", "database \"%s\" does not exist", name).My(1049, "Unknown database '%s'", name)
	}
	q.filter("db", name)
	return nil
}

func (q *showQuery) known(name string) (string, bool) {
	for _, d := range mysqlDatabases(&view{src: q.src}) {
		if d == name || strings.EqualFold(d, name) && (strings.EqualFold(name, "information_schema") || strings.EqualFold(name, "performance_schema")) {
			return d, true
		}
	}
	return name, false
}

// find looks for a table or view that MySQL clients see.
func (q *showQuery) find(n ir.Name) (*schema.Table, string, error) {
	db := cmp.Or(n.Schema, q.src.Database())
	if db == "" {
		return nil, "", sqlerr.New("3D000", "no database selected").My(1046, "No database selected")
	}
	db, ok := q.known(db)
	if !ok {
		return nil, "", sqlerr.New("3D000", "database \"%s\" does not exist", db).My(1049, "Unknown database '%s'", db)
	}
	var t *schema.Table
	if db == q.src.Database() {
		s := q.src.Schema()
		if t = s.Tables[schema.Key{Namespace: schema.TempNamespace, Name: n.Name}]; t == nil {
			t = s.Tables[schema.Key{Namespace: schema.Public, Name: n.Name}]
		}
		if t != nil && t.Sequence != 0 {
			t = nil
		}
	} else {
		t = Relation(ir.MySQL, db, n.Name)
	}
	if t == nil {
		return nil, "", sqlerr.New("42P01", "relation \"%s\" does not exist", n.Name).My(1146, "Table '%s.%s' doesn't exist", db, n.Name)
	}
	return t, db, nil
}

// table chooses the rows of a table.
func (q *showQuery) table(n ir.Name) error {
	t, db, err := q.find(n)
	if err != nil {
		return err
	}
	q.filter("db", db)
	q.filter("tbl", t.Name)
	return nil
}

func (q *showQuery) show(n *ir.MyShow) error {
	switch n.Kind {
	case "DATABASES", "SCHEMAS":
		q.relation = "databases"
		if n.Like != nil {
			q.headings = map[string]string{"Database": "Database (" + *n.Like + ")"}
		}
	case "TABLES":
		q.relation, q.order = "tables", "Tables_in"
		if err := q.database(n.Table.Schema); err != nil {
			return err
		}
		heading := "Tables_in_" + q.filters[0].value
		if n.Like != nil {
			heading += " (" + *n.Like + ")"
		}
		q.columns, q.headings = []string{"Tables_in"}, map[string]string{"Tables_in": heading}
		if n.Full {
			q.columns = append(q.columns, "Table_type")
		}
	case "TABLE STATUS":
		q.relation, q.order = "table_status", "Name"
		return q.database(n.Table.Schema)
	case "OPEN TABLES":
		q.relation = "open_tables"
	case "COLUMNS", "FIELDS":
		q.relation, q.columns = "columns", []string{"Field", "Type", "Null", "Key", "Default", "Extra"}
		if n.Full {
			q.columns = []string{"Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"}
		}
		return q.table(n.Table)
	case "INDEX", "INDEXES", "KEYS":
		q.relation = "index"
		return q.table(n.Table)
	case "CREATE TABLE", "CREATE VIEW":
		t, db, err := q.find(n.Table)
		if err != nil {
			return err
		}
		q.relation = "create_table"
		if t.View && db == q.src.Database() {
			q.relation = "create_view"
			q.columns = []string{"View", "Create_View", "character_set_client", "collation_connection"}
		} else if n.Kind == "CREATE VIEW" {
			return sqlerr.New("42809", "\"%s\" is not a view", t.Name).My(1347, "'%s.%s' is not VIEW", db, t.Name)
		}
		q.filter("db", db)
		q.filter("tbl", t.Name)
	case "CREATE DATABASE", "CREATE SCHEMA":
		q.relation = "create_database"
		return q.database(cmp.Or(n.Table.Name, n.Table.Schema))
	case "VARIABLES":
		q.relation = "variables"
		if n.Global {
			q.relation = "global_variables"
		}
	case "STATUS":
		q.relation = "status"
	case "PROCESSLIST":
		q.relation, q.columns = "processlist", []string{"Id", "User", "Host", "db", "Command", "Time", "State", "Info"}
	case "ENGINES", "STORAGE ENGINES":
		q.relation = "engines"
	case "COLLATION":
		q.relation = "collation"
	case "CHARACTER SET", "CHARSET":
		q.relation = "character_set"
	case "GRANTS":
		user := cmp.Or(n.Table.Name, q.src.User())
		q.relation, q.headings = "grants", map[string]string{"Grants": "Grants for " + user + "@%"}
		q.filter("usr", user)
	case "PLUGINS":
		q.relation = "plugins"
	case "PRIVILEGES":
		q.relation = "privileges"
	case "TRIGGERS":
		q.relation, q.columns = "triggers", []string{"Trigger", "Event", "Table", "Statement", "Timing", "Created", "sql_mode", "Definer",
			"character_set_client", "collation_connection", "Database_Collation"}
		return q.database(n.Table.Schema)
	case "EVENTS":
		q.relation, q.columns = "events", []string{"Db", "Name", "Definer", "Time_zone", "Type", "Execute_at", "Interval_value", "Interval_field",
			"Starts", "Ends", "Status", "Originator", "character_set_client", "collation_connection", "Database_Collation"}
	case "PROCEDURE STATUS", "FUNCTION STATUS":
		q.relation, q.columns = "routine_status", []string{"Db", "Name", "Type", "Language", "Definer", "Modified", "Created", "Security_type", "Comment",
			"character_set_client", "collation_connection", "Database_Collation"}
	case "MASTER STATUS", "BINARY LOG STATUS":
		q.relation = "master_status"
	case "BINARY LOGS", "MASTER LOGS":
		q.relation = "binary_logs"
	case "SLAVE STATUS", "REPLICA STATUS":
		q.relation = "replica_status"
	case "PROFILES":
		q.relation = "profiles"
	default:
		return sqlerr.Unsupported("SHOW " + n.Kind)
	}
	return nil
}

// build makes the query: the chosen rows under their headings, and outside of it the conditions on headings.
func (q *showQuery) build() *ir.Query {
	rel := find(ir.MySQL, showNamespace, "show_"+q.relation)
	columns := q.columns
	if columns == nil {
		for _, c := range rel.columns {
			if c[0] < 'a' {
				columns = append(columns, c)
			}
		}
	}
	inner := &ir.Select{From: []ir.TableExpr{&ir.Table{Name: ir.Name{Schema: showNamespace, Name: "show_" + q.relation, Pos: -1}}}}
	var first string
	for i, c := range columns {
		heading := cmp.Or(q.headings[c], shown[c], c)
		if i == 0 {
			first = heading
		}
		inner.Items = append(inner.Items, ir.Item{Expr: &ir.ColumnRef{Name: c, Pos: -1}, Alias: heading})
	}
	for _, f := range q.filters {
		var e ir.Expr = &ir.Binary{Op: "=", Left: &ir.ColumnRef{Name: f.column, Pos: -1}, Right: stringLiteral(f.value), Pos: -1}
		if inner.Where != nil {
			e = &ir.Binary{Op: "AND", Left: inner.Where, Right: e, Pos: -1}
		}
		inner.Where = e
	}
	query := &ir.Query{Body: inner}
	if q.order != "" {
		query.OrderBy = []ir.Order{{Expr: &ir.ColumnRef{Name: q.order, Pos: -1}}}
	}
	if q.like == nil && q.where == nil {
		return query
	}
	outer := &ir.Select{
		Items: []ir.Item{{Expr: &ir.Star{Pos: -1}}},
		From:  []ir.TableExpr{&ir.Derived{Query: query, Alias: "shown"}},
		Where: q.where,
	}
	if q.like != nil {
		outer.Where = &ir.Like{Kind: "LIKE", X: &ir.ColumnRef{Name: first, Pos: -1}, Pattern: stringLiteral(*q.like), Pos: -1}
	}
	return &ir.Query{Body: outer}
}

func stringLiteral(s string) *ir.Literal {
	return &ir.Literal{Value: types.StringValue(s), Type: types.T(types.Text), Pos: -1}
}
