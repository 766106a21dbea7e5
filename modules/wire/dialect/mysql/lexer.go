package mysql

// tokenKind is the kind of a token.
type tokenKind uint8

const (
	tokEnd     tokenKind = iota
	tokWord              // keyword or bare name
	tokQuoted            // `name`, and "name" with ANSI_QUOTES
	tokString            // '…', and "…" without ANSI_QUOTES
	tokBits              // x'…', b'…', 0x…, 0b…
	tokInteger           // decimal digits
	tokNumber            // any other number
	tokParam             // ?
	tokVar               // @name, @'name', @@name
	tokOp                // operator
	tokPunct             // ( ) , ; . { }
	tokOpen              // /*! with its digits, only when the lexer looks for them
	tokClose             // */ of such a comment
	tokBad               // unterminated, or no token of MySQL's
)

// token is a slice of the text: text[from:to].
type token struct {
	kind     tokenKind
	from, to int
	op       byte // the byte itself for tokPunct, and for a tokOp of one byte
}

// lexer cuts a text into MySQL's tokens. It allocates nothing.
type lexer struct {
	s           string
	i           int
	ansi        bool // ANSI_QUOTES
	noBackslash bool // NO_BACKSLASH_ESCAPES
	versioned   bool // report versioned comments
	inside      bool // of a versioned comment that is executed
	dot         bool // the last token was a dot: 1e5 after it is a name
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

// at returns the byte n after the current one, 0 past the end.
func (l *lexer) at(n int) byte {
	if l.i+n < len(l.s) {
		return l.s[l.i+n]
	}
	return 0
}

// space passes over white space and comments; it reports false in an unterminated comment.
func (l *lexer) space() bool {
	for l.i < len(l.s) {
		switch c := l.s[l.i]; {
		case isSpace(c):
			l.i++
		case c == '#':
			l.line()
		case c == '-' && l.at(1) == '-' && (l.i+2 >= len(l.s) || l.s[l.i+2] <= ' '):
			l.line()
		case c == '/' && l.at(1) == '*':
			if l.versioned && l.at(2) == '!' {
				return true
			}
			l.i += 2
			if !l.comment() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

func (l *lexer) line() {
	for l.i < len(l.s) && l.s[l.i] != '\n' {
		l.i++
	}
}

// comment moves behind the end of a comment.
func (l *lexer) comment() bool {
	for ; l.i < len(l.s); l.i++ {
		if l.s[l.i] == '*' && l.at(1) == '/' {
			l.i += 2
			return true
		}
	}
	return false
}

// next returns the next token. After tokBad the lexer is at the end.
func (l *lexer) next() token {
	if !l.space() {
		return l.bad(len(l.s))
	}
	from := l.i
	if from >= len(l.s) {
		return token{kind: tokEnd, from: from, to: from}
	}
	afterDot := l.dot
	l.dot = false
	c := l.s[from]
	switch {
	case c == '\'' || c == '"' && !l.ansi:
		return l.quoted(tokString, from, c)
	case c == '`' || c == '"':
		return l.quoted(tokQuoted, from, c)
	case isDigit(c):
		return l.number(from, afterDot)
	case isWord(c):
		if l.at(1) == '\'' {
			switch c {
			case 'x', 'X', 'b', 'B':
				l.i++
				return l.quoted(tokBits, from, '\'')
			}
		}
		return l.word(from)
	case c == '.':
		if isDigit(l.at(1)) && !(from > 0 && (isWord(l.s[from-1]) || l.s[from-1] == '`')) {
			return l.number(from, false)
		}
		l.dot = true
	case c == '@':
		return l.variable(from)
	case c == '?':
		l.i++
		return token{kind: tokParam, from: from, to: l.i}
	case c == '/' && l.at(1) == '*': // only with versioned
		l.i += 3
		for isDigit(l.at(0)) && l.i-from < 9 {
			l.i++
		}
		return token{kind: tokOpen, from: from, to: l.i}
	case c == '*' && l.at(1) == '/' && l.inside:
		l.i += 2
		return token{kind: tokClose, from: from, to: l.i}
	case c == '(' || c == ')' || c == ',' || c == ';' || c == '{' || c == '}':
	case c == 0:
		return l.bad(from)
	default:
		return l.operator(from)
	}
	l.i++
	return token{kind: tokPunct, from: from, to: l.i, op: c}
}

func (l *lexer) bad(from int) token {
	l.i = len(l.s)
	return token{kind: tokBad, from: from, to: len(l.s)}
}

func (l *lexer) word(from int) token {
	for l.i < len(l.s) && isWord(l.s[l.i]) {
		l.i++
	}
	return token{kind: tokWord, from: from, to: l.i}
}

// quoted reads from the opening quote at l.i; a doubled quote stands for one.
func (l *lexer) quoted(kind tokenKind, from int, quote byte) token {
	escapes := kind == tokString && !l.noBackslash
	for l.i++; l.i < len(l.s); l.i++ {
		switch c := l.s[l.i]; {
		case c == '\\' && escapes:
			l.i++
		case c == quote:
			if l.at(1) != quote {
				l.i++
				return token{kind: kind, from: from, to: l.i}
			}
			l.i++
		}
	}
	return l.bad(from)
}

// number reads integers, decimals, exponents, hexadecimal and binary literals, and names that begin with a digit.
func (l *lexer) number(from int, afterDot bool) token {
	if afterDot {
		return l.word(from)
	}
	if l.s[from] == '0' && (l.at(1) == 'x' || l.at(1) == 'b') {
		hex := l.at(1) == 'x'
		i := from + 2
		for i < len(l.s) && (hex && isHex(l.s[i]) || l.s[i] == '0' || l.s[i] == '1') {
			i++
		}
		if i > from+2 && (i >= len(l.s) || !isWord(l.s[i])) {
			l.i = i
			return token{kind: tokBits, from: from, to: i}
		}
		return l.word(from)
	}
	kind := tokInteger
	for isDigit(l.at(0)) {
		l.i++
	}
	if l.at(0) == '.' {
		kind = tokNumber
		for l.i++; isDigit(l.at(0)); {
			l.i++
		}
	}
	if c := l.at(0); c == 'e' || c == 'E' {
		n := 1
		if d := l.at(1); d == '+' || d == '-' {
			n = 2
		}
		if isDigit(l.at(n)) {
			kind = tokNumber
			for l.i += n; isDigit(l.at(0)); {
				l.i++
			}
			return token{kind: kind, from: from, to: l.i}
		}
	}
	if kind == tokInteger && isWord(l.at(0)) {
		return l.word(from)
	}
	return token{kind: kind, from: from, to: l.i}
}

// variable reads @name, @`name`, @'name', @@name and @@scope.name.
func (l *lexer) variable(from int) token {
	l.i++
	if l.at(0) == '@' {
		l.i++
	}
	switch c := l.at(0); c {
	case '`', '\'', '"':
		kind := tokString
		if c == '`' {
			kind = tokQuoted
		}
		if t := l.quoted(kind, from, c); t.kind == tokBad {
			return t
		}
	default:
		for l.i < len(l.s) && (isWord(l.s[l.i]) || l.s[l.i] == '.') {
			l.i++
		}
	}
	return token{kind: tokVar, from: from, to: l.i}
}

func (l *lexer) operator(from int) token {
	n := 1
	rest := l.s[from:]
	for _, op := range [...]string{"<=>", "->>", "<=", ">=", "<>", "!=", "<<", ">>", "||", "&&", ":=", "->"} {
		if len(rest) >= len(op) && rest[:len(op)] == op {
			n = len(op)
			break
		}
	}
	switch rest[0] {
	case '+', '-', '*', '/', '%', '<', '>', '=', '!', '|', '&', '^', '~', ':', '\\':
	default:
		return l.bad(from)
	}
	l.i = from + n
	t := token{kind: tokOp, from: from, to: l.i}
	if n == 1 {
		t.op = rest[0]
	}
	return t
}

// is reports whether t is the keyword, which is given in lower case.
func (l *lexer) is(t token, keyword string) bool {
	if t.kind != tokWord || t.to-t.from != len(keyword) {
		return false
	}
	for i := range len(keyword) {
		c := l.s[t.from+i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != keyword[i] {
			return false
		}
	}
	return true
}

// lexer returns a lexer over s with the options' rules.
func (o Options) lexer(s string) lexer {
	return lexer{s: s, ansi: o.ANSIQuotes, noBackslash: o.NoBackslashEscapes}
}
