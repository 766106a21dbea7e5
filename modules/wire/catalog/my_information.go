package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
)

func init() {
	is := func(name string, f func(*table, *schema.Schema, string)) {
		myFill("information_schema", strings.ToLower(name), fill{named: f})
	}
	live := func(name string, f func(*table, *view)) {
		myFill("information_schema", strings.ToLower(name), fill{live: f})
	}
	static := func(name string, f func(*table)) {
		myFill("information_schema", strings.ToLower(name), fill{static: f})
	}

	live("SCHEMATA", func(t *table, v *view) {
		for _, d := range mysqlDatabases(v) {
			charset, collation := "utf8mb4", "utf8mb4_0900_ai_ci"
			if d == "information_schema" {
				charset, collation = "utf8mb3", "utf8mb3_general_ci"
			}
			t.add("CATALOG_NAME", "def", "SCHEMA_NAME", d, "DEFAULT_CHARACTER_SET_NAME", charset, "DEFAULT_COLLATION_NAME", collation,
				"DEFAULT_ENCRYPTION", "NO")
		}
	})
	live("TABLES", myTables)
	myFill("information_schema", "columns", fill{
		named: func(t *table, s *schema.Schema, db string) {
			eachMySQLTable(s, db, func(r *schema.Table, rdb string) {
				for i, c := range r.Columns {
					t.add(myColumn(s, r, c, i, rdb)...)
				}
			})
		},
		static: func(t *table) {
			eachMySQLSystemTable(func(r *schema.Table, rdb string) {
				for i, c := range r.Columns {
					t.add(myColumn(&schema.Schema{}, r, c, i, rdb)...)
				}
			})
		},
	})
	is("STATISTICS", func(t *table, s *schema.Schema, db string) {
		eachIndexPart(s, func(p indexPart) {
			t.add("TABLE_CATALOG", "def", "TABLE_SCHEMA", db, "TABLE_NAME", p.table.Name, "NON_UNIQUE", p.nonUnique, "INDEX_SCHEMA", db,
				"INDEX_NAME", p.name, "SEQ_IN_INDEX", p.seq, "COLUMN_NAME", p.column, "COLLATION", p.order, "CARDINALITY", 0,
				"SUB_PART", p.prefix, "NULLABLE", p.nullable, "INDEX_TYPE", p.method, "INDEX_COMMENT", p.index.Comment,
				"IS_VISIBLE", "YES", "EXPRESSION", p.expr)
		})
	})
	is("KEY_COLUMN_USAGE", myKeyColumns)
	is("TABLE_CONSTRAINTS", func(t *table, s *schema.Schema, db string) {
		eachMySQLConstraint(s, func(r *schema.Table, k *schema.Constraint) {
			t.add("CONSTRAINT_CATALOG", "def", "CONSTRAINT_SCHEMA", db, "CONSTRAINT_NAME", myConstraintName(k), "TABLE_SCHEMA", db,
				"TABLE_NAME", r.Name, "CONSTRAINT_TYPE", myConstraintKind[k.Kind], "ENFORCED", yes(!k.NotEnforced))
		})
	})
	is("REFERENTIAL_CONSTRAINTS", func(t *table, s *schema.Schema, db string) {
		eachMySQLConstraint(s, func(r *schema.Table, k *schema.Constraint) {
			if k.Kind != schema.ForeignKey {
				return
			}
			var unique any
			if ref := tableOf(s, k.RefTable); ref != nil {
				for _, o := range ref.Constraints {
					if o.Index != 0 && o.Index == keyIndex(s, k) {
						unique = myConstraintName(o)
					}
				}
			}
			t.add("CONSTRAINT_CATALOG", "def", "CONSTRAINT_SCHEMA", db, "CONSTRAINT_NAME", k.Name, "UNIQUE_CONSTRAINT_CATALOG", "def",
				"UNIQUE_CONSTRAINT_SCHEMA", db, "UNIQUE_CONSTRAINT_NAME", unique, "MATCH_OPTION", "NONE", "UPDATE_RULE", myRule(k.OnUpdate),
				"DELETE_RULE", myRule(k.OnDelete), "TABLE_NAME", r.Name, "REFERENCED_TABLE_NAME", k.RefTableName.Name)
		})
	})
	is("CHECK_CONSTRAINTS", func(t *table, s *schema.Schema, db string) {
		eachMySQLConstraint(s, func(r *schema.Table, k *schema.Constraint) {
			if k.Kind == schema.Check {
				t.add("CONSTRAINT_CATALOG", "def", "CONSTRAINT_SCHEMA", db, "CONSTRAINT_NAME", k.Name, "CHECK_CLAUSE", "("+strings.TrimSuffix(strings.TrimPrefix(k.Expr, "("), ")")+")")
			}
		})
	})
	is("VIEWS", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			if r.View && inMySQL(r) {
				t.add("TABLE_CATALOG", "def", "TABLE_SCHEMA", db, "TABLE_NAME", r.Name, "VIEW_DEFINITION", r.ViewText, "CHECK_OPTION", "NONE",
					"IS_UPDATABLE", "NO", "DEFINER", roleName(r.Owner)+"@%", "SECURITY_TYPE", "DEFINER", "CHARACTER_SET_CLIENT", "utf8mb4",
					"COLLATION_CONNECTION", "utf8mb4_0900_ai_ci")
			}
		}
	})
	static("ENGINES", func(t *table) {
		t.add("ENGINE", "InnoDB", "SUPPORT", "DEFAULT", "COMMENT", "Supports transactions, row-level locking, and foreign keys",
			"TRANSACTIONS", "YES", "XA", "NO", "SAVEPOINTS", "YES")
	})
	static("CHARACTER_SETS", func(t *table) {
		for _, c := range characterSets {
			t.add("CHARACTER_SET_NAME", c.name, "DEFAULT_COLLATE_NAME", c.collation, "DESCRIPTION", c.description, "MAXLEN", c.max)
		}
	})
	static("COLLATIONS", func(t *table) {
		for _, c := range collations {
			t.add("COLLATION_NAME", c.name, "CHARACTER_SET_NAME", c.charset, "ID", c.id, "IS_DEFAULT", c.isDefault(), "IS_COMPILED", "Yes",
				"SORTLEN", 1, "PAD_ATTRIBUTE", c.pad())
		}
	})
	static("COLLATION_CHARACTER_SET_APPLICABILITY", func(t *table) {
		for _, c := range collations {
			t.add("COLLATION_NAME", c.name, "CHARACTER_SET_NAME", c.charset)
		}
	})
	live("PROCESSLIST", func(t *table, v *view) {
		eachProcess(v, func(p process) {
			t.add("ID", p.id, "USER", p.user, "HOST", p.host, "DB", p.db, "COMMAND", p.command, "TIME", p.seconds, "STATE", p.state, "INFO", p.info)
		})
	})
	live("USER_PRIVILEGES", func(t *table, v *view) {
		for _, r := range allRoles(v) {
			t.add("GRANTEE", "'"+r.Name+"'@'%'", "TABLE_CATALOG", "def", "PRIVILEGE_TYPE", "USAGE", "IS_GRANTABLE", yes(r.Superuser))
		}
	})
	static("PLUGINS", func(t *table) {
		for _, p := range plugins {
			t.add("PLUGIN_NAME", p.name, "PLUGIN_VERSION", "1.0", "PLUGIN_STATUS", "ACTIVE", "PLUGIN_TYPE", p.kind, "PLUGIN_TYPE_VERSION", "2.1",
				"PLUGIN_LICENSE", "PROPRIETARY", "LOAD_OPTION", "FORCE")
		}
	})
	is("PARTITIONS", func(t *table, s *schema.Schema, db string) {
		for _, r := range s.SortedTables() {
			if !r.View && inMySQL(r) {
				t.add("TABLE_CATALOG", "def", "TABLE_SCHEMA", db, "TABLE_NAME", r.Name, "CREATE_TIME", createdAt)
			}
		}
	})
	for _, global := range []bool{false, true} {
		word := "SESSION_"
		if global {
			word = "GLOBAL_"
		}
		variables := fill{live: func(t *table, v *view) {
			list := v.src.Settings()
			if global {
				list = v.src.GlobalSettings()
			}
			for _, s := range sortedSettings(list) {
				t.add("VARIABLE_NAME", s.Name, "VARIABLE_VALUE", s.Value)
			}
		}}
		status := fill{live: func(t *table, v *view) {
			for _, s := range statusVariables(v) {
				t.add("VARIABLE_NAME", s.Name, "VARIABLE_VALUE", s.Value)
			}
		}}
		for _, ns := range []string{"information_schema", "performance_schema"} {
			myFill(ns, strings.ToLower(word)+"variables", variables)
			myFill(ns, strings.ToLower(word)+"status", status)
		}
	}
	myFill("performance_schema", "processlist", fill{live: func(t *table, v *view) {
		eachProcess(v, func(p process) {
			t.add("ID", p.id, "USER", p.user, "HOST", p.host, "DB", p.db, "COMMAND", p.command, "TIME", p.seconds, "STATE", p.state, "INFO", p.info)
		})
	}})
	myFill("performance_schema", "threads", fill{live: func(t *table, v *view) {
		eachProcess(v, func(p process) {
			t.add("THREAD_ID", p.id, "NAME", "thread/sql/one_connection", "TYPE", "FOREGROUND", "PROCESSLIST_ID", p.id, "PROCESSLIST_USER", p.user,
				"PROCESSLIST_HOST", p.host, "PROCESSLIST_DB", p.db, "PROCESSLIST_COMMAND", p.command, "PROCESSLIST_TIME", p.seconds,
				"PROCESSLIST_STATE", p.state, "PROCESSLIST_INFO", p.info)
		})
	}})
	myFill("mysql", "user", fill{live: func(t *table, v *view) {
		for _, r := range allRoles(v) {
			if !r.Login {
				continue
			}
			row := []any{"Host", "%", "User", r.Name, "plugin", "caching_sha2_password", "password_expired", "N", "account_locked", "N"}
			for _, c := range t.set.rel.columns {
				if strings.HasSuffix(c, "_priv") {
					row = append(row, c, map[bool]string{true: "Y", false: "N"}[r.Superuser])
				}
			}
			t.add(row...)
		}
	}})
}

// createdAt stands where MySQL knows when a table was made; nothing records it here.
const createdAt = "1970-01-01 00:00:00.000000"

// inMySQL tells whether MySQL clients see a relation: they know no namespaces.
func inMySQL(r *schema.Table) bool { return r.Namespace == schema.Public }

// mysqlDatabases lists the databases as MySQL shows them, its own among them.
func mysqlDatabases(v *view) []string {
	list := append(slices.Clone(v.src.Databases()), "information_schema", "mysql", "performance_schema")
	slices.Sort(list)
	return slices.Compact(list)
}

// eachMySQLTable calls each for the tables and views that MySQL clients see, without those of the catalogs.
func eachMySQLTable(s *schema.Schema, db string, each func(r *schema.Table, db string)) {
	for _, r := range s.SortedTables() {
		if inMySQL(r) {
			each(r, db)
		}
	}
}

// eachMySQLSystemTable calls each for the relations of the catalogs.
func eachMySQLSystemTable(each func(r *schema.Table, db string)) {
	for _, r := range relations().list {
		if r.dialect == ir.MySQL && r.namespace != showNamespace {
			each(r.table, r.namespace)
		}
	}
}

func myTables(t *table, v *view) {
	eachMySQLTable(v.s, v.src.Database(), func(r *schema.Table, db string) { t.add(myTable(v, r, db)...) })
	eachMySQLSystemTable(func(r *schema.Table, db string) {
		t.add("TABLE_CATALOG", "def", "TABLE_SCHEMA", db, "TABLE_NAME", r.Name, "TABLE_TYPE", systemTableType(db), "VERSION", 10,
			"TABLE_ROWS", 0, "TABLE_COMMENT", "")
	})
}

func systemTableType(db string) string {
	if db == "information_schema" {
		return "SYSTEM VIEW"
	}
	return "BASE TABLE"
}

// myTable is a row of information_schema.TABLES.
func myTable(v *view, r *schema.Table, db string) []any {
	row := []any{"TABLE_CATALOG", "def", "TABLE_SCHEMA", db, "TABLE_NAME", r.Name}
	if r.View {
		return append(row, "TABLE_TYPE", "VIEW", "TABLE_COMMENT", "VIEW")
	}
	_, collation := schema.TableCharset(r)
	engine := r.Options["engine"]
	if engine == "" {
		engine = "InnoDB"
	}
	row = append(row, "TABLE_TYPE", "BASE TABLE", "ENGINE", engine, "VERSION", 10, "ROW_FORMAT", "Dynamic", "TABLE_ROWS", 0,
		"AVG_ROW_LENGTH", 0, "DATA_LENGTH", 0, "MAX_DATA_LENGTH", 0, "INDEX_LENGTH", 0, "DATA_FREE", 0, "TABLE_COLLATION", collation,
		"CREATE_OPTIONS", "", "TABLE_COMMENT", r.Comment)
	if next, ok := schema.NextAutoIncrement(v.db, r); ok {
		row = append(row, "AUTO_INCREMENT", next)
	}
	return row
}

// myColumn is a row of information_schema.COLUMNS.
func myColumn(s *schema.Schema, r *schema.Table, c *schema.Column, i int, db string) []any {
	typ := schema.MySQLColumnType(s, c)
	word := typ
	if n := strings.IndexAny(word, "( "); n >= 0 {
		word = word[:n]
	}
	row := []any{"TABLE_CATALOG", "def", "TABLE_SCHEMA", db, "TABLE_NAME", r.Name, "COLUMN_NAME", c.Name, "ORDINAL_POSITION", i + 1,
		"IS_NULLABLE", yes(!c.NotNull), "DATA_TYPE", word, "COLUMN_TYPE", typ, "COLUMN_KEY", columnKey(s, r, c), "EXTRA", extra(c),
		"PRIVILEGES", "select,insert,update,references", "COLUMN_COMMENT", c.Comment, "GENERATION_EXPRESSION", c.Generated}
	if d, ok := columnDefault(c); ok {
		row = append(row, "COLUMN_DEFAULT", d)
	}
	if cs, coll := schema.ColumnCharset(c); cs != "" {
		row = append(row, "CHARACTER_SET_NAME", cs, "COLLATION_NAME", coll)
	}
	length := func(n int64, bytesPer int64) {
		row = append(row, "CHARACTER_MAXIMUM_LENGTH", n, "CHARACTER_OCTET_LENGTH", n*bytesPer)
	}
	switch word {
	case "char", "varchar":
		_, args, _ := strings.Cut(typ, "(")
		args, _, _ = strings.Cut(args, ")")
		n, _ := strconv.ParseInt(args, 10, 64)
		length(n, 4)
	case "binary", "varbinary":
		length(int64(c.Type.Len), 1)
	case "tinytext", "tinyblob":
		length(255, 1)
	case "text", "blob":
		length(65535, 1)
	case "mediumtext", "mediumblob":
		length(1<<24-1, 1)
	case "longtext", "longblob":
		length(1<<32-1, 1)
	case "enum", "set":
		longest := int64(0)
		if e, ok := s.ByOID[c.Type.OID].(*schema.Enum); ok {
			for _, l := range e.Labels {
				longest = max(longest, int64(len([]rune(l))))
			}
		}
		length(longest, 4)
	case "tinyint":
		row = append(row, "NUMERIC_PRECISION", 3, "NUMERIC_SCALE", 0)
	case "smallint":
		row = append(row, "NUMERIC_PRECISION", 5, "NUMERIC_SCALE", 0)
	case "mediumint":
		row = append(row, "NUMERIC_PRECISION", 7, "NUMERIC_SCALE", 0)
	case "int":
		row = append(row, "NUMERIC_PRECISION", 10, "NUMERIC_SCALE", 0)
	case "bigint":
		n := 19
		if strings.Contains(typ, "unsigned") {
			n = 20
		}
		row = append(row, "NUMERIC_PRECISION", n, "NUMERIC_SCALE", 0)
	case "decimal":
		p, d := int64(65), int64(30)
		if c.Type.Len > 0 {
			p, d = int64(c.Type.Len), int64(c.Type.Scale)
		}
		row = append(row, "NUMERIC_PRECISION", p, "NUMERIC_SCALE", d)
	case "float":
		row = append(row, "NUMERIC_PRECISION", 12)
	case "double":
		row = append(row, "NUMERIC_PRECISION", 22)
	case "bit":
		row = append(row, "NUMERIC_PRECISION", max(c.Type.Len, 1))
	case "datetime", "timestamp", "time":
		n := 0
		if _, rest, ok := strings.Cut(typ, "("); ok {
			n, _ = strconv.Atoi(strings.TrimSuffix(rest, ")"))
		}
		row = append(row, "DATETIME_PRECISION", n)
	}
	return row
}

// columnDefault is COLUMN_DEFAULT: the bare value.
func columnDefault(c *schema.Column) (string, bool) {
	d := schema.MySQLDefault(c)
	switch {
	case d == "":
		return "", false
	case strings.HasPrefix(d, "'") && strings.HasSuffix(d, "'") && len(d) >= 2:
		return strings.ReplaceAll(d[1:len(d)-1], "''", "'"), true
	case strings.HasPrefix(d, "("):
		return strings.TrimSuffix(d[1:], ")"), true
	}
	return d, true
}

// columnKey is COLUMN_KEY: PRI, UNI, MUL.
func columnKey(s *schema.Schema, r *schema.Table, c *schema.Column) string {
	key := ""
	for _, x := range s.Indices(r) {
		for i, ic := range x.Columns {
			if ic.Column != c.Num {
				continue
			}
			switch {
			case x.Primary:
				return "PRI"
			case i == 0 && x.Unique && len(x.Columns) == 1 && ic.Prefix == 0:
				key = "UNI"
			case i == 0 && key == "":
				key = "MUL"
			}
		}
	}
	return key
}

// extra is EXTRA.
func extra(c *schema.Column) string {
	var parts []string
	d := schema.MySQLDefault(c)
	switch {
	case schema.AutoNumbered(c):
		parts = append(parts, "auto_increment")
	case c.Generated != "" && c.Stored:
		parts = append(parts, "STORED GENERATED")
	case c.Generated != "":
		parts = append(parts, "VIRTUAL GENERATED")
	case strings.HasPrefix(d, "CURRENT_TIMESTAMP") || strings.HasPrefix(d, "("):
		parts = append(parts, "DEFAULT_GENERATED")
	}
	if c.OnUpdateNow {
		on := "on update CURRENT_TIMESTAMP"
		if c.Type.Len > 1 {
			on += "(" + strconv.Itoa(int(c.Type.Len-1)) + ")"
		}
		parts = append(parts, on)
	}
	return strings.Join(parts, " ")
}

// indexPart is a column of an index as MySQL shows it.
type indexPart struct {
	table     *schema.Table
	index     *schema.Index
	name      string
	nonUnique int
	seq       int
	column    any
	order     any
	prefix    any
	nullable  string
	method    string
	expr      any
}

func eachIndexPart(s *schema.Schema, each func(indexPart)) {
	for _, r := range s.SortedTables() {
		if !inMySQL(r) {
			continue
		}
		for _, x := range s.Indices(r) {
			p := indexPart{table: r, index: x, name: x.Name, nonUnique: 1, method: "BTREE"}
			if x.Unique {
				p.nonUnique = 0
			}
			if x.Primary {
				p.name = "PRIMARY"
			}
			switch x.Method {
			case "fulltext", "spatial", "hash":
				p.method = strings.ToUpper(x.Method)
			}
			for i, ic := range x.Columns {
				p.seq, p.order, p.prefix, p.column, p.expr, p.nullable = i+1, "A", nil, nil, nil, ""
				if ic.Desc {
					p.order = "D"
				}
				if x.Method == "fulltext" {
					p.order = nil
				}
				if ic.Prefix > 0 {
					p.prefix = ic.Prefix
				}
				if c := r.ColumnByNum(ic.Column); c != nil {
					p.column = c.Name
					if !c.NotNull {
						p.nullable = "YES"
					}
				} else {
					p.expr, p.nullable = ic.Expr, "YES"
				}
				each(p)
			}
		}
	}
}

func eachMySQLConstraint(s *schema.Schema, each func(*schema.Table, *schema.Constraint)) {
	eachConstraint(s, func(r *schema.Table, k *schema.Constraint) {
		if inMySQL(r) {
			each(r, k)
		}
	})
}

var myConstraintKind = map[schema.ConstraintKind]string{schema.PrimaryKey: "PRIMARY KEY", schema.Unique: "UNIQUE", schema.Check: "CHECK", schema.ForeignKey: "FOREIGN KEY"}

func myConstraintName(k *schema.Constraint) string {
	if k.Kind == schema.PrimaryKey {
		return "PRIMARY"
	}
	return k.Name
}

func myRule(a string) string {
	if a == "" {
		return "NO ACTION"
	}
	return a
}

func myKeyColumns(t *table, s *schema.Schema, db string) {
	eachMySQLConstraint(s, func(r *schema.Table, k *schema.Constraint) {
		if k.Kind == schema.Check {
			return
		}
		ref := tableOf(s, k.RefTable)
		for i, n := range k.Columns {
			c := r.ColumnByNum(n)
			if c == nil {
				continue
			}
			row := []any{"CONSTRAINT_CATALOG", "def", "CONSTRAINT_SCHEMA", db, "CONSTRAINT_NAME", myConstraintName(k), "TABLE_CATALOG", "def",
				"TABLE_SCHEMA", db, "TABLE_NAME", r.Name, "COLUMN_NAME", c.Name, "ORDINAL_POSITION", i + 1}
			if k.Kind == schema.ForeignKey {
				row = append(row, "POSITION_IN_UNIQUE_CONSTRAINT", i+1, "REFERENCED_TABLE_SCHEMA", db, "REFERENCED_TABLE_NAME", k.RefTableName.Name)
				if ref != nil && i < len(k.RefColumns) {
					if rc := ref.ColumnByNum(k.RefColumns[i]); rc != nil {
						row = append(row, "REFERENCED_COLUMN_NAME", rc.Name)
					}
				} else if i < len(k.RefNames) {
					row = append(row, "REFERENCED_COLUMN_NAME", k.RefNames[i])
				}
			}
			t.add(row...)
		}
	})
}

// process is a session as PROCESSLIST shows it.
type process struct {
	id          uint32
	user, host  string
	db          any
	command     string
	seconds     int64
	state, info any
}

func eachProcess(v *view, each func(process)) {
	for _, s := range v.src.Sessions() {
		p := process{id: s.ID, user: s.User, host: s.ClientAddr, command: "Sleep", state: ""}
		if p.host == "" {
			p.host = "localhost"
		}
		if s.Database != "" {
			p.db = s.Database
		}
		if s.State == "active" {
			p.command, p.state, p.info = "Query", "executing", s.Query
		}
		if !s.StateFrom.IsZero() {
			p.seconds = max(int64(time.Since(s.StateFrom)/time.Second), 0)
		}
		each(p)
	}
}

func sortedSettings(list []Setting) []Setting {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// statusVariables are the few counters of SHOW STATUS that are known here.
func statusVariables(v *view) []Setting {
	sessions := v.src.Sessions()
	running := 0
	for _, s := range sessions {
		if s.State == "active" {
			running++
		}
	}
	up := int64(time.Since(v.src.Started()) / time.Second)
	return []Setting{
		{Name: "Ssl_cipher", Value: ""},
		{Name: "Threads_connected", Value: strconv.Itoa(len(sessions))},
		{Name: "Threads_running", Value: strconv.Itoa(running)},
		{Name: "Uptime", Value: fmt.Sprint(up)},
	}
}

type characterSet struct {
	name, collation, description string
	max                          int
}

var characterSets = []characterSet{
	{"ascii", "ascii_general_ci", "US ASCII", 1},
	{"binary", "binary", "Binary pseudo charset", 1},
	{"latin1", "latin1_swedish_ci", "cp1252 West European", 1},
	{"utf8mb3", "utf8mb3_general_ci", "UTF-8 Unicode", 3},
	{"utf8mb4", "utf8mb4_0900_ai_ci", "UTF-8 Unicode", 4},
}

type collation struct {
	name, charset string
	id            int
}

func (c collation) isDefault() string {
	for _, s := range characterSets {
		if s.collation == c.name {
			return "Yes"
		}
	}
	return ""
}

func (c collation) pad() string {
	if strings.Contains(c.name, "_0900_") || c.name == "binary" {
		return "NO PAD"
	}
	return "PAD SPACE"
}

var collations = []collation{
	{"ascii_bin", "ascii", 65}, {"ascii_general_ci", "ascii", 11}, {"binary", "binary", 63}, {"latin1_bin", "latin1", 47},
	{"latin1_general_ci", "latin1", 48}, {"latin1_swedish_ci", "latin1", 8}, {"utf8mb3_bin", "utf8mb3", 83},
	{"utf8mb3_general_ci", "utf8mb3", 33}, {"utf8mb3_unicode_ci", "utf8mb3", 192}, {"utf8mb4_0900_ai_ci", "utf8mb4", 255},
	{"utf8mb4_0900_as_ci", "utf8mb4", 305}, {"utf8mb4_0900_as_cs", "utf8mb4", 278}, {"utf8mb4_0900_bin", "utf8mb4", 309},
	{"utf8mb4_bin", "utf8mb4", 46}, {"utf8mb4_general_ci", "utf8mb4", 45}, {"utf8mb4_unicode_520_ci", "utf8mb4", 246},
	{"utf8mb4_unicode_ci", "utf8mb4", 224},
}

var plugins = []struct{ name, kind string }{
	{"caching_sha2_password", "AUTHENTICATION"}, {"mysql_native_password", "AUTHENTICATION"}, {"InnoDB", "STORAGE ENGINE"},
}
