package spec

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestHash(t *testing.T) {
	dir := folder(t, map[string]string{"key": "1"})
	base := func() Process {
		return Process{Name: "a", Command: Command{Shell: "x"}, Secrets: Secrets{{"KEY", filepath.Join(dir, "key")}}, Env: Env{{"DB_PASSWORD", "1"}}}
	}
	h := Hash(base())
	if len(h) != 12 || h != Hash(base()) || h != Hash(base().Resolved()) {
		t.Errorf("the hash isn't steady: %s", h)
	}
	for name, change := range map[string]func(p *Process){
		"a command":               func(p *Process) { p.Command.Shell = "y" },
		"the value of a variable": func(p *Process) { p.Env[0].Value = "2" },
		"a probe":                 func(p *Process) { p.Ready = &Probe{Notify: true} },
		"the content of a secret": func(*Process) {
			if err := os.WriteFile(filepath.Join(dir, "key"), []byte("2"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		p := base()
		change(&p)
		if Hash(p) == h {
			t.Errorf("%s doesn't change the hash", name)
		}
	}
}

func TestDiff(t *testing.T) {
	old := parse(t, "processes:\n  a: {command: x}\n  b: {command: x, replicas: 2}\n  c: {command: x}\n  d: {command: x, restart: {backoff: {max: 9s}}}\n")
	now := parse(t, "processes:\n  e: {command: x}\n  a: {command: x}\n  b: {command: x, replicas: 3}\n  c: {command: y, ready: {notify: true}}\n")
	want := []Change{
		{"e", Added, nil, false},
		{"b", Changed, []string{"replicas"}, false},
		{"c", Changed, []string{"command", "ready"}, true},
		{"d", Removed, nil, false},
	}
	if got := Diff(old, now); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	again := parse(t, "processes:\n  d: {command: x, restart: {backoff: {max: 8s}}}\n")
	got := Diff(old, again)
	if i := slices.IndexFunc(got, func(c Change) bool { return c.Process == "d" }); got[i].Fields[0] != "restart.backoff.max" || got[i].Restart {
		t.Errorf("got %v", got)
	}
	if Diff(nil, nil) != nil || Diff(old, old) != nil {
		t.Error("nothing changed")
	}
}
