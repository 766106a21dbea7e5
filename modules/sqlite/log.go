package sqlite

import (
	"context"
	"io"
	"time"
)

// Position numbers the records of a log, from 1.
type Position uint64

// SegmentID numbers the databases of a log. It is never used for a second database.
type SegmentID uint64

// Log is the order of the records of all databases of a server. What it gives back in Replay, in that order, is what
// the databases are made of. Package logtest has the contract as tests.
type Log interface {
	// Lead begins a new leadership and returns its epoch, which is higher than that of every leadership in the log and
	// than atLeast. It returns when the new epoch is committed. No record is accepted before the first Lead.
	Lead(ctx context.Context, atLeast uint64) (epoch uint64, err error)
	// Epoch returns the epoch under which records are accepted now, or why none are: ErrLogFailed, or an error of the
	// implementation that tells who leads.
	Epoch() (uint64, error)
	// Admit waits until the log has room for a record of n bytes. It reserves nothing. If ctx ends, it returns why.
	Admit(ctx context.Context, n int) error
	// Propose hands over one record of segment seg. It must not block; rec must not be changed before done was called.
	// The values of ctx carry the trace; its end is of no matter.
	//
	// done is called exactly once, in the order of the proposals of a segment, and must not block. Without an error
	// the record is committed at that position. ErrNotCommitted is wrapped if it is certain that the record never
	// will be; every other error leaves that open. After an error, later proposals may succeed: whoever chains records
	// must make them recognisable.
	Propose(ctx context.Context, seg SegmentID, rec []byte, done func(Position, error))
	// Committed is the position of the newest committed record, 0 in an empty log.
	Committed() Position
	// Replay calls fn for every committed record from position from on, in order, up to what is committed when it is
	// called. Positions that hold no record of a segment are passed over. rec is valid during the call of fn.
	// It returns the error of fn, or ctx's. Records that can't be read are passed over; at the end a *LogDamageError for
	// each lot of them is returned.
	Replay(ctx context.Context, from Position, fn func(pos Position, seg SegmentID, rec []byte) error) error
	// Checkpointed says that segment seg needs no record up to and with upTo any more. Once no segment needs it, the
	// log may drop its head.
	Checkpointed(seg SegmentID, upTo Position)
	// Forget says that segment seg is gone and needs no record at all.
	Forget(seg SegmentID)
	// Watch calls fn when the log loses its leadership, or fails: everything that isn't committed must be taken for
	// dropped. fn must not block. The returned function ends the watch.
	Watch(fn func(LogEvent)) (stop func())
	// Close ends the log. Proposals that have no answer get one.
	Close() error
}

// ReplicatedLog is a Log that several servers share. It leads and follows as they decide among themselves: in place of
// Lead, a Host calls Replay and then Run, after which records come by Replica.Apply, those of the Host's own proposals
// too, before their done is called.
type ReplicatedLog interface {
	Log
	// Run begins to call r, one call at a time. It returns when r has been given everything that is known here to be
	// committed.
	Run(ctx context.Context, r Replica) error
	// Leader names the server that leads, "" if none is known to.
	Leader() string
	// Fresh returns when reads here see everything that was committed before the call, by whichever server. Leader reads
	// are refused on other servers with ErrNotLeader; both wrap ErrNotFresh if it can't be known now.
	Fresh(ctx context.Context, level Consistency) error
	// Age is how long ago, at most, this server knew everything that was committed then.
	Age() time.Duration
	// CatchUp returns when this server, whether it leads or not, has everything that was committed before the call. It
	// wraps ErrNotFresh if that can't be found out.
	CatchUp(ctx context.Context) error
}

// StoredLog is a Log whose records are on this server's disk some time before they are committed.
type StoredLog interface {
	Log
	// ProposeStored is Propose that also calls stored, once, when the record is on this server's disk. It needn't if done is
	// called before, or if another server may remove the record again. stored must not block.
	ProposeStored(ctx context.Context, seg SegmentID, rec []byte, stored func(), done func(Position, error))
}

// SegmentLog is a Log that can be read for one segment alone.
type SegmentLog interface {
	Log
	// ReplaySegment calls fn for the committed records of a segment from position from on, in order, up to what is committed
	// when it is called. A record is valid during the call of fn. It returns the error of fn, ctx's, or *LogDamageError.
	ReplaySegment(ctx context.Context, seg SegmentID, from Position, fn func(Committed) error) error
}

// Consistency says what reads may miss.
type Consistency uint8

const (
	// Linearizable reads see everything that was committed before they began.
	Linearizable Consistency = iota
	// LeaderReads see what the leader has committed; one that was deposed a moment ago and doesn't know may serve old data.
	LeaderReads
	// Stale reads see what this server has.
	Stale
)

// Replica is what a ReplicatedLog drives: the databases of a Host.
type Replica interface {
	// Segments lists the segments that there are.
	Segments() []SegmentID
	// Holds tells up to which position a segment has its records, and whether the segment can be at all: one that was
	// dropped takes no more records.
	Holds(seg SegmentID) (Position, bool)
	// Apply takes committed records of a segment, in order.
	Apply(ctx context.Context, seg SegmentID, records []Committed) error
	// Advanced says that everything up to a position was applied.
	Advanced(Position)
	// Image returns a segment's state as of the last Apply.
	Image(ctx context.Context, seg SegmentID) (Image, error)
	// Restore replaces a segment's state by an image that has its records up to a position, durably.
	Restore(ctx context.Context, seg SegmentID, at Position, image io.Reader) error
	// Restored says that segments have been restored, and that there are no others.
	Restored(ctx context.Context, segs []SegmentID) error
	// Leads says that records are accepted here from now on under an epoch. Everything before was applied.
	Leads(epoch uint64)
	// Follows says that none are.
	Follows()
}

// Committed is a record and its place in a log. Epoch is the leadership under which the log took it, 0: not known.
type Committed struct {
	Position Position
	Epoch    uint64
	Record   []byte
}

// Image is a segment's state as bytes, the same each time they are read.
type Image interface {
	io.ReadSeekCloser
	Size() int64
}

// LogDamageError says which positions of the log can't be read. It wraps ErrDamaged.
type LogDamageError struct {
	First, Last Position
	Segment     *SegmentID // whose records they are, if that is known; positions may be unknown then
	Err         error      // names file and offset
}

func (e *LogDamageError) Error() string { return e.Err.Error() }

// Is makes errors.Is(err, ErrDamaged) hold.
func (e *LogDamageError) Is(target error) bool { return target == ErrDamaged }

// Unwrap returns what the log found.
func (e *LogDamageError) Unwrap() error { return e.Err }

// LogEvent tells of the end of a leadership.
type LogEvent struct {
	Epoch uint64 // that ended
	Err   error
}

// HeadLog is implemented by logs that know what lies at their head.
type HeadLog interface {
	// Head is the oldest position that the log still has, or would have; and the number of bytes from there on.
	Head() (Position, int64)
}

// Durability says when the answer to a commit leaves. Other connections see a transaction when it is committed, whatever
// its durability.
type Durability uint8

const (
	// Quorum: when the transaction is committed. On a single server that is when it is on disk.
	Quorum Durability = iota
	// Local: when it is on this server's disk. On a single server the same as Quorum; in a cluster an acknowledged
	// transaction may be lost at failover.
	Local
	// Async: at once. An acknowledged transaction may be lost in a crash or at failover.
	Async
)

var durabilityNames = [...]string{Quorum: "quorum", Local: "local", Async: "async"}

// String returns quorum, local or async.
func (d Durability) String() string {
	if int(d) < len(durabilityNames) {
		return durabilityNames[d]
	}
	return "unknown"
}
