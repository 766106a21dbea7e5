// Package replica is the log of databases that several servers share: a Raft group whose log is divided into segments,
// one for each database.
//
//	log, err := replica.Open(ctx, replica.Options{Dir: dir, Node: 1, Transport: transport, Voters: []raft.NodeID{1, 2, 3}})
//	host, err := sqlite.Open(ctx, sqlite.Options{Dir: dir, Log: log})
//
// A server alone is a cluster of one. A folder that a server without Raft wrote (sqlite.AOFLog) is taken over when it is
// opened.
package replica
