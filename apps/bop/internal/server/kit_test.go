package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bop-platform/bop/apps/bop/internal/config"
)

// patience is how long tests wait for what has to happen.
const patience = 30 * time.Second

// settings are those of a server on free ports.
func settings(dir string) Options {
	return Options{Serve: config.Serve{DataDir: dir, Node: "n1", PG: "127.0.0.1:0", MySQL: "127.0.0.1:0", HTTP: "127.0.0.1:0", Raft: "127.0.0.1:0"},
		Version: "v0.0.0-test", Out: io.Discard, Logger: slog.New(slog.DiscardHandler)}
}

// running is a server in this process.
type running struct {
	t *testing.T
	Announcement
	dir  string
	told chan Announcement // what it prints, once it serves
	stop context.CancelFunc
	done chan error // Run's error
}

// run starts a server and waits until it serves. It is stopped at the end of the test, if it wasn't before.
func run(t *testing.T, o Options) *running {
	t.Helper()
	r := begin(t, o)
	r.serves()
	return r
}

// serves waits until the server does.
func (r *running) serves() {
	r.t.Helper()
	a, ok := <-r.told
	if !ok {
		r.stop()
		r.t.Fatalf("it doesn't serve: %v", r.ended())
	}
	r.Announcement = a
}

// begin starts a server.
func begin(t *testing.T, o Options) *running {
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	o.Out = in
	r := &running{t: t, dir: o.DataDir, told: make(chan Announcement, 1), stop: stop, done: make(chan error, 1)}
	go func() {
		defer close(r.told)
		var a Announcement
		if err := json.NewDecoder(out).Decode(&a); err == nil {
			r.told <- a
		}
	}()
	go func() {
		err := Run(ctx, o)
		in.CloseWithError(io.ErrUnexpectedEOF)
		r.done <- err
	}()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-r.done:
			if err != nil {
				t.Errorf("its end: %v", err)
			}
		case <-time.After(patience):
			t.Error("it didn't end")
		}
	})
	return r
}

// ended waits for the end of a server that was asked to stop.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- nil // for the clean-up
		return err
	case <-time.After(patience):
		r.t.Fatal("it didn't end")
		return nil
	}
}

// connect opens a PostgreSQL connection.
func (r *running) connect() *pgx.Conn {
	r.t.Helper()
	c, err := pgx.Connect(r.t.Context(), "postgres://ada@"+r.PG+"/bop?sslmode=disable")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// get returns the status and the body of an HTTP resource.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	return get(r.t, "http://"+r.HTTP+path)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// exec runs statements.
func exec(t *testing.T, c *pgx.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

// logTo is a logger that writes to a buffer, which is read when the server has ended.
func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
