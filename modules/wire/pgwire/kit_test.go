package pgwire_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/pgwire"
	"github.com/bop-platform/bop/modules/wire/session"
)

// kit is a server with a database named db.
type kit struct {
	testing.TB
	addr     string
	server   *pgwire.Server
	sessions *session.Server
	done     chan error // what Serve returned
}

func start(t testing.TB, o pgwire.Options) *kit {
	t.Helper()
	files, err := filedb.Open(t.TempDir(), filedb.Options{LockTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	if err := files.CreateDatabase(context.Background(), "db"); err != nil {
		t.Fatal(err)
	}
	return startOn(t, files, o)
}

// startOn is start for any engine.
func startOn(t testing.TB, e engine.Engine, o pgwire.Options) *kit {
	t.Helper()
	var err error
	if o.Sessions == nil {
		if o.Sessions, err = session.NewServer(session.Options{Engine: e}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(o.Sessions.Close)
	s, err := pgwire.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &kit{TB: t, addr: ln.Addr().String(), server: s, sessions: o.Sessions, done: make(chan error, 1)}
	go func() { k.done <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("shutting down:", err)
		}
	})
	return k
}

func (k *kit) url(rest string) string {
	return "postgres://ada:secret@" + k.addr + "/db?sslmode=disable" + rest
}

// connect connects with pgx.
func (k *kit) connect(rest string) *pgx.Conn {
	k.Helper()
	c, err := pgx.Connect(context.Background(), k.url(rest))
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func exec(t testing.TB, c *pgx.Conn, sql string, args ...any) pgconn.CommandTag {
	t.Helper()
	tag, err := c.Exec(context.Background(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return tag
}

func one[T any](t testing.TB, c *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// wantState checks an error's SQLSTATE.
func wantState(t testing.TB, err error, state string) *pgconn.PgError {
	t.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != state {
		t.Fatalf("got %v, want SQLSTATE %s", err, state)
	}
	return e
}

// raw is a client that speaks the protocol by itself.
type raw struct {
	testing.TB
	net.Conn
	*pgproto3.Frontend
}

// dial connects without a word.
func (k *kit) dial() *raw {
	k.Helper()
	conn, err := net.Dial("tcp", k.addr)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{k.TB, conn, pgproto3.NewFrontend(conn, conn)}
}

// raw connects and begins a session.
func (k *kit) raw() *raw {
	k.Helper()
	r := k.dial()
	r.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "ada", "database": "db"}})
	r.until("Z")
	return r
}

func (r *raw) send(messages ...pgproto3.FrontendMessage) {
	r.Helper()
	for _, m := range messages {
		r.Frontend.Send(m)
	}
	if err := r.Flush(); err != nil {
		r.Fatal(err)
	}
}

// next returns the next message in short.
func (r *raw) next() string {
	r.Helper()
	m, err := r.Receive()
	if err != nil {
		return fmt.Sprintf("end(%v)", err)
	}
	return short(m)
}

// short names a message as in the protocol's description, with what matters of it.
func short(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.AuthenticationOk:
		return "R"
	case *pgproto3.ParameterStatus:
		return "S"
	case *pgproto3.BackendKeyData:
		return "K"
	case *pgproto3.ReadyForQuery:
		return "Z" + string(m.TxStatus)
	case *pgproto3.ParseComplete:
		return "1"
	case *pgproto3.BindComplete:
		return "2"
	case *pgproto3.CloseComplete:
		return "3"
	case *pgproto3.NoData:
		return "n"
	case *pgproto3.ParameterDescription:
		return fmt.Sprintf("t%v", m.ParameterOIDs)
	case *pgproto3.RowDescription:
		s := "T"
		for _, f := range m.Fields {
			s += fmt.Sprintf("(%s %d %d)", f.Name, f.DataTypeOID, f.Format)
		}
		return s
	case *pgproto3.DataRow:
		s := "D"
		for _, v := range m.Values {
			if v == nil {
				s += "(NULL)"
			} else {
				s += fmt.Sprintf("(%s)", v)
			}
		}
		return s
	case *pgproto3.PortalSuspended:
		return "s"
	case *pgproto3.EmptyQueryResponse:
		return "I"
	case *pgproto3.CommandComplete:
		return "C(" + string(m.CommandTag) + ")"
	case *pgproto3.ErrorResponse:
		return "E(" + m.Severity + " " + m.Code + ")"
	case *pgproto3.NoticeResponse:
		return "N(" + m.Severity + " " + m.Code + ")"
	case *pgproto3.NotificationResponse:
		return "A(" + m.Channel + " " + m.Payload + ")"
	case *pgproto3.CopyInResponse:
		return fmt.Sprintf("G%d", m.OverallFormat)
	case *pgproto3.CopyOutResponse:
		return fmt.Sprintf("H%d", m.OverallFormat)
	case *pgproto3.CopyData:
		return fmt.Sprintf("d%q", m.Data)
	case *pgproto3.CopyDone:
		return "c"
	case *pgproto3.NegotiateProtocolVersion:
		return fmt.Sprintf("v(%d.%d %v)", m.NewestMinorProtocol>>16, m.NewestMinorProtocol&0xffff, m.UnrecognizedOptions)
	}
	return fmt.Sprintf("%T", m)
}

// until returns the messages up to the first that begins with what.
func (r *raw) until(what string) (got []string) {
	r.Helper()
	for {
		s := r.next()
		got = append(got, s)
		if len(s) >= len(what) && s[:len(what)] == what {
			return got
		}
		if len(s) > 3 && s[:3] == "end" {
			r.Fatalf("waiting for %q, got %q", what, got)
		}
	}
}

// want checks the next messages.
func (r *raw) want(messages ...string) {
	r.Helper()
	for i, m := range messages {
		if got := r.next(); got != m {
			r.Fatalf("message %d: got %s, want %s", i, got, m)
		}
	}
}

// TestMain makes the grammar ready first: with the race detector that takes long enough to upset time-outs.
func TestMain(m *testing.M) {
	if err := postgres.Warm(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
