package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

const house = "github.com/bop-platform/bop/"

// repo is the working tree and what its workspace says.
type repo struct {
	root    string
	version string // of every module that is released, e.g. v0.1.0
	modules []goModule
}

// goModule is one module of the workspace.
type goModule struct {
	dir  string // relative to the root
	path string
	file *modfile.File
}

// released tells whether outside users get the module; the tools are for this repository alone.
func (m goModule) released() bool { return m.dir != "tools" }

// dirIn returns the module's folder below root.
func (m goModule) dirIn(root string) string { return filepath.Join(root, filepath.FromSlash(m.dir)) }

func openRepo() (*repo, error) {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for the workspace: %w", err)
	}
	work := strings.TrimSpace(string(out))
	if work == "" || work == "off" {
		return nil, fmt.Errorf("no go.work found: run this inside the repository, without GOWORK=off")
	}
	r := &repo{root: filepath.Dir(work)}
	version, err := os.ReadFile(filepath.Join(r.root, "VERSION"))
	if err != nil {
		return nil, fmt.Errorf("reading the version of the next release: %w", err)
	}
	r.version = strings.TrimSpace(string(version))
	text, err := os.ReadFile(work)
	if err != nil {
		return nil, err
	}
	parsed, err := modfile.ParseWork(work, text, nil)
	if err != nil {
		return nil, err
	}
	for _, use := range parsed.Use {
		m := goModule{dir: strings.TrimPrefix(filepath.ToSlash(use.Path), "./")}
		name := filepath.Join(m.dirIn(r.root), "go.mod")
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if m.file, err = modfile.Parse(name, text, nil); err != nil {
			return nil, err
		}
		m.path = m.file.Module.Mod.Path
		r.modules = append(r.modules, m)
	}
	return r, r.verify()
}

// verify checks what no build would: siblings required at the release's version, and nothing replaced.
func (r *repo) verify() error {
	for _, m := range r.modules {
		if m.path != house+m.dir {
			return fmt.Errorf("%s/go.mod: module path is %s, want %s", m.dir, m.path, house+m.dir)
		}
		if len(m.file.Replace) > 0 {
			return fmt.Errorf("%s/go.mod: has a replace directive; a user's go get ignores it", m.dir)
		}
		for _, req := range m.file.Require {
			if strings.HasPrefix(req.Mod.Path, house) && req.Mod.Version != r.version {
				return fmt.Errorf("%s/go.mod: requires %s at %s, want %s (the file VERSION)", m.dir, req.Mod.Path, req.Mod.Version, r.version)
			}
		}
	}
	return nil
}
