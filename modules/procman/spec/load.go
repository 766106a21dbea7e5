package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// ErrNoFile: the folder has none of the files that Load looks for.
var ErrNoFile = errors.New("spec: no bop.yaml, process-compose.yaml or Procfile")

// Names are the files that Load looks for, the first that is there counts.
var Names = []string{"bop.yaml", "process-compose.yaml", "process-compose.yml", "Procfile"}

// Load reads the project of a folder: the first of Names that it has. A process-compose file is merged with its
// override file. The error is ErrNoFile, that of reading, or Errors.
func Load(dir string) (*Project, error) {
	for _, name := range Names {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return LoadFile(file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w in %s", ErrNoFile, dir)
}

// LoadFile reads a project from a file. Its name tells the format: Procfile or Procfile.*, *process-compose*.yaml or
// .yml, and everything else is bop.yaml.
func LoadFile(path string) (*Project, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	var p *Project
	switch {
	case base == "Procfile" || strings.HasPrefix(base, "Procfile."):
		p, err = ParseProcfile(dir, path, text)
	case strings.Contains(base, "process-compose"):
		p, err = loadCompose(dir, path)
	default:
		p, err = Parse(dir, path, text)
	}
	if err != nil {
		return nil, err
	}
	if p.Name == "" {
		p.Name = folderName(dir)
	}
	return p, nil
}

// folderName makes a name of a folder's.
func folderName(dir string) string {
	name := strings.Map(func(r rune) rune {
		if r < 128 && validName(string(r)) || r == '.' {
			return r
		}
		return '-'
	}, filepath.Base(dir))
	name = strings.Trim(name, ".-")
	if !validName(name) {
		return "project"
	}
	return name
}

// Parse reads bop.yaml's text, or its JSON. dir is the folder that its paths are relative to, name is the file's name in
// errors. The error is Errors.
func Parse(dir, name string, text []byte) (*Project, error) {
	src := newSource(name, text)
	d := &decoder{where: map[string]pos{"": {src, 1, 1}}}
	p := &Project{Dir: dir, Files: []string{name}}
	if root := parseYAML(src, text, &d.faults); root != nil {
		d.value(root, "", reflect.ValueOf(p).Elem(), "")
	}
	p.where = d.where
	// Checks of a half-read file would tell of faults that aren't there, such as a missing command after a wrong one.
	if len(d.list) == 0 {
		validate(p, &d.faults)
	} else {
		validateRest(p, &d.faults)
	}
	return p.orError(&d.faults)
}

// validateRest checks a file that has faults already, and adds what is in places without one.
func validateRest(p *Project, f *faults) {
	more := &faults{}
	validate(p, more)
	for _, e := range more.list {
		near := slices.ContainsFunc(f.list, func(o *Error) bool {
			return o.Line == e.Line || o.Path != "" && under(e.Path, o.Path) || under(o.Path, e.Path)
		})
		if !near && !f.full() {
			f.list = append(f.list, e)
		}
	}
}

// under tells whether a key is another's or below it.
func under(path, top string) bool {
	return path == top || strings.HasPrefix(path, top+".") || strings.HasPrefix(path, top+"[")
}

func (p *Project) orError(f *faults) (*Project, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}
