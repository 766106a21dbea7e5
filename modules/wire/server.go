package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/modules/wire/auth"
	grammar "github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/mywire"
	"github.com/bop-platform/bop/modules/wire/pgwire"
	"github.com/bop-platform/bop/modules/wire/session"
)

// FirstDatabase is the database that OpenFile makes in a folder without any.
const FirstDatabase = "bop"

// Options of a Server. Only Engine is needed.
type Options struct {
	Engine engine.Engine

	// Auth knows the users. nil lets everybody in under any name, which is for loopback.
	Auth auth.Store
	// Users lists the users that catalogs show beside those that are connected; nil: none.
	Users func() []string
	// TLS is offered to clients. RequireTLS refuses those that don't use it.
	TLS        *tls.Config
	RequireTLS bool

	// Route, if set, says which server is to serve a client; that one's ServeHandoff gets it. nil: this server serves all.
	Route handoff.Route
	// FirstID is where the numbers of sessions begin. Servers that pass clients on to each other need ranges of their own.
	FirstID uint32

	// Defaults are what variables are for sessions that don't set them, on databases that don't (ALTER DATABASE … SET), by
	// name: {"bop.durability": "local", "TimeZone": "Europe/Berlin"}. A variable that only one dialect has counts for its
	// clients. NewServer refuses what a session could not set.
	Defaults map[string]string

	// MaxConns is how many connections each protocol serves at once. Default 10,000.
	MaxConns int
	// MaxStatement and MaxMessage, in bytes, bound a statement's text and any other message. Defaults 16 and 64 MiB.
	MaxStatement int
	MaxMessage   int
	// Plans is how many translated statements are kept. Default 4096.
	Plans int
	// IdleInTransaction ends a session that keeps other writers waiting and is silent for that long. Default 1 minute;
	// negative: never.
	IdleInTransaction time.Duration

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// System is where the listeners' actors live. nil: a system of the server's own.
	System *actor.ActorSystem
}

// Server serves the databases of an engine. It is safe for concurrent use.
type Server struct {
	o        Options
	sessions *session.Server
	postgres *pgwire.Server
	mysql    *mywire.Server
	house    *house
	cool     context.CancelFunc // gives the preparations up
	files    *filedb.Engine     // of OpenFile
}

// NewServer returns a server without listeners.
func NewServer(o Options) (*Server, error) {
	if o.Engine == nil {
		return nil, errors.New("a server needs an engine")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o}
	var err error
	s.sessions, err = session.NewServer(session.Options{
		Engine: o.Engine, Plans: o.Plans, MaxSessions: 2 * o.MaxConns, IdleInTransaction: o.IdleInTransaction, Users: o.Users, FirstID: o.FirstID,
		Defaults: o.Defaults,
		Logger:   o.Logger, TracerProvider: o.TracerProvider, MeterProvider: o.MeterProvider,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing sessions: %w", err)
	}
	s.postgres, err = pgwire.NewServer(pgwire.Options{
		Sessions: s.sessions, Auth: o.Auth, TLS: o.TLS, RequireTLS: o.RequireTLS, Route: o.Route, MaxConns: o.MaxConns,
		MaxStatement: o.MaxStatement, MaxMessage: o.MaxMessage, Logger: o.Logger, MeterProvider: o.MeterProvider,
	})
	if err != nil {
		return nil, err
	}
	s.mysql, err = mywire.NewServer(mywire.Options{
		Sessions: s.sessions, Auth: o.Auth, TLS: o.TLS, RequireTLS: o.RequireTLS, Route: o.Route, MaxConns: o.MaxConns, MaxPacket: o.MaxMessage,
		Logger: o.Logger, MeterProvider: o.MeterProvider,
	})
	if err != nil {
		return nil, err
	}
	s.house = newHouse(o.System, o.Logger)
	var warm context.Context
	warm, s.cool = context.WithCancel(context.Background())
	go func() {
		// PostgreSQL's grammar takes a second or two until it is ready; no client should have to wait for that.
		if err := grammar.Warm(warm); err != nil && warm.Err() == nil {
			o.Logger.Error("preparing PostgreSQL's grammar failed", "error", err)
		}
	}()
	return s, nil
}

// OpenFile serves a folder of SQLite files, or a single file, without authentication. In a folder without databases it
// makes the one named FirstDatabase.
func OpenFile(path string) (*Server, error) {
	files, err := filedb.Open(path, filedb.Options{})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	names, err := files.Databases(ctx)
	if err == nil && len(names) == 0 {
		err = files.CreateDatabase(ctx, FirstDatabase)
	}
	if err != nil {
		files.Close()
		return nil, err
	}
	s, err := NewServer(Options{Engine: files})
	if err != nil {
		files.Close()
		return nil, err
	}
	s.files = files
	return s, nil
}

// Sessions is what runs statements, for programs that want them without a network.
func (s *Server) Sessions() *session.Server { return s.sessions }

// ServePostgres serves PostgreSQL clients from ln until Shutdown or the end of ctx, and closes ln. After Shutdown it
// returns an error for which errors.Is(err, net.ErrClosed) holds.
func (s *Server) ServePostgres(ctx context.Context, ln net.Listener) error {
	return s.house.serve(ctx, "PostgreSQL", ln, s.postgres.Serve)
}

// ServeMySQL serves MySQL clients from ln, as ServePostgres does PostgreSQL's.
func (s *Server) ServeMySQL(ctx context.Context, ln net.Listener) error {
	return s.house.serve(ctx, "MySQL", ln, s.mysql.Serve)
}

// ServeHandoff serves a client that another server has accepted and passed on through Options.Route, to its end, and closes
// conn, which is the other end of what Route returned there. Such a client is never passed on again. Errors:
// handoff.ErrFrame, and net.ErrClosed after Shutdown; how the client itself fares is no error.
func (s *Server) ServeHandoff(conn net.Conn) error {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(handoff.Greeted))
	f, err := handoff.Read(conn)
	if err != nil {
		return err
	}
	conn.SetReadDeadline(time.Time{})
	if f.Protocol == handoff.MySQL {
		return s.mysql.ServeHandoff(conn, f)
	}
	return s.postgres.ServeHandoff(conn, f)
}

// Demoted ends the sessions that only a leader can serve, after the statements that they run: this server isn't one any
// more. Clients that connect again find the next.
func (s *Server) Demoted() { s.sessions.Demoted() }

// Shutdown stops accepting and ends the connections: idle ones at once, the others when their statement is done, or when
// ctx ends, which is then the error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.cool()
	stopped := make(chan error, 1)
	go func() { stopped <- s.mysql.Shutdown(ctx) }()
	err := s.postgres.Shutdown(ctx)
	err = errors.Join(err, <-stopped)
	s.house.close()
	s.sessions.Close()
	if s.files != nil {
		err = errors.Join(err, s.files.Close())
	}
	return err
}
