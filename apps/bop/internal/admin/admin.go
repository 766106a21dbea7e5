// Package admin is the HTTP side of a server: health, metrics, and the API that bop's own commands use.
//
//	GET    /healthz                        the process is alive
//	GET    /readyz                         the server answers clients; 503 with the reason otherwise
//	GET    /metrics                        Prometheus text
//	GET    /v1/databases                   list
//	POST   /v1/databases/NAME              create
//	PUT    /v1/databases/NAME/content      import an SQLite file into a new database
//	GET    /v1/databases/NAME/content      export as an SQLite file
//	GET    /v1/databases/NAME/snapshots    what the bucket has of it; ?all=1: all sets of pages, not only snapshots
//	POST   /v1/databases/NAME/snapshots    take one {"kind": "full|incremental|differential", "label": "…"}
//	GET    /v1/databases/NAME/restored     a version out of the bucket as an SQLite file, ?to=TXID|TIME|latest; Bop-Txid and
//	                                       Bop-Time say which it is
//	POST   /v1/databases/NAME/restore      make another database of one {"into": "NAME", "to": "TXID|TIME|latest"}
//	POST   /v1/databases/NAME/verify       check it on this server, or {"backup": true, "deep": true, "restore": true, "to": "…"}
//	GET    /v1/databases/NAME/rekey        by what it is sealed, and how far a change of keys is on this server
//	POST   /v1/databases/NAME/rekey        change keys {"wrap": true, "data": true, "bytes_per_second": 0, "wait": true}
//	GET    /v1/rekey, POST /v1/rekey       the same of all databases, the system database among them
//	POST   /v1/databases/NAME/litestream   import a replica of Litestream {"url": "s3://…", "to": "TXID|TIME|latest"}
//	GET    /v1/cluster                     its nodes, who leads, whether writes can be made and if not why
//	POST   /v1/cluster/nodes/NAME          add a node {"raft": "HOST:PORT", "learner": false}
//	POST   /v1/cluster/nodes/NAME/promote  make a learner a voter
//	DELETE /v1/cluster/nodes/NAME          remove a node
//	POST   /v1/cluster/transfer            hand leadership over {"to": "NAME"}
//	GET    /v1/users                       the names of the cluster's users
//	PUT    /v1/users/NAME                  add one, or give one other verifiers: a line of package auth's
//	DELETE /v1/users/NAME                  remove one
//
// What only the leader of a cluster can do is passed on to it.
//
// What takes long (a POST to snapshots, restore, verify, rekey, litestream) is answered by lines of JSON: {"done": 1, "total": 9}
// now and then, and at the end {"result": …} or {"error": "…"}. A client that goes away ends it, but not what is past the
// point where that would be of use: a snapshot that is nearly done, a change of keys that is committed.
//
// Errors of the API are JSON, {"error": "what is wrong and what to do"}.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/config"
)

// Info describes a database.
type Info struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"`
	TXID    uint64    `json:"txid"`
	Error   string    `json:"error,omitempty"` // why it is out of service
}

// Databases is what the API acts on. Errors that wrap ErrNotFound or ErrExists become 404 and 409, ErrInvalid 400.
type Databases interface {
	List(ctx context.Context) ([]Info, error)
	Create(ctx context.Context, name string) error
	Import(ctx context.Context, name string, r io.Reader) error
	Export(ctx context.Context, name string, w io.Writer) error
}

// Errors of Databases that have a status of their own.
var (
	ErrNotFound = errors.New("no such database")
	ErrExists   = errors.New("database exists")
	ErrInvalid  = errors.New("bad request")
)

// Cluster is what the API tells of the servers, and does to them. Errors that wrap ErrNotFound become 404.
type Cluster interface {
	// Forward passes a request on to the leader if that is another server; it reports whether it did.
	Forward(w http.ResponseWriter, r *http.Request) bool
	Status(ctx context.Context) any
	Add(ctx context.Context, name, address string, learner bool) error
	Promote(ctx context.Context, name string) error
	Remove(ctx context.Context, name string) error
	Transfer(ctx context.Context, to string) error
}

// Options say what to serve.
type Options struct {
	Metrics http.Handler
	Token   string // asked of /v1 when not empty
	Logger  *slog.Logger
}

// Server answers the requests.
type Server struct {
	o     Options
	mux   *http.ServeMux
	state atomic.Pointer[state]

	cluster atomic.Pointer[clustered]
}

// state is what requests see of the server's life.
type state struct {
	why       string // not ready; "": ready
	databases Databases
	backups   Backups
	cluster   Cluster // nil: there is none
	users     Users
}

// New returns a server that isn't ready yet: /v1 answers 503 until it is.
func New(o Options) *Server {
	s := &Server{o: o, mux: http.NewServeMux()}
	s.cluster.Store(&clustered{})
	s.NotReady("starting")
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", o.Metrics)
	s.mux.HandleFunc("GET /v1/databases", s.list)
	s.mux.HandleFunc("POST /v1/databases/{name}", s.create)
	s.mux.HandleFunc("PUT /v1/databases/{name}/content", s.importDB)
	s.mux.HandleFunc("GET /v1/databases/{name}/content", s.exportDB)
	s.mux.HandleFunc("GET /v1/cluster", s.clusterStatus)
	s.mux.HandleFunc("POST /v1/cluster/nodes/{name}", s.addNode)
	s.mux.HandleFunc("POST /v1/cluster/nodes/{name}/promote", s.promoteNode)
	s.mux.HandleFunc("DELETE /v1/cluster/nodes/{name}", s.removeNode)
	s.mux.HandleFunc("POST /v1/cluster/transfer", s.transfer)
	s.backupRoutes()
	s.mux.HandleFunc("GET /v1/users", s.listUsers)
	s.mux.HandleFunc("PUT /v1/users/{name}", s.putUser)
	s.mux.HandleFunc("DELETE /v1/users/{name}", s.removeUser)
	return s
}

// Ready makes /readyz answer 200, and /v1 act on databases, their backups, and users.
func (s *Server) Ready(d Databases, b Backups, u Users) {
	s.state.Store(&state{databases: d, backups: b, users: u, cluster: s.cluster.Load().Cluster})
}

// NotReady makes /readyz answer 503 with the reason, and /v1 but for the cluster.
func (s *Server) NotReady(why string) {
	s.state.Store(&state{why: why, cluster: s.cluster.Load().Cluster})
}

// Clustered makes /v1/cluster answer, from then on.
func (s *Server) Clustered(c Cluster) {
	s.cluster.Store(&clustered{c})
	st := *s.state.Load()
	st.cluster = c
	s.state.Store(&st)
}

// clustered is a Cluster or none.
type clustered struct{ Cluster }

// ServeHTTP checks who asks before anything under /v1 is reached.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1" || strings.HasPrefix(r.URL.Path, "/v1/") {
		if err := s.admit(r); err != nil {
			fail(w, err)
			return
		}
		if _, pattern := s.mux.Handler(r); pattern == "" {
			w = &refusal{ResponseWriter: w, r: r}
		}
	}
	s.mux.ServeHTTP(w, r)
}

// Admitted serves requests that another server has admitted and passed on.
func (s *Server) Admitted() http.Handler { return s.mux }

// refusal words the mux's own answers, which are plain text, as the API's errors.
type refusal struct {
	http.ResponseWriter
	r *http.Request
}

func (f *refusal) WriteHeader(status int) {
	message := "no such resource: " + f.r.URL.Path
	if status == http.StatusMethodNotAllowed {
		message = f.r.URL.Path + " doesn't take " + f.r.Method + ", only " + f.Header().Get("Allow")
	}
	fail(f.ResponseWriter, &problem{status, message})
}

func (f *refusal) Write(b []byte) (int, error) { return len(b), nil }

// admit asks for the token, or, without one, for a request that no web page can have sent: a page that a browser on this
// machine shows may reach loopback by a name of its own (DNS rebinding), but then Host or Origin give it away.
func (s *Server) admit(r *http.Request) error {
	if s.o.Token != "" {
		got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(s.o.Token))
		if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
			return &problem{http.StatusUnauthorized, "the admin API asks for a token: give --token-file or BOP_TOKEN_FILE"}
		}
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !config.IsLoopback(u.Hostname()) {
			return &problem{http.StatusForbidden, "requests from web pages of other hosts are refused"}
		}
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && local.IP.IsLoopback() && !config.IsLoopback(strings.Trim(host, "[]")) {
		return &problem{http.StatusForbidden, "this listener is on loopback: address it as 127.0.0.1 or localhost"}
	}
	return nil
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.state.Load().why; why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}

// databases are what a request acts on; nil when it was answered that there are none now.
func (s *Server) databases(w http.ResponseWriter) Databases {
	st := s.state.Load()
	if st.why != "" {
		fail(w, &problem{http.StatusServiceUnavailable, "the server isn't ready: " + st.why})
		return nil
	}
	return st.databases
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	on := s.databases(w)
	if on == nil {
		return
	}
	dbs, err := on.List(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	if dbs == nil {
		dbs = []Info{}
	}
	reply(w, map[string]any{"databases": dbs})
}

// maxBody bounds the bodies of requests that carry no database.
const maxBody = 64 << 10

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			err = &problem{http.StatusRequestEntityTooLarge, "the request is too large: to create a database send nothing; its content goes to /content with PUT"}
		}
		fail(w, err)
		return
	}
	s.act(w, r, "database created", Databases.Create)
}

func (s *Server) importDB(w http.ResponseWriter, r *http.Request) {
	s.act(w, r, "database imported", func(d Databases, ctx context.Context, name string) error {
		return d.Import(ctx, name, r.Body)
	})
}

// act does one change and answers with the database's name.
func (s *Server) act(w http.ResponseWriter, r *http.Request, done string, do func(Databases, context.Context, string) error) {
	on := s.databases(w)
	if on == nil {
		return
	}
	if c := s.cluster.Load().Cluster; c != nil && c.Forward(w, r) {
		return
	}
	name := r.PathValue("name")
	if err := do(on, r.Context(), name); err != nil {
		fail(w, err)
		return
	}
	s.o.Logger.Info(done, "database", name, "client", r.RemoteAddr)
	reply(w, map[string]string{"name": name})
}

// exportDB streams. An error after the first byte can't change the status any more: the connection is broken off, so
// that the client sees a short body and not a whole one.
func (s *Server) exportDB(w http.ResponseWriter, r *http.Request) {
	on := s.databases(w)
	if on == nil {
		return
	}
	out := &counter{w: w}
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	err := on.Export(r.Context(), r.PathValue("name"), out)
	switch {
	case err == nil:
	case out.n == 0:
		fail(w, err)
	default:
		s.o.Logger.Error("export broke off", "database", r.PathValue("name"), "sent_bytes", out.n, "err", err)
		panic(http.ErrAbortHandler)
	}
}

type counter struct {
	w      http.ResponseWriter
	n      int64
	status int // that is answered with the first byte; 0: success
}

func (c *counter) Write(b []byte) (int, error) {
	if c.status != 0 && c.n == 0 {
		c.w.WriteHeader(c.status)
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// problem is an error with a status.
type problem struct {
	status  int
	message string
}

func (p *problem) Error() string { return p.message }

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p.status
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrExists):
		return http.StatusConflict
	case errors.Is(err, ErrInvalid):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(err))
	json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
