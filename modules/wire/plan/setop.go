package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// setOp is UNION, INTERSECT or EXCEPT.
type setOp struct {
	op          string
	left, right *relation
	outputs     []output
}

func (o *setOp) print(b *builder, s *strings.Builder, names []string) {
	if o.op == "INTERSECT ALL" || o.op == "EXCEPT ALL" {
		o.printCounted(b, s, names)
		return
	}
	o.side(b, s, o.left, names)
	s.WriteString(" " + o.op + " ")
	o.side(b, s, o.right, nil)
}

// printCounted prints INTERSECT ALL and EXCEPT ALL: equal rows are numbered, and the numbers compared with them.
func (o *setOp) printCounted(b *builder, s *strings.Builder, names []string) {
	inner := make([]string, len(o.outputs))
	keys := make([]string, len(o.outputs))
	for i, out := range o.outputs {
		inner[i] = "c" + strconv.Itoa(i+1)
		keys[i] = quote(inner[i])
		if out.node.coll != "" {
			keys[i] += " COLLATE " + out.node.coll
		}
	}
	s.WriteString("SELECT ")
	for i := range inner {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(quote(inner[i]))
		if names != nil {
			s.WriteString(" AS " + quote(names[i]))
		}
	}
	s.WriteString(" FROM (")
	for i, side := range [...]*relation{o.left, o.right} {
		if i > 0 {
			s.WriteString(" " + strings.TrimSuffix(o.op, " ALL") + " ")
		}
		s.WriteString(`SELECT *, row_number() OVER (PARTITION BY ` + strings.Join(keys, ", ") + `) FROM (` + side.print(b, inner) + ")")
	}
	s.WriteString(")")
}

// side prints an operand; SQLite has no parentheses for those that sort, limit or are set operations on the right.
func (o *setOp) side(b *builder, s *strings.Builder, r *relation, names []string) {
	plain := r.with == "" && len(r.order) == 0 && r.limit == "" && r.offset == ""
	if r.core != nil && (len(r.core.on) > 0 || len(r.core.rollup) > 0) {
		plain = false
	}
	if r.set != nil && r == o.right {
		plain = false // SQLite gives all set operators one rank and reads them from the left
	}
	if plain {
		s.WriteString(r.print(b, names))
		return
	}
	s.WriteString("SELECT * FROM (" + r.print(b, names) + ")")
}

// setBody resolves a set operation.
func (b *builder) setBody(s *ir.SetOp, r *relation, sc *level) {
	left, right := b.query(s.Left, sc), b.query(s.Right, sc)
	lo, ro := left.outputs(), right.outputs()
	if len(lo) != len(ro) {
		b.fail(sqlerr.New("42601", "each %s query must have the same number of columns", s.Op).
			My(1222, "The used SELECT statements have a different number of columns"))
	}
	r.set = &setOp{op: s.Op, left: left, right: right}
	if s.All {
		r.set.op += " ALL"
	}
	for i := range lo {
		pair := []*node{lo[i].node, ro[i].node}
		t := b.commonType(pair, s.Op)
		n := &node{typ: t, sql: "?", open: t.Kind == types.Unknown}
		n.coll = b.pairCollation(pair[0], pair[1])
		if !n.open {
			left.coerce(b, i, t, implicit)
			right.coerce(b, i, t, implicit)
		}
		if c := left.outputs()[i].node; n.coll != "" && left.core != nil && left.core.rows == nil && !c.bare && !s.All {
			// The left operand's collation decides which rows are equal.
			k := *c
			k.sql, k.value, k.atom = c.arg()+" COLLATE "+n.coll, nil, false
			left.core.outputs[i].node = &k
		}
		r.set.outputs = append(r.set.outputs, output{lo[i].name, n})
	}
}

// orderOutputs resolves ORDER BY behind VALUES and set operations: names and numbers of result columns only.
func (b *builder) orderOutputs(order []ir.Order, r *relation, sc *level) {
	for _, o := range order {
		k := sortKey{desc: o.Desc, nulls: o.Nulls}
		switch e := o.Expr.(type) {
		case *ir.Literal:
			if e.Value.Class == types.Int {
				k.ordinal = b.ordinal(e, len(r.outputs()), "ORDER BY")
			}
		case *ir.ColumnRef:
			if e.Table == "" {
				for i, out := range r.outputs() {
					if b.same(out.name, e.Name) {
						k.ordinal = i + 1
						break
					}
				}
			}
			if k.ordinal == 0 {
				sc.clause = inOrder
				if r.set != nil && e.Table == "" {
					b.noColumn(e, sc)
				}
			}
		}
		if k.ordinal == 0 {
			b.fail(sqlerr.New("0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause").
				WithHint("Only result column names can be used: put the query into FROM to sort by an expression.").
				My(1250, "Expression of ORDER BY contains aggregate function or isn't a result column and applies to a UNION"))
		}
		r.order = append(r.order, k)
	}
}
