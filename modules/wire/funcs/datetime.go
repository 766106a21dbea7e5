package funcs

import (
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Arithmetic of dates, times and intervals as PostgreSQL's operators do it. Impure are those that count days on the
// session's clock.

func init() {
	date, clock, tz, ts, tstz, iv := types.Date, types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ, types.Interval
	defineOp(pg,
		infix("+", date, types.Int4, date, "bop_date_add($1, $2)"),
		infix("+", types.Int4, date, date, "bop_date_add($2, $1)"),
		infix("-", date, types.Int4, date, "bop_date_add($1, -$2)"),
		infix("-", date, date, types.Int4, "bop_date_diff($1, $2)"),
		infix("+", date, iv, ts, "bop_ts_add($1, $2)"),
		infix("+", iv, date, ts, "bop_ts_add($2, $1)"),
		infix("-", date, iv, ts, "bop_ts_sub($1, $2)"),
		infix("+", date, clock, ts, "bop_date_time($1, $2)"),
		infix("+", clock, date, ts, "bop_date_time($2, $1)"),
		infix("+", date, tz, tstz, "bop_date_timetz($1, $2)"),
		infix("+", tz, date, tstz, "bop_date_timetz($2, $1)"),
		infix("+", ts, iv, ts, "bop_ts_add($1, $2)"),
		infix("+", iv, ts, ts, "bop_ts_add($2, $1)"),
		infix("-", ts, iv, ts, "bop_ts_sub($1, $2)"),
		infix("-", ts, ts, iv, "bop_ts_diff($1, $2)"),
		infix("+", tstz, iv, tstz, "bop_tstz_add($1, $2)"),
		infix("+", iv, tstz, tstz, "bop_tstz_add($2, $1)"),
		infix("-", tstz, iv, tstz, "bop_tstz_sub($1, $2)"),
		infix("-", tstz, tstz, iv, "bop_ts_diff($1, $2)"),
		infix("+", clock, iv, clock, "bop_time_add($1, $2)"),
		infix("+", iv, clock, clock, "bop_time_add($2, $1)"),
		infix("-", clock, iv, clock, "bop_time_sub($1, $2)"),
		infix("-", clock, clock, iv, "bop_time_diff($1, $2)"),
		infix("+", tz, iv, tz, "bop_time_add($1, $2)"),
		infix("+", iv, tz, tz, "bop_time_add($2, $1)"),
		infix("-", tz, iv, tz, "bop_time_sub($1, $2)"),
		infix("+", iv, iv, iv, "bop_iv_add($1, $2)"),
		infix("-", iv, iv, iv, "bop_iv_sub($1, $2)"),
		infix("*", iv, types.Float8, iv, "bop_iv_mul($1, $2)"),
		infix("*", types.Float8, iv, iv, "bop_iv_mul($2, $1)"),
		infix("/", iv, types.Float8, iv, "bop_iv_div($1, $2)"),
		prefix("-", iv, iv, "bop_iv_neg($1)"),
		prefix("+", iv, iv, "$1"),

		infix("AT TIME ZONE", tstz, types.Text, ts, "bop_to_zone($1, $2)"),
		infix("AT TIME ZONE", ts, types.Text, tstz, "bop_from_zone($1, $2)"),
		infix("AT TIME ZONE", tz, types.Text, tz, "bop_timetz_zone($1, $2)"),
		infix("AT TIME ZONE", tstz, iv, ts, "bop_to_zone($1, $2)"),
		infix("AT TIME ZONE", ts, iv, tstz, "bop_from_zone($1, $2)"),
		infix("AT TIME ZONE", tz, iv, tz, "bop_timetz_zone($1, $2)"),
	)
	fn := func(name string, res types.Kind, sql string, args ...types.Kind) *Signature {
		return &Signature{Name: name, Args: args, Result: res, SQL: sql}
	}
	define(pg,
		fn("timezone", ts, "bop_to_zone($2, $1)", types.Text, tstz),
		fn("timezone", tstz, "bop_from_zone($2, $1)", types.Text, ts),
		fn("timezone", tz, "bop_timetz_zone($2, $1)", types.Text, tz),
		fn("timezone", ts, "bop_to_zone($2, $1)", iv, tstz),
		fn("timezone", tstz, "bop_from_zone($2, $1)", iv, ts),
		fn("timezone", tz, "bop_timetz_zone($2, $1)", iv, tz),
	)

	implement(func(r *Registrar) {
		env := r.Env
		pure := func(name string, f func(a, b types.Value) (types.Value, error)) { r.Pure(name, 2, ofTwo(f)) }
		impure := func(name string, f func(a, b types.Value) (types.Value, error)) { r.Impure(name, 2, ofTwo(f)) }

		pure("bop_date_add", dateAdd)
		pure("bop_date_diff", func(a, b types.Value) (types.Value, error) {
			x, err := storedDate(a)
			if err != nil {
				return a, err
			}
			y, err := storedDate(b)
			if err != nil {
				return a, err
			}
			if isInfiniteDate(x) || isInfiniteDate(y) {
				return a, sqlerr.New("22008", "cannot subtract infinite dates")
			}
			return types.IntValue(int64(x) - int64(y)), nil
		})
		pure("bop_ts_add", func(a, b types.Value) (types.Value, error) { return addSpan(a, b, false, nil) })
		pure("bop_ts_sub", func(a, b types.Value) (types.Value, error) { return addSpan(a, b, true, nil) })
		impure("bop_tstz_add", func(a, b types.Value) (types.Value, error) { return addSpan(a, b, false, env) })
		impure("bop_tstz_sub", func(a, b types.Value) (types.Value, error) { return addSpan(a, b, true, env) })
		pure("bop_ts_diff", timestampDiff)
		pure("bop_date_time", func(a, b types.Value) (types.Value, error) {
			ts, err := storedTimestamp(a)
			if err != nil {
				return a, err
			}
			us, ok := types.ParseStoredTime(b.B)
			if !ok {
				return a, badStored(types.T(clock), b.B)
			}
			if isInfinite(ts) {
				return types.TimestampValue(ts), nil
			}
			return inRange(ts + us)
		})
		pure("bop_date_timetz", func(a, b types.Value) (types.Value, error) {
			ts, err := storedTimestamp(a)
			if err != nil {
				return a, err
			}
			us, off, ok := types.ParseStoredTimeTZ(b.B)
			if !ok {
				return a, badStored(types.T(tz), b.B)
			}
			if isInfinite(ts) {
				return types.TimestampValue(ts), nil
			}
			return inRange(ts + us - int64(off)*types.MicrosPerSecond)
		})
		pure("bop_time_add", func(a, b types.Value) (types.Value, error) { return timeAdd(a, b, 1) })
		pure("bop_time_sub", func(a, b types.Value) (types.Value, error) { return timeAdd(a, b, -1) })
		pure("bop_time_diff", func(a, b types.Value) (types.Value, error) {
			x, ok1 := types.ParseStoredTime(a.B)
			y, ok2 := types.ParseStoredTime(b.B)
			if !ok1 || !ok2 {
				return a, badStored(types.T(clock), a.B)
			}
			return types.SpanValue(types.Span{Micros: x - y}), nil
		})
		pure("bop_iv_add", func(a, b types.Value) (types.Value, error) { return spanAdd(a, b, false) })
		pure("bop_iv_sub", func(a, b types.Value) (types.Value, error) { return spanAdd(a, b, true) })
		pure("bop_iv_mul", func(a, b types.Value) (types.Value, error) {
			s, err := storedSpan(a)
			if err != nil {
				return a, err
			}
			return scaleSpan(s, floatValue(b))
		})
		pure("bop_iv_div", func(a, b types.Value) (types.Value, error) {
			s, err := storedSpan(a)
			if err != nil {
				return a, err
			}
			f := floatValue(b)
			if f == 0 {
				return a, errDivisionByZero()
			}
			return divideSpan(s, f)
		})
		r.Pure("bop_iv_neg", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			s, err := storedSpan(valueOf(arg[0]))
			if err == nil && (s.Months == math.MinInt32 || s.Days == math.MinInt32 || s.Micros == math.MinInt64) {
				err = errSpanRange()
			}
			if err != nil {
				fail(ctx, err)
				return
			}
			result(ctx, types.SpanValue(s.Neg()))
		})
		pure("bop_to_zone", func(a, b types.Value) (types.Value, error) {
			ts, err := storedTimestamp(a)
			if err != nil {
				return a, err
			}
			loc, err := zoneOf(b)
			if err != nil || isInfinite(ts) {
				return types.TimestampValue(ts), err
			}
			local, _, _ := types.LocalTimestamp(ts, loc)
			return types.TimestampValue(local), nil
		})
		pure("bop_from_zone", func(a, b types.Value) (types.Value, error) {
			ts, err := storedTimestamp(a)
			if err != nil {
				return a, err
			}
			loc, err := zoneOf(b)
			if err != nil || isInfinite(ts) {
				return types.TimestampValue(ts), err
			}
			return inRange(types.InstantOf(ts, loc))
		})
		impure("bop_timetz_zone", func(a, b types.Value) (types.Value, error) {
			us, off, ok := types.ParseStoredTimeTZ(a.B)
			if !ok {
				return a, badStored(types.T(tz), a.B)
			}
			loc, err := zoneOf(b)
			if err != nil {
				return a, err
			}
			_, to, _ := types.LocalTimestamp(types.TimestampOf(env.now()), loc)
			us = (us + int64(to-off)*types.MicrosPerSecond) % types.MicrosPerDay
			if us < 0 {
				us += types.MicrosPerDay
			}
			return types.Value{Class: types.String, B: types.AppendTimeTZ(nil, us, to)}, nil
		})
	})
}

// ofTwo makes a function of two arguments that aren't NULL.
func ofTwo(f func(a, b types.Value) (types.Value, error)) func(ctx sqlite3.Context, arg Values) {
	return func(ctx sqlite3.Context, arg Values) {
		if anyNull(arg) {
			return
		}
		v, err := f(valueOf(arg[0]), valueOf(arg[1]))
		if err != nil {
			fail(ctx, err)
			return
		}
		result(ctx, v)
	}
}

func isInfinite(ts int64) bool {
	return ts == types.InfiniteTimestamp || ts == types.MinusInfiniteTimestamp
}

func isInfiniteDate(d int32) bool { return d == types.InfiniteDate || d == types.MinusInfiniteDate }

func inRange(ts int64) (types.Value, error) {
	if !types.TimestampInRange(ts) {
		return types.Value{}, sqlerr.New("22008", "timestamp out of range")
	}
	return types.TimestampValue(ts), nil
}

func errSpanRange() error { return sqlerr.New("22008", "interval out of range") }

// storedTimestamp reads a stored timestamp or date.
func storedTimestamp(v types.Value) (int64, error) {
	ts, ok := types.ParseStoredTimestamp(v.B)
	if !ok {
		return 0, badStored(types.T(types.Timestamp), v.B)
	}
	return ts, nil
}

func storedDate(v types.Value) (int32, error) {
	d, ok := types.ParseStoredDate(v.B)
	if !ok {
		return 0, badStored(types.T(types.Date), v.B)
	}
	return d, nil
}

func storedSpan(v types.Value) (types.Span, error) {
	s, ok := types.ParseStoredInterval(v.B)
	if !ok {
		return s, badStored(types.T(types.Interval), v.B)
	}
	return s, nil
}

func floatValue(v types.Value) float64 {
	switch v.Class {
	case types.Int:
		return float64(v.I)
	case types.Float:
		return v.F
	}
	f, _ := types.MySQLFloat(v.B)
	return f
}

func dateAdd(a, b types.Value) (types.Value, error) {
	d, err := storedDate(a)
	if err != nil || isInfiniteDate(d) {
		return a, err
	}
	sum := int64(d) + b.I
	if b.Class != types.Int || sum < math.MinInt32 || sum > math.MaxInt32 || !types.DateInRange(int(sum)) {
		return a, sqlerr.New("22008", "date out of range")
	}
	return types.DateValue(int32(sum)), nil
}

// addSpan adds an interval to a timestamp; env: it is an instant, whose days are the session's.
func addSpan(a, b types.Value, negative bool, env *Env) (types.Value, error) {
	ts, err := storedTimestamp(a)
	if err != nil {
		return a, err
	}
	s, err := storedSpan(b)
	if err != nil {
		return a, err
	}
	if negative {
		s = s.Neg()
	}
	var sum int64
	var ok bool
	if env != nil {
		sum, ok = types.AddIntervalIn(ts, s, env.location())
	} else {
		sum, ok = types.AddInterval(ts, s)
	}
	if !ok {
		return a, sqlerr.New("22008", "timestamp out of range")
	}
	return types.TimestampValue(sum), nil
}

// timestampDiff gives days and the rest, not months.
func timestampDiff(a, b types.Value) (types.Value, error) {
	x, err := storedTimestamp(a)
	if err != nil {
		return a, err
	}
	y, err := storedTimestamp(b)
	if err != nil {
		return a, err
	}
	if isInfinite(x) || isInfinite(y) {
		return a, sqlerr.New("22008", "cannot subtract infinite timestamps")
	}
	us := x - y
	if (us > 0) != (x > y) && x != y {
		return a, errSpanRange()
	}
	return types.SpanValue(types.Span{Days: int32(us / types.MicrosPerDay), Micros: us % types.MicrosPerDay}), nil
}

func timeAdd(a, b types.Value, sign int64) (types.Value, error) {
	us, off, ok := types.ParseStoredTimeTZ(a.B)
	if !ok {
		return a, badStored(types.T(types.Time), a.B)
	}
	s, err := storedSpan(b)
	if err != nil {
		return a, err
	}
	us = (us + sign*(s.Micros%types.MicrosPerDay)) % types.MicrosPerDay
	if us < 0 {
		us += types.MicrosPerDay
	}
	if hasZone(a.B) {
		return types.Value{Class: types.String, B: types.AppendTimeTZ(nil, us, off)}, nil
	}
	return types.TimeValue(us), nil
}

// hasZone tells a stored time with zone from one without.
func hasZone(b []byte) bool {
	for i := 1; i < len(b); i++ {
		if b[i] == '+' || b[i] == '-' {
			return true
		}
	}
	return false
}

func spanAdd(a, b types.Value, subtract bool) (types.Value, error) {
	s, err := storedSpan(a)
	if err != nil {
		return a, err
	}
	t, err := storedSpan(b)
	if err != nil {
		return a, err
	}
	sign := int64(1)
	if subtract {
		sign = -1
	}
	months, days := int64(s.Months)+sign*int64(t.Months), int64(s.Days)+sign*int64(t.Days)
	us := s.Micros + sign*t.Micros
	if int64(int32(months)) != months || int64(int32(days)) != days ||
		t.Micros != 0 && (us > s.Micros) != (sign*t.Micros > 0) {
		return a, errSpanRange()
	}
	return types.SpanValue(types.Span{Months: int32(months), Days: int32(days), Micros: us}), nil
}

// scaleSpan multiplies an interval: fractions of months become days, those of days microseconds.
func scaleSpan(s types.Span, f float64) (types.Value, error) {
	return spreadSpan(float64(s.Months)*f, float64(s.Days)*f, float64(s.Micros)*f)
}

func divideSpan(s types.Span, f float64) (types.Value, error) {
	return spreadSpan(float64(s.Months)/f, float64(s.Days)/f, float64(s.Micros)/f)
}

func spreadSpan(months, days, micros float64) (types.Value, error) {
	if math.IsNaN(months+days+micros) || math.Abs(months) > math.MaxInt32 || math.Abs(days) > math.MaxInt32 {
		return types.Value{}, errSpanRange()
	}
	wholeMonths, wholeDays := math.Trunc(months), math.Trunc(days)
	round := func(x float64) float64 { return math.RoundToEven(x*1e6) / 1e6 }
	fromMonths := round((months - wholeMonths) * 30)
	seconds := round((days - wholeDays + fromMonths - math.Trunc(fromMonths)) * 86400)
	if math.Abs(seconds) >= 86400 {
		extra := math.Trunc(seconds / 86400)
		wholeDays += extra
		seconds -= extra * 86400
	}
	wholeDays += math.Trunc(fromMonths)
	us := math.RoundToEven(micros + seconds*1e6)
	if math.Abs(us) >= math.MaxInt64 || math.Abs(wholeDays) > math.MaxInt32 {
		return types.Value{}, errSpanRange()
	}
	return types.SpanValue(types.Span{Months: int32(wholeMonths), Days: int32(wholeDays), Micros: int64(us)}), nil
}
