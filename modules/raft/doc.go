// Package raft runs consensus groups on go.etcd.io/raft: a Host owns a log store and a transport, and any number of
// Groups share them, so that whatever the groups of a host have to make durable at one moment costs one fsync.
//
// What the state machine of a Group applies is the same sequence on every member. A proposal ends in one of three ways:
// applied; proven superseded (ErrSuperseded); or unknown (ErrUnknown), when its fate wasn't seen. It is never tried
// again, nor forwarded to another member.
package raft
