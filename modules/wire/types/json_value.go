package types

import (
	"bytes"
	"slices"
)

// JSONValue is a parsed JSON value. Numbers keep their text; objects keep the last value of each key, sorted as jsonb does.
type JSONValue struct {
	Kind   JSONKind
	Text   []byte // String: unescaped; Number: as written, then normalised
	Keys   []string
	Values []*JSONValue // of an Array or Object
}

// JSONKind is the kind of a JSONValue.
type JSONKind uint8

// The kinds, in jsonb's order of comparison.
const (
	JSONNull JSONKind = iota
	JSONString
	JSONNumber
	JSONFalse
	JSONTrue
	JSONArray
	JSONObject
)

// sortKeys brings an object's keys into jsonb's order and drops all but the last of equal ones.
func (v *JSONValue) sortKeys() {
	type member struct {
		key   string
		value *JSONValue
		at    int
	}
	members := make([]member, len(v.Keys))
	sorted := true
	for i, k := range v.Keys {
		members[i] = member{k, v.Values[i], i}
		if i > 0 && cmpJSONKey(v.Keys[i-1], k) >= 0 {
			sorted = false
		}
	}
	if sorted {
		return
	}
	slices.SortFunc(members, func(a, b member) int {
		if c := cmpJSONKey(a.key, b.key); c != 0 {
			return c
		}
		return a.at - b.at
	})
	v.Keys, v.Values = v.Keys[:0], v.Values[:0]
	for i, m := range members {
		if i+1 < len(members) && members[i+1].key == m.key {
			continue
		}
		v.Keys = append(v.Keys, m.key)
		v.Values = append(v.Values, m.value)
	}
}

func cmpJSONKey(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Get returns the member of an object, nil if there is none.
func (v *JSONValue) Get(key string) *JSONValue {
	if v.Kind != JSONObject {
		return nil
	}
	i, ok := slices.BinarySearchFunc(v.Keys, key, cmpJSONKey)
	if !ok {
		return nil
	}
	return v.Values[i]
}

// AppendText appends v as jsonb prints it.
func (v *JSONValue) AppendText(dst []byte) []byte {
	switch v.Kind {
	case JSONNull:
		return append(dst, "null"...)
	case JSONFalse:
		return append(dst, "false"...)
	case JSONTrue:
		return append(dst, "true"...)
	case JSONNumber:
		return append(dst, v.Text...)
	case JSONString:
		return AppendJSONString(dst, v.Text)
	case JSONArray:
		dst = append(dst, '[')
		for i, e := range v.Values {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = e.AppendText(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, e := range v.Values {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(AppendJSONString(dst, []byte(v.Keys[i])), ": "...)
		dst = e.AppendText(dst)
	}
	return append(dst, '}')
}

// AppendJSONString appends s as a JSON string, escaped as PostgreSQL escapes it.
func AppendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			if c < 0x20 {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
				continue
			}
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// Cmp orders as PostgreSQL orders jsonb: Object > Array > Boolean > Number > String > Null; an array with fewer elements
// and an object with fewer keys are smaller.
func (v *JSONValue) Cmp(w *JSONValue) int {
	rank := func(k JSONKind) int {
		if k == JSONTrue {
			return int(JSONFalse)
		}
		return int(k)
	}
	if rank(v.Kind) != rank(w.Kind) {
		// An empty array is less than everything, by an old quirk.
		if v.Kind == JSONArray && len(v.Values) == 0 && w.Kind != JSONObject {
			return -1
		}
		if w.Kind == JSONArray && len(w.Values) == 0 && v.Kind != JSONObject {
			return 1
		}
		return cmpInt(rank(v.Kind), rank(w.Kind))
	}
	switch v.Kind {
	case JSONFalse, JSONTrue:
		return cmpInt(int(v.Kind), int(w.Kind))
	case JSONString:
		return bytes.Compare(v.Text, w.Text)
	case JSONNumber:
		a, _ := ParseDecimal(v.Text)
		b, _ := ParseDecimal(w.Text)
		return a.Cmp(b)
	case JSONArray, JSONObject:
		if len(v.Values) != len(w.Values) {
			return cmpInt(len(v.Values), len(w.Values))
		}
		for i := range v.Values {
			if v.Kind == JSONObject {
				if c := cmpJSONKey(v.Keys[i], w.Keys[i]); c != 0 {
					return cmpInt(c, 0)
				}
			}
			if c := v.Values[i].Cmp(w.Values[i]); c != 0 {
				return c
			}
		}
	}
	return 0
}
