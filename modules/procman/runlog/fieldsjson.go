package runlog

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nested values; the stack is bounded by it.
const maxDepth = 64

// parseJSON reads one object. It is stricter than it needs to be for finding fields, because what is no JSON as a whole
// should not be called so.
func parseJSON(b []byte, f *Fields) bool {
	p := jsonParser{b: b, f: f}
	return p.object(nil, 0) && p.i == len(b)
}

type jsonParser struct {
	b []byte
	i int
	f *Fields
}

func (p *jsonParser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\t' || p.b[p.i] == '\r' || p.b[p.i] == '\n') {
		p.i++
	}
}

// take passes c if it is next, after space.
func (p *jsonParser) take(c byte) bool {
	p.space()
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

// object reads an object whose keys mean something after the prefix; nil at the top, and below "" if they mean nothing.
func (p *jsonParser) object(prefix []byte, depth int) bool {
	if depth > maxDepth || !p.take('{') {
		return false
	}
	if p.take('}') {
		return true
	}
	for {
		p.space()
		raw, escaped, ok := p.text()
		if !ok || !p.take(':') {
			return false
		}
		var buf [32]byte
		key := raw
		switch {
		case depth > 1 || escaped || len(raw)+len(prefix) >= len(buf):
			key = nil
		case depth == 1:
			key = append(append(append(buf[:0], prefix...), '.'), raw...)
		}
		if !p.value(key, depth) {
			return false
		}
		if p.take(',') {
			continue
		}
		return p.take('}')
	}
}

func (p *jsonParser) array(depth int) bool {
	if depth > maxDepth || !p.take('[') {
		return false
	}
	if p.take(']') {
		return true
	}
	for {
		if !p.value(nil, depth) {
			return false
		}
		if p.take(',') {
			continue
		}
		return p.take(']')
	}
}

// value reads any value, and sets the field that the key means.
func (p *jsonParser) value(key []byte, depth int) bool {
	p.space()
	if p.i >= len(p.b) {
		return false
	}
	switch c := p.b[p.i]; {
	case c == '"':
		raw, escaped, ok := p.text()
		if what := fieldOf(key); ok && what != noField {
			if escaped {
				raw = unescape(raw)
			}
			p.f.set(what, raw, false)
		}
		return ok
	case c == '{':
		if key == nil {
			return p.object(nil, max(depth+1, 2))
		}
		return p.object(key, depth+1)
	case c == '[':
		return p.array(max(depth+1, 2))
	case c == 't':
		return p.word("true")
	case c == 'f':
		return p.word("false")
	case c == 'n':
		return p.word("null")
	}
	from := p.i
	if !p.number() {
		return false
	}
	if what := fieldOf(key); what != noField && what != messageField {
		p.f.set(what, p.b[from:p.i], true)
	}
	return true
}

func (p *jsonParser) word(w string) bool {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return false
	}
	p.i += len(w)
	return true
}

func (p *jsonParser) digits() bool {
	from := p.i
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
	}
	return p.i > from
}

func (p *jsonParser) one(set string) bool {
	for i := range len(set) {
		if p.i < len(p.b) && p.b[p.i] == set[i] {
			p.i++
			return true
		}
	}
	return false
}

func (p *jsonParser) number() bool {
	p.one("-")
	if !p.one("0") && !p.digits() {
		return false
	}
	if p.one(".") && !p.digits() {
		return false
	}
	if p.one("eE") {
		p.one("+-")
		return p.digits()
	}
	return true
}

// text reads a string and returns what is between the quotes, and whether it has escapes.
func (p *jsonParser) text() (raw []byte, escaped, ok bool) {
	if p.i >= len(p.b) || p.b[p.i] != '"' {
		return nil, false, false
	}
	p.i++
	from := p.i
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return p.b[from : p.i-1], escaped, true
		case c < ' ':
			return nil, false, false
		case c == '\\':
			escaped = true
			p.i++
			switch {
			case p.one(`"\/bfnrt`):
			case p.one("u") && len(p.b)-p.i >= 4:
				if _, err := strconv.ParseUint(string(p.b[p.i:p.i+4]), 16, 16); err != nil {
					return nil, false, false
				}
				p.i += 4
			default:
				return nil, false, false
			}
		default:
			p.i++
		}
	}
	return nil, false, false
}

// unescape decodes a string that text found to be well-formed.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := unit(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(raw) > i+6 && raw[i+1] == '\\' && raw[i+2] == 'u' {
					pair = utf16.DecodeRune(r, unit(raw[i+3:]))
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}

func unit(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(n)
}
