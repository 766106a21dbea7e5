package target

import (
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/backup"
)

func TestTargets(t *testing.T) {
	place := time.FixedZone("there", 2*3600)
	evening := time.Date(2026, 11, 30, 16, 0, 5, 0, time.UTC)
	for _, c := range []struct {
		text, refused string
		want          backup.Target
	}{
		{"", "", backup.Target{Latest: true}},
		{"latest", "", backup.Target{Latest: true}},
		{" 4711 ", "", backup.Target{TXID: 4711}},
		{"18446744073709551615", "", backup.Target{TXID: 1<<64 - 1}},
		{"2026-11-30T18:00:05+02:00", "", backup.Target{Time: evening}},
		{"2026-11-30T16:00:05.000001Z", "", backup.Target{Time: evening.Add(time.Microsecond)}},
		{"2026-11-30 18:00:05", "", backup.Target{Time: evening}},
		{"2026-11-30 18:00:05.5", "", backup.Target{Time: evening.Add(time.Second / 2)}},
		{"2026-11-30T18:00", "", backup.Target{Time: evening.Add(-5 * time.Second)}},
		{"0", "no transaction 0", backup.Target{}},
		{"-1", "no version", backup.Target{}},
		{"2026-11-30", "no version", backup.Target{}},
		{"yesterday", `"2026-11-30 18:00:05"`, backup.Target{}},
		{"0001-01-01T00:00:00Z", "before 1970", backup.Target{}},
		{"9999-12-31T23:00:00-07:00", "too late", backup.Target{}},
	} {
		got, err := Parse(c.text, place)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q: error %v, want one with %q", c.text, err, c.refused)
			}
			continue
		}
		if err != nil || got.TXID != c.want.TXID || got.Latest != c.want.Latest || !got.Time.Equal(c.want.Time) {
			t.Errorf("%q is %+v, %v", c.text, got, err)
		}
	}
}

func FuzzTargetsReadWhatTheyPrint(f *testing.F) {
	for _, text := range []string{"latest", "17", "2026-11-30 18:00:05.25", "2026-11-30T18:00:05.123456789+14:00", "9999-12-31T23:59:59Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text, time.FixedZone("there", -7*3600))
		if err != nil {
			return
		}
		b, err := Parse(Text(a), time.UTC)
		if err != nil || a.TXID != b.TXID || a.Latest != b.Latest || !a.Time.Equal(b.Time) {
			t.Errorf("%q is %+v, printed as %q, read as %+v, %v", text, a, Text(a), b, err)
		}
	})
}
