package types

import (
	"math"
	"time"
)

// Dates are counted in days, times of day in microseconds since midnight, timestamps in microseconds, dates and timestamps
// from 2000-01-01 as PostgreSQL's binary format does. The two ends of the integer ranges stand for infinity.
const (
	InfiniteDate      = math.MaxInt32
	MinusInfiniteDate = math.MinInt32

	InfiniteTimestamp      = math.MaxInt64
	MinusInfiniteTimestamp = math.MinInt64

	MicrosPerSecond = 1_000_000
	MicrosPerMinute = 60 * MicrosPerSecond
	MicrosPerHour   = 60 * MicrosPerMinute
	MicrosPerDay    = 24 * MicrosPerHour

	unixEpochDays = 10957 // from 1970-01-01 to 2000-01-01
	// UnixEpoch is what to subtract from microseconds since 1970 to get a timestamp.
	UnixEpoch = unixEpochDays * MicrosPerDay

	minYear       = -4712   // 4713 BC
	maxDateYear   = 5874897 // of a date
	maxYear       = 294276  // of a timestamp
	minDays       = -2451545
	maxDays       = 2145031948
	minTimestamp  = -211813488000000000
	endTimestamp  = 9223371331200000000 // exclusive
	bcYearOffset  = 9999
	longYearMark  = 'Y'
	bcYearMark    = '.'
	longYearWidth = 7
)

// The storage form of dates and timestamps sorts as text. Years 1 to 9999 are four digits. Later years are Y and seven
// digits, years before Christ a full stop and four digits: the year (1 BC is 0) plus 9999. Infinities are the words
// infinity and -infinity. MySQL's zero and partial dates (2024-00-00) are kept as they are and have no day number.
const (
	infinityText      = "infinity"
	minusInfinityText = "-infinity"
)

// DaysFromCivil returns the day number of a date; year 0 is 1 BC. Months beyond 1…12 carry into the year.
func DaysFromCivil(year, month, day int) int {
	if month < 1 || month > 12 {
		year += floorDiv(month-1, 12)
		month = (month-1)%12 + 1
		if month < 1 {
			month += 12
		}
	}
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 730425
}

// CivilFromDays is the inverse of DaysFromCivil.
func CivilFromDays(days int) (year, month, day int) {
	z := days + 730425
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	year = yoe + era*400
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

// DaysIn returns the number of days of a month.
func DaysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// Weekday returns the day of the week, Sunday 0.
func Weekday(days int) int {
	w := (days + 6) % 7
	if w < 0 {
		w += 7
	}
	return w
}

// SplitTimestamp returns the day and the microseconds within it of a finite timestamp.
func SplitTimestamp(ts int64) (days int, micros int64) {
	d := ts / MicrosPerDay
	m := ts % MicrosPerDay
	if m < 0 {
		d--
		m += MicrosPerDay
	}
	return int(d), m
}

// TimestampOf returns t's instant as a timestamp.
func TimestampOf(t time.Time) int64 {
	return t.UnixMicro() - UnixEpoch
}

// TimeOf is the inverse of TimestampOf, in UTC; for finite timestamps.
func TimeOf(ts int64) time.Time {
	sec, us := ts/MicrosPerSecond, ts%MicrosPerSecond
	return time.Unix(sec+unixEpochDays*86400, us*1000).UTC()
}

// LocalTimestamp returns what a clock at loc shows at the instant ts, and its offset east of UTC in seconds.
func LocalTimestamp(ts int64, loc *time.Location) (local int64, offset int, abbreviation string) {
	if loc == nil || loc == time.UTC {
		return ts, 0, "UTC"
	}
	name, off := TimeOf(ts).In(loc).Zone()
	return ts + int64(off)*MicrosPerSecond, off, name
}

// InstantOf returns the instant at which a clock at loc shows local. Of two it takes the later one; a time that the clock
// skips is read with the offset before the jump, both as PostgreSQL does.
func InstantOf(local int64, loc *time.Location) int64 {
	if loc == nil || loc == time.UTC {
		return local
	}
	at := func(ts int64) int64 {
		_, off := TimeOf(ts).In(loc).Zone()
		return int64(off) * MicrosPerSecond
	}
	before := at(local - MicrosPerDay)
	after := at(local + MicrosPerDay)
	if before == after {
		return local - before
	}
	u1, u2 := local-before, local-after
	ok1, ok2 := at(u1) == before, at(u2) == after
	if ok2 && (!ok1 || u2 != u1) {
		return u2
	}
	return u1
}

func append2(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10%10), byte('0'+n%10))
}

func appendWidth(dst []byte, n, width int) []byte {
	var buf [20]byte
	i := len(buf)
	for n > 0 || len(buf)-i < width {
		i--
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, buf[i:]...)
}

// AppendDate appends the storage form of a date.
func AppendDate(dst []byte, days int32) []byte {
	switch days {
	case InfiniteDate:
		return append(dst, infinityText...)
	case MinusInfiniteDate:
		return append(dst, minusInfinityText...)
	}
	return appendDays(dst, int(days))
}

func appendDays(dst []byte, days int) []byte {
	y, m, d := CivilFromDays(days)
	switch {
	case y > 9999:
		dst = appendWidth(append(dst, longYearMark), y, longYearWidth)
	case y < 1:
		dst = appendWidth(append(dst, bcYearMark), y+bcYearOffset, 4)
	default:
		dst = appendWidth(dst, y, 4)
	}
	return append2(append(append2(append(dst, '-'), m), '-'), d)
}

// AppendTimeOfDay appends HH:MM:SS, and a fraction without zeros at its end. Hours may exceed 24 and the whole may be
// negative, as MySQL's TIME.
func AppendTimeOfDay(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst = append(dst, '-')
		micros = -micros
	}
	dst, us := appendClock(dst, micros)
	if us == 0 {
		return dst
	}
	return trimFraction(appendWidth(append(dst, '.'), us, 6), len(dst))
}

// appendClock appends HH:MM:SS and returns the microseconds left.
func appendClock(dst []byte, micros int64) ([]byte, int) {
	sec := micros / MicrosPerSecond
	dst = append(appendWidth(dst, int(sec/3600), 2), ':')
	dst = append(append2(dst, int(sec/60%60)), ':')
	return append2(dst, int(sec%60)), int(micros % MicrosPerSecond)
}

// AppendTimestamp appends the storage form of a timestamp: always six digits of fraction.
func AppendTimestamp(dst []byte, ts int64) []byte {
	switch ts {
	case InfiniteTimestamp:
		return append(dst, infinityText...)
	case MinusInfiniteTimestamp:
		return append(dst, minusInfinityText...)
	}
	days, micros := SplitTimestamp(ts)
	dst = append(appendDays(dst, days), ' ')
	dst, us := appendClock(dst, micros)
	return appendWidth(append(dst, '.'), us, 6)
}

func digits2(b []byte) (int, bool) {
	if len(b) < 2 || !isDigit(b[0]) || !isDigit(b[1]) {
		return 0, false
	}
	return int(b[0]-'0')*10 + int(b[1]-'0'), true
}

func digitsN(b []byte, n int) (v int, ok bool) {
	if len(b) < n {
		return 0, false
	}
	for _, c := range b[:n] {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

// storedDate reads the storage form of a date at the start of b and returns what follows it.
func storedDate(b []byte) (days int, rest []byte, ok bool) {
	var y int
	switch {
	case len(b) > 0 && b[0] == longYearMark:
		if y, ok = digitsN(b[1:], longYearWidth); !ok {
			return 0, nil, false
		}
		b = b[1+longYearWidth:]
	case len(b) > 0 && b[0] == bcYearMark:
		if y, ok = digitsN(b[1:], 4); !ok {
			return 0, nil, false
		}
		y -= bcYearOffset
		b = b[5:]
	default:
		if y, ok = digitsN(b, 4); !ok {
			return 0, nil, false
		}
		b = b[4:]
	}
	if len(b) < 6 || b[0] != '-' || b[3] != '-' {
		return 0, nil, false
	}
	m, ok1 := digits2(b[1:])
	d, ok2 := digits2(b[4:])
	if !ok1 || !ok2 || m < 1 || m > 12 || d < 1 || d > DaysIn(y, m) {
		return 0, nil, false
	}
	return DaysFromCivil(y, m, d), b[6:], true
}

// ParseStoredDate reads the storage form of a date; a timestamp's time of day is ignored. ok is false for anything
// else, MySQL's zero dates among it.
func ParseStoredDate(b []byte) (days int32, ok bool) {
	switch string(b) {
	case infinityText:
		return InfiniteDate, true
	case minusInfinityText:
		return MinusInfiniteDate, true
	}
	d, rest, ok := storedDate(b)
	if !ok || len(rest) > 0 && rest[0] != ' ' && rest[0] != 'T' {
		return 0, false
	}
	return int32(d), true
}

// ParseStoredTime reads the storage form of a time of day.
func ParseStoredTime(b []byte) (micros int64, ok bool) {
	micros, rest, ok := storedClock(b)
	return micros, ok && len(rest) == 0
}

func storedClock(b []byte) (micros int64, rest []byte, ok bool) {
	neg := false
	if len(b) > 0 && b[0] == '-' {
		neg = true
		b = b[1:]
	}
	i, h := 0, 0
	for ; i < len(b) && isDigit(b[i]); i++ {
		if i > 8 {
			return 0, nil, false
		}
		h = h*10 + int(b[i]-'0')
	}
	if i == 0 || len(b) < i+6 || b[i] != ':' || b[i+3] != ':' {
		return 0, nil, false
	}
	m, ok1 := digits2(b[i+1:])
	s, ok2 := digits2(b[i+4:])
	if !ok1 || !ok2 {
		return 0, nil, false
	}
	micros = int64(h)*MicrosPerHour + int64(m)*MicrosPerMinute + int64(s)*MicrosPerSecond
	b = b[i+6:]
	if len(b) > 0 && b[0] == '.' {
		us, n := fraction(b[1:])
		micros += us
		b = b[1+n:]
	}
	if neg {
		micros = -micros
	}
	return micros, b, true
}

// fraction reads the digits at the start of b as microseconds, rounding the seventh.
func fraction(b []byte) (micros int64, n int) {
	scale := int64(100_000)
	for n < len(b) && isDigit(b[n]) {
		switch {
		case scale > 0:
			micros += int64(b[n]-'0') * scale
			scale /= 10
		case n == 6 && b[n] >= '5':
			micros++
		}
		n++
	}
	return micros, n
}

// ParseStoredTimestamp reads the storage form of a timestamp, or of a date (midnight).
func ParseStoredTimestamp(b []byte) (ts int64, ok bool) {
	if len(b) == 26 && b[0] <= '9' && b[10] == ' ' {
		// The common form, in one pass.
		y, ok1 := digitsN(b, 4)
		mo, ok2 := digits2(b[5:])
		d, ok3 := digits2(b[8:])
		h, ok4 := digits2(b[11:])
		mi, ok5 := digits2(b[14:])
		s, ok6 := digits2(b[17:])
		us, ok7 := digitsN(b[20:], 6)
		if ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 && mo >= 1 && mo <= 12 && d >= 1 && d <= DaysIn(y, mo) {
			return int64(DaysFromCivil(y, mo, d))*MicrosPerDay + int64(h)*MicrosPerHour + int64(mi)*MicrosPerMinute +
				int64(s)*MicrosPerSecond + int64(us), true
		}
	}
	switch string(b) {
	case infinityText:
		return InfiniteTimestamp, true
	case minusInfinityText:
		return MinusInfiniteTimestamp, true
	}
	days, rest, ok := storedDate(b)
	if !ok {
		return 0, false
	}
	if int64(days) > maxTimestampDays || days < minDays {
		return 0, false
	}
	ts = int64(days) * MicrosPerDay
	if len(rest) == 0 {
		return ts, true
	}
	if rest[0] != ' ' && rest[0] != 'T' {
		return 0, false
	}
	micros, ok := ParseStoredTime(rest[1:])
	if !ok || micros < 0 || micros > MicrosPerDay {
		return 0, false
	}
	return ts + micros, true
}

const maxTimestampDays = endTimestamp/MicrosPerDay - 1

// TimestampInRange reports whether a finite timestamp is one that PostgreSQL can hold.
func TimestampInRange(ts int64) bool { return ts >= minTimestamp && ts < endTimestamp }

// DateInRange reports whether a finite date is one that PostgreSQL can hold.
func DateInRange(days int) bool { return days >= minDays && days <= maxDays }

// RoundMicros rounds micros to precision digits (0 to 6) of a second, half away from zero.
func RoundMicros(micros int64, precision int) int64 {
	if precision >= 6 || micros == InfiniteTimestamp || micros == MinusInfiniteTimestamp {
		return micros
	}
	unit := int64(pow10tab[6-max(precision, 0)])
	if micros >= 0 {
		return (micros + unit/2) / unit * unit
	}
	return -((-micros + unit/2) / unit * unit)
}

// AppendTimeTZ appends the storage form of a time with its zone's offset in seconds east of UTC: ±HH:MM, and :SS when
// there are odd seconds.
func AppendTimeTZ(dst []byte, micros int64, offset int) []byte {
	return appendOffset(AppendTimeOfDay(dst, micros), offset, true)
}

// appendOffset appends an offset: +HH, with :MM and :SS when they aren't zero; full always has minutes.
func appendOffset(dst []byte, offset int, full bool) []byte {
	if offset < 0 {
		dst = append(dst, '-')
		offset = -offset
	} else {
		dst = append(dst, '+')
	}
	dst = appendWidth(dst, offset/3600, 2)
	m, s := offset/60%60, offset%60
	if full || m != 0 || s != 0 {
		dst = append2(append(dst, ':'), m)
	}
	if s != 0 {
		dst = append2(append(dst, ':'), s)
	}
	return dst
}

// ParseStoredTimeTZ reads the storage form of a time with zone.
func ParseStoredTimeTZ(b []byte) (micros int64, offset int, ok bool) {
	micros, rest, ok := storedClock(b)
	if !ok {
		return 0, 0, false
	}
	if len(rest) == 0 {
		return micros, 0, true
	}
	offset, n, ok := parseOffset(rest)
	return micros, offset, ok && n == len(rest)
}

// parseOffset reads ±HH[[:]MM[[:]SS]] and returns seconds east of UTC.
func parseOffset(b []byte) (offset, n int, ok bool) {
	if len(b) < 2 || b[0] != '+' && b[0] != '-' {
		return 0, 0, false
	}
	i := 1
	run := 0
	for i+run < len(b) && isDigit(b[i+run]) {
		run++
	}
	var h, m, s int
	switch {
	case run == 0 || run > 6:
		return 0, 0, false
	case run <= 2:
		h, _ = digitsN(b[i:], run)
		i += run
		if i+2 < len(b) && b[i] == ':' {
			if m, ok = digits2(b[i+1:]); !ok {
				return 0, 0, false
			}
			i += 3
			if i+2 < len(b) && b[i] == ':' {
				if s, ok = digits2(b[i+1:]); !ok {
					return 0, 0, false
				}
				i += 3
			}
		}
	case run <= 4:
		v, _ := digitsN(b[i:], run)
		h, m = v/100, v%100
		i += run
	default:
		v, _ := digitsN(b[i:], run)
		h, m, s = v/10000, v/100%100, v%100
		i += run
	}
	if h > 15 || m > 59 || s > 59 {
		return 0, i, false
	}
	offset = h*3600 + m*60 + s
	if b[0] == '-' {
		offset = -offset
	}
	return offset, i, true
}
