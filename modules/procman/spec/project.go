package spec

import (
	"encoding/json"
	"time"
)

// Project is what a folder runs. The zero value is an empty project. A Project isn't changed by any function of this
// package once Load has returned it, so it can be shared.
type Project struct {
	// Version is the format of the file. Default and only value: 1.
	Version int `yaml:"version" default:"1" min:"1" max:"1"`
	// Name is the project's name. Default: the name of the folder.
	Name string `yaml:"name" name:"true"`
	// Namespace is the namespace of the processes that name none. Default: default.
	Namespace string `yaml:"namespace" name:"true" default:"default"`
	// Env is the environment of all processes, over what they inherit and the env files. Values can hold ${VAR}; each
	// sees those before it. Default: empty.
	Env Env `yaml:"env" expand:"true"`
	// EnvFiles are .env files, relative to the folder, read in order; a later one wins. A leading "?" means that it may
	// be missing. Can hold ${VAR}. Default: none.
	EnvFiles []string `yaml:"env_files" one:"true" expand:"true"`
	// Defaults are taken by each process that doesn't say otherwise. Default: empty.
	Defaults Defaults `yaml:"defaults"`
	// Processes are the processes by name, in the order of the file.
	Processes Processes `yaml:"processes"`
	// Shutdown is how the whole project stops.
	Shutdown Shutdown `yaml:"shutdown"`

	// Dir is the folder that relative paths start from. It isn't in the file.
	Dir string `yaml:"-"`
	// Files are the files that the project was read from: watch them for live reload. They aren't in the file.
	Files []string `yaml:"-"`
	// Notes are keys that were read and have no effect, or another one: process-compose files have them.
	Notes []Note `yaml:"-"`

	where    map[string]pos // of each key's path, for the errors of Resolve
	resolved bool
	hide     []string // values that Resolve put into fields and that are secret
}

// Process returns the process with the name; false if there is none.
func (p *Project) Process(name string) (Process, bool) {
	for i := range p.Processes {
		if p.Processes[i].Name == name {
			return p.Processes[i], true
		}
	}
	return Process{}, false
}

// MarshalJSON writes the project as bop.yaml has it, without the values of secrets.
func (p Project) MarshalJSON() ([]byte, error) { return encode(&p, p.hide), nil }

// String is the project as JSON without the values of secrets.
func (p Project) String() string { return string(encode(&p, p.hide)) }

// Shutdown is how the whole project stops.
type Shutdown struct {
	// Order is reverse (dependants before what they depend on) or parallel. Default: reverse.
	Order string `yaml:"order" enum:"reverse|parallel" default:"reverse"`
	// Timeout is how long all of it may take, then what is left is killed. Default: 60s.
	Timeout time.Duration `yaml:"timeout" default:"60s" off:"-1"`
}

// Defaults are the fields of Process that a project can set for all. Their meaning is that of Process.
type Defaults struct {
	// Dir is the folder to run in. Can hold ${VAR}.
	Dir string `yaml:"dir" expand:"true"`
	// Shell is the program and arguments that a shell command is given to.
	Shell []string `yaml:"shell"`
	// User is the user to run as.
	User string `yaml:"user" expand:"true"`
	// Group is the group to run as.
	Group string `yaml:"group" expand:"true"`
	// Secrets are files that all processes get; a process's own win.
	Secrets Secrets `yaml:"secrets" expand:"true"`
	// Restart is when and how to restart.
	Restart Restart `yaml:"restart"`
	// Stop is how to stop.
	Stop Stop `yaml:"stop"`
	// Limits are the limits of the kernel.
	Limits Limits `yaml:"limits"`
	// Logs is how output is kept.
	Logs Logs `yaml:"logs"`
	// Labels are put on all; a process's own win.
	Labels map[string]string `yaml:"labels"`
}

// EnvVar is one variable.
type EnvVar struct {
	Name  string
	Value string
}

// String is NAME=value, without the value if the name speaks of a secret.
func (v EnvVar) String() string {
	if SecretName(v.Name) {
		return v.Name + "=" + hidden
	}
	return v.Name + "=" + v.Value
}

// MarshalJSON writes NAME=value, without the value if the name speaks of a secret.
func (v EnvVar) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// Env are variables in the order of the file, each name once. In a file: NAME: value, or a list of NAME=value.
type Env []EnvVar

// Get returns a variable's value; false if it isn't there.
func (e Env) Get(name string) (string, bool) {
	for i := range e {
		if e[i].Name == name {
			return e[i].Value, true
		}
	}
	return "", false
}

// Strings is NAME=value for each, as os/exec wants it. It holds the values of secrets: don't log it.
func (e Env) Strings() []string {
	all := make([]string, len(e))
	for i := range e {
		all[i] = e[i].Name + "=" + e[i].Value
	}
	return all
}

// with returns a copy in which a variable is set.
func (e Env) with(name, value string) Env {
	for i := range e {
		if e[i].Name == name {
			e = append(Env(nil), e...)
			e[i].Value = value
			return e
		}
	}
	return append(e[:len(e):len(e)], EnvVar{name, value})
}

// Secret is a variable whose value is what a file holds. The supervisor reads it when it starts the process.
type Secret struct {
	Name string // of the variable
	File string // relative to the project's folder; absolute after Resolve
}

// Secrets are secrets in the order of the file. In a file: NAME: file.
type Secrets []Secret
