package plan

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// storage classes whose values SQLite compares by itself, once both sides are of one.
type class uint8

const (
	noClass class = iota
	intClass
	floatClass
	numericClass
	textClass
	bytesClass
	boolClass
	dateClass
	timeClass
	timestampClass
	instantClass
	uuidClass
	enumClass
	equalOnly // equality by the stored text, no order
)

func classOf(t types.Type) class {
	switch t.Kind {
	case types.Int1, types.Int2, types.Int3, types.Int4, types.Int8, types.Year, types.Oid, types.Xid, types.Money,
		types.Regclass, types.Regtype, types.Regproc, types.Regprocedure, types.Regnamespace, types.Regrole:
		return intClass
	case types.Bit:
		if t.Len <= 63 {
			return intClass
		}
		return bytesClass
	case types.Float4, types.Float8:
		return floatClass
	case types.Numeric:
		return numericClass
	case types.Text, types.Varchar, types.Char, types.Name, types.InternalChar, types.Set:
		return textClass
	case types.Bytes:
		return bytesClass
	case types.Bool:
		return boolClass
	case types.Date:
		return dateClass
	case types.Time:
		return timeClass
	case types.Timestamp:
		return timestampClass
	case types.TimestampTZ:
		return instantClass
	case types.UUID:
		return uuidClass
	case types.Enum:
		return enumClass
	case types.JSONB, types.Array, types.Inet, types.Cidr, types.Macaddr, types.TSVector, types.Int2Vector, types.OidVector, types.Other,
		types.AclItem, types.PgNodeTree, types.Record:
		return equalOnly
	}
	return noClass
}

// comparable converts both sides so that SQLite's = (and < for ordered classes) means what the dialect's does; coll is
// what to print behind the left side. ok is false when it takes a function of the dialect, or can't be done.
func (b *builder) comparable(l, r *node) (lc, rc *node, coll string, ok bool) {
	if l.row != nil || r.row != nil {
		return l, r, "", false
	}
	if b.my() {
		return b.comparableMySQL(l, r)
	}
	switch {
	case l.open && r.open:
		l, r = b.settle(l), b.settle(r)
	case l.open:
		l = b.close(l, partner(r.typ), implicit)
	case r.open:
		r = b.close(r, partner(l.typ), implicit)
	}
	lcl, rcl := classOf(l.typ), classOf(r.typ)
	switch {
	case lcl == noClass || rcl == noClass:
		return l, r, "", false
	case lcl == rcl:
		if lcl == equalOnly && base(l.typ) != base(r.typ) || lcl == enumClass && l.typ.OID != r.typ.OID {
			return l, r, "", false
		}
	case lcl <= numericClass && rcl <= numericClass:
		// SQLite compares whole numbers and floats by value; numerics are text.
		switch {
		case lcl == numericClass && rcl == floatClass:
			l = b.coerce(l, types.T(types.Float8), implicit)
		case rcl == numericClass && lcl == floatClass:
			r = b.coerce(r, types.T(types.Float8), implicit)
		case lcl == numericClass:
			r = b.coerce(r, types.T(types.Numeric), implicit)
		case rcl == numericClass:
			l = b.coerce(l, types.T(types.Numeric), implicit)
		}
	case lcl >= dateClass && lcl <= instantClass && rcl >= dateClass && rcl <= instantClass && lcl != timeClass && rcl != timeClass:
		if lcl < rcl {
			l = b.tryCast(l, base(r.typ))
		} else {
			r = b.tryCast(r, base(l.typ))
		}
		if l == nil || r == nil {
			return nil, nil, "", false
		}
	default:
		// regclass = text and the like: where one side converts to the other by itself.
		if c := b.tryCast(l, r.typ); c != nil {
			l = c
		} else if c := b.tryCast(r, l.typ); c != nil {
			r = c
		} else {
			return l, r, "", false
		}
		if c := classOf(l.typ); c == noClass || c != classOf(r.typ) {
			return l, r, "", false
		}
	}
	return l, r, b.compareCollation(l, r), true
}

// partner is the type that an untyped constant takes beside a value of type t.
func partner(t types.Type) types.Type {
	switch t.Kind {
	case types.Record, types.Varchar: // varchar has no operators of its own
		return types.T(types.Text)
	}
	return base(t)
}

func (b *builder) tryCast(n *node, t types.Type) *node {
	if !b.convertible(n.typ, t, implicit) {
		return nil
	}
	return b.coerce(n, t, implicit)
}

// compareCollation is the COLLATE that a comparison of l and r needs printed behind l.
func (b *builder) compareCollation(l, r *node) string {
	want := b.pairCollation(l, r)
	if l.forced || l.bare && l.coll == want {
		return ""
	}
	if !l.bare && (r.forced || r.bare && r.coll == want) {
		if l.column == nil || want != "" {
			return ""
		}
	}
	if want == "" {
		if l.bare && l.coll != "" || !l.bare && r.bare && r.coll != "" {
			return " COLLATE BINARY"
		}
		return ""
	}
	return " COLLATE " + want
}

// pairCollation is the collation that two values are compared with.
func (b *builder) pairCollation(l, r *node) string {
	switch {
	case l.forced:
		return l.coll
	case r.forced:
		return r.coll
	case l.typ.Kind == types.Numeric || r.typ.Kind == types.Numeric:
		return "bop_decimal"
	case l.column != nil:
		return l.coll
	case r.column != nil:
		return r.coll
	case l.bare:
		return l.coll
	case r.bare:
		return r.coll
	case l.coll != "":
		return l.coll
	}
	return r.coll
}

// collate is the COLLATE that sorting or grouping by n needs printed.
func (b *builder) collate(n *node) string {
	if n.bare || n.coll == "" {
		return ""
	}
	return " COLLATE " + n.coll
}

// keyed prints n as a key of GROUP BY, DISTINCT or PARTITION BY.
func (b *builder) keyed(n *node) string {
	if c := b.collate(n); c != "" {
		return n.arg() + c
	}
	return n.text()
}

// sortsByExpression reports whether values of t are not in order as they are stored.
func (b *builder) sortsByExpression(t types.Type) bool {
	switch t.Kind {
	case types.Enum, types.Set:
		return b.enum(t) != nil
	case types.Interval, types.TimeTZ, types.Inet, types.Cidr:
		return len(funcs.Lookup(b.d, "bop_sort_key")) > 0
	case types.Array:
		e := types.T(t.Elem)
		return e.IsInteger() || e.IsString() || e.IsTime() || e.Kind == types.UUID
	}
	return false
}

// sortExpr prints what a value is sorted by.
func (b *builder) sortExpr(n *node) string {
	if !b.sortsByExpression(n.typ) {
		return b.keyed(n)
	}
	if n.typ.Kind == types.Enum {
		return b.enumOrder(n)
	}
	if n.typ.Kind == types.Set {
		return b.keyed(n)
	}
	if n.typ.Kind == types.Array {
		return b.arrayOrder(n)
	}
	if k := b.tryInternal("bop_sort_key", n); k != nil {
		return k.text()
	}
	return b.keyed(n)
}

// arrayOrder is a text that sorts as an array does: by its elements one after the other, NULLs last, the shorter first.
func (b *builder) arrayOrder(n *node) string {
	key := "ifnull(value, char(1114111))"
	if types.T(n.typ.Elem).IsInteger() {
		key = "CASE WHEN value IS NULL THEN 'g' WHEN value < 0 THEN format('%016llx', value & 9223372036854775807) ELSE format('%016llx', value | -9223372036854775808) END"
	}
	return "CASE WHEN " + n.arg() + " IS NOT NULL THEN ifnull((SELECT group_concat(" + key + ", char(1) ORDER BY key) FROM json_each(" + n.text() + ")), '') END"
}

// enumOrder is the place of an enum's value among its labels.
func (b *builder) enumOrder(n *node) string {
	e := b.enum(n.typ)
	if e == nil {
		return n.text()
	}
	var s strings.Builder
	s.WriteString("CASE " + n.arg())
	for i, l := range e.Labels {
		s.WriteString(" WHEN " + stringSQL(l) + " THEN ")
		s.WriteString(constant(types.IntValue(int64(i+1)), types.T(types.Int4)).text())
	}
	s.WriteString(" END")
	return s.String()
}

// compare makes the node of l op r for a comparison operator.
func (b *builder) compare(op string, l, r *node, pos int) *node {
	if l.row != nil && l.sql == "" && r.row != nil && r.sql == "" {
		return b.compareRows(op, l, r, pos)
	}
	if l.row != nil || r.row != nil {
		b.failAt(sqlerr.New("42883", "operator does not exist: %s %s %s", typeName(l.typ), op, typeName(r.typ)).
			My(1241, "Operand should contain 1 column(s)"), pos)
	}
	lc, rc, coll, ok := b.comparable(l, r)
	if ok {
		cl := classOf(lc.typ)
		ordered := cl != equalOnly && cl != enumClass
		switch op {
		case "=", "<>", "<=>", "IS DISTINCT FROM":
			return b.printCompare(op, lc, rc, coll)
		}
		if ordered || b.my() && cl != enumClass {
			return b.printCompare(op, lc, rc, coll)
		}
		if cl == enumClass && b.enum(lc.typ) != nil {
			return b.boolean(b.enumOrder(lc) + " " + op + " " + b.enumOrder(rc))
		}
	}
	switch op {
	case "<=>":
		// No operator of its own in PostgreSQL: from equality and the NULLs.
		eq := b.compare("=", l, r, pos)
		return b.boolean("ifnull(" + eq.text() + ", " + b.settle(l).arg() + " IS NULL AND " + b.settle(r).arg() + " IS NULL)")
	case "IS DISTINCT FROM":
		eq := b.compare("<=>", l, r, pos)
		return b.boolean("NOT " + eq.arg())
	}
	return b.signatureOperator(op, l, r, pos)
}

func (b *builder) printCompare(op string, l, r *node, coll string) *node {
	switch op {
	case "<=>":
		op = "IS"
	case "IS DISTINCT FROM":
		op = "IS NOT"
	}
	ls, rs := l.arg(), r.arg()
	if l.fast != "" {
		ls = l.number()
	}
	if r.fast != "" {
		rs = r.number()
	}
	n := b.boolean(ls + coll + " " + op + " " + rs)
	n.notNull = l.notNull && r.notNull || op == "IS" || op == "IS NOT"
	return n
}

// compareRows compares rows field by field, by SQLite's row values where every field allows it.
func (b *builder) compareRows(op string, l, r *node, pos int) *node {
	if len(l.row) != len(r.row) {
		b.failAt(sqlerr.New("42601", "unequal number of entries in row expressions").My(1241, "Operand should contain %d column(s)", len(l.row)), pos)
	}
	if len(l.row) == 0 {
		b.failAt(sqlerr.New("0A000", "cannot compare rows of zero length"), pos)
	}
	var ls, rs []string
	native := true
	for i := range l.row {
		lc, rc, coll, ok := b.comparable(l.row[i], r.row[i])
		if !ok || classOf(lc.typ) == enumClass && op != "=" && op != "<>" {
			native = false
			break
		}
		ls, rs = append(ls, lc.arg()+coll), append(rs, rc.arg())
	}
	if native {
		word := op
		switch op {
		case "<=>":
			word = "IS"
		case "IS DISTINCT FROM":
			word = "IS NOT"
		}
		if len(ls) == 1 {
			return b.boolean(ls[0] + " " + word + " " + rs[0])
		}
		return b.boolean("(" + strings.Join(ls, ", ") + ") " + word + " (" + strings.Join(rs, ", ") + ")")
	}
	var terms []string
	switch op {
	case "=", "<=>":
		for i := range l.row {
			terms = append(terms, b.compare(op, l.row[i], r.row[i], pos).arg())
		}
		return b.boolean(strings.Join(terms, " AND "))
	case "<>", "IS DISTINCT FROM":
		for i := range l.row {
			terms = append(terms, b.compare(op, l.row[i], r.row[i], pos).arg())
		}
		return b.boolean(strings.Join(terms, " OR "))
	}
	b.unsupported("comparison of rows by " + op + " with these types")
	return nil
}

// comparableMySQL converts both sides as MySQL compares them.
func (b *builder) comparableMySQL(l, r *node) (*node, *node, string, bool) {
	switch {
	case l.open && r.open:
		l, r = b.settle(l), b.settle(r)
	case l.open:
		l = b.close(l, paramMySQL(l, r), implicit)
	case r.open:
		r = b.close(r, paramMySQL(r, l), implicit)
	}
	lt, rt := l.typ, r.typ
	ln, rn := isNumberMySQL(lt), isNumberMySQL(rt)
	switch {
	case ln && rn:
		lf, rf := lt.Kind == types.Float8 || lt.Kind == types.Float4, rt.Kind == types.Float8 || rt.Kind == types.Float4
		ld, rd := lt.Kind == types.Numeric, rt.Kind == types.Numeric
		switch {
		case ld && rf:
			l = b.coerce(l, types.T(types.Float8), implicit)
		case rd && lf:
			r = b.coerce(r, types.T(types.Float8), implicit)
		case ld && !rd:
			r = b.coerce(r, types.T(types.Numeric), implicit)
		case rd && !ld:
			l = b.coerce(l, types.T(types.Numeric), implicit)
		}
	case lt.IsTime() && rt.IsTime():
		if lt.Kind != rt.Kind {
			t := types.T(types.Timestamp)
			if lt.Kind == types.TimestampTZ || rt.Kind == types.TimestampTZ {
				t = types.T(types.TimestampTZ)
			}
			l, r = b.coerce(l, t, implicit), b.coerce(r, t, implicit)
		}
	case lt.IsTime() && rt.IsString():
		r = b.timeConstant(r, lt)
	case rt.IsTime() && lt.IsString():
		l = b.timeConstant(l, rt)
	case ln || rn:
		l, r = b.numberFor(l, r), b.numberFor(r, l)
	case lt.Kind == types.Bytes && rt.Kind != types.Bytes:
		r = b.coerce(r, types.T(types.Bytes), implicit)
	case rt.Kind == types.Bytes && lt.Kind != types.Bytes:
		l = b.coerce(l, types.T(types.Bytes), implicit)
	case isJSON(lt) != isJSON(rt):
		if isJSON(lt) {
			r = b.jsonScalar(r)
		} else {
			l = b.jsonScalar(l)
		}
	}
	return l, r, b.compareCollation(l, r), true
}

// paramMySQL is the type of a parameter that is compared with other.
func paramMySQL(p, other *node) types.Type {
	if other.typ.IsTime() || other.typ.IsString() || isJSON(other.typ) {
		if other.typ.Kind == types.Enum || other.typ.Kind == types.Set || isJSON(other.typ) {
			return types.T(types.Text)
		}
	}
	return base(other.typ)
}

// timeConstant converts a string that is compared with a time.
func (b *builder) timeConstant(n *node, t types.Type) *node {
	if t.Kind == types.Date {
		t = types.T(types.Timestamp) // '2024-01-01 10:00:00' is not that day's date
		if n.value != nil && len(n.value.B) <= 10 {
			t = types.T(types.Date)
		}
	}
	return b.coerce(n, base(t), explicit)
}

// numberFor converts n for a comparison with other where one of them is a number.
func (b *builder) numberFor(n, other *node) *node {
	if isNumberMySQL(n.typ) {
		if n.typ.Kind == types.Numeric {
			return b.coerce(n, types.T(types.Float8), implicit)
		}
		return n
	}
	if n.isNull() {
		return n
	}
	if n.value != nil && n.value.Class == types.String && (other.typ.IsInteger() || other.typ.Kind == types.Bool) {
		if v, err := types.ParseText(types.T(types.Int8), n.value.B, nil); err == nil {
			return b.folded(n, v, types.T(types.Int8))
		}
	}
	return b.coerce(n, types.T(types.Float8), explicit)
}

// jsonScalar makes JSON of a value that is compared with JSON.
func (b *builder) jsonScalar(n *node) *node {
	if n.isNull() {
		return n
	}
	if isNumberMySQL(n.typ) {
		return raw("CAST("+n.text()+" AS TEXT)", types.T(types.JSONB))
	}
	return raw("json_quote("+n.text()+")", types.T(types.JSONB))
}

// noOperator is the error for operands that no operator takes.
func (b *builder) noOperator(op string, l, r types.Type, pos int) {
	if op == "<=>" {
		op = "="
	}
	b.failAt(sqlerr.New("42883", "operator does not exist: %s %s %s", typeName(l), op, typeName(r)).
		WithHint("No operator matches the given name and argument types. You might need to add explicit type casts.").
		My(1210, "Incorrect arguments to %s", op), pos)
}
