package funcs

import (
	"slices"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func pgTwoJSON(a []types.Value) (x, y *types.JSONValue, err error) {
	if x, err = types.ParseJSON(a[0].B); err == nil {
		y, err = types.ParseJSON(a[1].B)
	}
	return x, y, err
}

func pgJSONResult(v *types.JSONValue) types.Value {
	return types.Value{Class: types.String, B: v.AppendText(nil)}
}

// pgContains is the operator @>. At the top an array contains a scalar that is one of its elements.
func pgContains(x, y *types.JSONValue, top bool) bool {
	switch {
	case x.Kind == types.JSONObject && y.Kind == types.JSONObject:
		for i, k := range y.Keys {
			v := x.Get(k)
			if v == nil || !pgContains(v, y.Values[i], false) {
				return false
			}
		}
		return true
	case x.Kind == types.JSONArray && y.Kind == types.JSONArray:
		for _, w := range y.Values {
			if !slices.ContainsFunc(x.Values, func(v *types.JSONValue) bool { return pgContains(v, w, false) }) {
				return false
			}
		}
		return true
	case x.Kind == types.JSONArray && top && y.Kind != types.JSONObject:
		return slices.ContainsFunc(x.Values, func(v *types.JSONValue) bool { return v.Cmp(y) == 0 })
	}
	return x.Kind == y.Kind && x.Cmp(y) == 0
}

// pgJSONConcat is jsonb || jsonb.
func pgJSONConcat(a []types.Value) (types.Value, error) {
	x, y, err := pgTwoJSON(a)
	if err != nil {
		return types.Value{}, err
	}
	if x.Kind == types.JSONObject && y.Kind == types.JSONObject {
		for i, k := range y.Keys {
			pgJSONPut(x, k, y.Values[i])
		}
		return pgNormal(pgJSONResult(x), nil)
	}
	list := func(v *types.JSONValue) []*types.JSONValue {
		if v.Kind == types.JSONArray {
			return v.Values
		}
		return []*types.JSONValue{v}
	}
	out := &types.JSONValue{Kind: types.JSONArray, Values: append(slices.Clone(list(x)), list(y)...)}
	return pgJSONResult(out), nil
}

// pgJSONPut sets a member. A new one goes to the end: what prints the object sorts it.
func pgJSONPut(o *types.JSONValue, key string, v *types.JSONValue) {
	for i, k := range o.Keys {
		if k == key {
			o.Values[i] = v
			return
		}
	}
	o.Keys = append(o.Keys, key)
	o.Values = append(o.Values, v)
}

// pgJSONDelete is jsonb - text and jsonb - integer.
func pgJSONDelete(a []types.Value) (types.Value, error) {
	x, err := types.ParseJSON(a[0].B)
	if err != nil {
		return types.Value{}, err
	}
	switch {
	case x.Kind != types.JSONArray && x.Kind != types.JSONObject:
		return types.Value{}, sqlerr.New("22023", "cannot delete from scalar")
	case a[1].Class == types.Int && x.Kind == types.JSONObject:
		return types.Value{}, sqlerr.New("22023", "cannot delete from object using integer index")
	case a[1].Class == types.Int:
		i := a[1].I
		if i < 0 {
			i += int64(len(x.Values))
		}
		if i >= 0 && i < int64(len(x.Values)) {
			x.Values = slices.Delete(x.Values, int(i), int(i)+1)
		}
	case x.Kind == types.JSONObject:
		if i := slices.Index(x.Keys, string(a[1].B)); i >= 0 {
			x.Keys = slices.Delete(x.Keys, i, i+1)
			x.Values = slices.Delete(x.Values, i, i+1)
		}
	default:
		x.Values = slices.DeleteFunc(x.Values, func(v *types.JSONValue) bool {
			return v.Kind == types.JSONString && string(v.Text) == string(a[1].B)
		})
	}
	return pgJSONResult(x), nil
}

// pgJSONMode says what a change does at the end of its path.
type pgJSONMode uint8

const (
	pgReplace      pgJSONMode = iota // only what is there
	pgSetOrCreate                    // a member or element is added
	pgInsertBefore                   // jsonb_insert
	pgInsertAfter
	pgDelete
)

// pgJSONChange changes the part at a path.
func pgJSONChange(doc, path types.Value, with []byte, mode pgJSONMode) (types.Value, error) {
	x, err := types.ParseJSON(doc.B)
	if err != nil {
		return types.Value{}, err
	}
	p, err := pgParseArray(path)
	if err != nil {
		return types.Value{}, err
	}
	if len(p.Dims) > 1 {
		return types.Value{}, sqlerr.New("2202E", "wrong number of array subscripts")
	}
	if x.Kind != types.JSONArray && x.Kind != types.JSONObject {
		what := map[bool]string{true: "cannot delete path in scalar", false: "cannot set path in scalar"}[mode == pgDelete]
		return types.Value{}, sqlerr.New("22023", "%s", what)
	}
	if len(p.Elems) == 0 {
		return doc, nil
	}
	var v *types.JSONValue
	if with != nil {
		if v, err = types.ParseJSON(with); err != nil {
			return types.Value{}, err
		}
	}
	if err := pgJSONApply(x, p.Elems, 0, v, mode); err != nil {
		return types.Value{}, err
	}
	return pgNormal(pgJSONResult(x), nil)
}

func pgJSONApply(x *types.JSONValue, path []types.Value, depth int, v *types.JSONValue, mode pgJSONMode) error {
	step := path[depth]
	if step.IsNull() {
		return sqlerr.New("22004", "path element at position %d is null", depth+1)
	}
	end := depth+1 == len(path)
	key := pgStr(step)
	switch x.Kind {
	case types.JSONObject:
		i := slices.Index(x.Keys, key)
		switch {
		case !end:
			if i >= 0 {
				return pgJSONApply(x.Values[i], path, depth+1, v, mode)
			}
		case i < 0:
			if mode != pgReplace && mode != pgDelete {
				pgJSONPut(x, key, v)
			}
		case mode == pgDelete:
			x.Keys, x.Values = slices.Delete(x.Keys, i, i+1), slices.Delete(x.Values, i, i+1)
		case mode == pgInsertBefore || mode == pgInsertAfter:
			return sqlerr.New("22023", "cannot replace existing key").
				WithHint("Try using the function jsonb_set to replace key value.")
		default:
			x.Values[i] = v
		}
	case types.JSONArray:
		i, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return sqlerr.New("22P02", "path element at position %d is not an integer: \"%s\"", depth+1, key)
		}
		n := int64(len(x.Values))
		if i < 0 {
			if i += n; i < 0 {
				i = -1 // before the first
			}
		}
		inside := i >= 0 && i < n
		switch {
		case !end:
			if inside {
				return pgJSONApply(x.Values[i], path, depth+1, v, mode)
			}
		case mode == pgDelete:
			if inside {
				x.Values = slices.Delete(x.Values, int(i), int(i)+1)
			}
		case inside && (mode == pgSetOrCreate || mode == pgReplace):
			x.Values[i] = v
		case mode == pgReplace:
		default:
			at := min(max(i, 0), n)
			if mode == pgInsertAfter && inside {
				at++
			}
			x.Values = slices.Insert(x.Values, int(at), v)
		}
	}
	return nil
}

// pgJSONSetLax is jsonb_set that says what NULL means.
func pgJSONSetLax(a []types.Value) (types.Value, error) {
	if a[0].IsNull() || a[1].IsNull() || len(a) > 3 && a[3].IsNull() {
		return types.Value{}, nil
	}
	mode := pgSetOrCreate
	if len(a) > 3 && a[3].I == 0 {
		mode = pgReplace
	}
	if !a[2].IsNull() {
		return pgJSONChange(a[0], a[1], a[2].B, mode)
	}
	treatment := "use_json_null"
	if len(a) > 4 {
		if a[4].IsNull() {
			return types.Value{}, sqlerr.New("22023", "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"")
		}
		treatment = pgStr(a[4])
	}
	switch treatment {
	case "raise_exception":
		e := sqlerr.New("22004", "JSON value must not be null")
		e.Detail = "Exception was raised because null_value_treatment is \"raise_exception\"."
		return types.Value{}, e
	case "use_json_null":
		return pgJSONChange(a[0], a[1], []byte("null"), mode)
	case "delete_key":
		return pgJSONChange(a[0], a[1], nil, pgDelete)
	case "return_target":
		return a[0], nil
	}
	return types.Value{}, sqlerr.New("22023", "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"")
}
