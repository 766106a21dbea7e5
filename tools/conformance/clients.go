package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bop-platform/bop/tools/internal/process"
)

// server starts bop for a check and returns it with what stops it: a check fails when its server doesn't shut down cleanly.
func (b *bench) server(ctx context.Context, flags ...string) (*server, error) {
	s, err := process.StartBop(ctx, b.binary, filepath.Join(b.dir, "data"), flags...)
	if err != nil {
		return nil, err
	}
	return &server{Bop: s}, nil
}

type server struct{ *process.Bop }

// with runs a check's body and stops the server whatever happens.
func (b *bench) with(ctx context.Context, flags []string, body func(*server) error) error {
	s, err := b.server(ctx, flags...)
	if err != nil {
		return err
	}
	err = body(s)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	stopErr := s.Stop(stopCtx)
	if err != nil {
		return fmt.Errorf("%w\nthe server's log ends:\n%s", err, lastLines(s.Log(), 15))
	}
	return stopErr
}

// command runs a client; input "" is an empty standard input. A client that isn't there fails the check by its name.
func command(ctx context.Context, input string, env []string, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("the client %s is not installed; .ci/run installs it", name)
	}
	c := exec.CommandContext(ctx, path, args...)
	c.Stdin = strings.NewReader(input)
	c.Env = append(os.Environ(), env...)
	c.WaitDelay = 5 * time.Second
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil {
		return out.String(), &clientError{name, args, err, errOut.String(), out.String()}
	}
	if s := errOut.String(); strings.Contains(s, "ERROR") {
		return out.String(), &clientError{name, args, errors.New("printed an error"), s, out.String()}
	}
	return out.String(), nil
}

// clientError is a client's failure with what it printed.
type clientError struct {
	name   string
	args   []string
	err    error
	stderr string
	stdout string
}

func (e *clientError) Error() string {
	return fmt.Sprintf("%s %s: %v\n%s\n%s", e.name, strings.Join(e.args, " "), e.err, lastLines(e.stderr, 20), lastLines(e.stdout, 5))
}

func (e *clientError) Unwrap() error { return e.err }

// psql runs SQL or backslash commands and stops at the first error. Rows are unaligned, without headers.
func psql(ctx context.Context, addr, database, input string, args ...string) (string, error) {
	host, port := process.Split(addr)
	base := []string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", port, "-U", "bop", "-d", database}
	return command(ctx, input, []string{"PGCONNECT_TIMEOUT=10", "PGSSLMODE=prefer"}, "psql", append(base, args...)...)
}

// mysql runs SQL in batch mode: rows are tab-separated, without headers.
func mysql(ctx context.Context, addr, database, input string, args ...string) (string, error) {
	host, port := process.Split(addr)
	base := []string{"--no-defaults", "--batch", "--skip-column-names", "--protocol=tcp", "-h", host, "-P", port, "-u", "bop"}
	base = append(base, args...)
	if database != "" {
		base = append(base, database)
	}
	return command(ctx, input, nil, "mysql", base...)
}

// expect compares a client's output with what it has to be.
func expect(what, got, want string) error {
	if got, want = strings.TrimSpace(got), strings.TrimSpace(want); got != want {
		return fmt.Errorf("%s: got\n%s\nwant\n%s", what, lastLines(got, 40), lastLines(want, 40))
	}
	return nil
}

// refused checks that a client failed with certain words.
func refused(what string, err error, words ...string) error {
	var c *clientError
	if !errors.As(err, &c) {
		return fmt.Errorf("%s: not refused (%v)", what, err)
	}
	for _, w := range words {
		if !strings.Contains(c.stderr, w) {
			return fmt.Errorf("%s: refused without saying %q: %s", what, w, c.stderr)
		}
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = append([]string{"…"}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}
