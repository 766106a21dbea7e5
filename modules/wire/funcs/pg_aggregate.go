package funcs

import (
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const text, f8, num, b = types.Text, types.Float8, types.Numeric, types.Bool
	define(pg,
		pgNull(pgAgg("array_agg", AnyArray, "bop_array_agg($1)", AnyElem)),
		pgNull(pgAgg("string_agg", text, "bop_string_agg($1, $2)", text, text)),
		pgNull(pgAgg("string_agg", types.Bytes, "bop_bytes_agg($1, $2)", types.Bytes, types.Bytes)),
		pgAgg("bool_and", b, "min($1)", b),
		pgAgg("bool_or", b, "max($1)", b),
		pgAgg("every", b, "min($1)", b),
		pgNull(pgAgg("any_value", AnyElem, "bop_any_value($1)", AnyElem)),
		pgAgg("mode", AnyElem, "bop_mode($1)", AnyElem),
		pgAgg("percentile_cont", f8, "bop_percentile_cont($1, $2)", f8, f8),
		pgAgg("percentile_cont", types.Interval, "bop_percentile_iv($1, $2)", types.Interval, f8),
		pgAgg("percentile_disc", AnyElem, "bop_percentile_disc($1, $2)", AnyElem, f8),
	)
	for _, k := range []types.Kind{types.Int2, types.Int4, types.Int8} {
		define(pg,
			pgAgg("bit_and", k, "bop_bit_and($1)", k),
			pgAgg("bit_or", k, "bop_bit_or($1)", k),
			pgAgg("bit_xor", k, "bop_bit_xor($1)", k),
		)
	}
	for name, code := range pgVariances {
		for _, k := range []types.Kind{types.Int2, types.Int4, types.Int8, num} {
			define(pg, pgAgg(name, num, "bop_"+code+"_dec($1)", k))
		}
		for _, k := range []types.Kind{types.Float4, f8} {
			define(pg, pgAgg(name, f8, "bop_"+code+"($1)", k))
		}
	}
	for name := range pgRegressions {
		res := f8
		if name == "regr_count" {
			res = types.Int8
		}
		define(pg, pgAgg(name, res, "bop_"+name+"($1, $2)", f8, f8))
	}

	implement(func(r *Registrar) {
		r.Aggregate("bop_array_agg", 1, func() sqlite3.AggregateFunction { return &pgArrayAgg{} })
		r.Aggregate("bop_string_agg", 2, func() sqlite3.AggregateFunction { return &pgStringAgg{class: types.String} })
		r.Aggregate("bop_bytes_agg", 2, func() sqlite3.AggregateFunction { return &pgStringAgg{class: types.Blob} })
		r.Aggregate("bop_any_value", 1, func() sqlite3.AggregateFunction { return &pgAnyValue{} })
		r.Aggregate("bop_mode", 1, func() sqlite3.AggregateFunction { return &pgMode{} })
		r.Aggregate("bop_percentile_cont", 2, func() sqlite3.AggregateFunction { return &pgPercentile{cont: true} })
		r.Aggregate("bop_percentile_iv", 2, func() sqlite3.AggregateFunction { return &pgPercentile{cont: true, spans: true} })
		r.Aggregate("bop_percentile_disc", 2, func() sqlite3.AggregateFunction { return &pgPercentile{} })
		r.Aggregate("bop_bit_and", 1, func() sqlite3.AggregateFunction { return &pgBits{op: '&'} })
		r.Aggregate("bop_bit_or", 1, func() sqlite3.AggregateFunction { return &pgBits{op: '|'} })
		r.Aggregate("bop_bit_xor", 1, func() sqlite3.AggregateFunction { return &pgBits{op: '#'} })
		seen := map[string]bool{}
		for _, code := range pgVariances {
			if seen[code] {
				continue
			}
			seen[code] = true
			root, population := code[0] == 's', code[len(code)-1] == 'p'
			r.Aggregate("bop_"+code+"_dec", 1, func() sqlite3.AggregateFunction { return &pgDecimalVariance{root: root, population: population} })
			r.Aggregate("bop_"+code, 1, func() sqlite3.AggregateFunction { return &pgVariance{root: root, population: population} })
		}
		for name, f := range pgRegressions {
			r.Aggregate("bop_"+name, 2, func() sqlite3.AggregateFunction { return &pgRegression{f: f, count: name == "regr_count"} })
		}
	})
}

// pgVariances are the aggregates of spread, by the names of their functions.
var pgVariances = map[string]string{
	"variance": "var", "var_samp": "var", "var_pop": "varp", "stddev": "sd", "stddev_samp": "sd", "stddev_pop": "sdp",
}

// pgArrayAgg collects values, NULLs too, as an array.
type pgArrayAgg struct {
	b   []byte
	n   int
	err error
}

func (s *pgArrayAgg) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if len(s.b) > pgMaxResult {
		s.err = pgTooLong()
		return
	}
	if s.n == 0 {
		s.b = append(s.b, '[')
	} else {
		s.b = append(s.b, ',')
	}
	s.n++
	s.b = types.AppendJSONElement(s.b, valueOf(arg[0]))
}

func (s *pgArrayAgg) Value(ctx sqlite3.Context) {
	switch {
	case s.err != nil:
		fail(ctx, s.err)
	case s.n > 0:
		resultText(ctx, append(s.b[:len(s.b):len(s.b)], ']'))
	}
}

// pgStringAgg joins values that aren't NULL, each behind its own separator.
type pgStringAgg struct {
	class types.Class
	b     []byte
	any   bool
	err   error
}

func (s *pgStringAgg) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) || s.err != nil {
		return
	}
	if s.any {
		s.b = append(s.b, valueOf(arg[1]).B...)
	}
	s.any = true
	s.b = append(s.b, valueOf(arg[0]).B...)
	if len(s.b) > pgMaxResult {
		s.err = pgTooLong()
	}
}

func (s *pgStringAgg) Value(ctx sqlite3.Context) {
	switch {
	case s.err != nil:
		fail(ctx, s.err)
	case s.any:
		result(ctx, types.Value{Class: s.class, B: s.b})
	}
}

type pgAnyValue struct {
	v   types.Value
	any bool
}

func (s *pgAnyValue) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if !s.any && !isNull(arg[0]) {
		s.v, s.any = valueOf(arg[0]).Clone(), true
	}
}

func (s *pgAnyValue) Value(ctx sqlite3.Context) { result(ctx, s.v) }

// pgMode finds the most frequent value; the values come in order, so equal ones stand together.
type pgMode struct {
	best, last types.Value
	most, n    int64
}

func (s *pgMode) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	v := valueOf(arg[0])
	if s.n > 0 && pgEqual(v, s.last) {
		s.n++
	} else {
		s.last, s.n = v.Clone(), 1
	}
	if s.n > s.most {
		s.best, s.most = s.last, s.n
	}
}

func (s *pgMode) Value(ctx sqlite3.Context) { result(ctx, s.best) }

// pgEqual compares stored values of one type.
func pgEqual(a, b types.Value) bool {
	return a.Class == b.Class && a.I == b.I && a.F == b.F && string(a.B) == string(b.B)
}

// pgMaxKept bounds the values that an aggregate keeps.
const pgMaxKept = 50_000_000

// pgPercentile keeps the values, which come in order, and picks or interpolates.
type pgPercentile struct {
	cont, spans bool
	values      []types.Value
	p           float64
	null        bool
	err         error
}

func (s *pgPercentile) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[1]) {
		s.null = true
		return
	}
	s.p = arg[1].Float()
	if s.p < 0 || s.p > 1 || math.IsNaN(s.p) {
		s.err = sqlerr.New("22003", "percentile value %v is not between 0 and 1", s.p)
	}
	if isNull(arg[0]) || s.err != nil {
		return
	}
	if len(s.values) == pgMaxKept {
		s.err = sqlerr.New("54000", "too many values for a percentile")
		return
	}
	s.values = append(s.values, valueOf(arg[0]).Clone())
}

func (s *pgPercentile) Value(ctx sqlite3.Context) {
	n := len(s.values)
	if s.err != nil {
		fail(ctx, s.err)
		return
	}
	if s.null || n == 0 {
		return
	}
	if !s.cont {
		i := int(math.Ceil(s.p * float64(n)))
		result(ctx, s.values[max(i-1, 0)])
		return
	}
	at := s.p * float64(n-1)
	low, high := int(math.Floor(at)), int(math.Ceil(at))
	if low == high {
		result(ctx, s.values[low])
		return
	}
	part := at - float64(low)
	if !s.spans {
		a, b := floatValue(s.values[low]), floatValue(s.values[high])
		ctx.ResultFloat(a + part*(b-a))
		return
	}
	v, err := pgBetween(s.values[low], s.values[high], part)
	if err != nil {
		fail(ctx, err)
		return
	}
	result(ctx, v)
}

// pgBetween interpolates two intervals.
func pgBetween(a, b types.Value, part float64) (types.Value, error) {
	diff, err := spanAdd(b, a, true)
	if err != nil {
		return diff, err
	}
	d, err := storedSpan(diff)
	if err != nil {
		return diff, err
	}
	scaled, err := scaleSpan(d, part)
	if err != nil {
		return scaled, err
	}
	return spanAdd(a, scaled, false)
}

// pgBits is bit_and, bit_or and bit_xor.
type pgBits struct {
	op  byte
	v   int64
	any bool
}

func (s *pgBits) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	i := arg[0].Int64()
	switch {
	case !s.any:
		s.v = i
	case s.op == '&':
		s.v &= i
	case s.op == '|':
		s.v |= i
	default:
		s.v ^= i
	}
	s.any = true
}

func (s *pgBits) Value(ctx sqlite3.Context) {
	if s.any {
		ctx.ResultInt64(s.v)
	}
}

// pgDecimalVariance adds numbers and their squares exactly.
type pgDecimalVariance struct {
	root, population bool
	n                int64
	sum, squares     types.Decimal
	special          bool
	err              error
}

func (s *pgDecimalVariance) Step(ctx sqlite3.Context, arg ...sqlite3.Value) { s.count(arg[0], false) }

func (s *pgDecimalVariance) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) { s.count(arg[0], true) }

func (s *pgDecimalVariance) count(v sqlite3.Value, leave bool) {
	if isNull(v) || s.err != nil {
		return
	}
	d, err := decimalArg(v)
	if err != nil {
		s.err = err
		return
	}
	if d.IsNaN() || d.IsInf() {
		s.special = true
		return
	}
	if leave {
		s.n--
		s.sum, s.squares = s.sum.Sub(d), s.squares.Sub(d.Mul(d))
		return
	}
	s.n++
	s.sum, s.squares = s.sum.Add(d), s.squares.Add(d.Mul(d))
}

func (s *pgDecimalVariance) Value(ctx sqlite3.Context) {
	if s.err != nil {
		fail(ctx, s.err)
		return
	}
	if s.special {
		resultDecimal(ctx, types.NaN)
		return
	}
	least := int64(2)
	if s.population {
		least = 1
	}
	if s.n < least {
		return
	}
	// (n·Σx² − (Σx)²) / (n·(n−1)), or n² for the population.
	n := types.DecimalFromInt(s.n)
	num := n.Mul(s.squares).Sub(s.sum.Mul(s.sum))
	if num.Sign() <= 0 {
		resultDecimal(ctx, types.DecimalFromInt(0))
		return
	}
	den := n.Mul(types.DecimalFromInt(s.n - 1))
	if s.population {
		den = n.Mul(n)
	}
	d, err := num.Div(den)
	if err != nil {
		fail(ctx, arithmeticError(err))
		return
	}
	if s.root {
		d = d.SqrtScale(d.Scale())
	}
	resultDecimal(ctx, d)
}

// pgVariance follows Youngs and Cramer, as PostgreSQL does.
type pgVariance struct {
	root, population bool
	n, sum, sxx      float64
}

func (s *pgVariance) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	x := arg[0].Float()
	s.n++
	s.sum += x
	if s.n > 1 {
		t := x*s.n - s.sum
		s.sxx += t * t / (s.n * (s.n - 1))
	}
}

func (s *pgVariance) Value(ctx sqlite3.Context) {
	v := 0.0
	switch {
	case s.population && s.n > 0:
		v = s.sxx / s.n
	case !s.population && s.n > 1:
		v = s.sxx / (s.n - 1)
	default:
		return
	}
	if s.root {
		v = math.Sqrt(v)
	}
	ctx.ResultFloat(v)
}

// pgSums are the sums that the regression functions are made of.
type pgSums struct{ n, x, y, xx, yy, xy float64 }

// pgRegressions compute from the sums; ok is false for NULL.
var pgRegressions = map[string]func(s *pgSums) (float64, bool){
	"regr_count": func(s *pgSums) (float64, bool) { return s.n, true },
	"regr_avgx":  func(s *pgSums) (float64, bool) { return s.x / s.n, s.n > 0 },
	"regr_avgy":  func(s *pgSums) (float64, bool) { return s.y / s.n, s.n > 0 },
	"regr_sxx":   func(s *pgSums) (float64, bool) { return s.xx, s.n > 0 },
	"regr_syy":   func(s *pgSums) (float64, bool) { return s.yy, s.n > 0 },
	"regr_sxy":   func(s *pgSums) (float64, bool) { return s.xy, s.n > 0 },
	"regr_slope": func(s *pgSums) (float64, bool) { return s.xy / s.xx, s.n > 0 && s.xx != 0 },
	"regr_intercept": func(s *pgSums) (float64, bool) {
		return (s.y - s.x*s.xy/s.xx) / s.n, s.n > 0 && s.xx != 0
	},
	"regr_r2": func(s *pgSums) (float64, bool) {
		if s.yy == 0 {
			return 1, s.n > 0 && s.xx != 0
		}
		return s.xy * s.xy / (s.xx * s.yy), s.n > 0 && s.xx != 0
	},
	"corr":       func(s *pgSums) (float64, bool) { return s.xy / math.Sqrt(s.xx*s.yy), s.n > 0 && s.xx != 0 && s.yy != 0 },
	"covar_pop":  func(s *pgSums) (float64, bool) { return s.xy / s.n, s.n > 0 },
	"covar_samp": func(s *pgSums) (float64, bool) { return s.xy / (s.n - 1), s.n > 1 },
}

// pgRegression takes (y, x) pairs without a NULL.
type pgRegression struct {
	f     func(*pgSums) (float64, bool)
	count bool
	s     pgSums
}

func (r *pgRegression) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) || isNull(arg[1]) {
		return
	}
	y, x := arg[0].Float(), arg[1].Float()
	s := &r.s
	s.n++
	s.x += x
	s.y += y
	if s.n > 1 {
		tx, ty := x*s.n-s.x, y*s.n-s.y
		scale := 1 / (s.n * (s.n - 1))
		s.xx += tx * tx * scale
		s.yy += ty * ty * scale
		s.xy += tx * ty * scale
	}
}

func (r *pgRegression) Value(ctx sqlite3.Context) {
	v, ok := r.f(&r.s)
	switch {
	case r.count:
		ctx.ResultInt64(int64(v))
	case ok:
		ctx.ResultFloat(v)
	}
}
