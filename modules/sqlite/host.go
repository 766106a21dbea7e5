package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"crypto/rand"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagevfs"
	"github.com/ncruces/go-sqlite3/vfs"
	"go.opentelemetry.io/otel/trace"
)

const (
	formatName    = "format"
	formatMagic   = "bop-sqlite"
	formatVersion = 1

	maxNameBytes = 128
)

// Host is an open data folder with its databases. Its methods may be called by many goroutines.
type Host struct {
	o          Options
	log        Log
	replicated ReplicatedLog // log, if it is one
	lock       io.Closer
	cache      *pagefile.Cache
	metrics    *metrics
	tracer     trace.Tracer
	vfsName    string
	system     *actor.ActorSystem
	ownSystem  bool
	supervisor *actor.PID
	unwatch    func()
	registry   *DB // the system database
	closing    chan struct{}
	wg         sync.WaitGroup
	damage     []error // of the log; set before Open returns

	adopting     bool      // this opening takes databases over from the bucket
	notAdopted   bool      // it failed for one that the bucket has
	adopted      []Adopted // what it has taken over
	adoptedEpoch uint64    // above every epoch that they have seen

	life          context.Context // ends when the host is being closed
	end           context.CancelFunc
	uploadFailure atomic.Pointer[error] // of the last attempt, nil if it succeeded

	ddl sync.Mutex // one change to the set of databases at a time

	stance    atomic.Pointer[error] // of a replicated log: why nobody may write here
	registers sync.Mutex            // one look at the registry at a time
	unclaimed *recovery             // of a replicated log: segments that the registry hasn't named yet
	last      SegmentID             // the highest that the registry has named

	mu       sync.Mutex
	byName   map[string]*DB
	segments map[SegmentID]*DB
	tickets  map[string]*pagevfs.File
	colds    map[SegmentID]*cold
	closed   bool
}

var hosts atomic.Uint64

// Open opens a data folder, recovers its databases from page files and log, and begins to accept transactions.
// It fails with ErrLocked if the folder is in use, and with ErrNewerFormat if something in it was written by a newer
// program; in both cases nothing was changed. A database that can't be recovered doesn't keep the others from being
// served: its Err says why.
func Open(ctx context.Context, o Options) (_ *Host, err error) {
	if o.Dir == "" {
		return nil, errors.New("opening a data folder: no folder is given")
	}
	o.setDefaults()
	h := &Host{
		o: o, cache: pagefile.NewCache(o.CacheBytes), tracer: o.TracerProvider.Tracer(scope),
		vfsName: fmt.Sprintf("bop-%d", hosts.Add(1)), closing: make(chan struct{}), system: o.System,
		byName: map[string]*DB{}, segments: map[SegmentID]*DB{}, tickets: map[string]*pagevfs.File{}, colds: map[SegmentID]*cold{},
	}
	h.life, h.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening data folder %s: %w", o.Dir, err)
			h.release()
		}
	}()
	if err := h.openFolder(); err != nil {
		return nil, err
	}
	if h.system == nil {
		h.ownSystem = true
		h.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(quiet{o.Logger.Handler()})
		}))
	}
	h.replicated, _ = o.Log.(ReplicatedLog)
	if h.replicated != nil {
		var err error = &NotLeaderError{}
		h.stance.Store(&err)
	}
	if h.log = o.Log; h.log == nil {
		if h.log, err = h.openLog(); err != nil {
			return nil, err
		}
	}
	if h.metrics, err = newMetrics(h, o.MeterProvider); err != nil {
		return nil, err
	}
	vfs.Register(h.vfsName, &pagevfs.VFS{Main: h.openMain, Temp: h.temp(), TempMemory: o.TempMemory})
	if err := h.recover(ctx); err != nil {
		return nil, err
	}
	if h.replicated != nil {
		if err := h.replicated.Run(ctx, replica{h}); err != nil {
			return nil, err
		}
	}
	h.wg.Add(1)
	go h.watch()
	if h.o.Cold.Bucket != nil {
		h.wg.Go(h.tick)
	}
	return h, nil
}

// openFolder makes the folder, takes it, and looks at its format.
func (h *Host) openFolder() (err error) {
	o := &h.o
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	if h.lock, err = o.FS.Lock(o.Dir); err != nil {
		return err
	}
	if err := h.checkFormat(); err != nil {
		return err
	}
	if err := h.checkKeys(); err != nil {
		return err
	}
	if err := o.FS.MkdirAll(filepath.Join(o.Dir, "db"), 0o700); err != nil {
		return err
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return err
	}
	if o.TempDir != "" {
		if err := os.MkdirAll(o.TempDir, 0o700); err != nil {
			return err
		}
		// What a crash left between creation and unlinking.
		old, _ := filepath.Glob(filepath.Join(o.TempDir, "spill-*"))
		for _, name := range old {
			_ = os.Remove(name)
		}
	}
	return nil
}

func (h *Host) checkFormat() error {
	name := filepath.Join(h.o.Dir, formatName)
	f, err := h.o.FS.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 64)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	want := fmt.Sprintf("%s %d\n", formatMagic, formatVersion)
	text := strings.TrimRight(string(b[:n]), "\x00")
	if strings.HasPrefix(want, text) && text != want {
		// New, or a crash during its making: nothing else is in the folder yet.
		if _, err := f.WriteAt([]byte(want), 0); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("syncing %s: %w", name, err)
		}
		return nil
	}
	var version uint32
	if k, err := fmt.Sscanf(text, formatMagic+" %d\n", &version); k != 1 || err != nil {
		return &DamageError{File: name, Reason: "it does not say which format the folder has"}
	}
	if version > formatVersion {
		return &NewerFormatError{h.o.Dir, version, formatVersion}
	}
	return nil
}

func (h *Host) openLog() (Log, error) {
	lo := h.o.LogOptions
	lo.FS, lo.System = h.o.FS, h.system
	lo.Logger, lo.TracerProvider, lo.MeterProvider = h.o.Logger, h.o.TracerProvider, h.o.MeterProvider
	if lo.Name == "" {
		lo.Name = "log"
	}
	l, err := aof.Open(filepath.Join(h.o.Dir, "log"), lo)
	var newer *aof.NewerFormatError
	if errors.As(err, &newer) {
		return nil, &NewerFormatError{"the log", uint32(newer.Found), uint32(newer.Supported)}
	}
	if err != nil {
		return nil, err
	}
	return NewAOFLog(l), nil
}

// Damage is what was found damaged in the log when it was opened.
func (h *Host) Damage() []error { return slices.Clone(h.damage) }

// Log is the log of the databases.
func (h *Host) Log() Log { return h.log }

// CacheStats counts the use of the page cache.
func (h *Host) CacheStats() CacheStats { return h.cache.Stats() }

// Close makes a last checkpoint of every database and closes the folder. Connections must be closed before; open ones
// fail. If ctx ends first, the checkpoints are left out, which costs nothing but time at the next opening.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	close(h.closing)
	h.wg.Wait()
	h.lastUpload(ctx)
	h.end()

	var errs []error
	dbs := h.all()
	for _, db := range dbs {
		db.pool.close()
	}
	if h.registry != nil {
		h.registry.pool.close()
	}
	for _, db := range dbs {
		errs = append(errs, h.stopOwner(ctx, db))
	}
	errs = append(errs, h.release())
	return errors.Join(errs...)
}

// stopOwner lets an owner make its last checkpoint and waits until it is gone.
func (h *Host) stopOwner(ctx context.Context, db *DB) error {
	if db.owner == nil {
		return nil
	}
	done := make(chan error, 1)
	h.system.Root.Send(db.owner, &lastOrders{ctx, done})
	var err error
	select {
	case err = <-done:
		h.system.Root.Stop(db.owner)
		<-db.gone
	case <-db.gone:
	}
	if err != nil && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
		return fmt.Errorf("last checkpoint of database %q: %w", db.Name(), err)
	}
	return nil
}

// release lets go of everything that is open.
func (h *Host) release() error {
	var errs []error
	vfs.Unregister(h.vfsName)
	if h.unwatch != nil {
		h.unwatch()
	}
	h.end()
	for _, db := range h.all() {
		if db.owner == nil {
			continue
		}
		h.stopUploader(db)
		h.system.Root.Stop(db.owner)
		<-db.gone
	}
	if h.log != nil {
		errs = append(errs, h.log.Close())
	}
	for _, db := range h.all() {
		if db.cold != nil {
			db.cold.close()
		}
		if s := db.current(); s != nil {
			s.Close()
		}
		if db.file != nil {
			errs = append(errs, db.file.Close())
		}
	}
	if h.supervisor != nil {
		h.system.Root.Stop(h.supervisor)
	}
	if h.system != nil && h.ownSystem {
		h.system.Shutdown()
	}
	if h.metrics != nil {
		h.metrics.close()
	}
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}

// DB returns the database of that name, or ErrNoDatabase.
func (h *Host) DB(name string) (*DB, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	db := h.byName[name]
	if db == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoDatabase, name)
	}
	return db, nil
}

// Databases lists the databases by name.
func (h *Host) Databases() []Info {
	h.mu.Lock()
	dbs := make([]*DB, 0, len(h.byName))
	for _, db := range h.byName {
		dbs = append(dbs, db)
	}
	h.mu.Unlock()
	list := make([]Info, len(dbs))
	for i, db := range dbs {
		list[i] = db.Info()
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// all returns every database, the system database and half-imported ones included.
func (h *Host) all() []*DB {
	h.mu.Lock()
	defer h.mu.Unlock()
	dbs := make([]*DB, 0, len(h.segments))
	for _, db := range h.segments {
		dbs = append(dbs, db)
	}
	return dbs
}

func (h *Host) bySegment(s SegmentID) *DB {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.segments[s]
}

// start gives a database its owner.
func (h *Host) start(db *DB) {
	if db.cold != nil && db.file != nil {
		db.cold.file.Store(db.file)
	}
	done := make(chan struct{})
	h.system.Root.Send(h.supervisor, &spawnOwner{db, done})
	<-done
	if db.cold == nil {
		return
	}
	done = make(chan struct{})
	h.system.Root.Send(h.supervisor, &spawnUploader{db, done})
	<-done
}

// ticket names a file for the one time that SQLite opens it.
func (h *Host) ticket(f *pagevfs.File) string {
	t := "ticket-" + rand.Text()
	h.mu.Lock()
	h.tickets[t] = f
	h.mu.Unlock()
	return t
}

func (h *Host) punch(ticket string) {
	h.mu.Lock()
	delete(h.tickets, ticket)
	h.mu.Unlock()
}

// openMain resolves what SQLite opens: a ticket is the main database of a new connection, a name comes from ATTACH.
func (h *Host) openMain(name string) (*pagevfs.File, error) {
	h.mu.Lock()
	f, db := h.tickets[name], h.byName[name]
	delete(h.tickets, name)
	h.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if db == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoDatabase, name)
	}
	f = pagevfs.NewFile(db.current(), &db.hooks)
	f.ReadOnly = true
	return f, nil
}

// checkName refuses what can't be a name: ATTACH must be able to tell it from a path.
func checkName(name string) error {
	bad := name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) ||
		strings.HasPrefix(name, ":") || strings.HasPrefix(name, "_bop_") || strings.HasPrefix(name, "ticket-") ||
		strings.HasPrefix(strings.ToLower(name), "file:") || strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || r == '/' || r == '\\' || r == '?' || r == '#'
	})
	if bad {
		return fmt.Errorf("%w: %q", ErrBadName, name)
	}
	return nil
}

// quiet passes only what is at least a warning: the actor system tells of its own start.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
