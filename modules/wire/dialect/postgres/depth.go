package postgres

import "github.com/bop-platform/bop/modules/wire/sqlerr"

// maxDepth is the deepest tree that the grammar is given. Measured, its stack ends at 3,200 operators applied to one
// another, 1,650 nested CASEs or subqueries in FROM and 1,100 scalar subqueries; weights below make these alike.
const maxDepth = 1000

// checkDepth refuses texts whose tree could be deeper than maxDepth. It bounds the depth from the tokens alone: at each
// open parenthesis, what was chained to the left of it, plus what is open around it.
func checkDepth(text string) error {
	l := lexer{s: text}
	// A frame counts what deepens the tree since its parenthesis opened: chain is reset by commas and clauses, joins
	// and cases are not.
	type frame struct{ chain, sticky int }
	var (
		buf   [64]frame
		open  = buf[:1]
		outer = 0 // sum over the frames below the last
	)
	for {
		t := l.next()
		top := &open[len(open)-1]
		switch t.kind {
		case tokEnd, tokBad:
			return nil // the grammar words the error
		case tokPunct:
			switch t.op {
			case '(', '[':
				outer += top.chain + top.sticky + 1
				open = append(open, frame{})
				top = &open[len(open)-1]
			case ')', ']':
				if len(open) > 1 {
					open = open[:len(open)-1]
					top = &open[len(open)-1]
					outer -= top.chain + top.sticky + 1
					if t.op == ']' {
						top.chain++ // a[1][2]…
					}
				}
			case ',':
				top.chain = 0
			case ';':
				if len(open) == 1 {
					*top = frame{}
				}
			}
		case tokOp:
			top.chain++
		case tokWord:
			switch t.to - t.from {
			case 2:
				if l.is(t, "or") {
					top.chain = 0
				} else if l.is(t, "is") || l.is(t, "at") || l.is(t, "in") {
					top.chain++
				}
			case 3:
				if l.is(t, "and") {
					top.chain = 0
				} else if l.is(t, "not") {
					top.chain++
				} else if l.is(t, "end") {
					top.sticky = max(top.sticky-2, 0)
				}
			case 4:
				if l.is(t, "case") {
					top.sticky += 2
				} else if l.is(t, "join") {
					top.sticky++
				} else if l.is(t, "like") {
					top.chain++
				} else if l.is(t, "from") {
					top.chain = 0
				} else if l.is(t, "with") {
					top.sticky++
				}
			case 5:
				if l.is(t, "union") {
					top.sticky++
					top.chain = 0
				} else if l.is(t, "where") {
					top.chain = 0
				} else if l.is(t, "ilike") || l.is(t, "array") {
					top.chain++
				}
			case 6:
				if l.is(t, "select") || l.is(t, "except") {
					top.sticky += 2
				} else if l.is(t, "isnull") {
					top.chain++
				}
			case 7:
				if l.is(t, "collate") || l.is(t, "notnull") || l.is(t, "between") || l.is(t, "similar") || l.is(t, "explain") || l.is(t, "prepare") {
					top.chain++
				}
			case 8:
				if l.is(t, "operator") {
					top.chain++
				}
			case 9:
				if l.is(t, "intersect") {
					top.sticky++
				}
			}
		}
		if outer+top.chain+top.sticky > maxDepth {
			return sqlerr.New("54001", "stack depth limit exceeded").
				My(1436, "Thread stack overrun").
				WithHint("Split the statement, or write the long chain of operators as a list (IN, ANY, concat).")
		}
	}
}
