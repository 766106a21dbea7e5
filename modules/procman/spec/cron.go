package spec

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cron is a time table of five fields: minute, hour, day of month, month, day of week.
type Cron struct {
	// Location is the time zone of the fields; nil is that of the time given to Next.
	Location *time.Location

	minute, hour, day, month, weekday uint64 // a bit for each value
	anyDay, anyWeekday                bool   // the field begins with *
	steady                            bool   // minute or hour begins with *: it follows time, not the clock on the wall
	text                              string
}

type cronField struct {
	name      string
	low, high int
	names     []string // of the values from low on
}

var cronFields = [5]cronField{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var cronWords = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// ParseCron reads five fields, or @yearly, @monthly, @weekly, @daily or @hourly. A field is *, a value, a range 1-5, a
// step */10 or 10-50/10, or several of them with commas. Months and days of the week have names of three letters; 0 and
// 7 are Sunday. If neither day field begins with *, either of them is enough. CRON_TZ=Europe/Berlin before the fields
// sets the time zone. The error is an *Error in line 1.
func ParseCron(text string) (*Cron, error) {
	c := &Cron{text: strings.TrimSpace(text)}
	rest := text
	fail := func(at int, hint, format string, args ...any) (*Cron, error) {
		return nil, &Error{Line: 1, Column: at + 1, Message: "cron: " + fmt.Sprintf(format, args...), Hint: hint}
	}
	words, columns := cutWords(rest)
	if len(words) > 0 {
		name, zone, found := strings.Cut(words[0], "=")
		if found && (name == "CRON_TZ" || name == "TZ") {
			loc, err := LoadZone(zone)
			if err != nil {
				return fail(columns[0], "", "%s", err)
			}
			c.Location = loc
			words, columns = words[1:], columns[1:]
		}
	}
	if len(words) == 1 && strings.HasPrefix(words[0], "@") {
		fields, ok := cronWords[strings.ToLower(words[0])]
		if !ok {
			hint := meant(words[0], []string{"@yearly", "@monthly", "@weekly", "@daily", "@hourly"})
			if words[0] == "@reboot" {
				hint = "use at_start: true"
			}
			return fail(columns[0], hint, "%s isn't known", strconv.Quote(short(words[0])))
		}
		at := columns[0]
		words = strings.Fields(fields)
		columns = []int{at, at, at, at, at}
	}
	if len(words) > 1 && words[0] == "@every" {
		return fail(columns[0], "use every: instead of cron:", "@every isn't a time table")
	}
	if len(words) != 5 {
		return fail(0, "minute, hour, day of month, month, day of week", "want five fields, got %d", len(words))
	}
	sets := [5]*uint64{&c.minute, &c.hour, &c.day, &c.month, &c.weekday}
	for i, word := range words {
		set, err := cronFields[i].parse(word)
		if err != nil {
			return fail(columns[i], err.Hint, "%s", err.Message)
		}
		*sets[i] = set
	}
	if c.weekday&(1<<7) != 0 {
		c.weekday = c.weekday&^(1<<7) | 1
	}
	star := func(i int) bool { return words[i][0] == '*' || words[i][0] == '?' }
	c.anyDay, c.anyWeekday = star(2), star(4)
	c.steady = star(0) || star(1)
	if !c.happens() {
		return fail(columns[2], "", "there is never such a day")
	}
	return c, nil
}

// LoadZone is time.LoadLocation without "Local" and "", which mean another thing on each machine.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%s isn't a time zone", strconv.Quote(name))
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("the time zone %s isn't known", strconv.Quote(short(name)))
	}
	return loc, nil
}

func cutWords(text string) (words []string, columns []int) {
	start := -1
	for i := 0; i <= len(text); i++ {
		blank := i == len(text) || text[i] == ' ' || text[i] == '\t'
		switch {
		case !blank && start < 0:
			start = i
		case blank && start >= 0:
			words, columns, start = append(words, text[start:i]), append(columns, start), -1
		}
	}
	return words, columns
}

func (f *cronField) parse(word string) (set uint64, fault *Error) {
	bad := func(hint, format string, args ...any) (uint64, *Error) {
		return 0, &Error{Message: f.name + ": " + fmt.Sprintf(format, args...), Hint: hint}
	}
	for part := range strings.SplitSeq(word, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			var err error
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.high || stepText[0] == '+' {
				return bad("", "the step %s isn't from 1 to %d", strconv.Quote(short(stepText)), f.high)
			}
		}
		low, high := f.low, f.high
		switch first, last, ranged := strings.Cut(span, "-"); {
		case span == "*" || span == "?":
			if f.high == 7 {
				high = 6
			}
		default:
			var ok bool
			if low, ok = f.value(first); !ok {
				return bad(f.hint(first), "%s isn't from %d to %d", strconv.Quote(short(first)), f.low, f.high)
			}
			if !ranged {
				if !stepped {
					high = low
				}
				break
			}
			if high, ok = f.value(last); !ok {
				return bad(f.hint(last), "%s isn't from %d to %d", strconv.Quote(short(last)), f.low, f.high)
			}
			if f.high == 7 && high == 0 && low > 0 { // fri-sun
				high = 7
			}
			if low > high {
				return bad("", "the range %s goes backwards", strconv.Quote(short(span)))
			}
		}
		for v := low; v <= high; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

func (f *cronField) hint(s string) string {
	if strings.ContainsAny(s, "LW#") {
		return "L, W and # aren't supported"
	}
	return meant(s, f.names)
}

func (f *cronField) value(s string) (int, bool) {
	if i := slices.Index(f.names, strings.ToLower(s)); i >= 0 {
		return f.low + i, true
	}
	if s == "" || len(s) > 2 || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	i, err := strconv.Atoi(s)
	return i, err == nil && i >= f.low && i <= f.high
}

// happens tells whether there is any day: 30 February is none.
func (c *Cron) happens() bool {
	if c.day == 0 || c.month == 0 || c.weekday == 0 {
		return false
	}
	if !c.anyWeekday && !c.anyDay {
		return true
	}
	for m, days := range [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} {
		if c.month&(1<<(m+1)) != 0 && bits.TrailingZeros64(c.day) <= days {
			return true
		}
	}
	return false
}

// String is the text it was read from.
func (c *Cron) String() string { return c.text }

// Next is the first time after t, in t's location if c has none. The zero time means that there is none in 50 years.
//
// If the minute or the hour begins with *, it happens whenever the clock on the wall shows such a time: not at times
// that a change of the clock leaves out, and twice at those that come twice. Else it happens once for each such time of
// each day: at the change if the time is left out, and at the first of two.
func (c *Cron) Next(t time.Time) time.Time {
	loc := c.Location
	if loc == nil {
		loc = t.Location()
	}
	year, month, day := t.In(loc).Date()
	// The day before can still have times: the clock may have been put back over midnight.
	for i := -1; i < 50*366; i++ {
		d := time.Date(year, month, day+i, 12, 0, 0, 0, time.UTC)
		first := c.onDay(d, t, loc)
		if first.IsZero() {
			continue
		}
		if second := c.onDay(d.AddDate(0, 0, 1), t, loc); !second.IsZero() && second.Before(first) {
			first = second
		}
		return first.In(loc)
	}
	return time.Time{}
}

// onDay is the first time after t whose clock shows that day; zero if there is none.
func (c *Cron) onDay(d, t time.Time, loc *time.Location) (first time.Time) {
	if !c.matchesDay(d) {
		return time.Time{}
	}
	year, month, day := d.Date()
	_, before := d.Add(-40 * time.Hour).In(loc).Zone()
	_, after := d.Add(40 * time.Hour).In(loc).Zone()
	if before == after {
		return c.onPlainDay(d, t, time.Duration(before)*time.Second)
	}
	for hours := c.hour; hours != 0; hours &= hours - 1 {
		h := bits.TrailingZeros64(hours)
		wall := time.Date(year, month, day, h, 0, 0, 0, time.UTC)
		if t.Sub(wall) > 40*time.Hour { // more than any time zone is off
			continue
		}
		for minutes := c.minute; minutes != 0; minutes &= minutes - 1 {
			for _, at := range c.instants(wall.Add(time.Duration(bits.TrailingZeros64(minutes))*time.Minute), loc) {
				if !at.IsZero() && at.After(t) && (first.IsZero() || at.Before(first)) {
					first = at
				}
			}
		}
	}
	return first
}

// onPlainDay is onDay far from any change of the clock, which is nearly always: times come in the order of the clock.
func (c *Cron) onPlainDay(d, t time.Time, offset time.Duration) time.Time {
	midnight := d.Add(-12*time.Hour - offset)
	for hours := c.hour; hours != 0; hours &= hours - 1 {
		hour := midnight.Add(time.Duration(bits.TrailingZeros64(hours)) * time.Hour)
		if !hour.Add(time.Hour).After(t) {
			continue
		}
		for minutes := c.minute; minutes != 0; minutes &= minutes - 1 {
			if at := hour.Add(time.Duration(bits.TrailingZeros64(minutes)) * time.Minute); at.After(t) {
				return at
			}
		}
	}
	return time.Time{}
}

func (c *Cron) matchesDay(d time.Time) bool {
	if c.month&(1<<d.Month()) == 0 {
		return false
	}
	day, weekday := c.day&(1<<d.Day()) != 0, c.weekday&(1<<d.Weekday()) != 0
	if c.anyDay || c.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// instants are the times at which the clock in loc shows wall, by the rules of Next.
func (c *Cron) instants(wall time.Time, loc *time.Location) (at [2]time.Time) {
	_, before := wall.Add(-26 * time.Hour).In(loc).Zone()
	_, after := wall.Add(26 * time.Hour).In(loc).Zone()
	early := wall.Add(-time.Duration(before) * time.Second)
	late := wall.Add(-time.Duration(after) * time.Second)
	shows := func(i time.Time) bool {
		_, offset := i.In(loc).Zone()
		return i.Add(time.Duration(offset) * time.Second).Equal(wall)
	}
	switch a, b := shows(early), before != after && shows(late); {
	case a && b && c.steady:
		return [2]time.Time{early, late}
	case a:
		at[0] = early
	case b:
		at[0] = late
	case !c.steady: // left out: early is after the change that leaves it out
		at[0], _ = early.In(loc).ZoneBounds()
	}
	return at
}
