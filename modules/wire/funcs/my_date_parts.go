package funcs

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

// part makes a function of a date's part; whole says that zero dates give NULL.
func part(name string, whole bool, f func(m types.MyTime) int64) myFunc {
	return myFunc{name: name, args: kinds(tStamp), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
		m, ok := stamp(a[0])
		if !ok || whole && !m.Whole() {
			return null, nil
		}
		return types.IntValue(f(m)), nil
	}}
}

// clockPart makes a function of a time's part: of TIME, or of a DATETIME's time of day.
func clockPart(name string, f func(us int64) int64) myFunc {
	return myFunc{name: name, args: kinds(tTime), result: tInt, call: func(_ *Env, a []types.Value) (types.Value, error) {
		us, ok := types.ParseStoredTime(a[0].B)
		if !ok {
			return null, nil
		}
		return types.IntValue(f(max(us, -us))), nil
	}}
}

func periodMonths(p int64) int64 {
	y, m := p/100, p%100
	if y < 70 {
		y += 2000
	} else if y < 100 {
		y += 1900
	}
	return y*12 + m - 1
}

// timeUnit reports whether all of a unit is less than a day.
func timeUnit(unit string) bool {
	for _, prefix := range [...]string{"HOUR", "MINUTE", "SECOND", "MICROSECOND"} {
		if strings.HasPrefix(unit, prefix) {
			return true
		}
	}
	return false
}

// extractUnit is EXTRACT(unit FROM x); units of several parts give one number of all their digits.
func extractUnit(e *Env, unit string, m types.MyTime, us int64) (types.Value, error) {
	neg := us < 0
	if neg {
		us = -us
	}
	h, mi, s, f := us/types.MicrosPerHour, us/types.MicrosPerMinute%60, us/types.MicrosPerSecond%60, us%types.MicrosPerSecond
	day := int64(m.Day)
	var n int64
	switch unit {
	case "YEAR":
		return types.IntValue(int64(m.Year)), nil
	case "QUARTER":
		return types.IntValue(int64(m.Month+2) / 3), nil
	case "MONTH":
		return types.IntValue(int64(m.Month)), nil
	case "WEEK":
		if !m.Whole() {
			return null, nil
		}
		_, w := week(m, weekMode(e, nil))
		return types.IntValue(int64(w)), nil
	case "DAY":
		n = day
	case "HOUR":
		n = h
	case "MINUTE":
		n = mi
	case "SECOND":
		n = s
	case "MICROSECOND":
		n = f
	case "YEAR_MONTH":
		return types.IntValue(int64(m.Year*100 + m.Month)), nil
	case "DAY_HOUR":
		n = day*100 + h
	case "DAY_MINUTE":
		n = (day*100+h)*100 + mi
	case "DAY_SECOND":
		n = ((day*100+h)*100+mi)*100 + s
	case "DAY_MICROSECOND":
		n = (((day*100+h)*100+mi)*100+s)*1000000 + f
	case "HOUR_MINUTE":
		n = h*100 + mi
	case "HOUR_SECOND":
		n = (h*100+mi)*100 + s
	case "HOUR_MICROSECOND":
		n = ((h*100+mi)*100+s)*1000000 + f
	case "MINUTE_SECOND":
		n = mi*100 + s
	case "MINUTE_MICROSECOND":
		n = (mi*100+s)*1000000 + f
	case "SECOND_MICROSECOND":
		n = s*1000000 + f
	default:
		return null, nil
	}
	if neg {
		n = -n
	}
	return types.IntValue(n), nil
}

// weekMode is WEEK's second argument, or default_week_format.
func weekMode(e *Env, a []types.Value) int64 {
	if len(a) > 1 {
		return a[1].I & 7
	}
	n, _ := strconv.ParseInt(e.setting("default_week_format"), 10, 64)
	return n & 7
}

// week returns the week of a date and the year it belongs to. mode: bit 0 weeks begin on Monday, bit 1 weeks run from 1
// (days before week 1 belong to the last year), bit 2 week 1 is the first that begins in the year, else the first with
// four or more days in it; the last is turned around for weeks that begin on Monday.
func week(m types.MyTime, mode int64) (year, w int) {
	monday := mode&1 != 0
	fromOne := mode&2 != 0
	firstWeekday := mode&4 != 0
	if !monday {
		firstWeekday = !firstWeekday
	}
	day := m.Days()
	year = m.Year
	first := types.DaysFromCivil(year, 1, 1)
	weekday := func(d int) int {
		if monday {
			return (types.Weekday(d) + 6) % 7
		}
		return types.Weekday(d)
	}
	wd := weekday(first)
	if m.Month == 1 && m.Day <= 7-wd {
		if !fromOne && (firstWeekday && wd != 0 || !firstWeekday && wd >= 4) {
			return year, 0
		}
		if fromOne && (firstWeekday && wd != 0 || !firstWeekday && wd >= 4) {
			year--
			n := types.DaysFromCivil(year+1, 1, 1) - types.DaysFromCivil(year, 1, 1)
			first -= n
			wd = (wd + 53*7 - n) % 7
		}
	}
	var days int
	if firstWeekday && wd != 0 || !firstWeekday && wd >= 4 {
		days = day - (first + 7 - wd)
	} else {
		days = day - (first - wd)
	}
	if fromOne && days >= 52*7 {
		n := types.DaysFromCivil(year+1, 1, 1) - types.DaysFromCivil(year, 1, 1)
		wd = (wd + n) % 7
		if !firstWeekday && wd < 4 || firstWeekday && wd == 0 {
			return year + 1, 1
		}
	}
	return year, days/7 + 1
}
