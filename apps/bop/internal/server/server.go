// Package server puts the parts of `bop serve` together: storage, front ends, HTTP, telemetry, and the order in which
// they start and stop.
package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/cluster"
	"github.com/bop-platform/bop/apps/bop/internal/config"
	"github.com/bop-platform/bop/apps/bop/internal/storage"
	"github.com/bop-platform/bop/apps/bop/internal/telemetry"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire"
	"github.com/bop-platform/bop/modules/wire/auth"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/session"
)

// FirstDatabase is there from the first start on.
const FirstDatabase = "bop"

// closing is how long the last checkpoints and the last telemetry may take, after the grace.
const closing = 10 * time.Second

// Options are what a server needs beside its settings.
type Options struct {
	config.Serve
	Version    string
	AdminToken string
	Grace      time.Duration // how long a shutdown waits for statements that run; default 10 seconds
	Out        io.Writer     // gets the line with the addresses
	Logger     *slog.Logger
}

// Addresses are where the listeners are; "" is off.
type Addresses struct {
	PG    string `json:"pg,omitempty"`
	MySQL string `json:"mysql,omitempty"`
	HTTP  string `json:"http,omitempty"`
	Raft  string `json:"raft,omitempty"`
}

// Announcement is the line that a server prints when it serves.
type Announcement struct {
	Addresses
	// TakenOver is what this start found in the bucket and goes on with, if the data folder was new.
	TakenOver []TakenOver `json:"taken_over,omitempty"`
}

// Run serves until ctx ends and then shuts down: new connections are refused, statements that run may end, and the
// databases are closed with a checkpoint. The error says what kept it from serving, or from a clean end.
func Run(ctx context.Context, o Options) (err error) {
	s := newServer(o)
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil // it was stopped while it waited for the others
	}
	s.serve(ctx)
	if err := s.announce(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.log.Info("shutting down", "grace", s.o.Grace)
		return nil
	case err := <-s.failed:
		return err
	case <-s.cluster.Removed():
		return s.cluster.RemovedError()
	}
}

// server holds what has to be stopped, in reverse order.
type server struct {
	o         Options
	log       *slog.Logger
	system    *actor.ActorSystem
	telemetry *telemetry.Telemetry
	cluster   *cluster.Cluster
	host      *sqlite.Host
	users     atomic.Pointer[storage.Users]
	settings  atomic.Pointer[storage.Settings]
	wire      *wire.Server
	unwatch   func() // of leadership
	admin     *admin.Server

	pg, mysql, http net.Listener
	raft            net.Listener
	tls             *tls.Config
	httpServer      *http.Server
	failed          chan error // gets why a listener ended by itself
}

func newServer(o Options) *server {
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	return &server{o: o, log: o.Logger, failed: make(chan error, 3)}
}

// listen takes the addresses before anything else: a port in use is the most common mistake and should change nothing.
func (s *server) listen() error {
	for _, l := range []struct {
		flag, addr string
		to         *net.Listener
	}{{"--pg", s.o.PG, &s.pg}, {"--mysql", s.o.MySQL, &s.mysql}, {"--http", s.o.HTTP, &s.http}, {"--raft", s.o.Raft, &s.raft}} {
		if l.addr == config.Off {
			continue
		}
		listener, err := net.Listen("tcp", l.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s %s is in use by another program: choose another with %s HOST:PORT (port 0 picks a free one), or %s off: %w",
				l.flag, l.addr, l.flag, l.flag, err)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", l.flag, l.addr, err)
		}
		*l.to = listener
	}
	return nil
}

// watch starts what tells of the server: telemetry, and HTTP, where /readyz says that the databases are being opened.
func (s *server) watch(ctx context.Context) (err error) {
	if s.o.TLSCert != "" {
		if s.tls, err = loadTLS(s.o.TLSCert, s.o.TLSKey); err != nil {
			return err
		}
	}
	if s.telemetry, err = telemetry.Start(ctx, telemetry.Options{Node: s.o.Node, Version: s.o.Version, OTLP: s.o.OTLP, Logger: s.log}); err != nil {
		return err
	}
	s.admin = admin.New(admin.Options{Metrics: s.telemetry.Metrics, Token: s.o.AdminToken, Logger: s.log})
	s.admin.NotReady("opening the databases")
	s.httpServer = &http.Server{Handler: s.admin, TLSConfig: s.tls, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.start("HTTP", s.http, func() error {
		if s.tls != nil {
			return s.httpServer.ServeTLS(s.http, "", "")
		}
		return s.httpServer.Serve(s.http)
	})
	return nil
}

// start serves a listener; failed gets the error if it ends by itself.
func (s *server) start(name string, l net.Listener, serve func() error) {
	if l == nil {
		return
	}
	go func() {
		if err := serve(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("the %s listener failed: %w", name, err)
		}
	}()
}

// open recovers the databases and makes the front ends.
func (s *server) open(ctx context.Context) (err error) {
	quiet := slog.New(atLeast{slog.LevelWarn, s.log.Handler()}) // the actor system tells of each letter that nobody takes
	s.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	began := time.Now()
	b, err := s.begin(ctx)
	if err != nil {
		return err
	}
	if err := s.join(ctx, b.adopt); err != nil {
		return err
	}
	s.host, err = sqlite.Open(ctx, sqlite.Options{
		Dir: s.o.DataDir, Logger: s.log, TracerProvider: s.telemetry.Tracer, MeterProvider: s.telemetry.Meter, System: s.system,
		Log: s.cluster.Log(), SystemChanged: s.systemChanged, Keys: b.keys, Cold: s.cold(b),
	})
	if errors.Is(err, sqlite.ErrLocked) {
		return fmt.Errorf("data folder %s is in use by another process: stop it, or name another folder with --data-dir: %w", s.o.DataDir, err)
	}
	if err != nil {
		return fmt.Errorf("opening data folder %s: %w", s.o.DataDir, err)
	}
	s.users.Store(storage.NewUsers(s.host, s.log))
	s.settings.Store(storage.NewSettings(s.host))
	if err := s.cluster.Check(ctx, s.host); err != nil {
		return err
	}
	for _, damage := range s.host.Damage() {
		s.log.Error("the log is damaged", "err", damage)
	}
	if err := s.first(ctx); err != nil {
		return err
	}
	s.log.Info("databases are open", "data_dir", s.o.DataDir, "databases", len(s.host.Databases()), "took", time.Since(began).Round(time.Millisecond))

	options := wire.Options{Engine: storage.Engine{Host: s.host, Kept: s.settings.Load()}, Defaults: s.o.Defaults(), TLS: s.tls, Logger: s.log, Route: s.route,
		FirstID:        uint32(cluster.NodeID(s.o.Node)>>1&0x7ff) << 20, // 11 bits of the node, 20 of the session
		TracerProvider: s.telemetry.Tracer, MeterProvider: s.telemetry.Meter, System: s.system}
	if s.o.Auth {
		users := s.users.Load()
		options.Auth, options.Users = users, users.Names
		if len(users.Names()) == 0 {
			s.log.Warn("there are no users yet, so nobody is let in: add one with bop user add --http")
		}
	}
	if s.o.AuthFile != "" {
		users, err := auth.OpenFile(s.o.AuthFile)
		if err != nil {
			return err
		}
		options.Auth, options.Users = users, users.Names
	}
	if s.wire, err = wire.NewServer(options); err != nil {
		return fmt.Errorf("preparing the front ends: %w", err)
	}
	s.cluster.Serve(s.admin.Admitted(), s.wire.ServeHandoff)
	s.unwatch = s.cluster.Log().Watch(func(sqlite.LogEvent) { go s.wire.Demoted() })
	return nil
}

// systemChanged is called when the system database has changed.
func (s *server) systemChanged() {
	s.cluster.SystemChanged()
	if u := s.users.Load(); u != nil {
		u.Changed()
	}
	if k := s.settings.Load(); k != nil {
		k.Changed()
	}
}

// route passes clients on to the leader, but for those that say that they take what this server has.
func (s *server) route(ctx context.Context, g handoff.Greeting) (net.Conn, error) {
	if c, ok := session.ParseConsistency(g.Consistency); ok && c.Level == engine.StaleReads && !g.Cancel {
		return nil, nil
	}
	return s.cluster.ToLeader(ctx)
}

// join opens the log that this server shares with its cluster, of one at least.
func (s *server) join(ctx context.Context, adopt bool) (err error) {
	if err := os.MkdirAll(s.o.DataDir, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	initial, err := s.o.Members()
	if err != nil {
		return err
	}
	config, err := peerTLS(s.o.PeerCA, s.o.PeerCert, s.o.PeerKey)
	if err != nil {
		return err
	}
	lock, err := fsys.OS.Lock(s.o.DataDir)
	if err != nil {
		if errors.Is(err, fsys.ErrLocked) {
			return fmt.Errorf("data folder %s is in use by another process: stop it, or name another folder with --data-dir: %w", s.o.DataDir, err)
		}
		return fmt.Errorf("data folder %s: %w", s.o.DataDir, err)
	}
	// The host takes the folder again: what is opened before must not be another process's.
	if err := lock.Close(); err != nil {
		return err
	}
	s.cluster, err = cluster.Open(ctx, cluster.Options{
		Dir: s.o.DataDir, Node: s.o.Node, Listener: s.raft, Initial: initial, Name: s.o.ClusterName, Join: s.o.Join, Adopt: adopt, TLS: config, Insecure: s.o.Insecure,
		Logger: s.log, TracerProvider: s.telemetry.Tracer, MeterProvider: s.telemetry.Meter, System: s.system,
	})
	if err != nil {
		return fmt.Errorf("opening data folder %s: %w", s.o.DataDir, err)
	}
	s.raft = nil // the transport's from here on
	s.cluster.Serve(s.admin.Admitted(), nil)
	s.admin.Clustered(storage.Cluster{Cluster: s.cluster})
	return nil
}

// first waits until this server can serve, and makes the first database of a new cluster.
func (s *server) first(ctx context.Context) error {
	for again := false; ; again = true {
		if len(s.host.Databases()) > 0 {
			s.fill(ctx)
			return nil
		}
		err := s.host.Writable()
		if err == nil {
			_, err = s.host.Create(ctx, FirstDatabase, sqlite.CreateOptions{})
			if err == nil || errors.Is(err, sqlite.ErrExists) {
				return nil
			}
		}
		if !errors.Is(err, sqlite.ErrNotLeader) && !errors.Is(err, sqlite.ErrNotCommitted) && !errors.Is(err, sqlite.ErrSerialization) && !errors.Is(err, sqlite.ErrOutcomeUnknown) {
			return fmt.Errorf("creating database %s: %w", FirstDatabase, err)
		}
		if !again {
			s.admin.NotReady("waiting for the other servers of the cluster")
			s.log.Info("waiting for the other servers of the cluster")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fill waits until a server that has just joined has what the others have. It gives up when nobody can be asked: what is here
// can be read as well.
func (s *server) fill(ctx context.Context) {
	if !s.cluster.Joined() {
		return
	}
	s.admin.NotReady("taking over what the other servers have")
	ctx, cancel := context.WithTimeout(ctx, filling)
	defer cancel()
	for s.host.Fresh(ctx, sqlite.Stale, 1) != nil && ctx.Err() == nil {
		s.log.Info("waiting until this server has what the others have")
	}
}

// filling is how long a server that has joined waits before it serves what it has.
const filling = 10 * time.Minute

// atLeast passes records of a level and above.
type atLeast struct {
	level slog.Level
	slog.Handler
}

func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

// loadTLS reads the certificate again when its file changes, so that it can be renewed without a restart.
func loadTLS(cert, key string) (*tls.Config, error) {
	load := func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", cert, key, err)
		}
		return &c, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	r := &renewed{cert: cert, load: load}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.get() }}, nil
}

// serve starts the front ends.
func (s *server) serve(ctx context.Context) {
	// They end with Shutdown, not with ctx: running statements get their grace.
	alive := context.WithoutCancel(ctx)
	s.start("PostgreSQL", s.pg, func() error { return s.wire.ServePostgres(alive, s.pg) })
	s.start("MySQL", s.mysql, func() error { return s.wire.ServeMySQL(alive, s.mysql) })
	backups := storage.Backups{Host: s.host, Keys: s.o.KeyFile != "", TracerProvider: s.telemetry.Tracer, MeterProvider: s.telemetry.Meter}
	s.admin.Ready(storage.Databases{Host: s.host, Logger: s.log}, backups, s.users.Load())
}

// announce prints where the listeners are and keeps it in the data folder.
func (s *server) announce() error {
	addr := func(l net.Listener) string {
		if l == nil {
			return ""
		}
		return l.Addr().String()
	}
	a := Addresses{PG: addr(s.pg), MySQL: addr(s.mysql), HTTP: addr(s.http), Raft: s.cluster.Addr().String()}
	taken := takenOver(s.host)
	s.cluster.Started(s.host, cluster.Node{PG: a.PG, MySQL: a.MySQL, HTTP: a.HTTP})
	line, err := json.Marshal(Announcement{a, taken})
	if err != nil {
		return err
	}
	line = append(line, '\n')
	// Whoever waits for the file must not find half of it.
	half := s.addressFile() + ".new"
	if err := errors.Join(os.WriteFile(half, line, 0o600), os.Rename(half, s.addressFile())); err != nil {
		return fmt.Errorf("writing the addresses: %w", err)
	}
	for _, t := range taken {
		s.log.Info("this server goes on from the bucket with a database", "database", t.Database, "txid", t.TXID, "committed", t.Time)
	}
	s.log.Info("serving", "version", s.o.Version, "pg", a.PG, "mysql", a.MySQL, "http", a.HTTP, "raft", a.Raft,
		"authentication", s.o.Auth || s.o.AuthFile != "", "tls", s.o.TLSCert != "")
	_, err = s.o.Out.Write(line)
	return err
}

func (s *server) addressFile() string { return filepath.Join(s.o.DataDir, "addresses.json") }

// stop ends whatever was started, in reverse order. HTTP answers until the clients are gone.
func (s *server) stop() error {
	var errs []error
	if s.admin != nil {
		s.admin.NotReady("shutting down")
	}
	grace, cancel := context.WithTimeout(context.Background(), s.o.Grace)
	defer cancel()
	if s.cluster != nil {
		s.cluster.Resign(grace)
	}
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.wire != nil {
		if err := s.wire.Shutdown(grace); err != nil {
			errs = append(errs, fmt.Errorf("statements that still ran %v after the shutdown began were interrupted: %w", s.o.Grace, err))
		}
	}
	if s.httpServer != nil {
		if err := s.httpServer.Shutdown(grace); err != nil {
			errs = append(errs, s.httpServer.Close())
		}
	}
	for _, l := range []net.Listener{s.pg, s.mysql, s.http, s.raft} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	// Statements that used the grace up don't take the checkpoints with them.
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if s.cluster != nil {
		s.cluster.Stop()
	}
	if s.host != nil {
		// The addresses are wrong from here on; the lock tells the rest.
		if err := os.Remove(s.addressFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, s.host.Close(ctx))
	} else if s.cluster != nil {
		errs = append(errs, s.cluster.Log().Close())
	}
	if s.telemetry != nil {
		if err := s.telemetry.Stop(ctx); err != nil {
			s.log.Warn("the last telemetry was not delivered", "err", err)
		}
	}
	if s.system != nil {
		s.system.Shutdown()
	}
	return errors.Join(errs...)
}
