package postgres

// tokenKind is the kind of a token.
type tokenKind uint8

const (
	tokEnd     tokenKind = iota
	tokWord              // keyword or bare identifier
	tokQuoted            // "identifier", U&"identifier"
	tokString            // '…'
	tokEscape            // E'…'
	tokDollar            // $tag$…$tag$
	tokBits              // B'…', X'…'
	tokOther             // N'…', U&'…': strings that are left to the grammar
	tokInteger           // decimal digits
	tokNumber            // any other number
	tokParam             // $1
	tokOp                // operator, also :: := => ..
	tokPunct             // ( ) [ ] , ; : .
	tokBad               // unterminated, or no token of PostgreSQL's
)

// token is a slice of the text: text[from:to].
type token struct {
	kind     tokenKind
	from, to int
	op       byte // the byte itself for tokPunct, and for a tokOp of one byte
}

// lexer cuts a text into PostgreSQL's tokens. It allocates nothing.
type lexer struct {
	s string
	i int
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWordStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func isWord(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func isOp(c byte) bool {
	switch c {
	case '~', '!', '@', '#', '^', '&', '|', '`', '?', '+', '-', '*', '/', '%', '<', '>', '=':
		return true
	}
	return false
}

// space passes over white space and comments; it reports false in an unterminated comment.
func (l *lexer) space() bool {
	for l.i < len(l.s) {
		switch c := l.s[l.i]; {
		case isSpace(c):
			l.i++
		case c == '-' && l.at(1) == '-':
			for l.i < len(l.s) && l.s[l.i] != '\n' && l.s[l.i] != '\r' {
				l.i++
			}
		case c == '/' && l.at(1) == '*':
			depth := 1
			l.i += 2
			for depth > 0 {
				switch {
				case l.i >= len(l.s):
					return false
				case l.s[l.i] == '/' && l.at(1) == '*':
					depth++
					l.i += 2
				case l.s[l.i] == '*' && l.at(1) == '/':
					depth--
					l.i += 2
				default:
					l.i++
				}
			}
		default:
			return true
		}
	}
	return true
}

// at returns the byte n after the current one, 0 past the end.
func (l *lexer) at(n int) byte {
	if l.i+n < len(l.s) {
		return l.s[l.i+n]
	}
	return 0
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
	c := l.s[from]
	switch {
	case c == '\'':
		return l.quoted(tokString, from, '\'', false)
	case c == '"':
		return l.quoted(tokQuoted, from, '"', false)
	case isWordStart(c):
		switch c {
		case 'e', 'E':
			if l.at(1) == '\'' {
				l.i++
				return l.quoted(tokEscape, from, '\'', true)
			}
		case 'b', 'B', 'x', 'X':
			if l.at(1) == '\'' {
				l.i++
				return l.quoted(tokBits, from, '\'', false)
			}
		case 'n', 'N':
			if l.at(1) == '\'' {
				l.i++
				return l.quoted(tokOther, from, '\'', false)
			}
		case 'u', 'U':
			if l.at(1) == '&' && l.at(2) == '\'' {
				l.i += 2
				return l.quoted(tokOther, from, '\'', false)
			}
			if l.at(1) == '&' && l.at(2) == '"' {
				l.i += 2
				return l.quoted(tokQuoted, from, '"', false)
			}
		}
		for l.i < len(l.s) && isWord(l.s[l.i]) {
			l.i++
		}
		return token{kind: tokWord, from: from, to: l.i}
	case isDigit(c), c == '.' && isDigit(l.at(1)):
		return l.number(from)
	case c == '$':
		return l.dollar(from)
	case isOp(c):
		return l.operator(from)
	case c == ':':
		if n := l.at(1); n == ':' || n == '=' {
			l.i += 2
			return token{kind: tokOp, from: from, to: l.i}
		}
	case c == '.':
		if l.at(1) == '.' {
			l.i += 2
			return token{kind: tokOp, from: from, to: l.i}
		}
	case c == '(', c == ')', c == '[', c == ']', c == ',', c == ';':
	default:
		return l.bad(from)
	}
	l.i++
	return token{kind: tokPunct, from: from, to: l.i, op: c}
}

func (l *lexer) bad(from int) token {
	l.i = len(l.s)
	return token{kind: tokBad, from: from, to: len(l.s)}
}

// quoted reads from the opening quote at l.i. Adjacent literals separated by a line end are one literal, as the
// standard says; a doubled quote stands for one.
func (l *lexer) quoted(kind tokenKind, from int, quote byte, escapes bool) token {
	for {
		l.i++
		for l.i < len(l.s) && (l.s[l.i] != quote || l.at(1) == quote) {
			if l.s[l.i] == quote || escapes && l.s[l.i] == '\\' {
				l.i++
			}
			l.i++
		}
		if l.i >= len(l.s) {
			return l.bad(from)
		}
		l.i++
		if quote == '"' || !l.continued() {
			return token{kind: kind, from: from, to: l.i}
		}
	}
}

// continued moves to the quote of a continued literal if there is one.
func (l *lexer) continued() bool {
	newline := false
	i := l.i
	for i < len(l.s) {
		switch c := l.s[i]; {
		case c == '\n' || c == '\r':
			newline = true
			i++
		case isSpace(c):
			i++
		case c == '-' && i+1 < len(l.s) && l.s[i+1] == '-' && newline:
			for i < len(l.s) && l.s[i] != '\n' && l.s[i] != '\r' {
				i++
			}
		case c == '\'' && newline:
			l.i = i
			return true
		default:
			return false
		}
	}
	return false
}

// number reads integers, decimals, exponents and the 0x, 0o and 0b forms with their underscores.
func (l *lexer) number(from int) token {
	kind := tokInteger
	if l.s[from] == '0' && l.i+1 < len(l.s) {
		switch l.s[l.i+1] {
		case 'x', 'X', 'o', 'O', 'b', 'B':
			for l.i++; l.i < len(l.s) && isWord(l.s[l.i]) && l.s[l.i] != '$'; {
				l.i++
			}
			return token{kind: tokNumber, from: from, to: l.i}
		}
	}
	l.digits(&kind)
	if l.at(0) == '.' && l.at(1) != '.' {
		kind = tokNumber
		l.i++
		l.digits(&kind)
	}
	if c := l.at(0); c == 'e' || c == 'E' {
		n := 1
		if d := l.at(1); d == '+' || d == '-' {
			n = 2
		}
		if isDigit(l.at(n)) {
			kind = tokNumber
			l.i += n
			l.digits(&kind)
		}
	}
	if isWord(l.at(0)) {
		// The grammar reports trailing junk after a numeric literal.
		return l.bad(from)
	}
	return token{kind: kind, from: from, to: l.i}
}

func (l *lexer) digits(kind *tokenKind) {
	for isDigit(l.at(0)) || l.at(0) == '_' && isDigit(l.at(1)) {
		if l.at(0) == '_' {
			*kind = tokNumber
		}
		l.i++
	}
}

// dollar reads $1 and $tag$…$tag$.
func (l *lexer) dollar(from int) token {
	if isDigit(l.at(1)) {
		l.i++
		for isDigit(l.at(0)) {
			l.i++
		}
		if isWord(l.at(0)) {
			return l.bad(from)
		}
		return token{kind: tokParam, from: from, to: l.i}
	}
	end := from + 1
	for end < len(l.s) && isWord(l.s[end]) && l.s[end] != '$' {
		end++
	}
	if end >= len(l.s) || l.s[end] != '$' {
		return l.bad(from)
	}
	tag := l.s[from : end+1]
	for i := end + 1; i+len(tag) <= len(l.s); i++ {
		if l.s[i] == '$' && l.s[i:i+len(tag)] == tag {
			l.i = i + len(tag)
			return token{kind: tokDollar, from: from, to: l.i}
		}
	}
	return l.bad(from)
}

// operator reads the longest operator by PostgreSQL's rules: it ends before a comment, and a trailing + or - belongs
// to it only if it holds one of the characters that no standard operator has.
func (l *lexer) operator(from int) token {
	i := from
	for i < len(l.s) && isOp(l.s[i]) {
		if i > from && (l.s[i] == '-' && i+1 < len(l.s) && l.s[i+1] == '-' || l.s[i] == '/' && i+1 < len(l.s) && l.s[i+1] == '*') {
			break
		}
		i++
	}
	if last := l.s[i-1]; i-from > 1 && (last == '+' || last == '-') && !special(l.s[from:i]) {
		for i-from > 1 && (l.s[i-1] == '+' || l.s[i-1] == '-') {
			i--
		}
	}
	l.i = i
	t := token{kind: tokOp, from: from, to: i}
	if i-from == 1 {
		t.op = l.s[from]
	}
	return t
}

func special(op string) bool {
	for i := range len(op) {
		switch op[i] {
		case '~', '!', '@', '#', '^', '&', '|', '`', '?', '%':
			return true
		}
	}
	return false
}

// is reports whether t is the keyword, which is given in lower case.
func (l *lexer) is(t token, keyword string) bool {
	if t.kind != tokWord || t.to-t.from != len(keyword) {
		return false
	}
	for i := range len(keyword) {
		if l.s[t.from+i]|0x20 != keyword[i] {
			return false
		}
	}
	return true
}
