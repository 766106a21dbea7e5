package postgres

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/ident"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Literal is a constant that Fingerprint took out of a text.
type Literal struct {
	Type types.Type // Int4, Int8, Numeric, or Unknown for a string
	Int  int64      // of an integer
	Text string     // of a string, unescaped, and of a numeric, in canonical digits
	Pos  int        // byte offset in the client's text
}

// Value returns the literal in storage form. A string has no type of its own: what it becomes is up to the type of its
// parameter.
func (l Literal) Value() types.Value {
	switch l.Type.Kind {
	case types.Int4, types.Int8:
		return types.IntValue(l.Int)
	}
	return types.StringValue(l.Text)
}

const (
	maxLiterals    = 1000
	maxFingerprint = 64 << 10 // bytes of text
)

// Fingerprint replaces the literals of a simple statement by parameters, so that texts that differ in them share a
// plan. key is a statement that Parse understands, with $1 … for the literals in their order and a last comment that
// tells their types apart; comments of the text are dropped from it, and white space is made single spaces. ok is false
// where that could change what the statement means; the caller then plans the text itself.
//
// It takes one SELECT, INSERT, UPDATE or DELETE without parameters. A literal is lifted only
//
//   - in the conditions of WHERE, ON and HAVING, in SET and in VALUES;
//   - outside of function calls, ARRAY[…], subscripts and typed literals (DATE '…', INTERVAL '…');
//   - after =, <>, !=, <, >, <=, >=, +, -, *, /, %, ||, a comma, an opening parenthesis, AND, OR, NOT, BETWEEN or the clause's own
//     word, and before one of those operators, a closing parenthesis, a comma, or a word that ends the expression: never
//     before :: or COLLATE, after LIKE, a regular expression or a JSON operator;
//   - a minus sign before a number belongs to it, as in PostgreSQL's own grammar.
//
// Every other literal stays in the key, where the plan may depend on it: LIMIT and OFFSET, ordinals of ORDER BY, the select
// list, and the predicate that names a partial index in ON CONFLICT. A literal in GROUP BY, SELECT DISTINCT ON, a set operation,
// WITH, SELECT INTO or more than one statement make ok false.
//
// The text must be one to which standard_conforming_strings = on applies, and the session must take the parameters to have
// the types of the literals.
func Fingerprint(text string) (key string, literals []Literal, ok bool) {
	if len(text) > maxFingerprint {
		return "", nil, false
	}
	f := fingerprint{lexer: lexer{s: text}}
	first := f.lexer.next()
	switch {
	case f.is(first, "select"):
		f.verb = 's'
	case f.is(first, "insert"), f.is(first, "update"), f.is(first, "delete"):
		f.verb = 'd'
	default:
		return "", nil, false
	}
	f.b.Grow(len(text) + 16)
	f.token(first)
	f.prev, f.before = first, token{}
	for t := f.lexer.next(); ; {
		next := token{}
		if t.kind != tokEnd && t.kind != tokBad {
			next = f.lexer.next()
		}
		switch f.step(t, next) {
		case stepBad:
			return "", nil, false
		case stepEnd:
			f.types()
			return f.b.String(), f.literals, true
		}
		f.before, f.prev, t = f.prev, t, next
	}
}

// fingerprint is one run over a text.
type fingerprint struct {
	lexer
	b            strings.Builder
	literals     []Literal
	verb         byte
	before, prev token // the two tokens before the current one
	pending      token // a minus sign that isn't written yet
	last         int   // where the last token that was written ends in the text
	param, name  bool  // whether it was a parameter or a word
	levels       [32]level
	depth        int
	conflict     bool // between ON CONFLICT and DO
	distinct     bool
}

// level is the state inside of one pair of parentheses.
type level struct {
	lift    bool // literals are parameters in this clause
	frozen  bool // a function call: nothing is, however deep
	grouped bool // in GROUP BY
	ordered bool // in ORDER BY
}

type step uint8

const (
	stepOn step = iota
	stepEnd
	stepBad
)

func (f *fingerprint) step(t, next token) step {
	top := &f.levels[f.depth]
	switch t.kind {
	case tokEnd:
		return stepEnd
	case tokBad, tokParam, tokOther:
		return stepBad
	case tokPunct:
		switch t.op {
		case '(', '[':
			if f.depth+1 == len(f.levels) {
				return stepBad
			}
			f.depth++
			f.levels[f.depth] = level{lift: top.lift, frozen: top.frozen || t.op == '[' || f.called(), grouped: top.grouped, ordered: top.ordered}
		case ')', ']':
			if f.depth == 0 {
				return stepBad
			}
			f.depth--
		case ';':
			if next.kind != tokEnd {
				return stepBad
			}
			return stepEnd
		}
	case tokWord:
		if !f.word(t, next, top) {
			return stepBad
		}
	case tokString, tokEscape, tokDollar, tokBits, tokInteger, tokNumber:
		if top.grouped || f.distinct && top.ordered || len(f.literals) == maxLiterals {
			return stepBad
		}
		if top.lift && !top.frozen && t.kind != tokBits && f.mayPrecede() && f.mayFollow(next) && f.lift(t) {
			return stepOn
		}
	case tokOp:
		if t.op == '-' && top.lift && !top.frozen && next.kind >= tokInteger && next.kind <= tokNumber && f.mayPrecede() {
			f.pending = t
			return stepOn
		}
	}
	f.flush()
	f.token(t)
	return stepOn
}

// word follows the clauses; false means that the statement is not a simple one.
func (f *fingerprint) word(t, next token, top *level) bool {
	switch (t.to - t.from) | int(f.s[t.from]|0x20)<<8 {
	case 2 | 'o'<<8:
		if f.is(t, "on") {
			*top = level{lift: true, frozen: top.frozen}
		}
	case 2 | 'd'<<8:
		if f.is(t, "do") {
			f.conflict = false
		}
	case 3 | 's'<<8:
		if f.is(t, "set") {
			*top = level{lift: true, frozen: top.frozen}
		}
	case 3 | 'f'<<8:
		if f.is(t, "for") {
			*top = level{frozen: top.frozen}
		}
	case 4 | 'f'<<8:
		if f.is(t, "from") && !f.is(f.prev, "distinct") {
			*top = level{frozen: top.frozen}
		}
	case 4 | 'i'<<8:
		if f.is(t, "into") && f.verb == 's' {
			return false
		}
	case 4 | 'w'<<8:
		if f.is(t, "with") {
			return false
		}
	case 5 | 'w'<<8:
		if f.is(t, "where") {
			*top = level{lift: !f.conflict, frozen: top.frozen}
		}
	case 5 | 'g'<<8:
		if f.is(t, "group") {
			*top = level{frozen: top.frozen, grouped: true}
		}
	case 5 | 'o'<<8:
		if f.is(t, "order") {
			*top = level{frozen: top.frozen, ordered: true}
		}
	case 5 | 'l'<<8, 5 | 'f'<<8, 5 | 'u'<<8:
		if f.is(t, "limit") || f.is(t, "fetch") || f.is(t, "using") {
			*top = level{frozen: top.frozen}
		} else if f.is(t, "union") {
			return false
		}
	case 6 | 'h'<<8, 6 | 'v'<<8:
		if f.is(t, "having") {
			*top = level{lift: true, frozen: top.frozen}
		} else if f.is(t, "values") {
			*top = level{lift: f.verb == 'd' && f.depth == 0, frozen: top.frozen}
		}
	case 6 | 's'<<8, 6 | 'o'<<8, 6 | 'w'<<8:
		if f.is(t, "select") || f.is(t, "offset") || f.is(t, "window") {
			*top = level{frozen: top.frozen}
		}
	case 6 | 'e'<<8:
		if f.is(t, "except") {
			return false
		}
	case 8 | 'd'<<8:
		if f.is(t, "distinct") && !f.is(f.prev, "is") && !f.is(f.prev, "not") {
			if f.is(next, "on") {
				return false
			}
			f.distinct = f.distinct || f.is(f.prev, "select")
		}
	case 8 | 'c'<<8:
		if f.is(t, "conflict") {
			f.conflict = true
			*top = level{frozen: top.frozen}
		}
	case 9 | 'r'<<8, 9 | 'i'<<8:
		if f.is(t, "returning") {
			*top = level{frozen: top.frozen}
		} else if f.is(t, "intersect") {
			return false
		}
	}
	return true
}

// called says that the parenthesis after the previous token holds the arguments of a call, or anything else that isn't
// plainly a list or an expression in parentheses.
func (f *fingerprint) called() bool {
	switch f.prev.kind {
	case tokWord:
		switch f.prev.to - f.prev.from {
		case 2:
			return !f.is(f.prev, "in") && !f.is(f.prev, "or") && !f.is(f.prev, "on")
		case 3:
			return !f.is(f.prev, "and") && !f.is(f.prev, "not")
		case 5:
			return !f.is(f.prev, "where")
		case 6:
			return !f.is(f.prev, "values") && !f.is(f.prev, "exists") && !f.is(f.prev, "having")
		}
		return true
	case tokOp:
		return !f.plain(f.prev)
	case tokPunct:
		return f.prev.op != '(' && f.prev.op != ','
	}
	return true
}

// plain says that t is one of the operators beside which a parameter means what the literal does.
func (f *fingerprint) plain(t token) bool {
	switch t.to - t.from {
	case 1:
		switch t.op {
		case '=', '<', '>', '+', '-', '*', '/', '%':
			return true
		}
	case 2:
		switch f.s[t.from:t.to] {
		case "<>", "!=", "<=", ">=", "||":
			return true
		}
	}
	return false
}

// opens says that an expression may begin after t.
func (f *fingerprint) opens(t token) bool {
	switch t.kind {
	case tokOp:
		return f.plain(t) && t.op != '-' && t.op != '+'
	case tokPunct:
		return t.op == '(' || t.op == ','
	case tokWord:
		switch t.to - t.from {
		case 2:
			return f.is(t, "or") || f.is(t, "on")
		case 3:
			return f.is(t, "and") || f.is(t, "not")
		case 5:
			return f.is(t, "where")
		case 6:
			return f.is(t, "having")
		case 7:
			return f.is(t, "between")
		}
	}
	return false
}

// mayPrecede says that what stands before the current literal lets it be a parameter.
func (f *fingerprint) mayPrecede() bool {
	if f.opens(f.prev) {
		return true
	}
	if f.prev.kind != tokOp || f.prev.op != '-' && f.prev.op != '+' {
		return false
	}
	if f.pending.to > 0 {
		return true // a number's own sign
	}
	// A binary sign has an operand before it: a name, a literal, or a closed parenthesis.
	switch f.before.kind {
	case tokQuoted, tokInteger, tokNumber, tokString, tokEscape, tokDollar:
		return true
	case tokWord:
		return f.operand(f.before)
	case tokPunct:
		return f.before.op == ')' || f.before.op == ']'
	}
	return false
}

// operand says that a word is surely a name, after which a sign is an operator.
func (f *fingerprint) operand(t token) bool {
	var buf [20]byte
	n := t.to - t.from
	if n > len(buf) {
		return true
	}
	for i := range n {
		buf[i] = f.s[t.from+i] | 0x20
		if f.s[t.from+i] == '_' {
			buf[i] = '_'
		}
	}
	if k, ok := ident.Find(string(buf[:n])); ok {
		return (k.Category == ident.Unreserved || k.Category == ident.ColumnName) && k.Word != "escape" && k.Word != "by" && k.Word != "values"
	}
	return true
}

// mayFollow says that what stands after the current literal lets it be a parameter.
func (f *fingerprint) mayFollow(t token) bool {
	switch t.kind {
	case tokEnd:
		return true
	case tokPunct:
		return t.op == ')' || t.op == ',' || t.op == ';'
	case tokOp:
		return f.plain(t)
	case tokWord:
		switch t.to - t.from {
		case 2:
			return f.is(t, "or") || f.is(t, "on")
		case 3:
			return f.is(t, "and") || f.is(t, "for")
		case 4:
			return f.is(t, "from") || f.is(t, "join") || f.is(t, "left") || f.is(t, "full")
		case 5:
			return f.is(t, "where") || f.is(t, "order") || f.is(t, "group") || f.is(t, "limit") || f.is(t, "inner") || f.is(t, "cross") || f.is(t, "right")
		case 6:
			return f.is(t, "offset") || f.is(t, "having")
		case 9:
			return f.is(t, "returning")
		}
	}
	return false
}

// lift takes the literal out of the text; false leaves it there.
func (f *fingerprint) lift(t token) bool {
	lit := Literal{Pos: t.from}
	s := f.s[t.from:t.to]
	switch t.kind {
	case tokInteger, tokNumber:
		negative := f.pending.to > 0
		if negative {
			lit.Pos = f.pending.from
		}
		if !lit.number(s, negative) {
			return false
		}
	case tokDollar:
		tag := strings.IndexByte(s[1:], '$') + 2
		lit.Text = s[tag : len(s)-tag]
	case tokString:
		if s = s[1 : len(s)-1]; strings.IndexByte(s, '\'') >= 0 {
			var ok bool
			if s, ok = unquote(s); !ok {
				return false
			}
		}
		lit.Text = s
	case tokEscape:
		var ok bool
		if lit.Text, ok = unescape(s[2 : len(s)-1]); !ok {
			return false
		}
	}
	if f.literals == nil {
		f.literals = make([]Literal, 0, 8)
	}
	f.literals = append(f.literals, lit)
	from := t.from
	if f.pending.to > 0 {
		from, f.pending = f.pending.from, token{}
	}
	f.space(from, f.name)
	var n [8]byte
	f.b.Write(strconv.AppendInt(append(n[:0], '$'), int64(len(f.literals)), 10))
	f.last, f.param, f.name = t.to, true, false
	return true
}

// number reads a number as the grammar types it.
func (l *Literal) number(s string, negative bool) bool {
	if len(s) > 18 || strings.IndexByte(s, '_') >= 0 || len(s) > 1 && s[0] == '0' && !isDigit(s[1]) && s[1] != '.' {
		return false // rare: int8's last digits, 1_000, 0x1F
	}
	i, plain := int64(0), true
	for j := range len(s) {
		if !isDigit(s[j]) {
			plain = false
			break
		}
		i = i*10 + int64(s[j]-'0')
	}
	if !plain {
		if negative {
			s = "-" + s
		}
		l.Type, l.Text = types.T(types.Numeric), decimal(s)
		return true
	}
	if negative {
		i = -i
	}
	l.Int, l.Type = i, types.T(types.Int8)
	if i == int64(int32(i)) {
		l.Type.Kind = types.Int4
	}
	return true
}

// unquote undoubles quotes; false for a literal that continues on another line.
func unquote(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\'' {
			if i+1 >= len(s) || s[i+1] != '\'' {
				return "", false
			}
			i++
		}
		b = append(b, s[i])
	}
	return string(b), true
}

// unescape reads the simple escapes of E'…'; false leaves the others to the grammar.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '\\') < 0 && strings.IndexByte(s, '\'') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'':
			if i++; i >= len(s) || s[i] != '\'' {
				return "", false
			}
			b = append(b, '\'')
		case '\\':
			if i++; i >= len(s) {
				return "", false
			}
			switch s[i] {
			case 'n':
				b = append(b, '\n')
			case 't':
				b = append(b, '\t')
			case 'r':
				b = append(b, '\r')
			case '\\', '\'', '"':
				b = append(b, s[i])
			default:
				return "", false
			}
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

// flush writes a minus sign that was held back.
func (f *fingerprint) flush() {
	if f.pending.to > 0 {
		t := f.pending
		f.pending = token{}
		f.token(t)
	}
}

// token copies a token into the key.
func (f *fingerprint) token(t token) {
	f.space(t.from, f.param && t.kind == tokWord)
	f.b.WriteString(f.s[t.from:t.to])
	f.last, f.param, f.name = t.to, false, t.kind == tokWord
}

// space writes one space where the text has any, or a comment, before the token at from, or where one is needed.
func (f *fingerprint) space(from int, needed bool) {
	if f.b.Len() > 0 && (needed || from > f.last) {
		f.b.WriteByte(' ')
	}
}

// types ends the key with the literals' types.
func (f *fingerprint) types() {
	if len(f.literals) == 0 {
		return
	}
	f.b.WriteString(" --")
	for i := range f.literals {
		c := byte('u')
		switch f.literals[i].Type.Kind {
		case types.Int4:
			c = '4'
		case types.Int8:
			c = '8'
		case types.Numeric:
			c = 'n'
		}
		f.b.WriteByte(c)
	}
}
