package aof

import (
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

// These errors can be returned by Open.
var (
	// ErrLocked: another process has the folder.
	ErrLocked = fsys.ErrLocked
	// ErrNewerFormat: a newer program wrote the folder; see NewerFormatError.
	ErrNewerFormat = errors.New("written by a newer format")
)

// These errors can be returned by appends.
var (
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("aof: log is closed")
	// ErrPoisoned: a write or fsync failed in a way that leaves open what the disk has. Everything acknowledged is there
	// when the log is opened again. Whether records without an answer are there is open.
	ErrPoisoned = errors.New("aof: log refuses appends after a failure, open it again")
	// ErrTooLarge: the record is longer than Options.MaxRecordBytes.
	ErrTooLarge = errors.New("aof: record too large")
	// ErrBackpressure: TryAppend would have had to wait; see BackpressureError.
	ErrBackpressure = errors.New("aof: backpressure")
)

// These errors can be returned by reads.
var (
	// ErrTail: there is no record yet at the position.
	ErrTail = errors.New("aof: at the tail")
	// ErrTruncated: the record was there and was truncated away.
	ErrTruncated = errors.New("aof: position was truncated")
	// ErrDamaged: the bytes on disk are not those that were written; see DamageError.
	ErrDamaged = errors.New("aof: damaged")
)

// NewerFormatError names the file whose format is newer than this package knows.
type NewerFormatError struct {
	File             string
	Found, Supported int
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("%s was written by format %d, this program reads up to %d: run the newer version",
		e.File, e.Found, e.Supported)
}

// Is makes errors.Is(err, ErrNewerFormat) hold.
func (e *NewerFormatError) Is(target error) bool { return target == ErrNewerFormat }

// DamageError names what is damaged.
type DamageError struct {
	Damage
}

func (e *DamageError) Error() string {
	what := fmt.Sprintf("aof: %s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
	if e.Last == 0 {
		return what
	}
	return fmt.Sprintf("%s; positions %d to %d are lost", what, e.First, e.Last)
}

// Is makes errors.Is(err, ErrDamaged) hold.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// BackpressureKind says what an append waits for.
type BackpressureKind uint8

// The kinds.
const (
	// Admission: the queue holds Options.MaxQueueBytes that the committer hasn't written yet.
	Admission BackpressureKind = iota
	// Rollover: the committer is beginning a new segment file.
	Rollover
)

func (k BackpressureKind) String() string { return [...]string{"admission", "rollover"}[k] }

// BackpressureError says why TryAppend would have waited.
type BackpressureError struct{ Kind BackpressureKind }

func (e *BackpressureError) Error() string { return "aof: backpressure: " + e.Kind.String() }

// Is makes errors.Is(err, ErrBackpressure) hold.
func (e *BackpressureError) Is(target error) bool { return target == ErrBackpressure }
