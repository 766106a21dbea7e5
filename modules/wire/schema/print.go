package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

// Prefixes of the names of the checks that keep values in the range of their type.
const (
	RangeCheck  = hiddenPrefix + "range_"
	LengthCheck = hiddenPrefix + "len_"
	EnumCheck   = hiddenPrefix + "enum_"
)

// Storage returns the type that a column of type t has in SQLite.
func Storage(t types.Type) string {
	switch t.Kind {
	case types.Bool, types.Int1, types.Int2, types.Int3, types.Int4, types.Int8, types.Year, types.Money, types.Oid,
		types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole, types.Xid:
		return "INTEGER"
	case types.Float4, types.Float8:
		return "REAL"
	case types.Bytes:
		return "BLOB"
	case types.Bit:
		if t.Len <= 63 {
			return "INTEGER"
		}
		return "BLOB"
	}
	return "TEXT"
}

// SQLCollation returns the collation that SQLite compares a column with, "" for bytes.
func SQLCollation(c *Column) string {
	switch c.Type.Kind {
	case types.Numeric:
		return "bop_decimal"
	case types.Text, types.Varchar, types.Char, types.Enum, types.Set:
		if c.Charset != "" && !c.Type.Binary && strings.HasSuffix(c.Collation, "_ci") {
			return "bop_ci"
		}
	}
	return ""
}

// parts says what of a table is printed.
type parts struct {
	name          string // in SQLite
	noForeignKeys bool
	noCounter     bool // without AUTOINCREMENT
	onlyValid     bool // without checks that existing rows may break
}

// tableSQL prints the CREATE TABLE of a table.
func (s *Schema) tableSQL(t *Table, p parts) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + quote(p.name) + "(\n")
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString("  " + s.columnSQL(t, c, p))
	}
	for _, k := range t.Constraints {
		switch {
		case k.Kind == Check && !k.NotEnforced && !(k.NotValid && p.onlyValid):
			fmt.Fprintf(&b, ",\n  CONSTRAINT %s CHECK (%s)", quote(k.Name), k.ExprSQL)
		case k.Kind == ForeignKey && !p.noForeignKeys:
			b.WriteString(",\n  " + s.foreignKeySQL(t, k))
		}
	}
	b.WriteString("\n) STRICT")
	return b.String()
}

// columnSQL prints a column with the checks of its type.
func (s *Schema) columnSQL(t *Table, c *Column, p parts) string {
	var b strings.Builder
	name := quote(c.Name)
	b.WriteString(name + " " + Storage(c.Type))
	if t.RowID == c {
		if pk := t.PrimaryKey(); pk != nil && len(pk.Columns) == 1 && pk.Columns[0] == c.Num {
			b.WriteString(" CONSTRAINT " + quote(pk.Name))
		}
		b.WriteString(" PRIMARY KEY")
		if c.AutoIncrement && !p.noCounter {
			b.WriteString(" AUTOINCREMENT")
		}
	} else if c.NotNull {
		b.WriteString(" NOT NULL")
	}
	switch {
	case c.GeneratedSQL != "":
		b.WriteString(" GENERATED ALWAYS AS (" + c.GeneratedSQL + ")")
		if c.Stored {
			b.WriteString(" STORED")
		} else {
			b.WriteString(" VIRTUAL")
		}
	case c.Missing != "":
		b.WriteString(" DEFAULT " + c.Missing)
	case isLiteral(c.DefaultSQL) && t.RowID != c:
		b.WriteString(" DEFAULT " + literalDefault(c.DefaultSQL))
	}
	if coll := SQLCollation(c); coll != "" {
		b.WriteString(" COLLATE " + coll)
	}
	for _, k := range s.typeChecks(c) {
		fmt.Fprintf(&b, " CONSTRAINT %s CHECK (%s)", quote(k.name), k.sql)
	}
	return b.String()
}

// literalDefault brings a constant into the form that DEFAULT takes without changing its meaning.
func literalDefault(sql string) string {
	if strings.HasPrefix(sql, "(") {
		return sql
	}
	return "(" + sql + ")"
}

type typeCheck struct{ name, sql string }

// typeChecks returns the checks that SQLite's storage types don't make themselves.
func (s *Schema) typeChecks(c *Column) []typeCheck {
	var out []typeCheck
	name := quote(c.Name)
	check := func(prefix, format string, args ...any) {
		out = append(out, typeCheck{prefix + c.Name, fmt.Sprintf(format, args...)})
	}
	t := c.Type
	switch t.Kind {
	case types.Bool:
		check(RangeCheck, "%s IN (0, 1)", name)
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8, types.Year, types.Oid, types.Xid:
		if low, high, ok := intRange(t); ok {
			check(RangeCheck, "%s BETWEEN %s AND %s", name, low, high)
		}
	case types.Bit:
		if t.Len > 0 && t.Len < 63 {
			check(RangeCheck, "%s BETWEEN 0 AND %d", name, int64(1)<<t.Len-1)
		}
	case types.Varchar, types.Char:
		if t.Len > 0 {
			check(LengthCheck, "length(%s) <= %d", name, t.Len)
		}
	case types.Bytes:
		if n := byteLimit(c); n > 0 {
			check(LengthCheck, "length(%s) <= %d", name, n)
		}
	case types.Text:
		if n := byteLimit(c); n > 0 {
			check(LengthCheck, "octet_length(%s) <= %d", name, n)
		}
	case types.Enum:
		if e, ok := s.ByOID[t.OID].(*Enum); ok {
			check(EnumCheck, "%s COLLATE BINARY IN (%s)", name, literals(e.Labels))
		}
	case types.Set:
		if e, ok := s.ByOID[t.OID].(*Enum); ok {
			// Each label is taken out once: what is left of a value that has no others is one comma.
			sql := "',' || " + name + " || ','"
			for _, l := range e.Labels {
				sql = fmt.Sprintf("replace(%s, %s, ',')", sql, text(","+l+","))
			}
			check(EnumCheck, "%s = '' OR %s = ','", name, sql)
		}
	}
	if d, ok := s.ByOID[c.Domain].(*Domain); ok {
		for _, k := range d.Constraints {
			if k.Kind == Check && !k.NotValid {
				out = append(out, typeCheck{k.Name, replaceName(k.ExprSQL, domainValue, name)})
			}
		}
	}
	return out
}

// domainValue is the name of the only column of the scope that a domain's checks are translated in.
const domainValue = "value"

// intRange returns the bounds of a whole number's type; ok is false when SQLite's own are the same.
func intRange(t types.Type) (low, high string, ok bool) {
	bits := 0
	switch t.Kind {
	case types.Int1:
		bits = 8
	case types.Int2:
		bits = 16
	case types.Int3:
		bits = 24
	case types.Int4:
		bits = 32
	case types.Int8:
		return "0", "9223372036854775807", t.Unsigned
	case types.Oid, types.Xid:
		return "0", "4294967295", true
	case types.Year:
		return "0", "2155", true
	}
	if t.Unsigned {
		return "0", strconv.FormatInt(1<<bits-1, 10), true
	}
	return strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10), true
}

// byteLimit is the longest value of a string type of MySQL, in bytes; 0 is none.
func byteLimit(c *Column) int64 {
	if c.Type.Kind == types.Bytes && c.Type.Len > 0 {
		return int64(c.Type.Len)
	}
	word, _, _ := strings.Cut(c.Declared, "(")
	switch strings.TrimSpace(strings.ToLower(word)) {
	case "tinytext", "tinyblob":
		return 1<<8 - 1
	case "text", "blob":
		if c.Dialect == "mysql" {
			return 1<<16 - 1
		}
	case "mediumtext", "mediumblob":
		return 1<<24 - 1
	}
	return 0
}

func literals(list []string) string {
	out := make([]string, len(list))
	for i, l := range list {
		out[i] = text(l)
	}
	return strings.Join(out, ", ")
}

// foreignKeySQL prints a foreign key.
func (s *Schema) foreignKeySQL(t *Table, k *Constraint) string {
	var b strings.Builder
	ref := sqlName(k.RefTableName.Namespace, k.RefTableName.Name)
	names := k.RefNames
	if p, ok := s.ByOID[k.RefTable].(*Table); ok {
		ref = p.SQLName
		if len(k.RefColumns) > 0 {
			names = columnNames(p, k.RefColumns)
		}
	}
	fmt.Fprintf(&b, "CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s", quote(k.Name), quoteAll(columnNames(t, k.Columns)), quote(ref))
	if len(names) > 0 {
		fmt.Fprintf(&b, "(%s)", quoteAll(names))
	}
	if k.OnDelete != "" && k.OnDelete != "NO ACTION" {
		b.WriteString(" ON DELETE " + k.OnDelete)
	}
	if k.OnUpdate != "" && k.OnUpdate != "NO ACTION" {
		b.WriteString(" ON UPDATE " + k.OnUpdate)
	}
	if k.Deferrable {
		b.WriteString(" DEFERRABLE INITIALLY ")
		if k.InitiallyDeferred {
			b.WriteString("DEFERRED")
		} else {
			b.WriteString("IMMEDIATE")
		}
	}
	return b.String()
}

// indexSQL prints the CREATE INDEX of an index.
func (s *Schema) indexSQL(t *Table, x *Index) string {
	var b strings.Builder
	b.WriteString("CREATE ")
	if x.Unique {
		b.WriteString("UNIQUE ")
	}
	b.WriteString("INDEX ")
	if t.Temp {
		b.WriteString("temp.")
	}
	b.WriteString(quote(x.SQLName) + " ON " + quote(t.SQLName) + "(")
	for i, c := range x.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		switch col := t.ColumnByNum(c.Column); {
		case c.Column == 0 || col == nil:
			b.WriteString("(" + c.ExprSQL + ")")
		case c.Prefix > 0:
			fmt.Fprintf(&b, "substr(%s, 1, %d)", quote(col.Name), c.Prefix)
			if coll := SQLCollation(col); coll != "" {
				b.WriteString(" COLLATE " + coll)
			}
		default:
			b.WriteString(quote(col.Name))
		}
		if c.Desc {
			b.WriteString(" DESC")
		}
	}
	b.WriteString(")")
	if x.WhereSQL != "" {
		b.WriteString(" WHERE " + x.WhereSQL)
	}
	return b.String()
}

func columnNames(t *Table, nums []int16) []string {
	out := make([]string, len(nums))
	for i, n := range nums {
		if c := t.ColumnByNum(n); c != nil {
			out[i] = c.Name
		}
	}
	return out
}

func quoteAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}
