package spec

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxProcesses = 5000

// These are the conditions of Dependency; log:<regex> is another.
const (
	Started   = "started"
	Ready     = "ready"
	Healthy   = "healthy"
	Completed = "completed"
	Exited    = "exited"
	LogPrefix = "log:"
)

var conditions = []string{Started, Ready, Healthy, Completed, Exited, LogPrefix + "<regex>"}

// signals are the names of signals by their number on Linux.
var signals = [...]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD",
	18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ",
	26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}

// checker checks what one field can't tell by itself.
type checker struct {
	p *Project
	f *faults
}

func validate(p *Project, f *faults) {
	c := &checker{p, f}
	if len(p.Processes) > maxProcesses {
		c.bad("processes", "", "there are more than %d processes", maxProcesses)
		return
	}
	c.restart("defaults.restart", &p.Defaults.Restart)
	c.stop("defaults.stop", &p.Defaults.Stop)
	for i := range p.Processes {
		c.process(&p.Processes[i])
	}
	c.ports()
	c.cycles()
}

func (c *checker) bad(path, hint, format string, args ...any) {
	c.f.add(placeOf(c.p.where, path), path, hint, format, args...)
}

func (c *checker) process(p *Process) {
	path := join("processes", p.Name)
	if p.Command.IsZero() {
		c.bad(path, "add command: ...", "there is no command")
	}
	for i, s := range p.Shell {
		if s == "" {
			c.bad(fmt.Sprintf("%s.shell[%d]", path, i), "", "this is empty")
		}
	}
	c.schedule(path, p)
	c.dependencies(path, p)
	c.probe(join(path, "ready"), p, p.Ready, true)
	c.probe(join(path, "live"), p, p.Live, false)
	c.restart(join(path, "restart"), &p.Restart)
	c.stop(join(path, "stop"), &p.Stop)
	if s := p.Serve; s != nil {
		at := join(path, "serve")
		c.address(join(at, "listen"), s.Listen)
		if s.Port != "" {
			c.portName(join(at, "port"), p, s.Port)
		} else if len(p.Ports) == 0 {
			c.bad(at, "add ports: [0]", "there is no port to send connections to")
		}
	}
	for i, s := range p.Sockets {
		at := fmt.Sprintf("%s.sockets[%d]", path, i)
		if s.Name == "" {
			c.bad(at, "", "the socket has no name")
		}
		if s.Network == "" || s.Network == "tcp" || s.Network == "udp" {
			c.address(join(at, "address"), s.Address)
		} else if s.Address == "" {
			c.bad(at, "", "the socket has no address")
		}
	}
	for _, s := range p.Secrets {
		if _, ok := p.Env.Get(s.Name); ok {
			c.bad(join(path+".secrets", s.Name), "", "%s is in env too", s.Name)
		}
	}
}

// address takes host:port, or what will be one when variables are replaced.
func (c *checker) address(path, s string) {
	if s == "" {
		c.bad(path, "write host:port", "there is no address")
		return
	}
	if strings.Contains(s, "$") {
		return
	}
	_, port, err := net.SplitHostPort(s)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > 65535 {
		c.bad(path, "write host:port, or :port", "%s isn't an address", strconv.Quote(short(s)))
	}
}

func (c *checker) portName(path string, p *Process, name string) {
	if slices.ContainsFunc(p.Ports, func(o Port) bool { return o.Name == name }) {
		return
	}
	known := make([]string, len(p.Ports))
	for i := range p.Ports {
		known[i] = p.Ports[i].Name
	}
	c.bad(path, meant(name, known), "%s isn't the name of one of its ports", strconv.Quote(short(name)))
}

func (c *checker) schedule(path string, p *Process) {
	s := p.Schedule
	if s == nil {
		if p.Kind == Scheduled {
			c.bad(join(path, "kind"), "add schedule: ...", "a scheduled process needs a schedule")
		}
		return
	}
	at := join(path, "schedule")
	switch {
	case p.Kind != "" && p.Kind != Scheduled:
		c.bad(join(path, "kind"), "leave kind away", "a process with a schedule is scheduled, not %s", p.Kind)
	case p.Replicas > 1:
		c.bad(join(path, "replicas"), "", "a scheduled process has one replica")
	}
	switch {
	case s.Cron == "" && s.Every == 0:
		c.bad(at, "add cron or every", "there is no time")
	case s.Cron != "" && s.Every != 0:
		c.bad(at, "", "cron and every can't go together")
	case s.Cron == "" && s.Every < time.Second:
		c.bad(join(at, "every"), "", "less than a second isn't possible")
	case s.Cron != "":
		place := placeOf(c.p.where, join(at, "cron"))
		if _, err := ParseCron(s.Cron); err != nil {
			var e *Error
			errors.As(err, &e)
			c.f.add(place, join(at, "cron"), e.Hint, "%s", e.Message)
		}
	}
	if s.Timezone != "" {
		if _, err := LoadZone(s.Timezone); err != nil {
			c.bad(join(at, "timezone"), "such as UTC or Europe/Berlin", "%s", err)
		}
	}
}

func (c *checker) dependencies(path string, p *Process) {
	seen := map[string]bool{}
	for i := range p.DependsOn {
		dep := &p.DependsOn[i]
		at := join(path+".depends_on", dep.Process)
		if _, ok := c.p.where[at]; !ok {
			at = fmt.Sprintf("%s.depends_on[%d]", path, i)
		}
		switch _, ok := c.p.Process(dep.Process); {
		case dep.Process == "":
			c.bad(at, "", "there is no name of a process")
		case !ok:
			c.bad(at, meant(dep.Process, c.names()), "there is no process %s", strconv.Quote(short(dep.Process)))
		case seen[dep.Process]:
			c.bad(at, "", "%s is there twice", dep.Process)
		}
		seen[dep.Process] = true
		if expr, ok := strings.CutPrefix(dep.Condition, LogPrefix); ok {
			c.regex(at, expr)
		} else if dep.Condition != "" && !slices.Contains(conditions, dep.Condition) {
			hint := meant(dep.Condition, conditions)
			if hint == "" {
				hint = "one of " + strings.Join(conditions, ", ")
			}
			c.bad(at, hint, "%s isn't a condition", strconv.Quote(short(dep.Condition)))
		}
	}
}

func (c *checker) names() []string {
	all := make([]string, len(c.p.Processes))
	for i := range c.p.Processes {
		all[i] = c.p.Processes[i].Name
	}
	return all
}

func (c *checker) regex(path, expr string) {
	if expr == "" {
		c.bad(path, "", "the regular expression is empty")
	} else if _, err := regexp.Compile(expr); err != nil {
		c.bad(path, "the syntax is RE2", "%s", strings.Replace(err.Error(), "error parsing regexp: ", "the regular expression has a fault: ", 1))
	}
}

func (c *checker) probe(path string, p *Process, probe *Probe, ready bool) {
	if probe == nil {
		return
	}
	kinds := 0
	for _, is := range []bool{!probe.Exec.IsZero(), probe.HTTP != nil, probe.TCP != "", probe.Log != "", probe.Notify} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		c.bad(path, "one of exec, http, tcp, log and notify", "a probe asks one thing, this one %d", kinds)
	}
	if probe.Log != "" {
		c.regex(join(path, "log"), probe.Log)
	}
	if !ready && (probe.Log != "" || probe.Notify) {
		c.bad(path, "use exec, http or tcp, or watchdog", "log and notify tell that a process is ready, not that it is alive")
	}
	if t := probe.TCP; t != "" && !strings.ContainsAny(t, ":$") {
		c.portName(join(path, "tcp"), p, t)
	} else if t != "" {
		c.address(join(path, "tcp"), t)
	}
	h := probe.HTTP
	if h == nil {
		return
	}
	at := join(path, "http")
	if h.URL != "" {
		if h.Scheme != "" || h.Host != "" || h.Port != "" || h.Path != "" {
			c.bad(at, "", "url and its parts can't go together")
		}
		if !strings.Contains(h.URL, "$") {
			if u, err := url.Parse(h.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				c.bad(at, "write http://host:port/path", "this isn't a URL")
			}
		}
		return
	}
	if h.Port != "" && !strings.Contains(h.Port, "$") {
		if n, err := strconv.Atoi(h.Port); err != nil {
			c.portName(join(at, "port"), p, h.Port)
		} else if n < 1 || n > 65535 {
			c.bad(join(at, "port"), "", "%d isn't from 1 to 65535", n)
		}
	}
	if h.Path != "" && h.Path[0] != '/' && h.Path[0] != '$' {
		c.bad(join(at, "path"), "", `the path has to begin with "/"`)
	}
}

func (c *checker) restart(path string, r *Restart) {
	if r.Backoff.Max > 0 && r.Backoff.Initial > r.Backoff.Max {
		c.bad(join(path, "backoff.max"), "", "the longest wait %s is less than the first %s", FormatDuration(r.Backoff.Max), FormatDuration(r.Backoff.Initial))
	}
	if r.GroupMode != "" && r.Group == "" {
		c.bad(join(path, "group_mode"), "add group: name", "there is no group")
	}
	seen := map[int]bool{}
	for i, by := range r.ByCode {
		at := fmt.Sprintf("%s.by_code[%d]", path, i)
		if len(by.Codes) == 0 || by.Action == "" {
			c.bad(at, "", "codes and action are needed")
		}
		for _, code := range by.Codes {
			if seen[code] {
				c.bad(at, "", "the code %d is there twice", code)
			}
			seen[code] = true
		}
	}
}

func (c *checker) stop(path string, s *Stop) {
	if s.Signal != "" && !slices.Contains(signals[1:], s.Signal) {
		c.bad(join(path, "signal"), meant(s.Signal, signals[1:]), "%s isn't a signal", strconv.Quote(short(s.Signal)))
	}
	if s.Signal != "" && !s.Command.IsZero() {
		c.bad(path, "", "command and signal can't go together")
	}
}

// ports finds numbers that two would listen on.
func (c *checker) ports() {
	owner := map[int]string{}
	take := func(path string, number int) {
		if number == 0 {
			return
		}
		if first, ok := owner[number]; ok {
			c.bad(path, "write 0 to have a free port allotted", "the port %d is taken by %s", number, first)
			return
		}
		owner[number] = path
	}
	for i := range c.p.Processes {
		p := &c.p.Processes[i]
		path := join("processes", p.Name)
		names := map[string]bool{}
		for j, port := range p.Ports {
			at := join(path+".ports", port.Name)
			if _, ok := c.p.where[at]; !ok {
				at = fmt.Sprintf("%s.ports[%d]", path, j)
			}
			if names[port.Name] {
				c.bad(at, "", "the port's name %s is there twice", port.Name)
			}
			names[port.Name] = true
			if port.Number > 0 && p.Replicas > 1 {
				c.bad(at, "write 0, each replica gets its own", "%d replicas can't all listen on %d", p.Replicas, port.Number)
			}
			take(at, port.Number)
		}
		for j, s := range p.Sockets {
			if s.Network == "" || s.Network == "tcp" {
				take(fmt.Sprintf("%s.sockets[%d].address", path, j), portOf(s.Address))
			}
		}
		if p.Serve != nil {
			take(join(path, "serve.listen"), portOf(p.Serve.Listen))
		}
	}
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}

// cycles names each cycle of dependencies once.
func (c *checker) cycles() {
	index := map[string]*Process{}
	for i := range c.p.Processes {
		index[c.p.Processes[i].Name] = &c.p.Processes[i]
	}
	const (
		open = 1
		done = 2
	)
	state := map[string]int{}
	var way []string
	var visit func(p *Process)
	visit = func(p *Process) {
		state[p.Name] = open
		way = append(way, p.Name)
		for _, dep := range p.DependsOn {
			other := index[dep.Process]
			switch {
			case other == nil:
			case state[dep.Process] == open:
				cycle := append(slices.Clone(way[slices.Index(way, dep.Process):]), dep.Process)
				c.bad(join("processes", p.Name)+".depends_on", "", "the processes wait for each other: %s", strings.Join(cycle, " -> "))
			case state[dep.Process] == 0:
				visit(other)
			}
		}
		way = way[:len(way)-1]
		state[p.Name] = done
	}
	for i := range c.p.Processes {
		if p := &c.p.Processes[i]; state[p.Name] == 0 {
			visit(p)
		}
	}
}

// checkTags panics if the table of a type is wrong. A test calls it for all types of the model.
func checkTags(t reflect.Type) {
	v := reflect.New(t).Elem()
	for _, f := range fieldsOf(t) {
		if text := f.tag.Get("default"); text != "" {
			setDefault(v.Field(f.index), text)
			if enum := f.tag.Get("enum"); enum != "" && !slices.Contains(strings.Split(enum, "|"), text) {
				panic(t.Name() + "." + f.key + ": the default isn't one of the values")
			}
		}
	}
}
