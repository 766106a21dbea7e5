package runlog

import (
	"errors"
	"fmt"
)

// These errors can be returned by Open.
var (
	// ErrLocked: another process, or another Log of this one, has the folder.
	ErrLocked = errors.New("runlog: folder is in use")
	// ErrNewerFormat: a newer program wrote a file of the folder; see NewerFormatError. Readers return it too.
	ErrNewerFormat = errors.New("runlog: written by a newer format")
)

// These errors can be returned by writers.
var (
	// ErrClosed: the log or the writer was closed.
	ErrClosed = errors.New("runlog: closed")
	// ErrBadRun: the run's id is empty, too long or has characters other than letters, digits and "._:-".
	ErrBadRun = errors.New("runlog: bad run id")
	// ErrBadStream: the stream is none of Out, Err and Sys.
	ErrBadStream = errors.New("runlog: bad stream")
)

// errGone: the file was removed, or compressed, since it was listed.
var errGone = errors.New("runlog: file is gone")

// NewerFormatError names the file whose format is newer than this package knows.
type NewerFormatError struct {
	File             string
	Found, Supported int
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("runlog: %s was written by format %d, this program reads up to %d: run the newer version",
		e.File, e.Found, e.Supported)
}

// Is makes errors.Is(err, ErrNewerFormat) hold.
func (e *NewerFormatError) Is(target error) bool { return target == ErrNewerFormat }
