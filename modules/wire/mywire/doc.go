// Package mywire serves MySQL clients: the client/server protocol of MySQL 8.0 in front of package session.
//
//	srv, err := mywire.NewServer(mywire.Options{Sessions: sessions})
//	err = srv.Serve(ctx, ln) // until srv.Shutdown
//
// # What is there
//
// Text and prepared statements with binary rows, read-only cursors, long data, several statements and results, LOAD DATA
// LOCAL INFILE, TLS, caching_sha2_password and mysql_native_password, change of user, reset of the connection. There is no
// compression, no query attributes, and no tracking of session state.
//
// # Limits
//
// A packet may have Options.MaxPacket bytes; a longer one is read over and answered with 1153, and the connection goes on.
// Connections, the time until a client has shown who it is, and the time that a packet or an answer may take are bounded by
// Options too. A client that is silent for its wait_timeout is told 4031 and its connection closed.
//
// Answers are gathered and go out when the client has to be waited for, or when 16 KiB have come together.
//
// A panic while a connection is served ends that connection and no other.
package mywire
