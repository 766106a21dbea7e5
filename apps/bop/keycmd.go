package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

type keyCmd struct {
	New keyNewCmd `cmd:"" help:"Make a wrapping key."`
}

type keyNewCmd struct {
	Name string `arg:"" help:"Name of the key, for ever: letters, digits, '.', '_' and '-'."`
	File string `name:"file" type:"path" placeholder:"FILE" help:"Put it first into this key file, which is made with mode 0600 if it isn't there. Default: print it."`
}

func (c *keyNewCmd) Help() string {
	return `The first key of a file wraps the data keys of databases; the others open what they wrapped. Without the key a database can't be read by anybody: keep a copy apart from the data and from the bucket.

Example:
  bop key new 2026 --file /etc/bop/keys
  bop serve --key-file /etc/bop/keys`
}

func (c *keyNewCmd) Run(e *env) error {
	if err := crypt.CheckName(c.Name); err != nil {
		return err
	}
	line := crypt.GenerateKey(c.Name)
	if c.File == "" {
		_, err := fmt.Fprint(e.out, line)
		return err
	}
	if err := prependKey(c.File, line); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "%s: key %s is the first now\n", c.File, c.Name)
	return err
}

// prependKey replaces a key file by one that begins with another line: at once, so that nobody finds half of it and a crash
// takes no key away.
func prependKey(name, line string) error {
	if whole, err := filepath.EvalSymlinks(name); err == nil {
		name = whole // the link stays
	}
	had, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return newFile(name, false, func(f *os.File) error {
			_, err := f.WriteString(line)
			return err
		})
	}
	if err != nil {
		return err
	}
	if _, err := crypt.ParseKeys(had); err != nil {
		return fmt.Errorf("%s is no key file, and stays as it is: %w", name, err)
	}
	text := append([]byte(line), had...)
	if _, err := crypt.ParseKeys(text); err != nil {
		return fmt.Errorf("%s has a key of that name already, and names are for ever: choose another", name)
	}
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	return newFile(name, true, func(f *os.File) error {
		// A server that runs as somebody else still has to read it.
		if err := keepOwner(f, st); err != nil {
			return fmt.Errorf("%s belongs to somebody else: do it as that user: %w", name, err)
		}
		_, err := f.Write(text)
		return err
	})
}
