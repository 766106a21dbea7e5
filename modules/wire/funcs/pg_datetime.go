package funcs

import (
	"math"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	const text, f8, i4, num = types.Text, types.Float8, types.Int4, types.Numeric
	const date, clock, tz, ts, tstz, iv = types.Date, types.Time, types.TimeTZ, types.Timestamp, types.TimestampTZ, types.Interval
	define(pg,
		pgFn("date_trunc", ts, "bop_date_trunc($1, $2)", text, ts),
		pgFn("date_trunc", tstz, "bop_date_trunc_tz($1, $2)", text, tstz),
		pgFn("date_trunc", tstz, "bop_date_trunc_tz($1, $2, $3)", text, tstz, text),
		pgFn("date_trunc", iv, "bop_date_trunc_iv($1, $2)", text, iv),
		pgFn("age", iv, "bop_age($1, $2)", ts, ts),
		pgFn("age", iv, "bop_age_tz($1, $2)", tstz, tstz),
		pgFn("age", iv, "bop_age($1)", ts),
		pgFn("age", iv, "bop_age_tz($1)", tstz),
		pgFn("make_date", date, "bop_make_date($*)", i4, i4, i4),
		pgFn("make_time", clock, "bop_make_time($*)", i4, i4, f8),
		pgFn("make_timestamp", ts, "bop_make_timestamp($*)", i4, i4, i4, i4, i4, f8),
		pgOpt(1, pgFn("make_timestamptz", tstz, "bop_make_timestamptz($*)", i4, i4, i4, i4, i4, f8, text)),
		pgOpt(7, pgFn("make_interval", iv, "bop_make_interval($*)", i4, i4, i4, i4, i4, i4, f8)),
		pgFn("justify_days", iv, "bop_justify($1, 1)", iv),
		pgFn("justify_hours", iv, "bop_justify($1, 2)", iv),
		pgFn("justify_interval", iv, "bop_justify($1, 3)", iv),
		pgFn("date_bin", ts, "bop_date_bin($*)", iv, ts, ts),
		pgFn("date_bin", tstz, "bop_date_bin($*)", iv, tstz, tstz),
		pgFn("to_timestamp", tstz, "bop_epoch($1)", f8),
		pgFn("isfinite", types.Bool, "bop_isfinite($1)", date),
		pgFn("isfinite", types.Bool, "bop_isfinite($1)", ts),
		pgFn("isfinite", types.Bool, "bop_isfinite($1)", tstz),
		pgFn("isfinite", types.Bool, "($1 IS NOT NULL)", iv),
	)
	for k, code := range map[types.Kind]string{date: "date", ts: "ts", tstz: "tstz", clock: "time", tz: "timetz", iv: "iv"} {
		define(pg,
			pgFn("extract", num, "bop_extract_"+code+"($1, $2)", text, k),
			pgFn("date_part", f8, "CAST(bop_extract_"+code+"($1, $2) AS REAL)", text, k),
		)
	}

	implement(func(r *Registrar) {
		env := r.Env
		pure := func(name string, n int, f func(a []types.Value) (types.Value, error)) { r.Pure(name, n, pgStrict(f)) }
		impure := func(name string, n int, f func(a []types.Value) (types.Value, error)) { r.Impure(name, n, pgStrict(f)) }

		pure("bop_date_trunc", 2, func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[1])
			if err != nil {
				return types.Value{}, err
			}
			at, err = pgTruncate(pgStr(a[0]), at, "timestamp without time zone")
			if err != nil {
				return types.Value{}, err
			}
			return types.TimestampValue(at), nil
		})
		for _, n := range []int{2, 3} {
			impure("bop_date_trunc_tz", n, func(a []types.Value) (types.Value, error) {
				at, err := storedTimestamp(a[1])
				if err != nil {
					return types.Value{}, err
				}
				loc := env.location()
				if len(a) > 2 {
					if loc, err = zoneOf(a[2]); err != nil {
						return types.Value{}, err
					}
				}
				if isInfinite(at) {
					return a[1], nil
				}
				local, _, _ := types.LocalTimestamp(at, loc)
				cut, err := pgTruncate(pgStr(a[0]), local, "timestamp with time zone")
				if err != nil {
					return types.Value{}, err
				}
				return inRange(types.InstantOf(cut, loc))
			})
		}
		pure("bop_date_trunc_iv", 2, func(a []types.Value) (types.Value, error) {
			s, err := storedSpan(a[1])
			if err != nil {
				return types.Value{}, err
			}
			return pgTruncateSpan(pgStr(a[0]), s)
		})
		pure("bop_age", 2, func(a []types.Value) (types.Value, error) { return pgAge(a, nil) })
		impure("bop_age_tz", 2, func(a []types.Value) (types.Value, error) { return pgAge(a, env.location()) })
		today := func() types.Value {
			local, _, _ := types.LocalTimestamp(types.TimestampOf(env.now()), env.location())
			days, _ := types.SplitTimestamp(local)
			return types.TimestampValue(int64(days) * types.MicrosPerDay)
		}
		impure("bop_age", 1, func(a []types.Value) (types.Value, error) { return pgAge([]types.Value{today(), a[0]}, nil) })
		impure("bop_age_tz", 1, func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[0])
			if err != nil || isInfinite(at) {
				return types.Value{}, err
			}
			local, _, _ := types.LocalTimestamp(at, env.location())
			return pgAge([]types.Value{today(), types.TimestampValue(local)}, nil)
		})
		pure("bop_make_date", 3, func(a []types.Value) (types.Value, error) {
			d, err := pgMakeDate(a)
			if err != nil {
				return types.Value{}, err
			}
			return types.DateValue(int32(d)), nil
		})
		pure("bop_make_time", 3, func(a []types.Value) (types.Value, error) {
			us, err := pgMakeTime(a)
			return types.TimeValue(us), err
		})
		pure("bop_make_timestamp", 6, func(a []types.Value) (types.Value, error) { return pgMakeTimestamp(a) })
		for _, n := range []int{6, 7} {
			impure("bop_make_timestamptz", n, func(a []types.Value) (types.Value, error) {
				loc := env.location()
				if len(a) > 6 {
					var err error
					if loc, err = zoneOf(a[6]); err != nil {
						return types.Value{}, err
					}
				}
				v, err := pgMakeTimestamp(a[:6])
				if err != nil {
					return v, err
				}
				local, err := storedTimestamp(v)
				if err != nil {
					return v, err
				}
				return inRange(types.InstantOf(local, loc))
			})
		}
		for n := range 8 {
			pure("bop_make_interval", n, func(a []types.Value) (types.Value, error) {
				var p [6]int64
				for i := range min(len(a), 6) {
					p[i] = a[i].I
				}
				secs := 0.0
				if len(a) > 6 {
					secs = floatValue(a[6])
				}
				months := p[0]*12 + p[1]
				days := p[2]*7 + p[3]
				us := float64(p[4])*3600e6 + float64(p[5])*60e6 + math.RoundToEven(secs*1e6)
				if months != int64(int32(months)) || days != int64(int32(days)) || math.IsNaN(us) || math.Abs(us) >= math.MaxInt64 {
					return types.Value{}, errSpanRange()
				}
				return types.SpanValue(types.Span{Months: int32(months), Days: int32(days), Micros: int64(us)}), nil
			})
		}
		pure("bop_justify", 2, func(a []types.Value) (types.Value, error) {
			s, err := storedSpan(a[0])
			if err != nil {
				return types.Value{}, err
			}
			return pgJustify(s, a[1].I)
		})
		pure("bop_date_bin", 3, pgDateBin)
		pure("bop_epoch", 1, func(a []types.Value) (types.Value, error) {
			f := floatValue(a[0])
			switch {
			case math.IsInf(f, 1):
				return types.TimestampValue(types.InfiniteTimestamp), nil
			case math.IsInf(f, -1):
				return types.TimestampValue(types.MinusInfiniteTimestamp), nil
			case math.IsNaN(f) || math.Abs(f) > 9.3e12:
				return types.Value{}, sqlerr.New("22008", "timestamp out of range: \"%g\"", f)
			}
			return inRange(int64(math.RoundToEven(f*1e6)) - types.UnixEpoch)
		})
		pure("bop_isfinite", 1, func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[0])
			return types.BoolValue(!isInfinite(at)), err
		})
		pure("bop_extract_date", 2, func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[1])
			if err != nil {
				return types.Value{}, err
			}
			return pgExtract(pgStr(a[0]), at, types.Date, nil)
		})
		pure("bop_extract_ts", 2, func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[1])
			if err != nil {
				return types.Value{}, err
			}
			return pgExtract(pgStr(a[0]), at, types.Timestamp, nil)
		})
		impure("bop_extract_tstz", 2, func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[1])
			if err != nil {
				return types.Value{}, err
			}
			return pgExtract(pgStr(a[0]), at, types.TimestampTZ, env.location())
		})
		pure("bop_extract_time", 2, func(a []types.Value) (types.Value, error) {
			us, ok := types.ParseStoredTime(a[1].B)
			if !ok {
				return types.Value{}, badStored(types.T(types.Time), a[1].B)
			}
			return pgExtractTime(pgStr(a[0]), us, 0, "time without time zone")
		})
		pure("bop_extract_timetz", 2, func(a []types.Value) (types.Value, error) {
			us, off, ok := types.ParseStoredTimeTZ(a[1].B)
			if !ok {
				return types.Value{}, badStored(types.T(types.TimeTZ), a[1].B)
			}
			return pgExtractTime(pgStr(a[0]), us, off, "time with time zone")
		})
		pure("bop_extract_iv", 2, func(a []types.Value) (types.Value, error) {
			s, err := storedSpan(a[1])
			if err != nil {
				return types.Value{}, err
			}
			return pgExtractSpan(pgStr(a[0]), s)
		})
	})
}

// pgUnits are the names of units, by the first they are known under.
var pgUnits = func() map[string]string {
	m := map[string]string{}
	for _, names := range []string{
		"microseconds us usec usecs usecond useconds microsecon", "milliseconds ms msec msecs mseconds millisecon", "second s sec secs seconds",
		"minute m min mins minutes", "hour h hr hrs hours", "day d days", "week w weeks", "month mon mons months", "quarter qtr",
		"year y yr yrs years", "decade dec decs decades", "century c cent centuries", "millennium mil mils millennia",
		"dow", "doy", "isodow", "isoyear", "epoch", "julian", "timezone", "timezone_hour timezone_h", "timezone_minute timezone_m",
	} {
		all := strings.Fields(names)
		for _, n := range all {
			m[n] = all[0]
		}
	}
	return m
}()

func pgUnit(name, of string) (string, error) {
	u, ok := pgUnits[strings.ToLower(name)]
	if !ok {
		return "", sqlerr.New("22023", "unit \"%s\" not recognized for type %s", name, of)
	}
	return u, nil
}

func pgNoUnit(name, of string) error {
	return sqlerr.New("0A000", "unit \"%s\" not supported for type %s", name, of)
}

// pgClock is a timestamp's parts.
type pgClock struct {
	year, month, day         int // year 0 is 1 BC
	hour, minute, second, us int
	days                     int // since 2000-01-01
	micros                   int64
}

func pgClockOf(ts int64) pgClock {
	days, us := types.SplitTimestamp(ts)
	c := pgClock{days: int(days), micros: us}
	c.year, c.month, c.day = types.CivilFromDays(c.days)
	c.hour, us = int(us/types.MicrosPerHour), us%types.MicrosPerHour
	c.minute, us = int(us/types.MicrosPerMinute), us%types.MicrosPerMinute
	c.second, c.us = int(us/types.MicrosPerSecond), int(us%types.MicrosPerSecond)
	return c
}

// isoWeek returns the ISO year and week.
func (c pgClock) isoWeek() (year, week int) {
	// The week's Thursday decides its year.
	thursday := c.days - (types.Weekday(c.days)+6)%7 + 3
	year, _, _ = types.CivilFromDays(thursday)
	return year, (thursday-types.DaysFromCivil(year, 1, 1))/7 + 1
}

func (c pgClock) doy() int { return c.days - types.DaysFromCivil(c.year, 1, 1) + 1 }

// pgYear is the year as it is said: there is no year 0.
func pgYear(y int) int {
	if y <= 0 {
		return y - 1
	}
	return y
}

func pgCentury(y int) int {
	if y > 0 {
		return (y + 99) / 100
	}
	return -((99 - (y - 1)) / 100)
}

func pgMillennium(y int) int {
	if y > 0 {
		return (y + 999) / 1000
	}
	return -((999 - (y - 1)) / 1000)
}

func pgDecade(y int) int {
	if y >= 0 {
		return y / 10
	}
	return -((8 - (y - 1)) / 10)
}

// pgTruncate cuts a timestamp to a unit.
func pgTruncate(name string, ts int64, of string) (int64, error) {
	u, err := pgUnit(name, of)
	if err != nil {
		return 0, err
	}
	if isInfinite(ts) {
		return ts, nil
	}
	c := pgClockOf(ts)
	floor := func(by int64) int64 { return ts - c.micros%by }
	day := func(y, m, d int) int64 { return int64(types.DaysFromCivil(y, m, d)) * types.MicrosPerDay }
	switch u {
	case "microseconds":
		return ts, nil
	case "milliseconds":
		return floor(1000), nil
	case "second":
		return floor(types.MicrosPerSecond), nil
	case "minute":
		return floor(types.MicrosPerMinute), nil
	case "hour":
		return floor(types.MicrosPerHour), nil
	case "day":
		return floor(types.MicrosPerDay), nil
	case "week":
		return int64(c.days-(types.Weekday(c.days)+6)%7) * types.MicrosPerDay, nil
	case "month":
		return day(c.year, c.month, 1), nil
	case "quarter":
		return day(c.year, (c.month-1)/3*3+1, 1), nil
	case "year":
		return day(c.year, 1, 1), nil
	case "decade":
		y := c.year
		if y > 0 {
			y = y / 10 * 10
		} else {
			y = -((8 - (y - 1)) / 10) * 10
		}
		return day(y, 1, 1), nil
	case "century":
		y := c.year
		if y > 0 {
			y = (y+99)/100*100 - 99
		} else {
			y = -((99-(y-1))/100)*100 + 1
		}
		return day(y, 1, 1), nil
	case "millennium":
		y := c.year
		if y > 0 {
			y = (y+999)/1000*1000 - 999
		} else {
			y = -((999-(y-1))/1000)*1000 + 1
		}
		return day(y, 1, 1), nil
	}
	return 0, pgNoUnit(name, of)
}

func pgTruncateSpan(name string, s types.Span) (types.Value, error) {
	const of = "interval"
	u, err := pgUnit(name, of)
	if err != nil {
		return types.Value{}, err
	}
	months := func(n int32) { s.Months, s.Days, s.Micros = s.Months/n*n, 0, 0 }
	micros := func(n int64) { s.Micros = s.Micros / n * n }
	switch u {
	case "microseconds":
	case "milliseconds":
		micros(1000)
	case "second":
		micros(types.MicrosPerSecond)
	case "minute":
		micros(types.MicrosPerMinute)
	case "hour":
		micros(types.MicrosPerHour)
	case "day":
		s.Micros = 0
	case "month":
		months(1)
	case "quarter":
		months(3)
	case "year":
		months(12)
	case "decade":
		months(120)
	case "century":
		months(1200)
	case "millennium":
		months(12000)
	default:
		e := sqlerr.New("0A000", "unit \"%s\" not supported for type %s", name, of)
		if u == "week" {
			e.Detail = "Months usually have fractional weeks."
		}
		return types.Value{}, e
	}
	return types.SpanValue(s), nil
}

// pgAge is the difference in years, months, days and time of day; loc: of instants, on that clock.
func pgAge(a []types.Value, loc *time.Location) (types.Value, error) {
	x, err := storedTimestamp(a[0])
	if err != nil {
		return types.Value{}, err
	}
	y, err := storedTimestamp(a[1])
	if err != nil {
		return types.Value{}, err
	}
	if isInfinite(x) || isInfinite(y) {
		return types.Value{}, sqlerr.New("22008", "interval out of range")
	}
	negative := x < y
	if loc != nil {
		x, _, _ = types.LocalTimestamp(x, loc)
		y, _, _ = types.LocalTimestamp(y, loc)
	}
	if negative {
		x, y = y, x
	}
	p, q := pgClockOf(x), pgClockOf(y)
	us := p.micros - q.micros
	days, months, years := p.day-q.day, p.month-q.month, p.year-q.year
	for us < 0 {
		us += types.MicrosPerDay
		days--
	}
	for days < 0 {
		// The borrowed month is the earlier date's for a positive age, the later one's for a negative.
		if negative {
			days += types.DaysIn(p.year, p.month)
		} else {
			days += types.DaysIn(q.year, q.month)
		}
		months--
	}
	for months < 0 {
		months += 12
		years--
	}
	s := types.Span{Months: int32(years*12 + months), Days: int32(days), Micros: us}
	if negative {
		s = s.Neg()
	}
	return types.SpanValue(s), nil
}

func pgMakeDate(a []types.Value) (int, error) {
	y, m, d := a[0].I, a[1].I, a[2].I
	bad := func() error {
		return sqlerr.New("22008", "date field value out of range: %d-%02d-%02d", y, m, d)
	}
	year := y
	if y < 0 {
		year++ // -1 is 1 BC
	}
	if y == 0 || y < -4800 || y > 6000000 || m < 1 || m > 12 || d < 1 || d > int64(types.DaysIn(int(year), int(m))) {
		return 0, bad()
	}
	days := types.DaysFromCivil(int(year), int(m), int(d))
	if !types.DateInRange(days) {
		return 0, sqlerr.New("22008", "date out of range: %d-%02d-%02d", y, m, d)
	}
	return days, nil
}

func pgMakeTime(a []types.Value) (int64, error) {
	h, m, s := a[0].I, a[1].I, floatValue(a[2])
	if h < 0 || m < 0 || m > 59 || !(s >= 0 && s <= 60) || h > 24 || h == 24 && (m > 0 || s > 0) {
		return 0, sqlerr.New("22008", "time field value out of range: %d:%02d:%02g", h, m, s)
	}
	us := h*types.MicrosPerHour + m*types.MicrosPerMinute + int64(math.RoundToEven(s*1e6))
	if us > types.MicrosPerDay {
		return 0, sqlerr.New("22008", "time field value out of range: %d:%02d:%02g", h, m, s)
	}
	return us, nil
}

func pgMakeTimestamp(a []types.Value) (types.Value, error) {
	d, err := pgMakeDate(a)
	if err != nil {
		return types.Value{}, err
	}
	us, err := pgMakeTime(a[3:])
	if err != nil {
		return types.Value{}, err
	}
	return inRange(int64(d)*types.MicrosPerDay + us)
}

// pgJustify turns 24 hours into days (2), 30 days into months (1), or both with equal signs (3).
func pgJustify(s types.Span, what int64) (types.Value, error) {
	months, days, us := int64(s.Months), int64(s.Days), s.Micros
	if what&2 != 0 {
		days += us / types.MicrosPerDay
		us %= types.MicrosPerDay
	}
	if what&1 != 0 {
		months += days / 30
		days %= 30
	}
	if what&1 != 0 { // signs agree
		switch {
		case months > 0 && (days < 0 || days == 0 && us < 0 && what == 3):
			days += 30
			months--
		case months < 0 && (days > 0 || days == 0 && us > 0 && what == 3):
			days -= 30
			months++
		}
	}
	if what&2 != 0 {
		switch {
		case days > 0 && us < 0:
			us += types.MicrosPerDay
			days--
		case days < 0 && us > 0:
			us -= types.MicrosPerDay
			days++
		}
	}
	if months != int64(int32(months)) || days != int64(int32(days)) {
		return types.Value{}, errSpanRange()
	}
	return types.SpanValue(types.Span{Months: int32(months), Days: int32(days), Micros: us}), nil
}

func pgDateBin(a []types.Value) (types.Value, error) {
	step, err := storedSpan(a[0])
	if err != nil {
		return types.Value{}, err
	}
	at, err := storedTimestamp(a[1])
	if err != nil {
		return types.Value{}, err
	}
	origin, err := storedTimestamp(a[2])
	if err != nil {
		return types.Value{}, err
	}
	if isInfinite(at) {
		return a[1], nil
	}
	if isInfinite(origin) {
		return types.Value{}, sqlerr.New("22008", "origin out of range")
	}
	if step.Months != 0 {
		return types.Value{}, sqlerr.New("0A000", "timestamps cannot be binned into intervals containing months or years")
	}
	width := int64(step.Days)*types.MicrosPerDay + step.Micros
	if width <= 0 {
		return types.Value{}, sqlerr.New("22008", "stride must be greater than zero")
	}
	diff := at - origin
	bin := diff - diff%width
	if diff%width < 0 {
		bin -= width
	}
	return inRange(origin + bin)
}

// pgFixed is a whole number of some unit as numeric with that many digits after the point.
func pgFixed(v int64, scale int32) types.Value {
	return types.DecimalValue(types.NewDecimal(v, scale))
}

func pgWhole(v int) types.Value { return pgFixed(int64(v), 0) }

// pgExtract is EXTRACT of a date, timestamp or instant (on the clock of loc).
func pgExtract(name string, ts int64, k types.Kind, loc *time.Location) (types.Value, error) {
	of := types.T(k).PGName()
	u, err := pgUnit(name, of)
	if err != nil {
		return types.Value{}, err
	}
	if isInfinite(ts) {
		switch u {
		case "year", "decade", "century", "millennium", "julian", "isoyear", "epoch":
			if ts > 0 {
				return types.DecimalValue(types.Infinity), nil
			}
			return types.DecimalValue(types.NegativeInfinity), nil
		}
		return types.Value{}, nil
	}
	local, offset := ts, 0
	if loc != nil {
		local, offset, _ = types.LocalTimestamp(ts, loc)
	}
	c := pgClockOf(local)
	if k == types.Date {
		switch u {
		case "microseconds", "milliseconds", "second", "minute", "hour", "timezone", "timezone_hour", "timezone_minute":
			return types.Value{}, pgNoUnit(name, of)
		}
	}
	switch u {
	case "microseconds":
		return pgFixed(int64(c.second)*types.MicrosPerSecond+int64(c.us), 0), nil
	case "milliseconds":
		return pgFixed(int64(c.second)*types.MicrosPerSecond+int64(c.us), 3), nil
	case "second":
		return pgFixed(int64(c.second)*types.MicrosPerSecond+int64(c.us), 6), nil
	case "minute":
		return pgWhole(c.minute), nil
	case "hour":
		return pgWhole(c.hour), nil
	case "day":
		return pgWhole(c.day), nil
	case "month":
		return pgWhole(c.month), nil
	case "quarter":
		return pgWhole((c.month-1)/3 + 1), nil
	case "week":
		_, w := c.isoWeek()
		return pgWhole(w), nil
	case "year":
		return pgWhole(pgYear(c.year)), nil
	case "decade":
		return pgWhole(pgDecade(c.year)), nil
	case "century":
		return pgWhole(pgCentury(c.year)), nil
	case "millennium":
		return pgWhole(pgMillennium(c.year)), nil
	case "dow":
		return pgWhole(types.Weekday(c.days)), nil
	case "isodow":
		return pgWhole((types.Weekday(c.days)+6)%7 + 1), nil
	case "doy":
		return pgWhole(c.doy()), nil
	case "isoyear":
		y, _ := c.isoWeek()
		return pgWhole(pgYear(y)), nil
	case "julian":
		day := int64(c.days) + 2451545
		if k == types.Date {
			return pgFixed(day, 0), nil
		}
		part, err := types.DecimalFromInt(c.micros).Div(types.DecimalFromInt(types.MicrosPerDay))
		if err != nil {
			return types.Value{}, arithmeticError(err)
		}
		return types.DecimalValue(types.DecimalFromInt(day).Add(part)), nil
	case "epoch":
		if k == types.Date {
			return pgFixed((ts+types.UnixEpoch)/types.MicrosPerSecond, 0), nil
		}
		return types.DecimalValue(types.NewDecimal(ts, 6).Add(types.NewDecimal(types.UnixEpoch, 6))), nil
	}
	if loc != nil {
		switch u {
		case "timezone":
			return pgWhole(offset), nil
		case "timezone_hour":
			return pgWhole(offset / 3600), nil
		case "timezone_minute":
			return pgWhole(offset % 3600 / 60), nil
		}
	}
	return types.Value{}, pgNoUnit(name, of)
}

func pgExtractTime(name string, us int64, offset int, of string) (types.Value, error) {
	u, err := pgUnit(name, of)
	if err != nil {
		return types.Value{}, err
	}
	switch u {
	case "microseconds":
		return pgFixed(us%types.MicrosPerMinute, 0), nil
	case "milliseconds":
		return pgFixed(us%types.MicrosPerMinute, 3), nil
	case "second":
		return pgFixed(us%types.MicrosPerMinute, 6), nil
	case "minute":
		return pgWhole(int(us / types.MicrosPerMinute % 60)), nil
	case "hour":
		return pgWhole(int(us / types.MicrosPerHour)), nil
	case "epoch":
		return pgFixed(us-int64(offset)*types.MicrosPerSecond, 6), nil
	}
	if strings.HasPrefix(of, "time with ") {
		switch u {
		case "timezone":
			return pgWhole(offset), nil
		case "timezone_hour":
			return pgWhole(offset / 3600), nil
		case "timezone_minute":
			return pgWhole(offset % 3600 / 60), nil
		}
	}
	return types.Value{}, pgNoUnit(name, of)
}

func pgExtractSpan(name string, s types.Span) (types.Value, error) {
	const of = "interval"
	u, err := pgUnit(name, of)
	if err != nil {
		return types.Value{}, err
	}
	years := int(s.Months / 12)
	switch u {
	case "microseconds":
		return pgFixed(s.Micros%types.MicrosPerMinute, 0), nil
	case "milliseconds":
		return pgFixed(s.Micros%types.MicrosPerMinute, 3), nil
	case "second":
		return pgFixed(s.Micros%types.MicrosPerMinute, 6), nil
	case "minute":
		return pgWhole(int(s.Micros / types.MicrosPerMinute % 60)), nil
	case "hour":
		return pgWhole(int(s.Micros / types.MicrosPerHour)), nil
	case "day":
		return pgWhole(int(s.Days)), nil
	case "month":
		return pgWhole(int(s.Months % 12)), nil
	case "quarter":
		return pgWhole(int(s.Months%12)/3 + 1), nil
	case "year":
		return pgWhole(years), nil
	case "decade":
		return pgWhole(years / 10), nil
	case "century":
		return pgWhole(years / 100), nil
	case "millennium":
		return pgWhole(years / 1000), nil
	case "epoch":
		// A year counts 365.25 days, a month of the rest 30.
		days := types.NewDecimal(int64(years)*36525, 2).Add(types.DecimalFromInt(int64(s.Months%12)*30 + int64(s.Days)))
		secs := days.Mul(types.DecimalFromInt(86400)).Add(types.NewDecimal(s.Micros, 6))
		return types.DecimalValue(secs.Round(6)), nil
	}
	return types.Value{}, pgNoUnit(name, of)
}
