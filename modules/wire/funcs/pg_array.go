package funcs

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const i4, text = types.Int4, types.Text
	arr, elem := AnyArray, AnyElem
	define(pg,
		pgFn("array_length", i4, "bop_array_dim($1, $2, 0)", arr, i4),
		pgFn("array_upper", i4, "bop_array_dim($1, $2, 0)", arr, i4),
		pgFn("array_lower", i4, "bop_array_dim($1, $2, 1)", arr, i4),
		pgFn("array_ndims", i4, "bop_array_ndims($1)", arr),
		pgFn("array_dims", text, "bop_array_dims($1)", arr),
		pgFn("cardinality", i4, "bop_cardinality($1)", arr),
		pgNull(pgFn("array_append", arr, "bop_array_append($1, $2)", arr, elem)),
		pgNull(pgFn("array_prepend", arr, "bop_array_prepend($1, $2)", elem, arr)),
		pgNull(pgFn("array_cat", arr, "bop_array_cat($1, $2)", arr, arr)),
		pgNull(pgOpt(1, pgFn("array_position", i4, "bop_array_position($*)", arr, elem, i4))),
		pgNull(pgArray(i4, pgFn("array_positions", 0, "bop_array_positions($1, $2)", arr, elem))),
		pgNull(pgFn("array_remove", arr, "bop_array_remove($1, $2)", arr, elem)),
		pgNull(pgFn("array_replace", arr, "bop_array_replace($1, $2, $3)", arr, elem, elem)),
		pgFn("trim_array", arr, "bop_trim_array($1, $2)", arr, i4),
		pgNull(pgOpt(1, pgFn("array_fill", arr, "bop_array_fill($*)", elem, types.Array, types.Array))),
		pgFn("array_to_string", text, "bop_array_to_string($t1, $1, $2, NULL)", arr, text),
		pgNull(pgFn("array_to_string", text, "bop_array_to_string($t1, $1, $2, $3)", arr, text, text)),
		pgNull(pgArray(text, pgOpt(1, pgFn("string_to_array", 0, "bop_string_to_array($*)", text, text, text)))),
		pgNull(pgOpt(1, pgSet("string_to_table", text, "bop_string_rows($*)", text, text, text))),
		pgSet("unnest", elem, "bop_unnest($1, $t1)", arr),
		pgOpt(1, pgSet("generate_subscripts", i4, "bop_subscripts($*)", arr, i4, types.Bool)),
	)
	for _, k := range []types.Kind{types.Int2Vector, types.OidVector} {
		of := map[types.Kind]types.Kind{types.Int2Vector: types.Int2, types.OidVector: types.Oid}[k]
		define(pg,
			pgFn("array_upper", i4, "bop_vector_dim($1, $2, 2)", k, i4),
			pgFn("array_lower", i4, "bop_vector_dim($1, $2, 1)", k, i4),
			pgFn("array_length", i4, "bop_vector_dim($1, $2, 0)", k, i4),
			pgFn("cardinality", i4, "ifnull(bop_vector_dim($1, 1, 0), 0)", k),
			pgSet("unnest", of, "bop_vector_rows($1)", k),
			pgOpt(1, pgSet("generate_subscripts", i4, "bop_vector_subscripts($*)", k, i4, types.Bool)),
		)
	}
	null := func(s *Signature) *Signature { return pgNull(s) }
	defineOp(pg,
		null(infix("||", arr, arr, arr, "bop_array_cat($1, $2)")),
		null(infix("||", arr, elem, arr, "bop_array_append($1, $2)")),
		null(infix("||", elem, arr, arr, "bop_array_prepend($1, $2)")),
		infix("@>", arr, arr, types.Bool, "bop_array_contains($1, $2)"),
		infix("<@", arr, arr, types.Bool, "bop_array_contains($2, $1)"),
		infix("&&", arr, arr, types.Bool, "bop_array_overlap($1, $2)"),
	)

	implement(func(r *Registrar) {
		env := r.Env
		pure := func(name string, n int, f func(a []types.Value) (types.Value, error)) { r.Pure(name, n, pgStrict(f)) }
		pure("bop_array_dim", 3, func(a []types.Value) (types.Value, error) {
			x, err := pgParseArray(a[0])
			if err != nil || a[1].I < 1 || a[1].I > int64(len(x.Dims)) {
				return types.Value{}, err
			}
			if a[2].I == 1 {
				return types.IntValue(1), nil
			}
			return types.IntValue(int64(x.Dims[a[1].I-1])), nil
		})
		pure("bop_array_ndims", 1, func(a []types.Value) (types.Value, error) {
			x, err := pgParseArray(a[0])
			if err != nil || len(x.Dims) == 0 {
				return types.Value{}, err
			}
			return types.IntValue(int64(len(x.Dims))), nil
		})
		pure("bop_array_dims", 1, func(a []types.Value) (types.Value, error) {
			x, err := pgParseArray(a[0])
			if err != nil || len(x.Dims) == 0 {
				return types.Value{}, err
			}
			s := ""
			for _, d := range x.Dims {
				s += "[1:" + strconv.Itoa(d) + "]"
			}
			return pgText(s), nil
		})
		pure("bop_cardinality", 1, func(a []types.Value) (types.Value, error) {
			x, err := pgParseArray(a[0])
			return types.IntValue(int64(len(x.Elems))), err
		})
		r.Pure("bop_array_append", 2, pgLoose(func(a []types.Value) (types.Value, error) { return pgArrayAdd(a[0], a[1], false) }))
		r.Pure("bop_array_prepend", 2, pgLoose(func(a []types.Value) (types.Value, error) { return pgArrayAdd(a[1], a[0], true) }))
		r.Pure("bop_array_cat", 2, pgLoose(pgArrayCat))
		for _, n := range []int{2, 3} {
			r.Pure("bop_array_position", n, pgLoose(func(a []types.Value) (types.Value, error) {
				all, err := pgPositions(a)
				if err != nil || len(all) == 0 {
					return types.Value{}, err
				}
				return types.IntValue(all[0]), nil
			}))
			r.Pure("bop_string_to_array", n, pgLoose(func(a []types.Value) (types.Value, error) {
				if a[0].IsNull() {
					return types.Value{}, nil
				}
				return pgTextArray(pgSplitString(a)), nil
			}))
		}
		r.Pure("bop_array_positions", 2, pgLoose(func(a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.Value{}, nil
			}
			all, err := pgPositions(a)
			out := make([]types.Value, len(all))
			for i, p := range all {
				out[i] = types.IntValue(p)
			}
			return pgArrayOf(out), err
		}))
		r.Pure("bop_array_remove", 2, pgLoose(func(a []types.Value) (types.Value, error) {
			return pgArrayMap(a[0], "removing elements from", true, func(v types.Value) (types.Value, bool) { return v, !pgSame(v, a[1]) })
		}))
		r.Pure("bop_array_replace", 3, pgLoose(func(a []types.Value) (types.Value, error) {
			return pgArrayMap(a[0], "", false, func(v types.Value) (types.Value, bool) {
				if pgSame(v, a[1]) {
					return a[2], true
				}
				return v, true
			})
		}))
		pure("bop_trim_array", 2, func(a []types.Value) (types.Value, error) {
			x, err := pgParseArray(a[0])
			if err != nil {
				return types.Value{}, err
			}
			n := 0
			if len(x.Dims) > 0 {
				n = x.Dims[0]
			}
			if a[1].I < 0 || a[1].I > int64(n) {
				return types.Value{}, sqlerr.New("2202E", "number of elements to trim must be between 0 and %d", n)
			}
			return pgOuter(x, 0, n-int(a[1].I)), nil
		})
		for _, n := range []int{2, 3} {
			r.Pure("bop_array_fill", n, pgLoose(pgArrayFill))
		}
		r.Impure("bop_array_to_string", 4, pgLoose(func(a []types.Value) (types.Value, error) {
			if a[1].IsNull() || a[2].IsNull() {
				return types.Value{}, nil
			}
			t := typeAt(pgCodes(a[0]), 0).ElemType()
			x, ok := types.ParseStoredArray(a[1].B, t.Kind)
			if !ok {
				return types.Value{}, pgMalformed(a[1].B)
			}
			vs := x.Elems
			if !a[3].IsNull() {
				return env.pgJoinNull(t, vs, a[2].B, a[3].B)
			}
			ts := make([]types.Type, len(vs))
			for i := range ts {
				ts[i] = t
			}
			return env.pgConcat(ts, vs, a[2].B)
		}))
		pure("bop_array_contains", 2, func(a []types.Value) (types.Value, error) {
			x, y, err := pgTwoArrays(a)
			if err != nil {
				return types.Value{}, err
			}
			for _, v := range y.Elems {
				if v.IsNull() || !slices.ContainsFunc(x.Elems, func(w types.Value) bool { return pgSame(v, w) }) {
					return types.BoolValue(false), nil
				}
			}
			return types.BoolValue(true), nil
		})
		pure("bop_array_overlap", 2, func(a []types.Value) (types.Value, error) {
			x, y, err := pgTwoArrays(a)
			if err != nil {
				return types.Value{}, err
			}
			for _, v := range y.Elems {
				if !v.IsNull() && slices.ContainsFunc(x.Elems, func(w types.Value) bool { return pgSame(v, w) }) {
					return types.BoolValue(true), nil
				}
			}
			return types.BoolValue(false), nil
		})
		pure("bop_vector_dim", 3, func(a []types.Value) (types.Value, error) {
			n := int64(len(bytes.Fields(a[0].B)))
			if a[1].I != 1 {
				return types.Value{}, nil
			}
			switch a[2].I {
			case 1:
				return types.IntValue(0), nil
			case 2:
				return types.IntValue(n - 1), nil
			}
			return types.IntValue(n), nil
		})

		r.pgRowsNull("bop_unnest", 2, nil, func(a []types.Value) (pgRowSource, error) {
			if len(a) == 0 || a[0].IsNull() {
				return pgList(nil), nil
			}
			t := types.Type{}
			if len(a) > 1 {
				t = typeAt(pgCodes(a[1]), 0)
			}
			x, ok := types.ParseStoredArray(a[0].B, t.Elem)
			if !ok {
				return nil, pgMalformed(a[0].B)
			}
			return pgList(x.Elems), nil
		})
		r.pgRows("bop_vector_rows", 1, nil, func(a []types.Value) (pgRowSource, error) {
			var rows []types.Value
			for f := range bytes.FieldsSeq(a[0].B) {
				i, err := strconv.ParseInt(string(f), 10, 64)
				if err != nil {
					return nil, pgMalformed(a[0].B)
				}
				rows = append(rows, types.IntValue(i))
			}
			return pgList(rows), nil
		})
		r.pgRows("bop_subscripts", 3, nil, func(a []types.Value) (pgRowSource, error) {
			x, err := pgParseArray(a[0])
			if err != nil || len(a) < 2 || a[1].I < 1 || a[1].I > int64(len(x.Dims)) {
				return pgList(nil), err
			}
			return pgCount(1, int64(x.Dims[a[1].I-1]), len(a) > 2 && a[2].I != 0), nil
		})
		r.pgRows("bop_vector_subscripts", 3, nil, func(a []types.Value) (pgRowSource, error) {
			n := int64(len(bytes.Fields(a[0].B)))
			if len(a) < 2 || a[1].I != 1 {
				return pgList(nil), nil
			}
			return pgCount(0, n-1, len(a) > 2 && a[2].I != 0), nil
		})
		r.pgRowsNull("bop_string_rows", 3, nil, func(a []types.Value) (pgRowSource, error) {
			if len(a) == 0 || a[0].IsNull() {
				return pgList(nil), nil
			}
			var rows []types.Value
			for _, s := range pgSplitString(a) {
				if s == nil {
					rows = append(rows, types.Value{})
					continue
				}
				rows = append(rows, types.Value{Class: types.String, B: s})
			}
			return pgList(rows), nil
		})
	})
}

// pgCount gives the whole numbers from low to high, or back.
func pgCount(low, high int64, back bool) pgRowSource {
	i := low
	return &pgSteps{next: func() (types.Value, bool, error) {
		v := i
		if back {
			v = low + high - i
		}
		i++
		return types.IntValue(v), i <= high+1, nil
	}}
}

func pgMalformed(b []byte) error { return sqlerr.New("22P02", "malformed array: %s", clip(b)) }

func pgParseArray(v types.Value) (types.ArrayValue, error) {
	x, ok := types.ParseStoredArray(v.B, types.Unknown)
	if !ok {
		return x, pgMalformed(v.B)
	}
	return x, nil
}

func pgTwoArrays(a []types.Value) (x, y types.ArrayValue, err error) {
	if x, err = pgParseArray(a[0]); err == nil {
		y, err = pgParseArray(a[1])
	}
	return x, y, err
}

// pgSame compares an element of an array with another value; two NULLs are the same.
func pgSame(a, b types.Value) bool {
	if b.Class == types.Blob {
		b = types.Value{Class: types.String, B: types.AppendPGText(nil, types.T(types.Bytes), b, nil)}
	}
	if a.IsNull() || b.IsNull() {
		return a.IsNull() && b.IsNull()
	}
	return compareElements(a, b) == 0
}

func pgStore(x types.ArrayValue) types.Value {
	return types.Value{Class: types.String, B: x.AppendStored(nil)}
}

// pgArrayOf makes a one-dimensional array.
func pgArrayOf(vs []types.Value) types.Value {
	x := types.ArrayValue{Elems: vs}
	if len(vs) > 0 {
		x.Dims = []int{len(vs)}
	}
	return pgStore(x)
}

// pgOuter cuts an array to its outer elements [from:to].
func pgOuter(x types.ArrayValue, from, to int) types.Value {
	if from >= to || len(x.Dims) == 0 {
		return pgStore(types.ArrayValue{})
	}
	each := len(x.Elems) / x.Dims[0]
	y := types.ArrayValue{Dims: slices.Clone(x.Dims), Elems: x.Elems[from*each : to*each]}
	y.Dims[0] = to - from
	return pgStore(y)
}

// pgArrayAdd adds one element at an end; a NULL array is an empty one.
func pgArrayAdd(array, elem types.Value, front bool) (types.Value, error) {
	var x types.ArrayValue
	if !array.IsNull() {
		var err error
		if x, err = pgParseArray(array); err != nil {
			return types.Value{}, err
		}
	}
	if len(x.Dims) > 1 {
		return types.Value{}, sqlerr.New("22000", "argument must be empty or one-dimensional array")
	}
	// The new text is the old one with the element spliced in; the rest need not be printed again.
	e := types.AppendJSONElement(nil, elem)
	if len(x.Elems) == 0 {
		return types.Value{Class: types.String, B: append(append([]byte{'['}, e...), ']')}, nil
	}
	b := bytes.TrimSpace(array.B)
	out := make([]byte, 0, len(b)+len(e)+1)
	if front {
		out = append(append(append(out, '['), e...), ',')
		return types.Value{Class: types.String, B: append(out, b[1:]...)}, nil
	}
	out = append(append(append(out, b[:len(b)-1]...), ','), e...)
	return types.Value{Class: types.String, B: append(out, ']')}, nil
}

func pgArrayCat(a []types.Value) (types.Value, error) {
	switch {
	case a[0].IsNull():
		return a[1], nil
	case a[1].IsNull():
		return a[0], nil
	}
	x, y, err := pgTwoArrays(a)
	if err != nil {
		return types.Value{}, err
	}
	switch {
	case len(x.Dims) == 0:
		return a[1], nil
	case len(y.Dims) == 0:
		return a[0], nil
	case len(x.Dims) == len(y.Dims) && slices.Equal(x.Dims[1:], y.Dims[1:]):
		x.Dims[0] += y.Dims[0]
	case len(x.Dims) == len(y.Dims)+1 && slices.Equal(x.Dims[1:], y.Dims):
		x.Dims[0]++
	case len(y.Dims) == len(x.Dims)+1 && slices.Equal(y.Dims[1:], x.Dims):
		x.Dims = append([]int{y.Dims[0] + 1}, x.Dims...)
	default:
		e := sqlerr.New("2202E", "cannot concatenate incompatible arrays")
		e.Detail = "Arrays with differing dimensions are not compatible for concatenation."
		return types.Value{}, e
	}
	x.Elems = append(x.Elems, y.Elems...)
	return pgStore(x), nil
}

// pgPositions are the subscripts of an element, from a[2] on.
func pgPositions(a []types.Value) ([]int64, error) {
	if a[0].IsNull() {
		return nil, nil
	}
	x, err := pgParseArray(a[0])
	if err != nil {
		return nil, err
	}
	if len(x.Dims) > 1 {
		return nil, sqlerr.New("0A000", "searching for elements in multidimensional arrays is not supported")
	}
	from := int64(1)
	if len(a) > 2 {
		if a[2].IsNull() {
			return nil, sqlerr.New("22004", "initial position must not be null")
		}
		from = a[2].I
	}
	var out []int64
	for i, v := range x.Elems {
		if int64(i)+1 >= from && pgSame(v, a[1]) {
			out = append(out, int64(i)+1)
		}
	}
	return out, nil
}

// pgArrayMap keeps or replaces elements; flat: only arrays of one dimension can lose some.
func pgArrayMap(array types.Value, what string, flat bool, f func(types.Value) (types.Value, bool)) (types.Value, error) {
	if array.IsNull() {
		return array, nil
	}
	x, err := pgParseArray(array)
	if err != nil {
		return types.Value{}, err
	}
	if flat && len(x.Dims) > 1 {
		return types.Value{}, sqlerr.New("0A000", "%s multidimensional arrays is not supported", what)
	}
	out := make([]types.Value, 0, len(x.Elems))
	for _, v := range x.Elems {
		if w, ok := f(v); ok {
			out = append(out, w)
		}
	}
	if flat {
		return pgArrayOf(out), nil
	}
	x.Elems = out
	return pgStore(x), nil
}

func pgArrayFill(a []types.Value) (types.Value, error) {
	if a[1].IsNull() {
		return types.Value{}, sqlerr.New("22004", "dimension array or low bound array cannot be null")
	}
	dims, err := pgParseArray(a[1])
	if err != nil {
		return types.Value{}, err
	}
	x := types.ArrayValue{}
	n := int64(1)
	for _, d := range dims.Elems {
		if d.IsNull() {
			return types.Value{}, sqlerr.New("22004", "dimension values cannot be null")
		}
		x.Dims = append(x.Dims, int(d.I))
		if n *= d.I; d.I < 0 || n > 1<<24 {
			return types.Value{}, sqlerr.New("54000", "array size exceeds the maximum allowed")
		}
	}
	if n == 0 || len(x.Dims) == 0 {
		return pgStore(types.ArrayValue{}), nil
	}
	x.Elems = slices.Repeat([]types.Value{a[0]}, int(n))
	return pgStore(x), nil
}

// pgSplitString cuts a[0] at the separator a[1], each character when that is NULL; parts equal to a[2] are NULL.
func pgSplitString(a []types.Value) [][]byte {
	s := pgStr(a[0])
	var parts []string
	switch {
	case s == "":
	case len(a) < 2 || a[1].IsNull():
		parts = strings.Split(s, "")
	case len(a[1].B) == 0:
		parts = []string{s}
	default:
		parts = strings.Split(s, pgStr(a[1]))
	}
	out := make([][]byte, len(parts))
	for i, p := range parts {
		if len(a) > 2 && !a[2].IsNull() && p == string(a[2].B) {
			continue
		}
		out[i] = []byte(p)
		if out[i] == nil {
			out[i] = []byte{}
		}
	}
	return out
}

// pgJoinNull joins elements, printing null for those that are NULL.
func (e *Env) pgJoinNull(t types.Type, vs []types.Value, sep, null []byte) (types.Value, error) {
	out := []byte{}
	for i, v := range vs {
		if i > 0 {
			out = append(out, sep...)
		}
		if v.IsNull() {
			out = append(out, null...)
		} else {
			out = e.pgPrint(out, t, v)
		}
		if len(out) > pgMaxResult {
			return types.Value{}, pgTooLong()
		}
	}
	return types.Value{Class: types.String, B: out}, nil
}
