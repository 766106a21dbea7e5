package types

// dtError says why a text isn't a date or time.
type dtError uint8

const (
	dtOK dtError = iota
	dtSyntax
	dtRange
	dtFieldRange // a month or day is out of range: the date order may be wrong
	dtZoneRange
	dtZoneUnknown
)

type dtFieldKind uint8

const (
	dtNumber dtFieldKind = iota
	dtDate
	dtTime
	dtZone
	dtString
	dtSpecial
)

type dtField struct {
	kind dtFieldKind
	text []byte // lower case
}

const maxDateFields = 25

// splitDateTime cuts text into fields, in buf (which holds the lower-case copy).
func splitDateTime(text []byte, buf []byte, fields []dtField) ([]dtField, dtError) {
	i := 0
	at := func(i int) byte {
		if i < len(text) {
			return text[i]
		}
		return 0
	}
	emit := func(kind dtFieldKind, start int) dtError {
		if len(fields) == maxDateFields {
			return dtSyntax
		}
		from := len(buf)
		for _, c := range text[start:i] {
			buf = append(buf, lower(c))
		}
		fields = append(fields, dtField{kind, buf[from:]})
		return dtOK
	}
	for i < len(text) {
		c := text[i]
		start := i
		var kind dtFieldKind
		switch {
		case isSpace(c):
			i++
			continue
		case isDigit(c):
			for isDigit(at(i)) {
				i++
			}
			switch {
			case at(i) == ':':
				kind = dtTime
				for isDigit(at(i)) || at(i) == ':' || at(i) == '.' {
					i++
				}
			case at(i) == '-' || at(i) == '/' || at(i) == '.':
				delim := at(i)
				if delim == '.' {
					kind = dtNumber
				} else {
					kind = dtDate
				}
				i++
				if isDigit(at(i)) {
					for isDigit(at(i)) {
						i++
					}
					if at(i) == delim {
						kind = dtDate
						i++
						for isDigit(at(i)) || at(i) == delim {
							i++
						}
					}
				} else if delim != '.' || isAlpha(at(i)) {
					kind = dtDate
					for isDigit(at(i)) || isAlpha(at(i)) || at(i) == delim {
						i++
					}
				}
			default:
				kind = dtNumber
			}
		case c == '.':
			kind = dtNumber
			i++
			for isDigit(at(i)) {
				i++
			}
			if i == start+1 {
				return nil, dtSyntax
			}
		case isAlpha(c) || c >= 0x80:
			kind = dtString
			for isAlpha(at(i)) || at(i) >= 0x80 {
				i++
			}
			next := at(i)
			if next == '-' || next == '/' || next == '.' && (isDigit(at(i+1)) || isAlpha(at(i+1))) {
				// jan-08-1999, or Europe/Berlin.
				if _, month := monthByName(text[start:i]); month && (isDigit(at(i+1)) || isAlpha(at(i+1))) {
					kind = dtDate
					for isDigit(at(i)) || isAlpha(at(i)) || at(i) == next {
						i++
					}
				} else if next != '.' {
					for isAlpha(at(i)) || isDigit(at(i)) || at(i) == '-' || at(i) == '/' || at(i) == '_' || at(i) == '+' || at(i) == ':' {
						i++
					}
				}
			} else if next == '_' || next == '+' && isDigit(at(i+1)) && i-start >= 3 {
				for isAlpha(at(i)) || isDigit(at(i)) || at(i) == '-' || at(i) == '/' || at(i) == '_' || at(i) == '+' || at(i) == ':' {
					i++
				}
			}
		case c == '+' || c == '-':
			i++
			for isSpace(at(i)) {
				i++
			}
			switch {
			case isDigit(at(i)):
				kind = dtZone
				for isDigit(at(i)) || at(i) == ':' || at(i) == '.' || at(i) == '-' {
					i++
				}
			case isAlpha(at(i)):
				kind = dtSpecial
				for isAlpha(at(i)) {
					i++
				}
			default:
				return nil, dtSyntax
			}
		case c == ',' || c == '(' || c == ')' || c == '[' || c == ']' || c == '{' || c == '}' || c == '!' || c == '@' ||
			c == '#' || c == '$' || c == '%' || c == '^' || c == '&' || c == '*' || c == '=' || c == ';' || c == '|' ||
			c == '~' || c == '?' || c == '<' || c == '>' || c == '"' || c == '\'' || c == '`' || c == '_' || c == '/' || c == ':' || c == '\\':
			i++ // punctuation is passed over
			continue
		default:
			return nil, dtSyntax
		}
		if err := emit(kind, start); err != dtOK {
			return nil, err
		}
	}
	return fields, dtOK
}

var monthNames = [...]string{
	"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
}

var dayNames = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// monthByName finds a month by its English name or first three letters, in any case.
func monthByName(b []byte) (int, bool) {
	for i, name := range monthNames {
		if equalFold(b, name) || equalFold(b, name[:3]) || i == 8 && equalFold(b, "sept") {
			return i + 1, true
		}
	}
	return 0, false
}

func dayByName(b []byte) (int, bool) {
	for i, name := range dayNames {
		if equalFold(b, name) || equalFold(b, name[:3]) {
			return i, true
		}
	}
	switch string(b) {
	case "tues":
		return 2, true
	case "weds":
		return 3, true
	case "thur", "thurs":
		return 4, true
	}
	return 0, false
}

// isoDateTime is the quick way for YYYY-MM-DD[( |T)HH:MM:SS[.f][Z|±HH[:MM]]]; ok is false for everything else.
func isoDateTime(b []byte) (days int, micros int64, offset int, hasTime, hasZone, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return
	}
	y, ok1 := digitsN(b, 4)
	m, ok2 := digits2(b[5:])
	d, ok3 := digits2(b[8:])
	if !ok1 || !ok2 || !ok3 || y == 0 || m < 1 || m > 12 || d < 1 || d > DaysIn(y, m) {
		return
	}
	days = DaysFromCivil(y, m, d)
	if len(b) == 10 {
		return days, 0, 0, false, false, true
	}
	if len(b) < 19 || b[10] != ' ' && b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return
	}
	h, ok1 := digits2(b[11:])
	mi, ok2 := digits2(b[14:])
	s, ok3 := digits2(b[17:])
	if !ok1 || !ok2 || !ok3 || h > 23 || mi > 59 || s > 59 {
		return
	}
	micros = int64(h)*MicrosPerHour + int64(mi)*MicrosPerMinute + int64(s)*MicrosPerSecond
	b = b[19:]
	if len(b) > 1 && b[0] == '.' {
		us, n := fraction(b[1:])
		if n == 0 {
			return
		}
		micros += us
		b = b[1+n:]
	}
	switch {
	case len(b) == 0:
		return days, micros, 0, true, false, true
	case len(b) == 1 && (b[0] == 'Z' || b[0] == 'z'):
		return days, micros, 0, true, true, true
	}
	off, n, good := parseOffset(b)
	if !good || n != len(b) {
		return
	}
	return days, micros, off, true, true, true
}
