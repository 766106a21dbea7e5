// Package coldtest tries what databases in a bucket promise with real processes: a real S3 server with a proxy in front
// that breaks what passes, Litestream's own command, children that are killed, and every byte of what is stored flipped.
//
//	go test ./tools/coldtest -server $PWD/bin/versitygw -litestream $PWD/bin/litestream
//
// Tests that need a binary don't exist without it. -kills, -faults and -large make it last longer.
package coldtest
