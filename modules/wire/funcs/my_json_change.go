package funcs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// sortObject brings keys into order, dropping all but the last of equal ones.
func sortObject(v *types.JSONValue) *types.JSONValue {
	doc, err := types.ParseJSON(v.AppendText(nil))
	if err != nil {
		return v
	}
	return doc
}

func mergeJSON(a []types.Value, merge func(x, y *types.JSONValue) *types.JSONValue) (types.Value, error) {
	doc, err := parseDoc(a[0], "json_merge", 1)
	if err != nil {
		return null, err
	}
	for i, v := range a[1:] {
		next, err := parseDoc(v, "json_merge", i+2)
		if err != nil {
			return null, err
		}
		doc = merge(doc, next)
	}
	return jsonResult(sortObject(doc)), nil
}

func mergePatch(x, y *types.JSONValue) *types.JSONValue {
	if y.Kind != types.JSONObject {
		return y
	}
	out := &types.JSONValue{Kind: types.JSONObject}
	if x.Kind == types.JSONObject {
		for i, k := range x.Keys {
			if y.Get(k) == nil {
				out.Keys, out.Values = append(out.Keys, k), append(out.Values, x.Values[i])
			}
		}
	}
	for i, k := range y.Keys {
		if y.Values[i].Kind == types.JSONNull {
			continue
		}
		old := x.Get(k)
		if old == nil {
			old = &types.JSONValue{Kind: types.JSONNull}
		}
		out.Keys, out.Values = append(out.Keys, k), append(out.Values, mergePatch(old, y.Values[i]))
	}
	return out
}

func mergePreserve(x, y *types.JSONValue) *types.JSONValue {
	if x.Kind == types.JSONObject && y.Kind == types.JSONObject {
		out := &types.JSONValue{Kind: types.JSONObject, Keys: slices.Clone(x.Keys), Values: slices.Clone(x.Values)}
		for i, k := range y.Keys {
			if at := slices.Index(out.Keys, k); at >= 0 {
				out.Values[at] = mergePreserve(out.Values[at], y.Values[i])
				continue
			}
			out.Keys, out.Values = append(out.Keys, k), append(out.Values, y.Values[i])
		}
		return out
	}
	list := func(v *types.JSONValue) []*types.JSONValue {
		if v.Kind == types.JSONArray {
			return v.Values
		}
		return []*types.JSONValue{v}
	}
	return &types.JSONValue{Kind: types.JSONArray, Values: append(slices.Clone(list(x)), list(y)...)}
}

// changeMode says what a function that changes documents does where.
type changeMode uint8

const (
	setOrInsert changeMode = iota
	insertOnly
	replaceOnly
	arrayAppend
	arrayInsert
)

// changeJSON is JSON_SET and its companions: a[0] are the types, a[1] the document, then paths and values.
func changeJSON(name string, mode changeMode, a []types.Value) (types.Value, error) {
	ts := typeList(a[0])
	a = a[1:]
	if a[0].IsNull() {
		return null, nil
	}
	doc, err := parseDoc(a[0], name, 1)
	if err != nil {
		return null, err
	}
	if len(a)%2 == 0 {
		return null, sqlerr.New("42883", "%s needs pairs of path and value", name).
			My(1582, "Incorrect parameter count in the call to native function '%s'", name)
	}
	for i := 1; i < len(a); i += 2 {
		if a[i].IsNull() {
			return null, nil
		}
		p, err := parsePath(a[i].B)
		if err != nil {
			return null, err
		}
		if p.wild() {
			return null, sqlerr.New("22031", "a path with wildcards is not allowed here").
				My(3149, "In this situation, path expressions may not contain the * and ** tokens or an array range.")
		}
		v, err := toJSON(a[i+1], typeAt(ts, i+1))
		if err != nil {
			return null, err
		}
		doc = p.change(doc, v, mode)
	}
	return jsonResult(doc), nil
}

// jsonSearch is JSON_SEARCH(doc, 'one'|'all', pattern[, escape[, path]]).
func jsonSearch(_ *Env, a []types.Value) (types.Value, error) {
	if a[0].IsNull() || a[1].IsNull() || a[2].IsNull() {
		return null, nil
	}
	doc, err := parseDoc(a[0], "json_search", 1)
	if err != nil {
		return null, err
	}
	one := strings.EqualFold(string(a[1].B), "one")
	escape := rune('\\')
	if len(a) > 3 && len(a[3].B) > 0 {
		escape = []rune(string(a[3].B))[0]
	}
	var found []string
	var walk func(v *types.JSONValue, at string)
	walk = func(v *types.JSONValue, at string) {
		if one && len(found) > 0 {
			return
		}
		switch v.Kind {
		case types.JSONString:
			if Like(v.Text, a[2].B, escape, false) {
				found = append(found, at)
			}
		case types.JSONArray:
			for i, e := range v.Values {
				walk(e, at+"["+strconv.Itoa(i)+"]")
			}
		case types.JSONObject:
			for i, e := range v.Values {
				walk(e, at+"."+pathKey(v.Keys[i]))
			}
		}
	}
	walk(doc, "$")
	switch {
	case len(found) == 0:
		return null, nil
	case one || len(found) == 1:
		return jsonResult(jsonString([]byte(found[0]))), nil
	}
	out := &types.JSONValue{Kind: types.JSONArray}
	for _, f := range found {
		out.Values = append(out.Values, jsonString([]byte(f)))
	}
	return jsonResult(out), nil
}
