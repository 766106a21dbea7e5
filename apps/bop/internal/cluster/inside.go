package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/sqlite"
)

// The first byte of a stream between nodes says what it carries.
const (
	streamHTTP   = 'H' // requests that only the leader can serve
	streamClient = 'C' // a client of the SQL front ends
)

// inside serves what nodes ask of each other.
type inside struct {
	c         *Cluster
	listener  *streams
	server    *http.Server
	api       http.Handler // of administrators, once the server has one
	clients   func(conn net.Conn) error
	mu        sync.Mutex
	joinsOnly *http.ServeMux
}

func newInside(c *Cluster) *inside {
	i := &inside{c: c, listener: &streams{conns: make(chan net.Conn), closed: make(chan struct{})}}
	i.joinsOnly = http.NewServeMux()
	i.joinsOnly.HandleFunc("POST /join", i.join)
	i.joinsOnly.HandleFunc("POST /standing", i.standing)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /join", i.join)
	mux.HandleFunc("POST /standing", i.standing)
	mux.HandleFunc("POST /register", i.register)
	mux.HandleFunc("/", i.administer)
	i.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(c.o.Logger.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m, _ := r.Context().Value(memberKey{}).(bool); m {
				mux.ServeHTTP(w, r)
			} else {
				i.joinsOnly.ServeHTTP(w, r)
			}
		}),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, memberKey{}, conn.(*served).member)
		},
	}
	go i.server.Serve(i.listener)
	return i
}

// memberKey marks requests of members.
type memberKey struct{}

func (i *inside) stop() { i.server.Close() }

// accept serves a stream of a member.
func (i *inside) accept(conn net.Conn, _ raft.NodeID) { i.serve(conn, true) }

// acceptJoin serves a stream of a host that isn't one.
func (i *inside) acceptJoin(conn net.Conn, _ raft.NodeID) { i.serve(conn, false) }

func (i *inside) serve(conn net.Conn, member bool) {
	var kind [1]byte
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	if _, err := io.ReadFull(conn, kind[:]); err != nil {
		return
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	switch kind[0] {
	case streamHTTP:
		s := &served{Conn: conn, member: member, done: make(chan struct{})}
		if i.listener.hand(s) {
			<-s.done
		}
	case streamClient:
		i.mu.Lock()
		clients := i.clients
		i.mu.Unlock()
		if clients == nil || !member {
			return
		}
		if err := clients(conn); err != nil {
			i.c.o.Logger.Debug("a client that another node has passed on", "err", err)
		}
	}
}

// Serve tells how requests of administrators and clients are served that other nodes pass on.
func (c *Cluster) Serve(api http.Handler, clients func(conn net.Conn) error) {
	c.inside.mu.Lock()
	defer c.inside.mu.Unlock()
	c.inside.api, c.inside.clients = api, clients
}

// ToLeader opens a stream to the leader for a client of the SQL front ends. nil without an error: this node leads. It waits
// a moment for a leader.
func (c *Cluster) ToLeader(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	for {
		id, own := c.leader()
		if own {
			return nil, nil
		}
		err := error(&sqlite.NotLeaderError{})
		if id != 0 {
			var conn net.Conn
			if conn, err = c.dialLeader(ctx, streamClient); err == nil {
				return conn, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leaderPatience is how long a client waits for a leader before it is refused.
const leaderPatience = 5 * time.Second

// forwarded marks requests that another node has passed on: they aren't passed on again.
type forwarded struct{}

// administer serves a request that another node has passed on, whose administrator it has admitted.
func (i *inside) administer(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	api := i.api
	i.mu.Unlock()
	if api == nil {
		http.Error(w, "this server is still starting", http.StatusServiceUnavailable)
		return
	}
	api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), forwarded{}, true)))
}

// Forward passes a request on to the leader, if this node doesn't lead and somebody else does. It reports whether it did.
func (c *Cluster) Forward(w http.ResponseWriter, r *http.Request) bool {
	if r.Context().Value(forwarded{}) != nil {
		return false
	}
	id, own := c.leader()
	if own || id == 0 {
		return false
	}
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dialLeader(ctx, streamHTTP) }, DisableKeepAlives: true}
	p := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: "leader"})
			pr.Out.Header.Del("Authorization") // it was checked here
		},
		Transport: t, FlushInterval: -1, ErrorLog: slog.NewLogLogger(c.o.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			json.NewEncoder(w).Encode(map[string]string{"error": "the leader, " + c.name(id) + ", can't be reached from here: " + err.Error()})
		},
	}
	p.ServeHTTP(w, r)
	return true
}

// join takes a node in, or passes its wish on to the leader.
func (i *inside) join(w http.ResponseWriter, r *http.Request) {
	i.onLeader(w, r, func(ctx context.Context, n Node) (any, error) { return i.c.takeIn(ctx, n) })
}

func (i *inside) register(w http.ResponseWriter, r *http.Request) {
	i.onLeader(w, r, func(ctx context.Context, n Node) (any, error) {
		if i.c.host == nil {
			return nil, errors.New("this server is still starting")
		}
		return struct{}{}, i.c.enroll(ctx, n)
	})
}

// onLeader has a request about a node served by the leader.
func (i *inside) onLeader(w http.ResponseWriter, r *http.Request, do func(context.Context, Node) (any, error)) {
	c := i.c
	i.reply(w, r, func(ctx context.Context, n Node) (any, error) {
		id, own := c.leader()
		switch {
		case own:
			return do(ctx, n)
		case id == 0 || r.Header.Get(passedOn) != "":
			return nil, &sqlite.NotLeaderError{}
		}
		answer := json.RawMessage{}
		err := post(ctx, func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dialLeader(ctx, streamHTTP) }, r.URL.Path, n, &answer, true)
		return answer, err
	})
}

// reply answers a request about a node.
func (i *inside) reply(w http.ResponseWriter, r *http.Request, do func(context.Context, Node) (any, error)) {
	var n Node
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&n); err != nil || n.Name == "" || n.Raft == "" {
		http.Error(w, "a node has a name and an address", http.StatusBadRequest)
		return
	}
	out, err := do(r.Context(), n)
	if err != nil {
		status := http.StatusServiceUnavailable
		var refused *refusedError
		if errors.As(err, &refused) {
			status = http.StatusConflict
		}
		http.Error(w, err.Error(), status)
		return
	}
	json.NewEncoder(w).Encode(out)
}

// streams is a listener whose connections are handed to it.
type streams struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *streams) hand(c net.Conn) bool {
	select {
	case s.conns <- c:
		return true
	case <-s.closed:
		return false
	}
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *streams) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return &net.UnixAddr{Name: "peers", Net: "unix"} }

// served is a stream whose end somebody waits for.
type served struct {
	net.Conn
	member bool
	done   chan struct{}
	once   sync.Once
}

// Close closes the stream.
func (s *served) Close() error {
	defer s.once.Do(func() { close(s.done) })
	return s.Conn.Close()
}
