package funcs

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

// stampOf returns DATETIME with as many digits of a second as its time arguments have; without a number of digits the
// value itself shows them.
func stampOf(ts []types.Type) types.Type {
	t := types.Type{Kind: types.Timestamp, Len: 1}
	for _, a := range ts {
		if !a.IsTime() || a.Kind == types.Date {
			continue
		}
		if a.Len == 0 {
			return types.T(types.Timestamp)
		}
		t.Len = max(t.Len, a.Len)
	}
	return t
}

func timeOfType(ts []types.Type) types.Type {
	t := stampOf(ts)
	t.Kind = types.Time
	return t
}

// fixed returns a time type without a fraction, or with the one that an argument asks for.
func fixed(k types.Kind) func([]types.Type) types.Type {
	return func(ts []types.Type) types.Type {
		if len(ts) > 0 {
			return types.T(k)
		}
		return types.Type{Kind: k, Len: 1}
	}
}

// secondsOf returns a time type with the digits of a number of seconds.
func secondsOf(k types.Kind, seconds types.Type) types.Type {
	if seconds.Kind == types.Numeric && seconds.Len <= 0 {
		return types.T(k)
	}
	return types.Type{Kind: k, Len: min(max(asDecimal(seconds).Scale, 0), 6) + 1}
}

// localNow is the session's clock at the start of the statement, cut to digits of a second.
func localNow(e *Env, a []types.Value) int64 {
	ts, _, _ := types.LocalTimestamp(types.TimestampOf(e.statementNow()), e.location())
	return cutMicros(ts, a)
}

func cutMicros(ts int64, a []types.Value) int64 {
	digits := int64(0)
	if len(a) > 0 && a[0].Class == types.Int {
		digits = min(max(a[0].I, 0), 6)
	}
	unit := int64(1)
	for range 6 - digits {
		unit *= 10
	}
	return ts - mod(ts, unit)
}

func mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

// stamp reads a stored DATETIME argument; ok is false for what isn't one.
func stamp(v types.Value) (types.MyTime, bool) { return types.ParseMySQLDateTime(v.B) }

func init() {
	alias := func(name string, f myFunc) myFunc { f.as = "my_" + f.name; f.name = name; return f }
	now := myFunc{name: "now", args: kinds(tInt), optional: 1, result: tStamp, resultOf: fixed(tStamp), session: true,
		call: func(e *Env, a []types.Value) (types.Value, error) { return types.TimestampValue(localNow(e, a)), nil }}
	curdate := myFunc{name: "curdate", result: tDate, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
		return types.DateValue(timestampToDate(localNow(e, nil))), nil
	}}
	curtime := myFunc{name: "curtime", args: kinds(tInt), optional: 1, result: tTime, resultOf: fixed(tTime), session: true,
		call: func(e *Env, a []types.Value) (types.Value, error) {
			_, us := types.SplitTimestamp(localNow(e, a))
			return types.TimeValue(us), nil
		}}
	day := part("dayofmonth", false, func(m types.MyTime) int64 { return int64(m.Day) })
	implementMy(
		now, alias("current_timestamp", now), alias("localtime", now), alias("localtimestamp", now),
		curdate, alias("current_date", curdate), curtime, alias("current_time", curtime),
		myFunc{name: "sysdate", args: kinds(tInt), optional: 1, result: tStamp, resultOf: fixed(tStamp), effect: true,
			call: func(e *Env, a []types.Value) (types.Value, error) {
				ts, _, _ := types.LocalTimestamp(types.TimestampOf(clockNow()), e.location())
				return types.TimestampValue(cutMicros(ts, a)), nil
			}},
		myFunc{name: "utc_timestamp", args: kinds(tInt), optional: 1, result: tStamp, resultOf: fixed(tStamp), session: true,
			call: func(e *Env, a []types.Value) (types.Value, error) {
				return types.TimestampValue(cutMicros(types.TimestampOf(e.statementNow()), a)), nil
			}},
		myFunc{name: "utc_date", result: tDate, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			return types.DateValue(timestampToDate(types.TimestampOf(e.statementNow()))), nil
		}},
		myFunc{name: "utc_time", args: kinds(tInt), optional: 1, result: tTime, resultOf: fixed(tTime), session: true,
			call: func(e *Env, a []types.Value) (types.Value, error) {
				_, us := types.SplitTimestamp(cutMicros(types.TimestampOf(e.statementNow()), a))
				return types.TimeValue(us), nil
			}},

		part("year", false, func(m types.MyTime) int64 { return int64(m.Year) }),
		part("month", false, func(m types.MyTime) int64 { return int64(m.Month) }),
		day, alias("day", day),
		part("quarter", false, func(m types.MyTime) int64 { return int64(m.Month+2) / 3 }),
		part("dayofweek", true, func(m types.MyTime) int64 { return int64(types.Weekday(m.Days())) + 1 }),
		part("weekday", true, func(m types.MyTime) int64 { return int64(types.Weekday(m.Days())+6) % 7 }),
		part("dayofyear", true, func(m types.MyTime) int64 { return int64(m.Days()-types.DaysFromCivil(m.Year, 1, 1)) + 1 }),
		part("weekofyear", true, func(m types.MyTime) int64 { _, w := week(m, 3); return int64(w) }),
		part("to_days", true, func(m types.MyTime) int64 { return int64(m.Days() + daysToZero) }),
		part("to_seconds", true, func(m types.MyTime) int64 {
			return int64(m.Days()+daysToZero)*86400 + m.Micros/types.MicrosPerSecond
		}),
		clockPart("hour", func(us int64) int64 { return us / types.MicrosPerHour }),
		clockPart("minute", func(us int64) int64 { return us / types.MicrosPerMinute % 60 }),
		clockPart("second", func(us int64) int64 { return us / types.MicrosPerSecond % 60 }),
		clockPart("microsecond", func(us int64) int64 { return us % types.MicrosPerSecond }),
		myFunc{name: "time_to_sec", args: kinds(tTime), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			us, ok := types.ParseStoredTime(a[0].B)
			if !ok {
				return null, nil
			}
			return types.IntValue(us / types.MicrosPerSecond), nil
		}},
		myFunc{name: "week", args: kinds(tStamp, tInt), optional: 1, result: tInt, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok || !m.Whole() {
				return null, nil
			}
			_, w := week(m, weekMode(e, a))
			return types.IntValue(int64(w)), nil
		}},
		myFunc{name: "yearweek", args: kinds(tStamp, tInt), optional: 1, result: tInt, call: func(e *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok || !m.Whole() {
				return null, nil
			}
			mode := int64(0)
			if len(a) > 1 {
				mode = a[1].I
			}
			y, w := week(m, mode&7|2)
			return types.IntValue(int64(y*100 + w)), nil
		}},
		myFunc{name: "monthname", args: kinds(tStamp), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok || m.Month == 0 {
				return null, nil
			}
			return types.StringValue(monthNames[m.Month-1]), nil
		}},
		myFunc{name: "dayname", args: kinds(tStamp), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok || !m.Whole() {
				return null, nil
			}
			return types.StringValue(dayNames[types.Weekday(m.Days())]), nil
		}},
		myFunc{name: "date", args: kinds(tStamp), result: tDate, call: func(_ *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok {
				return null, nil
			}
			return textValue(m.AppendDate(nil)), nil
		}},
		myFunc{name: "time", args: kinds(tTime), result: tTime, resultOf: timeOfType, sql: "$1"},
		myFunc{name: "timestamp", args: kinds(tStamp, tTime), optional: 1, result: tStamp, resultOf: stampOf, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if len(a) == 1 {
				return a[0], nil
			}
			return addTime(a[0], a[1], 1)
		}},
		myFunc{name: "last_day", args: kinds(tStamp), result: tDate, call: func(_ *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok || m.Month == 0 {
				return null, nil
			}
			m.Day = types.DaysIn(m.Year, m.Month)
			return textValue(m.AppendDate(nil)), nil
		}},
		myFunc{name: "makedate", args: kinds(tInt, tInt), result: tDate, call: func(_ *Env, a []types.Value) (types.Value, error) {
			y, d := a[0].I, a[1].I
			if y < 0 || y > 9999 || d < 1 || d > 4e6 {
				return null, nil
			}
			if y < 70 {
				y += 2000
			} else if y < 100 {
				y += 1900
			}
			days := types.DaysFromCivil(int(y), 1, 1) + int(d) - 1
			if yy, _, _ := types.CivilFromDays(days); yy > 9999 {
				return null, nil
			}
			return types.DateValue(int32(days)), nil
		}},
		myFunc{name: "maketime", args: kinds(tInt, tInt, tDec), result: tTime, resultOf: func(ts []types.Type) types.Type {
			return secondsOf(types.Time, ts[2])
		}, call: func(_ *Env, a []types.Value) (types.Value, error) {
			s, err := numberOf(a[2])
			if err != nil || a[1].I < 0 || a[1].I > 59 || s.Sign() < 0 || s.Cmp(types.DecimalFromInt(60)) >= 0 {
				return null, nil
			}
			us, _ := s.Mul(types.DecimalFromInt(types.MicrosPerSecond)).Int64()
			h := a[0].I
			neg := h < 0
			if neg {
				h = -h
			}
			us += min(max(h, 0), 839)*types.MicrosPerHour + a[1].I*types.MicrosPerMinute
			us = min(us, types.MaxMySQLTime)
			if neg {
				us = -us
			}
			return types.TimeValue(us), nil
		}},
		myFunc{name: "datediff", args: kinds(tStamp, tStamp), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			x, ok1 := stamp(a[0])
			y, ok2 := stamp(a[1])
			if !ok1 || !ok2 || !x.Whole() || !y.Whole() {
				return null, nil
			}
			return types.IntValue(int64(x.Days() - y.Days())), nil
		}},
		myFunc{name: "timediff", args: kinds(tStamp, tStamp), result: tTime, resultOf: timeOfType, as: "my_timediff_stamp", call: func(_ *Env, a []types.Value) (types.Value, error) {
			x, ok1 := stamp(a[0])
			y, ok2 := stamp(a[1])
			if !ok1 || !ok2 || !x.Whole() || !y.Whole() {
				return null, nil
			}
			return clampTime(x.Timestamp() - y.Timestamp()), nil
		}},
		myFunc{name: "timediff", args: kinds(tTime, tTime), result: tTime, resultOf: timeOfType, as: "my_timediff_time", call: func(_ *Env, a []types.Value) (types.Value, error) {
			x, ok1 := types.ParseStoredTime(a[0].B)
			y, ok2 := types.ParseStoredTime(a[1].B)
			if !ok1 || !ok2 {
				return null, nil
			}
			return clampTime(x - y), nil
		}},
		myFunc{name: "timediff", args: kinds(tText, tText), result: tTime, as: "my_timediff_text", call: func(_ *Env, a []types.Value) (types.Value, error) {
			x, isDate1, ok1 := anyTime(a[0].B)
			y, isDate2, ok2 := anyTime(a[1].B)
			if !ok1 || !ok2 || isDate1 != isDate2 {
				return null, nil
			}
			return clampTime(x - y), nil
		}},
		myFunc{name: "addtime", args: kinds(tStamp, tTime), result: tStamp, resultOf: stampOf, as: "my_addtime", call: func(_ *Env, a []types.Value) (types.Value, error) {
			return addTime(a[0], a[1], 1)
		}},
		myFunc{name: "addtime", args: kinds(tTime, tTime), result: tTime, resultOf: timeOfType, as: "my_addtime_time", call: func(_ *Env, a []types.Value) (types.Value, error) { return timeSum(a, 1) }},
		myFunc{name: "addtime", args: kinds(tText, tTime), result: tText, as: "my_addtime_text", call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textTimeSum(a, 1)
		}},
		myFunc{name: "subtime", args: kinds(tStamp, tTime), result: tStamp, resultOf: stampOf, as: "my_subtime", call: func(_ *Env, a []types.Value) (types.Value, error) {
			return addTime(a[0], a[1], -1)
		}},
		myFunc{name: "subtime", args: kinds(tTime, tTime), result: tTime, resultOf: timeOfType, as: "my_subtime_time", call: func(_ *Env, a []types.Value) (types.Value, error) { return timeSum(a, -1) }},
		myFunc{name: "subtime", args: kinds(tText, tTime), result: tText, as: "my_subtime_text", call: func(_ *Env, a []types.Value) (types.Value, error) {
			return textTimeSum(a, -1)
		}},
		myFunc{name: "from_days", args: kinds(tInt), result: tDate, call: func(_ *Env, a []types.Value) (types.Value, error) {
			if a[0].I < 366 || a[0].I > 3652424 {
				return types.StringValue("0000-00-00"), nil
			}
			return types.DateValue(int32(a[0].I - daysToZero)), nil
		}},
		myFunc{name: "sec_to_time", args: kinds(tDec), result: tTime, resultOf: func(ts []types.Type) types.Type {
			return secondsOf(types.Time, ts[0])
		}, call: func(_ *Env, a []types.Value) (types.Value, error) {
			d, err := numberOf(a[0])
			if err != nil {
				return null, nil
			}
			us, ok := d.Mul(types.DecimalFromInt(types.MicrosPerSecond)).Int64()
			if !ok {
				us = types.MaxMySQLTime
			}
			return clampTime(us), nil
		}},
		myFunc{name: "unix_timestamp", result: tInt, session: true, as: "my_unix_now", call: func(e *Env, a []types.Value) (types.Value, error) {
			return types.IntValue(e.statementNow().Unix()), nil
		}},
		myFunc{name: "unix_timestamp", args: kinds(types.TimestampTZ), result: tDec, session: true, as: "my_unix_timestamp", resultOf: func(ts []types.Type) types.Type {
			if ts[0].Len <= 1 {
				return types.T(types.Int8)
			}
			return decimalOf(11, ts[0].Len-1)
		}, call: func(e *Env, a []types.Value) (types.Value, error) {
			ts, ok := types.ParseStoredTimestamp(a[0].B)
			if !ok || isInfinite(ts) {
				return types.IntValue(0), nil
			}
			us := types.TimeOf(ts).UnixMicro()
			if us < 0 {
				return types.IntValue(0), nil
			}
			if us%types.MicrosPerSecond == 0 {
				return types.IntValue(us / types.MicrosPerSecond), nil
			}
			return types.DecimalValue(types.NewDecimal(us, 6).TrimZeros()), nil
		}},
		myFunc{name: "from_unixtime", args: kinds(tDec), result: tStamp, session: true, as: "my_from_unixtime", resultOf: func(ts []types.Type) types.Type {
			return secondsOf(types.Timestamp, ts[0])
		}, call: fromUnix},
		myFunc{name: "from_unixtime", args: kinds(tDec, tText), result: tText, session: true, as: "my_from_unixtime_format", call: func(e *Env, a []types.Value) (types.Value, error) {
			v, err := fromUnix(e, a)
			if err != nil || v.IsNull() {
				return v, err
			}
			m, ok := stamp(v)
			if !ok {
				return null, nil
			}
			return formatDate(m, a[1].B)
		}},
		myFunc{name: "convert_tz", args: kinds(tStamp, tText, tText), result: tStamp, resultOf: stampOf, session: true, call: func(e *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			from, ok1 := myZone(e, a[1].B)
			to, ok2 := myZone(e, a[2].B)
			if !ok || !ok1 || !ok2 || !m.Whole() {
				return null, nil
			}
			ts, _, _ := types.LocalTimestamp(types.InstantOf(m.Timestamp(), from), to)
			return types.TimestampValue(ts), nil
		}},
		myFunc{name: "period_add", args: kinds(tInt, tInt), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			m := periodMonths(a[0].I) + a[1].I
			return types.IntValue(m/12*100 + m%12 + 1), nil
		}},
		myFunc{name: "period_diff", args: kinds(tInt, tInt), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			return types.IntValue(periodMonths(a[0].I) - periodMonths(a[1].I)), nil
		}},
		myFunc{name: "timestampdiff", args: kinds(tText, tStamp, tStamp), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
			x, ok1 := stamp(a[1])
			y, ok2 := stamp(a[2])
			if !ok1 || !ok2 || !x.Whole() || !y.Whole() {
				return null, nil
			}
			return unitsBetween(strings.ToUpper(string(a[0].B)), x, y)
		}},
		myFunc{name: "extract", args: kinds(tText, tStamp), result: tInt, as: "my_extract", call: func(e *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[1])
			if !ok {
				return null, nil
			}
			return extractUnit(e, strings.ToUpper(string(a[0].B)), m, m.Micros)
		}},
		myFunc{name: "extract", args: kinds(tText, tTime), result: tInt, as: "my_extract_time", call: func(e *Env, a []types.Value) (types.Value, error) {
			us, ok := types.ParseStoredTime(a[1].B)
			if !ok {
				return null, nil
			}
			return extractUnit(e, strings.ToUpper(string(a[0].B)), types.MyTime{}, us)
		}},
		myFunc{name: "extract", args: kinds(tText, tText), result: tInt, as: "my_extract_text", call: func(e *Env, a []types.Value) (types.Value, error) {
			unit := strings.ToUpper(string(a[0].B))
			if m, ok := types.ParseMySQLDateTime(a[1].B); ok && (m.HasTime || !timeUnit(unit)) {
				return extractUnit(e, unit, m, m.Micros)
			}
			us, _, ok := types.ParseMySQLTime(a[1].B)
			if !ok {
				return null, nil
			}
			return extractUnit(e, unit, types.MyTime{}, us)
		}},
		myFunc{name: "date_format", args: kinds(tStamp, tText), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			m, ok := stamp(a[0])
			if !ok {
				return null, nil
			}
			return formatDate(m, a[1].B)
		}},
		myFunc{name: "time_format", args: kinds(tTime, tText), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			us, ok := types.ParseStoredTime(a[0].B)
			if !ok {
				return null, nil
			}
			return formatDate(types.MyTime{Micros: us, HasTime: true}, a[1].B)
		}},
		myFunc{name: "get_format", args: kinds(tText, tText), result: tText, call: func(_ *Env, a []types.Value) (types.Value, error) {
			f, ok := dateFormats[strings.ToUpper(string(a[0].B)+" "+string(a[1].B))]
			if !ok {
				return null, nil
			}
			return types.StringValue(f), nil
		}},
		myFunc{name: "str_to_date", args: kinds(tText, tText), result: tStamp, session: true, call: strToDate},
	)

	for _, k := range []struct {
		name string
		sign int64
	}{{"date_add", 1}, {"date_sub", -1}, {"adddate", 1}, {"subdate", -1}} {
		call := func(e *Env, a []types.Value) (types.Value, error) {
			unit := "DAY"
			if len(a) > 2 {
				unit = strings.ToUpper(string(a[2].B))
			}
			return dateAddUnit(a[0], a[1], unit, k.sign)
		}
		implementMy(
			myFunc{name: k.name, args: kinds(tDate, tText, tText), optional: 1, result: tDate, as: "my_" + k.name, call: call},
			myFunc{name: k.name, args: kinds(tStamp, tText, tText), optional: 1, result: tStamp, resultOf: stampOf, as: "my_" + k.name},
			myFunc{name: k.name, args: kinds(tTime, tText, tText), optional: 1, result: tTime, resultOf: timeOfType, as: "my_" + k.name},
			myFunc{name: k.name, args: kinds(tText, tText, tText), optional: 1, result: tText, as: "my_" + k.name},
		)
	}
	add := func(_ *Env, a []types.Value) (types.Value, error) {
		return dateAddUnit(a[2], a[1], strings.ToUpper(string(a[0].B)), 1)
	}
	implementMy(
		myFunc{name: "timestampadd", args: kinds(tText, tText, tDate), result: tDate, call: add},
		myFunc{name: "timestampadd", args: kinds(tText, tText, tStamp), result: tStamp, resultOf: stampOf},
		myFunc{name: "timestampadd", args: kinds(tText, tText, tText), result: tText},
	)
}

// daysToZero is the day number of 2000-01-01 in TO_DAYS.
const daysToZero = 730485

var monthNames = [...]string{
	"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
}

var dayNames = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

var dateFormats = map[string]string{
	"DATE USA": "%m.%d.%Y", "DATE JIS": "%Y-%m-%d", "DATE ISO": "%Y-%m-%d", "DATE EUR": "%d.%m.%Y", "DATE INTERNAL": "%Y%m%d",
	"DATETIME USA": "%Y-%m-%d %H.%i.%s", "DATETIME JIS": "%Y-%m-%d %H:%i:%s", "DATETIME ISO": "%Y-%m-%d %H:%i:%s",
	"DATETIME EUR": "%Y-%m-%d %H.%i.%s", "DATETIME INTERNAL": "%Y%m%d%H%i%s",
	"TIME USA": "%h:%i:%s %p", "TIME JIS": "%H:%i:%s", "TIME ISO": "%H:%i:%s", "TIME EUR": "%H.%i.%s", "TIME INTERNAL": "%H%i%s",
}

func fromUnix(e *Env, a []types.Value) (types.Value, error) {
	d, err := numberOf(a[0])
	if err != nil || d.Sign() < 0 {
		return null, nil
	}
	us, ok := d.Mul(types.DecimalFromInt(types.MicrosPerSecond)).Int64()
	if !ok || us >= 32536771200*types.MicrosPerSecond {
		return null, nil
	}
	ts, _, _ := types.LocalTimestamp(us-types.UnixEpoch, e.location())
	return types.TimestampValue(ts), nil
}
