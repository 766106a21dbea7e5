package mysql

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	pingcap "github.com/pingcap/errors"
	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/terror"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the parser's literals

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Parse parses a text of one or more statements. A text without any (empty, or only comments) gives one statement whose
// Tree is *ir.Empty. On an error it also returns the statements before the bad one.
func Parse(text string, o Options) ([]*ir.Statement, error) {
	if len(text) > MaxText {
		return nil, sqlerr.New("54000", "statement of %d bytes is longer than the limit of %d bytes", len(text), MaxText).
			My(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
	}
	executed := executeComments(text, o)
	var all []*ir.Statement
	l := o.lexer(executed)
	var d depth
	for {
		p, err := cut(&l, &d)
		if err != nil {
			return all, err
		}
		if p.from == p.to {
			if p.last {
				break
			}
			continue
		}
		st := &ir.Statement{Dialect: ir.MySQL, Text: text[p.from:p.to], Offset: p.from, Params: len(p.params)}
		if st.Tree, err = tree(executed[p.from:p.to], p.params, o); err != nil {
			return all, err
		}
		all = append(all, st)
		if p.last {
			break
		}
	}
	if len(all) == 0 {
		all = []*ir.Statement{{Dialect: ir.MySQL, Text: strings.TrimSpace(text), Tree: &ir.Empty{}}}
	}
	return all, nil
}

// piece is one statement of a text.
type piece struct {
	from, to int   // equal: there is none
	params   []int // where its parameters are, from its beginning
	last     bool
}

// cut reads up to the end of a statement. A statement with a body of statements of its own goes to the end of the text.
func cut(l *lexer, d *depth) (piece, error) {
	p := piece{from: -1}
	d.reset()
	looking, body := 0, false // for what CREATE creates
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad, t.kind == tokPunct && t.op == ';' && !body:
			p.last = t.kind == tokEnd || t.kind == tokBad
			if t.kind == tokBad && t.from < t.to { // the grammar words the error
				if p.from < 0 {
					p.from = t.from
				}
				p.to = t.to
			}
			if p.from < 0 {
				p.from = 0
			}
			return p, nil
		}
		if p.from < 0 {
			p.from = t.from
		}
		switch {
		case p.to == 0 && l.is(t, "create"):
			looking = 16
		case looking > 0 && t.kind == tokWord:
			looking--
			switch {
			case l.is(t, "procedure"), l.is(t, "function"), l.is(t, "trigger"), l.is(t, "event"):
				looking, body = 0, true
			case l.is(t, "table"), l.is(t, "view"), l.is(t, "index"), l.is(t, "database"), l.is(t, "schema"), l.is(t, "user"):
				looking = 0
			}
		}
		p.to = t.to
		if t.kind == tokParam {
			p.params = append(p.params, t.from-p.from)
		}
		if err := d.add(l, t); err != nil {
			return p, err
		}
	}
}

// parsers are TiDB's; one is used by one goroutine at a time.
var parsers = sync.Pool{New: func() any { return parser.New() }}

// tree parses one statement.
func tree(text string, params []int, o Options) (ir.Stmt, error) {
	if st := simple(text, o); st != nil {
		return st, nil
	}
	r := rewrite(text, o)
	m := &mapper{text: r.text, original: text, o: o, params: params, rewritten: r}
	node, err := grammar(r.text, text, o)
	if err != nil && r.cutReturning(o) {
		m.text = r.text
		node, err = grammar(r.text, text, o)
	}
	if err != nil {
		if st := m.other(); st != nil {
			return st, nil
		}
		return nil, err
	}
	st := m.statement(node)
	if r.returning != "" {
		m.returning(st)
	}
	switch {
	case m.err != nil:
		return nil, m.err
	case m.unsupported != "":
		return &ir.Unsupported{What: m.unsupported}, nil
	}
	return st, nil
}

// grammar runs the parser on one statement. original is the text that errors quote.
func grammar(text, original string, o Options) (node ast.StmtNode, err error) {
	p := parsers.Get().(*parser.Parser)
	defer func() {
		if r := recover(); r != nil {
			// The parser is thrown away. It panics on numbers longer than its decimals.
			node, err = nil, sqlerr.New("22003", "a number in the statement is out of range").
				My(1367, "Illegal value found during parsing")
			err.(*sqlerr.Error).Err = fmt.Errorf("grammar: %v", r)
			return
		}
		p.Reset()
		parsers.Put(p)
	}()
	p.SetSQLMode(o.mode())
	nodes, _, err := p.ParseSQL(text)
	if err != nil {
		return nil, grammarError(original, err)
	}
	if len(nodes) != 1 {
		return nil, syntaxError(original, 0)
	}
	return nodes[0], nil
}

// syntaxError is 1064 at an offset of a statement.
func syntaxError(text string, offset int) *sqlerr.Error {
	offset = min(max(offset, 0), len(text))
	near := text[offset:]
	if len(near) > 80 {
		near = strings.ToValidUTF8(near[:80], "")
	}
	line := 1 + strings.Count(text[:offset], "\n")
	if at := strings.TrimSpace(near); at != "" {
		word, _, _ := strings.Cut(at, " ")
		return sqlerr.New("42601", "syntax error at or near \"%s\"", word).My(1064, syntaxWords, near, line).At(offset)
	}
	return sqlerr.New("42601", "syntax error at end of input").My(1064, syntaxWords, near, line).At(offset)
}

const syntaxWords = "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version " +
	"for the right syntax to use near '%s' at line %d"

// grammarError words an error of the parser as MySQL does.
func grammarError(text string, err error) *sqlerr.Error {
	cause := pingcap.Cause(err)
	var te *terror.Error
	if errors.As(cause, &te) && !te.Equal(parser.ErrSyntax) && !te.Equal(parser.ErrParse) {
		q := terror.ToSQLError(te)
		e := sqlerr.New("42601", "%s", strings.ToLower(q.Message[:min(1, len(q.Message))])+q.Message[min(1, len(q.Message)):])
		e.My(q.Code, "%s", q.Message)
		e.MyState = q.State
		switch q.Code {
		case 1115, 1273:
			e.State = "22023"
		}
		return e
	}
	e := syntaxError(text, errorOffset(text, cause.Error()))
	e.Err = err
	return e
}

// errorOffset reads from "line 1 column 9 near "…"" where in the text the parser stopped. What follows near is the rest of
// the text, cut after 2,048 bytes.
func errorOffset(text, message string) int {
	const mark = ` near "`
	i := strings.Index(message, mark)
	if i < 0 {
		return len(text)
	}
	rest := message[i+len(mark):]
	if j := strings.LastIndex(rest, `" (total length `); j >= 0 {
		n := 0
		if _, err := fmt.Sscanf(rest[j:], `" (total length %d)`, &n); err == nil {
			return len(text) - n
		}
	}
	for n := min(len(rest)-1, len(text), 2048); n >= 0; n-- {
		if rest[n] == '"' && strings.HasSuffix(text, rest[:n]) {
			return len(text) - n
		}
	}
	return len(text)
}

// Count returns the number of statements in a text, and where the second one begins (0 if there is none).
func Count(text string, o Options) (n, second int) {
	l := o.lexer(executeComments(text, o))
	var d depth
	for {
		p, err := cut(&l, &d)
		if p.from < p.to {
			if n++; n == 2 {
				second = p.from
			}
		}
		if p.last || err != nil {
			return n, second
		}
	}
}

// SyntaxError is the error that MySQL tells for a text that makes no sense from an offset on.
func SyntaxError(text string, offset int) error { return syntaxError(text, offset) }
