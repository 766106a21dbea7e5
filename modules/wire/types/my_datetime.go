package types

import "time"

// MyTime is a date and time as MySQL has it: the date may be zero, or have a zero month or day, and a day that its month
// doesn't have is only refused where it is stored.
type MyTime struct {
	Year, Month, Day int
	Micros           int64 // time of day
	HasTime          bool
	Zone             *time.Location // of an offset at the end of the text
	Truncated        bool           // the text went on after the value
}

// IsZero reports whether the date is 0000-00-00.
func (m MyTime) IsZero() bool { return m.Year == 0 && m.Month == 0 && m.Day == 0 }

// Whole reports whether the date is one of the calendar, without zero parts.
func (m MyTime) Whole() bool {
	return m.Month >= 1 && m.Month <= 12 && m.Day >= 1 && m.Day <= DaysIn(m.Year, m.Month)
}

// Days returns the day number of a whole date.
func (m MyTime) Days() int { return DaysFromCivil(m.Year, m.Month, m.Day) }

// Timestamp returns the timestamp of a whole date.
func (m MyTime) Timestamp() int64 { return int64(m.Days())*MicrosPerDay + m.Micros }

// MyTimeOf returns a timestamp's parts.
func MyTimeOf(ts int64) MyTime {
	days, micros := SplitTimestamp(ts)
	y, mo, d := CivilFromDays(days)
	return MyTime{Year: y, Month: mo, Day: d, Micros: micros, HasTime: true}
}

// AppendDate appends YYYY-MM-DD, zero parts included.
func (m MyTime) AppendDate(dst []byte) []byte {
	if m.Year > 9999 || m.Year < 0 {
		return AppendDate(dst, int32(m.Days()))
	}
	dst = append(append2(append(appendWidth(dst, m.Year, 4), '-'), m.Month), '-')
	return append2(dst, m.Day)
}

// AppendTimestamp appends the storage form of a timestamp, zero parts included.
func (m MyTime) AppendTimestamp(dst []byte) []byte {
	dst, us := appendClock(append(m.AppendDate(dst), ' '), m.Micros)
	return appendWidth(append(dst, '.'), us, 6)
}

func isPunct(c byte) bool {
	return c > ' ' && c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z' && c < 0x7f
}

// twoDigitYear is MySQL's rule for years of two digits.
func twoDigitYear(y int) int {
	if y < 70 {
		return y + 2000
	}
	return y + 1900
}

// ParseMySQLDateTime reads a date or datetime as MySQL does: parts with any delimiter, or a run of digits (YYYYMMDD,
// YYMMDD, YYYYMMDDhhmmss, YYMMDDhhmmss). ok is false when there is no date in it; parts are in range but the day may not
// be one of its month, or parts may be zero.
func ParseMySQLDateTime(b []byte) (m MyTime, ok bool) {
	b = trimSpace(b)
	if len(b) == 0 || !isDigit(b[0]) {
		return m, false
	}
	run := 0
	for run < len(b) && isDigit(b[run]) {
		run++
	}
	var part [6]int
	n := 0
	i := 0
	dateOnlyRun := run == len(b) || b[run] == '.' || b[run] == 'T' || isSpace(b[run])
	if dateOnlyRun && run >= 5 || run >= 8 {
		yl := 2
		switch run {
		case 8, 14:
			yl = 4
		case 6, 12, 5, 7, 9, 10, 11, 13:
			if run > 12 {
				yl = 4
			}
		default:
			if run > 14 {
				yl = 4
			}
		}
		lens := [6]int{yl, 2, 2, 2, 2, 2}
		if run == 5 || run == 7 || run == 9 || run == 11 { // numbers lose leading zeros
			lens[0] = 1
		}
		for n < 6 && i < run {
			l := min(lens[n], run-i)
			part[n], _ = digitsN(b[i:], l)
			i += l
			n++
		}
		if n < 3 {
			return m, false
		}
		if yl == 2 || lens[0] == 1 {
			part[0] = twoDigitYear(part[0])
			if n >= 3 && part[1] == 0 && part[2] == 0 && part[0] == 2000 {
				part[0] = 0
			}
		}
		if n == 3 && i < len(b) && (b[i] == 'T' || isSpace(b[i])) {
			return m.clockPart(b, i, part, true)
		}
	} else {
		for n < 3 {
			start := i
			for i < len(b) && isDigit(b[i]) && i-start < 4 {
				i++
			}
			if i == start {
				break
			}
			part[n], _ = digitsN(b[start:], i-start)
			if n == 0 && i-start <= 2 {
				zero := part[0] == 0
				part[0] = twoDigitYear(part[0])
				if zero {
					part[0] = 2000
				}
			}
			n++
			if n < 3 {
				if i >= len(b) || !isPunct(b[i]) {
					break
				}
				for i < len(b) && isPunct(b[i]) {
					i++
				}
			}
		}
		if n < 3 {
			return m, false
		}
		if i < len(b) && (b[i] == 'T' || b[i] == 't' || isSpace(b[i]) || isPunct(b[i])) {
			return m.clockPart(b, i, part, false)
		}
	}
	return m.join(b, i, part, n > 3)
}

// clockPart reads hh[:mm[:ss]] after a date.
func (m MyTime) clockPart(b []byte, i int, part [6]int, packed bool) (MyTime, bool) {
	at := i
	if b[i] == 'T' || b[i] == 't' {
		i++
	} else {
		for i < len(b) && (isSpace(b[i]) || !packed && isPunct(b[i])) {
			i++
		}
	}
	n := 3
	for n < 6 {
		start := i
		for i < len(b) && isDigit(b[i]) && i-start < 2 {
			i++
		}
		if i == start {
			break
		}
		part[n], _ = digitsN(b[start:], i-start)
		n++
		if n < 6 {
			if i >= len(b) || !isPunct(b[i]) || b[i] == '+' || b[i] == '-' && n > 4 || b[i] == '.' {
				break
			}
			i++
		}
	}
	if n == 3 {
		return m.join(b, at, part, false)
	}
	return m.join(b, i, part, true)
}

func (m MyTime) join(b []byte, i int, part [6]int, hasTime bool) (MyTime, bool) {
	m.Year, m.Month, m.Day = part[0], part[1], part[2]
	if m.Month > 12 || m.Day > 31 || part[3] > 23 || part[4] > 59 || part[5] > 59 {
		return m, false
	}
	m.HasTime = hasTime
	m.Micros = int64(part[3])*MicrosPerHour + int64(part[4])*MicrosPerMinute + int64(part[5])*MicrosPerSecond
	if hasTime && i < len(b) && b[i] == '.' {
		us, n := fraction(b[i+1:])
		m.Micros += us
		i += 1 + n
		if m.Micros >= MicrosPerDay && m.Whole() {
			next := MyTimeOf(m.Timestamp())
			next.HasTime = true
			m = next
		}
	}
	if hasTime && i < len(b) && (b[i] == '+' || b[i] == '-') {
		if off, n, ok := parseOffset(b[i:]); ok && n == 6 && off >= -14*3600 && off <= 14*3600 {
			m.Zone = fixedZone(off)
			i += n
		}
	}
	m.Truncated = len(trimSpace(b[i:])) > 0
	return m, true
}

// MaxMySQLTime is the end of MySQL's TIME: 838:59:59.
const MaxMySQLTime = 838*MicrosPerHour + 59*MicrosPerMinute + 59*MicrosPerSecond

// ParseMySQLTime reads a TIME as MySQL does: [D ]hh:mm[:ss[.f]], hhmmss, ss, with a sign. A datetime gives its time of day.
// truncated: text was left, or the value was cut to MaxMySQLTime.
func ParseMySQLTime(b []byte) (micros int64, truncated, ok bool) {
	b = trimSpace(b)
	if m, isDate := ParseMySQLDateTime(b); isDate && m.HasTime && len(b) >= 12 {
		return m.Micros, m.Truncated, true
	}
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		b = b[1:]
	}
	num := func() (v int64, n int) {
		for n < len(b) && isDigit(b[n]) {
			if v < 1e12 {
				v = v*10 + int64(b[n]-'0')
			}
			n++
		}
		b = b[n:]
		return v, n
	}
	first, n := num()
	if n == 0 && !(len(b) > 1 && b[0] == '.' && isDigit(b[1])) {
		return 0, false, false
	}
	var days, h, mi, s int64
	colon := false
	switch {
	case len(b) > 1 && isSpace(b[0]) && isDigit(b[1]):
		days = first
		b = b[1:]
		h, _ = num()
		colon = true
	case len(b) > 0 && b[0] == ':':
		h = first
		colon = true
	default:
		h, mi, s = first/10000, first/100%100, first%100
	}
	if colon && len(b) > 1 && b[0] == ':' && isDigit(b[1]) {
		b = b[1:]
		mi, _ = num()
		if len(b) > 1 && b[0] == ':' && isDigit(b[1]) {
			b = b[1:]
			s, _ = num()
		}
	}
	if mi > 59 || s > 59 {
		return 0, false, false
	}
	if h > 1e6 || days > 1e6 {
		h, days = 1e6, 0
	}
	micros = (days*24+h)*MicrosPerHour + mi*MicrosPerMinute + s*MicrosPerSecond
	if len(b) > 0 && b[0] == '.' {
		us, n := fraction(b[1:])
		micros += us
		b = b[1+n:]
	}
	truncated = len(trimSpace(b)) > 0
	if micros > MaxMySQLTime {
		micros, truncated = MaxMySQLTime, true
	}
	if neg {
		micros = -micros
	}
	return micros, truncated, true
}
