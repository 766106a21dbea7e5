package funcs

import (
	"math"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const i4, i8, ts, tstz, iv = types.Int4, types.Int8, types.Timestamp, types.TimestampTZ, types.Interval
	define(pg,
		pgOpt(1, pgSet("generate_series", i4, "bop_series($*)", i4, i4, i4)),
		pgOpt(1, pgSet("generate_series", i8, "bop_series($*)", i8, i8, i8)),
		pgOpt(1, pgSet("generate_series", types.Numeric, "bop_series_dec($*)", types.Numeric, types.Numeric, types.Numeric)),
		pgSet("generate_series", ts, "bop_series_ts($*)", ts, ts, iv),
		pgSet("generate_series", tstz, "bop_series_tstz($*)", tstz, tstz, iv),
	)
	implement(func(r *Registrar) {
		env := r.Env
		r.pgRows("bop_series", 3, nil, func(a []types.Value) (pgRowSource, error) {
			if len(a) < 2 {
				return pgList(nil), nil
			}
			i, to, step := a[0].I, a[1].I, int64(1)
			if len(a) > 2 {
				step = a[2].I
			}
			if step == 0 {
				return nil, pgZeroStep()
			}
			done := false
			return &pgSteps{next: func() (types.Value, bool, error) {
				if done || step > 0 && i > to || step < 0 && i < to {
					return types.Value{}, false, nil
				}
				v := i
				if step > 0 && i > math.MaxInt64-step || step < 0 && i < math.MinInt64-step {
					done = true
				}
				i += step
				return types.IntValue(v), true, nil
			}}, nil
		})
		r.pgRows("bop_series_dec", 3, nil, func(a []types.Value) (pgRowSource, error) {
			if len(a) < 2 {
				return pgList(nil), nil
			}
			ds := []types.Decimal{{}, {}, types.DecimalFromInt(1)}
			for i, v := range a {
				d, err := types.ParseDecimal([]byte(pgStr(v)))
				if err != nil {
					return nil, err
				}
				switch name := [...]string{"start", "stop", "step size"}[i]; {
				case d.IsNaN():
					return nil, sqlerr.New("22023", "%s value cannot be NaN", name)
				case d.IsInf():
					return nil, sqlerr.New("22023", "%s value cannot be infinity", name)
				}
				ds[i] = d
			}
			at, to, step := ds[0], ds[1], ds[2]
			if step.Sign() == 0 {
				return nil, pgZeroStep()
			}
			// All values have the scale of the widest of start and step, as adding them gives it.
			return &pgSteps{next: func() (types.Value, bool, error) {
				if c := at.Cmp(to); step.Sign() > 0 && c > 0 || step.Sign() < 0 && c < 0 {
					return types.Value{}, false, nil
				}
				v := types.DecimalValue(at)
				at = at.Add(step)
				return v, true, nil
			}}, nil
		})
		series := func(zone bool) pgRowsFunc {
			return func(a []types.Value) (pgRowSource, error) {
				if len(a) < 3 {
					return pgList(nil), nil
				}
				at, err := storedTimestamp(a[0])
				if err != nil {
					return nil, err
				}
				to, err := storedTimestamp(a[1])
				if err != nil {
					return nil, err
				}
				step, err := storedSpan(a[2])
				if err != nil {
					return nil, err
				}
				sign := step.Cmp(types.Span{})
				if sign == 0 {
					return nil, pgZeroStep()
				}
				loc := env.location()
				over := false
				return &pgSteps{next: func() (types.Value, bool, error) {
					if over || sign > 0 && at > to || sign < 0 && at < to {
						return types.Value{}, false, nil
					}
					v := types.TimestampValue(at)
					if isInfinite(at) {
						over = true
						return v, true, nil
					}
					ok := false
					if zone {
						at, ok = types.AddIntervalIn(at, step, loc)
					} else {
						at, ok = types.AddInterval(at, step)
					}
					if !ok {
						return v, false, sqlerr.New("22008", "timestamp out of range")
					}
					return v, true, nil
				}}, nil
			}
		}
		r.pgRows("bop_series_ts", 3, nil, series(false))
		r.pgRows("bop_series_tstz", 3, nil, series(true))
	})
}

func pgZeroStep() error { return sqlerr.New("22023", "step size cannot equal zero") }
