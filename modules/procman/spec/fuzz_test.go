package spec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// placed fails if an error of reading text has no line.
func placed(t *testing.T, err error) {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("%T: %v", err, err)
	}
	for _, e := range list {
		if e.Line < 1 || e.Column < 1 || e.Message == "" {
			t.Errorf("no place: %#v", e)
		}
		_ = e.Error()
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range goodFiles {
		f.Add([]byte(text))
	}
	for _, text := range []string{"a: *b", "? [a]\n: b", "<<: {a: 1}", "&a [*a]", "processes: {a: {<<: *x}}", "!!str : !!int", "- - - a", "\"", "a: |2\n  x", "%YAML 1.2\n---\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("/srv", "bop.yaml", text)
		if err != nil {
			placed(t, err)
			return
		}
		form, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Processes {
			Hash(Process{Name: p.Processes[i].Name, Command: p.Processes[i].Command})
		}
		again, err := Parse("/srv", "again.json", form)
		if err != nil {
			t.Fatalf("its JSON form has faults: %v\n%s", err, form)
		}
		p.EnvFiles = nil
		for i := range p.Processes {
			p.Processes[i].EnvFiles = nil
		}
		if _, err := p.Resolve(nil); err != nil {
			placed(t, err)
		}
		Diff(p, again)
	})
}

func FuzzCompose(f *testing.F) {
	f.Add([]byte(composeText))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "process-compose.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := LoadFile(path)
		if err != nil {
			placed(t, err)
			return
		}
		p.EnvFiles = nil
		for i := range p.Processes {
			p.Processes[i].EnvFiles = nil
		}
		if _, err := p.Resolve(nil); err != nil {
			placed(t, err)
		}
	})
}

func FuzzProcfile(f *testing.F) {
	f.Add([]byte("web: x $PORT\n# c\nb:y"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProcfile("/nonexistent", "Procfile", text)
		if err != nil {
			placed(t, err)
			return
		}
		if _, err := p.Resolve(nil); err != nil {
			t.Fatalf("all dollar signs are the shell's: %v", err)
		}
	})
}

func FuzzEnv(f *testing.F) {
	f.Add([]byte("export A='b'\nC=\"${A}\\n\" # x\nD=e"))
	f.Fuzz(func(t *testing.T, text []byte) {
		env, err := ParseEnv(".env", text, nil)
		if err != nil {
			placed(t, err)
			return
		}
		for _, v := range env {
			if !validEnvName(v.Name) {
				t.Errorf("%q", v.Name)
			}
		}
	})
}

func FuzzCron(f *testing.F) {
	for _, text := range []string{"* * * * *", "@daily", "CRON_TZ=UTC 1-5/2,9 */3 L jan-mar sun", "0 0 29 2 *"} {
		f.Add(text, int64(1e9))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		c, err := ParseCron(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line != 1 || e.Column < 1 {
				t.Fatalf("%#v", err)
			}
			return
		}
		from := time.Unix(at%4e9, 0).UTC()
		next := c.Next(from)
		if next.IsZero() || !next.After(from) || next.Second() != 0 && c.Location == nil {
			t.Errorf("%q after %s is %s", text, from, next)
		}
	})
}
