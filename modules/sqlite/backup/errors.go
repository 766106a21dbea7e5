package backup

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

var (
	// ErrNoBackup: the bucket has no manifest there.
	ErrNoBackup = errors.New("the bucket has no backup of this database")
	// ErrFenced is what every *FencedError is.
	ErrFenced = errors.New("another writer has taken over")
	// ErrTakenOver: the database goes on under another lineage. A writer that finds it stops.
	ErrTakenOver = errors.New("the database goes on under a newer lineage")
	// ErrForeign: the bucket, or the part of it below the prefix, is another cluster's. Give this one a prefix of its own.
	ErrForeign = errors.New("the bucket belongs to another cluster: give this one a bucket or prefix of its own, or an empty folder, which takes over what the bucket has")
	// ErrNotRestorable is what every *NotRestorableError is.
	ErrNotRestorable = errors.New("not restorable")
	// ErrDamaged is wrapped by the errors about what is in the bucket and isn't as it should be.
	ErrDamaged = pageobj.ErrDamaged
	// ErrNewer: something was written by a newer program.
	ErrNewer = errors.New("the backup was written by a newer version of this program: use that one")
	// ErrPinLost: objects that a manifest names are deleted, or about to be; a newer manifest has to be taken.
	ErrPinLost = errors.New("the manifest is too old to be used: load the newest")
)

// FencedError tells a writer that one of a later leadership writes, or wrote. It is ErrFenced.
type FencedError struct {
	Have  uint64 // epoch of the writer that was refused
	Found uint64 // epoch in the bucket
}

func (e *FencedError) Error() string {
	if e.Have == e.Found {
		return fmt.Sprintf("another writer has taken over under the same epoch %d", e.Have)
	}
	return fmt.Sprintf("another writer has taken over: the bucket is at epoch %d, this one has %d", e.Found, e.Have)
}

// Is makes errors.Is(err, ErrFenced) hold.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// NotRestorableError says what can be restored instead of what was asked for. It is ErrNotRestorable.
type NotRestorableError struct {
	Target Target
	Ranges []Range // what is restorable, the oldest first
	Reason string
}

func (e *NotRestorableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v is not restorable", e.Target)
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	if len(e.Ranges) == 0 {
		b.WriteString("; the bucket has nothing to restore")
		return b.String()
	}
	b.WriteString("; restorable: ")
	const most = 8 // the newest: a list that nobody reads to its end helps nobody
	shown := e.Ranges[max(0, len(e.Ranges)-most):]
	if left := len(e.Ranges) - len(shown); left > 0 {
		fmt.Fprintf(&b, "%d older ranges, ", left)
	}
	for i, r := range shown {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// Is makes errors.Is(err, ErrNotRestorable) hold.
func (e *NotRestorableError) Is(target error) bool { return target == ErrNotRestorable }

// Range is transactions without a gap, each of which can be restored.
type Range struct {
	First, Last         page.TXID
	FirstTime, LastTime int64 // when those were committed, microseconds since 1970
}

func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("transaction %d (%s)", r.First, stamp(r.FirstTime))
	}
	return fmt.Sprintf("transactions %d to %d (%s to %s)", r.First, r.Last, stamp(r.FirstTime), stamp(r.LastTime))
}

// stamp is a leader time for people.
func stamp(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, a...))
}
