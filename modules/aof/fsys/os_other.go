//go:build !linux

package fsys

import "os"

func fdatasync(f *os.File) error { return f.Sync() }

func allocate(f *os.File, _, to int64) error { return f.Truncate(to) }
