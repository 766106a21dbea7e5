package mysql

import "github.com/bop-platform/bop/modules/wire/sqlerr"

const (
	// maxDepth is the deepest tree that is built. Everything that walks a tree does it by recursion, and SQLite bounds
	// the depth of expressions at 1,000.
	maxDepth = 1000
	// maxLogic bounds the ANDs and ORs of a statement: their chains are as deep as they are long in the grammar's tree,
	// but are printed balanced.
	maxLogic = 20_000
)

// depth bounds from the tokens alone how deep the tree of a statement can be: at each open parenthesis, what was chained to
// the left of it, plus what is open around it.
type depth struct {
	open  []frame
	outer int // sum over the frames below the last
	logic int // ANDs and ORs
}

// frame counts what deepens the tree since its parenthesis opened: chain is reset by commas and clauses, joins and cases
// are not.
type frame struct {
	chain, sticky int
	from          bool // in a list of tables, where commas are joins
}

func (d *depth) reset() {
	d.open = append(d.open[:0], frame{})
	d.outer, d.logic = 0, 0
}

// add counts a token.
func (d *depth) add(l *lexer, t token) error {
	top := &d.open[len(d.open)-1]
	switch t.kind {
	case tokPunct:
		switch t.op {
		case '(', '{':
			d.outer += top.chain + top.sticky + 1
			d.open = append(d.open, frame{})
			top = &d.open[len(d.open)-1]
		case ')', '}':
			if len(d.open) > 1 {
				d.open = d.open[:len(d.open)-1]
				top = &d.open[len(d.open)-1]
				d.outer -= top.chain + top.sticky + 1
			}
		case ',':
			top.chain = 0
			if top.from {
				top.sticky++
			}
		}
	case tokOp:
		top.chain++
	case tokWord:
		switch t.to - t.from {
		case 2:
			if l.is(t, "or") {
				top.chain = 0
				d.logic++
			} else if l.is(t, "is") || l.is(t, "in") {
				top.chain++
			}
		case 3:
			if l.is(t, "and") {
				top.chain = 0
				d.logic++
			} else if l.is(t, "set") {
				top.from = false
			} else if l.is(t, "not") || l.is(t, "xor") || l.is(t, "div") || l.is(t, "mod") {
				top.chain++
			} else if l.is(t, "end") {
				top.sticky = max(top.sticky-2, 0)
			}
		case 4:
			if l.is(t, "case") {
				top.sticky += 2
			} else if l.is(t, "join") || l.is(t, "with") {
				top.sticky++
			} else if l.is(t, "like") {
				top.chain++
			} else if l.is(t, "from") {
				top.chain, top.from = 0, true
			} else if l.is(t, "when") || l.is(t, "then") || l.is(t, "else") {
				top.chain = 0
			}
		case 5:
			if l.is(t, "union") {
				top.sticky++
				top.chain = 0
			} else if l.is(t, "where") || l.is(t, "group") || l.is(t, "order") || l.is(t, "limit") {
				top.chain, top.from = 0, false
			} else if l.is(t, "rlike") {
				top.chain++
			}
		case 6:
			if l.is(t, "select") || l.is(t, "except") {
				top.sticky += 2
				top.from = false
			} else if l.is(t, "update") {
				top.from = true
			} else if l.is(t, "regexp") || l.is(t, "binary") {
				top.chain++
			}
		case 7:
			if l.is(t, "collate") || l.is(t, "between") || l.is(t, "explain") || l.is(t, "prepare") {
				top.chain++
			}
		case 9:
			if l.is(t, "intersect") || l.is(t, "recursive") {
				top.sticky++
			}
		}
	}
	if d.outer+top.chain+top.sticky > maxDepth || d.logic > maxLogic {
		return sqlerr.New("54001", "stack depth limit exceeded").
			My(1436, "Thread stack overrun: the statement nests too deep").
			WithHint("Split the statement, or write the long chain of operators as a list (IN, CONCAT).")
	}
	return nil
}
