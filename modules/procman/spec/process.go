package spec

import (
	"time"
)

// Kind is what a process is for.
type Kind string

// The kinds.
const (
	Daemon    Kind = "daemon"    // runs until it is stopped
	Oneshot   Kind = "oneshot"   // runs once to its end
	Scheduled Kind = "scheduled" // runs to its end at each time of its schedule
)

// Processes are processes in the order of the file. In a file: name: process.
type Processes []Process

// Process is one process, or several replicas of it.
type Process struct {
	// Name is its key in the file: letters, digits, "_", "." and "-", at most 63.
	Name string `yaml:"-"`
	// Description is for people. Default: none.
	Description string `yaml:"description" live:"true"`
	// Namespace groups processes. Default: the project's.
	Namespace string `yaml:"namespace" name:"true"`
	// Command is what to run: text for a shell, or a list of a program and its arguments. Can hold ${VAR}. Needed.
	Command Command `yaml:"command" expand:"true"`
	// Shell is the program and arguments that a shell command is given to. Default: /bin/sh -c.
	Shell []string `yaml:"shell"`
	// Dir is the folder to run in, relative to the project's. Can hold ${VAR}. Default: the project's folder.
	Dir string `yaml:"dir" expand:"true"`
	// User is the name or number of the user to run as. Can hold ${VAR}. Default: the supervisor's.
	User string `yaml:"user" expand:"true"`
	// Group is the name or number of the group to run as. Can hold ${VAR}. Default: the user's.
	Group string `yaml:"group" expand:"true"`
	// Env is its environment, over the project's. Values can hold ${VAR}; each sees those before it. Default: empty.
	Env Env `yaml:"env" expand:"true"`
	// EnvFiles are .env files as in Project.EnvFiles, over the project's. Can hold ${VAR}. Default: none.
	EnvFiles []string `yaml:"env_files" one:"true" expand:"true"`
	// Secrets are variables whose values are in files. File names can hold ${VAR}. Default: none.
	Secrets Secrets `yaml:"secrets" expand:"true"`
	// Disabled means that it is started only when a person asks for it. Default: false.
	Disabled bool `yaml:"disabled" live:"true"`
	// Kind is daemon, oneshot or scheduled. Default: scheduled if it has a schedule, else daemon.
	Kind Kind `yaml:"kind" enum:"daemon|oneshot|scheduled"`
	// Replicas is how many of it run. Default: 1.
	Replicas int `yaml:"replicas" default:"1" min:"1" max:"1000" live:"true"`
	// Ports are what it listens on. In a file a list of numbers or ports, or name: number. Default: none.
	Ports Ports `yaml:"ports"`
	// Sockets are opened by the supervisor and handed to it from descriptor 3 on. Default: none.
	Sockets []Socket `yaml:"sockets"`
	// Stdin is null, pipe (the supervisor holds the other end) or inherit. Default: null.
	Stdin string `yaml:"stdin" enum:"null|pipe|inherit" default:"null"`
	// PTY gives it a terminal. Default: false.
	PTY bool `yaml:"pty"`
	// Schedule is when a scheduled process runs. In a file also the cron text alone. Default: none.
	Schedule *Schedule `yaml:"schedule" live:"true"`
	// DependsOn is what has to be there first. In a file a list of names, or name: condition. Default: none.
	DependsOn Dependencies `yaml:"depends_on" live:"true"`
	// Ready tells when it can be used. Default: none, it is ready when it was started.
	Ready *Probe `yaml:"ready" live:"true"`
	// Live tells whether it still works; it is restarted when not. Default: none.
	Live *Probe `yaml:"live" live:"true"`
	// Watchdog is the longest time between two WATCHDOG=1 notifications, else it is restarted. Default: 0, off.
	Watchdog time.Duration `yaml:"watchdog"`
	// Restart is when and how to restart. In a file also the policy alone.
	Restart Restart `yaml:"restart" live:"true"`
	// Stop is how to stop.
	Stop Stop `yaml:"stop" live:"true"`
	// StopsProject is whether its end stops all of the project: never, failure (an end that isn't 0) or exit (any).
	// Default: never.
	StopsProject string `yaml:"stops_project" enum:"never|failure|exit" default:"never" live:"true"`
	// Limits are the limits of the kernel.
	Limits Limits `yaml:"limits"`
	// Logs is how output is kept.
	Logs Logs `yaml:"logs" live:"true"`
	// Serve is one address for all replicas, balanced by the supervisor. Default: none.
	Serve *Serve `yaml:"serve" live:"true"`
	// Labels are for people and tools. Default: none.
	Labels map[string]string `yaml:"labels" live:"true"`

	hide []string // values that Resolve put into fields and that are secret
}

// Argv is the program and its arguments: those of Command, or the shell with the text.
func (p *Process) Argv() []string {
	if len(p.Command.Args) > 0 {
		return append([]string(nil), p.Command.Args...)
	}
	return append(append([]string(nil), p.shell()...), p.Command.Shell)
}

var defaultShell = []string{"/bin/sh", "-c"}

func (p *Process) shell() []string {
	if len(p.Shell) > 0 {
		return p.Shell
	}
	return defaultShell
}

// MarshalJSON writes the process as bop.yaml has it, without the values of secrets.
func (p Process) MarshalJSON() ([]byte, error) { return encode(&p, p.hide), nil }

// String is the process as JSON without the values of secrets.
func (p Process) String() string { return string(encode(&p, p.hide)) }

// Command is what to run: exactly one of the fields is set. In a file: text for the shell, or a list.
type Command struct {
	Args  []string // program and arguments
	Shell string   // text for the process's shell
}

// IsZero tells whether there is nothing to run.
func (c Command) IsZero() bool { return len(c.Args) == 0 && c.Shell == "" }

// Port is a port that a process listens on. The process gets its number as PORT_<NAME> (upper case, other signs as
// "_"), the first one also as PORT.
type Port struct {
	// Name names it. Default: port, for the first.
	Name string `yaml:"name" name:"true"`
	// Number is the port's number. Default: 0, the supervisor allots a free one to each replica.
	Number int `yaml:"number" min:"0" max:"65535"`
}

// Ports are ports in the order of the file.
type Ports []Port

// Socket is opened by the supervisor, so that connections wait while the process restarts.
type Socket struct {
	// Name names it, in LISTEN_FDNAMES. Needed.
	Name string `yaml:"name" name:"true"`
	// Network is tcp, udp, unix or unixgram. Default: tcp.
	Network string `yaml:"network" enum:"tcp|udp|unix|unixgram" default:"tcp"`
	// Address is host:port, or the path of a unix socket. Can hold ${VAR}. Needed.
	Address string `yaml:"address" expand:"true"`
}

// Schedule is when a scheduled process runs: exactly one of Cron and Every is set.
type Schedule struct {
	// Cron is five fields, or @daily and the like; see ParseCron. Default: none.
	Cron string `yaml:"cron"`
	// Every is the time between two starts. Default: 0, none.
	Every time.Duration `yaml:"every"`
	// Timezone is the cron's time zone, such as Europe/Berlin. Default: the machine's.
	Timezone string `yaml:"timezone"`
	// Overlap is what happens when it still runs: skip, queue (once, after it) or allow. Default: skip.
	Overlap string `yaml:"overlap" enum:"skip|queue|allow" default:"skip"`
	// AtStart runs it also when the project starts. Default: false.
	AtStart bool `yaml:"at_start"`
}

// Dependencies are dependencies in the order of the file.
type Dependencies []Dependency

// Dependency is what has to be there before a process starts.
type Dependency struct {
	// Process is the name of the other one. Needed.
	Process string `yaml:"process"`
	// Condition is started, ready, healthy (ready, and its live probe passes), completed (ended with 0), exited (ended)
	// or log:<regex> (it has written such a line). Default: ready if it has a ready probe, completed if it is a oneshot,
	// else started.
	Condition string `yaml:"condition"`
	// OnRestart is what this one does when the other one restarts: ignore, restart or stop (until it is there again).
	// Default: ignore.
	OnRestart string `yaml:"on_restart" enum:"ignore|restart|stop" default:"ignore"`
}

// Limits are the limits of the kernel for a process. What is 0 is left as it is.
type Limits struct {
	// Nofile is how many files can be open. Default: 0, inherited.
	Nofile int64 `yaml:"nofile" min:"0"`
	// Nproc is how many processes the user can have. Default: 0, inherited.
	Nproc int64 `yaml:"nproc" min:"0"`
	// Core is the largest core file; a written 0 is kept as -1, none. Default: 0, inherited.
	Core Size `yaml:"core" off:"-1"`
	// AS is the address space. Default: 0, inherited.
	AS Size `yaml:"as"`
	// Memory is the memory of all its processes, by cgroup. Default: 0, no limit.
	Memory Size `yaml:"memory"`
	// CPU is how many CPUs all its processes can use, by cgroup, such as 0.5. Default: 0, no limit.
	CPU float64 `yaml:"cpu" min:"0"`
	// Pids is how many processes and threads it can have, by cgroup. Default: 0, no limit.
	Pids int64 `yaml:"pids" min:"0"`
	// Nice is its priority from -20 to 19. Default: 0, inherited.
	Nice int `yaml:"nice" min:"-20" max:"19"`
	// OOMScoreAdj is how readily the kernel kills it, from -1000 to 1000. Default: 0, inherited.
	OOMScoreAdj int `yaml:"oom_score_adj" min:"-1000" max:"1000"`
}

// Logs is how output is kept.
type Logs struct {
	// MaxBytes is when a file is full and the next begins. Default: 64MiB.
	MaxBytes Size `yaml:"max_bytes" default:"64MiB"`
	// MaxFiles is how many files are kept. Default: 8.
	MaxFiles int `yaml:"max_files" default:"8" min:"1"`
	// MaxAge is how long a file is kept; a written 0 is kept as -1, for ever. Default: 168h.
	MaxAge time.Duration `yaml:"max_age" default:"168h" off:"-1"`
	// Keep is what stays of a process that was removed from the project: all or none. Default: all.
	Keep string `yaml:"keep" enum:"all|none" default:"all"`
	// Compress is what full files are compressed with: zstd, gzip or none. Default: zstd.
	Compress string `yaml:"compress" enum:"zstd|gzip|none" default:"zstd"`
	// Parse is how lines are read for their level and fields: auto, json, logfmt or none. Default: auto.
	Parse string `yaml:"parse" enum:"auto|json|logfmt|none" default:"auto"`
}

// Serve is one address for all replicas of a process.
type Serve struct {
	// Port is the name of the process's port that connections go to. Default: the first.
	Port string `yaml:"port"`
	// Listen is the address that the supervisor listens on, host:port. Can hold ${VAR}. Needed.
	Listen string `yaml:"listen" expand:"true"`
	// Mode is tcp or http. Default: tcp.
	Mode string `yaml:"mode" enum:"tcp|http" default:"tcp"`
	// Balance is round-robin or least-connections. Default: round-robin.
	Balance string `yaml:"balance" enum:"round-robin|least-connections" default:"round-robin"`
	// Health is which replicas get connections: ready, live or any. Default: ready.
	Health string `yaml:"health" enum:"ready|live|any" default:"ready"`
	// Drain is how long open connections may go on when a replica stops; a written 0 is kept as -1. Default: 5s.
	Drain time.Duration `yaml:"drain" default:"5s" off:"-1"`
}
