package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

// MySQLType returns a type as MySQL's catalogs print it, with the labels of enums.
func MySQLType(s *Schema, t types.Type) string {
	if t.Kind == types.Enum || t.Kind == types.Set {
		if e, ok := s.ByOID[t.OID].(*Enum); ok {
			labels := make([]string, len(e.Labels))
			for i, l := range e.Labels {
				labels[i] = text(l)
			}
			word := "enum("
			if t.Kind == types.Set {
				word = "set("
			}
			return word + strings.Join(labels, ",") + ")"
		}
	}
	return t.MySQLName()
}

// MySQLColumnType returns a column's type as MySQL 8 prints it: what was declared there, without display widths.
func MySQLColumnType(s *Schema, c *Column) string {
	if c.Dialect != "mysql" || c.Declared == "" || c.Type.Kind == types.Enum || c.Type.Kind == types.Set {
		return MySQLType(s, c.Type)
	}
	d := strings.ToLower(c.Declared)
	word, rest, sized := strings.Cut(d, "(")
	args, tail, _ := strings.Cut(rest, ")")
	if strings.Contains(tail, "zerofill") {
		return d
	}
	switch strings.TrimSpace(word) {
	case "bool", "boolean":
		return "tinyint(1)"
	case "tinyint":
		if sized && args == "1" && !strings.Contains(tail, "unsigned") {
			return "tinyint(1)"
		}
		return strings.TrimSpace(word) + tail
	case "smallint", "mediumint", "int", "integer", "bigint", "year":
		return strings.Replace(strings.TrimSpace(word), "integer", "int", 1) + tail
	case "dec", "numeric", "fixed", "decimal":
		if !sized {
			return "decimal(10,0)" + strings.TrimPrefix(d, strings.TrimSpace(word))
		}
		if !strings.Contains(args, ",") {
			args += ",0"
		}
		return "decimal(" + strings.ReplaceAll(args, " ", "") + ")" + tail
	case "char", "bit", "binary":
		if !sized {
			return strings.TrimSpace(word) + "(1)"
		}
	}
	return d
}

// quoteMy writes a name as MySQL does.
func quoteMy(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteMyAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quoteMy(n)
	}
	return strings.Join(out, ",")
}

// textMy writes a string literal as MySQL's SHOW CREATE does.
func textMy(s string) string {
	r := strings.NewReplacer(`\`, `\\`, "'", "''", "\n", `\n`, "\r", `\r`, "\x00", `\0`)
	return "'" + r.Replace(s) + "'"
}

// AutoNumbered tells whether the database gives a column's values: AUTO_INCREMENT, serial and identity.
func AutoNumbered(c *Column) bool { return c.AutoIncrement || c.NextVal != 0 && c.Sequence != 0 }

// MySQLDefault returns a column's default as SHOW CREATE TABLE prints it, "" for none.
func MySQLDefault(c *Column) string {
	switch {
	case AutoNumbered(c) || c.Generated != "" || c.Default == "" && c.DefaultSQL == "":
		return ""
	case c.Dialect == "mysql":
		return c.Default
	case isLiteral(c.DefaultSQL):
		if strings.EqualFold(c.DefaultSQL, "null") {
			return ""
		}
		lit, ok := literalOf(c.DefaultSQL)
		if !ok {
			return c.DefaultSQL
		}
		if lit.Value.Class == types.Int {
			return text(strconv.FormatInt(lit.Value.I, 10))
		}
		return text(string(lit.Value.B))
	}
	switch strings.ToLower(strings.TrimSpace(c.Default)) {
	case "now()", "current_timestamp", "current_timestamp()", "localtimestamp", "transaction_timestamp()", "statement_timestamp()":
		return "CURRENT_TIMESTAMP(6)"
	}
	return "(" + c.Default + ")"
}

// CreateTableMySQL returns a table as SHOW CREATE TABLE of MySQL 8 prints it. next is the next AUTO_INCREMENT value,
// which is printed when it is above 1.
func CreateTableMySQL(s *Schema, t *Table, next int64) string {
	var b strings.Builder
	b.WriteString("CREATE ")
	if t.Temp {
		b.WriteString("TEMPORARY ")
	}
	b.WriteString("TABLE " + quoteMy(t.Name) + " (\n")
	charset, collation := TableCharset(t)
	var lines []string
	for _, c := range t.Columns {
		lines = append(lines, "  "+columnMySQL(s, c, charset, collation))
	}
	var keys [3][]string // primary, unique, others
	for _, x := range s.Indices(t) {
		switch {
		case x.Primary:
			keys[0] = append(keys[0], "  PRIMARY KEY ("+indexColumnsMySQL(t, x)+")")
		case x.Unique:
			keys[1] = append(keys[1], "  UNIQUE KEY "+quoteMy(x.Name)+" ("+indexColumnsMySQL(t, x)+")"+indexCommentMySQL(x))
		default:
			word := "KEY "
			switch x.Method {
			case "fulltext", "spatial":
				word = strings.ToUpper(x.Method) + " KEY "
			}
			keys[2] = append(keys[2], "  "+word+quoteMy(x.Name)+" ("+indexColumnsMySQL(t, x)+")"+indexCommentMySQL(x))
		}
	}
	for _, list := range keys {
		lines = append(lines, list...)
	}
	sorted := slices.SortedFunc(slices.Values(t.Constraints), func(a, b *Constraint) int { return strings.Compare(a.Name, b.Name) })
	for _, kind := range []ConstraintKind{ForeignKey, Check} {
		for _, k := range sorted {
			if k.Kind != kind {
				continue
			}
			if kind == ForeignKey {
				lines = append(lines, "  "+mysqlForeignKey(s, t, k))
				continue
			}
			line := "  CONSTRAINT " + quoteMy(k.Name) + " CHECK (" + parenthesised(k.Expr) + ")"
			if k.NotEnforced {
				line += " /*!80016 NOT ENFORCED */"
			}
			lines = append(lines, line)
		}
	}
	b.WriteString(strings.Join(lines, ",\n"))
	engine := t.Options["engine"]
	if engine == "" {
		engine = "InnoDB"
	}
	b.WriteString("\n) ENGINE=" + engine)
	if next > 1 {
		fmt.Fprintf(&b, " AUTO_INCREMENT=%d", next)
	}
	b.WriteString(" DEFAULT CHARSET=" + charset)
	// MySQL 8 leaves the collation out where it is the character set's own, save for utf8mb4.
	if collation != defaultCollation(charset) || charset == "utf8mb4" {
		b.WriteString(" COLLATE=" + collation)
	}
	if v := t.Options["row_format"]; v != "" {
		b.WriteString(" ROW_FORMAT=" + strings.ToUpper(v))
	}
	if t.Comment != "" {
		b.WriteString(" COMMENT=" + textMy(t.Comment))
	}
	return b.String()
}

// TableCharset returns the character set and collation that a table shows to MySQL clients.
func TableCharset(t *Table) (charset, collation string) {
	if t.Options["charset"] == "" {
		// PostgreSQL's tables compare bytes.
		if t.Dialect != "mysql" {
			return defaultCharset, "utf8mb4_bin"
		}
		return defaultCharset, defaultTextCollation
	}
	return t.Options["charset"], t.Options["collate"]
}

// ColumnCharset returns the character set and collation that a column shows to MySQL clients, "" for those without.
func ColumnCharset(c *Column) (charset, collation string) {
	if c.Charset != "" {
		return c.Charset, c.Collation
	}
	if m := c.Type.MySQLName(); c.Type.Kind != types.Enum && c.Type.Kind != types.Set &&
		!strings.Contains(m, "char") && !strings.Contains(m, "text") {
		return "", ""
	}
	return defaultCharset, "utf8mb4_bin"
}

func columnMySQL(s *Schema, c *Column, charset, collation string) string {
	typ := MySQLColumnType(s, c)
	out := quoteMy(c.Name) + " " + typ
	if cs, coll := ColumnCharset(c); cs != "" && (cs != charset || coll != collation) {
		out += " CHARACTER SET " + cs + " COLLATE " + coll
	}
	if c.Generated != "" {
		out += " GENERATED ALWAYS AS (" + parenthesised(c.Generated) + ")"
		if c.Stored {
			out += " STORED"
		} else {
			out += " VIRTUAL"
		}
	}
	isTimestamp := strings.HasPrefix(typ, "timestamp")
	switch {
	case c.NotNull:
		out += " NOT NULL"
	case isTimestamp && c.Generated == "":
		out += " NULL"
	}
	switch d := MySQLDefault(c); {
	case AutoNumbered(c):
		out += " AUTO_INCREMENT"
	case strings.HasPrefix(d, "'") && (strings.HasSuffix(typ, "text") || strings.HasSuffix(typ, "blob") || typ == "json"):
		out += " DEFAULT (" + d + ")" // such types take expressions only
	case d != "":
		out += " DEFAULT " + d
	case c.NotNull || c.Generated != "":
	case strings.HasSuffix(typ, "text") || strings.HasSuffix(typ, "blob"):
	default:
		out += " DEFAULT NULL"
	}
	if c.OnUpdateNow {
		out += " ON UPDATE CURRENT_TIMESTAMP"
		if c.Type.Len > 1 {
			out += "(" + strconv.Itoa(int(c.Type.Len-1)) + ")"
		}
	}
	if c.Comment != "" {
		out += " COMMENT " + textMy(c.Comment)
	}
	return out
}

func indexCommentMySQL(x *Index) string {
	if x.Comment == "" {
		return ""
	}
	return " COMMENT " + textMy(x.Comment)
}

func indexColumnsMySQL(t *Table, x *Index) string {
	out := make([]string, len(x.Columns))
	for i, c := range x.Columns {
		if col := t.ColumnByNum(c.Column); col != nil {
			out[i] = quoteMy(col.Name)
			if c.Prefix > 0 {
				out[i] += "(" + strconv.Itoa(c.Prefix) + ")"
			}
		} else {
			out[i] = "(" + c.Expr + ")"
		}
		if c.Desc {
			out[i] += " DESC"
		}
	}
	return strings.Join(out, ",")
}

func mysqlForeignKey(s *Schema, t *Table, k *Constraint) string {
	names := k.RefNames
	if p, ok := s.ByOID[k.RefTable].(*Table); ok {
		names = columnNames(p, k.RefColumns)
	}
	out := "CONSTRAINT " + quoteMy(k.Name) + " FOREIGN KEY (" + strings.ReplaceAll(quoteMyAll(columnNames(t, k.Columns)), ",", ", ") +
		") REFERENCES " + quoteMy(k.RefTableName.Name) + " (" + strings.ReplaceAll(quoteMyAll(names), ",", ", ") + ")"
	// RESTRICT and NO ACTION are the same; MySQL prints neither unless RESTRICT was written.
	if k.OnDelete != "" && k.OnDelete != "NO ACTION" {
		out += " ON DELETE " + k.OnDelete
	}
	if k.OnUpdate != "" && k.OnUpdate != "NO ACTION" {
		out += " ON UPDATE " + k.OnUpdate
	}
	return out
}

// CreateViewMySQL returns a view as SHOW CREATE VIEW of MySQL 8 prints it.
func CreateViewMySQL(v *Table) string {
	owner := v.Owner
	if owner == "" {
		owner = "root"
	}
	names := make([]string, len(v.Columns))
	for i, c := range v.Columns {
		names[i] = c.Name
	}
	return "CREATE ALGORITHM=UNDEFINED DEFINER=" + quoteMy(owner) + "@`%` SQL SECURITY DEFINER VIEW " + quoteMy(v.Name) +
		" (" + quoteMyAll(names) + ") AS " + v.ViewText
}

// parenthesised puts an expression into parentheses unless it is in one pair already.
func parenthesised(expr string) string {
	if enclosed(expr) {
		return expr
	}
	return "(" + expr + ")"
}

// enclosed tells whether an expression is in one pair of parentheses.
func enclosed(expr string) bool {
	if !strings.HasPrefix(expr, "(") || !strings.HasSuffix(expr, ")") {
		return false
	}
	depth := 0
	list := tokens(expr)
	for i, t := range list {
		if t.kind != 'p' {
			continue
		}
		switch expr[t.start] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 && i < len(list)-1 {
				return false
			}
		}
	}
	return depth == 0
}
