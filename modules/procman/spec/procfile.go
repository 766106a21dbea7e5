package spec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The port of the first process of a Procfile and the distance to the next, as foreman has them.
const (
	procfilePort = 5000
	procfileStep = 100
)

// ParseProcfile reads "name: command" lines; empty ones and those that begin with # are left out. dir is the folder: if
// it has a .env file, all processes get it, and a PORT in it is the first port instead of 5000. The i-th process from 0
// gets PORT = 5000 + 100*i. The error is Errors.
func ParseProcfile(dir, name string, text []byte) (*Project, error) {
	src := newSource(name, text)
	f := &faults{}
	p := &Project{Dir: dir, Files: []string{name}, where: map[string]pos{"": {src, 1, 1}}}
	base := procfilePort
	if dotenv, err := os.ReadFile(filepath.Join(dir, ".env")); err == nil {
		p.EnvFiles = []string{".env"}
		env, _ := ParseEnv(".env", dotenv, nil) // Resolve tells its faults
		if s, ok := env.Get("PORT"); ok {
			if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 65536 {
				base = n
			}
		}
	}
	if len(text) > maxFileBytes {
		f.add(pos{src, 1, 1}, "", "", "the file is longer than %d bytes", maxFileBytes)
		return nil, f.err()
	}
	lines := map[string]int{}
	for i, line := range src.lines {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		at := pos{src, i + 1, 1 + len(src.lines[i]) - len(strings.TrimLeft(src.lines[i], " \t"))}
		key, command, found := strings.Cut(line, ":")
		command = strings.TrimSpace(command)
		switch {
		case !found:
			f.add(at, "", "write name: command", "there is no : after the name")
		case !validName(key):
			f.add(at, "", nameHint, "%s isn't a name", strconv.Quote(short(key)))
		case command == "":
			f.add(at, key, "", "there is no command")
		case strings.IndexByte(command, 0) >= 0:
			f.add(at, key, "", "the command holds a zero byte")
		case lines[key] > 0:
			f.add(at, key, "it is first in line "+strconv.Itoa(lines[key]), "the name is there twice")
		case len(p.Processes) >= maxProcesses:
			f.add(at, key, "", "there are more than %d processes", maxProcesses)
			return nil, f.err()
		default:
			port := base + procfileStep*len(p.Processes)
			if port > 65535 {
				port = 0 // the supervisor allots one
			}
			// All dollar signs are the shell's.
			proc := Process{Name: key, Command: Command{Shell: strings.ReplaceAll(command, "$", "$$")}, Ports: Ports{{Name: "port", Number: port}}}
			if port > 0 { // over the one that .env can have
				proc.Env = Env{{"PORT", strconv.Itoa(port)}}
			}
			p.Processes = append(p.Processes, proc)
			p.where[join("processes", key)] = at
		}
		lines[key] = i + 1
	}
	if len(f.list) == 0 {
		validate(p, f)
	}
	return p.orError(f)
}
