package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// These are the parts of a process-compose file that this package knows; COMPOSE.md says what becomes of each. They are
// read by the same decoder as the model, which tells unknown keys as notes unless is_strict is set.
type (
	composeProject struct {
		Version             string            `yaml:"version"`
		Name                string            `yaml:"name"`
		IsStrict            bool              `yaml:"is_strict"`
		Extends             string            `yaml:"extends"`
		Environment         Env               `yaml:"environment"`
		EnvFile             []string          `yaml:"env_file" one:"true"`
		EnvCmds             map[string]string `yaml:"env_cmds"`
		Vars                map[string]string `yaml:"vars"`
		Shell               composeShell      `yaml:"shell"`
		LogLocation         string            `yaml:"log_location"`
		LogLevel            string            `yaml:"log_level"`
		LogLength           int               `yaml:"log_length"`
		LogFormat           string            `yaml:"log_format"`
		LogConfiguration    composeLog        `yaml:"log_configuration"`
		DisableEnvExpansion bool              `yaml:"disable_env_expansion"`
		IsTUIDisabled       bool              `yaml:"is_tui_disabled"`
		OrderedShutdown     bool              `yaml:"ordered_shutdown"`
		Processes           composeProcesses  `yaml:"processes"`
	}
	composeShell struct {
		Command         string `yaml:"shell_command"`
		Argument        string `yaml:"shell_argument"`
		ElevatedCommand string `yaml:"elevated_shell_command"`
		ElevatedArg     string `yaml:"elevated_shell_argument"`
	}
	composeLog struct {
		Rotation        composeRotation `yaml:"rotation"`
		FieldsOrder     []string        `yaml:"fields_order"`
		DisableJSON     bool            `yaml:"disable_json"`
		TimestampFormat string          `yaml:"timestamp_format"`
		NoColor         bool            `yaml:"no_color"`
		NoMetadata      bool            `yaml:"no_metadata"`
		AddTimestamp    bool            `yaml:"add_timestamp"`
		FlushEachLine   bool            `yaml:"flush_each_line"`
	}
	composeRotation struct {
		Directory  string `yaml:"directory"`
		Filename   string `yaml:"filename"`
		MaxSizeMB  int    `yaml:"max_size_mb" min:"0" max:"1000000"`
		MaxBackups int    `yaml:"max_backups" min:"0" max:"1000000"`
		MaxAgeDays int    `yaml:"max_age_days" min:"0" max:"36500"`
		Compress   bool   `yaml:"compress"`
	}
	composeProcesses []composeProcess
	composeProcess   struct {
		Name             string              `yaml:"name"`
		Description      string              `yaml:"description"`
		Namespace        []string            `yaml:"namespace" one:"true"`
		Command          string              `yaml:"command"`
		Entrypoint       []string            `yaml:"entrypoint"`
		Args             []string            `yaml:"args"`
		WorkingDir       string              `yaml:"working_dir"`
		Environment      Env                 `yaml:"environment"`
		EnvFile          []string            `yaml:"env_file" one:"true"`
		Vars             map[string]string   `yaml:"vars"`
		LogLocation      string              `yaml:"log_location"`
		LogConfiguration composeLog          `yaml:"log_configuration"`
		DependsOn        composeDependencies `yaml:"depends_on"`
		Availability     composeAvailability `yaml:"availability"`
		Readiness        *composeProbe       `yaml:"readiness_probe"`
		Liveness         *composeProbe       `yaml:"liveness_probe"`
		ReadyLogLine     string              `yaml:"ready_log_line"`
		Shutdown         composeShutdown     `yaml:"shutdown"`
		IsDaemon         bool                `yaml:"is_daemon"`
		IsTTY            bool                `yaml:"is_tty"`
		IsForeground     bool                `yaml:"is_foreground"`
		IsElevated       bool                `yaml:"is_elevated"`
		IsInteractive    bool                `yaml:"is_interactive"`
		IsDotenvDisabled bool                `yaml:"is_dotenv_disabled"`
		Disabled         bool                `yaml:"disabled"`
		IsDisabled       string              `yaml:"is_disabled"`
		Replicas         int                 `yaml:"replicas" min:"0" max:"1000"`
		LaunchTimeout    int                 `yaml:"launch_timeout_seconds" min:"0"`
		NoANSI           bool                `yaml:"disable_ansi_colors"`
		Schedule         *composeSchedule    `yaml:"schedule"`
		SuccessExitCodes []int               `yaml:"success_exit_codes" min:"0" max:"255"`
		NoTemplates      bool                `yaml:"is_template_disabled"`
	}
	composeDependencies []composeDependency
	composeDependency   struct {
		Process   string `yaml:"-"`
		Condition string `yaml:"condition" enum:"process_started|process_healthy|process_completed|process_completed_successfully|process_log_ready"`
	}
	composeAvailability struct {
		Restart        string `yaml:"restart" enum:"no|always|on_failure|exit_on_failure"`
		BackoffSeconds int    `yaml:"backoff_seconds" min:"0" max:"31536000"`
		MaxRestarts    int    `yaml:"max_restarts" min:"0"`
		ExitOnEnd      bool   `yaml:"exit_on_end"`
		ExitOnSkipped  bool   `yaml:"exit_on_skipped"`
	}
	composeShutdown struct {
		Command    string `yaml:"command"`
		Signal     int    `yaml:"signal" min:"0" max:"31"`
		Timeout    int    `yaml:"timeout_seconds" min:"0" max:"31536000"`
		ParentOnly bool   `yaml:"parent_only"`
	}
	composeProbe struct {
		Exec             *composeExec `yaml:"exec"`
		HTTPGet          *composeHTTP `yaml:"http_get"`
		InitialDelay     int          `yaml:"initial_delay_seconds" max:"31536000"`
		Period           int          `yaml:"period_seconds" max:"31536000"`
		Timeout          int          `yaml:"timeout_seconds" max:"31536000"`
		SuccessThreshold int          `yaml:"success_threshold"`
		FailureThreshold int          `yaml:"failure_threshold"`
	}
	composeExec struct {
		Command    string `yaml:"command"`
		WorkingDir string `yaml:"working_dir"`
	}
	composeHTTP struct {
		Host       string            `yaml:"host"`
		Path       string            `yaml:"path"`
		Scheme     string            `yaml:"scheme"`
		Port       string            `yaml:"port"`
		NumPort    int               `yaml:"num_port"`
		Method     string            `yaml:"method"`
		Headers    map[string]string `yaml:"headers"`
		StatusCode int               `yaml:"status_code" min:"0" max:"599"`
	}
	composeSchedule struct {
		Cron          string `yaml:"cron"`
		Timezone      string `yaml:"timezone"`
		Interval      string `yaml:"interval"`
		RunOnStart    bool   `yaml:"run_on_start"`
		MaxConcurrent int    `yaml:"max_concurrent"`
	}
)

// composeOnly are keys that process-compose knows and nothing here is like.
var composeOnly = []string{
	"watch", "mcp", "mcp_server", "truncate_log", "monitor_for", "monitor_silence_threshold", "send_keys", "grpc", "extends",
	"original_config", "replica_num", "replica_name", "executable", "file_names", "env_file_names", "dot_env_vars",
}

func decodeComposeProcesses(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	if n.kind != dictNode {
		d.wrong(n, path, "name: process")
		return
	}
	var all composeProcesses
	for _, e := range n.entries {
		at := e.at
		at.line = abs(at.line)
		if !validName(e.name) {
			d.add(at, path, nameHint, "%q isn't a name", short(e.name))
			continue
		}
		p := composeProcess{}
		d.where[join(path, e.name)] = at
		d.value(e.value, join(path, e.name), reflect.ValueOf(&p).Elem(), "")
		p.Name = e.name // the key counts
		all = append(all, p)
	}
	v.Set(reflect.ValueOf(all))
}

func decodeComposeDependencies(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	if n.kind != dictNode {
		d.wrong(n, path, "name: {condition: ...}")
		return
	}
	var all composeDependencies
	for _, e := range n.entries {
		dep := composeDependency{Process: e.name}
		key := join(path, e.name)
		d.where[key] = e.at
		if e.value.kind == scalarNode { // as in its documentation: redis: process_healthy
			d.text(e.value, key, reflect.ValueOf(&dep.Condition).Elem(), reflect.TypeOf(dep).Field(1).Tag)
		} else {
			d.value(e.value, key, reflect.ValueOf(&dep).Elem(), "")
		}
		all = append(all, dep)
	}
	v.Set(reflect.ValueOf(all))
}

// maxExtends is how many files one can extend in a row.
const maxExtends = 20

// loadCompose reads a process-compose file, those that it extends, and its override file.
func loadCompose(dir, path string) (*Project, error) {
	f := &faults{}
	root, files, err := readCompose(path, f, nil)
	if err != nil {
		return nil, err
	}
	if over := overrideOf(path); over != "" {
		n, more, err := readCompose(over, f, files)
		if err != nil {
			return nil, err
		}
		if root != nil && n != nil {
			root = overlay(root, n, "")
		}
		files = append(files, more...)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return mapCompose(dir, files, root)
}

// overrideOf is the override file beside a file, "" if there is none.
func overrideOf(path string) string {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext)
	if strings.HasSuffix(stem, ".override") {
		return ""
	}
	for _, e := range []string{ext, ".yml", ".yaml"} {
		if _, err := os.Stat(stem + ".override" + e); err == nil {
			return stem + ".override" + e
		}
	}
	return ""
}

func readCompose(path string, f *faults, seen []string) (*node, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	src := newSource(path, text)
	root := parseYAML(src, text, f)
	if root == nil {
		return nil, []string{path}, nil
	}
	files := []string{path}
	if n := root.get("extends"); n != nil && n.kind == scalarNode && n.text != "" {
		base := absolute(filepath.Dir(path), n.text)
		if slices.Contains(seen, base) || base == path || len(seen) > maxExtends {
			f.add(n.at, "extends", "", "the files extend each other")
			return nil, files, nil
		}
		info, err := os.Stat(base)
		if err == nil && !info.Mode().IsRegular() { // a device may never end
			err = fmt.Errorf("%s isn't a file", base)
		}
		if err != nil {
			f.add(n.at, "extends", "", "%s", err)
			return nil, files, nil
		}
		under, more, err := readCompose(base, f, append(seen, path, base))
		if err != nil {
			return nil, nil, err
		}
		if under != nil {
			root = overlay(under, root, "")
		}
		files = append(more, files...)
	}
	return root, files, nil
}

// overlay merges b over a as process-compose does: maps key by key, variables name by name, other lists one after the
// other, and everything else is replaced.
func overlay(a, b *node, key string) *node {
	switch {
	case b.kind == nullNode:
		return a
	case key == "environment":
		return overlayEnv(a, b)
	case a.kind == dictNode && b.kind == dictNode:
		out := *a
		out.entries = slices.Clone(a.entries)
		for _, e := range b.entries {
			i := slices.IndexFunc(out.entries, func(o entry) bool { return o.name == e.name })
			if i < 0 {
				out.entries = append(out.entries, e)
				continue
			}
			out.entries[i] = entry{e.name, e.at, overlay(out.entries[i].value, e.value, e.name)}
		}
		return &out
	case a.kind == listNode && b.kind == listNode:
		out := *b
		out.items = append(slices.Clone(a.items), b.items...)
		return &out
	default:
		return b
	}
}

func overlayEnv(a, b *node) *node {
	list := func(n *node) (all []*node) {
		for _, e := range n.entries {
			all = append(all, &node{kind: scalarNode, text: e.name + "=" + e.value.text, quoted: true, at: e.at, size: 1})
		}
		return append(all, n.items...)
	}
	out := &node{kind: listNode, at: b.at, items: list(a)}
	for _, item := range list(b) {
		name, _, _ := strings.Cut(item.text, "=")
		i := slices.IndexFunc(out.items, func(o *node) bool { return strings.HasPrefix(o.text, name+"=") })
		if i < 0 {
			out.items = append(out.items, item)
		} else {
			out.items[i] = item
		}
	}
	return out
}

// expandShell replaces $NAME and ${NAME} as process-compose does in the whole file, here in numbers and booleans.
func expandShell(text string, lookup func(string) string) string {
	return os.Expand(text, func(name string) string {
		name, fallback, _ := strings.Cut(name, ":-")
		if v := lookup(name); v != "" {
			return v
		}
		return fallback
	})
}

// toExpand turns text of a process-compose file into text of the model: $NAME and ${NAME} become ${NAME:-}, because a
// variable that isn't set is empty there, and all other dollar signs are kept for the shell.
func toExpand(text string, expanded bool) string {
	if !strings.Contains(text, "$") {
		return text
	}
	if !expanded {
		return strings.ReplaceAll(text, "$", "$$")
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' {
			b.WriteByte(text[i])
			continue
		}
		rest := text[i+1:]
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteString("$$")
			i++
		case strings.HasPrefix(rest, "{"):
			end := strings.IndexByte(rest, '}')
			name, fallback := "", ""
			if end > 0 {
				name, fallback, _ = strings.Cut(rest[1:end], ":-")
			}
			if !validEnvName(name) {
				b.WriteString("$$")
				continue
			}
			fmt.Fprintf(&b, "${%s:-%s}", name, fallback)
			i += end + 1
		default:
			n := 0
			for n < len(rest) && validEnvName(rest[:n+1]) {
				n++
			}
			if n == 0 {
				b.WriteString("$$")
				continue
			}
			fmt.Fprintf(&b, "${%s:-}", rest[:n])
			i += n
		}
	}
	return b.String()
}
