package sqlite

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagevfs"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ID is the random name that a database keeps for life, whatever it is called.
type ID = page.ID

// DB is one database of a Host. Its methods may be called by many goroutines.
type DB struct {
	host    *Host
	segment SegmentID
	created time.Time
	dir     string
	hooks   pagevfs.Hooks
	pool    *Pool
	owner   *actor.PID
	gone    chan struct{} // closed when the owner is
	cold    *cold         // nil: there is no bucket
	// The uploader of a database that has a bucket.
	uploader     *actor.PID
	uploaderGone chan struct{} // closed when it is
	uploadDue    atomic.Bool   // a tick is on its way to it
	ticked       atomic.Uint64 // committed transaction at the last tick
	due          atomic.Bool   // a checkpoint is on its way to the owner
	collect      atomic.Bool   // a collection is

	store atomic.Pointer[pagestore.Store]
	dead  atomic.Pointer[error] // why the owner has given up

	refused error // why nobody may write; set before the database is published

	// applying is held while a record of a replicated log is applied, and while the database is opened anew.
	applying sync.Mutex

	mu       sync.Mutex
	name     string
	identity pagefile.Identity

	// Only the owner touches these after the opening.
	file   *pagefile.File
	kept   *crypt.Keyring // that is beside the page file
	reseal reseal
	// Of the bucket: when the pin was renewed, and until when the bucket is left alone.
	pinned, settleAfter time.Time
	retiring            atomic.Bool // somebody looks whether old keys can go
	complained          time.Time   // of checkpoints that fail; zero: none does

	cookie atomic.Pointer[cookie]
}

// cookie is SQLite's schema cookie at a version.
type cookie struct {
	store    *pagestore.Store
	txid     TXID
	rollback uint64
	value    uint32
}

// Info describes a database.
type Info struct {
	Name     string
	ID       ID
	Lineage  uint64
	Segment  SegmentID
	Created  time.Time
	PageSize int
	Pages    int64
	Heads    Heads
	Err      error // why it is out of service, or can only be read
}

// Heads are the newest transactions: executed is what the next writer builds on, durable is on this server's disk,
// committed is what readers see and clients are told.
type Heads struct{ Executed, Durable, Committed TXID }

// Name is what the database is called now.
func (db *DB) Name() string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.name
}

func (db *DB) rename(name string) {
	db.mu.Lock()
	db.name = name
	db.mu.Unlock()
}

func (db *DB) ident() pagefile.Identity {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.identity
}

func (db *DB) identify(id pagefile.Identity) {
	db.mu.Lock()
	db.identity = id
	db.mu.Unlock()
}

// ID is the random id that the database keeps for life.
func (db *DB) ID() ID { return db.ident().Database }

// Lineage changes when the database gets another history: by import, restore or forced recovery.
func (db *DB) Lineage() uint64 { return db.ident().Lineage }

// Segment is the database's number in the log.
func (db *DB) Segment() SegmentID { return db.segment }

// RollbackEpoch moves when versions that somebody may have seen were thrown away: what is derived from the content of
// the database under another rollback epoch must be too.
func (db *DB) RollbackEpoch() uint64 { return db.current().Heads().Rollback }

// Heads returns where the database stands.
func (db *DB) Heads() Heads {
	h := db.current().Heads()
	// A single server's log commits what it has made durable.
	return Heads{h.Executed.TXID, h.Committed.TXID, h.Committed.TXID}
}

// Info describes the database.
func (db *DB) Info() Info {
	st := db.current().Heads().Committed
	return Info{
		Name: db.Name(), ID: db.ID(), Lineage: db.Lineage(), Segment: db.segment, Created: db.created,
		PageSize: int(st.Size), Pages: int64(st.Pages), Heads: db.Heads(), Err: cmp.Or(db.Err(), db.refused),
	}
}

// Err is why the database is out of service, nil if it isn't. It wraps ErrFailed, ErrDamaged, ErrDiverged or ErrClosed.
func (db *DB) Err() error {
	if err := db.dead.Load(); err != nil {
		return *err
	}
	return db.current().Failed()
}

// SchemaCookie is SQLite's schema cookie at the committed head: it changes with every change of the schema.
func (db *DB) SchemaCookie() uint32 {
	s := db.current()
	h := s.Heads()
	if c := db.cookie.Load(); c != nil && c.store == s && c.txid == h.Committed.TXID && c.rollback == h.Rollback {
		return c.value
	}
	var sn pagestore.Snapshot
	if s.Pin(&sn, false) != nil {
		return 0
	}
	defer sn.Release()
	var b [4]byte
	if sn.State.Pages > 0 && sn.Read(context.Background(), 1, b[:], 40) != nil {
		return 0
	}
	c := &cookie{s, sn.State.TXID, sn.Rollback, binary.BigEndian.Uint32(b[:])}
	db.cookie.Store(c)
	return c.value
}

// WaitTXID waits until the committed head has reached txid.
func (db *DB) WaitTXID(ctx context.Context, txid TXID) error {
	s := db.current()
	return s.WaitCommitted(ctx, txid, s.Heads().Rollback)
}

// Pool lends connections to sessions.
func (db *DB) Pool() *Pool { return db.pool }

// DropSpeculative throws away everything above the committed head, as at the end of a leadership.
func (db *DB) DropSpeculative() { db.current().DropSpeculative() }

func (db *DB) current() *pagestore.Store { return db.store.Load() }

// newDB makes a database whose store is not there yet.
func (h *Host) newDB(segment SegmentID, id pagefile.Identity, name string, created time.Time) *DB {
	db := &DB{host: h, segment: segment, identity: id, name: name, created: created, dir: h.segmentDir(segment), gone: make(chan struct{}),
		cold: h.coldOf(segment), uploaderGone: make(chan struct{})}
	db.hooks = pagevfs.Hooks{
		Waited:     func(d time.Duration) { h.metrics.wait.Record(context.Background(), d.Seconds()) },
		Committing: db.committing,
		Checkpoint: db.Checkpoint,
		Panicked:   db.panicked,
		Ahead:      h.o.Cold.Bucket != nil,
	}
	db.pool = newPool(db, h.o.IdleConns)
	return db
}

// openStore makes a store on base with the options of the host.
func (h *Host) openStore(segment SegmentID, id pagefile.Identity, base *pagefile.Tree, rollback uint64, keys *crypt.Keyring) *pagestore.Store {
	s := pagestore.New(pagestore.Options{
		Identity:        id,
		Arrives:         h.replicated != nil,
		Log:             segmentLog{h.log, segment, h.metrics},
		Temp:            h.temp(),
		Keys:            keys,
		OpenKeyring:     func(b []byte) (*crypt.Keyring, error) { return h.openKeyring(id, b) },
		Track:           h.o.Cold.Bucket != nil,
		Full:            h.backlog,
		KeysChanged:     func() { h.want(segment, false) },
		TxnMemory:       h.o.TxnMemory,
		HighWater:       4 * h.o.CheckpointBytes,
		CheckpointBytes: h.o.CheckpointBytes,
		Rollback:        rollback,
		Changed:         func() { h.want(segment, false) },
		Released:        func() { h.want(segment, true) },
		Dropped:         func(cause error) { h.dropped(segment, cause) },
	}, base)
	if err := h.standing(); err != nil {
		s.RefuseWriters(err)
	}
	return s
}

// segmentLog is the log as one store sees it.
type segmentLog struct {
	log     Log
	segment SegmentID
	metrics *metrics
}

func (l segmentLog) Epoch() (uint64, error)                 { return l.log.Epoch() }
func (l segmentLog) Admit(ctx context.Context, n int) error { return l.log.Admit(ctx, n) }
func (l segmentLog) Propose(ctx context.Context, rec []byte, stored func(), done func(uint64, error)) {
	l.metrics.logBytes.Add(ctx, int64(len(rec)))
	answer := func(p Position, err error) { done(uint64(p), err) }
	if s, ok := l.log.(StoredLog); ok && stored != nil {
		s.ProposeStored(ctx, l.segment, rec, stored, answer)
		return
	}
	l.log.Propose(ctx, l.segment, rec, answer)
}

var (
	outcomeCommitted = metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", "committed")))
	outcomeFailed    = metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", "not_committed")))
	outcomeUnknown   = metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", "unknown")))
)

// committing measures a commit, and traces it if the statement is traced.
func (db *DB) committing(ctx context.Context) (context.Context, func(TXID, error)) {
	start := time.Now()
	var span trace.Span
	if trace.SpanFromContext(ctx).IsRecording() {
		ctx, span = db.host.tracer.Start(ctx, "sqlite.commit", trace.WithAttributes(attribute.String("db.namespace", db.Name())))
	}
	return ctx, func(txid TXID, err error) {
		m := db.host.metrics
		outcome := outcomeCommitted
		switch {
		case err == nil:
			m.commit.Record(ctx, time.Since(start).Seconds())
		case errors.Is(err, ErrOutcomeUnknown):
			outcome = outcomeUnknown
		default:
			outcome = outcomeFailed
		}
		m.commits.Add(ctx, 1, outcome)
		if span == nil {
			return
		}
		span.SetAttributes(attribute.Int64("bop.txid", int64(txid)))
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

func (h *Host) segmentDir(s SegmentID) string {
	return filepath.Join(h.o.Dir, "db", strconv.FormatUint(uint64(s), 10))
}

const (
	pagesName    = "pages"
	newPagesName = "pages.new"
)

// temp says where temporary files are made. With a key provider they are sealed, whatever they are for.
func (h *Host) temp() pagestore.Temp {
	return pagestore.Temp{Dir: h.o.TempDir, Sealed: h.o.Keys != nil}
}

// openPages opens the page file of a database, nil if it has none yet, and the keys beside it.
func (h *Host) openPages(segment SegmentID) (*pagefile.File, *crypt.Keyring, error) {
	dir := h.segmentDir(segment)
	keys, err := h.loadKeys(dir)
	if err != nil {
		return nil, nil, err
	}
	name := filepath.Join(dir, pagesName)
	f, err := h.o.FS.OpenFile(name, os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, keys, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("opening %s: %w", name, err)
	}
	o := h.pageOptions(segment)
	h.coldOf(segment).keyed(keys)
	if keys != nil {
		id, err := pagefile.Whose(f, name)
		if err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		o.Blocks = blocksOf(keys, id.Lineage)
	}
	p, err := pagefile.Open(f, o)
	if err == nil {
		return p, keys, nil
	}
	_ = f.Close()
	var newer *pagefile.NewerFormatError
	if errors.As(err, &newer) {
		return nil, nil, &NewerFormatError{newer.File, newer.Found, newer.Supported}
	}
	return nil, nil, err
}

// pageOptions are those of a database's page file.
func (h *Host) pageOptions(segment SegmentID) pagefile.Options {
	o := pagefile.Options{Name: filepath.Join(h.segmentDir(segment), pagesName), Cache: h.cache}
	if c := h.coldOf(segment); c != nil {
		o.View = c.view
		o.Came = func() { h.want(segment, false) }
		o.Tight = h.o.Cold.LocalBytes
	}
	return o
}

// Export writes the committed state of the database as an ordinary SQLite file. Writers go on meanwhile.
func (db *DB) Export(ctx context.Context, w io.Writer) error {
	var sn pagestore.Snapshot
	if err := db.current().Pin(&sn, false); err != nil {
		return fmt.Errorf("exporting database %q: %w", db.Name(), err)
	}
	defer sn.Release()
	buf := make([]byte, sn.State.Size)
	for no := uint32(1); no <= sn.State.Pages; no++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b, _, err := sn.Page(ctx, no, buf)
		if err != nil {
			return fmt.Errorf("exporting database %q: page %d: %w", db.Name(), no, err)
		}
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("exporting database %q: %w", db.Name(), err)
		}
	}
	return nil
}

// WritersWaiting is the number of transactions that queue for the writer's place.
func (db *DB) WritersWaiting() int { return db.current().Stats().Writers }

// Versions is the number of pages that have versions above the page file.
func (db *DB) Versions() int { return db.current().Stats().Versions }
