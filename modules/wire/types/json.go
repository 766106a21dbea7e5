package types

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// maxJSONDepth bounds nesting.
const maxJSONDepth = 6000

func errJSON(detail string) error {
	e := sqlerr.New("22P02", "invalid input syntax for type json").My(3140, "Invalid JSON text: \"%s\"", detail)
	e.Detail = detail
	return e
}

// validJSON checks the syntax of a json value.
func validJSON(b []byte) error {
	if err := CheckText(b); err != nil {
		return err
	}
	if json.Valid(b) {
		return nil
	}
	return jsonProblem(b)
}

func jsonProblem(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return errJSON("The input string ended unexpectedly.")
	}
	p := jsonReader{b: b}
	if _, err := p.value(0); err != nil {
		return err
	}
	p.space()
	if p.i < len(b) {
		return errJSON("Expected end of input, but found \"" + p.token() + "\".")
	}
	return errJSON("The input string is not valid.")
}

// ParseJSON reads one JSON value; the errors are those of PostgreSQL's jsonb.
func ParseJSON(b []byte) (*JSONValue, error) {
	p := jsonReader{b: b}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(b) {
		return nil, errJSON("Expected end of input, but found \"" + p.token() + "\".")
	}
	return v, nil
}

// NormalizeJSON appends b as jsonb prints it: keys sorted by length and then bytes, the last of equal keys kept, one
// blank after colons and commas, numbers without exponent.
func NormalizeJSON(dst, b []byte) ([]byte, error) {
	if err := CheckText(b); err != nil {
		return nil, err
	}
	v, err := ParseJSON(b)
	if err != nil {
		return nil, err
	}
	return v.AppendText(dst), nil
}

type jsonReader struct {
	b []byte
	i int
}

func (p *jsonReader) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// token returns the text at the reader for an error message.
func (p *jsonReader) token() string {
	end := p.i
	for end < len(p.b) && end-p.i < 60 && (isAlpha(p.b[end]) || isDigit(p.b[end]) || p.b[end] == '_' || p.b[end] >= 0x80) {
		end++
	}
	if end == p.i && end < len(p.b) {
		end++
	}
	return string(p.b[p.i:end])
}

func (p *jsonReader) invalid() error {
	if p.i >= len(p.b) {
		return errJSON("The input string ended unexpectedly.")
	}
	return errJSON("Token \"" + p.token() + "\" is invalid.")
}

func (p *jsonReader) value(depth int) (*JSONValue, error) {
	if depth > maxJSONDepth {
		return nil, sqlerr.New("54001", "stack depth limit exceeded")
	}
	p.space()
	if p.i >= len(p.b) {
		return nil, p.invalid()
	}
	switch c := p.b[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.str()
		if err != nil {
			return nil, err
		}
		return &JSONValue{Kind: JSONString, Text: s}, nil
	case c == '-' || isDigit(c):
		return p.number()
	case p.word("true"):
		return &JSONValue{Kind: JSONTrue}, nil
	case p.word("false"):
		return &JSONValue{Kind: JSONFalse}, nil
	case p.word("null"):
		return &JSONValue{Kind: JSONNull}, nil
	}
	return nil, p.invalid()
}

func (p *jsonReader) word(w string) bool {
	if !bytes.HasPrefix(p.b[p.i:], []byte(w)) {
		return false
	}
	if end := p.i + len(w); end < len(p.b) && (isAlpha(p.b[end]) || isDigit(p.b[end])) {
		return false
	}
	p.i += len(w)
	return true
}

func (p *jsonReader) number() (*JSONValue, error) {
	start := p.i
	digits := func() bool {
		from := p.i
		for p.i < len(p.b) && isDigit(p.b[p.i]) {
			p.i++
		}
		return p.i > from
	}
	if p.b[p.i] == '-' {
		p.i++
	}
	zero := p.i < len(p.b) && p.b[p.i] == '0'
	from := p.i
	ok := digits()
	if zero && p.i-from > 1 {
		ok = false
	}
	if ok && p.i < len(p.b) && p.b[p.i] == '.' {
		p.i++
		ok = digits()
	}
	if ok && p.i < len(p.b) && p.b[p.i]|0x20 == 'e' {
		p.i++
		if p.i < len(p.b) && (p.b[p.i] == '+' || p.b[p.i] == '-') {
			p.i++
		}
		ok = digits()
	}
	if !ok || p.i < len(p.b) && (isAlpha(p.b[p.i]) || isDigit(p.b[p.i])) {
		p.i = start
		return nil, p.invalid()
	}
	d, err := ParseDecimal(p.b[start:p.i])
	if err != nil {
		return nil, sqlerr.New("22003", "value overflows numeric format")
	}
	return &JSONValue{Kind: JSONNumber, Text: d.AppendText(nil)}, nil
}

func (p *jsonReader) str() ([]byte, error) {
	p.i++
	start := p.i
	for p.i < len(p.b) {
		c := p.b[p.i]
		switch {
		case c == '"':
			s := p.b[start:p.i]
			p.i++
			return s, nil
		case c == '\\':
			return p.escapedString(start)
		case c < 0x20:
			return nil, errJSON("Character with value 0x" + string(hexDigits[c>>4]) + string(hexDigits[c&15]) + " must be escaped.")
		}
		p.i++
	}
	return nil, errJSON("The input string ended unexpectedly.")
}

func (p *jsonReader) escapedString(start int) ([]byte, error) {
	out := append([]byte(nil), p.b[start:p.i]...)
	for p.i < len(p.b) {
		c := p.b[p.i]
		switch {
		case c == '"':
			p.i++
			return out, nil
		case c < 0x20:
			return nil, errJSON("Character with value 0x" + string(hexDigits[c>>4]) + string(hexDigits[c&15]) + " must be escaped.")
		case c != '\\':
			out = append(out, c)
			p.i++
			continue
		}
		p.i++
		if p.i >= len(p.b) {
			break
		}
		e := p.b[p.i]
		p.i++
		switch e {
		case '"', '\\', '/':
			out = append(out, e)
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
			r, err := p.unicodeEscape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		default:
			return nil, errJSON("Escape sequence \"\\" + string(rune(e)) + "\" is invalid.")
		}
	}
	return nil, errJSON("The input string ended unexpectedly.")
}

func (p *jsonReader) hex4() (rune, bool) {
	if p.i+4 > len(p.b) {
		return 0, false
	}
	var r rune
	for _, c := range p.b[p.i : p.i+4] {
		h, ok := unhex(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(h)
	}
	p.i += 4
	return r, true
}

func (p *jsonReader) unicodeEscape() (rune, error) {
	r, ok := p.hex4()
	if !ok {
		return 0, errJSON("\"\\u\" must be followed by four hexadecimal digits.")
	}
	if r == 0 {
		e := sqlerr.New("22P05", "unsupported Unicode escape sequence")
		e.Detail = "\\u0000 cannot be converted to text."
		return 0, e
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if r < 0xdc00 && p.i+6 <= len(p.b) && p.b[p.i] == '\\' && p.b[p.i+1] == 'u' {
		p.i += 2
		if low, ok := p.hex4(); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full, nil
			}
		}
	}
	return 0, errJSON("Unicode low surrogate must follow a high surrogate.")
}

func (p *jsonReader) array(depth int) (*JSONValue, error) {
	p.i++
	v := &JSONValue{Kind: JSONArray}
	p.space()
	if p.i < len(p.b) && p.b[p.i] == ']' {
		p.i++
		return v, nil
	}
	for {
		e, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.Values = append(v.Values, e)
		p.space()
		if p.i >= len(p.b) {
			return nil, p.invalid()
		}
		switch p.b[p.i] {
		case ',':
			p.i++
		case ']':
			p.i++
			return v, nil
		default:
			return nil, errJSON("Expected \",\" or \"]\", but found \"" + p.token() + "\".")
		}
	}
}

func (p *jsonReader) object(depth int) (*JSONValue, error) {
	p.i++
	v := &JSONValue{Kind: JSONObject}
	p.space()
	if p.i < len(p.b) && p.b[p.i] == '}' {
		p.i++
		return v, nil
	}
	for {
		p.space()
		if p.i >= len(p.b) {
			return nil, p.invalid()
		}
		if p.b[p.i] != '"' {
			return nil, errJSON("Expected string, but found \"" + p.token() + "\".")
		}
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.i >= len(p.b) {
			return nil, p.invalid()
		}
		if p.b[p.i] != ':' {
			return nil, errJSON("Expected \":\", but found \"" + p.token() + "\".")
		}
		p.i++
		e, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.Keys = append(v.Keys, string(key))
		v.Values = append(v.Values, e)
		p.space()
		if p.i >= len(p.b) {
			return nil, p.invalid()
		}
		switch p.b[p.i] {
		case ',':
			p.i++
		case '}':
			p.i++
			v.sortKeys()
			return v, nil
		default:
			return nil, errJSON("Expected \",\" or \"}\", but found \"" + p.token() + "\".")
		}
	}
}
