// Package aof is an append-only log on disk: synchronous, crash-safe, with group commit.
//
// # Usage
//
//	log, err := aof.Open(dir, aof.Options{})
//	pos, err := log.Append(ctx, []byte("hello"), aof.Fsync) // returns when the record is on disk
//	rec, err := log.ReadAt(ctx, pos)
//	r, err := log.Reader(1)
//	rec, err := r.Next(ctx) // waits at the tail
//
// Records are numbered from 1 without gaps; the number is a record's Position.
//
// # What it promises
//
// A record that Append acknowledged at Fsync is there after any crash of the process or the machine. Recovery cuts only
// an incomplete end that nobody was told about. Bytes that changed after they were written are damage: it is reported by
// file, offset and positions (Log.Damage, DamageError), never returned as data and never skipped in silence, and what is
// around it stays readable. After a failed fsync the log refuses appends until it is opened again, because nobody can
// know what the disk has.
//
// What no log can tell apart: a damaged very last batch looks like one that a crash tore. So the log leaves a mark after
// the last batch when it is closed or idle for a moment; damage before a mark is recognised.
//
// # Concurrency
//
// All methods may be called by many goroutines. Positions follow the order in which AppendAsync (or another append)
// was called. One committer, a supervised actor, writes whatever waits as one batch and syncs once for all of it. If it
// panics it is not restarted: the log is poisoned, waiters get ErrPoisoned, and opening the log again recovers.
// A second actor prepares zero-filled segment files ahead; it is restarted when it fails.
//
// # Testing
//
// Package fsys is the seam to the file system; package crashfs is one that loses, tears and reorders what was not synced.
//
// The format is specified byte by byte in docs/formats/aof.md of the repository.
package aof
