package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// proxy is a module proxy in a folder, in the layout that `go help goproxy` describes.
type proxy struct {
	dir      string
	upstream string // GOPROXY of everything that isn't ours
	cache    string // GOMODCACHE
}

// newProxy packs the released modules of the working tree. Close it to remove the folder.
func newProxy(r *repo) (*proxy, error) {
	dir, err := os.MkdirTemp("", "bop-proxy-")
	if err != nil {
		return nil, err
	}
	p := &proxy{dir: dir}
	for _, env := range []struct {
		name string
		to   *string
	}{{"GOPROXY", &p.upstream}, {"GOMODCACHE", &p.cache}} {
		out, err := exec.Command("go", "env", env.name).Output()
		if err != nil {
			return nil, fmt.Errorf("asking go for %s: %w", env.name, err)
		}
		*env.to = strings.TrimSpace(string(out))
	}
	for _, m := range r.modules {
		if !m.released() {
			continue
		}
		if err := p.add(r, m); err != nil {
			p.Close()
			return nil, fmt.Errorf("packing %s: %w", m.path, err)
		}
	}
	return p, p.forget()
}

func (p *proxy) add(r *repo, m goModule) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	at := filepath.Join(p.dir, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	mod, err := m.file.Format()
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": r.version, "Time": time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"list": []byte(r.version + "\n"), r.version + ".mod": mod, r.version + ".info": info} {
		if err := os.WriteFile(filepath.Join(at, name), text, 0o644); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(at, r.version+".zip"))
	if err != nil {
		return err
	}
	if err := zip.CreateFromDir(f, module.Version{Path: m.path, Version: r.version}, m.dirIn(r.root)); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// command returns a go command that sees our modules through this proxy alone, and no workspace.
func (p *proxy) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=file://"+p.dir+","+p.upstream,
		"GONOSUMDB="+house+"*", "GONOPROXY=none", "GOPRIVATE=",
		// go remembers what is in a module version, which never changes, except here.
		"GODEBUG=goindex=0")
	return c
}

// run runs a go command and returns what it printed when it fails.
func (p *proxy) run(ctx context.Context, dir string, args ...string) error {
	out, err := p.command(ctx, dir, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// forget removes our own modules from the module cache: the same version stands for another tree at each run.
func (p *proxy) forget() error {
	for _, at := range []string{"cache/download/", ""} {
		tree := filepath.Join(p.cache, filepath.FromSlash(at+strings.TrimSuffix(house, "/")))
		if _, err := os.Stat(tree); err != nil {
			continue
		}
		// What go unpacks is read-only.
		err := filepath.WalkDir(tree, func(name string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(name, 0o755)
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := os.RemoveAll(tree); err != nil {
			return err
		}
	}
	return nil
}

// Close removes the proxy and what it left in the module cache.
func (p *proxy) Close() error {
	err := p.forget()
	if e := os.RemoveAll(p.dir); err == nil {
		err = e
	}
	return err
}
