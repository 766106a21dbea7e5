package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const (
	commandTimeout = 30 * time.Second
	maxStderr      = 1024 // bytes of it that are shown
)

// command is a program that writes keys to its standard output.
type command struct {
	line    string
	timeout time.Duration
}

// String names the program alone: its arguments may be secrets.
func (c *command) String() string {
	fields := strings.Fields(c.line)
	if len(fields) == 0 || !program.MatchString(fields[0]) {
		return "command"
	}
	return "command " + shown(fields[0])
}

var program = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

func (c *command) run(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("it took longer than %v", c.timeout))
	defer cancel()
	out, stderr := &bounded{most: maxKeyText}, &bounded{most: 4 * maxStderr, drop: true}
	cmd := exec.CommandContext(ctx, "sh", "-c", c.line)
	cmd.Stdout, cmd.Stderr = out, stderr
	// The command stays in this process group: it may want to ask at the terminal. What it leaves behind when its time
	// is up loses its pipes.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return out.b.Bytes(), nil
	}
	defer clear(out.b.Bytes())
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case out.full:
		err = fmt.Errorf("it wrote more than %d bytes", maxKeyText)
	}
	if said := stderr.said(); said != "" {
		return nil, fmt.Errorf("%w; it said %q", err, said)
	}
	return nil, err
}

// bounded takes a number of bytes and then fails, or drops the rest.
type bounded struct {
	b    bytes.Buffer
	most int
	drop bool
	full bool
}

var errFull = errors.New("too much output")

func (w *bounded) Write(p []byte) (int, error) {
	n := min(len(p), w.most-w.b.Len())
	w.b.Write(p[:n])
	if n == len(p) {
		return n, nil
	}
	w.full = true
	if w.drop {
		return len(p), nil
	}
	return n, errFull
}

// said is the beginning of the output, for an error.
func (w *bounded) said() string {
	s := w.b.String()
	if w.full {
		// The last word may be the beginning of a key.
		s = s[:max(strings.LastIndexAny(s, " \t\r\n"), 0)]
	}
	s = scrub(strings.TrimSpace(s))
	if len(s) > maxStderr {
		s = s[:maxStderr] + "…"
	}
	return s
}

var keyLike = regexp.MustCompile(`[A-Za-z0-9+/_=-]{40,}`)

// scrub takes out of a text whatever may be a key. Long paths suffer too.
func scrub(s string) string { return keyLike.ReplaceAllString(s, "[hidden]") }

// shown is a word of what the user gave, such as a path, unless it is a key, or has one between slashes or equal signs.
func shown(s string) string {
	return keyLike.ReplaceAllStringFunc(s, func(run string) string {
		starts, ends := []int{0}, []int{len(run)}
		for i := range len(run) {
			if run[i] == '/' || run[i] == '=' {
				starts, ends = append(starts, i+1), append(ends, i)
			}
		}
		for _, from := range starts {
			for _, to := range ends {
				if from < to && decodeKey(run[from:to]) != nil {
					return "[hidden]"
				}
			}
		}
		return run
	})
}
