package spec

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var goodFiles = map[string]string{
	"the smallest": "processes:\n  a:\n    command: sleep 1\n",
	"empty":        "",
	"JSON":         `{"name": "shop", "processes": {"a": {"command": ["sleep", "1"], "ports": {"http": 0}}}}`,
	"everything": `
version: 1
name: shop
namespace: web
env: {A: "1", B: "${A}2"}
env_files: "?.env"
defaults:
  dir: sub
  shell: [bash, -ec]
  restart: {policy: on-failure, backoff: {initial: 200ms, max: 5s, factor: 1.5, jitter: 0}}
  stop: {timeout: 3s}
  logs: {max_bytes: 1MiB, keep: none}
  limits: {nofile: 1024}
  labels: {team: core}
shutdown: {order: parallel, timeout: 20s}
processes:
  db:
    description: the store
    command: [postgres, -D, data, -p, 5432]
    ports: [5432]
    ready: {tcp: port, every: 1s}
    live: {exec: pg_isready, delay: 3s}
    stop: {signal: SIGINT, timeout: 0s, order: 9}
    limits: {nofile: 4096, core: 0, as: 2GiB, memory: 512MiB, cpu: 1.5, pids: 100, nice: -5, oom_score_adj: -500, nproc: 9}
    user: postgres
    group: postgres
  migrate:
    command: ./migrate up
    kind: oneshot
    depends_on: {db: ready}
  api:
    command: exec ./api --port $PORT
    namespace: edge
    dir: api
    env: ["LOG=debug", "URL=http://${HOST:-localhost}/"]
    env_files: [api.env, "?local.env"]
    secrets: {DB_PASSWORD: secrets/db}
    replicas: 3
    ports: {http: 0, admin: 0}
    sockets: [{name: s, network: unix, address: run/api.sock}]
    stdin: pipe
    pty: true
    watchdog: 30s
    depends_on:
      - db
      - {process: migrate, condition: completed, on_restart: restart}
    ready: {http: {port: http, path: /health, headers: {X-A: b}, status: 204}, successes: 2, failures: 5, timeout: 1s, delay: 0s}
    live: {http: "http://localhost:80/live"}
    restart:
      policy: always
      reset_after: 2m
      window: {count: 3, per: 30s, then: hold}
      by_code: [{codes: [2, 64], action: stop}]
      group: g
      group_mode: rest-for-one
    stop: {command: [./stop, now]}
    stops_project: failure
    logs: {max_files: 3, max_age: 24h, compress: gzip, parse: json}
    serve: {port: http, listen: ":8080", mode: http, balance: least-connections, health: live, drain: 1s}
    labels: {tier: "1"}
  backup:
    command: ./backup
    schedule: {cron: "0 3 * * mon-fri", timezone: Europe/Berlin, overlap: queue, at_start: true}
  tick:
    command: ./tick
    schedule: {every: 30s}
    disabled: true
  nightly:
    command: ./n
    schedule: "@daily"
    restart: never
    depends_on:
      api: {condition: "log:listening on .*", on_restart: stop}
`,
}

func TestGoodFilesAreRead(t *testing.T) {
	p := parse(t, goodFiles["everything"])
	if len(p.Processes) != 6 || p.Processes[0].Name != "db" || p.Processes[5].Name != "nightly" {
		t.Fatalf("the processes aren't those of the file, in its order: %v", p)
	}
	api, _ := p.Process("api")
	db, _ := p.Process("db")
	tests := map[string][2]any{
		"a list is arguments":         {db.Command, Command{Args: []string{"postgres", "-D", "data", "-p", "5432"}}},
		"text is for the shell":       {api.Command, Command{Shell: "exec ./api --port $PORT"}},
		"a list of variables":         {api.Env, Env{{"LOG", "debug"}, {"URL", "http://${HOST:-localhost}/"}}},
		"the first port is port":      {db.Ports, Ports{{"port", 5432}}},
		"ports by name":               {api.Ports, Ports{{"http", 0}, {"admin", 0}}},
		"a size":                      {db.Limits.Memory, Size(512 << 20)},
		"a written 0 is kept":         {db.Limits.Core, Size(-1)},
		"a timeout of 0":              {db.Stop.Timeout, time.Duration(-1)},
		"a list of dependencies":      {api.DependsOn[0], Dependency{Process: "db"}},
		"a dependency with condition": {api.DependsOn[1], Dependency{"migrate", "completed", "restart"}},
		"a URL alone":                 {api.Live.HTTP.URL, "http://localhost:80/live"},
		"a secret is a file":          {api.Secrets, Secrets{{"DB_PASSWORD", "secrets/db"}}},
		"codes":                       {api.Restart.ByCode, []CodeAction{{[]int{2, 64}, "stop"}}},
		"one env file alone":          {p.EnvFiles, []string{"?.env"}},
	}
	for name, test := range tests {
		if !reflect.DeepEqual(test[0], test[1]) {
			t.Errorf("%s: got %v, want %v", name, test[0], test[1])
		}
	}
}

func TestFaults(t *testing.T) {
	const head = "processes:\n  api:\n    command: x\n"
	tests := []struct {
		name, text string
		line, col  int
		says       string
	}{
		{"an unknown key has a line, a column and what was meant", head + "    replcas: 2\n", 4, 5, `unknown key "replcas" (did you mean "replicas"?)`},
		{"an unknown key at the top", "procesess: {}\n", 1, 1, `did you mean "processes"?`},
		{"a wrong type", head + "    replicas: [1]\n", 4, 15, "want a number, got a list"},
		{"yes isn't a boolean", head + "    pty: yes\n", 4, 10, "want true or false"},
		{"a boolean in quotes isn't one", head + "    pty: \"true\"\n", 4, 10, "want true or false"},
		{"a number isn't a text", "name: 5\n", 1, 7, "want text, got a number (put it in quotes)"},
		{"text isn't a number", head + "    replicas: \"2\"\n", 4, 15, "want a number"},
		{"a duration without a unit", head + "    watchdog: 10\n", 4, 15, "write 10s for seconds"},
		{"a duration that isn't one", head + "    watchdog: soon\n", 4, 15, `got "soon"`},
		{"a duration below 0", head + "    watchdog: -1s\n", 4, 15, "less than 0"},
		{"a size that isn't one", head + "    limits: {memory: 5XB}\n", 4, 22, "want a size"},
		{"a wrong word", head + "    kind: deamon\n", 4, 11, `did you mean "daemon"?`},
		{"too many replicas", head + "    replicas: 2000\n", 4, 15, "more than 1000"},
		{"a name with a blank", "processes:\n  a b:\n    command: x\n", 2, 3, "isn't a name"},
		{"a name twice", head + "  api:\n    command: y\n", 4, 3, `the key "api" is there twice (it is first in line 2)`},
		{"no command", "processes:\n  api:\n    pty: true\n", 2, 3, "there is no command"},
		{"nothing at all", "processes:\n  api:\n", 2, 3, "there is no command"},
		{"an unknown dependency", head + "    depends_on: [ap]\n", 4, 18, `there is no process "ap" (did you mean "api"?)`},
		{"a cycle is named", "processes:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: [c]}\n  c: {command: x, depends_on: [a]}\n", 4, 31, "a -> b -> c -> a"},
		{"a process that waits for itself", head + "    depends_on: [api]\n", 4, 17, "api -> api"},
		{"a condition that isn't one", "processes:\n  a: {command: x, depends_on: {b: redy}}\n  b: {command: x}\n", 2, 0, `did you mean "ready"?`},
		{"a bad regular expression of a condition", "processes:\n  a: {command: x, depends_on: {b: \"log:(\"}}\n  b: {command: x}\n", 2, 0, "regular expression"},
		{"a bad regular expression of a probe", head + "    ready: {log: \"(\"}\n", 4, 18, "missing closing )"},
		{"a probe of two kinds", head + "    ready: {log: a, notify: true}\n", 4, 0, "asks one thing, this one 2"},
		{"a live probe of the log", head + "    live: {log: a}\n", 4, 0, "not that it is alive"},
		{"a bad URL", head + "    live: {http: \"ftp://a\"}\n", 4, 0, "isn't a URL"},
		{"a port that isn't there", head + "    ports: {http: 1}\n    ready: {tcp: htp}\n", 5, 0, `did you mean "http"?`},
		{"a port out of range", head + "    ports: [70000]\n", 4, 13, "more than 65535"},
		{"two processes on one port", head + "    ports: [80]\n  b:\n    command: x\n    ports: [80]\n", 7, 13, "the port 80 is taken by processes.api.ports[0]"},
		{"replicas on one port", head + "    ports: [80]\n    replicas: 2\n", 4, 13, "2 replicas can't all listen on 80"},
		{"a cron that isn't one", head + "    schedule: \"61 * * * *\"\n", 4, 15, `minute: "61" isn't from 0 to 59`},
		{"a schedule without a time", head + "    schedule: {at_start: true}\n", 4, 0, "there is no time"},
		{"a time zone that isn't one", head + "    schedule: {cron: \"@daily\", timezone: Mars}\n", 4, 0, "isn't known"},
		{"scheduled without a schedule", head + "    kind: scheduled\n", 4, 11, "needs a schedule"},
		{"a signal that isn't one", head + "    stop: {signal: SIGTREM}\n", 4, 20, `did you mean "SIGTERM"?`},
		{"a variable that isn't one", head + "    env: {1A: x}\n", 4, 11, "isn't the name of a variable"},
		{"a variable twice", head + "    env: [A=1, A=2]\n", 4, 16, "A is there twice"},
		{"serve without a port", head + "    serve: {listen: \":80\"}\n", 4, 0, "there is no port"},
		{"broken YAML", "processes:\n  api: [\n", 2, 0, ""},
		{"a tab", "processes:\n\tapi: 1\n", 2, 0, "tabs"},
		{"two documents", "name: a\n---\nname: b\n", 3, 0, "second document"},
		{"an alias of nothing", "name: *a\n", 1, 0, "no anchor"},
		{"a tag of a type", "name: !go/thing a\n", 1, 0, "tag"},
		{"a list at the top", "- a\n", 1, 0, "want a map, got a list"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			list := faultsOf(t, test.text)
			e := list[0]
			if e.File != "bop.yaml" || e.Line != test.line || test.col > 0 && e.Column != test.col {
				t.Errorf("at %s:%d:%d, want line %d column %d", e.File, e.Line, e.Column, test.line, test.col)
			}
			if len(list) > 1 {
				t.Errorf("%d faults are told: %v", len(list), list)
			}
			mustContain(t, e.Error(), test.says)
			if e.Excerpt == "" {
				t.Error("there is no excerpt")
			}
		})
	}
}

func TestAnExcerptPointsAtTheKey(t *testing.T) {
	got := faultsOf(t, "processes:\n  api:\n    comand: x\n")[0].Error()
	want := `bop.yaml:3:5: processes.api.comand: unknown key "comand" (did you mean "command"?)
    3 |     comand: x
      |     ^`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAllFaultsAreToldAtOnceUpToABound(t *testing.T) {
	list := faultsOf(t, "nam: a\nprocesses:\n  a: {command: x, pty: 3, replicas: x}\n  b: {command: x, depends_on: [q]}\n")
	if len(list) != 4 {
		t.Errorf("want 4 faults, got %v", list)
	}
	var b strings.Builder
	b.WriteString("processes:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  p%d: {command: x, nope: 1}\n", i)
	}
	if list := faultsOf(t, b.String()); len(list) != MaxErrors {
		t.Errorf("want %d faults, got %d", MaxErrors, len(list))
	}
}

func TestAliasesOfAliasesAreBounded(t *testing.T) {
	text := "x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n"
	for i := range 12 {
		text += fmt.Sprintf("x%d: &x%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i), 10), ","))
	}
	mustContain(t, faultsOf(t, text).Error(), "more than 50000 values")
}

func TestAnchorsAndMergeKeysWork(t *testing.T) {
	p := parse(t, "processes:\n  a: &a {command: x, pty: true, replicas: 2}\n  b:\n    <<: *a\n    replicas: 3\n")
	if b := p.Processes[1]; b.Command.Shell != "x" || !b.PTY || b.Replicas != 3 {
		t.Errorf("got %v", b)
	}
}

func TestDefaultsFillWhatIsNotSaid(t *testing.T) {
	p := parse(t, goodFiles["everything"])
	p.EnvFiles = nil
	for i := range p.Processes {
		p.Processes[i].EnvFiles = nil
	}
	r, err := p.Resolve([]string{"HOME=/root"})
	if err != nil {
		t.Fatal(err)
	}
	db, _ := r.Process("db")
	api, _ := r.Process("api")
	tick, _ := r.Process("tick")
	tests := map[string][2]any{
		"from the project":               {db.Restart.Policy, OnFailure},
		"the process wins":               {api.Restart.Policy, Always},
		"deeper too":                     {api.Restart.Backoff.Initial, 200 * time.Millisecond},
		"0 isn't nothing":                {api.Restart.Backoff.Jitter, -1.0},
		"built in":                       {db.Restart.Window.Count, 5},
		"half of a block":                {db.Limits.Nofile, int64(4096)},
		"the kind follows the schedule":  {tick.Kind, Scheduled},
		"the folder is absolute":         {db.Dir, "/srv/app/sub"},
		"its own folder is absolute":     {api.Dir, "/srv/app/api"},
		"secrets are absolute":           {api.Secrets[0].File, "/srv/app/secrets/db"},
		"the namespace is the project's": {db.Namespace, "web"},
		"labels are united":              {api.Labels, map[string]string{"team": "core", "tier": "1"}},
		"variables see those before":     {db.Env, Env{{"A", "1"}, {"B", "12"}}},
		"a variable with a default":      {api.Env[3].Value, "http://localhost/"},
		"the shell's own is left":        {api.Argv(), []string{"bash", "-ec", "exec ./api --port $PORT"}},
		"a probe's host":                 {api.Ready.HTTP.Host, "127.0.0.1"},
		"a probe's time":                 {db.Ready.Timeout, 2 * time.Second},
		"a condition by the probe":       {api.DependsOn[0].Condition, Ready},
		"a written time":                 {db.Ready.Every, time.Second},
	}
	for name, test := range tests {
		if !reflect.DeepEqual(test[0], test[1]) {
			t.Errorf("%s: got %v, want %v", name, test[0], test[1])
		}
	}
	if p.Processes[0].Ready.Timeout != 0 || p.Processes[2].DependsOn[0].Condition != "" || p.Processes[2].Ready.HTTP.Host != "" {
		t.Error("resolving changed the project it came from")
	}
	if again, err := r.Resolve(nil); again != r || err != nil {
		t.Error("resolving twice isn't the same")
	}
}

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "EMPTY": ""}[name]
		return v, ok
	}
	tests := []struct{ name, in, want, fault string }{
		{"a variable", "x${A}y", "x1y", ""},
		{"a default", "${B:-z}", "z", ""},
		{"a default of an empty one", "${EMPTY:-z}", "z", ""},
		{"an empty one", "${EMPTY}", "", ""},
		{"two dollar signs", "$${A} $$$$", "${A} $$", ""},
		{"what the shell replaces", "$A $(date) $1 $", "$A $(date) $1 $", ""},
		{"one that isn't set", "${B}", "", "the variable B isn't set"},
		{"no end", "${A", "", "there is no }"},
		{"no name", "${#A}", "", "isn't ${NAME}"},
		{"a value with a variable isn't looked at again", "${A:-${B}}", "1}", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := expand(test.in, lookup)
			if test.fault != "" {
				if err == nil {
					t.Fatalf("got %q", got)
				}
				mustContain(t, err.Error(), test.fault)
			} else if err != nil || got != test.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestAVariableThatIsNotSetIsToldWithItsPlace(t *testing.T) {
	p := parse(t, "processes:\n  api:\n    command: [x, \"${HOMM}\"]\n    labels: {a: \"${NO}\"}\n")
	_, err := p.Resolve([]string{"HOME=/root"})
	list := listOf(t, err)
	if len(list) != 1 || list[0].Line != 3 {
		t.Fatalf("got %v", list)
	}
	mustContain(t, list.Error(), `processes.api.command[1]: the variable HOMM isn't set (did you mean "HOME"?)`)
}

func TestSecretsAreShownNowhere(t *testing.T) {
	dir := folder(t, map[string]string{
		"bop.yaml": "env: {API_TOKEN: hunter2, PLAIN: seen}\nprocesses:\n  a:\n    command: \"run --token=${API_TOKEN} ${DB_PASSWORD}\"\n    env: {MY_SECRET: hunter3}\n    secrets: {KEY: key.txt}\n",
		"key.txt":  "hunter5",
	})
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve([]string{"DB_PASSWORD=hunter4"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Processes[0].Command.Shell != "run --token=hunter2 hunter4" {
		t.Fatalf("got %q", r.Processes[0].Command.Shell)
	}
	form, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	env, err := json.Marshal(r.Processes[0].Env)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(form), string(env), r.String(), p.String(), fmt.Sprint(*r), r.Processes[0].String(), fmt.Sprint(r.Processes[0]), fmt.Sprintf("%+v", r.Processes[0].Env),
	} {
		if strings.Contains(text, "hunter") {
			t.Errorf("a secret is in %s", text)
		}
	}
	mustContain(t, r.String(), "seen", "--token=***")
	list := faultsOf(t, "env: {DB_PASSWORD: hunter2, 1X: 3}\nprocesses: {a: {command: x, env: {API_KEY: \"hunter3\"}, nope: 1}}\n")
	if strings.Contains(list.Error(), "hunter") {
		t.Errorf("a secret is in %v", list)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "17": 17, "1k": 1024, "1kB": 1000, "1.5GiB": 3 << 29, "64MiB": 64 << 20, "2 GB": 2e9, "9B": 9} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1QB", "MiB", "1e99", "NaN", "inf", "9999999TiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%s: got %d", text, got)
		}
	}
}

func TestLoadTakesTheFirstFileThatIsThere(t *testing.T) {
	files := map[string]string{"Procfile": "p: x\n"}
	for _, name := range []string{"Procfile", "process-compose.yml", "process-compose.yaml", "bop.yaml"} {
		if name != "Procfile" {
			files[name] = "processes:\n  " + name[:1] + ":\n    command: x\n"
		}
		dir := folder(t, files)
		p, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(dir, name); p.Files[0] != want || p.Dir != dir || p.Name == "" {
			t.Errorf("got %v of %s", p.Files, p.Dir)
		}
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder without files was loaded")
	}
}
