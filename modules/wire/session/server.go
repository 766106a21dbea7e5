package session

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Options are what the sessions of a server share. Only Engine is needed.
type Options struct {
	Engine engine.Engine
	// Plans is how many translated statements are kept. Default 4096.
	Plans int
	// MaxSessions refuses more with 53300 and 1040. Default 10,000.
	MaxSessions int
	// IdleInTransaction ends a session that has been the writer and silent for that long, so that it doesn't stop the
	// others for ever. Default 1 minute; a session's own idle_in_transaction_session_timeout goes before. Negative: never.
	IdleInTransaction time.Duration
	// FirstID is where the numbers of sessions begin. Servers that pass clients on to each other need ranges of their own.
	FirstID uint32
	// Defaults are what variables are for sessions that don't set them, on databases that don't, by name.
	Defaults map[string]string
	// Users lists the users that the catalogs show beside those that are connected; nil: none.
	Users func() []string

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Server is what the sessions of a process share.
type Server struct {
	o        Options
	defaults map[ir.Dialect]map[string]string // Options.Defaults as each dialect writes them
	plans    planCache
	schemas  schemaCache
	hub      hub
	started  time.Time
	tracer   trace.Tracer
	traced   bool // there is somebody who may want spans
	metrics  *instruments

	mu       sync.Mutex
	sessions map[uint32]*Session
	reign    uint64 // see Reign
	ids      atomic.Uint32
}

// NewServer returns a server without sessions.
func NewServer(o Options) (*Server, error) {
	if o.Plans <= 0 {
		o.Plans = 4096
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 10_000
	}
	if o.IdleInTransaction == 0 {
		o.IdleInTransaction = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	traced := o.TracerProvider != nil
	if !traced {
		o.TracerProvider = tracenoop.NewTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = metricnoop.NewMeterProvider()
	}
	s := &Server{o: o, started: time.Now(), sessions: map[uint32]*Session{}, reign: 1, tracer: o.TracerProvider.Tracer(scope), traced: traced}
	s.plans.max = o.Plans
	var err error
	if s.defaults, err = s.checkDefaults(o.Defaults); err != nil {
		return nil, err
	}
	s.metrics, err = newInstruments(s)
	return s, err
}

const scope = "github.com/bop-platform/bop/modules/wire/session"

// Close ends what the server itself keeps. Sessions are closed by who opened them.
func (s *Server) Close() { s.metrics.close() }

// Logger is where sessions and the protocols above them log to.
func (s *Server) Logger() *slog.Logger { return s.o.Logger }

// Tracer makes the spans of commands.
func (s *Server) Tracer() trace.Tracer { return s.tracer }

// Config is what a protocol knows of a client when it has let it in.
type Config struct {
	Dialect    ir.Dialect
	User       string
	Database   string // MySQL: "" is none
	RemoteAddr net.Addr
	// ID is the session's number, from NewID, for protocols that tell it before the session begins. 0: Open draws one.
	ID uint32
	// Params are variables that the client sets as it connects. Unknown ones are refused as SET does.
	Params map[string]string
	// Reign is what Server.Reign told before it was decided that this server serves the client. If Demoted has been called
	// since, the session ends as those do that were open then. 0: it doesn't.
	Reign uint64
	// FoundRows is MySQL's client flag: an UPDATE counts the rows it found.
	FoundRows bool

	// Notice is called for warnings and notices of the running statement (PostgreSQL). nil: they are dropped.
	Notice func(*sqlerr.Error)
	// Changed is called when a variable that is reported to the client gets another value (PostgreSQL).
	Changed func(name, value string)
	// Notified is called from another goroutine for each message of LISTEN.
	Notified func(Notification)
	// Terminate ends the connection from another goroutine: pg_terminate_backend, KILL, a time-out.
	Terminate func(*sqlerr.Error)
}

// Open begins a session. Errors are *sqlerr.Error: 3D000 and 1049 for an unknown database, 53300 and 1040 when there are
// too many sessions.
func (s *Server) Open(ctx context.Context, c Config) (*Session, error) {
	if c.ID == 0 {
		c.ID = s.NewID()
	}
	x := &Session{server: s, cfg: c, id: c.ID, secret: newSecret(), opened: time.Now()}
	x.base, x.end = context.WithCancelCause(context.WithoutCancel(ctx))
	x.vars = newVars(x)
	x.env = x.newEnv()
	if c.Database != "" {
		if err := x.UseDatabase(ctx, c.Database); err != nil {
			return nil, err
		}
	}
	for name, value := range c.Params {
		if err := x.vars.start(name, value); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.o.MaxSessions {
		return nil, sqlerr.New("53300", "sorry, too many clients already").My(1040, "Too many connections")
	}
	s.sessions[x.id] = x
	if c.Reign != 0 && c.Reign != s.reign {
		x.retire()
	}
	return x, nil
}

// NewID draws the number of a session that is yet to be opened.
func (s *Server) NewID() uint32 { return s.o.FirstID + s.ids.Add(1) }

// Taken tells whether a session has a number.
func (s *Server) Taken(id uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id] != nil
}

func newSecret() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// Cancel interrupts the statement of the session that has this key; it reports whether there is one. It is what
// PostgreSQL's CancelRequest asks for.
func (s *Server) Cancel(id, secret uint32) bool {
	s.mu.Lock()
	x := s.sessions[id]
	s.mu.Unlock()
	if x == nil || x.secret != secret {
		return false
	}
	x.Cancel()
	return true
}

// Reign numbers the times between calls of Demoted.
func (s *Server) Reign() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reign
}

// Admit tells whether a client that another server has passed on can be served here: its reads have to be as fresh as
// only a leader's are, but for consistencies that are stale, and this server leads or does so in a moment. The error is what
// the client is refused with: connected again, it finds the one that leads. consistency is from Consistency.
func (s *Server) Admit(ctx context.Context, consistency string) error {
	if c, ok := ParseConsistency(consistency); !ok || c.Level == engine.StaleReads {
		return nil // a bad one is refused where it is set
	}
	ok, leader := s.o.Engine.Writable()
	if ok {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, accession)
	defer cancel()
	tick := time.NewTicker(accession / 100)
	defer tick.Stop()
	for {
		select {
		case <-wait.Done():
			words := "this server does not lead, and no leader is known at present"
			if leader != "" {
				words = "this server does not lead; " + leader + " does"
			}
			return sqlerr.New("57P03", "%s", words).My(1053, "Server shutdown in progress: %s", words).WithHint("Connect again.")
		case <-tick.C:
		}
		if ok, leader = s.o.Engine.Writable(); ok {
			return nil
		}
	}
}

// accession is how long a server that was elected may take until it knows and accepts writes.
const accession = 2 * time.Second

// Demoted ends the sessions whose reads have to be as fresh as only a leader's are: this server isn't it any more, and
// clients that connect again find the one that is. Those that run a statement get its answer first: of a commit it is the
// only thing that tells the outcome.
func (s *Server) Demoted() {
	s.mu.Lock()
	s.reign++
	s.mu.Unlock()
	for _, x := range s.list() {
		x.retire()
	}
}

// retire ends the session as soon as it runs nothing, if only a leader can serve it.
func (x *Session) retire() {
	if x.cfg.Terminate != nil && !x.vars.stale.Load() {
		x.cfg.Terminate(sqlerr.New("57P01", "terminating connection: this server no longer leads").
			My(1053, "Server shutdown in progress: this server no longer leads"))
	}
}

// kill ends a statement or a session by its number.
func (s *Server) kill(id uint32, terminate bool) bool {
	s.mu.Lock()
	x := s.sessions[id]
	s.mu.Unlock()
	if x == nil {
		return false
	}
	if terminate {
		x.terminate(sqlerr.New("57P01", "terminating connection due to administrator command").My(1927, "Connection was killed"))
	} else {
		x.Cancel()
	}
	return true
}

// list returns the sessions in the order of their numbers.
func (s *Server) list() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Session, 0, len(s.sessions))
	for _, x := range s.sessions {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *Session) int { return int(a.id) - int(b.id) })
	return out
}

// schemaCache holds the logical schema of each version that sessions plan against.
type schemaCache struct {
	mu     sync.Mutex
	byDB   map[[16]byte]engine.Version
	schema map[engine.Version]*schema.Schema
}

func (c *schemaCache) get(v engine.Version) *schema.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.schema[v]
}

// put keeps the newest version of each database.
func (c *schemaCache) put(v engine.Version, s *schema.Schema) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.schema == nil {
		c.schema, c.byDB = map[engine.Version]*schema.Schema{}, map[[16]byte]engine.Version{}
	}
	if old, ok := c.byDB[v.Database]; ok && old != v {
		delete(c.schema, old)
	}
	c.byDB[v.Database], c.schema[v] = v, s
}
