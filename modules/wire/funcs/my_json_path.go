package funcs

import (
	"slices"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// jsonPath is a path of MySQL: $.key."other key"[2][last-1][0 to 3].* [*] **.
type jsonPath []pathStep

type stepKind uint8

const (
	stepKey stepKind = iota
	stepAnyKey
	stepIndex
	stepRange
	stepAnyIndex
	stepDeep // **: this value and all inside it
)

type pathStep struct {
	kind     stepKind
	key      string
	from, to pathIndex
}

// pathIndex is an index counted from the front, or back from the last element.
type pathIndex struct {
	n    int
	last bool
}

func (x pathIndex) in(length int) int {
	if x.last {
		return length - 1 - x.n
	}
	return x.n
}

func errPath(b []byte, at int) error {
	return sqlerr.New("22031", "invalid JSON path expression").
		My(3143, "Invalid JSON path expression. The error is around character position %d.", at+1)
}

// parsePath reads a path.
func parsePath(b []byte) (jsonPath, error) {
	i := 0
	blank := func() {
		for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n') {
			i++
		}
	}
	blank()
	if i >= len(b) || b[i] != '$' {
		return nil, errPath(b, i)
	}
	i++
	var p jsonPath
	for {
		blank()
		if i >= len(b) {
			break
		}
		if len(p) > 100 {
			return nil, errPath(b, i)
		}
		switch b[i] {
		case '.':
			i++
			blank()
			switch {
			case i >= len(b):
				return nil, errPath(b, i)
			case b[i] == '*':
				i++
				p = append(p, pathStep{kind: stepAnyKey})
			case b[i] == '"':
				end := i + 1
				for end < len(b) && b[end] != '"' {
					if b[end] == '\\' {
						end++
					}
					end++
				}
				if end >= len(b) {
					return nil, errPath(b, i)
				}
				v, err := types.ParseJSON(b[i : end+1])
				if err != nil {
					return nil, errPath(b, i)
				}
				p = append(p, pathStep{kind: stepKey, key: string(v.Text)})
				i = end + 1
			default:
				start := i
				for i < len(b) && (b[i] == '_' || b[i] == '$' || b[i] >= 0x80 || b[i] >= '0' && b[i] <= '9' || b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z') {
					i++
				}
				if i == start || b[start] >= '0' && b[start] <= '9' {
					return nil, errPath(b, start)
				}
				p = append(p, pathStep{kind: stepKey, key: string(b[start:i])})
			}
		case '[':
			i++
			blank()
			if i < len(b) && b[i] == '*' {
				i++
				p = append(p, pathStep{kind: stepAnyIndex})
			} else {
				index := func() (x pathIndex, ok bool) {
					blank()
					if len(b)-i >= 4 && string(b[i:i+4]) == "last" {
						i += 4
						x.last = true
						blank()
						if i >= len(b) || b[i] != '-' {
							return x, true
						}
						i++
						blank()
					}
					start := i
					for i < len(b) && b[i] >= '0' && b[i] <= '9' && i-start < 9 {
						x.n = x.n*10 + int(b[i]-'0')
						i++
					}
					return x, i > start
				}
				from, ok := index()
				if !ok {
					return nil, errPath(b, i)
				}
				s := pathStep{kind: stepIndex, from: from}
				blank()
				if len(b)-i >= 3 && string(b[i:i+2]) == "to" {
					i += 2
					if s.to, ok = index(); !ok {
						return nil, errPath(b, i)
					}
					s.kind = stepRange
				}
				p = append(p, s)
			}
			blank()
			if i >= len(b) || b[i] != ']' {
				return nil, errPath(b, i)
			}
			i++
		case '*':
			if i+1 >= len(b) || b[i+1] != '*' {
				return nil, errPath(b, i)
			}
			i += 2
			p = append(p, pathStep{kind: stepDeep})
		default:
			return nil, errPath(b, i)
		}
	}
	if len(p) > 0 && p[len(p)-1].kind == stepDeep {
		return nil, errPath(b, len(b))
	}
	return p, nil
}

// pathKey prints a key as a step of a path.
func pathKey(key string) string {
	plain := key != "" && (key[0] < '0' || key[0] > '9')
	for i := range len(key) {
		c := key[i]
		if c != '_' && c != '$' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			plain = false
		}
	}
	if plain {
		return key
	}
	return strconv.Quote(key)
}

// wild reports whether the path can name several values.
func (p jsonPath) wild() bool {
	return slices.ContainsFunc(p, func(s pathStep) bool { return s.kind != stepKey && s.kind != stepIndex })
}

// find returns what the path names in a document, in its order.
func (p jsonPath) find(doc *types.JSONValue) []*types.JSONValue {
	found := []*types.JSONValue{doc}
	for _, s := range p {
		var next []*types.JSONValue
		for _, v := range found {
			next = s.step(next, v)
		}
		if found = next; len(found) == 0 {
			break
		}
	}
	return found
}

func (s pathStep) step(next []*types.JSONValue, v *types.JSONValue) []*types.JSONValue {
	switch s.kind {
	case stepKey:
		if e := v.Get(s.key); e != nil {
			next = append(next, e)
		}
	case stepAnyKey:
		if v.Kind == types.JSONObject {
			next = append(next, v.Values...)
		}
	case stepAnyIndex:
		if v.Kind == types.JSONArray {
			next = append(next, v.Values...)
		}
	case stepIndex:
		if v.Kind != types.JSONArray { // a scalar is an array of one
			if s.from.in(1) == 0 {
				next = append(next, v)
			}
			break
		}
		if i := s.from.in(len(v.Values)); i >= 0 && i < len(v.Values) {
			next = append(next, v.Values[i])
		}
	case stepRange:
		if v.Kind == types.JSONArray {
			from, to := max(s.from.in(len(v.Values)), 0), min(s.to.in(len(v.Values)), len(v.Values)-1)
			if from <= to {
				next = append(next, v.Values[from:to+1]...)
			}
		}
	case stepDeep:
		next = append(next, v)
		for _, e := range v.Values {
			next = s.step(next, e)
		}
	}
	return next
}

// remove takes what the path names out of the document.
func (p jsonPath) remove(doc *types.JSONValue) {
	last := p[len(p)-1]
	for _, v := range p[:len(p)-1].find(doc) {
		switch {
		case last.kind == stepKey && v.Kind == types.JSONObject:
			if i := slices.Index(v.Keys, last.key); i >= 0 {
				v.Keys, v.Values = slices.Delete(v.Keys, i, i+1), slices.Delete(v.Values, i, i+1)
			}
		case last.kind == stepIndex && v.Kind == types.JSONArray:
			if i := last.from.in(len(v.Values)); i >= 0 && i < len(v.Values) {
				v.Values = slices.Delete(v.Values, i, i+1)
			}
		}
	}
}

// change puts x where the path (without wildcards) points, as mode says, and returns the document.
func (p jsonPath) change(doc, x *types.JSONValue, mode changeMode) *types.JSONValue {
	if mode == arrayAppend {
		for _, v := range p.find(doc) {
			if v.Kind == types.JSONArray {
				v.Values = append(v.Values, x)
				continue
			}
			old := *v
			*v = types.JSONValue{Kind: types.JSONArray, Values: []*types.JSONValue{&old, x}}
		}
		return doc
	}
	if len(p) == 0 {
		if mode == insertOnly || mode == arrayInsert {
			return doc
		}
		return x
	}
	parents := p[:len(p)-1].find(doc)
	if len(parents) == 0 {
		return doc
	}
	v, s := parents[0], p[len(p)-1]
	if s.kind == stepKey {
		if v.Kind != types.JSONObject {
			return doc
		}
		if old := v.Get(s.key); old != nil {
			if mode == setOrInsert || mode == replaceOnly {
				*old = *x
			}
			return doc
		}
		if mode == setOrInsert || mode == insertOnly {
			v.Keys, v.Values = append(v.Keys, s.key), append(v.Values, x)
			*v = *sortObject(v)
		}
		return doc
	}
	if v.Kind != types.JSONArray {
		i := s.from.in(1)
		switch {
		case mode == arrayInsert:
		case i == 0 && mode != insertOnly:
			*v = *x
		case i > 0 && mode != replaceOnly:
			old := *v
			*v = types.JSONValue{Kind: types.JSONArray, Values: []*types.JSONValue{&old, x}}
		}
		return doc
	}
	i := s.from.in(len(v.Values))
	switch {
	case mode == arrayInsert:
		i = min(max(i, 0), len(v.Values))
		v.Values = slices.Insert(v.Values, i, x)
	case i >= 0 && i < len(v.Values):
		if mode != insertOnly {
			v.Values[i] = x
		}
	case i >= len(v.Values) && mode != replaceOnly:
		v.Values = append(v.Values, x)
	}
	return doc
}
