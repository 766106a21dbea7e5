package types

import "strconv"

// PGName returns t as PostgreSQL's format_type prints it: "character varying(20)", "numeric(10,2)", "integer[]".
// Enums and other types of the schema are named by the schema, not here: they give "enum" and "text".
func (t Type) PGName() string {
	if t.Kind == Array {
		return t.ElemType().PGName() + "[]"
	}
	name := ""
	if b, ok := BuiltinByOID(t.PGOID()); ok {
		name = b.SQLName
	}
	if t.Kind == Enum {
		return "enum"
	}
	mod := t.Typmod()
	if mod < 0 {
		if t.Kind == Char && t.Len == 0 {
			return "bpchar"
		}
		return name
	}
	switch t.Kind {
	case Varchar, Char:
		return name + "(" + strconv.Itoa(int(t.Len)) + ")"
	case Numeric:
		return name + "(" + strconv.Itoa(int(t.Len)) + "," + strconv.Itoa(int(t.Scale)) + ")"
	case Bit:
		return name + "(" + strconv.Itoa(int(mod)) + ")"
	case Interval:
		return name + "(" + strconv.Itoa(int(t.Len)-1) + ")"
	case Time, Timestamp:
		base := "time"
		if t.Kind == Timestamp {
			base = "timestamp"
		}
		return base + "(" + strconv.Itoa(int(mod)) + ") without time zone"
	case TimeTZ, TimestampTZ:
		base := "time"
		if t.Kind == TimestampTZ {
			base = "timestamp"
		}
		return base + "(" + strconv.Itoa(int(mod)) + ") with time zone"
	}
	return name
}

// PGTypeByName returns the builtin type of that name, pg_type's (int4, _int4, bpchar) or SQL's (integer, "double
// precision"), with [] for arrays.
func PGTypeByName(name string) (Type, bool) {
	if n := len(name); n > 2 && name[n-2:] == "[]" {
		elem, ok := PGTypeByName(name[:n-2])
		if !ok || elem.Kind == Array {
			return elem, ok
		}
		if elem.Kind == Other {
			b, ok := BuiltinByOID(elem.OID)
			if !ok || b.Array == 0 {
				return Type{}, false
			}
			return FromOID(b.Array, -1)
		}
		return ArrayOf(elem.Kind), true
	}
	b, ok := BuiltinByName(name)
	if !ok {
		return Type{}, false
	}
	return FromOID(b.OID, -1)
}

// MySQLName returns t as SHOW COLUMNS of MySQL prints it. Enums and sets have their labels in the schema.
func (t Type) MySQLName() string {
	unsigned := func(s string) string {
		if t.Unsigned {
			return s + " unsigned"
		}
		return s
	}
	length := func(s string) string {
		if t.Len > 0 {
			return s + "(" + strconv.Itoa(int(t.Len)) + ")"
		}
		return s
	}
	fraction := func(s string) string {
		if t.Len > 1 {
			return s + "(" + strconv.Itoa(int(t.Len-1)) + ")"
		}
		return s
	}
	switch t.Kind {
	case Bool:
		return "tinyint(1)"
	case Int1:
		return unsigned("tinyint")
	case Int2:
		return unsigned("smallint")
	case Int3:
		return unsigned("mediumint")
	case Int4:
		return unsigned("int")
	case Int8:
		return unsigned("bigint")
	case Oid, Xid, Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole:
		return "int unsigned"
	case Float4:
		return unsigned("float")
	case Float8:
		return unsigned("double")
	case Numeric:
		if t.Len > 0 {
			return unsigned("decimal(" + strconv.Itoa(int(t.Len)) + "," + strconv.Itoa(int(t.Scale)) + ")")
		}
		return unsigned("decimal(65,30)")
	case Money:
		return "decimal(19,2)"
	case Varchar:
		if t.Len == 0 {
			return "text"
		}
		return length("varchar")
	case Char:
		if t.Len == 0 {
			return "char(1)"
		}
		return length("char")
	case Name:
		return "varchar(64)"
	case InternalChar:
		return "char(1)"
	case Bytes:
		switch {
		case t.Len > 0 && t.Binary:
			return length("binary")
		case t.Len > 0:
			return length("varbinary")
		}
		return "longblob"
	case Date:
		return "date"
	case Time, TimeTZ:
		return fraction("time")
	case Timestamp:
		if t.Len == 0 {
			return "datetime(6)"
		}
		return fraction("datetime")
	case TimestampTZ:
		if t.Len == 0 {
			return "timestamp(6)"
		}
		return fraction("timestamp")
	case Year:
		return "year"
	case Bit:
		if t.Len == 0 {
			return "bit(1)"
		}
		return length("bit")
	case JSON, JSONB, Array:
		return "json"
	case UUID:
		return "char(36)"
	case Enum:
		return "enum"
	case Set:
		return "set"
	case Interval:
		return "varchar(64)"
	}
	return "longtext"
}
