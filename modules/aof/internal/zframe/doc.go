// Package zframe stores a file as independent zstd frames that can be read at random: docs/formats/aof-warm.md.
//
// Any zstd decoder gives the original back, and readers of zstd's seekable format find their way by the seek table at
// the end. This package goes by a summary of its own, which has checksums of the compressed bytes and room for what the
// caller wants to know without reading a frame.
package zframe
