// Package seglog keeps the logs of Raft groups in append-only files, and divides a group's log into segments that have
// logs and state machines of their own.
//
// A Store is a host's parent log: whatever its groups must make durable in one round is one record and one fsync. Segments
// is the state machine of a group: committed entries move from the parent into the log of the segment that they belong
// to, so that the parent is short whatever the segments do, and each segment is compacted and snapshot by itself.
package seglog
