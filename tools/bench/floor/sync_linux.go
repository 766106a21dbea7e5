package floor

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes a file's bytes durable, and of what is known about the file only what reading them takes.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
