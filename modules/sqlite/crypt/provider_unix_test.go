//go:build unix

package crypt

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe that nobody writes to would wait for ever.
func TestAPipeIsntAKeyFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenProvider(t.Context(), pipe)
	if err == nil || !strings.Contains(err.Error(), "isn't a regular file") {
		t.Error(err)
	}
}
