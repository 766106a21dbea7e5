package mysql

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// rewritten is a statement in which what the parser's grammar lacks was replaced by something as long that it has.
type rewritten struct {
	text         string
	alias        string // INSERT … VALUES (…) AS alias (columns)
	aliasColumns []string
	exprs        []insertedExpr // DEFAULT (expression)
	returning    string         // the list of RETURNING, which MariaDB has
	returningAt  int
}

// insertedExpr is an expression that a 0 stands for.
type insertedExpr struct {
	from, to int // of its parentheses
	text     string
}

// at returns the expression that the literal at an offset stands for.
func (r *rewritten) at(offset int) *insertedExpr {
	if r == nil {
		return nil
	}
	for i := range r.exprs {
		if e := &r.exprs[i]; e.from <= offset && offset < e.to {
			return e
		}
	}
	return nil
}

// parsed maps an expression that the grammar didn't see in its place.
func (m *mapper) parsed(x *insertedExpr) ir.Expr {
	const head = "SELECT "
	st, err := tree(head+x.text, nil, m.o)
	if err != nil {
		m.syntax(x.from)
		return &ir.Literal{Pos: -1}
	}
	if q, ok := st.(*ir.Query); ok {
		if s, ok := q.Body.(*ir.Select); ok && len(s.Items) == 1 && s.Items[0].Alias == "" && s.From == nil {
			return s.Items[0].Expr
		}
	}
	if u, ok := st.(*ir.Unsupported); ok {
		m.lack(u.What)
		return &ir.Literal{Pos: -1}
	}
	m.syntax(x.from)
	return &ir.Literal{Pos: -1}
}

// rewrite replaces what it knows; offsets stay what they are.
func rewrite(text string, o Options) *rewritten {
	r := &rewritten{text: text}
	l := o.lexer(text)
	switch first := l.next(); {
	case l.is(first, "create"), l.is(first, "alter"):
		r.defaults(&l)
		r.checkOption(o)
	case l.is(first, "insert"), l.is(first, "replace"):
		r.rowAlias(&l)
	}
	return r
}

func (r *rewritten) blank(from, to int, with string) {
	r.text = r.text[:from] + with + strings.Repeat(" ", to-from-len(with)) + r.text[to:]
}

// defaults puts DEFAULT (0) for DEFAULT (expression).
func (r *rewritten) defaults(l *lexer) {
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad:
			return
		case !l.is(t, "default"):
			continue
		}
		open := l.next()
		if open.kind != tokPunct || open.op != '(' {
			continue
		}
		depth := 1
		var shut token
		for depth > 0 {
			shut = l.next()
			switch {
			case shut.kind == tokEnd || shut.kind == tokBad:
				return
			case shut.kind == tokPunct && shut.op == '(':
				depth++
			case shut.kind == tokPunct && shut.op == ')':
				depth--
			}
		}
		inner := strings.TrimSpace(r.text[open.to:shut.from])
		if inner == "" {
			continue
		}
		r.exprs = append(r.exprs, insertedExpr{from: open.from, to: shut.to, text: inner})
		r.blank(open.from, shut.to, "(0)")
	}
}

// checkOption takes WITH [LOCAL|CASCADED] CHECK OPTION from the end of a view. It says what may be written through the
// view, and nothing can be, here.
func (r *rewritten) checkOption(o Options) {
	l := o.lexer(r.text)
	var last [4]token
	for t := l.next(); ; t = l.next() {
		if t.kind == tokBad {
			return
		}
		if t.kind == tokEnd {
			break
		}
		copy(last[:], last[1:])
		last[3] = t
	}
	if !l.is(last[3], "option") || !l.is(last[2], "check") {
		return
	}
	from := last[1]
	if l.is(from, "local") || l.is(from, "cascaded") {
		from = last[0]
	}
	if l.is(from, "with") {
		r.blank(from.from, len(r.text), "")
	}
}

// rowAlias takes the alias of a row of VALUES or SET out: … AS row [(columns)] ON DUPLICATE KEY UPDATE.
func (r *rewritten) rowAlias(l *lexer) {
	open, values := 0, false
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad:
			return
		case t.kind == tokPunct && t.op == '(':
			open++
		case t.kind == tokPunct && t.op == ')':
			open--
		case open > 0:
		case l.is(t, "values"), l.is(t, "value"), l.is(t, "set"):
			values = true
		case l.is(t, "select"), l.is(t, "on"):
			return
		case values && l.is(t, "as"):
			n := l.next()
			alias, ok := l.identifier(n)
			if !ok {
				return
			}
			end := n.to
			var columns []string
			next := l.next()
			if next.kind == tokPunct && next.op == '(' {
				for {
					c := l.next()
					name, ok := l.identifier(c)
					if !ok {
						return
					}
					columns = append(columns, name)
					if c = l.next(); c.kind == tokPunct && c.op == ')' {
						end = c.to
						break
					} else if c.kind != tokPunct || c.op != ',' {
						return
					}
				}
				next = l.next()
			}
			if next.kind != tokEnd && !l.is(next, "on") {
				return
			}
			r.alias, r.aliasColumns = alias, columns
			r.blank(t.from, end, "")
			return
		}
	}
}

// cutReturning takes RETURNING out of INSERT, REPLACE and DELETE; false if there is none.
func (r *rewritten) cutReturning(o Options) bool {
	l := o.lexer(r.text)
	if first := l.next(); !l.is(first, "insert") && !l.is(first, "replace") && !l.is(first, "delete") {
		return false
	}
	open, at := 0, token{}
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd && at.to > 0:
			r.returning, r.returningAt = r.text[at.to:], at.from
			r.blank(at.from, len(r.text), "")
			return true
		case t.kind == tokEnd || t.kind == tokBad, t.kind == tokParam && at.to > 0:
			return false
		case t.kind == tokPunct && t.op == '(':
			open++
		case t.kind == tokPunct && t.op == ')':
			open--
		case open == 0 && l.is(t, "returning"):
			at = t
		}
	}
}

// returning maps the list that was cut.
func (m *mapper) returning(st ir.Stmt) {
	list, err := tree("SELECT "+m.rewritten.returning, nil, m.o)
	q, ok := list.(*ir.Query)
	if err != nil || !ok || m.err != nil {
		m.syntax(m.rewritten.returningAt)
		return
	}
	s, ok := q.Body.(*ir.Select)
	if !ok || s.From != nil || s.Where != nil || q.OrderBy != nil || q.Limit != nil {
		m.syntax(m.rewritten.returningAt)
		return
	}
	switch st := st.(type) {
	case *ir.Insert:
		st.Returning = s.Items
	case *ir.Delete:
		st.Returning = s.Items
	default:
		m.syntax(m.rewritten.returningAt)
	}
}

// identifier returns the name that a token is.
func (l *lexer) identifier(t token) (string, bool) {
	s := l.s[t.from:t.to]
	switch t.kind {
	case tokWord:
		return s, true
	case tokQuoted:
		q := s[:1]
		return strings.ReplaceAll(s[1:len(s)-1], q+q, q), true
	}
	return "", false
}
