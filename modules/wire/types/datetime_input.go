package types

import "time"

// This file reads dates and times as PostgreSQL's input functions do: the text is cut into fields, each field says what
// it gives (a year, a time of day, a zone …), and what was given is put together at the end.

// dtSpecialValue is a word that stands for a whole value.
type dtSpecialValue uint8

const (
	noSpecial dtSpecialValue = iota
	specialInfinity
	specialMinusInfinity
	specialEpoch
	specialNow
)

// dateTime is what a text gave.
type dateTime struct {
	year, month, day int
	hour, min, sec   int
	micros           int64 // of the second; may be 1,000,000 after rounding
	offset           int   // seconds east of UTC
	loc              *time.Location
	special          dtSpecialValue

	hasYear, hasMonth, hasDay bool
	hasTime, hasZone          bool
	has2DigitYear, bc         bool
	julian                    bool
	days                      int  // when julian
	meridiem                  byte // 'a', 'p'
	zoneName                  []byte
}

// parseDateTime reads text. wantTime says that a bare number may be a time of day (HHMMSS).
func parseDateTime(text []byte, in *Input, timeOnly bool) (dt dateTime, err dtError) {
	if len(text) > 128+1 {
		return dt, dtSyntax
	}
	var buf [160]byte
	var fieldBuf [8]dtField
	fields, err := splitDateTime(text, buf[:0], fieldBuf[:0])
	if err != dtOK {
		return dt, err
	}
	if len(fields) == 0 {
		return dt, dtSyntax
	}
	textMonth := false
	isoTime := false
	prefix := byte(0)
	for i := 0; i < len(fields); i++ {
		f := fields[i]
		if prefix == 'j' && f.kind == dtNumber {
			prefix = 0
			n, ok := digitsN(f.text, len(f.text))
			if !ok || len(f.text) > 9 {
				return dt, dtSyntax
			}
			dt.setDays(n - 2451545)
			continue
		}
		switch f.kind {
		case dtDate:
			if dt.hasYear && dt.hasMonth && dt.hasDay {
				return dt, dtSyntax
			}
			if err = dt.decodeDate(f.text, in, &textMonth); err != dtOK {
				return dt, err
			}
		case dtTime:
			// A time right after a zone's sign (allballs-like forms) isn't a thing here.
			if dt.hasTime {
				return dt, dtSyntax
			}
			if err = dt.decodeTime(f.text); err != dtOK {
				return dt, err
			}
		case dtZone:
			if dt.hasZone && dt.loc == nil && dt.zoneName == nil {
				return dt, dtSyntax
			}
			off, n, ok := parseOffset(f.text)
			if !ok && n > 0 {
				return dt, dtZoneRange
			}
			if ok && n == len(f.text) && (dt.hasTime || timeOnly && dt.hasTime) {
				if dt.zoneName != nil { // POSIX: GMT+3 means west
					off = -off
					dt.loc = nil
				}
				dt.offset, dt.hasZone = off, true
				continue
			}
			// 1999-01-08 -0800 has no time; a date field of the form -NN is a day or year given with a sign.
			if ok && n == len(f.text) {
				dt.offset, dt.hasZone = off, true
				continue
			}
			return dt, dtSyntax
		case dtNumber:
			if err = dt.decodeNumberField(f.text, in, &textMonth, isoTime || timeOnly); err != dtOK {
				return dt, err
			}
			isoTime = false
		case dtString, dtSpecial:
			t := f.text
			switch string(t) {
			case "infinity", "+infinity", "inf", "+inf":
				dt.special = specialInfinity
			case "-infinity", "-inf":
				dt.special = specialMinusInfinity
			case "epoch":
				dt.special = specialEpoch
			case "now":
				dt.special = specialNow
			case "today", "tomorrow", "yesterday":
				loc := in.Location
				if loc == nil {
					loc = time.UTC
				}
				y, m, d := in.now().In(loc).Date()
				days := DaysFromCivil(y, int(m), d)
				switch t[2] {
				case 'm':
					days++
				case 's':
					days--
				}
				dt.setDays(days)
				dt.hasTime = true
			case "allballs":
				dt.hasTime, dt.hasZone = true, true
			case "am", "pm":
				dt.meridiem = t[0]
			case "bc":
				dt.bc = true
			case "ad", "at", "on", "dst":
			case "t":
				// ISO: the time follows.
				if !dt.hasYear && !dt.hasTime && !dt.julian && i+1 >= len(fields) {
					return dt, dtSyntax
				}
				isoTime = true
			case "j", "jd":
				prefix = 'j'
			case "z", "zulu", "utc", "gmt", "uct", "ut":
				dt.hasZone = true
				dt.offset, dt.zoneName = 0, t
			default:
				if m, ok := monthByName(t); ok {
					if dt.hasMonth && !textMonth && !dt.hasDay {
						// 08 Jan 1999: the number so far was the day.
						dt.day, dt.hasDay = dt.month, true
					}
					dt.month, dt.hasMonth, textMonth = m, true, true
					continue
				}
				if _, ok := dayByName(t); ok {
					continue
				}
				if len(t) > 1 && t[0] == 't' && isDigitsAfterT(t) {
					return dt, dtSyntax
				}
				if off, ok := zoneAbbreviation(t); ok {
					dt.hasZone, dt.offset, dt.zoneName = true, off, t
					continue
				}
				loc, ok := LoadZone(string(t))
				if !ok {
					dt.zoneName = t
					return dt, zoneOrSyntax(t)
				}
				dt.hasZone, dt.loc = true, loc
			}
		}
	}
	if prefix != 0 {
		return dt, dtSyntax
	}
	return dt, dt.finish(in, textMonth)
}

func isDigitsAfterT(t []byte) bool { return len(t) > 1 && isDigit(t[1]) }

// zoneOrSyntax: a word with a slash was meant as a zone.
func zoneOrSyntax(t []byte) dtError {
	for _, c := range t {
		if c == '/' {
			return dtZoneUnknown
		}
	}
	return dtSyntax
}

func (dt *dateTime) setDays(days int) {
	dt.days, dt.julian = days, true
	dt.year, dt.month, dt.day = CivilFromDays(days)
	dt.hasYear, dt.hasMonth, dt.hasDay = true, true, true
}

// decodeTime reads H:MM[:SS[.ffffff]].
func (dt *dateTime) decodeTime(b []byte) dtError {
	part := [3]int{}
	n := 0
	for {
		i := 0
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		if i == 0 || i > 7 {
			if i > 7 {
				return dtRange
			}
			return dtSyntax
		}
		part[n], _ = digitsN(b, i)
		n++
		b = b[i:]
		if len(b) == 0 {
			break
		}
		if b[0] == '.' {
			if n == 2 {
				// MM:SS.fff
				part[2], part[1], part[0] = part[1], part[0], 0
			} else if n != 3 {
				return dtSyntax
			}
			us, k := fraction(b[1:])
			if k != len(b)-1 {
				return dtSyntax
			}
			dt.micros = us
			break
		}
		if b[0] != ':' || n == 3 {
			return dtSyntax
		}
		b = b[1:]
		if len(b) == 0 {
			return dtSyntax
		}
	}
	if n < 2 {
		return dtSyntax
	}
	dt.hour, dt.min, dt.sec = part[0], part[1], part[2]
	dt.hasTime = true
	return dtOK
}

// decodeDate reads a field of two or three parts with delimiters.
func (dt *dateTime) decodeDate(b []byte, in *Input, textMonth *bool) dtError {
	var parts [3][]byte
	n := 0
	i := 0
	for i < len(b) {
		for i < len(b) && !isDigit(b[i]) && !isAlpha(b[i]) {
			i++
		}
		if i == len(b) {
			break
		}
		if n == 3 {
			return dtSyntax
		}
		start := i
		if isDigit(b[i]) {
			for i < len(b) && isDigit(b[i]) {
				i++
			}
		} else {
			for i < len(b) && isAlpha(b[i]) {
				i++
			}
		}
		parts[n] = b[start:i]
		n++
	}
	if n < 2 {
		return dtSyntax
	}
	// A month's name first: it decides what the numbers can be.
	for j := range n {
		if len(parts[j]) > 0 && isAlpha(parts[j][0]) {
			m, ok := monthByName(parts[j])
			if !ok || dt.hasMonth {
				return dtSyntax
			}
			dt.month, dt.hasMonth, *textMonth = m, true, true
			parts[j] = nil
		}
	}
	for j := range n {
		if parts[j] == nil {
			continue
		}
		if err := dt.number(parts[j], in, *textMonth); err != dtOK {
			return err
		}
	}
	return dtOK
}

// number takes a run of digits as the year, month or day that is still missing, in the session's order.
func (dt *dateTime) number(b []byte, in *Input, textMonth bool) dtError {
	if len(b) > 7 {
		return dtRange
	}
	v, ok := digitsN(b, len(b))
	if !ok {
		return dtSyntax
	}
	year := func() {
		dt.year, dt.hasYear, dt.has2DigitYear = v, true, len(b) <= 2
	}
	switch {
	case len(b) == 3 && dt.hasYear && !dt.hasMonth && !dt.hasDay && v >= 1 && v <= 366:
		// Day of the year.
		dt.setDays(DaysFromCivil(dt.year, 1, 1) + v - 1)
		dt.has2DigitYear = false
	case !dt.hasYear && !dt.hasMonth && !dt.hasDay:
		switch {
		case len(b) >= 3 || in.DateOrder == YMD:
			year()
		case in.DateOrder == DMY:
			dt.day, dt.hasDay = v, true
		default:
			dt.month, dt.hasMonth = v, true
		}
	case dt.hasYear && !dt.hasMonth && !dt.hasDay:
		dt.month, dt.hasMonth = v, true
	case !dt.hasYear && dt.hasMonth && !dt.hasDay:
		if textMonth && (len(b) >= 3 || in.DateOrder == YMD) {
			year()
		} else {
			dt.day, dt.hasDay = v, true
		}
	case dt.hasYear && dt.hasMonth && !dt.hasDay:
		if textMonth && len(b) >= 3 && dt.has2DigitYear {
			// 99-Jan-1999 with the day read as a year.
			dt.day, dt.hasDay = dt.year, true
			year()
		} else {
			dt.day, dt.hasDay = v, true
		}
	case !dt.hasYear && !dt.hasMonth && dt.hasDay:
		dt.month, dt.hasMonth = v, true
	case !dt.hasYear && dt.hasMonth && dt.hasDay:
		year()
	default:
		return dtSyntax
	}
	return dtOK
}

// decodeNumberField reads a bare number: a concatenated date or time, or one part of a date.
func (dt *dateTime) decodeNumberField(b []byte, in *Input, textMonth *bool, wantTime bool) dtError {
	whole, frac := b, []byte(nil)
	for i, c := range b {
		if c == '.' {
			whole, frac = b[:i], b[i+1:]
			break
		}
	}
	haveDate := dt.hasYear && dt.hasMonth && dt.hasDay
	// 19990108 or 990108, unless a date is there already.
	if !haveDate && !wantTime && !dt.hasYear && !dt.hasMonth && !dt.hasDay && len(frac) == 0 {
		switch {
		case len(whole) == 8 || len(whole) == 6:
			yl := len(whole) - 4
			v, ok := digitsN(whole, len(whole))
			if !ok {
				return dtSyntax
			}
			dt.year, dt.month, dt.day = v/10000, v/100%100, v%100
			dt.hasYear, dt.hasMonth, dt.hasDay = true, true, true
			dt.has2DigitYear = yl == 2
			return dtOK
		case len(whole) > 8:
			v, ok := digitsN(whole, len(whole))
			if !ok || len(whole) > 12 {
				return dtRange
			}
			dt.year, dt.month, dt.day = v/10000, v/100%100, v%100
			dt.hasYear, dt.hasMonth, dt.hasDay = true, true, true
			return dtOK
		}
	}
	if (haveDate || wantTime) && !dt.hasTime {
		v, ok := digitsN(whole, len(whole))
		switch {
		case !ok:
			return dtSyntax
		case len(whole) == 6:
			dt.hour, dt.min, dt.sec = v/10000, v/100%100, v%100
		case len(whole) == 4:
			dt.hour, dt.min = v/100, v%100
		case len(whole) <= 2 && (dt.meridiem != 0 || haveDate || wantTime):
			dt.hour = v
			if frac != nil {
				return dtSyntax
			}
			// Only with AM or PM, or after ISO's T; checked at the end.
		default:
			return dtSyntax
		}
		if frac != nil {
			us, n := fraction(frac)
			if n != len(frac) {
				return dtSyntax
			}
			dt.micros = us
		}
		dt.hasTime = true
		return dtOK
	}
	if frac != nil {
		if len(frac) == 0 {
			return dt.number(whole, in, *textMonth)
		}
		// 1999.123 is a year and the day of it.
		if !dt.hasYear && len(frac) == 3 {
			if err := dt.number(whole, in, *textMonth); err != dtOK {
				return err
			}
			return dt.number(frac, in, *textMonth)
		}
		return dtSyntax
	}
	return dt.number(whole, in, *textMonth)
}

// finish checks and completes what was given.
func (dt *dateTime) finish(in *Input, textMonth bool) dtError {
	if dt.special != noSpecial {
		if dt.hasYear || dt.hasMonth || dt.hasDay || dt.hasTime {
			return dtSyntax
		}
		return dtOK
	}
	if dt.hasTime {
		if dt.meridiem != 0 {
			if dt.hour > 12 {
				return dtRange
			}
			if dt.meridiem == 'p' && dt.hour != 12 {
				dt.hour += 12
			} else if dt.meridiem == 'a' && dt.hour == 12 {
				dt.hour = 0
			}
		}
		if dt.min > 59 || dt.sec > 60 || dt.hour > 24 ||
			dt.hour == 24 && (dt.min > 0 || dt.sec > 0 || dt.micros > 0) {
			return dtRange
		}
	} else if dt.meridiem != 0 {
		return dtSyntax
	}
	if !dt.hasYear && !dt.hasMonth && !dt.hasDay {
		if dt.bc {
			return dtSyntax
		}
		return dtOK
	}
	if !(dt.hasYear && dt.hasMonth && dt.hasDay) {
		return dtSyntax
	}
	if dt.julian {
		return dtOK
	}
	switch {
	case dt.bc:
		if dt.year <= 0 {
			return dtFieldRange
		}
		dt.year = 1 - dt.year
	case dt.has2DigitYear:
		if dt.year < 70 {
			dt.year += 2000
		} else {
			dt.year += 1900
		}
	case dt.year <= 0:
		return dtFieldRange
	}
	if dt.month < 1 || dt.month > 12 || dt.day < 1 || dt.day > 31 {
		return dtFieldRange
	}
	if dt.day > DaysIn(dt.year, dt.month) {
		return dtRange
	}
	return dtOK
}

// clock returns the time of day in microseconds.
func (dt *dateTime) clock() int64 {
	return int64(dt.hour)*MicrosPerHour + int64(dt.min)*MicrosPerMinute + int64(dt.sec)*MicrosPerSecond + dt.micros
}

func (dt *dateTime) hasDate() bool { return dt.hasYear && dt.hasMonth && dt.hasDay }
