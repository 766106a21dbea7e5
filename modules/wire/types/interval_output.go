package types

import "strconv"

// AppendPG prints v in one of PostgreSQL's styles.
func (v Span) AppendPG(dst []byte, style IntervalStyle) []byte {
	year, mon := int64(v.Months/12), int64(v.Months%12)
	day := int64(v.Days)
	switch style {
	case IntervalISO:
		return v.appendISO(dst, year, mon, day)
	case IntervalSQL:
		return v.appendSQL(dst, year, mon, day)
	case IntervalVerbose:
		return v.appendVerbose(dst, year, mon, day)
	}

	start := len(dst)
	before := false // the part before was negative
	part := func(n int64, name string) {
		if n == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if before && n > 0 {
			dst = append(dst, '+')
		}
		dst = append(append(strconv.AppendInt(dst, n, 10), ' '), name...)
		if n != 1 {
			dst = append(dst, 's')
		}
		before = n < 0
	}
	part(year, "year")
	part(mon, "mon")
	part(day, "day")
	if len(dst) == start || v.Micros != 0 {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if before && v.Micros >= 0 {
			dst = append(dst, '+')
		}
		dst = AppendTimeOfDay(dst, v.Micros)
	}
	return dst
}

func (v Span) appendISO(dst []byte, year, mon, day int64) []byte {
	if v == (Span{}) {
		return append(dst, "PT0S"...)
	}
	dst = append(dst, 'P')
	part := func(n int64, c byte) {
		if n != 0 {
			dst = append(strconv.AppendInt(dst, n, 10), c)
		}
	}
	part(year, 'Y')
	part(mon, 'M')
	part(day, 'D')
	if v.Micros == 0 {
		return dst
	}
	dst = append(dst, 'T')
	part(v.Micros/MicrosPerHour, 'H')
	part(v.Micros%MicrosPerHour/MicrosPerMinute, 'M')
	if us := v.Micros % MicrosPerMinute; us != 0 {
		dst = append(appendSeconds(dst, us), 'S')
	}
	return dst
}

func (v Span) appendSQL(dst []byte, year, mon, day int64) []byte {
	neg := year < 0 || mon < 0 || day < 0 || v.Micros < 0
	pos := year > 0 || mon > 0 || day > 0 || v.Micros > 0
	yearMonth := year != 0 || mon != 0
	dayTime := day != 0 || v.Micros != 0
	hms := func(us int64) {
		h := us / MicrosPerHour
		dst = append(strconv.AppendInt(dst, h, 10), ':')
		rest := us % MicrosPerHour
		dst = append(append2(dst, int(rest/MicrosPerMinute)), ':')
		dst = append2(dst, int(rest%MicrosPerMinute/MicrosPerSecond))
		if f := rest % MicrosPerSecond; f != 0 {
			dst = trimFraction(appendWidth(append(dst, '.'), int(f), 6), len(dst))
		}
	}
	sign := func(minus bool) {
		if minus {
			dst = append(dst, '-')
		} else {
			dst = append(dst, '+')
		}
	}
	abs := func(n int64) int64 {
		if n < 0 {
			return -n
		}
		return n
	}
	switch {
	case !neg && !pos:
		return append(dst, '0')
	case neg && pos || yearMonth && dayTime:
		sign(year < 0 || mon < 0)
		dst = append(strconv.AppendInt(dst, abs(year), 10), '-')
		dst = append(strconv.AppendInt(dst, abs(mon), 10), ' ')
		sign(day < 0)
		dst = append(strconv.AppendInt(dst, abs(day), 10), ' ')
		sign(v.Micros < 0)
		hms(abs(v.Micros))
	case yearMonth:
		if neg {
			dst = append(dst, '-')
		}
		dst = append(strconv.AppendInt(dst, abs(year), 10), '-')
		dst = strconv.AppendInt(dst, abs(mon), 10)
	default:
		if neg {
			dst = append(dst, '-')
		}
		if day != 0 {
			dst = append(strconv.AppendInt(dst, abs(day), 10), ' ')
		}
		hms(abs(v.Micros))
	}
	return dst
}

func (v Span) appendVerbose(dst []byte, year, mon, day int64) []byte {
	dst = append(dst, '@')
	ago, first := false, true
	part := func(n int64, name string) {
		if n == 0 {
			return
		}
		if first {
			ago = n < 0
			first = false
		}
		if ago {
			n = -n
		}
		dst = append(strconv.AppendInt(append(dst, ' '), n, 10), ' ')
		dst = append(dst, name...)
		if n != 1 {
			dst = append(dst, 's')
		}
	}
	part(year, "year")
	part(mon, "mon")
	part(day, "day")
	part(v.Micros/MicrosPerHour, "hour")
	part(v.Micros%MicrosPerHour/MicrosPerMinute, "min")
	if us := v.Micros % MicrosPerMinute; us != 0 {
		if first {
			ago = us < 0
			first = false
		}
		if ago {
			us = -us
		}
		dst = append(appendSeconds(append(dst, ' '), us), " sec"...)
		if us != MicrosPerSecond && us != -MicrosPerSecond {
			dst = append(dst, 's')
		}
	}
	if first {
		return append(dst, " 0"...)
	}
	if ago {
		dst = append(dst, " ago"...)
	}
	return dst
}
