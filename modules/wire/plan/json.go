package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// json resolves PostgreSQL's functions that make JSON of any value: only the planner knows that a stored 1 is true and
// what a row's columns are called. nil for other functions.
func (b *builder) json(f *ir.Func, sc *level) *node {
	if b.my() || f.Distinct || f.Variadic {
		return nil
	}
	binary := strings.HasPrefix(f.Name, "jsonb_") || f.Name == "to_jsonb"
	var n *node
	switch f.Name {
	case "to_json", "to_jsonb", "row_to_json", "array_to_json":
		if len(f.Args) != 1 {
			return nil
		}
		a := b.expr(f.Args[0], sc)
		if a.open && a.param == 0 {
			b.failAt(sqlerr.New("42804", "could not determine polymorphic type because input has type unknown"), f.Pos)
		}
		a = b.settle(a)
		if f.Name == "row_to_json" && a.row == nil || f.Name == "array_to_json" && a.typ.Kind != types.Array {
			return nil
		}
		n = raw(b.jsonText(a), types.T(types.JSON))
	case "json_build_object", "jsonb_build_object":
		if len(f.Args)%2 == 1 {
			b.failAt(sqlerr.New("22023", "argument list must have even number of elements").
				WithHint("The arguments of %s() must consist of alternating keys and values.", f.Name), f.Pos)
		}
		if len(f.Args) == 0 {
			return constant(types.StringValue("{}"), b.jsonType(binary))
		}
		var s strings.Builder
		s.WriteString("'{' || ")
		for i := 0; i < len(f.Args); i += 2 {
			if i > 0 {
				s.WriteString(" || ', ' || ")
			}
			s.WriteString(b.jsonKey(b.expr(f.Args[i], sc)) + " || ' : ' || " + b.jsonValue(b.expr(f.Args[i+1], sc)))
		}
		s.WriteString(" || '}'")
		n = raw(s.String(), types.T(types.JSON))
		n.notNull = true
	case "json_build_array", "jsonb_build_array":
		if len(f.Args) == 0 {
			return constant(types.StringValue("[]"), b.jsonType(binary))
		}
		var s strings.Builder
		s.WriteString("'[' || ")
		for i, e := range f.Args {
			if i > 0 {
				s.WriteString(" || ', ' || ")
			}
			s.WriteString(b.jsonValue(b.expr(e, sc)))
		}
		s.WriteString(" || ']'")
		n = raw(s.String(), types.T(types.JSON))
		n.notNull = true
	default:
		return nil
	}
	if binary {
		return b.coerce(n, types.T(types.JSONB), explicit)
	}
	return n
}

func (b *builder) jsonType(binary bool) types.Type {
	if binary {
		return types.T(types.JSONB)
	}
	return types.T(types.JSON)
}

// jsonKey prints a key of an object, quoted.
func (b *builder) jsonKey(n *node) string {
	if n.isNull() {
		b.failAt(sqlerr.New("22023", "argument 1 cannot be null").WithHint("Object keys should be text."), n.pos)
	}
	n = b.settle(n)
	if n.value != nil && n.value.Class == types.String {
		return stringSQL(jsonString(string(n.value.B)))
	}
	t := b.textOf(n)
	if t == nil {
		t = n
	}
	return "json_quote(" + t.text() + ")"
}

// jsonString quotes a constant.
func jsonString(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < ' ':
			out.WriteString(`\u00` + strconv.FormatInt(int64(r)|0x100, 16)[1:])
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// jsonValue prints a value as JSON, null for NULL, as an operand of ||.
func (b *builder) jsonValue(n *node) string {
	n = b.settle(n)
	if n.isNull() {
		return "'null'"
	}
	if n.row != nil && n.sql == "" {
		return "(" + b.jsonText(n) + ")"
	}
	if n.value != nil && n.typ.IsString() {
		return stringSQL(jsonString(string(n.value.B)))
	}
	if q := b.jsonQuoted(n); q != "" {
		return q // json_quote has null for NULL
	}
	s := b.jsonText(n)
	if n.notNull {
		return "(" + s + ")"
	}
	return "ifnull(" + s + ", 'null')"
}

// jsonText prints a value as JSON, NULL for NULL.
func (b *builder) jsonText(n *node) string {
	if n.row != nil && n.sql == "" {
		var s strings.Builder
		s.WriteString("'{' || ")
		for i, f := range n.row {
			name := "f" + strconv.Itoa(i+1)
			if n.names != nil {
				name = n.names[i]
			}
			key := jsonString(name) + ":"
			if i > 0 {
				key = "," + key
			}
			if i > 0 {
				s.WriteString(" || ")
			}
			s.WriteString(stringSQL(key) + " || " + b.jsonValue(f))
		}
		if len(n.row) == 0 {
			return "'{}'"
		}
		s.WriteString(" || '}'")
		return s.String()
	}
	switch {
	case n.typ.Kind == types.Bool:
		return "CASE " + n.arg() + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
	case n.typ.IsInteger():
		return "CAST(" + n.text() + " AS TEXT)"
	case n.typ.Kind == types.Numeric, n.typ.Kind == types.JSON, n.typ.Kind == types.JSONB:
		return n.text()
	case n.typ.Kind == types.Array:
		return b.jsonArray(n)
	}
	t := b.textOf(n)
	if t == nil {
		t = n
	}
	switch n.typ.Kind {
	case types.Float4, types.Float8:
		return t.text()
	case types.Timestamp:
		return "'\"' || replace(" + t.text() + ", ' ', 'T') || '\"'"
	case types.TimestampTZ:
		return "(SELECT '\"' || CASE WHEN substr(v, -3, 1) IN ('+', '-') THEN v || ':00' ELSE v END || '\"' FROM (SELECT replace(" + t.text() + ", ' ', 'T') AS v))"
	case types.Date, types.Time, types.UUID:
		return "'\"' || " + t.arg() + " || '\"'"
	}
	q := b.jsonQuoted(n)
	if n.notNull {
		return q
	}
	return "CASE WHEN " + n.arg() + " IS NOT NULL THEN " + q + " END"
}

// jsonQuoted prints a value that is a string in JSON, "" for one that isn't or needs no escapes.
func (b *builder) jsonQuoted(n *node) string {
	switch n.typ.Kind {
	case types.Bool, types.Numeric, types.JSON, types.JSONB, types.Array, types.Float4, types.Float8, types.Timestamp, types.TimestampTZ,
		types.Date, types.Time, types.UUID:
		return ""
	}
	if n.typ.IsInteger() {
		return ""
	}
	t := b.textOf(n)
	if t == nil {
		t = n
	}
	return "json_quote(" + t.arg() + " || '')"
}

// jsonArray prints an array as JSON. Its storage is JSON already, of the elements' storage.
func (b *builder) jsonArray(n *node) string {
	e := b.elemType(n.typ)
	if e.IsInteger() || e.IsString() || isFloat(e) {
		return n.text()
	}
	ref := quote(b.alias("e"))
	elem := &node{sql: ref + ".value", typ: e, atom: true}
	return "CASE WHEN " + n.arg() + " IS NOT NULL THEN '[' || ifnull((SELECT group_concat(" + b.jsonValue(elem) + ", ',') FROM json_each(" + n.text() + ") AS " + ref + "), '') || ']' END"
}

// jsonAggregate resolves json_agg and its companions; nil for other aggregates.
func (b *builder) jsonAggregate(f *ir.Func, args []*node, sc *level) *node {
	if b.my() {
		return nil
	}
	suffix := ""
	switch f.Name {
	case "json_agg", "jsonb_agg":
		if len(args) != 1 {
			return nil
		}
	case "json_object_agg", "jsonb_object_agg":
		if len(args) != 2 {
			return nil
		}
	default:
		return nil
	}
	if len(f.OrderBy) > 0 {
		suffix = " ORDER BY " + b.orderInside(f.OrderBy, sc)
	}
	n := atom("", types.T(types.JSON))
	if f.Name == "json_agg" || f.Name == "jsonb_agg" {
		a := b.settle(args[0])
		sep := "', '"
		if a.row != nil || a.typ.Kind == types.Array {
			sep = "', ' || char(10) || ' '"
		}
		value := b.jsonValue(a)
		if f.Distinct {
			b.unsupported(f.Name + "(DISTINCT …)")
		}
		n.sql = "group_concat(" + value + ", " + sep + suffix + ")"
		n.wrap = "'[' || $1 || ']'"
	} else {
		n.sql = "group_concat(" + b.jsonKey(args[0]) + " || ' : ' || " + b.jsonValue(args[1]) + ", ', '" + suffix + ")"
		n.wrap = "'{ ' || $1 || ' }'"
	}
	n.wrap = "(" + n.wrap + ")"
	if strings.HasPrefix(f.Name, "jsonb_") {
		stand := &node{sql: "$1", typ: types.T(types.JSON), atom: true}
		stand.sql = n.wrap
		out := b.coerce(stand, types.T(types.JSONB), explicit)
		n.wrap, n.typ = out.text(), out.typ
	}
	return n
}
