package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/modules/sqlite"
)

func TestAServerTellsOfItself(t *testing.T) {
	r := run(t, settings(t.TempDir()))

	t.Run("it is alive and ready", func(t *testing.T) {
		for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
			if status, body := r.get(path); status != http.StatusOK || body != want {
				t.Errorf("%s: %d %q", path, status, body)
			}
		}
	})
	t.Run("its metrics follow the conventions and cover every module", func(t *testing.T) {
		exec(t, r.connect(), "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)", "SELECT * FROM t")
		status, body := r.get("/metrics")
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		problems, err := promlint.New(strings.NewReader(body)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "bop_") {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
		contains(t, body, "\nbop_aof_fsync_seconds_count{", "\nbop_aof_append_seconds_bucket{", "\nbop_sqlite_commits_total{",
			"\nbop_sqlite_commit_seconds_count", "\nbop_wire_command_seconds_count{protocol=\"postgresql\"}", "\nbop_wire_connections{",
			"\nbop_wire_plan_cache_total{", "\ngo_goroutines ", "\nprocess_open_fds ")
	})
	t.Run("addresses.json holds what was printed, for its owner alone", func(t *testing.T) {
		name := filepath.Join(r.dir, "addresses.json")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var got Addresses
		if err := json.Unmarshal(text, &got); err != nil || got != r.Addresses {
			t.Errorf("%s, %v", text, err)
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
	})
	t.Run("bop's commands make and list databases", func(t *testing.T) {
		c := admin.NewClient(r.HTTP, "", nil)
		if err := c.Create(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), "shop"); !errors.Is(err, admin.ErrExists) {
			t.Error(err)
		}
		for _, name := range []string{"a/b", "..", "", strings.Repeat("n", 300)} {
			if err := c.Create(t.Context(), name); err == nil {
				t.Errorf("%q was taken for a name", name)
			}
		}
		list, err := c.List(t.Context())
		if err != nil || len(list) != 2 || list[0].Name != FirstDatabase || list[1].Name != "shop" || list[0].TXID == 0 || list[0].Bytes == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
	})
	t.Run("a second server refuses the folder and leaves it alone", func(t *testing.T) {
		err := Run(t.Context(), settings(r.dir))
		if !errors.Is(err, sqlite.ErrLocked) {
			t.Fatal(err)
		}
		contains(t, err.Error(), r.dir+" is in use by another process", "--data-dir")
		if _, err := os.Stat(filepath.Join(r.dir, "addresses.json")); err != nil {
			t.Error(err)
		}
	})
	t.Run("a port in use is named with its flag", func(t *testing.T) {
		o := settings(t.TempDir())
		o.PG = r.PG
		err := Run(t.Context(), o)
		if err == nil {
			t.Fatal("it was taken twice")
		}
		contains(t, err.Error(), "--pg "+r.PG+" is in use by another program")
	})
}

func TestReadinessFollowsTheServersLife(t *testing.T) {
	s := newServer(settings(t.TempDir()))
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	ready := func(status int, words string) {
		t.Helper()
		base := "http://" + s.http.Addr().String()
		if got, body := get(t, base+"/readyz"); got != status || !strings.Contains(body, words) {
			t.Fatalf("%d %q", got, body)
		}
		if got, _ := get(t, base+"/v1/databases"); got != status {
			t.Fatalf("the API answers %d", got)
		}
		if got, _ := get(t, base+"/healthz"); got != http.StatusOK {
			t.Fatalf("it isn't alive: %d", got)
		}
	}
	for _, step := range []struct {
		do     func() error
		status int
		words  string
	}{
		{func() error { return errors.Join(s.listen(), s.watch(t.Context())) }, http.StatusServiceUnavailable, "opening the databases"},
		{func() error { return s.open(t.Context()) }, http.StatusServiceUnavailable, "opening the databases"},
		{func() error { s.serve(t.Context()); return nil }, http.StatusOK, ""},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		ready(step.status, step.words)
	}
}

func TestShutdown(t *testing.T) {
	t.Run("statements that run may end, idle clients are told to go, and the folder is left in order", func(t *testing.T) {
		r := run(t, settings(t.TempDir()))
		idle, busy := r.connect(), r.connect()
		my := r.mysql("")
		exec(t, idle, "CREATE TABLE t (id int PRIMARY KEY)", "SELECT pg_advisory_lock(1)")
		// The lock is let go when the idle client is ended; the statement that waits for it goes on after that.
		result := make(chan error, 1)
		go func() {
			_, err := busy.Exec(context.Background(), "INSERT INTO t SELECT 7 + length(pg_advisory_lock(1)::text)")
			result <- err
		}()
		eventually(t, "the statement runs", func() bool {
			var n int
			err := idle.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT%'").Scan(&n)
			return err == nil && n == 1
		})
		r.stop()
		if err := <-result; err != nil {
			t.Errorf("the statement that ran: %v", err)
		}
		_, err := idle.WaitForNotification(context.Background())
		var told *pgconn.PgError
		if !errors.As(err, &told) || told.Code != "57P01" || told.Severity != "FATAL" {
			t.Errorf("PostgreSQL's idle client was told %v", err)
		}
		if number := my.failure(); number != 1053 {
			t.Errorf("MySQL's idle client was told %d", number)
		}
		if err := r.ended(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(r.dir, "addresses.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("addresses.json is still there: %v", err)
		}
		again := run(t, settings(r.dir))
		var id int
		if err := again.connect().QueryRow(t.Context(), "SELECT id FROM t").Scan(&id); err != nil || id != 7 {
			t.Errorf("%d, %v", id, err)
		}
	})
	t.Run("while clients are waited for, readyz tells of the shutdown", func(t *testing.T) {
		o := settings(t.TempDir())
		o.Grace = patience
		r := run(t, o)
		holder, busy := r.connect(), r.connect()
		exec(t, holder, "SELECT pg_advisory_lock(1)")
		begun, result := make(chan struct{}), make(chan error, 1)
		go func() {
			close(begun)
			_, err := busy.Exec(context.Background(), "SELECT pg_sleep(3600)")
			result <- err
		}()
		<-begun
		eventually(t, "the statement runs", func() bool {
			var n int
			err := holder.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%3600%' AND pid <> pg_backend_pid()").Scan(&n)
			return err == nil && n == 1
		})
		r.stop()
		eventually(t, "readyz says so", func() bool {
			status, body := r.get("/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(body, "shutting down")
		})
		if err := busy.PgConn().CancelRequest(t.Context()); err == nil {
			t.Error("new connections are still taken")
		}
		busy.PgConn().Conn().Close() // a client that vanishes doesn't hold the shutdown up
		<-result
		if err := r.ended(); err != nil {
			t.Error(err)
		}
	})
	t.Run("statements that outlast the grace are interrupted, and nothing is lost", func(t *testing.T) {
		o := settings(t.TempDir())
		o.Grace = 50 * time.Millisecond
		r := run(t, o)
		look, busy := r.connect(), r.connect()
		exec(t, look, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
		result := make(chan error, 1)
		go func() {
			_, err := busy.Exec(context.Background(), "SELECT pg_sleep(3600)")
			result <- err
		}()
		eventually(t, "the statement runs", func() bool {
			var n int
			err := look.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%3600%' AND pid <> pg_backend_pid()").Scan(&n)
			return err == nil && n == 1
		})
		r.stop()
		if err := <-result; err == nil {
			t.Error("it ran to its end")
		}
		if err := r.ended(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "were interrupted") {
			t.Fatal(err)
		}
		again := run(t, settings(r.dir))
		var n int
		if err := again.connect().QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// packets is a MySQL client that has logged in without a password.
type packets struct {
	t *testing.T
	net.Conn
}

func (r *running) mysql(database string) *packets {
	r.t.Helper()
	c, err := net.Dial("tcp", r.MySQL)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	p := &packets{r.t, c}
	p.SetDeadline(time.Now().Add(patience))
	p.read() // the server's greeting
	const withDatabase, protocol41, secure = 0x8, 0x200, 0x8000
	caps := uint32(protocol41 | secure)
	if database != "" {
		caps |= withDatabase
	}
	login := binary.LittleEndian.AppendUint32(nil, caps)
	login = binary.LittleEndian.AppendUint32(login, 1<<24)
	login = append(append(login, 45), make([]byte, 23)...)
	login = append(login, "ada\x00\x00"...)
	if database != "" {
		login = append(append(login, database...), 0)
	}
	if _, err := p.Write(append([]byte{byte(len(login)), 0, 0, 1}, login...)); err != nil {
		r.t.Fatal(err)
	}
	if ok := p.read(); ok[0] != 0 {
		r.t.Fatalf("the login failed: %q", ok)
	}
	return p
}

func (p *packets) read() []byte {
	p.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		p.t.Fatal(err)
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if _, err := io.ReadFull(p, body); err != nil {
		p.t.Fatal(err)
	}
	return body
}

// value is that of a query which gives one, short.
func (p *packets) value(query string) string {
	p.t.Helper()
	if _, err := p.Write(append([]byte{byte(len(query) + 1), 0, 0, 0, 3}, query...)); err != nil {
		p.t.Fatal(err)
	}
	if count := p.read(); len(count) != 1 || count[0] != 1 {
		p.t.Fatalf("%s: %q", query, count)
	}
	p.read() // the column
	p.read() // the columns' end
	row := p.read()
	p.read() // the rows' end
	return string(row[1 : 1+row[0]])
}

// failure is the number of the error that comes next.
func (p *packets) failure() int {
	p.t.Helper()
	if body := p.read(); body[0] == 0xff {
		return int(binary.LittleEndian.Uint16(body[1:]))
	}
	p.t.Fatal("no error came")
	return 0
}
