// Package pgwire serves the PostgreSQL protocol, versions 3.0 to 3.2, on sessions of package session: simple and
// extended queries with text and binary values, portals that suspend, COPY in both directions, notices and
// notifications, cancellation, TLS, SCRAM-SHA-256 and md5.
//
// # Usage
//
//	srv := pgwire.NewServer(pgwire.Options{Sessions: sessions})
//	err := srv.Serve(ctx, listener) // until Shutdown
//
// # What clients can rely on
//
//   - A message that is longer than allowed is read to its end and refused with 54000; the session lives on. A message
//     that stops half-way ends the connection after a while.
//   - An error inside the extended protocol skips everything up to Sync; a statement or portal that isn't there is an
//     error like others.
//   - A client that vanishes while its statement runs is noticed within seconds, and the statement ends.
//   - Shutdown ends idle connections with 57P01 and lets running statements finish first.
//
// # Memory
//
// A connection that waits for its client holds a small buffer for input and none for output; what big messages and
// results needed is given back.
package pgwire
