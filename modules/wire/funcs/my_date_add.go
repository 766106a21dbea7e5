package funcs

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/types"
)

func clampTime(us int64) types.Value {
	return types.TimeValue(min(max(us, -types.MaxMySQLTime), types.MaxMySQLTime))
}

// anyTime reads a time or a datetime as microseconds.
func anyTime(b []byte) (us int64, isDate, ok bool) {
	if m, ok := types.ParseMySQLDateTime(b); ok && m.HasTime && m.Whole() && len(b) > 10 {
		return m.Timestamp(), true, true
	}
	us, _, ok = types.ParseMySQLTime(b)
	return us, false, ok
}

func addTime(a, b types.Value, sign int64) (types.Value, error) {
	m, ok := stamp(a)
	us, ok2 := types.ParseStoredTime(b.B)
	if !ok || !ok2 || !m.Whole() {
		return null, nil
	}
	return myStamp(m.Timestamp() + sign*us), nil
}

// myStamp is a DATETIME, NULL outside of the years that MySQL has.
func myStamp(ts int64) types.Value {
	if ts < minMyStamp || ts > maxMyStamp {
		return null
	}
	return types.TimestampValue(ts)
}

var (
	minMyStamp = int64(types.DaysFromCivil(0, 1, 1)) * types.MicrosPerDay
	maxMyStamp = int64(types.DaysFromCivil(10000, 1, 1))*types.MicrosPerDay - 1
)

func timeSum(a []types.Value, sign int64) (types.Value, error) {
	x, ok1 := types.ParseStoredTime(a[0].B)
	y, ok2 := types.ParseStoredTime(a[1].B)
	if !ok1 || !ok2 {
		return null, nil
	}
	return clampTime(x + sign*y), nil
}

func textTimeSum(a []types.Value, sign int64) (types.Value, error) {
	x, isDate, ok := anyTime(a[0].B)
	y, ok2 := types.ParseStoredTime(a[1].B)
	if !ok || !ok2 {
		return null, nil
	}
	if isDate {
		return shorten(myStamp(x + sign*y)), nil
	}
	return clampTime(x + sign*y), nil
}

// shorten drops a fraction of zeros from a stored timestamp that is shown as text.
func shorten(v types.Value) types.Value {
	if v.IsNull() {
		return v
	}
	return textValue([]byte(strings.TrimSuffix(string(v.B), ".000000")))
}

// intervalParts are the units of INTERVAL with several parts, largest first.
var intervalParts = map[string][]string{
	"YEAR_MONTH":         {"YEAR", "MONTH"},
	"DAY_HOUR":           {"DAY", "HOUR"},
	"DAY_MINUTE":         {"DAY", "HOUR", "MINUTE"},
	"DAY_SECOND":         {"DAY", "HOUR", "MINUTE", "SECOND"},
	"DAY_MICROSECOND":    {"DAY", "HOUR", "MINUTE", "SECOND", "MICROSECOND"},
	"HOUR_MINUTE":        {"HOUR", "MINUTE"},
	"HOUR_SECOND":        {"HOUR", "MINUTE", "SECOND"},
	"HOUR_MICROSECOND":   {"HOUR", "MINUTE", "SECOND", "MICROSECOND"},
	"MINUTE_SECOND":      {"MINUTE", "SECOND"},
	"MINUTE_MICROSECOND": {"MINUTE", "SECOND", "MICROSECOND"},
	"SECOND_MICROSECOND": {"SECOND", "MICROSECOND"},
}

// mySpan reads the amount of an INTERVAL n UNIT. small: it counts less than a day.
func mySpan(amount []byte, unit string) (months, days, us int64, small, ok bool) {
	unit = strings.TrimPrefix(unit, "SQL_TSI_")
	parts, several := intervalParts[unit]
	if !several {
		d, _ := types.MySQLDecimal(amount)
		if unit == "SECOND" {
			us, ok = d.Mul(types.DecimalFromInt(types.MicrosPerSecond)).Int64()
			return 0, 0, us, true, ok
		}
		n, fits := d.Int64()
		if !fits || n > 1e15 || n < -1e15 {
			return 0, 0, 0, false, false
		}
		months, days, us, small, ok = unitSpan(unit, n)
		return months, days, us, small, ok
	}
	// The numbers in the text, aligned to the right of the unit's parts.
	var nums []int64
	neg := false
	for i := 0; i < len(amount); {
		c := amount[i]
		if c == '-' && len(nums) == 0 {
			neg = true
		}
		if c < '0' || c > '9' {
			i++
			continue
		}
		start := i
		for i < len(amount) && amount[i] >= '0' && amount[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(string(amount[start:min(i, start+15)]), 10, 64)
		if err != nil {
			return 0, 0, 0, false, false
		}
		if parts[len(parts)-1] == "MICROSECOND" && len(nums) == len(parts)-1 {
			for range 6 - (i - start) {
				n *= 10
			}
		}
		nums = append(nums, n)
	}
	if len(nums) > len(parts) {
		return 0, 0, 0, false, false
	}
	for i, n := range nums {
		if neg {
			n = -n
		}
		m, d, u, s, fine := unitSpan(parts[len(parts)-len(nums)+i], n)
		if !fine {
			return 0, 0, 0, false, false
		}
		months, days, us = months+m, days+d, us+u
		small = small || s
	}
	return months, days, us, small || parts[len(parts)-1] != "MONTH", true
}

func unitSpan(unit string, n int64) (months, days, us int64, small, ok bool) {
	switch unit {
	case "YEAR":
		return 12 * n, 0, 0, false, true
	case "QUARTER":
		return 3 * n, 0, 0, false, true
	case "MONTH":
		return n, 0, 0, false, true
	case "WEEK":
		return 0, 7 * n, 0, false, true
	case "DAY":
		return 0, n, 0, false, true
	}
	mult := map[string]int64{
		"HOUR": types.MicrosPerHour, "MINUTE": types.MicrosPerMinute, "SECOND": types.MicrosPerSecond, "MICROSECOND": 1, "FRAC_SECOND": 1,
	}[unit]
	if mult == 0 || n > 1<<62/mult || n < -(1<<62)/mult {
		return 0, 0, 0, true, false
	}
	return 0, 0, n * mult, true, true
}

// dateAddUnit is DATE_ADD: of a date it stays a date unless the unit is shorter than a day; of text the result is text.
func dateAddUnit(v, amount types.Value, unit string, sign int64) (types.Value, error) {
	if amount.Class == types.Int || amount.Class == types.Float {
		amount.B = types.AppendMySQLText(nil, types.T(types.Unknown), amount, nil)
	}
	months, days, us, small, ok := mySpan(amount.B, unit)
	if !ok {
		return null, nil
	}
	months, days, us = sign*months, sign*days, sign*us
	if len(v.B) > 2 && (v.B[2] == ':' || v.B[0] == '-' || len(v.B) > 3 && v.B[3] == ':') {
		t, _, ok := types.ParseMySQLTime(v.B)
		if !ok || months != 0 {
			return null, nil
		}
		return clampTime(t + days*types.MicrosPerDay + us), nil
	}
	m, ok := stamp(v)
	if !ok || !m.Whole() {
		return null, nil
	}
	months += int64(m.Year)*12 + int64(m.Month-1)
	y := months / 12
	if months < 0 || y > 9999 {
		return null, nil
	}
	mo := int(months%12) + 1
	d := min(m.Day, types.DaysIn(int(y), mo))
	if days > 4e6 || days < -4e6 {
		return null, nil
	}
	ts := (int64(types.DaysFromCivil(int(y), mo, d))+days)*types.MicrosPerDay + m.Micros
	if us > 0 && ts > maxMyStamp-us || us < 0 && ts < minMyStamp-us {
		return null, nil
	}
	ts += us
	if ts < minMyStamp || ts > maxMyStamp {
		return null, nil
	}
	if !m.HasTime && !small {
		return types.DateValue(timestampToDate(ts)), nil
	}
	if len(v.B) == 26 && m.HasTime {
		return types.TimestampValue(ts), nil
	}
	return shorten(types.TimestampValue(ts)), nil
}

// unitsBetween is TIMESTAMPDIFF: whole units from x to y.
func unitsBetween(unit string, x, y types.MyTime) (types.Value, error) {
	unit = strings.TrimPrefix(unit, "SQL_TSI_")
	us := y.Timestamp() - x.Timestamp()
	switch unit {
	case "YEAR", "QUARTER", "MONTH":
		neg := us < 0
		if neg {
			x, y = y, x
		}
		n := int64(y.Year-x.Year)*12 + int64(y.Month-x.Month)
		if y.Day < x.Day || y.Day == x.Day && y.Micros < x.Micros {
			n--
		}
		n /= map[string]int64{"YEAR": 12, "QUARTER": 3, "MONTH": 1}[unit]
		if neg {
			n = -n
		}
		return types.IntValue(n), nil
	case "WEEK":
		return types.IntValue(us / (7 * types.MicrosPerDay)), nil
	case "DAY":
		return types.IntValue(us / types.MicrosPerDay), nil
	}
	_, _, mult, _, ok := unitSpan(unit, 1)
	if !ok {
		return null, nil
	}
	return types.IntValue(us / mult), nil
}
