package funcs

import (
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	agg := func(name string, arg, res types.Kind, sql string) *Signature {
		return &Signature{Name: name, Args: []types.Kind{arg}, Form: Aggregate, Result: res, SQL: sql}
	}
	define(bothDia,
		&Signature{Name: "count", Form: Aggregate, Result: types.Int8, SQL: "count(*)"},
		&Signature{Name: "count", Args: []types.Kind{Any}, Form: Aggregate, Result: types.Int8, SQL: "count($1)", KeepNull: true},
	)
	define(pg,
		agg("sum", types.Int2, types.Int8, "bop_sum_int($1)"),
		agg("sum", types.Int4, types.Int8, "bop_sum_int($1)"),
		agg("sum", types.Int8, types.Numeric, "bop_sum_dec($1)"),
		agg("sum", types.Numeric, types.Numeric, "bop_sum_dec($1)"),
		agg("sum", types.Float4, types.Float4, "bop_sum_float4($1)"),
		agg("sum", types.Float8, types.Float8, "bop_sum_float($1)"),
		agg("sum", types.Money, types.Money, "bop_sum_int($1)"),
		agg("sum", types.Interval, types.Interval, "bop_sum_iv($1)"),
		agg("avg", types.Int2, types.Numeric, "bop_avg_dec($1)"),
		agg("avg", types.Int4, types.Numeric, "bop_avg_dec($1)"),
		agg("avg", types.Int8, types.Numeric, "bop_avg_dec($1)"),
		agg("avg", types.Numeric, types.Numeric, "bop_avg_dec($1)"),
		agg("avg", types.Float4, types.Float8, "bop_avg_float($1)"),
		agg("avg", types.Float8, types.Float8, "bop_avg_float($1)"),
		agg("avg", types.Interval, types.Interval, "bop_avg_iv($1)"),
	)
	for _, name := range []string{"min", "max"} {
		for _, k := range []types.Kind{
			types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Text, types.Char, types.Date, types.Time,
			types.Timestamp, types.TimestampTZ, types.Money, types.Oid,
		} {
			define(pg, agg(name, k, k, name+"($1)"))
		}
		define(pg,
			agg(name, types.Numeric, types.Numeric, name+"($1 COLLATE bop_decimal)"),
			agg(name, types.Interval, types.Interval, "bop_"+name+"_iv($1)"),
			agg(name, types.TimeTZ, types.TimeTZ, "bop_"+name+"_timetz($1)"),
			agg(name, types.Inet, types.Inet, "bop_"+name+"_inet($1)"),
			agg(name, AnyArray, AnyArray, "bop_"+name+"_array($1)"),
		)
	}

	implement(func(r *Registrar) {
		r.Aggregate("bop_sum_int", 1, func() sqlite3.AggregateFunction { return &sumInt{} })
		r.Aggregate("bop_sum_dec", 1, func() sqlite3.AggregateFunction { return &sumDecimal{} })
		r.Aggregate("bop_avg_dec", 1, func() sqlite3.AggregateFunction { return &sumDecimal{average: true} })
		r.Aggregate("bop_sum_float", 1, func() sqlite3.AggregateFunction { return &sumFloat{} })
		r.Aggregate("bop_sum_float4", 1, func() sqlite3.AggregateFunction { return &sumFloat{single: true} })
		r.Aggregate("bop_avg_float", 1, func() sqlite3.AggregateFunction { return &sumFloat{average: true} })
		r.Aggregate("bop_sum_iv", 1, func() sqlite3.AggregateFunction { return &sumSpan{} })
		r.Aggregate("bop_avg_iv", 1, func() sqlite3.AggregateFunction { return &sumSpan{average: true} })
		for name, k := range map[string]types.Kind{"iv": types.Interval, "timetz": types.TimeTZ, "inet": types.Inet, "array": types.Array} {
			r.Aggregate("bop_min_"+name, 1, func() sqlite3.AggregateFunction { return &extreme{kind: k, want: -1} })
			r.Aggregate("bop_max_"+name, 1, func() sqlite3.AggregateFunction { return &extreme{kind: k, want: 1} })
		}
	})
}

// sumInt adds whole numbers; beyond 64 bits it is an error.
type sumInt struct {
	hi, lo uint64 // two's complement of 128 bits
	n      int64
}

func (s *sumInt) add(i int64) {
	lo := s.lo + uint64(i)
	carry := uint64(0)
	if lo < s.lo {
		carry = 1
	}
	s.lo = lo
	s.hi += uint64(i>>63) + carry
}

func (s *sumInt) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if !isNull(arg[0]) {
		s.add(arg[0].Int64())
		s.n++
	}
}

func (s *sumInt) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	if i := arg[0].Int64(); i == math.MinInt64 {
		s.add(math.MaxInt64)
		s.add(1)
	} else {
		s.add(-i)
	}
	s.n--
}

func (s *sumInt) Value(ctx sqlite3.Context) {
	if s.n == 0 {
		return
	}
	if s.hi != uint64(int64(s.lo)>>63) {
		fail(ctx, errRange("bigint"))
		return
	}
	ctx.ResultInt64(int64(s.lo))
}

// sumDecimal adds numbers exactly, or averages them with PostgreSQL's scale.
type sumDecimal struct {
	average          bool
	extra            int32 // digits that MySQL's average adds; 0: PostgreSQL's rule
	sum              types.Decimal
	n                int64
	nan, plus, minus int64 // special values are counted, so that they can leave a window again
	err              error
}

func (s *sumDecimal) Step(ctx sqlite3.Context, arg ...sqlite3.Value)    { s.count(arg[0], 1) }
func (s *sumDecimal) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) { s.count(arg[0], -1) }

func (s *sumDecimal) count(v sqlite3.Value, by int64) {
	if isNull(v) || s.err != nil {
		return
	}
	d, err := decimalArg(v)
	if err != nil {
		s.err = err
		return
	}
	s.n += by
	switch {
	case d.IsNaN():
		s.nan += by
	case d.IsInf() && d.Sign() > 0:
		s.plus += by
	case d.IsInf():
		s.minus += by
	case by > 0:
		s.sum = s.sum.Add(d)
	default:
		s.sum = s.sum.Sub(d)
	}
}

func (s *sumDecimal) Value(ctx sqlite3.Context) {
	if s.err != nil {
		fail(ctx, s.err)
		return
	}
	if s.n == 0 {
		return
	}
	d := s.sum
	switch {
	case s.nan > 0 || s.plus > 0 && s.minus > 0:
		d = types.NaN
	case s.plus > 0:
		d = types.Infinity
	case s.minus > 0:
		d = types.NegativeInfinity
	case s.average:
		n := types.DecimalFromInt(s.n)
		var err error
		if s.extra > 0 {
			d, err = d.QuoRound(n, min(d.Scale()+s.extra, 30))
		} else {
			d, err = d.Div(n)
		}
		if err != nil {
			fail(ctx, arithmeticError(err))
			return
		}
	}
	resultDecimal(ctx, d)
}

// sumFloat adds floats in the order they come, as PostgreSQL does.
type sumFloat struct {
	average, single bool
	sum             float64
	n, infinite     int64
}

func (s *sumFloat) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	f := arg[0].Float()
	if math.IsInf(f, 0) {
		s.infinite++
	}
	s.n++
	s.sum += f
	if s.single {
		s.sum = float64(float32(s.sum))
	}
}

func (s *sumFloat) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) {
		return
	}
	s.n--
	s.sum -= arg[0].Float()
	if s.n == 0 {
		s.sum = 0
	}
}

func (s *sumFloat) Value(ctx sqlite3.Context) {
	if s.n == 0 {
		return
	}
	f := s.sum
	if s.average {
		f /= float64(s.n)
	}
	resultFloat(ctx, f, s.infinite > 0)
}

// sumSpan adds or averages intervals.
type sumSpan struct {
	average bool
	sum     types.Span
	n       int64
	err     error
}

func (s *sumSpan) Step(ctx sqlite3.Context, arg ...sqlite3.Value)    { s.count(arg[0], false) }
func (s *sumSpan) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) { s.count(arg[0], true) }

func (s *sumSpan) count(v sqlite3.Value, leave bool) {
	if isNull(v) || s.err != nil {
		return
	}
	if leave {
		s.n--
	} else {
		s.n++
	}
	sum, err := spanAdd(types.SpanValue(s.sum), valueOf(v), leave)
	if err != nil {
		s.err = err
		return
	}
	s.sum, s.err = storedSpan(sum)
}

func (s *sumSpan) Value(ctx sqlite3.Context) {
	if s.err != nil {
		fail(ctx, s.err)
		return
	}
	if s.n == 0 {
		return
	}
	v := types.SpanValue(s.sum)
	if s.average {
		var err error
		if v, err = divideSpan(s.sum, float64(s.n)); err != nil {
			fail(ctx, err)
			return
		}
	}
	result(ctx, v)
}

// extreme is min or max of values that bop_cmp compares. A sliding window keeps all its values.
type extreme struct {
	kind   types.Kind
	want   int
	values []types.Value
	err    error
}

// maxWindowValues bounds what a sliding min or max keeps.
const maxWindowValues = 10_000_000

func (e *extreme) Step(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) || e.err != nil {
		return
	}
	v := valueOf(arg[0])
	// Values that can never be the result while v is in the window need not be kept.
	for len(e.values) > 0 {
		c, err := compare(e.values[len(e.values)-1], v, e.kind)
		if err != nil {
			e.err = err
			return
		}
		if c*e.want >= 0 {
			break
		}
		e.values = e.values[:len(e.values)-1]
	}
	if len(e.values) == maxWindowValues {
		e.err = sqlerr.New("54000", "too many values in a window")
		return
	}
	e.values = append(e.values, v.Clone())
}

func (e *extreme) Inverse(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg[0]) || e.err != nil || len(e.values) == 0 {
		return
	}
	if c, err := compare(e.values[0], valueOf(arg[0]), e.kind); err == nil && c == 0 {
		e.values = e.values[1:]
	}
}

func (e *extreme) Value(ctx sqlite3.Context) {
	if e.err != nil {
		fail(ctx, e.err)
		return
	}
	if len(e.values) > 0 {
		result(ctx, e.values[0])
	}
}
