package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/server"
)

// TestMain lets the test binary stand in for bop, in tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("BOP_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

// command runs one command in this process and returns its exit status and what it wrote.
func command(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	status = run(ctx, func() {}, args, &env{out: &o, err: &e})
	return status, o.String(), e.String()
}

// process is bop serve in a process of its own.
type process struct {
	*exec.Cmd
	server.Addresses
	ended chan error
}

func serve(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{ended: make(chan error, 1)}
	p.Cmd = exec.Command(os.Args[0], append([]string{"serve", "--pg", "off", "--mysql", "off", "--http", "127.0.0.1:0", "--data-dir", t.TempDir()}, args...)...)
	p.Env = append(os.Environ(), "BOP_TEST_COMMAND=1")
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p.Stderr = &log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(out).Decode(&p.Addresses); err != nil {
		t.Fatalf("it doesn't serve: %v, %v\n%s", err, p.Wait(), log.String())
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("it didn't end")
		return nil
	}
}

func TestServeRefusesToBeOpenToTheWorld(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	status, out, errs := command(t, "serve", "--pg", "0.0.0.0:0", "--data-dir", dir)
	if status != 2 || out != "" || !strings.Contains(errs, "--pg 0.0.0.0:0 is beyond loopback: give --auth or --auth-file and --tls-cert") {
		t.Errorf("%d %q %q", status, out, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it made the data folder all the same")
	}
}

func TestCommandsReachAServer(t *testing.T) {
	p := serve(t)
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"a database is made", []string{"db", "create", "shop"}, 0, "created shop\n"},
		{"but not twice", []string{"db", "create", "shop"}, 1, "exists"},
		{"the list is for people", []string{"db", "list"}, 0, "NAME"},
		{"or for programs", []string{"db", "list", "--json"}, 0, `"name":"shop"`},
		{"an export of nothing is refused", []string{"db", "export", "none", filepath.Join(t.TempDir(), "f")}, 1, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out, errs := command(t, append(c.args, "--http", p.HTTP)...)
			if status != c.status || !strings.Contains(out+errs, c.says) {
				t.Errorf("%d %q %q", status, out, errs)
			}
		})
	}
	p.Process.Signal(syscall.SIGTERM)
	if err := p.wait(t); err != nil {
		t.Errorf("its end: %v", err)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	p := serve(t)
	// An upload that never comes to its end keeps the shutdown waiting.
	body, never := io.Pipe()
	defer never.Close()
	upload := &begun{Reader: body, read: make(chan struct{})}
	r, err := http.NewRequest(http.MethodPut, "http://"+p.HTTP+"/v1/databases/a/content", upload)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue") // the body is read once the server asks for it
	go func() {
		if res, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}).Do(r); err == nil {
			res.Body.Close()
		}
	}()
	<-upload.read
	p.Process.Signal(syscall.SIGTERM)
	for {
		c, err := net.Dial("tcp", p.HTTP)
		if err != nil {
			break // it is shutting down
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-p.ended:
		t.Fatalf("the first signal didn't wait for the upload: %v", err)
	default:
	}
	p.Process.Signal(syscall.SIGTERM)
	p.wait(t)
	if st := p.ProcessState.Sys().(syscall.WaitStatus); !st.Signaled() || st.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", p.ProcessState)
	}
}

// begun tells of its first read.
type begun struct {
	io.Reader
	read chan struct{}
	seen bool
}

func (b *begun) Read(p []byte) (int, error) {
	if !b.seen {
		b.seen = true
		close(b.read)
	}
	return b.Reader.Read(p)
}
