package balance

import (
	"errors"
	"fmt"
	"syscall"
)

// These errors can be returned by Pick.
var (
	// ErrNoTarget: there is no target, or the active check calls all of them down, or all have been tried.
	ErrNoTarget = errors.New("no target is ready")
	// ErrClosed: the pool is closed.
	ErrClosed = errors.New("pool is closed")
)

// DialError tells that a target couldn't be reached.
type DialError struct {
	Target Target
	Err    error
}

func (e *DialError) Error() string {
	return fmt.Sprintf("dial target %s at %s: %v", e.Target.ID, e.Target.Address, e.Err)
}

// Unwrap makes errors.Is(err, syscall.ECONNREFUSED) and the like hold.
func (e *DialError) Unwrap() error { return e.Err }

// CutError tells that waiting for connections to end was given up and what remained was cut.
type CutError struct {
	What string // such as "target web-1" or "listener 127.0.0.1:4000"
	Cut  int    // connections
	Err  error  // why the waiting ended: the context's error
}

func (e *CutError) Error() string {
	return fmt.Sprintf("drain %s: %d connections were cut: %v", e.What, e.Cut, e.Err)
}

// Unwrap returns the context's error.
func (e *CutError) Unwrap() error { return e.Err }

// ours tells that a dial failed for want of something on our side, which isn't held against the target.
func ours(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
