package funcs

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Functions and operators of json and jsonb. json keeps the text it was given and jsonb a normal form of it; in both a part
// of a value is a part of its text, so reading one copies bytes and builds nothing.

func init() {
	const text, i4, b, js, jb, arr = types.Text, types.Int4, types.Bool, types.JSON, types.JSONB, types.Array
	for _, k := range []types.Kind{js, jb} {
		p := map[types.Kind]string{js: "json", jb: "jsonb"}[k]
		defineOp(pg,
			infix("->", k, text, k, "bop_json_get($1, $2)"),
			infix("->", k, i4, k, "bop_json_get($1, $2)"),
			infix("->>", k, text, text, "bop_json_text($1, $2)"),
			infix("->>", k, i4, text, "bop_json_text($1, $2)"),
			infix("#>", k, arr, k, "bop_json_path($1, $2)"),
			infix("#>>", k, arr, text, "bop_json_path_text($1, $2)"),
		)
		path := func(s *Signature) *Signature {
			s.Variadic = true
			return s
		}
		define(pg,
			pgFn(p+"_array_length", i4, "bop_json_length($1)", k),
			pgFn(p+"_typeof", text, "bop_json_typeof($1)", k),
			path(pgFn(p+"_extract_path", k, "bop_json_extract($*)", k, text)),
			path(pgFn(p+"_extract_path_text", text, "bop_json_extract_text($*)", k, text)),
			pgFn(p+"_strip_nulls", k, "bop_"+p+"_strip($1)", k),
			pgFn(p+"_object", k, "bop_"+p+"_object($1)", arr),
			pgFn(p+"_object", k, "bop_"+p+"_object($1, $2)", arr, arr),
			&Signature{Name: p + "_each", Args: []types.Kind{k}, Form: SetReturning, Result: types.Record, SQL: "bop_json_each($1)",
				Columns: []ResultColumn{{"key", types.T(text)}, {"value", types.T(k)}}},
			&Signature{Name: p + "_each_text", Args: []types.Kind{k}, Form: SetReturning, Result: types.Record, SQL: "bop_json_each_text($1)",
				Columns: []ResultColumn{{"key", types.T(text)}, {"value", types.T(text)}}},
			pgSet(p+"_array_elements", k, "bop_json_elements($1)", k),
			pgSet(p+"_array_elements_text", text, "bop_json_elements_text($1)", k),
			pgSet(p+"_object_keys", text, "bop_json_keys($1)", k),
			pgNull(pgAgg(p+"_agg", k, "bop_"+p+"_agg($1, $t1)", Any)),
			pgNull(pgAgg(p+"_object_agg", k, "bop_"+p+"_object_agg($1, $t1, $2, $t2)", Any, Any)),
			pgFn("to_"+p, k, "bop_to_"+p+"($1, $t1)", Any),
		)
	}
	defineOp(pg,
		infix("@>", jb, jb, b, "bop_jsonb_contains($1, $2)"),
		infix("<@", jb, jb, b, "bop_jsonb_contains($2, $1)"),
		infix("?", jb, text, b, "bop_jsonb_exists($1, $2)"),
		infix("?|", jb, arr, b, "bop_jsonb_exists_any($1, $2)"),
		infix("?&", jb, arr, b, "bop_jsonb_exists_all($1, $2)"),
		infix("||", jb, jb, jb, "bop_jsonb_concat($1, $2)"),
		infix("-", jb, text, jb, "bop_jsonb_delete($1, $2)"),
		infix("-", jb, i4, jb, "bop_jsonb_delete($1, $2)"),
		infix("-", jb, arr, jb, "bop_jsonb_delete_keys($1, $2)"),
		infix("#-", jb, arr, jb, "bop_jsonb_delete_path($1, $2)"),
	)
	define(pg,
		pgOpt(1, pgFn("jsonb_set", jb, "bop_jsonb_set($*)", jb, arr, jb, b)),
		pgNull(pgOpt(2, pgFn("jsonb_set_lax", jb, "bop_jsonb_set_lax($*)", jb, arr, jb, b, text))),
		pgOpt(1, pgFn("jsonb_insert", jb, "bop_jsonb_insert($*)", jb, arr, jb, b)),
		pgFn("jsonb_delete_path", jb, "bop_jsonb_delete_path($1, $2)", jb, arr),
		pgFn("jsonb_pretty", text, "bop_jsonb_pretty($1)", jb),
		pgFn("jsonb_concat", jb, "bop_jsonb_concat($1, $2)", jb, jb),
		pgFn("jsonb_contains", b, "bop_jsonb_contains($1, $2)", jb, jb),
		pgFn("jsonb_exists", b, "bop_jsonb_exists($1, $2)", jb, text),
		pgFn("jsonb_exists_any", b, "bop_jsonb_exists_any($1, $2)", jb, arr),
		pgFn("jsonb_exists_all", b, "bop_jsonb_exists_all($1, $2)", jb, arr),
	)

	implement(func(r *Registrar) {
		env := r.Env
		pure := func(name string, n int, f func(a []types.Value) (types.Value, error)) { r.Pure(name, n, pgStrict(f)) }
		part := func(raw []byte) (types.Value, error) {
			if raw == nil {
				return types.Value{}, nil
			}
			return types.Value{Class: types.String, B: raw}, nil
		}
		pure("bop_json_get", 2, func(a []types.Value) (types.Value, error) { return part(pgJSONStep(a[0].B, a[1])) })
		pure("bop_json_text", 2, func(a []types.Value) (types.Value, error) { return pgJSONText(pgJSONStep(a[0].B, a[1])) })
		pure("bop_json_path", 2, func(a []types.Value) (types.Value, error) {
			raw, err := pgJSONPath(a[0].B, a[1])
			if err != nil {
				return types.Value{}, err
			}
			return part(raw)
		})
		pure("bop_json_path_text", 2, func(a []types.Value) (types.Value, error) {
			raw, err := pgJSONPath(a[0].B, a[1])
			if err != nil {
				return types.Value{}, err
			}
			return pgJSONText(raw)
		})
		pure("bop_json_extract", -1, func(a []types.Value) (types.Value, error) { return part(pgJSONSteps(a[0].B, a[1:])) })
		pure("bop_json_extract_text", -1, func(a []types.Value) (types.Value, error) { return pgJSONText(pgJSONSteps(a[0].B, a[1:])) })
		pure("bop_json_length", 1, func(a []types.Value) (types.Value, error) {
			switch kind := pgJSONKind(a[0].B); kind {
			case "array":
			case "object":
				return types.Value{}, sqlerr.New("22023", "cannot get array length of a non-array")
			default:
				return types.Value{}, sqlerr.New("22023", "cannot get array length of a scalar")
			}
			n := int64(0)
			for s := (pgJSONScan{b: a[0].B}); ; n++ {
				if _, _, ok := s.next(); !ok {
					return types.IntValue(n), nil
				}
			}
		})
		pure("bop_json_typeof", 1, func(a []types.Value) (types.Value, error) { return pgText(pgJSONKind(a[0].B)), nil })
		pure("bop_json_strip", 1, func(a []types.Value) (types.Value, error) {
			return types.Value{Class: types.String, B: pgJSONStrip(nil, a[0].B, false)}, nil
		})
		pure("bop_jsonb_strip", 1, func(a []types.Value) (types.Value, error) {
			return types.Value{Class: types.String, B: pgJSONStrip(nil, a[0].B, true)}, nil
		})
		for _, n := range []int{1, 2} {
			pure("bop_json_object", n, pgJSONObject)
			pure("bop_jsonb_object", n, func(a []types.Value) (types.Value, error) { return pgNormal(pgJSONObject(a)) })
		}
		pure("bop_jsonb_contains", 2, func(a []types.Value) (types.Value, error) {
			x, y, err := pgTwoJSON(a)
			if err != nil {
				return types.Value{}, err
			}
			return types.BoolValue(pgContains(x, y, true)), nil
		})
		pure("bop_jsonb_exists", 2, func(a []types.Value) (types.Value, error) {
			return types.BoolValue(pgJSONExists(a[0].B, a[1].B)), nil
		})
		for name, all := range map[string]bool{"bop_jsonb_exists_any": false, "bop_jsonb_exists_all": true} {
			pure(name, 2, func(a []types.Value) (types.Value, error) {
				keys, err := pgParseArray(a[1])
				if err != nil {
					return types.Value{}, err
				}
				for _, k := range keys.Elems {
					if !k.IsNull() && pgJSONExists(a[0].B, []byte(pgStr(k))) != all {
						return types.BoolValue(!all), nil
					}
				}
				return types.BoolValue(all), nil
			})
		}
		pure("bop_jsonb_concat", 2, pgJSONConcat)
		pure("bop_jsonb_delete", 2, pgJSONDelete)
		pure("bop_jsonb_delete_keys", 2, func(a []types.Value) (types.Value, error) {
			keys, err := pgParseArray(a[1])
			if err != nil {
				return types.Value{}, err
			}
			v := a[0]
			for _, k := range keys.Elems {
				if k.IsNull() {
					continue
				}
				if v, err = pgJSONDelete([]types.Value{v, pgText(pgStr(k))}); err != nil {
					return v, err
				}
			}
			return v, nil
		})
		pure("bop_jsonb_delete_path", 2, func(a []types.Value) (types.Value, error) { return pgJSONChange(a[0], a[1], nil, pgDelete) })
		for _, n := range []int{3, 4} {
			pure("bop_jsonb_set", n, func(a []types.Value) (types.Value, error) {
				mode := pgSetOrCreate
				if len(a) > 3 && a[3].I == 0 {
					mode = pgReplace
				}
				return pgJSONChange(a[0], a[1], a[2].B, mode)
			})
			pure("bop_jsonb_insert", n, func(a []types.Value) (types.Value, error) {
				mode := pgInsertBefore
				if len(a) > 3 && a[3].I != 0 {
					mode = pgInsertAfter
				}
				return pgJSONChange(a[0], a[1], a[2].B, mode)
			})
		}
		for _, n := range []int{3, 4, 5} {
			r.Pure("bop_jsonb_set_lax", n, pgLoose(pgJSONSetLax))
		}
		pure("bop_jsonb_pretty", 1, func(a []types.Value) (types.Value, error) {
			return types.Value{Class: types.String, B: pgJSONPretty(nil, a[0].B, 0)}, nil
		})
		r.Impure("bop_to_json", 2, pgLoose(func(a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.Value{}, nil
			}
			return types.Value{Class: types.String, B: env.pgAppendJSON(nil, typeAt(pgCodes(a[1]), 0), a[0])}, nil
		}))
		r.Impure("bop_to_jsonb", 2, pgLoose(func(a []types.Value) (types.Value, error) {
			if a[0].IsNull() {
				return types.Value{}, nil
			}
			return pgNormal(types.Value{Class: types.String, B: env.pgAppendJSON(nil, typeAt(pgCodes(a[1]), 0), a[0])}, nil)
		}))
		for _, normal := range []bool{false, true} {
			p := map[bool]string{false: "bop_json", true: "bop_jsonb"}[normal]
			r.Aggregate(p+"_agg", 2, func() sqlite3.AggregateFunction { return &pgJSONAgg{env: env, normal: normal} })
			r.Aggregate(p+"_object_agg", 4, func() sqlite3.AggregateFunction { return &pgJSONAgg{env: env, normal: normal, object: true} })
		}

		members := func(text bool) pgRowsFunc {
			return func(a []types.Value) (pgRowSource, error) {
				if len(a) == 0 {
					return pgList(nil), nil
				}
				if k := pgJSONKind(a[0].B); k != "object" {
					if k == "array" {
						return nil, sqlerr.New("22023", "cannot deconstruct an array as an object")
					}
					return nil, sqlerr.New("22023", "cannot deconstruct a scalar")
				}
				s := &pgJSONScan{b: a[0].B}
				var row [2]types.Value
				return pgRowFunc(func() ([]types.Value, bool, error) {
					key, raw, ok := s.next()
					if !ok {
						return nil, false, nil
					}
					row[0] = types.Value{Class: types.String, B: pgUnquote(key)}
					row[1] = types.Value{Class: types.String, B: raw}
					var err error
					if text {
						row[1], err = pgJSONText(raw)
					}
					return row[:], true, err
				}), nil
			}
		}
		r.pgRows("bop_json_each", 1, []string{"key", "value"}, members(false))
		r.pgRows("bop_json_each_text", 1, []string{"key", "value"}, members(true))
		elements := func(text bool) pgRowsFunc {
			return func(a []types.Value) (pgRowSource, error) {
				if len(a) == 0 {
					return pgList(nil), nil
				}
				if k := pgJSONKind(a[0].B); k != "array" {
					if k == "object" {
						return nil, sqlerr.New("22023", "cannot extract elements from an object")
					}
					return nil, sqlerr.New("22023", "cannot extract elements from a scalar")
				}
				s := &pgJSONScan{b: a[0].B}
				return &pgSteps{next: func() (types.Value, bool, error) {
					_, raw, ok := s.next()
					if !ok {
						return types.Value{}, false, nil
					}
					if !text {
						return types.Value{Class: types.String, B: raw}, true, nil
					}
					v, err := pgJSONText(raw)
					return v, true, err
				}}, nil
			}
		}
		r.pgRows("bop_json_elements", 1, nil, elements(false))
		r.pgRows("bop_json_elements_text", 1, nil, elements(true))
		r.pgRows("bop_json_keys", 1, nil, func(a []types.Value) (pgRowSource, error) {
			if len(a) == 0 {
				return pgList(nil), nil
			}
			if k := pgJSONKind(a[0].B); k != "object" {
				if k == "array" {
					return nil, sqlerr.New("22023", "cannot call json_object_keys on an array")
				}
				return nil, sqlerr.New("22023", "cannot call json_object_keys on a scalar")
			}
			s := &pgJSONScan{b: a[0].B}
			return &pgSteps{next: func() (types.Value, bool, error) {
				key, _, ok := s.next()
				return types.Value{Class: types.String, B: pgUnquote(key)}, ok, nil
			}}, nil
		})
	})
}

// pgRowFunc is a row source made of a function.
type pgRowFunc func() ([]types.Value, bool, error)

func (f pgRowFunc) row() ([]types.Value, bool, error) { return f() }

// pgJSONAgg collects values as an array or pairs as an object.
type pgJSONAgg struct {
	env            *Env
	normal, object bool
	b              []byte
	n              int
	err            error
}

func (s *pgJSONAgg) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if s.err != nil {
		return
	}
	if len(s.b) > pgMaxResult {
		s.err = pgTooLong()
		return
	}
	if s.n > 0 {
		s.b = append(s.b, ", "...)
	}
	s.n++
	if !s.object {
		s.b = s.env.pgAppendJSON(s.b, typeAt(pgCodes(valueOf(arg[1])), 0), valueOf(arg[0]))
		return
	}
	if isNull(arg[0]) {
		s.err = sqlerr.New("22023", "field name must not be null")
		return
	}
	key := s.env.pgPrint(nil, typeAt(pgCodes(valueOf(arg[1])), 0), valueOf(arg[0]))
	s.b = append(types.AppendJSONString(s.b, key), " : "...)
	s.b = s.env.pgAppendJSON(s.b, typeAt(pgCodes(valueOf(arg[3])), 0), valueOf(arg[2]))
}

func (s *pgJSONAgg) Value(ctx sqlite3.Context) {
	if s.err == nil && s.n > 0 {
		open, end := "[", "]"
		if s.object {
			open, end = "{ ", " }"
		}
		v := types.Value{Class: types.String, B: slices.Concat([]byte(open), s.b, []byte(end))}
		if s.normal {
			v, s.err = pgNormal(v, nil)
		}
		if s.err == nil {
			result(ctx, v)
			return
		}
	}
	if s.err != nil {
		fail(ctx, s.err)
	}
}

// pgNormal makes a json value jsonb.
func pgNormal(v types.Value, err error) (types.Value, error) {
	if err != nil {
		return v, err
	}
	v.B, err = types.NormalizeJSON(nil, v.B)
	return v, err
}

// pgAppendJSON appends a value of type t as to_json prints it.
func (e *Env) pgAppendJSON(dst []byte, t types.Type, v types.Value) []byte {
	if v.IsNull() {
		return append(dst, "null"...)
	}
	switch t.Kind {
	case types.JSON, types.JSONB:
		return append(dst, v.B...)
	case types.Bool:
		return strconv.AppendBool(dst, v.I != 0)
	case types.Array:
		x, ok := types.ParseStoredArray(v.B, t.Elem)
		if !ok {
			return append(dst, v.B...)
		}
		at := 0
		return e.pgArrayJSON(dst, x, t.ElemType(), 0, &at)
	case types.Timestamp, types.TimestampTZ:
		f := *e.format()
		f.DateStyle = types.ISO
		s := types.AppendPGText(nil, t, v, &f)
		if i := bytes.IndexByte(s, ' '); i > 0 {
			s[i] = 'T'
		}
		if n := len(s); t.Kind == types.TimestampTZ && n > 3 && (s[n-3] == '+' || s[n-3] == '-') {
			s = append(s, ":00"...)
		}
		return types.AppendJSONString(dst, s)
	case types.Date:
		f := *e.format()
		f.DateStyle = types.ISO
		return types.AppendJSONString(dst, types.AppendPGText(nil, t, v, &f))
	}
	s := e.pgPrint(nil, t, v)
	number := t.IsNumber() && t.Kind != types.Oid && t.Kind != types.Xid || t.Kind == types.Unknown && v.Class != types.String && v.Class != types.Blob
	if number && len(s) > 0 && s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		return append(dst, s...)
	}
	return types.AppendJSONString(dst, s)
}

func (e *Env) pgArrayJSON(dst []byte, x types.ArrayValue, elem types.Type, dim int, at *int) []byte {
	dst = append(dst, '[')
	if len(x.Dims) > 0 {
		for i := range x.Dims[dim] {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dim+1 < len(x.Dims) {
				dst = e.pgArrayJSON(dst, x, elem, dim+1, at)
				continue
			}
			dst = e.pgAppendJSON(dst, elem, x.Elems[*at])
			*at++
		}
	}
	return append(dst, ']')
}
