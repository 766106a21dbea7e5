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
	// Rollover: the committer is beginning a new segment file, or the local budget has no room for one until segments
	// were compressed or truncated.
	Rollover
	// Hydration: what is being hydrated takes the room that a new segment needs.
	Hydration
	// Upload: the local budget has no room for a new segment until older ones are in the bucket.
	Upload
	backpressures
)

func (k BackpressureKind) String() string {
	return [...]string{"admission", "rollover", "hydration", "upload"}[k]
}

// BackpressureError says why TryAppend would have waited.
type BackpressureError struct{ Kind BackpressureKind }

func (e *BackpressureError) Error() string { return "aof: backpressure: " + e.Kind.String() }

// Is makes errors.Is(err, ErrBackpressure) hold.
func (e *BackpressureError) Is(target error) bool { return target == ErrBackpressure }

// These errors concern the bucket.
var (
	// ErrFenced: an owner with a higher epoch has the bucket; see FencedError.
	ErrFenced = errors.New("aof: the bucket has another owner")
	// ErrForeignBucket: the bucket, or the prefix in it, holds another log.
	ErrForeignBucket = errors.New("aof: the bucket holds another log, choose another prefix")
	// ErrBucketAhead: the bucket holds records that the folder has lost; see BucketAheadError.
	ErrBucketAhead = errors.New("aof: the bucket knows more than the folder")
	// ErrNotAttached: the bucket hasn't told yet what it holds, and the folder doesn't know the record.
	ErrNotAttached = errors.New("aof: the bucket hasn't answered yet")
)

// FencedError tells which owner has the bucket.
type FencedError struct {
	Bucket       string
	Epoch, Found uint64
}

func (e *FencedError) Error() string {
	if e.Epoch == e.Found {
		return fmt.Sprintf("aof: another process uses %s with the same epoch %d: stop it, or open the log with a higher one", e.Bucket, e.Epoch)
	}
	return fmt.Sprintf("aof: %s belongs to epoch %d, this owner has %d: it may read, but not change the bucket", e.Bucket, e.Found, e.Epoch)
}

// Is makes errors.Is(err, ErrFenced) hold.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// BucketAheadError tells how far the bucket is ahead.
type BucketAheadError struct {
	Bucket      string
	Next, Local Position // where the log ends there and here
}

func (e *BucketAheadError) Error() string {
	return fmt.Sprintf("aof: %s holds records up to %d, the folder ends before %d: the folder isn't the log's newest; open an empty one with Tiers.Adopt to go on where the bucket ends, or choose another prefix", e.Bucket, e.Next-1, e.Local)
}

// Is makes errors.Is(err, ErrBucketAhead) hold.
func (e *BucketAheadError) Is(target error) bool { return target == ErrBucketAhead }
