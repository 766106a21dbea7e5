package funcs

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// pgParsed is a text read by a template.
type pgParsed struct {
	local  int64
	zoned  bool
	offset int
}

// pgTimeInput is the state of reading a text.
type pgTimeInput struct {
	text   string // the whole, for errors
	s      string // what is left
	values map[string]int
	bc     bool
	pm     int // 1 AM, 2 PM
	clock  bool
	year   int // digits of the pattern that gave the year, 0 for none
}

func pgParseTime(text, template string) (pgParsed, error) {
	in := &pgTimeInput{text: text, s: text, values: map[string]int{}}
	nodes := pgTemplate(template, false)
	fixed := false
	for i, n := range nodes {
		if n.key == "FX" {
			fixed = true
			continue
		}
		if in.s == "" {
			break
		}
		if n.key == "" {
			in.literal(n, fixed)
			continue
		}
		if !fixed {
			in.s = strings.TrimLeft(in.s, " \t\n")
		}
		next := i+1 < len(nodes) && pgDigits[nodes[i+1].key] > 0
		if err := in.field(n, next, fixed); err != nil {
			return pgParsed{}, err
		}
		if n.th != "" && len(in.s) >= 2 && in.s[0] >= 'A' {
			in.s = in.s[2:]
		}
	}
	return in.finish()
}

// literal passes over what the template has between fields.
func (in *pgTimeInput) literal(n pgNode, fixed bool) {
	c, size := utf8.DecodeRuneInString(in.s)
	t, _ := utf8.DecodeRuneInString(n.text)
	letter := unicode.IsLetter(t) || unicode.IsDigit(t)
	switch {
	case n.quoted || letter || fixed:
		in.s = in.s[size:]
	case unicode.IsSpace(c):
		in.s = strings.TrimLeft(in.s, " \t\n")
		// A space before the separator itself.
		if c, size := utf8.DecodeRuneInString(in.s); !unicode.IsSpace(t) && c == t {
			in.s = in.s[size:]
		}
	case !unicode.IsLetter(c) && !unicode.IsDigit(c) && (c != '-' && c != '+' || c == t || !unicode.IsSpace(t)):
		in.s = in.s[size:]
	}
}

// pgDigits are the numeric patterns with their widths.
var pgDigits = map[string]int{
	"HH": 2, "HH12": 2, "HH24": 2, "MI": 2, "SS": 2, "MS": 3, "US": 6, "FF1": 1, "FF2": 2, "FF3": 3, "FF4": 4, "FF5": 5, "FF6": 6,
	"SSSS": 5, "SSSSS": 5, "Y,YYY": 5, "YYYY": 4, "YYY": 3, "YY": 2, "Y": 1, "IYYY": 4, "IYY": 3, "IY": 2, "I": 1, "MM": 2, "DD": 2,
	"DDD": 3, "IDDD": 3, "D": 1, "ID": 1, "WW": 2, "IW": 2, "W": 1, "CC": 2, "J": 7, "Q": 1, "TZM": 2,
}

func (in *pgTimeInput) bad(value, key, detail string) error {
	e := sqlerr.New("22007", "invalid value \"%s\" for \"%s\"", value, key)
	e.Detail = detail
	return e
}

const pgNoMatch = "The given value did not match any of the allowed values for this field."

func (in *pgTimeInput) field(n pgNode, digitsFollow, fixed bool) error {
	if width := pgDigits[n.key]; width > 0 && n.key != "Y,YYY" {
		return in.number(n, width, digitsFollow, fixed)
	}
	switch n.key {
	case "Y,YYY":
		digits := 0
		for digits < len(in.s) && (in.s[digits] >= '0' && in.s[digits] <= '9' || in.s[digits] == ',') {
			digits++
		}
		v, err := strconv.Atoi(strings.ReplaceAll(in.s[:digits], ",", ""))
		if err != nil {
			return sqlerr.New("22007", "invalid input string for \"Y,YYY\"")
		}
		in.s = in.s[digits:]
		in.year = 4
		return in.set("year", v, n)
	case "MONTH", "MON":
		i, length := pgFindName(in.s, n.key == "MON", 12, func(i int) string { return time.Month(i + 1).String() })
		if i < 0 {
			return in.bad(pgFirstWord(in.s), n.written, pgNoMatch)
		}
		in.s = in.s[length:]
		return in.set("month", i+1, n)
	case "DAY", "DY":
		i, length := pgFindName(in.s, n.key == "DY", 7, func(i int) string { return time.Weekday(i).String() })
		if i < 0 {
			return in.bad(pgFirstWord(in.s), n.written, pgNoMatch)
		}
		in.s = in.s[length:]
		return in.set("dow", i, n)
	case "RM":
		for i := 11; i >= 0; i-- {
			// VIII before VII before VI.
			for _, j := range []int{7, 6, 2, 1, 8, 3, 5, 11, 10, 0, 4, 9} {
				r := pgRoman[j]
				if i == 11 && len(in.s) >= len(r) && strings.EqualFold(in.s[:len(r)], r) {
					in.s = in.s[len(r):]
					return in.set("month", j+1, n)
				}
			}
		}
		return in.bad(pgFirstWord(in.s), n.written, pgNoMatch)
	case "AM", "PM", "A.M.", "P.M.":
		for i, w := range []string{"am", "pm", "a.m.", "p.m."} {
			if len(in.s) >= len(w) && strings.EqualFold(in.s[:len(w)], w) && strings.Contains(n.key, ".") == (i > 1) {
				in.s, in.pm, in.clock = in.s[len(w):], i%2+1, true
				return nil
			}
		}
		return in.bad(pgClip(in.s, len(n.key)), n.written, pgNoMatch)
	case "AD", "BC", "A.D.", "B.C.":
		for i, w := range []string{"ad", "bc", "a.d.", "b.c."} {
			if len(in.s) >= len(w) && strings.EqualFold(in.s[:len(w)], w) && strings.Contains(n.key, ".") == (i > 1) {
				in.s, in.bc = in.s[len(w):], i%2 == 1
				return nil
			}
		}
		return in.bad(pgClip(in.s, len(n.key)), n.written, pgNoMatch)
	case "TZH":
		sign := 1
		if in.s != "" && (in.s[0] == '-' || in.s[0] == '+') {
			if in.s[0] == '-' {
				sign = -1
			}
			in.s = in.s[1:]
		}
		in.values["tzsign"] = sign
		return in.number(n, 2, digitsFollow, fixed)
	case "TZ", "OF":
		return sqlerr.New("0A000", "formatting field \"%s\" is only supported in to_char", n.written)
	}
	return nil
}

// pgFieldNames name what a pattern sets, so that two patterns for one thing are noticed.
var pgFieldNames = map[string]string{
	"HH": "hour", "HH12": "hour", "HH24": "hour", "MI": "minute", "SS": "second", "MS": "ms", "US": "us", "FF1": "us", "FF2": "us", "FF3": "us",
	"FF4": "us", "FF5": "us", "FF6": "us", "SSSS": "ssss", "SSSSS": "ssss", "YYYY": "year", "YYY": "year", "YY": "year", "Y": "year",
	"IYYY": "year", "IYY": "year", "IY": "year", "I": "year", "MM": "month", "DD": "day", "DDD": "doy", "IDDD": "doy", "D": "dow", "ID": "dow",
	"WW": "ww", "IW": "iw", "W": "w", "CC": "cc", "J": "j", "Q": "q", "TZM": "tzm", "TZH": "tzh",
}

func (in *pgTimeInput) number(n pgNode, width int, digitsFollow, fixed bool) error {
	i := 0
	if in.s[0] == '-' || in.s[0] == '+' {
		i = 1
	}
	start := i
	for i < len(in.s) && in.s[i] >= '0' && in.s[i] <= '9' && (i-start < width || !digitsFollow && !fixed && !n.fill || n.fill && !digitsFollow) && i < 10 {
		i++
	}
	if i == start {
		return in.bad(pgClip(in.s, width), n.written, "Value must be an integer.")
	}
	v, err := strconv.Atoi(in.s[:i])
	if err != nil {
		return in.bad(in.s[:i], n.written, "Value must be an integer.")
	}
	digits := i - start
	in.s = in.s[i:]
	switch n.key {
	case "MS", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "US":
		// .5 are five tenths.
		most := 6
		if n.key == "MS" {
			most = 3
		}
		for ; digits < most; digits++ {
			v *= 10
		}
	case "HH", "HH12":
		in.clock = true
	case "YYYY", "IYYY":
		in.year = 4
	case "YYY", "IYY", "YY", "IY", "Y", "I":
		in.year = width
		if digits < 4 {
			v = pgFullYear(v)
		}
	case "D":
		v--
	case "ID":
		v %= 7
	}
	if n.key[0] == 'I' {
		in.values["iso"] = 1
	}
	return in.set(pgFieldNames[n.key], v, n)
}

// pgFullYear completes a short year to the one nearest to 2020.
func pgFullYear(y int) int {
	switch {
	case y < 70:
		return y + 2000
	case y < 100:
		return y + 1900
	case y < 520:
		return y + 2000
	case y < 1000:
		return y + 1000
	}
	return y
}

func (in *pgTimeInput) set(name string, v int, n pgNode) error {
	if old, ok := in.values[name]; ok && old != v && name != "dow" {
		e := sqlerr.New("22007", "conflicting values for \"%s\" field in formatting string", n.written)
		e.Detail = "This value contradicts a previous setting for the same field type."
		return e
	}
	in.values[name] = v
	return nil
}

func pgFindName(s string, short bool, n int, name func(int) string) (int, int) {
	for i := range n {
		w := name(i)
		if short {
			w = w[:3]
		}
		if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
			return i, len(w)
		}
	}
	return -1, 0
}

func pgFirstWord(s string) string {
	if i := strings.IndexFunc(s, unicode.IsSpace); i > 0 {
		return s[:i]
	}
	return s
}

func pgClip(s string, n int) string { return s[:min(len(s), n)] }

// finish makes a timestamp of what was read.
func (in *pgTimeInput) finish() (pgParsed, error) {
	v := in.values
	out := pgParsed{}
	outOfRange := func() error {
		return sqlerr.New("22008", "date/time field value out of range: \"%s\"", in.text)
	}
	hour, minute, second := v["hour"], v["minute"], v["second"]
	if s, ok := v["ssss"]; ok {
		hour, minute, second = s/3600, s%3600/60, s%60
	}
	if in.clock {
		if hour < 1 || hour > 12 {
			if _, ok := v["hour"]; ok {
				return out, sqlerr.New("22007", "hour \"%d\" is invalid for the 12-hour clock", hour).
					WithHint("Use the 24-hour clock, or give an hour between 1 and 12.")
			}
		}
		switch {
		case in.pm == 2 && hour < 12:
			hour += 12
		case in.pm == 1 && hour == 12:
			hour = 0
		}
	}
	us := v["ms"]*1000 + v["us"]
	if hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 59 || us < 0 || us >= types.MicrosPerSecond {
		return out, outOfRange()
	}
	year, haveYear := v["year"]
	if cc, ok := v["cc"]; ok {
		switch {
		case haveYear && in.year <= 2:
			// The century says what the short year leaves open.
			year %= 100
			if year != 0 {
				year += (cc - 1) * 100
			} else {
				year = cc * 100
			}
		case !haveYear:
			year = (cc-1)*100 + 1
		}
		haveYear = true
	}
	switch {
	case !haveYear:
		year = 0 // 1 BC, as PostgreSQL has it
	case in.bc || year < 0:
		if year > 0 && in.bc {
			year = 1 - year
		} else if year < 0 && in.bc {
			year = -year
		} else if year < 0 {
			year++
		}
	}
	month, day := 1, 1
	if m, ok := v["month"]; ok {
		month = m
	}
	if d, ok := v["day"]; ok {
		day = d
	}
	days := 0
	doy, haveDoy := v["doy"]
	iw, haveWeek := v["iw"]
	switch {
	case v["iso"] != 0 && (haveWeek || haveDoy):
		// The week with January 4th is the first.
		jan4 := types.DaysFromCivil(year, 1, 4)
		first := jan4 - (types.Weekday(jan4)+6)%7
		if haveDoy && !haveWeek {
			days = first + doy - 1
			break
		}
		days = first + (iw-1)*7
		if d, ok := v["dow"]; ok {
			days += (d + 6) % 7
		}
	case haveDoy:
		if _, ok := v["month"]; !ok {
			length := types.DaysFromCivil(year+1, 1, 1) - types.DaysFromCivil(year, 1, 1)
			if !haveYear {
				return out, sqlerr.New("22008", "cannot calculate day of year without year information")
			}
			if doy < 1 || doy > length {
				return out, outOfRange()
			}
			days = types.DaysFromCivil(year, 1, 1) + doy - 1
			break
		}
		fallthrough
	default:
		if j, ok := v["j"]; ok {
			days = j - 2451545
			break
		}
		if w, ok := v["ww"]; ok {
			days = types.DaysFromCivil(year, 1, 1) + (w-1)*7
			break
		}
		if w, ok := v["w"]; ok {
			day = (w-1)*7 + 1
		}
		if month < 1 || month > 12 || day < 1 || day > types.DaysIn(year, month) {
			return out, outOfRange()
		}
		days = types.DaysFromCivil(year, month, day)
	}
	if !types.DateInRange(days) {
		return out, sqlerr.New("22008", "date out of range: \"%s\"", in.text)
	}
	clock := int64(hour)*types.MicrosPerHour + int64(minute)*types.MicrosPerMinute + int64(second)*types.MicrosPerSecond + int64(us)
	out.local = int64(days)*types.MicrosPerDay + clock
	if h, ok := v["tzh"]; ok {
		out.zoned, out.offset = true, v["tzsign"]*(h*3600+v["tzm"]*60)
	}
	return out, nil
}
