package spec

import (
	"strconv"
	"strings"
)

// ParseEnv reads a .env file: NAME=value lines, with or without "export", and comments from # on. A value in single
// quotes is taken as it is. In double quotes \n, \r, \t, \", \\ and \$ are escapes; both can go over several lines.
// ${NAME} and ${NAME:-default} are replaced, except in single quotes, by what the file set before, else by lookup, which
// can be nil; a variable that isn't set is empty, as all readers of such files do. A later line wins.
//
// The error is Errors; it never holds a value.
func ParseEnv(name string, text []byte, lookup func(string) (string, bool)) (Env, error) {
	src := newSource(name, text)
	e := &envReader{src: src, lookup: lookup}
	if len(text) > maxFileBytes {
		e.add(pos{src, 1, 1}, "", "", "the file is longer than %d bytes", maxFileBytes)
		return nil, e.err()
	}
	for e.line = 0; e.line < len(src.lines) && !e.full(); e.line++ {
		e.read(strings.TrimRight(src.lines[e.line], "\r"))
	}
	// The lines themselves may be secrets: errors show where, not what.
	for _, fault := range e.list {
		fault.Excerpt = ""
	}
	return e.env, e.err()
}

type envReader struct {
	faults
	src    *source
	line   int // from 0
	env    Env
	lookup func(string) (string, bool)
}

func (e *envReader) get(name string) (string, bool) {
	if v, ok := e.env.Get(name); ok {
		return v, true
	}
	if e.lookup != nil {
		if v, ok := e.lookup(name); ok {
			return v, true
		}
	}
	return "", true
}

func (e *envReader) fault(col int, hint, message string) {
	e.add(pos{e.src, e.line + 1, col + 1}, "", hint, "%s", message)
}

func (e *envReader) read(line string) {
	if e.line == 0 {
		line = strings.TrimPrefix(line, "\ufeff")
	}
	rest := strings.TrimLeft(line, " \t")
	if rest == "" || rest[0] == '#' {
		return
	}
	if r, ok := strings.CutPrefix(rest, "export"); ok && r != "" && (r[0] == ' ' || r[0] == '\t') {
		rest = strings.TrimLeft(r, " \t")
	}
	col := len(line) - len(rest)
	name, value, found := strings.Cut(rest, "=")
	name = strings.TrimRight(name, " \t")
	if !found {
		e.fault(col, "write NAME=value", "there is no = after the name")
		return
	}
	if !validEnvName(name) {
		e.fault(col, "letters, digits and _, not a digit first", "this isn't the name of a variable")
		return
	}
	value = strings.TrimLeft(value, " \t")
	col = len(line) - len(value)
	var ok bool
	switch {
	case value == "":
		ok = true
	case value[0] == '\'' || value[0] == '"':
		value, ok = e.quoted(value, col)
	default:
		value, ok = e.plain(value, col)
	}
	switch {
	case !ok:
	case strings.IndexByte(value, 0) >= 0:
		e.fault(col, "", "the value holds a zero byte")
	default:
		e.env = e.env.with(name, value)
	}
}

func (e *envReader) plain(value string, col int) (string, bool) {
	for i := range len(value) {
		if value[i] == '#' && (i == 0 || value[i-1] == ' ' || value[i-1] == '\t') {
			value = value[:i]
			break
		}
	}
	return e.expand(strings.TrimRight(value, " \t"), col)
}

func (e *envReader) expand(text string, col int) (string, bool) {
	out, err := expand(text, e.get)
	if err != nil {
		e.fault(col, "write $$ for a dollar sign, or use single quotes", "a ${ isn't ${NAME} or ${NAME:-default}")
		return "", false
	}
	return out, true
}

// quoted reads a value in quotes, over as many lines as it takes.
func (e *envReader) quoted(text string, col int) (string, bool) {
	quote, first := text[0], e.line
	var b strings.Builder
	text = text[1:]
	for {
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == quote:
				after := strings.TrimLeft(text[i+1:], " \t")
				if after != "" && after[0] != '#' {
					e.fault(len(e.src.lines[e.line])-len(after), "", "there is something after the closing quote")
					return "", false
				}
				if quote == '\'' {
					return b.String(), true
				}
				return e.expand(b.String(), col)
			case c == '\\' && quote == '"' && i+1 < len(text):
				i++
				b.WriteString(unescape(text[i]))
			default:
				b.WriteByte(c)
			}
		}
		if e.line+1 >= len(e.src.lines) {
			last := e.line
			e.line = first
			e.fault(col, "", "the quote "+strconv.QuoteRune(rune(quote))+" isn't closed")
			e.line = last
			return "", false
		}
		e.line++
		b.WriteByte('\n')
		text = strings.TrimRight(e.src.lines[e.line], "\r")
	}
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '\'':
		return string(c)
	case '$':
		return "$$" // expand makes it one
	default:
		return string([]byte{'\\', c})
	}
}
