package types

import (
	"time"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// errSyntax is 22P02 or 22007: the text isn't a value of the type.
func errSyntax(state, name string, text []byte) error {
	return sqlerr.New(state, "invalid input syntax for type %s: \"%s\"", name, printable(text))
}

// printable shortens a text for an error message.
func printable(b []byte) string {
	if len(b) > 1000 {
		return string(b[:1000]) + "…"
	}
	return string(b)
}

func (e dtError) err(name string, text []byte, dt *dateTime) error {
	switch e {
	case dtFieldRange:
		return sqlerr.New("22008", "date/time field value out of range: \"%s\"", printable(text)).
			WithHint("Perhaps you need a different \"datestyle\" setting.")
	case dtRange:
		return sqlerr.New("22008", "date/time field value out of range: \"%s\"", printable(text))
	case dtZoneRange:
		return sqlerr.New("22009", "time zone displacement out of range: \"%s\"", printable(text))
	case dtZoneUnknown:
		return sqlerr.New("22023", "time zone \"%s\" not recognized", printable(dt.zoneName))
	}
	return errSyntax("22007", name, text)
}

// ParseDate reads a date as PostgreSQL does.
func ParseDate(text []byte, in *Input) (int32, error) {
	if in == nil {
		in = &defaultInput
	}
	if days, _, _, _, _, ok := isoDateTime(text); ok {
		return int32(days), nil
	}
	dt, e := parseDateTime(text, in, false)
	if e != dtOK {
		return 0, e.err("date", text, &dt)
	}
	switch dt.special {
	case specialInfinity:
		return InfiniteDate, nil
	case specialMinusInfinity:
		return MinusInfiniteDate, nil
	case specialEpoch:
		return -unixEpochDays, nil
	case specialNow:
		local, _, _ := LocalTimestamp(TimestampOf(in.now()), in.Location)
		days, _ := SplitTimestamp(local)
		return int32(days), nil
	}
	if !dt.hasDate() {
		return 0, dtSyntax.err("date", text, &dt)
	}
	days := DaysFromCivil(dt.year, dt.month, dt.day)
	if dt.year > maxDateYear+1 || !DateInRange(days) {
		return 0, sqlerr.New("22008", "date out of range: \"%s\"", printable(text))
	}
	return int32(days), nil
}

// ParseTimestamp reads a timestamp as PostgreSQL does. withZone: the result is an instant, and a text without a zone is in
// the session's; else a zone in the text is ignored.
func ParseTimestamp(text []byte, withZone bool, in *Input) (int64, error) {
	if in == nil {
		in = &defaultInput
	}
	name := "timestamp"
	if withZone {
		name = "timestamp with time zone"
	}
	days, micros, offset, _, hasZone, ok := isoDateTime(text)
	if ok {
		ts := int64(days)*MicrosPerDay + micros
		switch {
		case !withZone:
			return ts, nil
		case hasZone:
			return ts - int64(offset)*MicrosPerSecond, nil
		}
		return InstantOf(ts, in.Location), nil
	}
	dt, e := parseDateTime(text, in, false)
	if e != dtOK {
		return 0, e.err(name, text, &dt)
	}
	switch dt.special {
	case specialInfinity:
		return InfiniteTimestamp, nil
	case specialMinusInfinity:
		return MinusInfiniteTimestamp, nil
	case specialEpoch:
		if withZone {
			return -UnixEpoch, nil
		}
		return -UnixEpoch, nil
	case specialNow:
		now := TimestampOf(in.now())
		if !withZone {
			now, _, _ = LocalTimestamp(now, in.Location)
		}
		return now, nil
	}
	if !dt.hasDate() {
		return 0, dtSyntax.err(name, text, &dt)
	}
	if dt.year > maxYear+1 || dt.year < minYear-2 {
		return 0, sqlerr.New("22008", "timestamp out of range: \"%s\"", printable(text))
	}
	ts := int64(DaysFromCivil(dt.year, dt.month, dt.day))*MicrosPerDay + dt.clock()
	if withZone {
		switch {
		case dt.loc != nil:
			ts = InstantOf(ts, dt.loc)
		case dt.hasZone:
			ts -= int64(dt.offset) * MicrosPerSecond
		default:
			ts = InstantOf(ts, in.Location)
		}
	}
	if !TimestampInRange(ts) {
		return 0, sqlerr.New("22008", "timestamp out of range: \"%s\"", printable(text))
	}
	return ts, nil
}

// ParseTime reads a time of day as PostgreSQL does; a zone in the text is ignored.
func ParseTime(text []byte, in *Input) (int64, error) {
	micros, _, err := parseTimeZone(text, "time", in)
	return micros, err
}

// ParseTimeTZ reads a time of day with its zone's offset, the session's offset now if the text has none.
func ParseTimeTZ(text []byte, in *Input) (micros int64, offset int, err error) {
	return parseTimeZone(text, "time with time zone", in)
}

func parseTimeZone(text []byte, name string, in *Input) (int64, int, error) {
	if in == nil {
		in = &defaultInput
	}
	if t := text; len(t) >= 8 && t[2] == ':' && t[5] == ':' && name == "time" {
		if us, rest, ok := storedClock(t); ok && len(rest) == 0 && us < MicrosPerDay && us >= 0 &&
			t[3] < '6' && t[6] < '6' {
			return us, 0, nil
		}
	}
	dt, e := parseDateTime(text, in, true)
	if e != dtOK {
		return 0, 0, e.err(name, text, &dt)
	}
	if dt.special == specialNow {
		local, off, _ := LocalTimestamp(TimestampOf(in.now()), in.Location)
		_, micros := SplitTimestamp(local)
		return micros, off, nil
	}
	if dt.special != noSpecial || !dt.hasTime {
		return 0, 0, dtSyntax.err(name, text, &dt)
	}
	micros := dt.clock()
	if micros > MicrosPerDay {
		return 0, 0, dtRange.err(name, text, &dt)
	}
	offset := dt.offset
	if !dt.hasZone || dt.loc != nil {
		loc := in.Location
		if dt.loc != nil {
			loc = dt.loc
		}
		at := TimestampOf(in.now())
		if dt.hasDate() {
			at = InstantOf(int64(DaysFromCivil(dt.year, dt.month, dt.day))*MicrosPerDay+micros, loc)
		}
		_, offset, _ = LocalTimestamp(at, loc)
	}
	return micros, offset, nil
}

// appendPGDate prints a date in the session's style.
func appendPGDate(dst []byte, days int32, f *PGFormat) []byte {
	switch days {
	case InfiniteDate:
		return append(dst, infinityText...)
	case MinusInfiniteDate:
		return append(dst, minusInfinityText...)
	}
	y, m, d := CivilFromDays(int(days))
	dst = appendStyledDate(dst, y, m, d, f)
	if y < 1 {
		dst = append(dst, " BC"...)
	}
	return dst
}

func appendStyledDate(dst []byte, y, m, d int, f *PGFormat) []byte {
	if y < 1 {
		y = 1 - y
	}
	md := func(sep byte) {
		a, b := m, d
		if f.DateOrder == DMY {
			a, b = d, m
		}
		dst = append(append2(append(append2(dst, a), sep), b), sep)
		dst = appendWidth(dst, y, 4)
	}
	switch f.DateStyle {
	case SQLStyle:
		md('/')
	case GermanStyle:
		dst = append(append2(append(append2(dst, d), '.'), m), '.')
		dst = appendWidth(dst, y, 4)
	case PostgresStyle:
		md('-')
	default:
		dst = append(append2(append(appendWidth(dst, y, 4), '-'), m), '-')
		dst = append2(dst, d)
	}
	return dst
}

// appendPGTimestamp prints a timestamp in the session's style; loc non-nil: ts is an instant, shown there.
func appendPGTimestamp(dst []byte, ts int64, withZone bool, f *PGFormat) []byte {
	switch ts {
	case InfiniteTimestamp:
		return append(dst, infinityText...)
	case MinusInfiniteTimestamp:
		return append(dst, minusInfinityText...)
	}
	offset, zone := 0, ""
	if withZone {
		ts, offset, zone = LocalTimestamp(ts, f.Location)
	}
	days, micros := SplitTimestamp(ts)
	y, m, d := CivilFromDays(days)
	if f.DateStyle == PostgresStyle {
		dst = append(dst, dayAbbreviation(days)...)
		dst = append(dst, ' ')
		month := monthNames[m-1][:3]
		if f.DateOrder == DMY {
			dst = append(append2(dst, d), ' ')
			dst = append(append(dst, month[0]-0x20), month[1:]...)
		} else {
			dst = append(append(dst, month[0]-0x20), month[1:]...)
			dst = append2(append(dst, ' '), d)
		}
		dst = append(dst, ' ')
		dst = AppendTimeOfDay(dst, micros)
		if y < 1 {
			y = 1 - y
			dst = appendWidth(append(dst, ' '), y, 4)
			y = 0
		} else {
			dst = appendWidth(append(dst, ' '), y, 4)
		}
	} else {
		dst = append(appendStyledDate(dst, y, m, d, f), ' ')
		dst = AppendTimeOfDay(dst, micros)
	}
	if withZone {
		if f.DateStyle == ISO {
			dst = appendOffset(dst, offset, false)
		} else {
			dst = append(dst, ' ')
			if isAlphaText(zone) {
				dst = append(dst, zone...)
			} else {
				dst = appendOffset(dst, offset, false)
			}
		}
	}
	if y < 1 {
		dst = append(dst, " BC"...)
	}
	return dst
}

func dayAbbreviation(days int) string {
	name := dayNames[Weekday(days)][:3]
	return string(name[0]-0x20) + name[1:]
}

func isAlphaText(s string) bool {
	for i := range len(s) {
		if !isAlpha(s[i]) {
			return false
		}
	}
	return s != ""
}

// AddInterval returns the timestamp ts + v: months first (the day is cut to the month's length), then days, then the
// rest. ok is false when the result is out of range. Infinite timestamps stay.
func AddInterval(ts int64, v Span) (sum int64, ok bool) {
	if ts == InfiniteTimestamp || ts == MinusInfiniteTimestamp {
		return ts, true
	}
	days, micros := SplitTimestamp(ts)
	if v.Months != 0 {
		y, m, d := CivilFromDays(days)
		months := int64(y)*12 + int64(m-1) + int64(v.Months)
		y, m = int(floorDiv64(months, 12)), int(months-floorDiv64(months, 12)*12)+1
		if y > maxYear+1 || y < minYear-2 {
			return 0, false
		}
		days = DaysFromCivil(y, m, min(d, DaysIn(y, m)))
	}
	d := int64(days) + int64(v.Days)
	if d > maxTimestampDays+1 || d < minDays-1 {
		return 0, false
	}
	sum = d*MicrosPerDay + micros
	total := sum + v.Micros
	if (v.Micros > 0) != (total > sum) && v.Micros != 0 || !TimestampInRange(total) {
		return 0, false
	}
	return total, true
}

// AddIntervalIn is AddInterval for an instant: months and days are counted on the clock at loc.
func AddIntervalIn(ts int64, v Span, loc *time.Location) (sum int64, ok bool) {
	if ts == InfiniteTimestamp || ts == MinusInfiniteTimestamp {
		return ts, true
	}
	if v.Months != 0 || v.Days != 0 {
		local, _, _ := LocalTimestamp(ts, loc)
		if local, ok = AddInterval(local, Span{Months: v.Months, Days: v.Days}); !ok {
			return 0, false
		}
		ts = InstantOf(local, loc)
	}
	return AddInterval(ts, Span{Micros: v.Micros})
}

func floorDiv64(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
