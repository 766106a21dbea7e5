package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// check gets and builds each released module in an empty module of its own, and runs its README's first program there.
func check(ctx context.Context, r *repo) (err error) {
	p, err := newProxy(r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, m := range r.modules {
		if !m.released() {
			continue
		}
		started := time.Now()
		if err := p.outside(ctx, r, m); err != nil {
			return fmt.Errorf("%s from outside: %w", m.path, err)
		}
		fmt.Printf("ok  %s@%s  %.1fs\n", m.path, r.version, time.Since(started).Seconds())
	}
	return nil
}

// outside is the user's side of the check.
func (p *proxy) outside(ctx context.Context, r *repo, m goModule) error {
	dir, err := os.MkdirTemp("", "bop-outside-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := p.run(ctx, dir, "mod", "init", "example.com/outside"); err != nil {
		return err
	}
	if strings.HasPrefix(m.dir, "apps/") {
		// A command is installed by its path: go refuses that for a module with replace directives.
		install := p.command(ctx, dir, "install", m.path+"@"+r.version)
		install.Env = append(install.Env, "GOBIN="+dir)
		if out, err := install.CombinedOutput(); err != nil {
			return fmt.Errorf("go install: %w\n%s", err, out)
		}
		return nil
	}
	if err := p.run(ctx, dir, "get", m.path+"@"+r.version); err != nil {
		return err
	}
	program, err := readmeProgram(filepath.Join(m.dirIn(r.root), "README.md"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		return err
	}
	if err := p.run(ctx, dir, "build", m.path+"/...", "."); err != nil {
		return err
	}
	if err := p.run(ctx, dir, "build", "-o", "program", "."); err != nil {
		return err
	}
	return runProgram(ctx, dir)
}

// runProgram runs the README's program. One that is still there after a while is a server: it is ended.
func runProgram(ctx context.Context, dir string) error {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	program := exec.CommandContext(short, filepath.Join(dir, "program"))
	program.Dir, program.WaitDelay = dir, time.Second
	out, err := program.CombinedOutput()
	if err != nil && short.Err() == nil {
		return fmt.Errorf("the README's program: %w\n%s", err, out)
	}
	return ctx.Err()
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// readmeProgram returns the first whole program in a README: users copy it, so it has to run as it stands.
func readmeProgram(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], "package main") {
			return block[1], nil
		}
	}
	return "", fmt.Errorf("%s: no ```go block with package main; each module's README shows a program that runs", name)
}
