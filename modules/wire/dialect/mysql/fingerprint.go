package mysql

import (
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser"

	"github.com/bop-platform/bop/modules/wire/types"
)

// Literal is a constant that Fingerprint took out of a text.
type Literal struct {
	Type types.Type // Int8, Numeric, or Unknown for a string
	Int  int64      // of an integer
	Text string     // of a string, its value; of a numeric, its digits
	Pos  int        // byte offset in the client's text
}

// Value returns the literal in storage form. A string has no type of its own: Convert brings it (as a Varchar) to that of
// its parameter.
func (l Literal) Value() types.Value {
	if l.Type.Kind == types.Int8 {
		return types.IntValue(l.Int)
	}
	return types.StringValue(l.Text)
}

const (
	maxLiterals    = 1000
	maxFingerprint = 64 << 10 // bytes of text
)

// Fingerprint replaces the literals of a simple statement by parameters, so that texts that differ in them share a plan.
// key is a statement that Parse understands with the same options, with ? for the literals in their order and a last
// comment that tells their types apart. Everything else of the text is in it as it was: columns without an alias are named
// after their text. ok is false where that could change what the statement means; the caller then plans the text itself.
//
// It takes one SELECT, INSERT, REPLACE, UPDATE or DELETE without parameters and versioned comments. A literal is lifted only
//
//   - in the conditions of WHERE, ON and HAVING (where there is no GROUP BY), in SET, VALUES and ON DUPLICATE KEY UPDATE;
//   - outside of function calls and of the select list, whatever is nested there;
//   - after =, <>, !=, <, >, <=, >=, a comma, an opening parenthesis, AND, OR, NOT, BETWEEN or the clause's own word, and before
//     one of those operators, a closing parenthesis, a comma, or a word that ends the expression; a number also beside
//     +, -, *, / and %;
//   - never beside COLLATE, LIKE, REGEXP, INTERVAL, a character set (_utf8mb4'…'), a type (DATE '…') or another string.
//
// A minus sign before a number belongs to it where no operand stands before the sign. Every other literal stays in the key,
// where the plan may depend on it: LIMIT, ordinals of ORDER BY and GROUP BY, hexadecimal and bit literals, exponents.
// UNION and its like, WITH and SELECT INTO make ok false.
//
// The session must take parameters of Int8 and Numeric to have those types, and those of strings to have the type of their
// place; where Convert refuses a string, it must plan the text itself.
func Fingerprint(text string, o Options) (key string, literals []Literal, ok bool) {
	if len(text) > maxFingerprint || strings.Contains(text, "/*!") {
		return "", nil, false
	}
	f := fingerprint{lexer: o.lexer(text)}
	first := f.next()
	switch {
	case f.is(first, "select"):
		f.verb, f.levels[0].list = 's', true
	case f.is(first, "insert"), f.is(first, "replace"), f.is(first, "update"), f.is(first, "delete"):
		f.verb = 'd'
	default:
		return "", nil, false
	}
	f.from, f.copied = first.from, first.from
	f.prev = first
	for t := f.next(); ; {
		next := token{}
		if t.kind != tokEnd && t.kind != tokBad {
			next = f.next()
		}
		switch f.step(t, next) {
		case stepBad:
			return "", nil, false
		case stepEnd:
			return f.key(), f.literals, true
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
	sign         token // a minus sign that may belong to the next number
	from         int   // where the statement begins
	copied       int   // how far the text is in the key
	levels       [32]level
	depth        int
	grouped      bool // there is a GROUP BY
}

// level is the state inside of one pair of parentheses.
type level struct {
	lift   bool // literals are parameters in this clause
	list   bool // the select list
	frozen bool // a function call, or inside of a select list: nothing is lifted, however deep
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
	case tokBad, tokParam, tokOpen, tokClose:
		return stepBad
	case tokPunct:
		switch t.op {
		case '(':
			if f.depth+1 == len(f.levels) {
				return stepBad
			}
			f.depth++
			f.levels[f.depth] = level{lift: top.lift, frozen: top.frozen || top.list || f.called()}
		case ')':
			if f.depth == 0 {
				return stepBad
			}
			f.depth--
		case '{', '}':
			return stepBad
		case ';':
			if next.kind != tokEnd {
				return stepBad
			}
			return stepEnd
		}
	case tokWord:
		if !f.word(t, top) {
			return stepBad
		}
	case tokString, tokInteger, tokNumber:
		if top.lift && !top.frozen && f.mayLift(t, next) {
			if len(f.literals) == maxLiterals {
				return stepBad
			}
			f.lift(t)
		}
	}
	f.sign = token{}
	if t.kind == tokOp && t.op == '-' && f.opens(f.prev, false) {
		f.sign = t
	}
	return stepOn
}

// word follows the clauses; false means that the statement is not a simple one.
func (f *fingerprint) word(t token, top *level) bool {
	set := func(l level) {
		l.frozen = top.frozen
		*top = l
	}
	switch f.s[t.from] | 0x20 {
	case 'o':
		if f.is(t, "on") {
			set(level{lift: true})
		} else if f.is(t, "order") {
			set(level{})
		}
	case 's':
		if f.is(t, "set") {
			set(level{lift: true})
		} else if f.is(t, "select") {
			set(level{list: true})
		}
	case 'f':
		if f.is(t, "from") || f.is(t, "for") {
			set(level{})
		}
	case 'i':
		if f.is(t, "into") && f.verb == 's' || f.is(t, "intersect") {
			return false
		}
	case 'w':
		if f.is(t, "with") {
			return false
		} else if f.is(t, "where") {
			set(level{lift: true})
		} else if f.is(t, "window") {
			set(level{})
		}
	case 'g':
		if f.is(t, "group") {
			f.grouped = true
			set(level{})
		}
	case 'l':
		if f.is(t, "limit") || f.is(t, "lock") {
			set(level{})
		}
	case 'h':
		if f.is(t, "having") {
			set(level{lift: !f.grouped})
		}
	case 'v':
		if f.is(t, "values") || f.is(t, "value") {
			set(level{lift: f.verb == 'd' && f.depth == 0})
		}
	case 'u':
		if f.is(t, "union") {
			return false
		} else if f.is(t, "using") {
			set(level{})
		} else if f.is(t, "update") && f.is(f.prev, "key") {
			set(level{lift: true})
		}
	case 'e':
		return !f.is(t, "except")
	case 'r':
		if f.is(t, "returning") {
			set(level{})
		}
	}
	return true
}

// called says that the parenthesis after the previous token holds the arguments of a call, or anything else that isn't
// plainly a list or an expression in parentheses.
func (f *fingerprint) called() bool {
	switch f.prev.kind {
	case tokWord:
		for _, w := range [...]string{"in", "or", "on", "and", "not", "where", "values", "value", "exists", "having"} {
			if f.is(f.prev, w) {
				return false
			}
		}
		return true
	case tokOp:
		return !f.compares(f.prev) && !f.calculates(f.prev)
	case tokPunct:
		return f.prev.op != '(' && f.prev.op != ','
	}
	return true
}

// compares says that t is one of the comparisons beside which a parameter means what the literal does.
func (f *fingerprint) compares(t token) bool {
	if t.kind != tokOp {
		return false
	}
	switch f.s[t.from:t.to] {
	case "=", "<", ">", "<>", "!=", "<=", ">=":
		return true
	}
	return false
}

func (f *fingerprint) calculates(t token) bool {
	switch t.op {
	case '+', '-', '*', '/', '%':
		return t.kind == tokOp
	}
	return false
}

// opens says that an expression may begin after t. number: of a number.
func (f *fingerprint) opens(t token, number bool) bool {
	switch t.kind {
	case tokOp:
		return f.compares(t) || number && (t.op == '*' || t.op == '/' || t.op == '%')
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

// mayLift says that a literal between these tokens means what a parameter does.
func (f *fingerprint) mayLift(t, next token) bool {
	number := t.kind != tokString
	if !f.opens(f.prev, number) {
		switch {
		case number && f.sign.to > 0: // its own sign
		case number && f.prev.kind == tokOp && (f.prev.op == '-' || f.prev.op == '+') && f.operand(f.before):
		default:
			return false
		}
	}
	switch next.kind {
	case tokEnd:
		return true
	case tokPunct:
		return next.op == ')' || next.op == ',' || next.op == ';'
	case tokOp:
		return f.compares(next) || number && f.calculates(next)
	case tokWord:
		for _, w := range [...]string{"and", "or", "where", "order", "limit", "group", "having", "on", "for", "lock", "join", "left", "right",
			"inner", "cross", "straight_join", "natural"} {
			if f.is(next, w) {
				return true
			}
		}
	}
	return false
}

// operand says that an operand surely ends with t, so that a sign after it is an operator.
func (f *fingerprint) operand(t token) bool {
	switch t.kind {
	case tokQuoted, tokInteger, tokNumber, tokString, tokVar, tokBits:
		return true
	case tokPunct:
		return t.op == ')'
	case tokWord:
		return !reserved[strings.ToUpper(f.s[t.from:t.to])]
	}
	return false
}

// reserved are the words that can't be names without quotes.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, k := range parser.Keywords {
		if k.Reserved {
			m[k.Word] = true
		}
	}
	return m
}()

// lift takes a literal out of the text, unless it is one of the rare ones that stay.
func (f *fingerprint) lift(t token) {
	lit := Literal{Pos: t.from}
	s := f.s[t.from:t.to]
	if t.kind == tokString {
		lit.Text = unquote(s, !f.noBackslash)
		if !utf8.ValidString(lit.Text) {
			return // bytes
		}
	} else {
		negative := f.sign.to > 0
		if negative {
			lit.Pos = f.sign.from
		}
		if !lit.number(s, negative) {
			return
		}
	}
	if f.literals == nil {
		f.literals = make([]Literal, 0, 8)
		f.b.Grow(len(f.s) + 16)
	}
	f.literals = append(f.literals, lit)
	f.b.WriteString(f.s[f.copied:lit.Pos])
	f.b.WriteByte('?')
	f.copied = t.to
	// A word right behind the literal must not grow together with what is there now.
	if t.to < len(f.s) && isWord(f.s[t.to]) {
		f.b.WriteByte(' ')
	}
}

// number reads a number as the grammar types it; false for those that stay.
func (l *Literal) number(s string, negative bool) bool {
	if len(s) > 18 {
		return false
	}
	i, plain := int64(0), true
	for j := range len(s) {
		if !isDigit(s[j]) {
			if s[j] != '.' {
				return false // an exponent
			}
			plain = false
			continue
		}
		i = i*10 + int64(s[j]-'0')
	}
	if plain {
		if negative {
			i = -i
		}
		l.Int, l.Type = i, types.T(types.Int8)
		return true
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	l.Text, l.Type = whole, types.T(types.Numeric)
	if fraction != "" {
		l.Text += "." + fraction
	}
	if negative {
		l.Text = "-" + l.Text
	}
	return true
}

// key ends the key with what is left of the text, and the literals' types.
func (f *fingerprint) key() string {
	end := f.prev.to
	if len(f.literals) == 0 {
		return f.s[f.from:end]
	}
	f.b.WriteString(f.s[min(f.copied, end):end])
	f.b.WriteString(" -- ")
	for i := range f.literals {
		c := byte('s')
		switch f.literals[i].Type.Kind {
		case types.Int8:
			c = '8'
		case types.Numeric:
			c = 'n'
		}
		f.b.WriteByte(c)
	}
	return f.b.String()
}
