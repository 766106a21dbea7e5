package spec

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

const stamp = "2006-01-02 15:04 MST"

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestCronNext(t *testing.T) {
	// The clock in Berlin goes from 2:00 to 3:00 on 29 March 2026 and from 3:00 back to 2:00 on 25 October 2026.
	tests := []struct {
		name, cron, zone, from string
		want                   []string
	}{
		{"every minute", "* * * * *", "UTC", "2026-01-01 00:00:30", []string{"2026-01-01 00:01 UTC", "2026-01-01 00:02 UTC"}},
		{"a time itself isn't after it", "0 3 * * *", "UTC", "2026-01-01 03:00:00", []string{"2026-01-02 03:00 UTC"}},
		{"steps", "*/20 * * * *", "UTC", "2026-01-01 23:30:00", []string{"2026-01-01 23:40 UTC", "2026-01-02 00:00 UTC"}},
		{"a step from a value", "50/5 * * * *", "UTC", "2026-01-01 00:00:00", []string{"2026-01-01 00:50 UTC", "2026-01-01 00:55 UTC", "2026-01-01 01:50 UTC"}},
		{"a list and a range", "0 1,8-9 * * *", "UTC", "2026-01-01 00:00:00", []string{"2026-01-01 01:00 UTC", "2026-01-01 08:00 UTC", "2026-01-01 09:00 UTC", "2026-01-02 01:00 UTC"}},
		{"names", "0 0 * feb Mon", "UTC", "2026-01-01 00:00:00", []string{"2026-02-02 00:00 UTC", "2026-02-09 00:00 UTC"}},
		{"7 is Sunday", "0 0 * * 7", "UTC", "2026-01-01 00:00:00", []string{"2026-01-04 00:00 UTC"}},
		{"to Sunday", "0 0 * * sat-sun", "UTC", "2026-01-01 00:00:00", []string{"2026-01-03 00:00 UTC", "2026-01-04 00:00 UTC", "2026-01-10 00:00 UTC"}},
		{"either of two days", "0 0 13 * fri", "UTC", "2026-01-08 00:00:00", []string{"2026-01-09 00:00 UTC", "2026-01-13 00:00 UTC", "2026-01-16 00:00 UTC"}},
		{"a leap day", "0 0 29 2 *", "UTC", "2096-03-01 00:00:00", []string{"2104-02-29 00:00 UTC"}},
		{"@yearly", "@yearly", "UTC", "2026-01-01 00:00:00", []string{"2027-01-01 00:00 UTC"}},
		{"@weekly", "@weekly", "UTC", "2026-01-01 00:00:00", []string{"2026-01-04 00:00 UTC"}},
		{"its own zone", "CRON_TZ=Asia/Tokyo 0 9 * * *", "UTC", "2026-01-01 00:30:00", []string{"2026-01-02 09:00 JST"}},
		{"@daily in a zone", "TZ=Asia/Tokyo @daily", "UTC", "2026-01-01 00:30:00", []string{"2026-01-02 00:00 JST"}},
		{"a time that is left out comes at the change", "30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", []string{"2026-03-29 03:00 CEST", "2026-03-30 02:30 CEST"}},
		{"a time that comes twice counts once", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", []string{"2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"}},
		{"every half hour goes on over the gap", "*/30 * * * *", "Europe/Berlin", "2026-03-29 01:00:00", []string{"2026-03-29 01:30 CET", "2026-03-29 03:00 CEST", "2026-03-29 03:30 CEST"}},
		{"every half hour goes on twice", "*/30 2 * * *", "Europe/Berlin", "2026-10-25 00:00:00", []string{"2026-10-25 02:00 CEST", "2026-10-25 02:30 CEST", "2026-10-25 02:00 CET", "2026-10-25 02:30 CET", "2026-10-26 02:00 CET"}},
		{"every hour at a minute", "5 * * * *", "Europe/Berlin", "2026-10-25 01:30:00", []string{"2026-10-25 02:05 CEST", "2026-10-25 02:05 CET", "2026-10-25 03:05 CET"}},
		{"a gap at midnight", "0 0 * * *", "Asia/Beirut", "2022-03-26 12:00:00", []string{"2022-03-27 01:00 EEST", "2022-03-28 00:00 EEST"}},
		{"a day that was left out", "0 12 30 12 *", "Pacific/Apia", "2011-12-29 12:00:00", []string{"2011-12-31 00:00 +14", "2012-12-30 12:00 +14"}},
		{"half an hour of change", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00", []string{"2026-10-04 02:30 +11", "2026-10-05 02:15 +11"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := ParseCron(test.cron)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.ParseInLocation("2006-01-02 15:04:05", test.from, zone(t, test.zone))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if at = c.Next(at); at.Format(stamp) != want {
					t.Fatalf("got %s, want %s", at.Format(stamp), want)
				}
			}
		})
	}
}

func TestCronFaults(t *testing.T) {
	tests := []struct {
		name, cron, says string
		col              int
	}{
		{"nothing", "", "want five fields, got 0", 1},
		{"four fields", "* * * *", "want five fields, got 4", 1},
		{"six fields", "* * * * * *", "want five fields, got 6", 1},
		{"a minute", "60 * * * *", `minute: "60" isn't from 0 to 59`, 1},
		{"an hour", "0 24 * * *", `hour: "24"`, 3},
		{"a day", "0 0 0 * *", `day of month: "0"`, 5},
		{"a month", "0 0 1 13 *", `month: "13"`, 7},
		{"a name", "0 0 1 jam *", `did you mean "jan"?`, 7},
		{"a weekday", "0 0 * * 8", `day of week: "8"`, 9},
		{"backwards", "0 0 5-1 * *", "goes backwards", 5},
		{"a step of 0", "*/0 * * * *", "the step", 1},
		{"half a list", "1, * * * *", `""`, 1},
		{"the last day", "0 0 L * *", "aren't supported", 5},
		{"a day that never is", "0 0 31 2,4 *", "never such a day", 5},
		{"reboot", "@reboot", "at_start: true", 1},
		{"every", "@every 5m", "use every:", 1},
		{"a word", "@dayly", `did you mean "@daily"?`, 1},
		{"a zone", "CRON_TZ=Mars 0 0 * * *", "Mars", 1},
		{"the machine's zone", "TZ=Local @daily", "isn't a time zone", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := ParseCron(test.cron)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v", c, err)
			}
			mustContain(t, err.Error(), test.says)
			if e.Line != 1 || e.Column != test.col {
				t.Errorf("at %d:%d, want column %d", e.Line, e.Column, test.col)
			}
		})
	}
}

// slowNext looks at each minute. It knows nothing of how Next works: it compares what the clock shows.
func slowNext(c *Cron, t time.Time, loc *time.Location, until time.Time) time.Time {
	wall := func(i time.Time) time.Time {
		_, offset := i.In(loc).Zone()
		return i.Add(time.Duration(offset) * time.Second).UTC()
	}
	matches := func(w time.Time) bool {
		return c.minute&(1<<w.Minute()) != 0 && c.hour&(1<<w.Hour()) != 0 && c.matchesDay(w)
	}
	for i := t.Truncate(time.Minute).Add(time.Minute); i.Before(until); i = i.Add(time.Minute) {
		w, before := wall(i), wall(i.Add(-time.Minute))
		if matches(w) {
			second := false
			if !c.steady {
				for j := 1; j <= 180 && !second; j++ {
					second = wall(i.Add(-time.Duration(j) * time.Minute)).Equal(w)
				}
			}
			if !second {
				return i
			}
		}
		if !c.steady {
			for left := before.Add(time.Minute); left.Before(w); left = left.Add(time.Minute) {
				if matches(left) {
					return i
				}
			}
		}
	}
	return time.Time{}
}

func randomCron(r *rand.Rand) string {
	num := func(low, high int) string { return strconv.Itoa(low + r.IntN(high-low+1)) }
	field := func(low, high int) string {
		switch r.IntN(5) {
		case 0:
			return "*"
		case 1:
			return "*/" + num(1, high/2)
		case 2:
			return num(low, high/2) + "-" + num(high/2, high)
		case 3:
			return num(low, high) + "," + num(low, high)
		default:
			return num(low, high)
		}
	}
	dom, dow := "*", "*"
	if r.IntN(3) == 0 {
		dom = field(1, 28)
	}
	if r.IntN(3) == 0 {
		dow = field(0, 7)
	}
	return field(0, 59) + " " + field(0, 4) + " " + dom + " * " + dow
}

func TestCronNextIsWhatLookingAtEachMinuteFinds(t *testing.T) {
	changes := map[string][]string{
		"Europe/Berlin":       {"2026-03-28", "2026-10-24", "2026-06-01"},
		"America/New_York":    {"2026-03-07", "2026-10-31"},
		"Australia/Lord_Howe": {"2026-04-04", "2026-10-03"},
		"Asia/Beirut":         {"2022-03-26", "2022-10-29"},
		"America/Havana":      {"2022-03-12", "2022-11-05"},
		"Africa/Casablanca":   {"2026-02-14", "2026-03-21"},
		"UTC":                 {"2026-12-30"},
	}
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	r := rand.New(rand.NewPCG(1, 2))
	for name, days := range changes {
		loc := zone(t, name)
		for _, day := range days {
			start, err := time.ParseInLocation("2006-01-02", day, loc)
			if err != nil {
				t.Fatal(err)
			}
			for range rounds {
				text := randomCron(r)
				c, err := ParseCron(text)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				at := start.Add(time.Duration(r.IntN(36*3600)) * time.Second)
				until := at.Add(4 * 24 * time.Hour)
				for range 4 {
					want := slowNext(c, at, loc, until)
					got := c.Next(at)
					if want.IsZero() {
						if !got.IsZero() && got.Before(until.Add(-time.Minute)) {
							t.Fatalf("%s in %s after %s: got %s, want none before %s", text, name, at, got, until)
						}
						break
					}
					if !got.Equal(want) {
						t.Fatalf("%s in %s after %s: got %s, want %s", text, name, at, got, want.In(loc))
					}
					at = got
				}
			}
		}
	}
}

func BenchmarkCronNext(b *testing.B) {
	loc := zone(b, "Europe/Berlin")
	for name, from := range map[string]time.Time{
		"plain": time.Date(2026, 6, 1, 12, 0, 0, 0, loc), "change": time.Date(2026, 3, 29, 1, 0, 0, 0, loc),
	} {
		b.Run(name, func(b *testing.B) {
			c, err := ParseCron("* * * * *")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				c.Next(from)
			}
		})
	}
}
