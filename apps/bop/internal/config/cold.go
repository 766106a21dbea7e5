package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// BucketURL names a bucket. It prints without a password, which doesn't belong into it but may be there by mistake.
type BucketURL string

// String implements fmt.Stringer.
func (b BucketURL) String() string {
	if !strings.Contains(string(b), "@") {
		return string(b)
	}
	u, err := url.Parse(string(b))
	if err != nil {
		return "[hidden]"
	}
	return u.Redacted()
}

func (b BucketURL) check() error {
	u, err := url.Parse(string(b))
	switch {
	case err != nil:
		return errors.New("--cold can't be read: give s3://BUCKET/PREFIX?endpoint=URL&region=R or file:///FOLDER")
	case u.User != nil:
		return errors.New("--cold: credentials don't belong into the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with ?profile=NAME")
	case u.Scheme != "s3" && u.Scheme != "file":
		return fmt.Errorf("--cold %s: give s3://BUCKET/PREFIX?endpoint=URL&region=R or file:///FOLDER", b)
	}
	return nil
}

// KeySpec says where the wrapping keys are: FILE, env:NAME or command:CMD. It prints without what may be secret: the
// arguments of a command, and a key that was given in place of a file's name.
type KeySpec string

// String implements fmt.Stringer.
func (k KeySpec) String() string {
	if cmd, ok := strings.CutPrefix(string(k), "command:"); ok {
		fields := strings.Fields(cmd)
		if len(fields) == 0 || strings.ContainsAny(fields[0], "='\"$`;|&(){}<>") || holdsKey(fields[0]) {
			return "command:[hidden]"
		}
		if len(fields) == 1 {
			return string(k)
		}
		return "command:" + fields[0] + " …"
	}
	if holdsKey(string(k)) {
		return "[hidden]"
	}
	return string(k)
}

// holdsKey tells whether one of a text's words is a key.
func holdsKey(text string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n:,", r) }), func(word string) bool {
		_, err := crypt.ParseKeys([]byte("k " + word))
		return err == nil
	})
}

// Size is a number of bytes, written like 10GiB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseSize reads a number with a unit, such as 10GiB or 1.5GB; without a unit it is bytes.
func ParseSize(text string) (Size, error) {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= (1<<62)/unit {
		return Size(n * unit), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" || f*float64(unit) > 1<<62 {
		return 0, fmt.Errorf("%q is no size: give a number and a unit, e.g. 512MiB or 10GiB", text)
	}
	return Size(f * float64(unit)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// String is what ParseSize reads; "" is 0.
func (s Size) String() string {
	if s == 0 {
		return ""
	}
	for _, u := range units {
		if strings.HasSuffix(u.name, "iB") && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// ParseDuration reads a duration as time.ParseDuration does, and days: 36h, 90d.
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: give a number and a unit, e.g. 15m, 6h or 30d", text)
	}
	return d, nil
}

// Schedule says how often snapshots are taken, written like full=24h,incremental=1h.
type Schedule sqlite.Schedule

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Schedule) UnmarshalText(text []byte) error {
	*s = Schedule{}
	return pairs(string(text), "full=24h,differential=6h,incremental=1h,verify=24h", s.fields())
}

// String is what UnmarshalText reads.
func (s Schedule) String() string { return join(s.fields()) }

func (s *Schedule) fields() []field {
	return []field{{"full", &s.Full}, {"differential", &s.Differential}, {"incremental", &s.Incremental}, {"verify", &s.Verify}}
}

// Retention says what is kept in the bucket, written like hourly=24,daily=7,log=168h.
type Retention backup.Retention

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Retention) UnmarshalText(text []byte) error {
	*r = Retention{}
	if err := pairs(string(text), "last=3,hourly=24,daily=7,weekly=4,monthly=12,max-age=365d,log=168h", r.fields()); err != nil {
		return err
	}
	for part := range strings.SplitSeq(string(text), ",") {
		if name, _, _ := strings.Cut(strings.TrimSpace(part), "="); name == "log" && r.Log == 0 {
			r.Log = -1 // it was said: not at all
		}
	}
	return nil
}

// String is what UnmarshalText reads.
func (r Retention) String() string {
	text := join(r.fields())
	if r.Log < 0 {
		return strings.TrimPrefix(text+",log=0", ",")
	}
	return text
}

func (r *Retention) fields() []field {
	return []field{{"last", &r.Last}, {"hourly", &r.Hourly}, {"daily", &r.Daily}, {"weekly", &r.Weekly}, {"monthly", &r.Monthly}, {"max-age", &r.MaxAge}, {"log", &r.Log}}
}

// field is one of the names in a text like full=24h,verify=24h: a *time.Duration or a *int.
type field struct {
	name string
	to   any
}

// pairs reads such a text.
func pairs(text, example string, fields []field) error {
	given := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case !ok || i < 0:
			var names []string
			for _, f := range fields {
				names = append(names, f.name)
			}
			return fmt.Errorf("%q: give NAME=VALUE with one of the names %s, e.g. %s", part, strings.Join(names, ", "), example)
		case given[name]:
			return fmt.Errorf("%s is given twice: give it once, e.g. %s", name, example)
		}
		given[name] = true
		switch to := fields[i].to.(type) {
		case *time.Duration:
			d, err := ParseDuration(value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			*to = d
		case *int:
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return fmt.Errorf("%s: %q is no number: give how many are kept, e.g. %s", name, value, example)
			}
			*to = int(n)
		}
	}
	return nil
}

// join writes such a text, without what is 0.
func join(fields []field) string {
	var parts []string
	for _, f := range fields {
		switch v := f.to.(type) {
		case *time.Duration:
			if *v > 0 {
				text := v.String()
				for _, zero := range []string{"m0s", "h0m"} {
					if strings.HasSuffix(text, zero) {
						text = text[:len(text)-2]
					}
				}
				parts = append(parts, f.name+"="+text)
			}
		case *int:
			if *v > 0 {
				parts = append(parts, f.name+"="+strconv.Itoa(*v))
			}
		}
	}
	return strings.Join(parts, ",")
}

// checkCold refuses settings of the bucket that contradict each other.
func (s *Serve) checkCold() error {
	if s.Cold == "" {
		for _, f := range []struct {
			flag  string
			given bool
		}{{"--cold-bytes", s.ColdBytes != 0}, {"--cold-log-bytes", s.ColdLogBytes != 0}, {"--snapshots", s.Snapshots != Schedule{}}} {
			if f.given {
				return fmt.Errorf("%s needs --cold: say in which bucket, e.g. --cold s3://backups/shop or --cold file:///mnt/backups", f.flag)
			}
		}
		return nil
	}
	for _, d := range []struct {
		flag string
		d    time.Duration
	}{{"--cold-log-interval", s.ColdLogInterval}, {"--cold-page-interval", s.ColdPageInterval}} {
		if d.d < 0 {
			return fmt.Errorf("%s %v: give a duration above 0, e.g. 1s", d.flag, d.d)
		}
	}
	return s.Cold.check()
}
