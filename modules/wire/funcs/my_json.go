package funcs

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// MySQL's JSON functions. A value given to one is JSON when its declared type says so ($T lists the arguments' types) or
// when another JSON function made it (SQLite's subtype says so); otherwise it is a string, a number or a boolean.

func init() {
	anyArgs := kinds(Any)
	path := func(name string, res types.Kind, f func(doc *types.JSONValue, a []types.Value) (types.Value, error)) myFunc {
		return myFunc{name: name, args: kinds(tJSON, tText), variadic: true, result: res, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], name, 1)
			if err != nil {
				return null, err
			}
			return f(doc, a)
		}}
	}
	modify := func(name string, mode changeMode) myFunc {
		return myFunc{name: name, args: kinds(tJSON, tText, Any), variadic: true, result: tJSON, keepNull: true, json: true,
			sql: "my_" + name + "($T, $*)", call: func(_ *Env, a []types.Value) (types.Value, error) { return changeJSON(name, mode, a) }}
	}
	implementMy(
		path("json_extract", tJSON, jsonExtract),
		myFunc{name: "json_unquote", args: kinds(tText), result: tText, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) { return jsonUnquote(a[0].B) }},
		myFunc{name: "json_value", args: kinds(tJSON, tText), result: tText, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], "json_value", 1)
			if err != nil {
				return null, err
			}
			v, err := jsonExtract(doc, a)
			if err != nil || v.IsNull() || string(v.B) == "null" {
				return null, err
			}
			return jsonUnquote(v.B)
		}},
		myFunc{name: "json_contains", args: kinds(tJSON, tJSON, tText), optional: 1, result: types.Bool, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], "json_contains", 1)
			if err != nil {
				return null, err
			}
			want, err := parseDoc(a[1], "json_contains", 2)
			if err != nil {
				return null, err
			}
			if len(a) > 2 {
				p, err := parsePath(a[2].B)
				if err != nil {
					return null, err
				}
				found := p.find(doc)
				if len(found) == 0 {
					return null, nil
				}
				doc = found[0]
			}
			return types.BoolValue(jsonContains(doc, want)), nil
		}},
		myFunc{name: "json_contains_path", args: kinds(tJSON, tText, tText), variadic: true, result: types.Bool, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], "json_contains_path", 1)
			if err != nil {
				return null, err
			}
			all := strings.EqualFold(string(a[1].B), "all")
			for _, v := range a[2:] {
				p, err := parsePath(v.B)
				if err != nil {
					return null, err
				}
				if found := len(p.find(doc)) > 0; found != all {
					return types.BoolValue(found), nil
				}
			}
			return types.BoolValue(all), nil
		}},
		myFunc{name: "json_keys", args: kinds(tJSON, tText), optional: 1, result: tJSON, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := docAt(a, "json_keys")
			if err != nil || doc == nil || doc.Kind != types.JSONObject {
				return null, err
			}
			out := &types.JSONValue{Kind: types.JSONArray}
			for _, k := range doc.Keys {
				out.Values = append(out.Values, jsonString([]byte(k)))
			}
			return jsonResult(out), nil
		}},
		myFunc{name: "json_length", args: kinds(tJSON, tText), optional: 1, result: tInt, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := docAt(a, "json_length")
			if err != nil || doc == nil {
				return null, err
			}
			if doc.Kind == types.JSONArray || doc.Kind == types.JSONObject {
				return types.IntValue(int64(len(doc.Values))), nil
			}
			return types.IntValue(1), nil
		}},
		myFunc{name: "json_depth", args: kinds(tJSON), result: tInt, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], "json_depth", 1)
			if err != nil {
				return null, err
			}
			return types.IntValue(int64(jsonDepth(doc))), nil
		}},
		myFunc{name: "json_type", args: kinds(tJSON), result: tText, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], "json_type", 1)
			if err != nil {
				return null, err
			}
			switch doc.Kind {
			case types.JSONObject:
				return types.StringValue("OBJECT"), nil
			case types.JSONArray:
				return types.StringValue("ARRAY"), nil
			case types.JSONString:
				return types.StringValue("STRING"), nil
			case types.JSONTrue, types.JSONFalse:
				return types.StringValue("BOOLEAN"), nil
			case types.JSONNull:
				return types.StringValue("NULL"), nil
			}
			if bytes.ContainsRune(doc.Text, '.') {
				return types.StringValue("DOUBLE"), nil
			}
			return types.StringValue("INTEGER"), nil
		}},
		myFunc{name: "json_valid", args: kinds(Any), result: types.Bool, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].Class != types.String {
				return types.BoolValue(false), nil
			}
			_, err := types.ParseJSON(a[0].B)
			return types.BoolValue(err == nil), nil
		}},
		myFunc{name: "json_quote", args: kinds(tText), result: tText, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textValue(types.AppendJSONString(nil, a[0].B)), nil
		}},
		myFunc{name: "json_pretty", args: kinds(tJSON), result: tText, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			doc, err := parseDoc(a[0], "json_pretty", 1)
			if err != nil {
				return null, err
			}
			return textValue(appendPretty(nil, doc, 0)), nil
		}},
		myFunc{name: "json_storage_size", args: kinds(tJSON), result: tInt, sql: "length(CAST($1 AS BLOB))"},
		myFunc{name: "json_array", args: anyArgs, variadic: true, result: tJSON, keepNull: true, json: true, sql: "my_json_array($T, $*)", call: func(_ *Env, a []types.Value) (types.Value, error) {
			out := &types.JSONValue{Kind: types.JSONArray}
			ts := typeList(a[0])
			for i, v := range a[1:] {
				e, err := toJSON(v, typeAt(ts, i))
				if err != nil {
					return null, err
				}
				out.Values = append(out.Values, e)
			}
			return jsonResult(out), nil
		}},
		myFunc{name: "json_array", result: tJSON, sql: "'[]'"},
		myFunc{name: "json_object", result: tJSON, sql: "'{}'"},
		myFunc{name: "json_object", args: kinds(Any, Any), variadic: true, result: tJSON, keepNull: true, json: true, sql: "my_json_object($T, $*)", call: func(_ *Env, a []types.Value) (types.Value, error) {
			ts := typeList(a[0])
			a = a[1:]
			if len(a)%2 != 0 {
				return null, sqlerr.New("42883", "json_object needs pairs").My(1582, "Incorrect parameter count in the call to native function 'json_object'")
			}
			out := &types.JSONValue{Kind: types.JSONObject}
			for i := 0; i < len(a); i += 2 {
				if a[i].IsNull() {
					return null, sqlerr.New("22032", "a JSON object's key is NULL").My(3158, "JSON documents may not contain NULL member names.")
				}
				e, err := toJSON(a[i+1], typeAt(ts, i+1))
				if err != nil {
					return null, err
				}
				out.Keys = append(out.Keys, string(types.AppendMySQLText(nil, typeAt(ts, i), a[i], nil)))
				out.Values = append(out.Values, e)
			}
			return jsonResult(sortObject(out)), nil
		}},
		modify("json_set", setOrInsert), modify("json_insert", insertOnly), modify("json_replace", replaceOnly),
		modify("json_array_append", arrayAppend), modify("json_array_insert", arrayInsert),
		path("json_remove", tJSON, func(doc *types.JSONValue, a []types.Value) (types.Value, error) {
			for _, v := range a[1:] {
				p, err := parsePath(v.B)
				if err != nil {
					return null, err
				}
				if len(p) == 0 {
					return null, sqlerr.New("22031", "the path $ is not allowed here").My(3153, "The path expression '$' is not allowed in this context.")
				}
				p.remove(doc)
			}
			return jsonResult(doc), nil
		}),
		myFunc{name: "json_merge_patch", args: kinds(tJSON, tJSON), variadic: true, result: tJSON, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return mergeJSON(a, mergePatch)
		}},
		myFunc{name: "json_merge_preserve", args: kinds(tJSON, tJSON), variadic: true, result: tJSON, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return mergeJSON(a, mergePreserve)
		}},
		myFunc{name: "json_merge", args: kinds(tJSON, tJSON), variadic: true, result: tJSON, as: "my_json_merge_preserve"},
		myFunc{name: "json_overlaps", args: kinds(tJSON, tJSON), result: types.Bool, json: true, call: func(_ *Env, a []types.Value) (types.Value, error) {
			x, err := parseDoc(a[0], "json_overlaps", 1)
			if err != nil {
				return null, err
			}
			y, err := parseDoc(a[1], "json_overlaps", 2)
			if err != nil {
				return null, err
			}
			return types.BoolValue(jsonOverlaps(x, y)), nil
		}},
		myFunc{name: "member of", args: kinds(Any, tJSON), result: types.Bool, json: true, as: "my_member_of", sql: "my_member_of($T, $1, $2)", call: func(_ *Env, a []types.Value) (types.Value, error) {
			ts := typeList(a[0])
			x, err := toJSON(a[1], typeAt(ts, 0))
			if err != nil {
				return null, err
			}
			doc, err := parseDoc(a[2], "member of", 2)
			if err != nil {
				return null, err
			}
			if doc.Kind != types.JSONArray {
				return types.BoolValue(doc.Cmp(x) == 0), nil
			}
			return types.BoolValue(slices.ContainsFunc(doc.Values, func(e *types.JSONValue) bool { return e.Cmp(x) == 0 })), nil
		}},
		myFunc{name: "json_search", args: kinds(tJSON, tText, tText, tText, tText), optional: 2, result: tJSON, keepNull: true, json: true, call: jsonSearch},
	)
	defineOp(my,
		infix("->", tJSON, types.Text, tJSON, "my_json_extract($1, $2)"),
		infix("->>", tJSON, types.Text, types.Text, "my_json_unquote(my_json_extract($1, $2))"),
	)
}

// typeList reads what $T prints: the codes of the arguments' types, separated by commas.
func typeList(v types.Value) []types.Type {
	if v.Class == types.Int {
		return []types.Type{types.FromCode(v.I)}
	}
	var ts []types.Type
	for s := range strings.SplitSeq(string(v.B), ",") {
		c, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			break
		}
		ts = append(ts, types.FromCode(c))
	}
	return ts
}

// typeAt is the type of an argument, Unknown if it wasn't listed.
func typeAt(ts []types.Type, i int) types.Type {
	if i < len(ts) {
		return ts[i]
	}
	return types.Type{}
}

func errJSONArgument(name string, n int) error {
	return sqlerr.New("22032", "invalid JSON text in argument %d to function %s", n, name).
		My(3141, "Invalid JSON text in argument %d to function %s: \"Invalid value.\" at position 0.", n, name)
}

func parseDoc(v types.Value, name string, n int) (*types.JSONValue, error) {
	if v.Class == types.Int || v.Class == types.Float {
		return toJSON(v, types.Type{})
	}
	doc, err := types.ParseJSON(v.B)
	if err != nil {
		return nil, errJSONArgument(name, n)
	}
	return doc, nil
}

// docAt is the document, or the part of it that an optional path names; nil if there is none.
func docAt(a []types.Value, name string) (*types.JSONValue, error) {
	doc, err := parseDoc(a[0], name, 1)
	if err != nil || len(a) < 2 {
		return doc, err
	}
	p, err := parsePath(a[1].B)
	if err != nil {
		return nil, err
	}
	found := p.find(doc)
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

func jsonString(b []byte) *types.JSONValue {
	return &types.JSONValue{Kind: types.JSONString, Text: b}
}

// jsonResult prints a value; the result is marked as JSON.
func jsonResult(v *types.JSONValue) types.Value {
	return types.Value{Class: types.String, B: v.AppendText(nil), I: jsonSubtype}
}

// toJSON makes JSON of an SQL value of type t (Unknown: what SQLite stores it as tells).
func toJSON(v types.Value, t types.Type) (*types.JSONValue, error) {
	switch {
	case v.IsNull():
		return &types.JSONValue{Kind: types.JSONNull}, nil
	case t.Kind == types.Bool && v.Class == types.Int:
		if v.I != 0 {
			return &types.JSONValue{Kind: types.JSONTrue}, nil
		}
		return &types.JSONValue{Kind: types.JSONFalse}, nil
	case v.Class == types.Int:
		return &types.JSONValue{Kind: types.JSONNumber, Text: strconv.AppendInt(nil, v.I, 10)}, nil
	case v.Class == types.Float:
		if math.IsInf(v.F, 0) {
			return jsonString(types.AppendMySQLFloat(nil, v.F, false)), nil
		}
		d := types.DecimalFromFloat(v.F, 17)
		if short := types.DecimalFromFloat(v.F, 15); short.Float() == v.F {
			d = short
		}
		d = d.TrimZeros()
		if d.Scale() == 0 {
			d = d.Round(1)
		}
		return &types.JSONValue{Kind: types.JSONNumber, Text: d.AppendText(nil)}, nil
	case t.Kind == types.Numeric:
		if d, err := types.ParseDecimal(v.B); err == nil && !d.IsNaN() && !d.IsInf() {
			return &types.JSONValue{Kind: types.JSONNumber, Text: d.AppendText(nil)}, nil
		}
	case t.Kind == types.JSON || t.Kind == types.JSONB || v.I == jsonSubtype:
		doc, err := types.ParseJSON(v.B)
		if err != nil {
			return nil, errJSONArgument("json", 1)
		}
		return doc, nil
	case v.Class == types.Blob:
		return jsonString([]byte("base64:type15:" + string(must(myToBase64(nil, []types.Value{v})).B))), nil
	case t.IsTime():
		t.Len = 0
		return jsonString(types.AppendMySQLText(nil, t, v, nil)), nil
	}
	return jsonString(bytes.Clone(v.B)), nil
}

// must is for calls that can't fail.
func must(v types.Value, _ error) types.Value { return v }

func jsonUnquote(b []byte) (types.Value, error) {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return textValue(b), nil
	}
	doc, err := types.ParseJSON(b)
	if err != nil {
		return null, errJSONArgument("json_unquote", 1)
	}
	return textValue(doc.Text), nil
}

// jsonExtract is JSON_EXTRACT: one value for one path without wildcards, else an array of what was found.
func jsonExtract(doc *types.JSONValue, a []types.Value) (types.Value, error) {
	var all []*types.JSONValue
	many := len(a) > 2
	for _, v := range a[1:] {
		p, err := parsePath(v.B)
		if err != nil {
			return null, err
		}
		many = many || p.wild()
		all = append(all, p.find(doc)...)
	}
	switch {
	case len(all) == 0:
		return null, nil
	case !many:
		return jsonResult(all[0]), nil
	}
	return jsonResult(&types.JSONValue{Kind: types.JSONArray, Values: all}), nil
}

func jsonContains(doc, want *types.JSONValue) bool {
	switch {
	case doc.Kind == types.JSONArray && want.Kind == types.JSONArray:
		return !slices.ContainsFunc(want.Values, func(w *types.JSONValue) bool {
			return !slices.ContainsFunc(doc.Values, func(d *types.JSONValue) bool { return jsonContains(d, w) })
		})
	case doc.Kind == types.JSONArray:
		return slices.ContainsFunc(doc.Values, func(d *types.JSONValue) bool { return jsonContains(d, want) })
	case doc.Kind == types.JSONObject && want.Kind == types.JSONObject:
		for i, k := range want.Keys {
			d := doc.Get(k)
			if d == nil || !jsonContains(d, want.Values[i]) {
				return false
			}
		}
		return true
	}
	return doc.Kind == want.Kind && doc.Cmp(want) == 0
}

func jsonOverlaps(x, y *types.JSONValue) bool {
	switch {
	case x.Kind == types.JSONObject && y.Kind == types.JSONObject:
		for i, k := range x.Keys {
			if v := y.Get(k); v != nil && v.Cmp(x.Values[i]) == 0 {
				return true
			}
		}
		return false
	case x.Kind == types.JSONArray && y.Kind == types.JSONArray:
		return slices.ContainsFunc(x.Values, func(e *types.JSONValue) bool {
			return slices.ContainsFunc(y.Values, func(f *types.JSONValue) bool { return e.Cmp(f) == 0 })
		})
	case x.Kind == types.JSONArray:
		return slices.ContainsFunc(x.Values, func(e *types.JSONValue) bool { return e.Cmp(y) == 0 })
	case y.Kind == types.JSONArray:
		return jsonOverlaps(y, x)
	}
	return x.Cmp(y) == 0
}

func jsonDepth(v *types.JSONValue) int {
	deepest := 0
	for _, e := range v.Values {
		deepest = max(deepest, jsonDepth(e))
	}
	return deepest + 1
}

func appendPretty(dst []byte, v *types.JSONValue, depth int) []byte {
	if v.Kind != types.JSONArray && v.Kind != types.JSONObject || len(v.Values) == 0 {
		return v.AppendText(dst)
	}
	open, end := byte('['), byte(']')
	if v.Kind == types.JSONObject {
		open, end = '{', '}'
	}
	newline := func(n int) {
		dst = append(dst, '\n')
		for range n {
			dst = append(dst, ' ', ' ')
		}
	}
	dst = append(dst, open)
	for i, e := range v.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		newline(depth + 1)
		if v.Kind == types.JSONObject {
			dst = append(types.AppendJSONString(dst, []byte(v.Keys[i])), ": "...)
		}
		dst = appendPretty(dst, e, depth+1)
	}
	newline(depth)
	return append(dst, end)
}
