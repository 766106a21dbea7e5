package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tidy runs go mod tidy in every module. The checksums of siblings are taken out again: they name a tree that changes
// with every edit, and the workspace doesn't want them.
func tidy(ctx context.Context, r *repo) (err error) {
	p, err := newProxy(r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, m := range r.modules {
		dir := m.dirIn(r.root)
		if err := p.run(ctx, dir, "mod", "tidy"); err != nil {
			return fmt.Errorf("%s: %w", m.dir, err)
		}
		if err := dropSiblingSums(filepath.Join(dir, "go.sum")); err != nil {
			return err
		}
		fmt.Println("ok ", m.path)
	}
	return nil
}

func dropSiblingSums(name string) error {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(house)) {
			kept = append(kept, line...)
		}
	}
	return os.WriteFile(name, kept, 0o644)
}
