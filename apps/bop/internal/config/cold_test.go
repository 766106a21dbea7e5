package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  Size
		shown string // "": it is refused
	}{
		{"10GiB", 10 << 30, "10GiB"}, {"512 MiB", 512 << 20, "512MiB"}, {"1.5KiB", 1536, "1536B"}, {"10GB", 1e10, "9765625KiB"},
		{"4096", 4096, "4KiB"}, {"7", 7, "7B"}, {"1PiB", 1 << 50, "1PiB"}, {"10gib", 0, ""}, {"-1GiB", 0, ""}, {"GiB", 0, ""}, {"", 0, ""},
		{"1e3", 0, ""}, {"inf", 0, ""}, {"9999999PiB", 0, ""}, {"10 GiB/s", 0, ""}, {"0x10", 0, ""},
	} {
		got, err := ParseSize(c.text)
		if c.shown == "" {
			if err == nil || !strings.Contains(err.Error(), "e.g. 512MiB") {
				t.Errorf("%q is taken for %d, %v", c.text, got, err)
			}
			continue
		}
		if err != nil || got != c.want || got.String() != c.shown {
			t.Errorf("%q: %d, %q, %v", c.text, got, got.String(), err)
		}
	}
}

func FuzzSizesReadWhatTheyPrint(f *testing.F) {
	for _, text := range []string{"10GiB", "1.5MB", "", "0", "9223372036854775807", "1.7976931348623157e308B"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseSize(text)
		if err != nil || n == 0 {
			return
		}
		if again, err := ParseSize(n.String()); n < 0 || err != nil || again != n {
			t.Errorf("%q is %d, printed as %q, read as %d, %v", text, n, n.String(), again, err)
		}
	})
}

func TestSchedulesAndRules(t *testing.T) {
	for _, c := range []struct {
		name, text string
		into       interface {
			UnmarshalText([]byte) error
			fmt.Stringer
		}
		shown, refused string
	}{
		{"a schedule has any of the names", "full=24h, verify=7d", new(Schedule), "full=24h,verify=168h", ""},
		{"nothing is no schedule", "", new(Schedule), "", ""},
		{"minutes stay minutes", "incremental=90m,differential=30s", new(Schedule), "differential=30s,incremental=1h30m", ""},
		{"a name that isn't known is told with those that are", "fully=24h", new(Schedule), "", "full, differential, incremental, verify"},
		{"a name needs a value", "full", new(Schedule), "", "NAME=VALUE"},
		{"a duration needs a unit", "full=24", new(Schedule), "", `full: "24" is no duration`},
		{"a duration isn't below 0", "full=-1h", new(Schedule), "", "no duration"},
		{"a name is given once", "full=1h,full=2h", new(Schedule), "", "full is given twice"},
		{"rules have counts and durations", "last=3,hourly=24,daily=7,weekly=4,monthly=12,max-age=365d,log=168h", new(Retention), "last=3,hourly=24,daily=7,weekly=4,monthly=12,max-age=8760h,log=168h", ""},
		{"no log is not the default", "daily=7,log=0h", new(Retention), "daily=7,log=0", ""},
		{"and what that prints is read", "log=0", new(Retention), "log=0", ""},
		{"a count is a number", "daily=7d", new(Retention), "", `daily: "7d" is no number`},
		{"a count isn't below 0", "last=-1", new(Retention), "", "no number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.into.UnmarshalText([]byte(c.text))
			switch {
			case c.refused == "" && (err != nil || c.into.String() != c.shown):
				t.Errorf("%q, %v; want %q", c.into, err, c.shown)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("error %v, want one with %q", err, c.refused)
			}
		})
	}
	var r Retention
	if err := r.UnmarshalText([]byte("log=0s")); err != nil || r.Log >= 0 {
		t.Errorf("log=0s keeps %v, %v: 0 would be the engine's default", r.Log, err)
	}
}

func FuzzRulesReadWhatTheyPrint(f *testing.F) {
	for _, text := range []string{"hourly=24,daily=7,weekly=4,log=168h", "log=0s", "max-age=1.5h,last=0", "=,", "full=24h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, again Retention
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%q is %+v, printed as %q, read as %+v, %v", text, r, r, again, err)
		}
	})
}

func TestTheBucketsSettings(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Serve
		want string // part of the error, "" none
	}{
		{"a bucket is enough", Serve{Cold: "s3://b/p?region=r"}, ""},
		{"a folder is one", Serve{Cold: "file:///mnt/b", ColdBytes: 1 << 30, Snapshots: Schedule{Full: time.Hour}}, ""},
		{"a bound of the disk needs a bucket", Serve{ColdBytes: 1}, "--cold-bytes needs --cold"},
		{"a bound of the log does", Serve{ColdLogBytes: 1}, "--cold-log-bytes needs --cold"},
		{"snapshots do", Serve{Snapshots: Schedule{Full: 1}}, "--snapshots needs --cold"},
		{"memory is no place to keep anything", Serve{Cold: "mem:"}, "s3://"},
		{"a path alone is no URL", Serve{Cold: "/mnt/b"}, "file:///FOLDER"},
		{"secrets don't belong into the URL", Serve{Cold: "s3://me:secret@b/p"}, "credentials"},
		{"time doesn't run backwards", Serve{Cold: "s3://b", ColdLogInterval: -1}, "--cold-log-interval"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.DataDir, c.s.PG, c.s.MySQL, c.s.HTTP, c.s.Raft = "d", "127.0.0.1:1", Off, Off, "127.0.0.1:0"
			err := c.s.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the secret is told: %v", err)
			}
		})
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	_, key, _ := strings.Cut(strings.TrimSpace(crypt.GenerateKey("k")), " ")
	for _, c := range []struct{ spec, shown string }{
		{"/etc/bop/keys", "/etc/bop/keys"}, {"env:BOP_KEYS", "env:BOP_KEYS"}, {"command:/usr/bin/vault kv get -token=" + key, "command:/usr/bin/vault …"},
		{"command:gettool", "command:gettool"}, {"command:TOKEN=abc gettool", "command:[hidden]"}, {"command:", "command:[hidden]"},
		{key, "[hidden]"}, {"main " + key, "[hidden]"}, {"env:" + key, "[hidden]"}, {"command:" + key + " x", "command:[hidden]"},
	} {
		if got := KeySpec(c.spec).String(); got != c.shown {
			t.Errorf("%q is shown as %q, want %q", c.spec, got, c.shown)
		}
	}
	if got := BucketURL("s3://me:secret@b/p").String(); strings.Contains(got, "secret") {
		t.Error(got)
	}
	for _, s := range Settings(&Serve{KeyFile: KeySpec("command:x --token " + key), Cold: "s3://me:secret@b/p"}, nil, nil) {
		if strings.Contains(s.Value, key) || strings.Contains(s.Value, "secret") {
			t.Errorf("%s shows %q", s.Name, s.Value)
		}
	}
}

func TestTheFileHasSizesAndRules(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bop.conf.yaml")
	for _, c := range []struct{ text, refused string }{
		{"cold: file:///mnt/b\ncold-bytes: 10GiB\ncold-log-interval: 2s\nsnapshots: full=24h\nretention: daily=7,log=0s\nkey-file: env:KEYS\n", ""},
		{"cold-bytes: 1048576\n", ""},
		{"cold-bytes: much\n", "no size"},
		{"retention: dayly=7\n", "monthly"},
	} {
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadFile(name)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.refused)
		}
	}
}
