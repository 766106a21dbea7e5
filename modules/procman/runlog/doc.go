// Package runlog keeps what the runs of one supervised process print: files on disk, one line one record, and never a
// loss without a recorded gap.
//
// # Usage
//
//	log, err := runlog.Open(dir, runlog.Options{Compress: true})
//	out := log.Writer(run, runlog.Out) // an io.WriteCloser for what is read from the child's pipe
//	cursor := log.Read(runlog.Query{Tail: 100, Follow: true})
//	rec, err := cursor.Next(ctx) // a line, or rec.Gap says what is missing
//
// ReadDir reads the same files without a Log, also while another process writes them.
//
// # What it promises
//
// Records are numbered from 1 over all runs, streams and reopenings. Every number is delivered as a line or lies in a
// Gap; a number is never delivered twice with different bytes by one Log.
//
// A Writer never refuses because of the disk: the child's pipe must be drained. What the disk did not take is counted
// (Log.Dropped), uses up its numbers, and is recorded as a Gap before the next record that the disk takes. A gap that
// waits for the disk is in memory only: if the process is killed then, its numbers are used again.
//
// Data is handed to the operating system at once and survives the death of the process. It is forced to the disk at
// rotation, Sync and Close only: a crash of the machine may lose the last seconds, and their numbers are used again.
//
// An incomplete end that a killed process left is cut off when the log is opened; a Gap of one number with reason
// Torn stands for it, because nobody knows how many lines it had. A block whose bytes changed is a Gap of reason
// Damaged, and reading goes on behind it.
//
// # Concurrency
//
// Several Writers may be used at once, and each by several goroutines. A Cursor belongs to one goroutine. One goroutine
// of the Log forces rotated files to the disk and compresses them; it ends with Close.
//
// An unfinished line is not seen by readers before its newline, the Writer's Close, or Options.LineBytes bytes.
//
// The format is specified byte by byte in FORMAT.md beside this file.
package runlog
