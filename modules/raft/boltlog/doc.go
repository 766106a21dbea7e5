// Package boltlog keeps the logs of a host's groups in one bbolt file.
//
// A Write is one transaction of bbolt, whatever the number of groups and entries. bbolt makes a transaction durable in
// two steps, its pages and then the page that names their root, so that a Write waits for the disk twice. Opening reads
// the whole file's structure to find its free pages: the time grows with the file. The file never shrinks; what was cut
// off is used again.
//
// Each record has a checksum, which is verified whenever it is read from the file; a *DamageError says which one
// doesn't match. The newest entries of each group are kept in memory too, and reading them doesn't touch the file.
package boltlog
