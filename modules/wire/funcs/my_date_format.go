package funcs

import (
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/types"
)

func clockNow() time.Time { return time.Now() }

// myZone reads a time zone of MySQL: SYSTEM, a name or an offset.
func myZone(e *Env, name []byte) (*time.Location, bool) {
	if strings.EqualFold(string(name), "SYSTEM") {
		return time.Local, true
	}
	return types.LoadZone(string(name))
}

func pad(dst []byte, n int64, width int) []byte {
	var buf [20]byte
	i := len(buf)
	for n > 0 || len(buf)-i < width {
		i--
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, buf[i:]...)
}

// formatDate is DATE_FORMAT. What a date without a weekday can't say gives NULL.
func formatDate(m types.MyTime, format []byte) (types.Value, error) {
	us := m.Micros
	var out []byte
	if us < 0 {
		out = append(out, '-')
		us = -us
	}
	h, mi, s, f := us/types.MicrosPerHour, us/types.MicrosPerMinute%60, us/types.MicrosPerSecond%60, us%types.MicrosPerSecond
	h12 := (h+11)%12 + 1
	half := "AM"
	if h%24 >= 12 {
		half = "PM"
	}
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			out = append(out, c)
			continue
		}
		i++
		switch c := format[i]; c {
		case 'a', 'W', 'w', 'j', 'U', 'u', 'V', 'v', 'X', 'x':
			if !m.Whole() {
				return null, nil
			}
			weekday := types.Weekday(m.Days())
			switch c {
			case 'a':
				out = append(out, dayNames[weekday][:3]...)
			case 'W':
				out = append(out, dayNames[weekday]...)
			case 'w':
				out = append(out, byte('0'+weekday))
			case 'j':
				out = pad(out, int64(m.Days()-types.DaysFromCivil(m.Year, 1, 1)+1), 3)
			default:
				mode := map[byte]int64{'U': 0, 'u': 1, 'V': 2, 'v': 3, 'X': 2, 'x': 3}[c]
				y, w := week(m, mode)
				if c == 'X' || c == 'x' {
					out = pad(out, int64(y), 4)
				} else {
					out = pad(out, int64(w), 2)
				}
			}
		case 'b', 'M':
			if m.Month == 0 {
				return null, nil
			}
			name := monthNames[m.Month-1]
			if c == 'b' {
				name = name[:3]
			}
			out = append(out, name...)
		case 'c':
			out = pad(out, int64(m.Month), 1)
		case 'D':
			out = pad(out, int64(m.Day), 1)
			switch {
			case m.Day/10 == 1:
				out = append(out, "th"...)
			case m.Day%10 == 1:
				out = append(out, "st"...)
			case m.Day%10 == 2:
				out = append(out, "nd"...)
			case m.Day%10 == 3:
				out = append(out, "rd"...)
			default:
				out = append(out, "th"...)
			}
		case 'd':
			out = pad(out, int64(m.Day), 2)
		case 'e':
			out = pad(out, int64(m.Day), 1)
		case 'f':
			out = pad(out, f, 6)
		case 'H':
			out = pad(out, h, 2)
		case 'h', 'I':
			out = pad(out, h12, 2)
		case 'i':
			out = pad(out, mi, 2)
		case 'k':
			out = pad(out, h, 1)
		case 'l':
			out = pad(out, h12, 1)
		case 'm':
			out = pad(out, int64(m.Month), 2)
		case 'p':
			out = append(out, half...)
		case 'r':
			out = append(pad(out, h12, 2), ':')
			out = append(pad(out, mi, 2), ':')
			out = append(pad(out, s, 2), ' ')
			out = append(out, half...)
		case 'S', 's':
			out = pad(out, s, 2)
		case 'T':
			out = append(pad(out, h, 2), ':')
			out = append(pad(out, mi, 2), ':')
			out = pad(out, s, 2)
		case 'Y':
			out = pad(out, int64(m.Year), 4)
		case 'y':
			out = pad(out, int64(m.Year%100), 2)
		default:
			out = append(out, c)
		}
	}
	return textValue(out), nil
}

// strToDate is STR_TO_DATE; text that doesn't fit the format gives NULL and a warning. A format without a date gives a
// time, one without a time a date.
func strToDate(e *Env, a []types.Value) (types.Value, error) {
	v, ok := parseByFormat(a[0].B, a[1].B)
	if !ok {
		e.warn(1411, "Incorrect datetime value: '"+clip(a[0].B)+"' for function str_to_date")
		return null, nil
	}
	return v, nil
}

func parseByFormat(text, format []byte) (types.Value, bool) {
	var m types.MyTime
	var h, mi, s, us int64
	half := byte(0)
	hasDate, hasTime := false, false
	dayOfYear := 0
	rest := text
	number := func(width int) (int64, bool) {
		n, i := int64(0), 0
		for i < len(rest) && i < width && rest[i] >= '0' && rest[i] <= '9' {
			n = n*10 + int64(rest[i]-'0')
			i++
		}
		rest = rest[i:]
		return n, i > 0
	}
	name := func(names []string, short bool) (int, bool) {
		for i, n := range names {
			if short {
				n = n[:3]
			}
			if len(rest) >= len(n) && strings.EqualFold(string(rest[:len(n)]), n) {
				rest = rest[len(n):]
				return i, true
			}
		}
		return 0, false
	}
	expanded := strings.NewReplacer("%T", "%H:%i:%S", "%r", "%h:%i:%S %p").Replace(string(format))
	for i := 0; i < len(expanded); i++ {
		c := expanded[i]
		if c == ' ' {
			for len(rest) > 0 && rest[0] == ' ' {
				rest = rest[1:]
			}
			continue
		}
		if c != '%' || i+1 == len(expanded) {
			for len(rest) > 0 && rest[0] == ' ' {
				rest = rest[1:]
			}
			if len(rest) == 0 || rest[0] != c {
				return null, false
			}
			rest = rest[1:]
			continue
		}
		i++
		c = expanded[i]
		for len(rest) > 0 && rest[0] == ' ' {
			rest = rest[1:]
		}
		var n int64
		ok := true
		switch c {
		case 'Y':
			had := len(rest)
			n, ok = number(4)
			if had-len(rest) == 2 {
				n = shortYear(n)
			}
			m.Year, hasDate = int(n), true
		case 'y':
			n, ok = number(2)
			m.Year, hasDate = int(shortYear(n)), true
		case 'm', 'c':
			n, ok = number(2)
			m.Month, hasDate = int(n), true
		case 'd', 'e':
			n, ok = number(2)
			m.Day, hasDate = int(n), true
		case 'D':
			n, ok = number(2)
			m.Day, hasDate = int(n), true
			if len(rest) >= 2 {
				rest = rest[2:]
			}
		case 'j':
			n, ok = number(3)
			dayOfYear, hasDate = int(n), true
		case 'M', 'b':
			k, found := name(monthNames[:], c == 'b')
			m.Month, hasDate, ok = k+1, true, found
		case 'W', 'a':
			_, ok = name(dayNames[:], c == 'a')
		case 'H', 'k':
			h, ok = number(2)
			hasTime = true
		case 'h', 'I', 'l':
			h, ok = number(2)
			hasTime = true
			ok = ok && h >= 1 && h <= 12
			if half == 0 {
				half = 'a'
			}
		case 'i':
			mi, ok = number(2)
			hasTime = true
		case 'S', 's':
			s, ok = number(2)
			hasTime = true
		case 'f':
			had := len(rest)
			us, ok = number(6)
			for range 6 - (had - len(rest)) {
				us *= 10
			}
			hasTime = true
		case 'p':
			if len(rest) < 2 || rest[1]|0x20 != 'm' || rest[0]|0x20 != 'a' && rest[0]|0x20 != 'p' {
				return null, false
			}
			half = rest[0] | 0x20
			rest = rest[2:]
		case '%':
			ok = len(rest) > 0 && rest[0] == '%'
			if ok {
				rest = rest[1:]
			}
		default:
			return null, false
		}
		if !ok {
			return null, false
		}
	}
	switch half {
	case 'a':
		h %= 12
	case 'p':
		h = h%12 + 12
	}
	if h > 23 || mi > 59 || s > 59 || m.Month > 12 || m.Day > 31 {
		return null, false
	}
	m.Micros = h*types.MicrosPerHour + mi*types.MicrosPerMinute + s*types.MicrosPerSecond + us
	if dayOfYear > 0 && m.Month == 0 {
		_, mo, d := types.CivilFromDays(types.DaysFromCivil(m.Year, 1, 1) + dayOfYear - 1)
		m.Month, m.Day = mo, d
	}
	if hasDate && m.Month > 0 && m.Day > types.DaysIn(m.Year, m.Month) {
		return null, false
	}
	switch {
	case hasDate && !hasTime:
		return textValue(m.AppendDate(nil)), true
	case hasTime && !hasDate:
		return types.TimeValue(m.Micros), true
	}
	return textValue(m.AppendTimestamp(nil)), true
}

func shortYear(n int64) int64 {
	if n < 70 {
		return n + 2000
	}
	return n + 1900
}
