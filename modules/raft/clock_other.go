//go:build !linux

package raft

import "time"

// bootTime is the monotonic clock, which may stand still while the machine sleeps.
func bootTime() time.Duration { return time.Since(started) }

var started = time.Now()
