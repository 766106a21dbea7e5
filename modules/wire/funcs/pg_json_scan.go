package funcs

import (
	"bytes"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// pgJSONScan walks over the elements of an array or the members of an object in valid JSON.
type pgJSONScan struct {
	b       []byte
	i       int
	started bool
}

func pgJSONSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// next returns the next element, and of a member its key with its quotes.
func (s *pgJSONScan) next() (key, raw []byte, ok bool) {
	i := pgJSONSpace(s.b, s.i)
	if i >= len(s.b) {
		return nil, nil, false
	}
	if !s.started {
		s.started = true
		if s.b[i] != '[' && s.b[i] != '{' {
			s.i = len(s.b)
			return nil, nil, false
		}
		i++
	} else if s.b[i] == ',' {
		i++
	}
	i = pgJSONSpace(s.b, i)
	if i >= len(s.b) || s.b[i] == ']' || s.b[i] == '}' {
		s.i = len(s.b)
		return nil, nil, false
	}
	end := pgJSONEnd(s.b, i)
	raw = s.b[i:end:end]
	i = pgJSONSpace(s.b, end)
	if i < len(s.b) && s.b[i] == ':' {
		key = raw
		i = pgJSONSpace(s.b, i+1)
		end = pgJSONEnd(s.b, i)
		raw = s.b[i:end:end]
		i = end
	}
	s.i = i
	return key, raw, true
}

// pgJSONEnd returns where the value at i ends.
func pgJSONEnd(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		for i++; i < len(b) && b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return min(i+1, len(b))
	case '[', '{':
		depth := 0
		for ; i < len(b); i++ {
			switch b[i] {
			case '"':
				i = pgJSONEnd(b, i) - 1
			case '[', '{':
				depth++
			case ']', '}':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(b)
	}
	for i < len(b) {
		switch b[i] {
		case ',', ']', '}', ':', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}

// pgJSONKind names the kind of a value as json_typeof does.
func pgJSONKind(b []byte) string {
	i := pgJSONSpace(b, 0)
	if i >= len(b) {
		return "null"
	}
	switch b[i] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// pgUnquote returns the text of a JSON string.
func pgUnquote(raw []byte) []byte {
	if len(raw) < 2 {
		return raw
	}
	if s := raw[1 : len(raw)-1]; bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	v, err := types.ParseJSON(raw)
	if err != nil {
		return raw
	}
	return v.Text
}

// pgJSONText is a part as ->> gives it: strings without quotes, NULL for null.
func pgJSONText(raw []byte) (types.Value, error) {
	if raw == nil {
		return types.Value{}, nil
	}
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) > 0 && raw[0] == '"':
		return types.Value{Class: types.String, B: pgUnquote(raw)}, nil
	case string(raw) == "null":
		return types.Value{}, nil
	}
	return types.Value{Class: types.String, B: raw}, nil
}

// pgJSONMember finds a member of an object; of equal keys the last counts.
func pgJSONMember(b, key []byte) (found []byte) {
	for s := (pgJSONScan{b: b}); ; {
		k, raw, ok := s.next()
		if !ok {
			return found
		}
		if bytes.Equal(pgUnquote(k), key) {
			found = raw
		}
	}
}

// pgJSONElement finds an element of an array, from the end for a negative index.
func pgJSONElement(b []byte, index int64) []byte {
	if index < 0 {
		n := int64(0)
		for s := (pgJSONScan{b: b}); ; n++ {
			if _, _, ok := s.next(); !ok {
				break
			}
		}
		if index += n; index < 0 {
			return nil
		}
	}
	for s := (pgJSONScan{b: b}); ; index-- {
		_, raw, ok := s.next()
		if !ok {
			return nil
		}
		if index == 0 {
			return raw
		}
	}
}

// pgJSONStep is the operator ->: a text is a key, a number an index; nil where there is no such part.
func pgJSONStep(b []byte, at types.Value) []byte {
	kind := pgJSONKind(b)
	switch {
	case at.Class == types.Int && kind == "array":
		return pgJSONElement(b, at.I)
	case at.Class == types.String && kind == "object":
		return pgJSONMember(b, at.B)
	}
	return nil
}

// pgJSONSteps follows a path of texts, in which an index is written in digits.
func pgJSONSteps(b []byte, path []types.Value) []byte {
	for _, p := range path {
		if p.IsNull() {
			return nil
		}
		switch pgJSONKind(b) {
		case "object":
			b = pgJSONMember(b, p.B)
		case "array":
			i, err := strconv.ParseInt(string(p.B), 10, 32)
			if err != nil {
				return nil
			}
			b = pgJSONElement(b, i)
		default:
			return nil
		}
		if b == nil {
			return nil
		}
	}
	return bytes.TrimSpace(b)
}

func pgJSONPath(b []byte, path types.Value) ([]byte, error) {
	x, err := pgParseArray(path)
	if err != nil {
		return nil, err
	}
	return pgJSONSteps(b, pgPathTexts(x.Elems)), nil
}

// pgPathTexts makes the elements of a path texts.
func pgPathTexts(vs []types.Value) []types.Value {
	out := make([]types.Value, len(vs))
	for i, v := range vs {
		if !v.IsNull() {
			out[i] = pgText(pgStr(v))
		}
	}
	return out
}

// pgJSONExists says that a string is a key of an object, an element of an array, or the string itself.
func pgJSONExists(b, key []byte) bool {
	switch pgJSONKind(b) {
	case "object":
		return pgJSONMember(b, key) != nil
	case "array":
		for s := (pgJSONScan{b: b}); ; {
			_, raw, ok := s.next()
			if !ok {
				return false
			}
			if raw[0] == '"' && bytes.Equal(pgUnquote(raw), key) {
				return true
			}
		}
	case "string":
		return bytes.Equal(pgUnquote(bytes.TrimSpace(b)), key)
	}
	return false
}

// pgJSONStrip drops members that are null, in compact form, or in jsonb's.
func pgJSONStrip(dst, b []byte, normal bool) []byte {
	b = bytes.TrimSpace(b)
	comma, colon := ",", ":"
	if normal {
		comma, colon = ", ", ": "
	}
	kind := pgJSONKind(b)
	if kind != "object" && kind != "array" {
		return append(dst, b...)
	}
	dst = append(dst, b[0])
	first := true
	for s := (pgJSONScan{b: b}); ; {
		key, raw, ok := s.next()
		if !ok {
			break
		}
		if kind == "object" && string(raw) == "null" {
			continue
		}
		if !first {
			dst = append(dst, comma...)
		}
		first = false
		if key != nil {
			dst = append(append(dst, key...), colon...)
		}
		dst = pgJSONStrip(dst, raw, normal)
	}
	return append(dst, b[len(b)-1])
}

// pgJSONPretty indents by four.
func pgJSONPretty(dst, b []byte, depth int) []byte {
	kind := pgJSONKind(b)
	if kind != "object" && kind != "array" {
		return append(dst, b...)
	}
	line := func(n int) {
		dst = append(dst, '\n')
		for range n {
			dst = append(dst, "    "...)
		}
	}
	dst = append(dst, b[0])
	n := 0
	for s := (pgJSONScan{b: b}); ; n++ {
		key, raw, ok := s.next()
		if !ok {
			break
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		line(depth + 1)
		if key != nil {
			dst = append(append(dst, key...), ": "...)
		}
		dst = pgJSONPretty(dst, raw, depth+1)
	}
	line(depth)
	return append(dst, b[len(b)-1])
}

// pgJSONObject makes an object of texts: of an array of pairs, or of keys and values.
func pgJSONObject(a []types.Value) (types.Value, error) {
	x, err := pgParseArray(a[0])
	if err != nil {
		return types.Value{}, err
	}
	var keys, values []types.Value
	switch {
	case len(a) == 2:
		y, err := pgParseArray(a[1])
		if err != nil {
			return types.Value{}, err
		}
		if len(x.Dims) > 1 || len(y.Dims) > 1 {
			return types.Value{}, sqlerr.New("2202E", "wrong number of array subscripts")
		}
		if len(x.Elems) != len(y.Elems) {
			return types.Value{}, sqlerr.New("2202E", "mismatched array dimensions")
		}
		keys, values = x.Elems, y.Elems
	case len(x.Dims) == 1 && len(x.Elems)%2 == 1:
		return types.Value{}, sqlerr.New("2202E", "array must have even number of elements")
	case len(x.Dims) == 2 && x.Dims[1] != 2:
		return types.Value{}, sqlerr.New("2202E", "array must have two columns")
	case len(x.Dims) > 2:
		return types.Value{}, sqlerr.New("2202E", "wrong number of array subscripts")
	default:
		for i := 0; i+1 < len(x.Elems); i += 2 {
			keys, values = append(keys, x.Elems[i]), append(values, x.Elems[i+1])
		}
	}
	b := []byte{'{'}
	for i, k := range keys {
		if k.IsNull() {
			return types.Value{}, sqlerr.New("22004", "null value not allowed for object key")
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(types.AppendJSONString(b, []byte(pgStr(k))), " : "...)
		if values[i].IsNull() {
			b = append(b, "null"...)
		} else {
			b = types.AppendJSONString(b, []byte(pgStr(values[i])))
		}
	}
	return types.Value{Class: types.String, B: append(b, '}')}, nil
}
