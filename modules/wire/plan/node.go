package plan

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

// node is an expression with its type: a piece of SQLite's SQL, or a constant that is printed when its type is settled.
type node struct {
	sql  string // "" for constants and rows
	typ  types.Type
	atom bool // sql needs no parentheses as an operand

	// value is a constant in the storage form of typ. While open it is the client's text, or NULL.
	value *types.Value
	param int // number of a bare parameter
	// open: the context still decides the type (untyped literals, NULL, parameters).
	open bool

	notNull bool
	column  *column // set for a bare column
	coll    string  // SQLite collation that comparisons of this value need, "" for bytes
	forced  bool    // an explicit COLLATE
	bare    bool    // SQLite applies coll (or its lack) by itself: a column through any number of subqueries

	// row holds the elements of a row constructor, or of a whole-row reference (then names are set).
	row   []*node
	names []string
	// array holds the elements of an ARRAY[…] constructor.
	array []*node

	span     span   // what whole numbers sql can give
	fast     string // the same in plain arithmetic, right when the value fits span or is checked where it is stored
	rows     *tableCall
	interval *node  // the unit of INTERVAL n UNIT, n being the node itself
	wrap     string // what goes around an aggregate once FILTER and OVER are behind it; $1 is the aggregate
	pos      int
}

// span bounds the whole numbers that an expression can have.
type span struct {
	lo, hi int64
	known  bool
}

func spanOf(t types.Type) span {
	switch t.Kind {
	case types.Bool:
		return span{0, 1, true}
	case types.Int1:
		if t.Unsigned {
			return span{0, math.MaxUint8, true}
		}
		return span{math.MinInt8, math.MaxInt8, true}
	case types.Int2:
		if t.Unsigned {
			return span{0, math.MaxUint16, true}
		}
		return span{math.MinInt16, math.MaxInt16, true}
	case types.Int3:
		if t.Unsigned {
			return span{0, 1<<24 - 1, true}
		}
		return span{-1 << 23, 1<<23 - 1, true}
	case types.Int4:
		if t.Unsigned {
			return span{0, math.MaxUint32, true}
		}
		return span{math.MinInt32, math.MaxInt32, true}
	case types.Oid, types.Xid:
		return span{0, math.MaxUint32, true}
	case types.Year:
		return span{0, 2155, true}
	case types.Int8:
		if t.Unsigned {
			return span{0, math.MaxInt64, true}
		}
		return span{math.MinInt64, math.MaxInt64, true}
	}
	return span{}
}

// within reports whether s lies inside the range of t.
func (s span) within(t types.Type) bool {
	r := spanOf(t)
	return s.known && r.known && s.lo >= r.lo && s.hi <= r.hi
}

// apply bounds the result of an operator; known is false when 64 bits may not hold it.
func (s span) apply(op string, o span) span {
	if !s.known || !o.known {
		return span{}
	}
	var f func(a, b int64) (int64, bool)
	switch op {
	case "+":
		f = addExact
	case "-":
		f = func(a, b int64) (int64, bool) {
			if b == math.MinInt64 {
				return 0, false
			}
			return addExact(a, -b)
		}
	case "*":
		f = mulExact
	default:
		return span{}
	}
	r := span{lo: math.MaxInt64, hi: math.MinInt64, known: true}
	for _, a := range [...]int64{s.lo, s.hi} {
		for _, b := range [...]int64{o.lo, o.hi} {
			v, ok := f(a, b)
			if !ok {
				return span{}
			}
			r.lo, r.hi = min(r.lo, v), max(r.hi, v)
		}
	}
	return r
}

func addExact(a, b int64) (int64, bool) {
	c := a + b
	return c, (c > a) == (b > 0)
}

func mulExact(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	if a == math.MinInt64 || b == math.MinInt64 {
		return c, a == 1 || b == 1
	}
	return c, c/b == a
}

// raw makes a node of printed SQL.
func raw(sql string, t types.Type) *node { return &node{sql: sql, typ: t} }

// atom makes a node of printed SQL that needs no parentheses.
func atom(sql string, t types.Type) *node { return &node{sql: sql, typ: t, atom: true} }

// constant makes a node of a value in storage form.
func constant(v types.Value, t types.Type) *node {
	n := &node{typ: t, value: &v, notNull: !v.IsNull(), atom: true}
	if v.Class == types.Int {
		n.span = span{v.I, v.I, true}
		n.atom = v.I >= 0
	}
	if v.Class == types.Float {
		n.atom = v.F >= 0
	}
	return n
}

// isNull reports whether n is the constant NULL.
func (n *node) isNull() bool { return n.value != nil && n.value.IsNull() }

// text is the node's SQL.
func (n *node) text() string {
	switch {
	case n.value != nil:
		return valueSQL(*n.value)
	case n.row != nil && n.sql == "":
		return "(" + list(n.row) + ")"
	}
	return n.sql
}

// arg is the node's SQL as an operand.
func (n *node) arg() string {
	s := n.text()
	if n.atom || n.row != nil {
		return s
	}
	return "(" + s + ")"
}

// number is the node's SQL for exact whole-number use: plain arithmetic where it can't overflow 64 bits.
func (n *node) number() string {
	if n.fast != "" && n.span.known {
		return "(" + n.fast + ")"
	}
	return n.arg()
}

// list prints nodes separated by commas.
func list(ns []*node) string {
	if len(ns) == 1 {
		return ns[0].text()
	}
	var s strings.Builder
	for i, n := range ns {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(n.text())
	}
	return s.String()
}

// quote writes a name as SQLite's SQL.
func quote(name string) string {
	if strings.IndexByte(name, '"') < 0 {
		return `"` + name + `"`
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// stringSQL writes a string constant.
func stringSQL(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		return "CAST(x'" + hex.EncodeToString([]byte(s)) + "' AS TEXT)"
	}
	if strings.IndexByte(s, '\'') < 0 {
		return "'" + s + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// valueSQL writes a value as a constant.
func valueSQL(v types.Value) string {
	switch v.Class {
	case types.Int:
		return strconv.FormatInt(v.I, 10)
	case types.Float:
		return floatSQL(v.F)
	case types.String:
		return stringSQL(string(v.B))
	case types.Blob:
		return "x'" + hex.EncodeToString(v.B) + "'"
	}
	return "NULL"
}

// floatSQL writes a float so that SQLite reads the same one back, as REAL.
func floatSQL(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "9e999"
	case math.IsInf(f, -1):
		return "-9e999"
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.IndexAny(s, ".e") < 0 {
		s += ".0"
	}
	return s
}
