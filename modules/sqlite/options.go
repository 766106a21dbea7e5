package sqlite

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options say how a data folder is opened. Only Dir is needed.
type Options struct {
	// Dir is the data folder. It is made if it doesn't exist.
	Dir string
	// FS is the file system of Dir. Default: the operating system's.
	FS fsys.FS
	// Log is the log of all databases, which the Host then owns. Default: an AOF in Dir/log, opened with LogOptions.
	Log        Log
	LogOptions aof.Options

	// Keys wraps the databases' data keys. Without it new databases are in the clear, and ones that are encrypted can't be
	// opened. Default: none.
	Keys crypt.KeyProvider

	// Cold keeps the databases in a bucket too. Default: on this disk alone.
	Cold Cold

	// CacheBytes is how much of the page files is kept in memory, over all databases. Default: 64 MiB.
	CacheBytes int64
	// CheckpointBytes is how many bytes of log, or of page versions in memory, a database collects before it writes
	// them into its page file. Default: 16 MiB. Writers wait when four times as much is in memory.
	CheckpointBytes int64
	// CheckpointInterval is how long a transaction may stay in the log alone. Default: 1 minute.
	CheckpointInterval time.Duration
	// TxnMemory is how many bytes of changed pages a transaction keeps in memory before the rest goes to a temporary
	// file. Default: 64 MiB.
	TxnMemory int64
	// TempMemory is how many bytes a journal or temporary table keeps in memory before it goes to a temporary file.
	// Default: 4 MiB.
	TempMemory int64
	// TempDir is the folder of temporary files, which have no names. Default: Dir/tmp, or the system's if FS is set.
	TempDir string
	// LockTimeout is how long a transaction queues for the writer's place unless its connection says otherwise.
	// Default: 10 s.
	LockTimeout time.Duration
	// IdleConns is how many idle connections the pool of a database keeps. Default: 64.
	IdleConns int

	// SystemChanged, if set, is called after a change of the system database: Entries may have changed. It must not block.
	SystemChanged func()

	// Logger is told what an operator wants to know. Default: slog.Default().
	Logger *slog.Logger
	// TracerProvider and MeterProvider default to the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// System runs the actors. Default: one of the Host's own.
	System *actor.ActorSystem
}

func (o *Options) setDefaults() {
	own := o.FS == nil
	if own {
		o.FS = fsys.OS
	}
	setDefault(&o.CacheBytes, 64<<20)
	setDefault(&o.CheckpointBytes, 16<<20)
	setDefault(&o.CheckpointInterval, time.Minute)
	setDefault(&o.TxnMemory, 64<<20)
	setDefault(&o.TempMemory, 4<<20)
	setDefault(&o.LockTimeout, 10*time.Second)
	setDefault(&o.IdleConns, 64)
	o.Cold.setDefaults()
	if o.TempDir == "" && own {
		o.TempDir = filepath.Join(o.Dir, "tmp")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
