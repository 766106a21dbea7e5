// Package rafttest runs whole clusters in one goroutine: clock, network and disks are made of one seed, so the same seed
// gives the same run. A run that breaks a promise tells the seed, and with it everything happens again.
package rafttest
