package types

import (
	"math"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// ArrayValue is an array taken apart: its dimensions (none when empty) and its elements in order, each in storage form.
// Lower bounds other than 1 aren't kept.
type ArrayValue struct {
	Dims  []int
	Elems []Value
}

// Limits of an array, as PostgreSQL has them.
const (
	maxArrayDims  = 6
	maxArrayElems = 1 << 27
)

// The storage form of an array is a JSON array: numbers for kinds stored as INTEGER or REAL, strings for the others
// (bytes as \x…), null for NULL; an array of several dimensions nests.

// AppendStored appends the storage form of a.
func (a ArrayValue) AppendStored(dst []byte) []byte {
	if len(a.Dims) == 0 {
		return append(dst, '[', ']')
	}
	at := 0
	return a.appendDim(dst, 0, &at)
}

func (a ArrayValue) appendDim(dst []byte, dim int, at *int) []byte {
	dst = append(dst, '[')
	for i := range a.Dims[dim] {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dim+1 < len(a.Dims) {
			dst = a.appendDim(dst, dim+1, at)
			continue
		}
		if *at < len(a.Elems) {
			dst = AppendJSONElement(dst, a.Elems[*at])
		}
		*at++
	}
	return append(dst, ']')
}

// AppendJSONElement appends one element's storage form as it stands in a stored array.
func AppendJSONElement(dst []byte, v Value) []byte {
	switch v.Class {
	case Int:
		return strconv.AppendInt(dst, v.I, 10)
	case Float:
		if math.IsInf(v.F, 0) || math.IsNaN(v.F) {
			return append(AppendFloat(append(dst, '"'), v.F, 64, 1), '"')
		}
		return strconv.AppendFloat(dst, v.F, 'g', -1, 64)
	case String:
		return AppendJSONString(dst, v.B)
	case Blob:
		dst = append(dst, '"', '\\')
		return append(appendBytea(dst, v.B, false), '"')
	}
	return append(dst, "null"...)
}

// ParseStoredArray reads the storage form. elem is the kind of its elements.
func ParseStoredArray(b []byte, elem Kind) (a ArrayValue, ok bool) {
	p := jsonReader{b: b}
	p.space()
	if p.i >= len(b) || b[p.i] != '[' {
		return a, false
	}
	var dims [maxArrayDims]int
	depth, ok := p.storedArray(&a, elem, &dims, 0)
	if !ok {
		return a, false
	}
	p.space()
	if p.i != len(b) {
		return a, false
	}
	if len(a.Elems) == 0 {
		return ArrayValue{}, true
	}
	a.Dims = append([]int(nil), dims[:depth]...)
	n := 1
	for _, d := range a.Dims {
		n *= d
	}
	return a, n == len(a.Elems)
}

func (p *jsonReader) storedArray(a *ArrayValue, elem Kind, dims *[maxArrayDims]int, depth int) (deepest int, ok bool) {
	if depth == maxArrayDims {
		return 0, false
	}
	p.i++
	n := 0
	deepest = depth + 1
	for {
		p.space()
		if p.i >= len(p.b) {
			return 0, false
		}
		switch c := p.b[p.i]; {
		case c == ']':
			p.i++
			if dims[depth] != 0 && dims[depth] != n {
				return 0, false
			}
			dims[depth] = n
			return deepest, true
		case c == ',' && n > 0:
			p.i++
			continue
		case c == '[':
			if deepest, ok = p.storedArray(a, elem, dims, depth+1); !ok {
				return 0, false
			}
		default:
			v, ok := p.storedElement(elem)
			if !ok {
				return 0, false
			}
			a.Elems = append(a.Elems, v)
		}
		n++
	}
}

func (p *jsonReader) storedElement(elem Kind) (Value, bool) {
	c := p.b[p.i]
	switch {
	case c == '"':
		s, err := p.str()
		if err != nil {
			return Value{}, false
		}
		switch elem {
		case Bytes:
			if len(s) >= 2 && s[0] == '\\' {
				b, err := parseBytea(s)
				return BlobValue(b), err == nil
			}
		case Float4, Float8:
			f, err := strconv.ParseFloat(string(s), 64)
			return FloatValue(f), err == nil
		}
		return Value{Class: String, B: s}, true
	case p.word("null"):
		return Value{}, true
	case p.word("true"):
		return IntValue(1), true
	case p.word("false"):
		return IntValue(0), true
	}
	start := p.i
	float := false
	for p.i < len(p.b) {
		c := p.b[p.i]
		if c == '.' || c|0x20 == 'e' {
			float = true
		} else if !isDigit(c) && c != '-' && c != '+' {
			break
		}
		p.i++
	}
	text := p.b[start:p.i]
	if len(text) == 0 {
		return Value{}, false
	}
	switch {
	case elem == Numeric || T(elem).IsString():
		return Value{Class: String, B: text}, true
	case float || elem == Float4 || elem == Float8:
		f, err := strconv.ParseFloat(string(text), 64)
		return FloatValue(f), err == nil
	}
	i, err := strconv.ParseInt(string(text), 10, 64)
	return IntValue(i), err == nil
}

func errArray(text []byte, detail string) error {
	e := sqlerr.New("22P02", "malformed array literal: \"%s\"", printable(text))
	e.Detail = detail
	return e
}

// parseArrayText reads {a,"b c",NULL,{…}}, with optional bounds before it.
func parseArrayText(t Type, text []byte, in *Input) (Value, error) {
	b := trimSpace(text)
	if len(b) > 0 && b[0] == '[' { // [1:2][0:3]={…}
		i := 0
		for i < len(b) && b[i] != '=' {
			i++
		}
		if i == len(b) {
			return Value{}, errArray(text, "Missing \"=\" after array dimensions.")
		}
		b = trimSpace(b[i+1:])
	}
	if len(b) == 0 || b[0] != '{' {
		return Value{}, errArray(text, "Array value must start with \"{\" or dimension information.")
	}
	delim := byte(',')
	if bt, ok := BuiltinByOID(t.ElemType().PGOID()); ok {
		delim = bt.Delim
	}
	p := arrayReader{text: text, b: b, elem: t.ElemType(), in: in, delim: delim}
	if err := p.array(0); err != nil {
		return Value{}, err
	}
	if len(trimSpace(p.b[p.i:])) > 0 {
		return Value{}, errArray(text, "Junk after closing right brace.")
	}
	if len(p.a.Elems) == 0 {
		p.a.Dims = nil
	} else {
		p.a.Dims = p.dims[:p.depth]
	}
	return Value{Class: String, B: p.a.AppendStored(nil)}, nil
}

type arrayReader struct {
	text  []byte // for messages
	b     []byte
	i     int
	elem  Type
	in    *Input
	delim byte
	dims  [maxArrayDims]int
	known [maxArrayDims]bool
	depth int
	a     ArrayValue
}

func (p *arrayReader) space() {
	for p.i < len(p.b) && isSpace(p.b[p.i]) {
		p.i++
	}
}

func (p *arrayReader) array(depth int) error {
	if depth == maxArrayDims {
		return sqlerr.New("54000", "number of array dimensions (%d) exceeds the maximum allowed (%d)", depth+1, maxArrayDims)
	}
	p.i++ // {
	n := 0
	for {
		p.space()
		if p.i >= len(p.b) {
			return errArray(p.text, "Unexpected end of input.")
		}
		if p.b[p.i] == '}' {
			if n > 0 {
				return errArray(p.text, "Unexpected \"}\" character.")
			}
			p.i++
			break
		}
		if p.b[p.i] == '{' {
			if n > 0 && p.depth > 0 && depth+1 >= p.depth {
				return errArray(p.text, "Unexpected \"{\" character.")
			}
			if err := p.array(depth + 1); err != nil {
				return err
			}
		} else {
			if p.depth == 0 {
				p.depth = depth + 1
			}
			if p.depth != depth+1 {
				return errArray(p.text, "Unexpected array element.")
			}
			if err := p.element(); err != nil {
				return err
			}
		}
		n++
		p.space()
		if p.i >= len(p.b) {
			return errArray(p.text, "Unexpected end of input.")
		}
		if p.b[p.i] == p.delim {
			p.i++
			p.space()
			if p.i < len(p.b) && p.b[p.i] == '}' {
				return errArray(p.text, "Unexpected \"}\" character.")
			}
			continue
		}
		if p.b[p.i] != '}' {
			return errArray(p.text, "Unexpected array element.")
		}
		p.i++
		break
	}
	if p.known[depth] && p.dims[depth] != n {
		return errArray(p.text, "Multidimensional arrays must have sub-arrays with matching dimensions.")
	}
	p.dims[depth], p.known[depth] = n, true
	return nil
}

func (p *arrayReader) element() error {
	var out []byte
	if p.b[p.i] == '"' {
		p.i++
		closed := false
		for p.i < len(p.b) {
			c := p.b[p.i]
			p.i++
			if c == '"' {
				closed = true
				break
			}
			if c == '\\' && p.i < len(p.b) {
				c = p.b[p.i]
				p.i++
			}
			out = append(out, c)
		}
		if !closed {
			return errArray(p.text, "Unexpected end of input.")
		}
	} else {
		escaped := 0
		for p.i < len(p.b) {
			c := p.b[p.i]
			if c == p.delim || c == '}' {
				break
			}
			if c == '{' || c == '"' {
				return errArray(p.text, "Unexpected \""+string(rune(c))+"\" character.")
			}
			p.i++
			if c == '\\' && p.i < len(p.b) {
				c = p.b[p.i]
				p.i++
				out = append(out, c)
				escaped = len(out)
				continue
			}
			out = append(out, c)
		}
		for len(out) > escaped && isSpace(out[len(out)-1]) {
			out = out[:len(out)-1]
		}
		if len(out) == 0 {
			return errArray(p.text, "Unexpected \""+string(rune(p.delim))+"\" character.")
		}
		if escaped == 0 && equalFold(out, "null") {
			p.a.Elems = append(p.a.Elems, Value{})
			return nil
		}
	}
	v, err := ParseText(p.elem, out, p.in)
	if err != nil {
		return err
	}
	if len(p.a.Elems) >= maxArrayElems {
		return sqlerr.New("54000", "array size exceeds the maximum allowed")
	}
	p.a.Elems = append(p.a.Elems, v)
	return nil
}

// appendArrayText prints the storage form b of an array of type t as PostgreSQL does.
func appendArrayText(dst []byte, t Type, b []byte, f *PGFormat) []byte {
	a, ok := ParseStoredArray(b, t.Elem)
	if !ok {
		return append(dst, b...)
	}
	if len(a.Dims) == 0 {
		return append(dst, '{', '}')
	}
	elem := t.ElemType()
	delim := byte(',')
	if bt, ok := BuiltinByOID(elem.PGOID()); ok {
		delim = bt.Delim
	}
	at := 0
	var dim func(d int)
	dim = func(d int) {
		dst = append(dst, '{')
		for i := range a.Dims[d] {
			if i > 0 {
				dst = append(dst, delim)
			}
			if d+1 < len(a.Dims) {
				dim(d + 1)
				continue
			}
			v := a.Elems[at]
			at++
			if v.IsNull() {
				dst = append(dst, "NULL"...)
				continue
			}
			start := len(dst)
			dst = AppendPGText(dst, elem, v, f)
			dst = quoteArrayElement(dst, start, delim)
		}
		dst = append(dst, '}')
	}
	dim(0)
	return dst
}

// quoteArrayElement puts dst[start:] into double quotes where the array syntax needs them.
func quoteArrayElement(dst []byte, start int, delim byte) []byte {
	s := dst[start:]
	need := len(s) == 0 || equalFold(s, "null")
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			need = true
		case c == '{' || c == '}' || c == delim || isSpace(c):
			need = true
		}
	}
	if !need {
		return dst
	}
	text := append([]byte(nil), s...)
	dst = append(dst[:start], '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
