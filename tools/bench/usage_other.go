//go:build !linux

package main

import (
	"os"
	"time"
)

// blocks is how long a file is: how much of the disk it takes isn't known here.
func blocks(st os.FileInfo) int64 { return st.Size() }

// cpu isn't known here.
func cpu() time.Duration { return 0 }
