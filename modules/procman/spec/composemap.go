package spec

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// mapper turns a process-compose project into the model.
type mapper struct {
	*decoder
	c composeProject
	p *Project
}

// forever is long enough for a count over a whole lifetime.
const forever = 10 * 365 * 24 * time.Hour

func mapCompose(dir string, files []string, root *node) (*Project, error) {
	m := &mapper{decoder: &decoder{compose: true, where: map[string]pos{"": root.at}}}
	m.p = &Project{Dir: dir, Files: files}
	dotenv := Env(nil)
	if text, err := os.ReadFile(filepath.Join(dir, ".env")); err == nil {
		dotenv, _ = ParseEnv(".env", text, os.LookupEnv) // Resolve tells its faults
		m.p.EnvFiles = []string{".env"}
	}
	m.lookup = func(name string) string {
		if v, ok := os.LookupEnv(name); ok {
			return v
		}
		v, _ := dotenv.Get(name)
		return v
	}
	if n := root.get("is_strict"); n != nil {
		m.strict = n.text == "true" || n.text == "yes"
	}
	m.value(root, "", reflect.ValueOf(&m.c).Elem(), "")
	if len(m.list) == 0 {
		m.project()
		m.p.where = m.composeWhere()
		validate(m.p, &m.faults)
	}
	slices.SortStableFunc(m.notes, func(a, b Note) int { return a.Line - b.Line })
	m.p.Notes = m.notes
	return m.p.orError(&m.faults)
}

// renamed are the keys that validate names otherwise than the file does.
var renamed = strings.NewReplacer(
	".readiness_probe", ".ready", ".liveness_probe", ".live", ".availability", ".restart", ".shutdown", ".stop",
	".working_dir", ".dir", ".environment", ".env", ".http_get", ".http", ".interval", ".every",
)

func (m *mapper) composeWhere() map[string]pos {
	all := maps.Clone(m.where)
	for path, at := range m.where {
		all[renamed.Replace(path)] = at
	}
	return all
}

// noted tells that a key has no effect, if it is there.
func (m *mapper) noted(path, message string) {
	if at, ok := m.where[path]; ok {
		m.note(at, path, "%s", message)
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func (m *mapper) text(s string, vars map[string]string, path string) string {
	return toExpand(m.template(s, vars, path), !m.c.DisableEnvExpansion)
}

// template is a Go template's {{.NAME}}, or {{ "text" }}.
var template = regexp.MustCompile(`\{\{\s*(?:\.([A-Za-z_][A-Za-z0-9_]*)|"([^"]*)"|` + "`([^`]*)`" + `)\s*\}\}`)

func (m *mapper) template(s string, vars map[string]string, path string) string {
	if vars == nil || !strings.Contains(s, "{{") {
		return s
	}
	out := template.ReplaceAllStringFunc(s, func(t string) string {
		parts := template.FindStringSubmatch(t)
		if parts[1] == "" {
			return parts[2] + parts[3]
		}
		v, ok := vars[parts[1]]
		if !ok {
			m.note(placeOf(m.where, path), path, "the variable .%s isn't in vars, it is empty", parts[1])
		}
		return v
	})
	if rest := template.ReplaceAllString(s, ""); strings.Contains(rest, "{{") {
		m.note(placeOf(m.where, path), path, "only {{.NAME}} and {{ \"text\" }} of templates are supported, the rest is kept as it is")
	}
	return out
}

func (m *mapper) project() {
	c, p := &m.c, m.p
	p.Name = ""
	if validName(c.Name) {
		p.Name = c.Name
	}
	for _, v := range c.Environment {
		p.Env = append(p.Env, EnvVar{v.Name, m.text(v.Value, nil, "environment")})
	}
	if len(c.EnvFile) > 0 {
		p.EnvFiles = c.EnvFile
	}
	p.Shutdown.Order = "parallel"
	if c.OrderedShutdown {
		p.Shutdown.Order = "reverse"
	}
	p.Defaults.Shell = []string{"bash", "-c"}
	if c.Shell.Command != "" {
		p.Defaults.Shell = []string{c.Shell.Command}
		if c.Shell.Argument != "" {
			p.Defaults.Shell = append(p.Defaults.Shell, c.Shell.Argument)
		}
	}
	p.Defaults.Logs = m.logs(&c.LogConfiguration, "log_configuration")
	m.noted("env_cmds", "not supported: commands aren't run to make variables")
	m.noted("log_location", "not supported: logs are kept by BOP")
	m.noted("log_level", "not supported: it is process-compose's own log")
	m.noted("log_length", "not supported: logs are on disk, not in memory")
	m.noted("log_format", "not supported")
	m.noted("shell.elevated_shell_command", "not supported")
	m.noted("shell.elevated_shell_argument", "not supported")
	completed := map[string]bool{}
	for i := range c.Processes {
		for _, dep := range c.Processes[i].DependsOn {
			if strings.HasPrefix(dep.Condition, "process_completed") {
				completed[dep.Process] = true
			}
		}
	}
	for i := range c.Processes {
		p.Processes = append(p.Processes, m.process(&c.Processes[i], completed[c.Processes[i].Name]))
	}
}

func (m *mapper) process(c *composeProcess, completed bool) Process {
	path := join("processes", c.Name)
	vars := maps.Clone(m.c.Vars)
	if vars == nil {
		vars = map[string]string{}
	}
	maps.Copy(vars, c.Vars)
	vars["PC_REPLICA_NUM"] = "0"
	if c.NoTemplates {
		vars = nil
	}
	p := Process{
		Name: c.Name, Namespace: m.namespace(c, path), Description: m.template(c.Description, vars, join(path, "description")),
		Dir: m.text(c.WorkingDir, vars, join(path, "working_dir")), PTY: c.IsTTY, Replicas: c.Replicas,
		Disabled: c.Disabled, Logs: m.logs(&c.LogConfiguration, join(path, "log_configuration")), EnvFiles: c.EnvFile,
	}
	p.Env = Env{{"PC_PROC_NAME", c.Name}}
	if c.Replicas <= 1 {
		p.Env = append(p.Env, EnvVar{"PC_REPLICA_NUM", "0"})
	} else if at, ok := m.where[join(path, "replicas")]; ok {
		m.note(at, join(path, "replicas"), "mapped differently: PC_REPLICA_NUM isn't set, and {{.PC_REPLICA_NUM}} is 0; use ports that are allotted")
	}
	for _, v := range c.Environment {
		p.Env = p.Env.with(v.Name, m.text(v.Value, nil, join(path, "environment")))
	}
	m.command(c, &p, path, vars)
	switch c.IsDisabled {
	case "true":
		p.Disabled = true
	case "false":
		p.Disabled = false
	case "":
	default:
		m.add(placeOf(m.where, join(path, "is_disabled")), join(path, "is_disabled"), `"true" or "false"`, "this isn't possible here")
	}
	for _, dep := range c.DependsOn {
		p.DependsOn = append(p.DependsOn, Dependency{Process: dep.Process, Condition: m.condition(dep.Condition)})
	}
	m.availability(c, &p, path, completed)
	p.Ready = m.probe(c.Readiness, vars, join(path, "readiness_probe"))
	p.Live = m.probe(c.Liveness, vars, join(path, "liveness_probe"))
	if c.ReadyLogLine != "" {
		at := join(path, "ready_log_line")
		if p.Ready != nil {
			m.add(placeOf(m.where, at), at, "", "ready_log_line and readiness_probe can't go together")
		}
		// It is a part of the line there, not a regular expression.
		p.Ready = &Probe{Log: regexp.QuoteMeta(c.ReadyLogLine)}
	}
	m.shutdown(c, &p, path, vars)
	if c.IsForeground {
		p.PTY, p.Disabled, p.Stdin = true, true, "inherit"
		m.noted(join(path, "is_foreground"), "mapped differently: it has a terminal and starts only when asked for")
	}
	if s := c.Schedule; s != nil {
		p.Schedule = m.schedule(s, join(path, "schedule"))
		p.Kind, p.Restart = Scheduled, Restart{Policy: Never}
	}
	for key, message := range map[string]string{
		"log_location":           "not supported: logs are kept by BOP",
		"is_elevated":            "not supported: use user, or run BOP as root",
		"is_interactive":         "not supported",
		"is_dotenv_disabled":     "not supported: .env goes to all processes",
		"disable_ansi_colors":    "not supported: colours are kept in the logs",
		"args":                   "not supported: put the arguments into entrypoint or command",
		"launch_timeout_seconds": "not supported: a process that goes into the background isn't waited for",
	} {
		m.noted(join(path, key), message)
	}
	return p
}

func (m *mapper) namespace(c *composeProcess, path string) string {
	at := join(path, "namespace")
	if len(c.Namespace) == 0 || c.Namespace[0] == "" {
		return ""
	}
	if len(c.Namespace) > 1 {
		m.noted(at, "mapped differently: a process has one namespace, the first")
	}
	if !validName(c.Namespace[0]) {
		m.add(placeOf(m.where, at), at, nameHint, "this isn't a name")
	}
	return c.Namespace[0]
}

func (m *mapper) command(c *composeProcess, p *Process, path string, vars map[string]string) {
	if c.Command != "" {
		p.Command.Shell = m.text(c.Command, vars, join(path, "command"))
		if len(c.Entrypoint) > 0 {
			m.noted(join(path, "entrypoint"), "has no effect: there is a command")
		}
		return
	}
	for _, arg := range c.Entrypoint {
		p.Command.Args = append(p.Command.Args, toExpand(arg, !m.c.DisableEnvExpansion))
	}
}

func (m *mapper) condition(c string) string {
	switch c {
	case "process_healthy", "process_log_ready":
		return Ready
	case "process_completed":
		return Exited
	case "process_completed_successfully":
		return Completed
	default:
		return Started
	}
}

func (m *mapper) availability(c *composeProcess, p *Process, path string, completed bool) {
	a := &c.Availability
	at := join(path, "availability")
	switch a.Restart {
	case "always":
		p.Restart.Policy = Always
	case "on_failure":
		p.Restart.Policy = OnFailure
	case "exit_on_failure":
		p.Restart.Policy, p.StopsProject = Never, "failure"
	default:
		p.Restart.Policy = Never
		if completed {
			p.Kind = Oneshot
		}
	}
	if p.Restart.Policy != Never {
		wait := seconds(max(1, a.BackoffSeconds))
		p.Restart.Backoff = Backoff{Initial: wait, Max: wait, Factor: 1, Jitter: -1}
		p.Restart.Window = Window{Count: -1}
		if a.MaxRestarts > 0 {
			p.Restart.Window = Window{Count: a.MaxRestarts, Per: forever, Then: "fail"}
		}
	}
	if len(c.SuccessExitCodes) > 0 {
		if p.Restart.Policy != Always {
			p.Restart.ByCode = []CodeAction{{Codes: c.SuccessExitCodes, Action: "stop"}}
		}
		m.noted(join(path, "success_exit_codes"), "mapped differently: there is no restart after them")
	}
	if a.ExitOnEnd {
		p.StopsProject = "exit"
	}
	m.noted(join(at, "exit_on_skipped"), "not supported")
	if c.IsDaemon {
		p.Kind, p.Restart.Policy = Oneshot, Never
		m.noted(join(path, "is_daemon"), "mapped differently: the command is run once to its end; what it left in the background "+
			"is stopped only by shutdown.command. Run it in the foreground instead")
	}
}

func (m *mapper) shutdown(c *composeProcess, p *Process, path string, vars map[string]string) {
	s := &c.Shutdown
	at := join(path, "shutdown")
	p.Stop.Timeout = seconds(s.Timeout)
	if s.Command != "" {
		p.Stop.Command.Shell = m.text(s.Command, vars, join(at, "command"))
		if s.Signal > 0 {
			m.noted(join(at, "signal"), "has no effect: there is a command")
		}
	} else if s.Signal > 0 {
		p.Stop.Signal = signals[s.Signal]
	}
	if s.ParentOnly {
		m.noted(join(at, "parent_only"), "not supported: the signal goes to all its processes")
	}
}
