package funcs

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// to_char, to_date and to_timestamp: templates of dates and times.

func init() {
	const text, ts, tstz, iv, date = types.Text, types.Timestamp, types.TimestampTZ, types.Interval, types.Date
	define(pg,
		pgFn("to_char", text, "bop_to_char_ts($1, $2)", ts, text),
		pgFn("to_char", text, "bop_to_char_tstz($1, $2)", tstz, text),
		pgFn("to_char", text, "bop_to_char_iv($1, $2)", iv, text),
		pgFn("to_date", date, "bop_to_date($1, $2)", text, text),
		pgFn("to_timestamp", tstz, "bop_to_timestamp($1, $2)", text, text),
	)
	implement(func(r *Registrar) {
		env := r.Env
		r.Pure("bop_to_char_ts", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[0])
			if err != nil || isInfinite(at) {
				return types.Value{}, err
			}
			return pgFormatTime(pgStr(a[1]), pgTimeParts{pgClock: pgClockOf(at)})
		}))
		r.Impure("bop_to_char_tstz", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			at, err := storedTimestamp(a[0])
			if err != nil || isInfinite(at) {
				return types.Value{}, err
			}
			local, offset, zone := types.LocalTimestamp(at, env.location())
			return pgFormatTime(pgStr(a[1]), pgTimeParts{pgClock: pgClockOf(local), zoned: true, offset: offset, zone: zone})
		}))
		r.Pure("bop_to_char_iv", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			s, err := storedSpan(a[0])
			if err != nil {
				return types.Value{}, err
			}
			p := pgTimeParts{interval: true}
			p.year, p.month, p.day = int(s.Months/12), int(s.Months%12), int(s.Days)
			us := s.Micros
			p.hour, us = int(us/types.MicrosPerHour), us%types.MicrosPerHour
			p.minute, us = int(us/types.MicrosPerMinute), us%types.MicrosPerMinute
			p.second, p.us = int(us/types.MicrosPerSecond), int(us%types.MicrosPerSecond)
			return pgFormatTime(pgStr(a[1]), p)
		}))
		r.Pure("bop_to_date", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			p, err := pgParseTime(pgStr(a[0]), pgStr(a[1]))
			if err != nil {
				return types.Value{}, err
			}
			days, _ := types.SplitTimestamp(p.local)
			return types.DateValue(int32(days)), nil
		}))
		r.Impure("bop_to_timestamp", 2, pgStrict(func(a []types.Value) (types.Value, error) {
			p, err := pgParseTime(pgStr(a[0]), pgStr(a[1]))
			if err != nil {
				return types.Value{}, err
			}
			loc := env.location()
			if p.zoned {
				loc = types.FixedZone(p.offset)
			}
			return inRange(types.InstantOf(p.local, loc))
		}))
	})
}

// pgNode is a piece of a template: a pattern, or characters that stand for themselves.
type pgNode struct {
	key     string // the pattern in upper case, or as it is written where its case matters; "" for text
	written string // as written
	text    string
	quoted  bool
	fill    bool // FM before it, or anywhere for numbers
	th      string
}

// pgDatePatterns are in an order in which the first that matches is the longest.
var pgDatePatterns = []string{
	"A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FX",
	"HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "OF", "P.M.", "PM", "Q", "RM",
	"SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y",
}

var pgNumberPatterns = []string{
	"9", "0", ".", ",", "B", "C", "D", "EEEE", "FM", "G", "L", "MI", "PL", "PR", "RN", "SG", "SP", "S", "TH", "V",
}

// pgTemplates keeps parsed templates; it is emptied when it is full.
var pgTemplates = struct {
	sync.RWMutex
	m map[string][]pgNode
}{m: map[string][]pgNode{}}

// pgTemplate cuts a template into nodes. number: of to_char(number, …).
func pgTemplate(s string, number bool) []pgNode {
	key := "d" + s
	if number {
		key = "n" + s
	}
	pgTemplates.RLock()
	nodes, ok := pgTemplates.m[key]
	pgTemplates.RUnlock()
	if ok {
		return nodes
	}
	patterns := pgDatePatterns
	if number {
		patterns = pgNumberPatterns
	}
	for i := 0; i < len(s); {
		fill, local := false, false
		if !number {
			for {
				if p := s[i:]; strings.HasPrefix(p, "FM") || strings.HasPrefix(p, "fm") {
					fill = true
				} else if strings.HasPrefix(p, "TM") || strings.HasPrefix(p, "tm") {
					local = true
				} else {
					break
				}
				i += 2
			}
			if i >= len(s) {
				break
			}
		}
		if n := pgMatchPattern(s[i:], patterns); n.key != "" {
			n.fill = fill || local && (n.key == "DAY" || n.key == "MONTH") // a localised name isn't padded
			i += len(n.written)
			if !number && (strings.HasPrefix(s[i:], "TH") || strings.HasPrefix(s[i:], "th")) {
				n.th = s[i : i+2]
				i += 2
			}
			nodes = append(nodes, n)
			continue
		}
		switch {
		case s[i] == '"':
			for i++; i < len(s) && s[i] != '"'; {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				_, n := utf8.DecodeRuneInString(s[i:])
				nodes = append(nodes, pgNode{text: s[i : i+n], quoted: true})
				i += n
			}
			i++
		default:
			if s[i] == '\\' && i+1 < len(s) && s[i+1] == '"' {
				i++
			}
			_, n := utf8.DecodeRuneInString(s[i:])
			nodes = append(nodes, pgNode{text: s[i : i+n]})
			i += n
		}
	}
	pgTemplates.Lock()
	if len(pgTemplates.m) >= pgMaxPatterns {
		clear(pgTemplates.m)
	}
	pgTemplates.m[key] = nodes
	pgTemplates.Unlock()
	return nodes
}

// pgMatchPattern finds the pattern that s begins with: in upper or lower case, names of days and months also
// capitalised.
func pgMatchPattern(s string, patterns []string) pgNode {
	for _, p := range patterns {
		if len(s) < len(p) {
			continue
		}
		w := s[:len(p)]
		if w == p || w == strings.ToLower(p) {
			return pgNode{key: p, written: w}
		}
		switch p {
		case "DAY", "DY", "MONTH", "MON":
			if w == p[:1]+strings.ToLower(p[1:]) {
				return pgNode{key: p, written: w}
			}
		}
	}
	return pgNode{}
}

// pgTimeParts is what a template prints.
type pgTimeParts struct {
	pgClock
	interval, zoned bool
	offset          int
	zone            string
}

var pgRoman = [...]string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}

func pgFormatTime(template string, p pgTimeParts) (types.Value, error) {
	var b strings.Builder
	for _, n := range pgTemplate(template, false) {
		if n.key == "" {
			b.WriteString(n.text)
			continue
		}
		s, err := pgFormatField(n, p)
		if err != nil {
			return types.Value{}, err
		}
		b.WriteString(s)
		if n.th != "" && s != "" {
			b.WriteString(pgOrdinal(s, n.th == "TH"))
		}
	}
	return pgText(b.String()), nil
}

// pgOrdinal is the ending of an English ordinal number.
func pgOrdinal(digits string, upper bool) string {
	s := "th"
	if n := len(digits); n > 0 && (n < 2 || digits[n-2] != '1') {
		switch digits[n-1] {
		case '1':
			s = "st"
		case '2':
			s = "nd"
		case '3':
			s = "rd"
		}
	}
	if upper {
		return strings.ToUpper(s)
	}
	return s
}

func pgFormatField(n pgNode, p pgTimeParts) (string, error) {
	pad := func(v, width int) string {
		if n.fill {
			width = 0
		} else if v < 0 {
			width++
		}
		return fmt.Sprintf("%0*d", width, v)
	}
	// words prints a name in the case of its pattern.
	words := func(name string, width int) string {
		switch n.written {
		case strings.ToUpper(n.key):
			name = strings.ToUpper(name)
		case strings.ToLower(n.key):
			name = strings.ToLower(name)
		}
		if n.fill {
			return name
		}
		return fmt.Sprintf("%-*s", width, name)
	}
	noInterval := func() error {
		return sqlerr.New("22007", "invalid format specification for an interval value").
			WithHint("Intervals are not tied to specific calendar dates.")
	}
	year := p.year
	if !p.interval && year <= 0 {
		year = 1 - year
	}
	half := func(upper string) string {
		s := "AM"
		if p.hour%24 >= 12 {
			s = "PM"
		}
		if strings.Contains(upper, ".") {
			s = s[:1] + "." + s[1:] + "."
		}
		if n.written != upper {
			return strings.ToLower(s)
		}
		return s
	}
	switch n.key {
	case "HH", "HH12":
		h := p.hour % 12
		if h == 0 {
			h = 12
		}
		return pad(h, 2), nil
	case "HH24":
		return pad(p.hour, 2), nil
	case "MI":
		return pad(p.minute, 2), nil
	case "SS":
		return pad(p.second, 2), nil
	case "MS", "FF3":
		return fmt.Sprintf("%03d", p.us/1000), nil
	case "US", "FF6":
		return fmt.Sprintf("%06d", p.us), nil
	case "FF1":
		return fmt.Sprintf("%01d", p.us/100000), nil
	case "FF2":
		return fmt.Sprintf("%02d", p.us/10000), nil
	case "FF4":
		return fmt.Sprintf("%04d", p.us/100), nil
	case "FF5":
		return fmt.Sprintf("%05d", p.us/10), nil
	case "SSSS", "SSSSS":
		return strconv.Itoa(p.hour*3600 + p.minute*60 + p.second), nil
	case "AM", "PM", "A.M.", "P.M.":
		return half(n.key), nil
	case "CC":
		c := 0
		if p.interval {
			c = p.year / 100
		} else {
			c = pgCentury(p.year)
		}
		if c <= 99 && c >= -99 {
			return pad(c, 2), nil
		}
		return strconv.Itoa(c), nil
	case "Y,YYY":
		return fmt.Sprintf("%d,%03d", year/1000, year%1000), nil
	case "YYYY", "YYY", "YY", "Y":
		return pgYearDigits(n, year), nil
	case "Q":
		if p.month == 0 {
			return "", nil
		}
		return strconv.Itoa((p.month-1)/3 + 1), nil
	case "MM":
		return pad(p.month, 2), nil
	case "RM":
		if p.month == 0 && p.interval {
			return "", nil
		}
		return words(pgRoman[(p.month+11)%12], 4), nil
	case "DD":
		return pad(p.day, 2), nil
	case "FX":
		return "", nil
	}
	if p.interval {
		if n.key == "DDD" {
			return pad(p.year*360+p.month*30+p.day, 3), nil
		}
		return "", noInterval()
	}
	iso, week := p.isoWeek()
	if iso <= 0 {
		iso = 1 - iso
	}
	switch n.key {
	case "AD", "BC", "A.D.", "B.C.":
		s := "AD"
		if p.year <= 0 {
			s = "BC"
		}
		if strings.Contains(n.key, ".") {
			s = s[:1] + "." + s[1:] + "."
		}
		if n.written != n.key {
			s = strings.ToLower(s)
		}
		return s, nil
	case "MONTH":
		return words(time.Month(p.month).String(), 9), nil
	case "MON":
		return words(time.Month(p.month).String()[:3], 0), nil
	case "DAY":
		return words(time.Weekday(types.Weekday(p.days)).String(), 9), nil
	case "DY":
		return words(time.Weekday(types.Weekday(p.days)).String()[:3], 0), nil
	case "DDD":
		return pad(p.doy(), 3), nil
	case "IDDD":
		return pad((week-1)*7+(types.Weekday(p.days)+6)%7+1, 3), nil
	case "D":
		return strconv.Itoa(types.Weekday(p.days) + 1), nil
	case "ID":
		return strconv.Itoa((types.Weekday(p.days)+6)%7 + 1), nil
	case "WW":
		return pad((p.doy()-1)/7+1, 2), nil
	case "IW":
		return pad(week, 2), nil
	case "W":
		return strconv.Itoa((p.day-1)/7 + 1), nil
	case "IYYY", "IYY", "IY", "I":
		return pgYearDigits(n, iso), nil
	case "J":
		return strconv.Itoa(p.days + 2451545), nil
	case "TZ":
		if n.written == "tz" {
			return strings.ToLower(p.zone), nil
		}
		return p.zone, nil
	case "TZH", "TZM", "OF":
		sign, off := "+", p.offset
		if off < 0 {
			sign, off = "-", -off
		}
		switch {
		case n.key == "TZH":
			return fmt.Sprintf("%s%02d", sign, off/3600), nil
		case n.key == "TZM":
			return fmt.Sprintf("%02d", off%3600/60), nil
		case off%3600 != 0:
			return fmt.Sprintf("%s%02d:%02d", sign, off/3600, off%3600/60), nil
		}
		return fmt.Sprintf("%s%02d", sign, off/3600), nil
	}
	return "", nil
}

// pgYearDigits prints the last digits of a year, as many as the pattern has.
func pgYearDigits(n pgNode, year int) string {
	width := len(n.key)
	switch width {
	case 3:
		year %= 1000
	case 2:
		year %= 100
	case 1:
		year %= 10
	}
	if n.fill {
		width = 0
	}
	return fmt.Sprintf("%0*d", width, year)
}
