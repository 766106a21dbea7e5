package funcs

import (
	"strconv"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Cast returns how to print the conversion of $1 from one type to another in a dialect, "$1" when the value is stored the
// same. ok is false when the dialect has no such conversion at that level.
func Cast(d ir.Dialect, from, to types.Type, level Level) (template string, ok bool) {
	if d == ir.MySQL {
		return castMySQL(from, to, level), true
	}
	least, ok := castLevel(from, to)
	if !ok || level < least {
		return "", false
	}
	return castPostgres(from, to, level), true
}

// castLevel returns the least level at which PostgreSQL converts from one type to the other.
func castLevel(from, to types.Type) (Level, bool) {
	if from.Kind == to.Kind {
		switch from.Kind {
		case types.Array:
			if from.Elem == to.Elem {
				return Implicit, true
			}
			return castLevel(types.T(from.Elem), types.T(to.Elem))
		case types.Enum, types.Other:
			if from.OID == to.OID || from.OID == 0 || to.OID == 0 {
				return Implicit, true
			}
			return Explicit, from.Kind == types.Other
		}
		return Implicit, true
	}
	if from.Kind == types.Unknown || to.Kind == types.Unknown || to.Kind == types.Void {
		return Implicit, true
	}
	if level, ok := pgCasts[[2]types.Kind{pgKind(from.Kind), pgKind(to.Kind)}]; ok {
		return level, true
	}
	if pgKind(from.Kind) == pgKind(to.Kind) {
		return Implicit, true
	}
	// Any type converts by its text: to strings at assignment, from strings explicitly.
	switch {
	case isText(to.Kind):
		return Assignment, true
	case isText(from.Kind):
		return Explicit, true
	}
	// bit varying and other types without a kind of their own have nothing but their text.
	if to.Kind == types.Other || from.Kind == types.Other {
		varbit := func(t types.Type) bool { return t.Kind == types.Bit || t.Kind == types.Other && t.OID == 1562 }
		if varbit(from) && varbit(to) {
			return Implicit, true
		}
	}
	return 0, false
}

// isText reports whether a kind is one of PostgreSQL's string types.
func isText(k types.Kind) bool {
	switch k {
	case types.Text, types.Varchar, types.Char, types.Name, types.Set:
		return true
	}
	return false
}

// pgKind is the kind that PostgreSQL's casts see for a kind of MySQL.
func pgKind(k types.Kind) types.Kind {
	switch k {
	case types.Int1:
		return types.Int2
	case types.Int3, types.Year:
		return types.Int4
	case types.Set:
		return types.Text
	}
	return k
}

// pgCasts are the casts of pg_cast between two kinds, with their context.
var pgCasts = func() map[[2]types.Kind]Level {
	m := map[[2]types.Kind]Level{}
	add := func(level Level, from types.Kind, to ...types.Kind) {
		for _, t := range to {
			m[[2]types.Kind{from, t}] = level
		}
	}
	regs := []types.Kind{
		types.Oid, types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole,
	}
	add(Implicit, types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric)
	add(Implicit, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric)
	add(Implicit, types.Int8, types.Float4, types.Float8, types.Numeric)
	add(Assignment, types.Int4, types.Int2, types.Money)
	add(Assignment, types.Int8, types.Int2, types.Int4, types.Money)
	add(Explicit, types.Int4, types.Bool, types.Bit, types.InternalChar)
	add(Explicit, types.Int8, types.Bit)
	add(Assignment, types.Float4, types.Int2, types.Int4, types.Int8, types.Numeric)
	add(Implicit, types.Float4, types.Float8)
	add(Assignment, types.Float8, types.Int2, types.Int4, types.Int8, types.Float4, types.Numeric)
	add(Assignment, types.Numeric, types.Int2, types.Int4, types.Int8, types.Money)
	add(Implicit, types.Numeric, types.Float4, types.Float8)
	add(Assignment, types.Money, types.Numeric)
	add(Explicit, types.Bool, types.Int4)
	add(Implicit, types.Text, types.Char, types.Varchar, types.Name, types.Regclass)
	add(Implicit, types.Char, types.Text, types.Varchar, types.Name)
	add(Implicit, types.Varchar, types.Text, types.Char, types.Name, types.Regclass)
	add(Implicit, types.Name, types.Text)
	add(Assignment, types.Name, types.Char, types.Varchar)
	add(Implicit, types.InternalChar, types.Text)
	add(Assignment, types.InternalChar, types.Char, types.Varchar)
	add(Explicit, types.InternalChar, types.Int4)
	for _, s := range []types.Kind{types.Text, types.Varchar, types.Char} {
		add(Assignment, s, types.InternalChar)
		add(Explicit, s, types.XML)
	}
	add(Assignment, types.XML, types.Text, types.Char, types.Varchar)
	add(Implicit, types.Date, types.Timestamp, types.TimestampTZ)
	add(Implicit, types.Time, types.Interval, types.TimeTZ)
	add(Assignment, types.Timestamp, types.Date, types.Time)
	add(Implicit, types.Timestamp, types.TimestampTZ)
	add(Assignment, types.TimestampTZ, types.Date, types.Time, types.Timestamp, types.TimeTZ)
	add(Assignment, types.Interval, types.Time)
	add(Assignment, types.TimeTZ, types.Time)
	add(Implicit, types.Cidr, types.Inet)
	add(Assignment, types.Inet, types.Cidr)
	add(Explicit, types.Bit, types.Int4, types.Int8)
	add(Assignment, types.JSON, types.JSONB)
	add(Assignment, types.JSONB, types.JSON)
	add(Explicit, types.JSONB, types.Bool, types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric)
	for _, r := range regs {
		add(Implicit, types.Int2, r)
		add(Implicit, types.Int4, r)
		add(Implicit, types.Int8, r)
		add(Assignment, r, types.Int4, types.Int8)
		if r != types.Oid {
			add(Implicit, types.Oid, r)
			add(Implicit, r, types.Oid)
		}
	}
	add(Implicit, types.Regproc, types.Regprocedure)
	add(Implicit, types.Regprocedure, types.Regproc)
	add(Implicit, types.Int2Vector, types.Array)
	add(Implicit, types.OidVector, types.Array)
	return m
}()

func code(t types.Type) string { return strconv.FormatInt(t.Code(), 10) }

// generic prints a conversion by the function that knows them all.
func generic(from, to types.Type, level Level) string {
	name := "bop_cast"
	if sessionDependent(from.Kind, to.Kind) || from.Kind == types.Array && sessionDependent(from.Elem, to.Elem) ||
		to.Kind == types.Array && sessionDependent(to.Elem, from.Elem) {
		name = "bop_cast_session"
	}
	flag := ""
	if level == Explicit {
		flag = ", 1"
	} else {
		flag = ", 0"
	}
	return name + "($1, " + code(from) + ", " + code(to) + flag + ")"
}

// sessionDependent reports whether a conversion depends on the session: its time zone, date style or catalog.
func sessionDependent(from, to types.Kind) bool {
	session := func(k types.Kind) bool {
		switch k {
		case types.Date, types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ, types.Interval,
			types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole:
			return true
		}
		return false
	}
	if from == types.TimestampTZ || to == types.TimestampTZ || to == types.TimeTZ {
		return true
	}
	if isText(from) || isText(to) {
		return session(from) || session(to) || from == types.Bytes || from == types.Float4 || from == types.Float8
	}
	return false
}

func castPostgres(from, to types.Type, level Level) string {
	fk, tk := pgKind(from.Kind), pgKind(to.Kind)
	if from.Kind == types.Unknown {
		fk = types.Text
		from = types.T(types.Text)
	}
	switch tk {
	case types.Unknown, types.Void:
		return "$1"
	case types.Int2, types.Int4, types.Int8:
		switch fk {
		case types.Int2, types.Int4, types.Int8:
			if kindWidth(fk) <= kindWidth(tk) && (!from.Unsigned || to.Unsigned || kindWidth(fk) < kindWidth(tk)) {
				return "$1"
			}
			return "bop_int" + strconv.Itoa(kindWidth(tk)) + "($1)"
		case types.Bool:
			return "$1"
		case types.Oid, types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole:
			return "$1"
		}
	case types.Oid, types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole:
		switch fk {
		case types.Oid, types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole:
			return "$1"
		case types.Int2, types.Int4, types.Int8:
			return "($1 & 4294967295)"
		}
	case types.Float8:
		switch fk {
		case types.Int2, types.Int4, types.Int8:
			return "CAST($1 AS REAL)"
		case types.Float4, types.Float8:
			return "$1"
		}
	case types.Float4:
		if fk == types.Float4 {
			return "$1"
		}
	case types.Numeric:
		switch fk {
		case types.Int2, types.Int4, types.Int8:
			if to.Len <= 0 {
				return "CAST($1 AS TEXT)"
			}
			return numericTypmod(to)
		case types.Numeric:
			if to.Len <= 0 || to.Len == from.Len && to.Scale == from.Scale {
				return "$1"
			}
			return numericTypmod(to)
		}
	case types.Bool:
		switch fk {
		case types.Int4:
			return "($1 <> 0)"
		case types.Bool:
			return "$1"
		}
	case types.Text, types.Name, types.Varchar, types.Char:
		return castToString(from, to, fk, tk, level)
	case types.JSON:
		if fk == types.JSON || fk == types.JSONB {
			return "$1"
		}
	case types.JSONB:
		if fk == types.JSONB {
			return "$1"
		}
	case types.Interval, types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ:
		if fk == tk && (to.Len == 0 || to.Len == from.Len) {
			return "$1"
		}
	case types.Date, types.UUID, types.Bytes, types.Money, types.Inet, types.Macaddr, types.Point, types.TSVector,
		types.Record, types.Xid, types.PgNodeTree, types.AclItem, types.Int2Vector, types.OidVector, types.Enum, types.Year:
		if fk == tk {
			return "$1"
		}
		if fk == types.Cidr && tk == types.Inet {
			break
		}
		if tk == types.Enum && isText(fk) {
			return "$1"
		}
	case types.Bit:
		if from == to {
			return "$1"
		}
	case types.XML, types.Other:
		if isText(fk) || fk == tk {
			return "$1"
		}
	case types.Array:
		if from.Elem == to.Elem && from.Kind == types.Array && to.Len == 0 {
			return "$1"
		}
	case types.InternalChar:
		if isText(fk) {
			return "substr($1, 1, 1)"
		}
	}
	return generic(from, to, level)
}

func castToString(from, to types.Type, fk, tk types.Kind, level Level) string {
	var text string
	switch fk {
	case types.Text, types.Varchar, types.Char, types.Name, types.InternalChar, types.Enum, types.JSON, types.JSONB, types.UUID,
		types.Numeric, types.XML, types.PgNodeTree, types.Set, types.Cidr, types.Macaddr, types.Other:
		text = "$1"
	case types.Int2, types.Int4, types.Int8, types.Oid, types.Xid:
		text = "CAST($1 AS TEXT)"
	case types.Bool:
		text = "CASE $1 WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
	default:
		text = generic(from, types.T(types.Text), level)
	}
	switch {
	case tk == types.Name:
		if fk == types.Name {
			return text
		}
		return "bop_name(" + text + ")"
	case tk == types.Char && to.Len > 0 && level == Explicit && !(fk == types.Char && from.Len > 0 && from.Len <= to.Len):
		return "rtrim(substr(" + text + ", 1, " + strconv.Itoa(int(to.Len)) + "))"
	case tk == types.Char && to.Len > 0 && !(fk == types.Char && from.Len > 0 && from.Len <= to.Len):
		return "bop_fit_char(" + text + ", " + strconv.Itoa(int(to.Len)) + ")"
	case tk == types.Char && fk != types.Char:
		return "rtrim(" + text + ")"
	case tk == types.Varchar && to.Len > 0 && level == Explicit && !(fk == types.Varchar && from.Len > 0 && from.Len <= to.Len):
		return "substr(" + text + ", 1, " + strconv.Itoa(int(to.Len)) + ")"
	case tk == types.Varchar && to.Len > 0 && !(fk == types.Varchar && from.Len > 0 && from.Len <= to.Len):
		return "bop_fit(" + text + ", " + strconv.Itoa(int(to.Len)) + ")"
	}
	return text
}

func numericTypmod(to types.Type) string {
	return "bop_numeric($1, " + strconv.Itoa(int(to.Len)) + ", " + strconv.Itoa(int(to.Scale)) + ")"
}

func kindWidth(k types.Kind) int {
	switch k {
	case types.Int1:
		return 1
	case types.Int2:
		return 2
	case types.Int3:
		return 3
	case types.Int4:
		return 4
	}
	return 8
}
