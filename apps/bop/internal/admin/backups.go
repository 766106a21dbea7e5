package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Backups is what the API does with the bucket's copies of databases, and with keys. to says which version: "latest", a
// transaction, or a time in RFC 3339. Errors are as with Databases.
type Backups interface {
	Snapshot(ctx context.Context, name string, o SnapshotOptions, p Progress) (Snapshot, error)
	// Snapshots tells what the bucket has of a database; all: also what Retention isn't about.
	Snapshots(ctx context.Context, name string, all bool) (Snapshots, error)
	// Restore writes a version as an SQLite file, or what comes behind what begun has of it. found is told which one, and
	// from which byte on it comes, before the first one; it may be nil.
	Restore(ctx context.Context, name, to string, begun Begun, w io.Writer, found func(v Version, from int64)) error
	RestoreInto(ctx context.Context, name, to, into string, p Progress) (Version, error)
	Verify(ctx context.Context, name string, o VerifyOptions, p Progress) (Verified, error)
	// Rekey changes keys; name is "" for all databases, the system database among them.
	Rekey(ctx context.Context, name string, o RekeyOptions, p Progress) ([]RekeyStatus, error)
	RekeyStatus(ctx context.Context, name string) ([]RekeyStatus, error)
	// ImportLitestream makes a database of a replica of Litestream's.
	ImportLitestream(ctx context.Context, name string, o LitestreamOptions, p Progress) (Version, error)
}

// SnapshotOptions say what kind of snapshot is taken: "full", "incremental" or "differential"; "" is full.
type SnapshotOptions struct {
	Kind  string `json:"kind,omitempty"`
	Label string `json:"label,omitempty"`
}

// Snapshot is a set of pages in the bucket.
type Snapshot struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`  // full, incremental, differential; with all: upload, merged
	First   uint64    `json:"first"` // it holds the pages of these transactions; 1: all pages
	TXID    uint64    `json:"txid"`
	Time    time.Time `json:"time"` // when that transaction was committed
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"` // in the bucket
	Label   string    `json:"label,omitempty"`
	// Unchanged: nothing has changed since it was taken, so that no other one was when it was asked for.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Range is transactions without a gap, each of which can be restored.
type Range struct {
	First     uint64    `json:"first"`
	Last      uint64    `json:"last"`
	FirstTime time.Time `json:"first_time"`
	LastTime  time.Time `json:"last_time"`
}

// Snapshots is what the bucket has of a database.
type Snapshots struct {
	Name       string     `json:"name"`
	ID         string     `json:"id"`
	Snapshots  []Snapshot `json:"snapshots"`  // the oldest first
	Restorable []Range    `json:"restorable"` // the oldest first
}

// Version is one version of a database.
type Version struct {
	TXID  uint64    `json:"txid"`
	Time  time.Time `json:"time,omitzero"` // when it was committed; zero: a replica of Litestream wasn't asked for it
	Bytes int64     `json:"bytes"`

	PageSize uint32 `json:"page_size,omitempty"` // of what is restored as a file
	Checksum uint64 `json:"-"`                   // as backup.Check wants it
}

// ID is the same for the same bytes alone.
func (v Version) ID() string { return fmt.Sprintf("%d-%016x", v.TXID, v.Checksum) }

// Begun is what an earlier Restore has brought: the first Bytes of the version with that ID. The zero value is nothing.
type Begun struct {
	Version string
	Bytes   int64
}

// Of is how much of v there is.
func (b Begun) Of(v Version) int64 {
	if b.Version != v.ID() || b.Bytes < 0 || b.Bytes >= v.Bytes {
		return 0
	}
	return b.Bytes
}

// VerifyOptions say what is checked: with neither Backup nor Restore the database on this server.
type VerifyOptions struct {
	Backup  bool   `json:"backup,omitempty"` // whether the bucket has what the manifest names
	Deep    bool   `json:"deep,omitempty"`   // and all of it is read
	Restore bool   `json:"restore,omitempty"`
	To      string `json:"to,omitempty"` // what is restored; "": latest
}

// Verified is what was found to be right, and the problems of a backup.
type Verified struct {
	Server   bool     `json:"server,omitempty"`
	Backup   *Report  `json:"backup,omitempty"`
	Restored *Version `json:"restored,omitempty"`
}

// Report is what the check of a backup found.
type Report struct {
	Deep       bool     `json:"deep"`
	Objects    int      `json:"objects"`
	Logs       int      `json:"logs"`
	Bytes      int64    `json:"bytes"`
	Problems   []string `json:"problems"`
	Restorable []Range  `json:"restorable"`
}

// RekeyOptions say which keys are changed.
type RekeyOptions struct {
	Wrap           bool  `json:"wrap,omitempty"` // data keys are wrapped by the current key of the key file
	Data           bool  `json:"data,omitempty"` // a new data key seals everything
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"`
	Wait           bool  `json:"wait,omitempty"` // until this server has sealed all pages anew
}

// RekeyStatus tells by what a database is sealed, and how far a change of keys is on the server that answers.
type RekeyStatus struct {
	Name      string `json:"name"`
	System    bool   `json:"system,omitempty"`
	Encrypted bool   `json:"encrypted"`
	Keys      []Key  `json:"keys,omitempty"`
	Running   bool   `json:"running"`
	Done      int64  `json:"done"`
	Total     int64  `json:"total"`
	Stale     int    `json:"stale"` // objects in the bucket that are sealed by an old key, or in the clear
	Error     string `json:"error,omitempty"`
}

// Key is a data key.
type Key struct {
	ID        uint32    `json:"id"`
	Created   time.Time `json:"created"`
	WrappedBy string    `json:"wrapped_by"`
	Current   bool      `json:"current,omitempty"`
}

// LitestreamOptions say where a replica is, and which version is imported.
type LitestreamOptions struct {
	URL string `json:"url"`
	To  string `json:"to,omitempty"`
}

// Headers of what was restored.
const (
	headerTXID     = "Bop-Txid"
	headerTime     = "Bop-Time"
	headerPageSize = "Bop-Page-Size"
	headerChecksum = "Bop-Checksum"
)

func (s *Server) backupRoutes() {
	s.mux.HandleFunc("GET /v1/databases/{name}/snapshots", s.listSnapshots)
	s.mux.HandleFunc("POST /v1/databases/{name}/snapshots", long(s, true, "snapshot taken", func(b Backups, ctx context.Context, name string, o SnapshotOptions, p Progress) (any, error) {
		return b.Snapshot(ctx, name, o, p)
	}))
	s.mux.HandleFunc("GET /v1/databases/{name}/restored", s.restored)
	s.mux.HandleFunc("POST /v1/databases/{name}/restore", long(s, true, "database restored", func(b Backups, ctx context.Context, name string, o restoreInto, p Progress) (any, error) {
		if o.Into == "" {
			return nil, fmt.Errorf(`%w: say which database is made: {"into": "NAME", "to": "latest"}`, ErrInvalid)
		}
		return b.RestoreInto(ctx, name, o.To, o.Into, p)
	}))
	s.mux.HandleFunc("POST /v1/databases/{name}/verify", long(s, false, "database verified", func(b Backups, ctx context.Context, name string, o VerifyOptions, p Progress) (any, error) {
		return b.Verify(ctx, name, o, p)
	}))
	rekey := long(s, true, "keys changed", func(b Backups, ctx context.Context, name string, o RekeyOptions, p Progress) (any, error) {
		return b.Rekey(ctx, name, o, p)
	})
	s.mux.HandleFunc("POST /v1/databases/{name}/rekey", rekey)
	s.mux.HandleFunc("POST /v1/rekey", rekey)
	s.mux.HandleFunc("GET /v1/databases/{name}/rekey", s.rekeyStatus)
	s.mux.HandleFunc("GET /v1/rekey", s.rekeyStatus)
	s.mux.HandleFunc("POST /v1/databases/{name}/litestream", long(s, true, "database imported", func(b Backups, ctx context.Context, name string, o LitestreamOptions, p Progress) (any, error) {
		return b.ImportLitestream(ctx, name, o, p)
	}))
}

// restoreInto is the body of a restore.
type restoreInto struct {
	To   string `json:"to"`
	Into string `json:"into"`
}

// backups are what a request acts on; nil when it was answered that there are none now.
func (s *Server) backups(w http.ResponseWriter) Backups {
	if s.databases(w) == nil {
		return nil
	}
	return s.state.Load().backups
}

// long serves what takes long, on the leader if only that one can. The body of the request, JSON, may be empty.
func long[O any](s *Server, leader bool, done string, do func(b Backups, ctx context.Context, name string, o O, p Progress) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		on := s.backups(w)
		if on == nil {
			return
		}
		if c := s.cluster.Load().Cluster; leader && c != nil && c.Forward(w, r) {
			return
		}
		var o O
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil && !errors.Is(err, io.EOF) {
			fail(w, fmt.Errorf("%w: the body isn't what this takes: %w", ErrInvalid, err))
			return
		}
		// Only when all of it was read is a client noticed that goes away.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			fail(w, err)
			return
		}
		name := r.PathValue("name")
		err := s.stream(w, r, func(ctx context.Context, p Progress) (any, error) { return do(on, ctx, name, o, p) })
		if err == nil {
			s.o.Logger.Info(done, "database", cmp.Or(name, "all of them"), "client", r.RemoteAddr)
		}
	}
}

// atLeader has the leader answer what this server could answer too, but perhaps not as newly. It reports whether it did.
func (s *Server) atLeader(w http.ResponseWriter, r *http.Request) bool {
	c := s.cluster.Load().Cluster
	if c == nil {
		return false
	}
	h := &held{ResponseWriter: w}
	return c.Forward(h, r) && !h.unreachable
}

func (s *Server) listSnapshots(w http.ResponseWriter, r *http.Request) {
	on := s.backups(w)
	if on == nil || s.atLeader(w, r) {
		return
	}
	list, err := on.Snapshots(r.Context(), r.PathValue("name"), r.URL.Query().Get("all") != "")
	if err != nil {
		fail(w, err)
		return
	}
	if list.Snapshots == nil {
		list.Snapshots = []Snapshot{}
	}
	if list.Restorable == nil {
		list.Restorable = []Range{}
	}
	reply(w, list)
}

// begun reads what a client has of a version: Range: bytes=N- and If-Range with the ETag that came with it.
func begun(r *http.Request) (b Begun) {
	text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if text, ok = strings.CutSuffix(text, "-"); !ok {
		return b
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return b
	}
	return Begun{strings.Trim(r.Header.Get("If-Range"), `"`), n}
}

// restored streams as exportDB does; the headers say which version it is.
func (s *Server) restored(w http.ResponseWriter, r *http.Request) {
	on := s.backups(w)
	if on == nil || s.atLeader(w, r) {
		return
	}
	out := &counter{w: w}
	err := on.Restore(r.Context(), r.PathValue("name"), r.URL.Query().Get("to"), begun(r), out, func(v Version, from int64) {
		h := w.Header()
		h.Set("Content-Type", "application/vnd.sqlite3")
		h.Set("Content-Length", strconv.FormatInt(v.Bytes-from, 10))
		h.Set("ETag", `"`+v.ID()+`"`)
		h.Set("Accept-Ranges", "bytes")
		h.Set(headerTXID, strconv.FormatUint(v.TXID, 10))
		h.Set(headerTime, v.Time.UTC().Format(time.RFC3339Nano))
		h.Set(headerPageSize, strconv.FormatUint(uint64(v.PageSize), 10))
		h.Set(headerChecksum, strconv.FormatUint(v.Checksum, 16))
		if from > 0 {
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, v.Bytes-1, v.Bytes))
			out.status = http.StatusPartialContent
		}
	})
	switch {
	case err == nil:
	case out.n == 0:
		for _, name := range []string{"Content-Length", "Content-Range", "ETag", "Accept-Ranges", headerTXID, headerTime, headerPageSize, headerChecksum} {
			w.Header().Del(name)
		}
		fail(w, err)
	default:
		s.o.Logger.Error("a restore broke off", "database", r.PathValue("name"), "sent_bytes", out.n, "err", err)
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) rekeyStatus(w http.ResponseWriter, r *http.Request) {
	on := s.backups(w)
	if on == nil {
		return
	}
	list, err := on.RekeyStatus(r.Context(), r.PathValue("name"))
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, map[string]any{"databases": list})
}
