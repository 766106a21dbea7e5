package mysql

import "strings"

// executeComments replaces the delimiters of versioned comments by spaces where this version executes them, and the whole
// comment where it doesn't. Offsets stay what they are.
func executeComments(text string, o Options) string {
	if !strings.Contains(text, "/*!") {
		return text
	}
	l := o.lexer(text)
	l.versioned = true
	b := []byte(text)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
	}
	for {
		t := l.next()
		switch t.kind {
		case tokEnd, tokBad:
			return string(b)
		case tokClose:
			blank(t.from, t.to)
			l.inside = false
		case tokOpen:
			version, digits := 0, t.to-t.from-3
			if digits > 4 {
				for _, c := range text[t.from+3 : t.to] {
					version = version*10 + int(c-'0')
				}
			} else {
				// Fewer digits are no version, they belong to the statement.
				t.to = t.from + 3
				l.i = t.to
			}
			if version <= Version && !l.inside {
				blank(t.from, t.to)
				l.inside = true
				continue
			}
			// Comments inside of one that isn't executed end where they end.
			for depth := 1; depth > 0; {
				switch {
				case l.i >= len(text):
					return string(b)
				case text[l.i] == '/' && l.at(1) == '*':
					depth++
					l.i += 2
				case text[l.i] == '*' && l.at(1) == '/':
					depth--
					l.i += 2
				default:
					l.i++
				}
			}
			blank(t.from, l.i)
		}
	}
}
