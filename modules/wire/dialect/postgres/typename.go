package postgres

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/ident"
	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// builtin is a type of pg_catalog by its internal name.
type builtin struct {
	kind     types.Kind
	declared string // as format_type prints it
	oid      uint32 // of kind Other
}

var builtins = map[string]builtin{
	"bool":           {types.Bool, "boolean", 0},
	"int2":           {types.Int2, "smallint", 0},
	"int4":           {types.Int4, "integer", 0},
	"int8":           {types.Int8, "bigint", 0},
	"float4":         {types.Float4, "real", 0},
	"float8":         {types.Float8, "double precision", 0},
	"numeric":        {types.Numeric, "numeric", 0},
	"text":           {types.Text, "text", 0},
	"varchar":        {types.Varchar, "character varying", 0},
	"bpchar":         {types.Char, "character", 0},
	"name":           {types.Name, "name", 0},
	"char":           {types.InternalChar, `"char"`, 0},
	"bytea":          {types.Bytes, "bytea", 0},
	"date":           {types.Date, "date", 0},
	"time":           {types.Time, "time without time zone", 0},
	"timetz":         {types.TimeTZ, "time with time zone", 0},
	"timestamp":      {types.Timestamp, "timestamp without time zone", 0},
	"timestamptz":    {types.TimestampTZ, "timestamp with time zone", 0},
	"interval":       {types.Interval, "interval", 0},
	"bit":            {types.Bit, "bit", 0},
	"varbit":         {types.Bit, "bit varying", 0},
	"json":           {types.JSON, "json", 0},
	"jsonb":          {types.JSONB, "jsonb", 0},
	"uuid":           {types.UUID, "uuid", 0},
	"inet":           {types.Inet, "inet", 0},
	"cidr":           {types.Cidr, "cidr", 0},
	"macaddr":        {types.Macaddr, "macaddr", 0},
	"money":          {types.Money, "money", 0},
	"xml":            {types.XML, "xml", 0},
	"oid":            {types.Oid, "oid", 0},
	"regclass":       {types.Regclass, "regclass", 0},
	"regtype":        {types.Regtype, "regtype", 0},
	"regproc":        {types.Regproc, "regproc", 0},
	"regprocedure":   {types.Regprocedure, "regprocedure", 0},
	"regnamespace":   {types.Regnamespace, "regnamespace", 0},
	"regrole":        {types.Regrole, "regrole", 0},
	"int2vector":     {types.Int2Vector, "int2vector", 0},
	"oidvector":      {types.OidVector, "oidvector", 0},
	"pg_node_tree":   {types.PgNodeTree, "pg_node_tree", 0},
	"aclitem":        {types.AclItem, "aclitem", 0},
	"xid":            {types.Xid, "xid", 0},
	"record":         {types.Record, "record", 0},
	"tsvector":       {types.TSVector, "tsvector", 0},
	"point":          {types.Point, "point", 0},
	"void":           {types.Void, "void", 0},
	"unknown":        {types.Unknown, "unknown", 0},
	"tid":            {types.Other, "tid", 27},
	"cid":            {types.Other, "cid", 29},
	"lseg":           {types.Other, "lseg", 601},
	"path":           {types.Other, "path", 602},
	"box":            {types.Other, "box", 603},
	"polygon":        {types.Other, "polygon", 604},
	"line":           {types.Other, "line", 628},
	"circle":         {types.Other, "circle", 718},
	"macaddr8":       {types.Other, "macaddr8", 774},
	"refcursor":      {types.Other, "refcursor", 1790},
	"regoper":        {types.Other, "regoper", 2203},
	"regoperator":    {types.Other, "regoperator", 2204},
	"cstring":        {types.Other, "cstring", 2275},
	"pg_lsn":         {types.Other, "pg_lsn", 3220},
	"tsquery":        {types.Other, "tsquery", 3615},
	"regconfig":      {types.Other, "regconfig", 3734},
	"regdictionary":  {types.Other, "regdictionary", 3769},
	"int4range":      {types.Other, "int4range", 3904},
	"numrange":       {types.Other, "numrange", 3906},
	"tsrange":        {types.Other, "tsrange", 3908},
	"tstzrange":      {types.Other, "tstzrange", 3910},
	"daterange":      {types.Other, "daterange", 3912},
	"int8range":      {types.Other, "int8range", 3926},
	"jsonpath":       {types.Other, "jsonpath", 4072},
	"regcollation":   {types.Other, "regcollation", 4191},
	"int4multirange": {types.Other, "int4multirange", 4451},
	"xid8":           {types.Other, "xid8", 5069},
}

var serials = map[string]types.Kind{
	"serial": types.Int4, "serial4": types.Int4,
	"bigserial": types.Int8, "serial8": types.Int8,
	"smallserial": types.Int2, "serial2": types.Int2,
}

func (m *mapper) typeName(n *ast.TypeName) ir.TypeName {
	if n == nil {
		return ir.TypeName{Pos: -1}
	}
	t := ir.TypeName{Pos: m.pos(n.Location)}
	if n.PctType {
		m.lack("%TYPE")
	}
	if n.Setof {
		m.lack("SETOF")
	}
	name := qualified(words(n.Names))
	array := len(n.ArrayBounds) > 0
	if name.Schema == "" || name.Schema == "pg_catalog" {
		if k, ok := serials[name.Name]; ok && name.Schema == "" {
			t.Type, t.Serial, t.Declared = types.T(k), true, builtins[map[types.Kind]string{types.Int2: "int2", types.Int4: "int4", types.Int8: "int8"}[k]].declared
			if array {
				m.fail(n.Location, "0A000", "array of serial is not implemented")
			}
			return t
		}
		b, ok := builtins[name.Name]
		if !ok && strings.HasPrefix(name.Name, "_") {
			if b, ok = builtins[name.Name[1:]]; ok {
				array = true
			}
		}
		if ok && b.kind != types.Unknown {
			t.Type = types.Type{Kind: b.kind, OID: b.oid}
			t.Declared = m.typmod(&t.Type, name, b.declared, n)
			if array {
				t.Type.Elem, t.Type.Kind = t.Type.Kind, types.Array
				t.Declared += "[]"
			}
			return t
		}
	}
	t.Name = name
	t.Name.Pos = t.Pos
	t.Array = array
	t.Declared = quoteName(name)
	if array {
		t.Declared += "[]"
	}
	return t
}

// typmod reads the modifiers into t and returns the type's name with them.
func (m *mapper) typmod(t *types.Type, name ir.Name, declared string, n *ast.TypeName) string {
	mods := make([]int64, 0, 2)
	for _, mod := range n.Typmods {
		c, ok := mod.(*ast.AConst)
		if !ok || c.Ival == nil {
			m.fail(n.Location, "42601", "type modifiers must be simple constants or identifiers")
			return declared
		}
		mods = append(mods, int64(c.Ival.Ival))
	}
	bad := func(format string, args ...any) string {
		m.fail(n.Location, "22023", format, args...)
		return declared
	}
	one := func(limit int64) bool { return len(mods) == 1 && mods[0] >= 1 && mods[0] <= limit }
	switch t.Kind {
	case types.Varchar, types.Char:
		word := map[types.Kind]string{types.Varchar: "varchar", types.Char: "char"}[t.Kind]
		if len(mods) == 0 {
			if t.Kind == types.Char {
				return "bpchar" // only the internal name comes without a length
			}
			return declared
		}
		if !one(10485760) {
			if mods[0] < 1 {
				return bad("length for type %s must be at least 1", word)
			}
			return bad("length for type %s cannot exceed 10485760", word)
		}
		t.Len = int32(mods[0])
		return declared + "(" + strconv.FormatInt(mods[0], 10) + ")"
	case types.Bit:
		if len(mods) == 0 {
			return declared
		}
		if !one(83886080) {
			return bad("length for type %s must be at least 1 and at most 83886080", name.Name)
		}
		t.Len = int32(mods[0])
		return declared + "(" + strconv.FormatInt(mods[0], 10) + ")"
	case types.Numeric:
		switch len(mods) {
		case 0:
			return declared
		case 1:
			mods = append(mods, 0)
		}
		if mods[0] < 1 || mods[0] > 1000 {
			return bad("NUMERIC precision %d must be between 1 and 1000", mods[0])
		}
		if mods[1] < -1000 || mods[1] > 1000 {
			return bad("NUMERIC scale %d must be between -1000 and 1000", mods[1])
		}
		t.Len, t.Scale = int32(mods[0]), int32(mods[1])
		return declared + "(" + strconv.FormatInt(mods[0], 10) + "," + strconv.FormatInt(mods[1], 10) + ")"
	case types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ:
		if len(mods) == 0 {
			return declared
		}
		p := mods[0]
		if p < 0 {
			return bad("%s(%d) precision must not be negative", strings.ToUpper(declared), p)
		}
		p = min(p, 6)
		t.Len = int32(p) + 1
		first, rest, _ := strings.Cut(declared, " ")
		return first + "(" + strconv.FormatInt(p, 10) + ") " + rest
	case types.Interval:
		if len(mods) == 0 {
			return declared
		}
		declared += intervalNames[mods[0]]
		if len(mods) == 2 {
			p := min(max(mods[1], 0), 6)
			t.Len = int32(p) + 1
			declared += "(" + strconv.FormatInt(p, 10) + ")"
		}
		return declared
	}
	if len(mods) > 0 {
		m.fail(n.Location, "42601", "type modifier is not allowed for type %q", name.Name)
	}
	return declared
}

// The bits of an interval's field mask.
const (
	maskMonth  = 1 << 1
	maskYear   = 1 << 2
	maskDay    = 1 << 3
	maskHour   = 1 << 10
	maskMinute = 1 << 11
	maskSecond = 1 << 12
)

var intervalNames = map[int64]string{
	maskYear: " year", maskMonth: " month", maskDay: " day", maskHour: " hour", maskMinute: " minute", maskSecond: " second",
	maskYear | maskMonth: " year to month", maskDay | maskHour: " day to hour", maskDay | maskHour | maskMinute: " day to minute",
	maskDay | maskHour | maskMinute | maskSecond: " day to second", maskHour | maskMinute: " hour to minute",
	maskHour | maskMinute | maskSecond: " hour to second", maskMinute | maskSecond: " minute to second",
}

// intervalFields writes a literal so that it means without its field mask what it means with it: in INTERVAL '5' DAY
// and INTERVAL '2:30' MINUTE TO SECOND the fields say the unit.
func intervalFields(s string, mods []ast.Node) string {
	c, ok := mods[0].(*ast.AConst)
	if !ok || c.Ival == nil {
		return s
	}
	text := strings.TrimSpace(s)
	if text == "" {
		return s
	}
	switch mask := int64(c.Ival.Ival); mask {
	case maskYear, maskMonth, maskDay, maskHour, maskMinute, maskSecond:
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return text + intervalNames[mask]
		}
	case maskYear | maskMonth:
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return text + " month"
		}
	case maskDay | maskHour:
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return text + " hour"
		}
	case maskDay | maskHour | maskMinute, maskHour | maskMinute:
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return text + " minute"
		}
	case maskMinute | maskSecond:
		if strings.Count(text, ":") == 1 && !strings.ContainsAny(text, " ") {
			sign := ""
			if text[0] == '-' || text[0] == '+' {
				sign, text = text[:1], text[1:]
			}
			return sign + "00:" + text
		}
	}
	return s
}

// decimal writes a numeric literal in canonical digits: no exponent, no superfluous zeros before the point; the digits
// after it stay.
func decimal(s string) string {
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > 200000 || e < -200000 {
			return s // out of any range: the conversion reports it
		}
		exponent = e
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	switch {
	case exponent > 0:
		if n := exponent - len(frac); n > 0 {
			frac += strings.Repeat("0", n)
		}
		whole, frac = whole+frac[:exponent], frac[exponent:]
	case exponent < 0:
		if n := -exponent - len(whole); n > 0 {
			whole = strings.Repeat("0", n) + whole
		}
		at := len(whole) + exponent
		whole, frac = whole[:at], whole[at:]+frac
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if frac != "" {
		frac = "." + frac
	}
	if sign != "" && strings.Trim(whole+frac, "0.") == "" {
		sign = ""
	}
	return sign + whole + frac
}

// bigDigits turns a hexadecimal, octal or binary literal beyond int64 into decimal digits.
func bigDigits(s string) string {
	if i, ok := new(big.Int).SetString(s, 0); ok {
		return i.String()
	}
	return s
}

// quoteName prints a qualified name with quotes where PostgreSQL puts them.
func quoteName(n ir.Name) string {
	if n.Schema != "" {
		return ident.Quote(n.Schema) + "." + ident.Quote(n.Name)
	}
	return ident.Quote(n.Name)
}
