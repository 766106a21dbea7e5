package aof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

// Position is the number of a record in its log. The first record ever appended has position 1.
type Position uint64

// Durability says what has happened to a record when its append returns.
type Durability uint8

// The levels.
const (
	// Fsync: on disk; survives the machine's crash.
	Fsync Durability = iota
	// OS: handed to the operating system; survives the process's crash.
	OS
	// None: accepted into the queue; survives nothing, and a later failure isn't reported for it.
	None
)

func (d Durability) String() string { return [...]string{"fsync", "os", "none"}[d] }

// Options configure a log. The zero value is good.
type Options struct {
	// SegmentBytes is the size of a segment file. Default 64 MiB, at least 64 KiB. A longer batch gets a longer file; the
	// first segment of a log is a sixteenth.
	SegmentBytes int64
	// Spare is how many zero-filled or recycled files are kept ready for the next segments, from when the first segment
	// is half full, and one more that was recycled. Default 1, negative none.
	Spare int
	// MaxBatchBytes ends a batch: what waits beyond it goes into the next. Default 4 MiB.
	MaxBatchBytes int
	// MaxQueueBytes bounds what waits for the committer; appends beyond it wait. Default 32 MiB.
	MaxQueueBytes int
	// MaxRecordBytes bounds a record; longer ones are ErrTooLarge. Default 64 MiB.
	MaxRecordBytes int
	// IdleMark is how long after the last batch the log waits before it leaves a mark. Default 1 s.
	IdleMark time.Duration
	// Sealer encrypts batches on disk and in the bucket. Default: they are in the clear.
	Sealer Sealer
	// Tiers say where segments live as they grow old. Default: where they were written.
	Tiers Tiers

	// Name is the attribute "log" of metrics and spans. Default: the folder's last element.
	Name string
	// FS is the file system. Default: the operating system's.
	FS fsys.FS
	// Logger is told of damage, failures and their consequences. Default slog.Default().
	Logger *slog.Logger
	// TracerProvider and MeterProvider default to the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// System runs the log's actors. Default: one of its own.
	System *actor.ActorSystem
}

func (o *Options) defaults(dir string) {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	o.SegmentBytes = aligned(max(o.SegmentBytes, 64<<10))
	if o.Spare == 0 {
		o.Spare = 1
	}
	o.Spare = max(o.Spare, 0)
	set(&o.MaxRecordBytes, 64<<20)
	o.MaxRecordBytes = min(o.MaxRecordBytes, maxBatchPayload/2)
	set(&o.MaxBatchBytes, 4<<20)
	o.MaxBatchBytes = min(o.MaxBatchBytes, maxBatchPayload/2)
	set(&o.MaxQueueBytes, 32<<20)
	if o.IdleMark <= 0 {
		o.IdleMark = time.Second
	}
	o.Tiers.defaults(o.SegmentBytes)
	if o.Tiers.LocalBytes > 0 || o.Tiers.Budget != nil {
		// What is admitted will be written: it may need one segment more.
		o.MaxQueueBytes = min(o.MaxQueueBytes, int(o.SegmentBytes/2))
	}
	if o.Name == "" {
		o.Name = baseName(dir)
	}
	if o.FS == nil {
		o.FS = fsys.OS
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("log", o.Name)
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
}

// Log is an open log.
type Log struct {
	dir     string
	o       Options
	lock    io.Closer
	metrics *instruments
	tracer  trace.Tracer

	queue     queue
	committer committer
	spares    spares

	// mu guards segments and what readers may see of them. The committer alone changes the last segment.
	mu       sync.RWMutex
	segments []*segment    // in order of their sequence; the last is the tail
	visible  Position      // after the last record that readers may see
	moved    chan struct{} // closed when visible moves; nil: closed
	watched  bool          // somebody waits for moved
	damage   []Damage
	headless []headless
	head     Position // records before it were truncated; 0: none were, as far as is known
	cuts     cuts
	cutCount atomic.Uint64 // cuts.made, for readers without mu

	// arranging is held while segments are removed; it is taken before mu.
	arranging sync.Mutex

	arrived    chan struct{} // closed when a copy was added, or the bucket has told; nil: nobody waits
	cache      *Cache
	cold       cold
	catalog    catalog
	cataloging sync.Mutex      // held while the catalog is written; it is taken before mu
	vouched    map[string]bool // names of files that the catalog knew at opening
	hydrating  atomic.Int64    // bytes that are on their way from the bucket
	ctx        context.Context // ends when the log is being closed
	cancel     context.CancelFunc

	system   *actor.ActorSystem
	actors   []running // the committer, the preparer, the movers
	movers   []*mover
	hydrator *hydrator
	started  chan struct{} // closed when actors are there
	stopping atomic.Bool   // long work of the actors is to end
	closing  sync.Once
	closeErr error
}

// Open opens the log in dir, which is created if it isn't there (0700), and recovers it: see the package's promises.
// It takes time in proportion to the last segment, not to the log. Errors: ErrLocked, ErrNewerFormat, and those of the
// file system.
func Open(dir string, o Options) (_ *Log, err error) {
	o.defaults(dir)
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("aof: making the folder: %w", err)
	}
	lock, err := o.FS.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("aof: locking the folder: %w", err)
	}
	l := &Log{dir: dir, o: o, lock: lock, moved: make(chan struct{}), started: make(chan struct{}), vouched: map[string]bool{}, cache: o.Tiers.Cache}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			l.cancel()
			l.closeFiles()
			l.catalog.close()
			lock.Close()
		}
	}()
	l.tracer = o.TracerProvider.Tracer("github.com/bop-platform/bop/modules/aof")
	if l.metrics, err = newInstruments(l); err != nil {
		return nil, fmt.Errorf("aof: registering metrics: %w", err)
	}
	if err := l.recover(); err != nil {
		l.metrics.close()
		return nil, err
	}
	l.queue.init(l)
	l.weigh()
	l.startActors()
	return l, nil
}

// Close writes what waits, leaves a mark, and closes the files. Appends that come later get ErrClosed.
func (l *Log) Close() error {
	l.closing.Do(func() {
		err := l.Sync(context.Background())
		if errors.Is(err, ErrPoisoned) {
			err = nil // the appends that it concerns were told
		}
		l.queue.close()
		l.cancel() // what waits for the bucket
		l.stopActors()
		err = errors.Join(err, l.committer.last(), l.remember())
		l.metrics.close()
		l.closeErr = errors.Join(err, l.closeFiles(), l.catalog.close(), l.lock.Close())
		if l.o.Tiers.Budget != nil {
			l.o.Tiers.Budget.set(l, 0, false)
		}
	})
	return l.closeErr
}

func (l *Log) closeFiles() error {
	l.arranging.Lock()
	defer l.arranging.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.segments {
		errs = append(errs, s.release())
	}
	l.segments = nil
	close(l.moved)
	l.moved = nil
	return errors.Join(errs...)
}

// Bounds returns the position of the oldest record that is there and the one that the next record will get. They are
// equal when the log holds no record.
func (l *Log) Bounds() (first, next Position) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return l.visible, l.visible
	}
	return l.segments[0].base, l.visible
}

// Durable returns the last position that is known to be on disk, 0 if none is.
func (l *Log) Durable() Position { return Position(l.committer.durable.Load()) }
