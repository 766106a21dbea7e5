// Package balance spreads the connections of one service over its replicas on this host.
//
// # Usage
//
//	pool := balance.NewPool(balance.PoolOptions{Name: "web"})
//	pool.Set([]balance.Target{{ID: "web-1", Address: "127.0.0.1:4001"}, {ID: "web-2", Address: "127.0.0.1:4002"}})
//	ln, err := balance.Listen("tcp", "127.0.0.1:4000", pool, balance.Options{})
//	...
//	err = pool.Drain(ctx, "web-1") // before web-1 is stopped
//	...
//	err = ln.Close(ctx)
//	pool.Close()
//
// HTTP makes a http.Handler over the same pool. Nothing here knows of processes: the caller tells which replicas are ready.
//
// # The caller's duties
//
//  1. Set names only targets that are ready. Set after a Drain doesn't name the drained target, unless it is to come back.
//  2. A target is drained before it is stopped.
//  3. Listeners are closed before their pool; Pool.Close cuts nothing.
//  4. Who calls Pick calls Lease.Done once the connection has ended.
//
// # Health
//
// After FailAfter failures in a row a target is ejected for EjectMin, and when it fails again after that, for twice as
// long each time, up to EjectMax. One success puts it back and forgets the past.
//
// Panic mode: the last usable target is never ejected, and where no usable one is left for a connection (all were tried,
// or the others were removed), ejected ones are tried too. A wrong guess of ours must not take a service down.
//
// The active check, if there is one, is believed more: a target that it calls down gets nothing, even as the last one.
// Connections wait then as if there were no target.
//
// # What a client sees
//
// A way that ends well is passed on as the end of that way only (half-close). A way that breaks is passed on as a reset,
// so a client can't take half an answer for a whole one. Connections that are cut are reset too. Those that are refused,
// found no target or were idle are closed.
//
// # Concurrency
//
// All functions and methods may be called by many goroutines.
package balance
