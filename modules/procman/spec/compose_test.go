package spec

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const composeText = `
version: "0.5"
x-note: anything
is_tui_disabled: yes
log_level: debug
log_length: 500
environment:
  - GREETING=hi
  - ESCAPED=$$HOME
vars:
  NAME: shop
  LIMIT: 3
shell: {shell_command: zsh, shell_argument: -c}
log_configuration:
  rotation: {max_size_mb: 2, max_backups: 4, max_age_days: 3, compress: true}
  no_color: true
processes:
  db:
    command: "postgres -D {{.NAME}} ${PGOPTS} $(date) $1"
    working_dir: ./data
    is_tty: true
    namespace: store
    availability:
      restart: on_failure
      backoff_seconds: ${WAIT_SEC}
      max_restarts: 5
    readiness_probe:
      exec: {command: pg_isready}
      initial_delay_seconds: 2
      period_seconds: 3
      timeout_seconds: 4
      success_threshold: 5
      failure_threshold: 6
    shutdown: {signal: 2, timeout_seconds: 7, parent_only: yes}
  migrate:
    entrypoint: [./migrate, up]
    depends_on: {db: {condition: process_healthy}}
  web:
    command: run
    replicas: 2
    environment: {A: b}
    ready_log_line: "listening (on"
    liveness_probe:
      http_get: {host: localhost, path: live, port: "80{{.LIMIT}}", headers: {X: y}}
    depends_on:
      migrate: {condition: process_completed_successfully}
      db: process_started
    availability: {restart: always}
    lunch_timeout_seconds: 4
    namespace: [front, all]
    watch: {paths: [src]}
  tests:
    command: go test
    availability: {exit_on_end: true}
    depends_on: {web: {condition: process_log_ready}, migrate: {condition: process_completed}}
    disabled: true
  nightly:
    command: backup
    schedule: {cron: "0 3 * * *", timezone: UTC, run_on_start: true}
  poll:
    command: poll
    is_disabled: "true"
    schedule: {interval: 30s, max_concurrent: 3}
  check:
    command: which go
    availability: {restart: exit_on_failure}
    success_exit_codes: [130]
  bg:
    command: nginx
    is_daemon: true
    shutdown: {command: nginx -s stop}
    launch_timeout_seconds: 3
`

func loadComposeText(t *testing.T, files map[string]string) *Project {
	t.Helper()
	p, err := Load(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProcessComposeFileIsMapped(t *testing.T) {
	t.Setenv("WAIT_SEC", "4")
	p := loadComposeText(t, map[string]string{"process-compose.yaml": composeText, ".env": "PGOPTS=-i\n"})
	r, err := p.Resolve([]string{"X=1"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string) Process {
		proc, ok := r.Process(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		return proc
	}
	db, web := get("db"), get("web")
	greeting, _ := db.Env.Get("GREETING")
	escaped, _ := db.Env.Get("ESCAPED")
	tests := map[string][2]any{
		"templates and variables":  {db.Command.Shell, "postgres -D shop -i $(date) $1"},
		"the shell":                {db.Shell, []string{"zsh", "-c"}},
		"the folder":               {db.Dir, p.Dir + "/data"},
		"a terminal":               {db.PTY, true},
		"the namespace":            {db.Namespace, "store"},
		"global variables":         {greeting, "hi"},
		"an escaped variable":      {escaped, "$HOME"},
		"the policy":               {db.Restart.Policy, OnFailure},
		"the wait doesn't grow":    {db.Restart.Backoff, Backoff{4 * time.Second, 4 * time.Second, 1, -1}},
		"the number of restarts":   {db.Restart.Window, Window{5, forever, "fail"}},
		"the probe":                {*db.Ready, Probe{Exec: Command{Shell: "pg_isready"}, Delay: 2 * time.Second, Every: 3 * time.Second, Timeout: 4 * time.Second, Successes: 5, Failures: 6}},
		"the signal":               {db.Stop, Stop{Signal: "SIGINT", Timeout: 7 * time.Second}},
		"rotation":                 {[]any{db.Logs.MaxBytes, db.Logs.MaxFiles, db.Logs.MaxAge, db.Logs.Compress}, []any{Size(2 << 20), 5, 72 * time.Hour, "gzip"}},
		"entrypoint":               {get("migrate").Command.Args, []string{"./migrate", "up"}},
		"healthy is ready":         {get("migrate").DependsOn, Dependencies{{"db", Ready, "ignore"}}},
		"waited for its end":       {get("migrate").Kind, Oneshot},
		"conditions":               {web.DependsOn, Dependencies{{"migrate", Completed, "ignore"}, {"db", Started, "ignore"}}},
		"more conditions":          {get("tests").DependsOn, Dependencies{{"web", Ready, "ignore"}, {"migrate", Exited, "ignore"}}},
		"a log line":               {web.Ready.Log, `listening \(on`},
		"http":                     {*web.Live.HTTP, HTTPProbe{Scheme: "http", Host: "localhost", Port: "803", Path: "/live", Method: "GET", Headers: map[string]string{"X": "y"}, Status: 200}},
		"the probe's own defaults": {[]any{web.Live.Every, web.Live.Timeout, web.Live.Failures}, []any{10 * time.Second, time.Second, 3}},
		"unlimited":                {web.Restart.Window.Count, -1},
		"codes that are good":      {get("check").Restart.ByCode, []CodeAction{{[]int{130}, "stop"}}},
		"the first namespace":      {web.Namespace, "front"},
		"no restart":               {get("tests").Restart.Policy, Never},
		"the end of all":           {get("tests").StopsProject, "exit"},
		"the end of all on errors": {get("check").StopsProject, "failure"},
		"disabled":                 {[]bool{get("tests").Disabled, get("poll").Disabled, web.Disabled}, []bool{true, true, false}},
		"a schedule":               {*get("nightly").Schedule, Schedule{Cron: "0 3 * * *", Timezone: "UTC", Overlap: "skip", AtStart: true}},
		"an interval":              {*get("poll").Schedule, Schedule{Every: 30 * time.Second, Overlap: "allow"}},
		"a stop command":           {get("bg").Stop.Command.Shell, "nginx -s stop"},
		"all stop at once":         {r.Shutdown.Order, "parallel"},
	}
	for name, test := range tests {
		if !reflect.DeepEqual(test[0], test[1]) {
			t.Errorf("%s: got %v, want %v", name, test[0], test[1])
		}
	}
	var notes strings.Builder
	for _, n := range p.Notes {
		if n.Line < 1 || n.Column < 1 || n.File == "" {
			t.Errorf("%v has no place", n)
		}
		notes.WriteString(n.String() + "\n")
	}
	mustContain(t, notes.String(),
		"log_level: not supported", "log_length: not supported", "log_configuration.no_color: not supported",
		"process-compose.yaml:34:60: processes.db.shutdown.parent_only: not supported",
		"processes.web.watch: not supported", "processes.web.namespace: mapped differently",
		"processes.web.replicas: mapped differently", `processes.web.lunch_timeout_seconds: unknown key: did you mean "launch_timeout_seconds"?`,
		"processes.poll.schedule.max_concurrent: mapped differently", "processes.bg.is_daemon: mapped differently", "processes.bg.launch_timeout_seconds: not supported")
	if strings.Contains(notes.String(), "x-note") || strings.Contains(notes.String(), "is_tui_disabled") {
		t.Errorf("there are notes of what needs none:\n%s", notes.String())
	}
	form, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(p.Dir, "bop.json", form); err != nil {
		t.Errorf("as bop.yaml it has faults: %v", err)
	}
}

func TestAnOverrideFileIsMergedOver(t *testing.T) {
	p := loadComposeText(t, map[string]string{
		"process-compose.yml":           "processes:\n  a:\n    command: x\n    environment: [A=1, B=2]\n    disabled: true\n    depends_on: {b: {condition: process_started}}\n  b: {command: y}\n  d: {command: y}\n",
		"process-compose.override.yaml": "processes:\n  a:\n    command: z\n    environment: [B=3, C=4]\n    disabled: false\n    depends_on: {d: {condition: process_completed}}\n  c: {command: y}\n",
	})
	a, _ := p.Process("a")
	if a.Command.Shell != "z" || a.Disabled || len(a.DependsOn) != 2 || len(p.Processes) != 4 || len(p.Files) != 2 {
		t.Errorf("got %v", p)
	}
	if got := strings.Join(a.Env.Strings(), " "); got != "PC_PROC_NAME=a PC_REPLICA_NUM=0 A=1 B=3 C=4" {
		t.Errorf("got %s", got)
	}
}

func TestFaultsOfAnOverrideFileNameIt(t *testing.T) {
	_, err := Load(folder(t, map[string]string{
		"process-compose.yaml":          "processes: {a: {command: x}}\n",
		"process-compose.override.yaml": "processes:\n  a:\n    replicas: many\n",
	}))
	if e := listOf(t, err)[0]; !strings.HasSuffix(e.File, "override.yaml") || e.Line != 3 {
		t.Errorf("got %v", e)
	}
}

func TestExtends(t *testing.T) {
	p := loadComposeText(t, map[string]string{
		"process-compose.yaml": "extends: base.yaml\nprocesses: {a: {working_dir: /tmp}}\n",
		"base.yaml":            "processes: {a: {command: x}}\n",
	})
	if a := p.Processes[0]; a.Command.Shell != "x" || a.Dir != "/tmp" || len(p.Files) != 2 {
		t.Errorf("got %v of %v", a, p.Files)
	}
	_, err := Load(folder(t, map[string]string{
		"process-compose.yaml": "extends: b.yaml\n", "b.yaml": "extends: process-compose.yaml\n",
	}))
	mustContain(t, listOf(t, err).Error(), "extend each other")
	for _, base := range []string{"none.yaml", ".", "/dev/zero"} {
		_, err := Load(folder(t, map[string]string{"process-compose.yaml": "extends: " + base + "\n"}))
		if e := listOf(t, err)[0]; e.Line != 1 || e.Path != "extends" {
			t.Errorf("got %v", e)
		}
	}
}

func TestStrictAndFaultyProcessComposeFiles(t *testing.T) {
	tests := []struct {
		name, text, says string
		line             int
	}{
		{"strict", "is_strict: true\nprocesses:\n  a: {commnad: x, command: y}\n", `did you mean "command"?`, 3},
		{"a condition", "processes:\n  a: {command: x, depends_on: {b: {condition: process_completed_successfuly}}}\n  b: {command: y}\n", `did you mean "process_completed_successfully"?`, 2},
		{"a dependency", "processes:\n  a: {command: x, depends_on: {q: {}}}\n", `there is no process "q"`, 2},
		{"a cycle", "processes:\n  a: {command: x, depends_on: {b: {}}}\n  b: {command: y, depends_on: {a: {}}}\n", "a -> b -> a", 3},
		{"an interval", "processes:\n  a: {command: x, schedule: {interval: soon}}\n", `got "soon"`, 2},
		{"a log line and a probe", "processes:\n  a: {command: x, ready_log_line: y, readiness_probe: {exec: {command: z}}}\n", "can't go together", 2},
		{"no command", "processes:\n  a: {}\n", "there is no command", 2},
		{"a cron", "processes:\n  a:\n    command: x\n    schedule:\n      cron: \"* *\"\n", "five fields", 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(folder(t, map[string]string{"process-compose.yaml": test.text}))
			list := listOf(t, err)
			if list[0].Line != test.line {
				t.Errorf("got %v, want line %d", list, test.line)
			}
			mustContain(t, err.Error(), test.says)
		})
	}
}

func TestToExpand(t *testing.T) {
	for in, want := range map[string]string{
		"$A ${B} ${C:-d}": "${A:-} ${B:-} ${C:-d}", "$$A": "$$A", "$(x) $1 $": "$$(x) $$1 $$", "${#a} ${a%b}": "$${#a} $${a%b}", "a$AB-c": "a${AB:-}-c",
	} {
		if got := toExpand(in, true); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := toExpand("$A $$", false); got != "$$A $$$$" {
		t.Errorf("got %s", got)
	}
}

// Every key that the reader knows has to be in the table, so that people find out what becomes of it.
func TestComposeTableHasEveryKey(t *testing.T) {
	table, err := os.ReadFile("COMPOSE.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	modelTypes(typeOf[composeProject](), seen)
	for typ := range seen {
		for _, f := range fieldsOf(typ) {
			if !strings.Contains(string(table), "`"+f.key+"`") {
				t.Errorf("%s isn't in COMPOSE.md", f.key)
			}
		}
	}
}
