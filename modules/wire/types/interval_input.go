package types

import (
	"math"
	"slices"
	"strconv"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// accumulator adds up an interval with fractions carried down, and remembers overflow.
type accumulator struct {
	months, days float64 // whole
	micros       float64
	overflow     bool
	exact        int64 // microseconds that are exact
}

func (a *accumulator) interval() (Span, bool) {
	us := a.micros
	r := math.RoundToEven(us)
	if math.Abs(a.months) > math.MaxInt32 || math.Abs(a.days) > math.MaxInt32 || math.Abs(r)+math.Abs(float64(a.exact)) >= math.MaxInt64 {
		return Span{}, false
	}
	return Span{int32(a.months), int32(a.days), int64(r) + a.exact}, !a.overflow
}

// add adds n (a whole number) and frac of a unit; neg was already applied.
func (a *accumulator) add(n int64, frac float64, u unit) {
	switch u.field {
	case 'm': // months
		a.months += float64(n) * u.mult
		if frac != 0 {
			m := frac * u.mult
			if u.mult >= 12 {
				// Fractions of years and longer give whole months.
				a.months += math.RoundToEven(m)
				return
			}
			whole := math.Trunc(m)
			a.months += whole
			a.addDays((m - whole) * 30)
		}
	case 'd':
		a.days += float64(n) * u.mult
		if frac != 0 {
			a.addDays(frac * u.mult)
		}
	default:
		if u.mult >= 1 {
			mult := int64(u.mult)
			p := n * mult
			if n != 0 && (p/n != mult || (a.exact > 0) == (p > 0) && (a.exact+p > 0) != (p > 0)) {
				a.overflow = true
			}
			a.exact += p
		}
		a.micros += frac * u.mult
	}
}

func (a *accumulator) addDays(d float64) {
	whole := math.Trunc(d)
	a.days += whole
	a.micros += math.RoundToEven((d - whole) * MicrosPerDay)
}

type unit struct {
	field byte // m months, d days, s microseconds
	mult  float64
}

// intervalUnit finds a unit by PostgreSQL's names for it, in lower case.
func intervalUnit(b []byte) (unit, bool) {
	switch string(b) {
	case "us", "usec", "usecs", "usecond", "useconds", "microsecond", "microseconds", "microsecon":
		return unit{'s', 1}, true
	case "ms", "msec", "msecs", "msecond", "mseconds", "millisecond", "milliseconds", "millisecon":
		return unit{'s', 1000}, true
	case "s", "sec", "secs", "second", "seconds":
		return unit{'s', MicrosPerSecond}, true
	case "m", "min", "mins", "minute", "minutes":
		return unit{'s', MicrosPerMinute}, true
	case "h", "hr", "hrs", "hour", "hours":
		return unit{'s', MicrosPerHour}, true
	case "d", "day", "days":
		return unit{'d', 1}, true
	case "w", "week", "weeks":
		return unit{'d', 7}, true
	case "mon", "mons", "month", "months":
		return unit{'m', 1}, true
	case "qtr", "quarter":
		return unit{'m', 3}, true
	case "y", "yr", "yrs", "year", "years":
		return unit{'m', 12}, true
	case "dec", "decs", "decade", "decades":
		return unit{'m', 120}, true
	case "c", "cent", "century", "centuries":
		return unit{'m', 1200}, true
	case "mil", "mils", "millennia", "millennium":
		return unit{'m', 12000}, true
	}
	return unit{}, false
}

// ParseInterval reads an interval in any of PostgreSQL's input styles; a number without a unit is seconds.
func ParseInterval(text []byte, in *Input) (Span, error) {
	if in == nil {
		in = &defaultInput
	}
	v, e := parseInterval(text, in)
	switch e {
	case dtOK:
		return v, nil
	case dtSyntax:
		return v, errSyntax("22007", "interval", text)
	}
	return v, sqlerr.New("22015", "interval field value out of range: \"%s\"", printable(text))
}

func parseInterval(text []byte, in *Input) (Span, dtError) {
	b := trimSpace(text)
	if len(b) == 0 || len(b) > 256 {
		return Span{}, dtSyntax
	}
	if b[0] == 'P' && len(b) > 1 && (isDigit(b[1]) || b[1] == '-' || b[1] == 'T' || b[1] == '.' || b[1] == '+') {
		return parseISOInterval(b[1:])
	}
	var a accumulator
	ago := false
	fields := 0
	// SQL style: a leading minus applies to all fields.
	sqlNegative := in.IntervalStyle == IntervalSQL && b[0] == '-' && !containsByte(b[1:], '+')
	seen := make([]unit, 0, 8)
	repeated := false
	var pending struct {
		set  bool
		n    int64
		frac float64
	}
	flush := func(u unit) {
		if pending.set {
			a.add(pending.n, pending.frac, u)
			pending.set = false
			repeated = repeated || slices.Contains(seen, u)
			seen = append(seen, u)
		}
	}
	sawDayTime := false
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case isSpace(c) || c == '@' || c == ',':
			i++
		case isDigit(c) || c == '+' || c == '-' || c == '.':
			neg := false
			if c == '+' || c == '-' {
				neg = c == '-'
				i++
				for i < len(b) && isSpace(b[i]) {
					i++
				}
				if i == len(b) || !isDigit(b[i]) && b[i] != '.' {
					return Span{}, dtSyntax
				}
			} else if sqlNegative {
				neg = true
			}
			start := i
			for i < len(b) && isDigit(b[i]) {
				i++
			}
			switch {
			case i < len(b) && b[i] == ':':
				if pending.set { // 3 04:05: days before a time
					flush(unit{'d', 1})
				}
				for i < len(b) && (isDigit(b[i]) || b[i] == ':' || b[i] == '.') {
					i++
				}
				us, e := intervalClock(b[start:i])
				if e != dtOK {
					return Span{}, e
				}
				if neg {
					us = -us
				}
				if sawDayTime {
					return Span{}, dtSyntax
				}
				sawDayTime = true
				a.exact += us
				fields++
			case i < len(b) && b[i] == '-' && i > start && i+1 < len(b) && isDigit(b[i+1]):
				// years-months
				y, ok := digitsN(b[start:i], i-start)
				if !ok || i-start > 9 {
					return Span{}, dtRange
				}
				i++
				ms := i
				for i < len(b) && isDigit(b[i]) {
					i++
				}
				m, _ := digitsN(b[ms:i], i-ms)
				if i-ms > 2 || m > 11 {
					return Span{}, dtRange
				}
				months := float64(y*12 + m)
				if neg {
					months = -months
				}
				flush(unit{'s', MicrosPerSecond})
				a.months += months
				fields++
			default:
				flushed := pending.set
				if flushed {
					return Span{}, dtSyntax
				}
				if i-start > 18 {
					return Span{}, dtRange
				}
				n, _ := digitsN64(b[start:i])
				frac := 0.0
				if i < len(b) && b[i] == '.' {
					fs := i
					i++
					for i < len(b) && isDigit(b[i]) {
						i++
					}
					if i == fs+1 && fs == start {
						return Span{}, dtSyntax
					}
					frac, _ = strconv.ParseFloat("0"+string(b[fs:i]), 64)
				}
				if neg {
					n, frac = -n, -frac
				}
				pending.set, pending.n, pending.frac = true, n, frac
				fields++
			}
		case isAlpha(c):
			start := i
			for i < len(b) && isAlpha(b[i]) {
				i++
			}
			if i-start > 16 {
				return Span{}, dtSyntax
			}
			var word [16]byte
			w := word[:0]
			for _, c := range b[start:i] {
				w = append(w, lower(c))
			}
			if string(w) == "ago" {
				ago = true
				if pending.set {
					flush(unit{'s', MicrosPerSecond})
				}
				continue
			}
			u, ok := intervalUnit(w)
			if !ok || !pending.set || ago {
				return Span{}, dtSyntax
			}
			flush(u)
		default:
			return Span{}, dtSyntax
		}
	}
	flush(unit{'s', MicrosPerSecond})
	if fields == 0 || repeated {
		return Span{}, dtSyntax
	}
	v, ok := a.interval()
	if !ok {
		return v, dtRange
	}
	if ago {
		v = v.Neg()
	}
	return v, dtOK
}

func digitsN64(b []byte) (v int64, ok bool) {
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

// intervalClock reads H:MM[:SS[.f]] or MM:SS.f with any number of hours.
func intervalClock(b []byte) (int64, dtError) {
	var part [3]int64
	n := 0
	var us int64
	for {
		i := 0
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		if i > 12 {
			return 0, dtRange
		}
		if i == 0 && n == 0 {
			return 0, dtSyntax
		}
		part[n], _ = digitsN64(b[:i])
		n++
		b = b[i:]
		if len(b) == 0 {
			break
		}
		if b[0] == '.' {
			var k int
			us, k = fraction(b[1:])
			if k != len(b)-1 {
				return 0, dtSyntax
			}
			if n == 2 { // MM:SS.f
				part[2], part[1], part[0] = part[1], part[0], 0
				n = 3
			}
			break
		}
		if b[0] != ':' || n == 3 {
			return 0, dtSyntax
		}
		b = b[1:]
	}
	if n < 2 {
		return 0, dtSyntax
	}
	if part[1] > 59 || part[2] > 60 || part[0] > math.MaxInt64/MicrosPerHour-1 {
		return 0, dtRange
	}
	return part[0]*MicrosPerHour + part[1]*MicrosPerMinute + part[2]*MicrosPerSecond + us, dtOK
}

// parseISOInterval reads ISO 8601 after the P: with designators (1Y2M3DT4H5M6S) or the alternative form
// (0001-02-03T04:05:06).
func parseISOInterval(b []byte) (Span, dtError) {
	var a accumulator
	inTime := false
	fields := 0
	for len(b) > 0 {
		if b[0] == 'T' {
			if inTime {
				return Span{}, dtSyntax
			}
			inTime = true
			b = b[1:]
			if len(b) == 0 {
				return Span{}, dtSyntax
			}
			continue
		}
		i := 0
		if b[0] == '-' || b[0] == '+' {
			i = 1
		}
		start := i
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		if i-start > 15 {
			return Span{}, dtRange
		}
		n, _ := digitsN64(b[start:i])
		digits := i - start
		frac := 0.0
		if i < len(b) && b[i] == '.' {
			fs := i
			i++
			for i < len(b) && isDigit(b[i]) {
				i++
			}
			frac, _ = strconv.ParseFloat("0"+string(b[fs:i]), 64)
			digits += i - fs - 1
		}
		if digits == 0 {
			return Span{}, dtSyntax
		}
		if b[0] == '-' {
			n, frac = -n, -frac
		}
		if i < len(b) && (b[i] == '-' || b[i] == ':') || i == len(b) && fields == 0 {
			return parseISOAlternative(b, inTime, a)
		}
		if i == len(b) {
			return Span{}, dtSyntax
		}
		var u unit
		switch {
		case !inTime && b[i] == 'Y':
			u = unit{'m', 12}
		case !inTime && b[i] == 'M':
			u = unit{'m', 1}
		case !inTime && b[i] == 'W':
			u = unit{'d', 7}
		case !inTime && b[i] == 'D':
			u = unit{'d', 1}
		case inTime && b[i] == 'H':
			u = unit{'s', MicrosPerHour}
		case inTime && b[i] == 'M':
			u = unit{'s', MicrosPerMinute}
		case inTime && b[i] == 'S':
			u = unit{'s', MicrosPerSecond}
		case i < len(b) && b[i] == 'T' && fields == 0:
			return parseISOAlternative(b, inTime, a)
		default:
			return Span{}, dtSyntax
		}
		a.add(n, frac, u)
		fields++
		b = b[i+1:]
	}
	v, ok := a.interval()
	switch {
	case !ok:
		return v, dtRange
	case fields == 0:
		return v, dtSyntax
	}
	return v, dtOK
}

func parseISOAlternative(b []byte, inTime bool, a accumulator) (Span, dtError) {
	date := b
	clock := []byte(nil)
	if inTime {
		date, clock = nil, b
	} else {
		for i, c := range b {
			if c == 'T' {
				date, clock = b[:i], b[i+1:]
				break
			}
		}
	}
	units := [...]unit{{'m', 12}, {'m', 1}, {'d', 1}}
	for k := 0; len(date) > 0; k++ {
		if k == len(units) {
			return Span{}, dtSyntax
		}
		neg := false
		if date[0] == '-' || date[0] == '+' {
			neg = date[0] == '-'
			date = date[1:]
		}
		i := 0
		for i < len(date) && isDigit(date[i]) {
			i++
		}
		if i == 0 || i > 9 {
			return Span{}, dtSyntax
		}
		n, _ := digitsN64(date[:i])
		if neg {
			n = -n
		}
		a.add(n, 0, units[k])
		date = date[i:]
		if len(date) > 0 {
			if date[0] != '-' || len(date) == 1 {
				return Span{}, dtSyntax
			}
			date = date[1:]
		}
	}
	if clock != nil {
		neg := false
		if len(clock) > 0 && clock[0] == '-' {
			neg, clock = true, clock[1:]
		}
		if !containsByte(clock, ':') {
			if len(clock) == 0 || len(clock) > 9 {
				return Span{}, dtSyntax
			}
			h, ok := digitsN64(clock)
			if !ok {
				return Span{}, dtSyntax
			}
			clock = append(strconv.AppendInt(nil, h, 10), ":00"...)
		}
		us, e := intervalClock(clock)
		if e != dtOK {
			return Span{}, e
		}
		if neg {
			us = -us
		}
		a.exact += us
	}
	v, ok := a.interval()
	if !ok {
		return v, dtRange
	}
	return v, dtOK
}

func containsByte(b []byte, c byte) bool {
	for _, x := range b {
		if x == c {
			return true
		}
	}
	return false
}
