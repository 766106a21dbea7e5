package pageobj

import (
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

var (
	// ErrDamaged is wrapped by all errors about bytes in the bucket that are not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrGone: the bucket doesn't have an object any more. It comes together with objstore.ErrNotFound.
	ErrGone = errors.New("page object is gone from the bucket")
	// ErrTaken: there is another object of that name already.
	ErrTaken = errors.New("another object of that name is in the bucket")
	// ErrNewer: the object was written by a newer program.
	ErrNewer = errors.New("page object has a newer format")
	// ErrClosed: the view was closed.
	ErrClosed = errors.New("the view is closed")
)

// DamageError names what is damaged. It wraps ErrDamaged.
type DamageError struct {
	Key    string // of the object
	Offset int64  // in its plaintext
	Page   uint32 // 0 if no single page is meant
	Reason string
	Err    error // what found it, may be nil
}

func (e *DamageError) Error() string {
	at := fmt.Sprintf("%s is damaged at offset %d", e.Key, e.Offset)
	if e.Page != 0 {
		at += fmt.Sprintf(", page %d", e.Page)
	}
	at += ": " + e.Reason
	if e.Err != nil {
		at += ": " + e.Err.Error()
	}
	return at + " (restore the object from a copy, or go back to an earlier backup)"
}

// Unwrap returns ErrDamaged and the cause.
func (e *DamageError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrDamaged}
	}
	return []error{ErrDamaged, e.Err}
}

// sealing says of an error of package crypt whether it is damage.
func sealing(key string, off int64, err error) error {
	if errors.Is(err, crypt.ErrForged) || errors.Is(err, crypt.ErrDamaged) {
		return &DamageError{Key: key, Offset: off, Reason: "it can't be opened", Err: err}
	}
	return fmt.Errorf("opening %s: %w", key, err)
}

// request says of an error of the bucket whether the object is gone.
func request(key string, err error) error {
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return fmt.Errorf("%w: %s: %w", ErrGone, key, err)
	case errors.Is(err, objstore.ErrRange), errors.Is(err, objstore.ErrChecksum):
		return &DamageError{Key: key, Reason: "the bucket can't give what was asked for", Err: err}
	}
	return fmt.Errorf("reading %s: %w", key, err)
}
