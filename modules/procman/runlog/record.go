package runlog

import (
	"fmt"
	"strings"
	"time"
)

// Run is the id of one run of the process: 1 to 64 letters, digits and "._:-".
type Run string

const maxRun = 64

// ParseRun returns s as a Run, or ErrBadRun.
func ParseRun(s string) (Run, error) {
	if s == "" || len(s) > maxRun {
		return "", fmt.Errorf("run id of %d bytes: %w", len(s), ErrBadRun)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("._:-", c) >= 0:
		default:
			return "", fmt.Errorf("run id %q: %w", s, ErrBadRun)
		}
	}
	return Run(s), nil
}

// Stream says where a line came from.
type Stream uint8

// The streams. The numbers are part of the format.
const (
	// Out is the child's standard output.
	Out Stream = 1 + iota
	// Err is the child's standard error.
	Err
	// Sys is what the supervisor itself says of the run.
	Sys
)

func (s Stream) valid() bool { return s >= Out && s <= Sys }

func (s Stream) String() string {
	if !s.valid() {
		return fmt.Sprintf("stream(%d)", uint8(s))
	}
	return [...]string{Out: "out", Err: "err", Sys: "sys"}[s]
}

// Flags tell how a record's line ended.
type Flags uint8

// The flags. The numbers are part of the format.
const (
	// Partial: the line goes on in the next record of the same run and stream.
	Partial Flags = 1 << iota
	// NoNewline: the stream ended without a newline.
	NoNewline
	// CR: the line ended with "\r\n"; Data has neither.
	CR
)

// Record is a line, or a gap where lines are missing.
type Record struct {
	// Sequence is the record's number in the log, from 1. Of a gap it is the first missing one. Of a joined line it is
	// the number of the last part, so that a reader goes on at Sequence+1.
	Sequence uint64
	// Time is the wall time at which the end of the line was read from the pipe. Of a gap it is when the gap was
	// recorded; zero if it was not recorded but found.
	Time   time.Time
	Run    Run
	Stream Stream
	Flags  Flags
	// Data is the line without its newline. It is valid until the next call of Cursor.Next.
	Data []byte
	// Gap isn't nil if this is no line.
	Gap *Gap

	start uint64 // number of the first part
}

// Gap is a range of numbers that have no lines.
type Gap struct {
	// From and To are the first and the last missing number. To is 0 if it isn't known, which is so behind the last
	// readable block of a file only.
	From, To uint64
	Reason   Reason
}

// Reason says why lines are missing.
type Reason uint8

// The reasons. The numbers are part of the format.
const (
	// Damaged: bytes on disk are not those that were written.
	Damaged Reason = 1 + iota
	// Removed: the file was removed by retention.
	Removed
	// Torn: the writing process was killed in the middle of a write. The one number stands for an unknown number of lines.
	Torn
	// DiskFull: the disk had no room.
	DiskFull
	// WriteFailed: the disk refused for another reason.
	WriteFailed
	reasons
)

func (r Reason) String() string {
	if r == 0 || r >= reasons {
		return fmt.Sprintf("reason(%d)", uint8(r))
	}
	return [...]string{Damaged: "damaged", Removed: "removed by retention", Torn: "torn by a crash",
		DiskFull: "disk full", WriteFailed: "write failed"}[r]
}
