// Package pagestore keeps the versions of one database: a tree in its page file, and above it in memory the pages of the
// transactions that came after.
//
// There are three heads. executed is what the next writer builds on; committed is what readers see; what lies between
// them was proposed to the log and is not acknowledged yet. A transaction is installed and proposed under the store's
// lock, in order, and hands over the writer's place at once; its acknowledgement is waited for outside. If the log
// fails it, everything above committed is dropped: executed falls back, the rollback epoch moves, and whatever was read
// from dropped versions is invalid.
//
// A Snapshot pins a version. The versions it needs stay in memory, and the tree it stands on stays in the page file.
package pagestore
