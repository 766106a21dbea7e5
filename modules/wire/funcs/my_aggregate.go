package funcs

import (
	"math"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	agg := func(name string, res types.Kind, sql string, resultOf func([]types.Type) types.Type, args ...types.Kind) *Signature {
		return &Signature{Name: name, Args: args, Form: Aggregate, Result: res, SQL: sql, ResultOf: resultOf}
	}
	sumOf := func(ts []types.Type) types.Type {
		d := asDecimal(ts[0])
		return decimalOf(d.Len-d.Scale+22, d.Scale)
	}
	avgOf := func(ts []types.Type) types.Type {
		d := asDecimal(ts[0])
		return decimalOf(d.Len-d.Scale+4, d.Scale+divIncrement)
	}
	unsigned := func([]types.Type) types.Type { return types.Type{Kind: types.Int8, Unsigned: true} }
	define(my,
		agg("sum", tDec, "bop_sum_dec($1)", sumOf, tInt),
		agg("sum", tDec, "bop_sum_dec($1)", sumOf, tDec),
		agg("sum", tFloat, "bop_sum_float($1)", nil, tFloat),
		agg("avg", tDec, "my_avg($1)", avgOf, tInt),
		agg("avg", tDec, "my_avg($1)", avgOf, tDec),
		agg("avg", tFloat, "bop_avg_float($1)", nil, tFloat),
		agg("bit_and", tInt, "my_bit_and($1)", unsigned, tInt),
		agg("bit_or", tInt, "my_bit_or($1)", unsigned, tInt),
		agg("bit_xor", tInt, "my_bit_xor($1)", unsigned, tInt),
		&Signature{Name: "group_concat", Args: kinds(types.Text, types.Text), Variadic: true, Form: Aggregate, Result: tText, SQL: "my_group_concat($*)"},
		agg("any_value", Same, "min($1)", nil, Any),
		agg("json_arrayagg", tJSON, "my_json_arrayagg($T, $1)", nil, Any),
		agg("json_objectagg", tJSON, "my_json_objectagg($T, $1, $2)", nil, types.Text, Any),
	)
	for name, sql := range map[string]string{
		"std": "my_std($1, 0, 1)", "stddev": "my_std($1, 0, 1)", "stddev_pop": "my_std($1, 0, 1)", "stddev_samp": "my_std($1, 1, 1)",
		"var_pop": "my_std($1, 0, 0)", "variance": "my_std($1, 0, 0)", "var_samp": "my_std($1, 1, 0)",
	} {
		define(my, agg(name, tFloat, sql, nil, tFloat))
	}
	for _, name := range []string{"min", "max"} {
		for _, k := range []types.Kind{tInt, tFloat, types.Text, tBytes, tDate, tTime, tStamp, types.TimestampTZ, types.Year} {
			define(my, agg(name, Same, name+"($1)", nil, k))
		}
		define(my, agg(name, Same, name+"($1 COLLATE bop_decimal)", nil, tDec))
	}

	implement(func(r *Registrar) {
		env := r.Env
		r.Aggregate("my_avg", 1, func() sqlite3.AggregateFunction { return &sumDecimal{average: true, extra: divIncrement} })
		r.Aggregate("my_bit_and", 1, func() sqlite3.AggregateFunction { return &bitAggregate{and: true} })
		r.Aggregate("my_bit_or", 1, func() sqlite3.AggregateFunction { return &bitAggregate{or: true} })
		r.Aggregate("my_bit_xor", 1, func() sqlite3.AggregateFunction { return &bitAggregate{} })
		r.Aggregate("my_group_concat", -1, func() sqlite3.AggregateFunction { return &groupConcat{env: env} })
		r.Aggregate("my_std", 3, func() sqlite3.AggregateFunction { return &deviation{} })
		r.Aggregate("my_json_arrayagg", 2, func() sqlite3.AggregateFunction { return &jsonAggregate{} })
		r.Aggregate("my_json_objectagg", 3, func() sqlite3.AggregateFunction { return &jsonAggregate{object: true} })
	})
}

// bitAggregate is BIT_AND, BIT_OR or BIT_XOR. It counts each bit, so that values can leave a window.
type bitAggregate struct {
	and, or bool
	n       int64
	set     [64]int64
}

func (b *bitAggregate) Step(ctx sqlite3.Context, arg ...sqlite3.Value)    { b.count(arg[0], 1) }
func (b *bitAggregate) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) { b.count(arg[0], -1) }

func (b *bitAggregate) count(v sqlite3.Value, by int64) {
	if isNull(v) {
		return
	}
	b.n += by
	for i, u := 0, uint64(v.Int64()); u != 0; i, u = i+1, u>>1 {
		if u&1 != 0 {
			b.set[i] += by
		}
	}
}

func (b *bitAggregate) Value(ctx sqlite3.Context) {
	var u uint64
	for i, n := range b.set {
		if b.and && n == b.n || b.or && n > 0 || !b.and && !b.or && n%2 != 0 {
			u |= 1 << i
		}
	}
	if int64(u) < 0 {
		// Of no rows at all BIT_AND is all bits, which needs the 64th.
		if b.n == 0 {
			ctx.ResultInt64(math.MaxInt64)
			return
		}
		fail(ctx, sqlerr.New("22003", "bigint unsigned out of range").My(1690, "BIGINT UNSIGNED value is out of range"))
		return
	}
	ctx.ResultInt64(int64(u))
}

// groupConcat is GROUP_CONCAT: its last argument is the separator.
type groupConcat struct {
	env  *Env
	text []byte
	any  bool
	rows int
	cut  bool
}

func (g *groupConcat) limit() int {
	n, err := strconv.Atoi(g.env.setting("group_concat_max_len"))
	if err != nil {
		return 1024
	}
	return min(max(n, 4), maxString)
}

func (g *groupConcat) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if g.cut || len(arg) < 2 || anyNull(arg[:len(arg)-1]) {
		return
	}
	g.rows++
	if g.any {
		g.text = append(g.text, arg[len(arg)-1].RawText()...)
	}
	g.any = true
	for _, a := range arg[:len(arg)-1] {
		g.text = append(g.text, a.RawText()...)
	}
	if limit := g.limit(); len(g.text) > limit {
		n := limit
		for n > 0 && g.text[n]&0xc0 == 0x80 {
			n--
		}
		g.text, g.cut = g.text[:n], true
		g.env.warn(1260, "Row "+strconv.Itoa(g.rows)+" was cut by GROUP_CONCAT()")
	}
}

func (g *groupConcat) Value(ctx sqlite3.Context) {
	if g.any {
		resultText(ctx, g.text)
	}
}

// deviation is the family of STDDEV and VARIANCE, by Welford's method: the second argument says that it is of a sample,
// the third that the root is wanted.
type deviation struct {
	n            int64
	mean, m2     float64
	sample, root bool
}

func (d *deviation) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	d.sample, d.root = arg[1].Int64() != 0, arg[2].Int64() != 0
	if isNull(arg[0]) {
		return
	}
	x := arg[0].Float()
	d.n++
	delta := x - d.mean
	d.mean += delta / float64(d.n)
	d.m2 += delta * (x - d.mean)
}

func (d *deviation) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	x := arg[0].Float()
	d.n--
	if d.n <= 0 {
		d.n, d.mean, d.m2 = 0, 0, 0
		return
	}
	delta := x - d.mean
	d.mean -= delta / float64(d.n)
	d.m2 -= delta * (x - d.mean)
}

func (d *deviation) Value(ctx sqlite3.Context) {
	n := d.n
	if d.sample {
		n--
	}
	if n <= 0 {
		return
	}
	v := max(d.m2, 0) / float64(n)
	if d.root {
		v = math.Sqrt(v)
	}
	ctx.ResultFloat(v)
}

// jsonAggregate is JSON_ARRAYAGG and JSON_OBJECTAGG; the first argument lists the types.
type jsonAggregate struct {
	object bool
	doc    types.JSONValue
	size   int
	err    error
}

func (j *jsonAggregate) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if j.err != nil {
		return
	}
	ts := typeList(valueOf(arg[0]))
	last := arg[len(arg)-1]
	v := valueOf(last)
	if v.Class == types.String && last.Subtype() == jsonSubtype {
		v.I = jsonSubtype
	}
	e, err := toJSON(v, typeAt(ts, len(arg)-2))
	if err != nil {
		j.err = err
		return
	}
	if j.size += len(v.B) + 16; j.size > maxString {
		j.err = sqlerr.New("54000", "aggregated JSON is too large").My(1301, "Result of json_arrayagg() was larger than max_allowed_packet (67108864) - truncated")
		return
	}
	if j.object {
		if isNull(arg[1]) {
			j.err = sqlerr.New("22032", "a JSON object's key is NULL").My(3158, "JSON documents may not contain NULL member names.")
			return
		}
		j.doc.Keys = append(j.doc.Keys, arg[1].Text())
	}
	j.doc.Values = append(j.doc.Values, e)
}

func (j *jsonAggregate) Value(ctx sqlite3.Context) {
	switch {
	case j.err != nil:
		fail(ctx, j.err)
	case len(j.doc.Values) == 0:
	case j.object:
		j.doc.Kind = types.JSONObject
		resultText(ctx, sortObject(&j.doc).AppendText(nil))
	default:
		j.doc.Kind = types.JSONArray
		resultText(ctx, j.doc.AppendText(nil))
	}
}
