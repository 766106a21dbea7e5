package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/cluster"
)

// fleet is some servers in this process.
type fleet struct {
	t     *testing.T
	raft  map[string]string // addresses
	dirs  map[string]string
	nodes map[string]*running // those that run
	tune  func(*Options)
	mu    sync.Mutex
	log   bytes.Buffer // of all
}

// Write takes log lines.
func (f *fleet) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(b)
}

func (f *fleet) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// newFleet starts the servers of one cluster, n1 and so on.
func newFleet(t *testing.T, n int, tune func(*Options)) *fleet {
	t.Helper()
	f := &fleet{t: t, raft: map[string]string{}, dirs: map[string]string{}, nodes: map[string]*running{}, tune: tune}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(f.logged())
		}
	})
	var list []string
	for i := range n {
		name := fmt.Sprint("n", i+1)
		f.raft[name] = freeAddress(t)
		list = append(list, name+"="+f.raft[name])
	}
	for name := range f.raft {
		f.begin(name, func(o *Options) { o.InitialCluster = strings.Join(list, ",") })
	}
	for _, r := range f.nodes {
		r.serves()
	}
	return f
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// begin starts a server in the folder that it had before, or in a new one.
func (f *fleet) begin(name string, tune func(*Options)) *running {
	f.t.Helper()
	if f.raft[name] == "" {
		f.raft[name] = freeAddress(f.t)
	}
	if f.dirs[name] == "" {
		f.dirs[name] = f.t.TempDir()
	}
	o := settings(f.dirs[name])
	o.Node, o.Raft, o.MySQL = name, f.raft[name], "off"
	o.Logger = slog.New(slog.NewTextHandler(f, nil)).With("on", name)
	if f.tune != nil {
		f.tune(&o)
	}
	if tune != nil {
		tune(&o)
	}
	f.nodes[name] = begin(f.t, o)
	f.t.Cleanup(func() { // all at once: the last one would look for somebody to hand over to
		for _, r := range f.nodes {
			r.stop()
		}
	})
	return f.nodes[name]
}

// start starts a server and waits until it serves.
func (f *fleet) start(name string, tune func(*Options)) *running {
	f.t.Helper()
	r := f.begin(name, tune)
	r.serves()
	return r
}

// join starts a server that joins through another one, and waits until it votes.
func (f *fleet) join(name, through string) *running {
	f.t.Helper()
	r := f.start(name, func(o *Options) { o.Join = f.raft[through] })
	f.settled()
	return r
}

// stop shuts a server down and returns its error.
func (f *fleet) stop(name string) error {
	f.t.Helper()
	r := f.nodes[name]
	delete(f.nodes, name)
	r.stop()
	return r.ended()
}

// status asks a server.
func (f *fleet) status(name string) (s cluster.Status) {
	f.t.Helper()
	text, err := admin.NewClient(f.nodes[name].HTTP, "", nil).Cluster(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// settled waits until everybody who runs is a member, writes can be made and all have what was committed, and returns
// what one of them says.
func (f *fleet) settled() (s cluster.Status) {
	f.t.Helper()
	var goal uint64
	eventually(f.t, "the cluster is whole", func() bool {
		for name := range f.nodes {
			s = f.status(name)
			break
		}
		if goal == 0 && s.Writable {
			goal = s.Commit
		}
		return s.Settled(goal) == nil && len(s.Nodes) == len(f.nodes)
	})
	return s
}

// leader is the name of the server that leads.
func (f *fleet) leader() string {
	f.t.Helper()
	return f.settled().Leader
}

// follower is the name of one that doesn't.
func (f *fleet) follower() string {
	f.t.Helper()
	leader := f.leader()
	for name := range f.nodes {
		if name != leader {
			return name
		}
	}
	f.t.Fatal("nobody follows")
	return ""
}

// change asks a server for a change of the cluster.
func (f *fleet) change(name, method, path string, v any) error {
	f.t.Helper()
	return admin.NewClient(f.nodes[name].HTTP, "", nil).Change(f.t.Context(), method, path, v)
}

func (f *fleet) remove(asked, name string) error {
	return f.change(asked, http.MethodDelete, "/nodes/"+name, struct{}{})
}

// url is a connection string that names all servers that run.
func (f *fleet) url(more string) string {
	var hosts []string
	for _, r := range f.nodes {
		hosts = append(hosts, r.PG)
	}
	slices.Sort(hosts)
	return "postgres://ada@" + strings.Join(hosts, ",") + "/bop?sslmode=disable&connect_timeout=5" + more
}

// writer inserts numbers into table t, one transaction each, over connections to whichever server answers.
type writer struct {
	f    *fleet
	urls func() string
	stop chan struct{}
	done chan struct{}

	n                     atomic.Int64 // of those acknowledged
	acknowledged, unknown []int
	longest               time.Duration // without an acknowledgement
	wrong                 []error       // that aren't among those which tell the truth
}

// told are the answers of servers that can't do what they are asked: nothing has happened, but for the last.
var told = []string{"40001", "57P01", "57P03", "25006", "08007"}

func (f *fleet) write() *writer {
	f.t.Helper()
	url := f.url("")
	w := &writer{f: f, urls: func() string { return url }, stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	f.t.Cleanup(func() {
		select {
		case <-w.done:
		default:
			close(w.stop)
			<-w.done
		}
	})
	return w
}

func (w *writer) run() {
	defer close(w.done)
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(context.Background())
		}
	}()
	last := time.Now()
	for i := 1000; ; i++ {
		select {
		case <-w.stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var err error
		connecting := conn == nil
		if connecting {
			conn, err = pgx.Connect(ctx, w.urls())
		}
		if err == nil {
			_, err = conn.Exec(ctx, "INSERT INTO t VALUES ($1)", i)
			connecting = false
		}
		cancel()
		var pg *pgconn.PgError
		switch {
		case err == nil:
			w.acknowledged = append(w.acknowledged, i)
			w.n.Add(1)
			w.longest = max(w.longest, time.Since(last))
			last = time.Now()
			continue
		case connecting || pgconn.SafeToRetry(err):
		case errors.As(err, &pg) && pg.Code != "08007":
			if !slices.Contains(told, pg.Code) {
				w.wrong = append(w.wrong, err)
			}
		default:
			w.unknown = append(w.unknown, i)
		}
		if conn != nil {
			conn.Close(context.Background())
			conn = nil
		}
	}
}

// goesOn waits until more is written.
func (w *writer) goesOn() {
	w.f.t.Helper()
	before := w.n.Load()
	eventually(w.f.t, "writes go on", func() bool { return w.n.Load() > before+20 })
}

// end stops the writer and holds what it was told against what is there.
func (w *writer) end() {
	f := w.f
	f.t.Helper()
	close(w.stop)
	<-w.done
	conn, err := pgx.Connect(f.t.Context(), f.url(""))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(f.t.Context(), "SELECT id FROM t WHERE id >= 1000 ORDER BY id")
	if err != nil {
		f.t.Fatal(err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		f.t.Fatal(err)
	}
	for _, id := range w.acknowledged {
		if _, ok := slices.BinarySearch(there, id); !ok {
			f.t.Errorf("%d was acknowledged and isn't there", id)
		}
	}
	for _, id := range there {
		if _, ok := slices.BinarySearch(w.acknowledged, id); !ok && !slices.Contains(w.unknown, id) {
			f.t.Errorf("%d was refused and is there", id)
		}
	}
	for _, err := range w.wrong {
		f.t.Errorf("a client was told: %v", err)
	}
	if len(w.acknowledged) == 0 {
		f.t.Error("nothing was written")
	}
	f.t.Logf("%d acknowledged, %d unknown, none for %v at most", len(w.acknowledged), len(w.unknown), w.longest.Round(time.Millisecond))
}

func (f *fleet) logger() *slog.Logger { return slog.New(slog.NewTextHandler(f, nil)) }

// shortly is a context for what is tried again and again, and never succeeds.
func shortly(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Second)
}
