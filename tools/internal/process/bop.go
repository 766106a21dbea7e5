// Package process starts the servers that the tools compare and drive: bop itself, PostgreSQL and MariaDB.
package process

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Bop is a running `bop serve`.
type Bop struct {
	PG, MySQL, HTTP string // addresses it listens on

	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
	err  error // of Wait, once done is closed
}

// StartBop starts a server on free ports with its data in dir and waits until it is ready.
func StartBop(ctx context.Context, binary, dir string, flags ...string) (*Bop, error) {
	args := append([]string{"serve", "--data-dir", dir, "--pg", "127.0.0.1:0", "--mysql", "127.0.0.1:0", "--http", "127.0.0.1:0"}, flags...)
	b := &Bop{cmd: exec.Command(binary, args...), log: &tail{limit: 256 << 10}, done: make(chan struct{})}
	b.cmd.Stderr = b.log
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	line := make(chan []byte, 1)
	go func() {
		r := bufio.NewReader(stdout)
		first, _ := r.ReadBytes('\n')
		line <- first
		for {
			if _, err := r.ReadByte(); err != nil {
				break
			}
		}
		b.err = b.cmd.Wait()
		close(b.done)
	}()
	var first []byte
	select {
	case first = <-line:
	case <-ctx.Done():
		b.Kill()
		return nil, fmt.Errorf("waiting for bop to listen: %w\n%s", ctx.Err(), b.log)
	}
	var addrs struct{ PG, MySQL, HTTP string }
	if err := json.Unmarshal(first, &addrs); err != nil {
		b.Kill()
		return nil, fmt.Errorf("bop did not print its addresses but %q\n%s", first, b.log)
	}
	b.PG, b.MySQL, b.HTTP = addrs.PG, addrs.MySQL, addrs.HTTP
	if err := b.waitReady(ctx); err != nil {
		b.Kill()
		return nil, err
	}
	return b, nil
}

func (b *Bop) waitReady(ctx context.Context) error {
	// Whoever looks needs no proof of who answers: the address came from the server's own output.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	scheme := "http://"
	if slices.Contains(b.cmd.Args, "--tls-cert") {
		scheme = "https://"
	}
	for {
		res, err := client.Get(scheme + b.HTTP + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-b.done:
			return fmt.Errorf("bop ended while starting: %w\n%s", b.err, b.log)
		case <-ctx.Done():
			return fmt.Errorf("waiting for bop to be ready: %w\n%s", ctx.Err(), b.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the server with SIGKILL and waits until it is gone.
func (b *Bop) Kill() {
	b.cmd.Process.Kill()
	<-b.done
}

// Stop asks the server to shut down and reports an error if it doesn't do so cleanly in time.
func (b *Bop) Stop(ctx context.Context) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping bop: %w\n%s", err, b.log)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		b.Kill()
		return fmt.Errorf("bop did not stop: %w\n%s", ctx.Err(), b.log)
	}
	if b.err != nil {
		return fmt.Errorf("bop stopped with %w\n%s", b.err, b.log)
	}
	return nil
}

// Alive reports whether the process is still there.
func (b *Bop) Alive() bool {
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

// PID is the process's number.
func (b *Bop) PID() int { return b.cmd.Process.Pid }

// Log is the end of what the server logged.
func (b *Bop) Log() string { return b.log.String() }

// tail keeps the end of what is written to it.
type tail struct {
	mu    sync.Mutex
	limit int
	buf   bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - t.limit; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// Split returns host and port of an address.
func Split(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, ""
	}
	return host, port
}

// freePort returns a port of loopback that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// credential runs a command as another user, as servers that refuse root need.
func credential(name string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	return asUser(name)
}

// run runs a command to its end; its output is part of the error.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

var errEnded = errors.New("the server ended while starting")
