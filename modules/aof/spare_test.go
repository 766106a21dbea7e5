package aof

import (
	"log/slog"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// TestAFileThatIsCutOffIsUsedAgain though a spare was made in the meantime.
func TestAFileThatIsCutOffIsUsedAgain(t *testing.T) {
	l, err := Open("/log", Options{FS: crashfs.New(), SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var last Position
	for range 60 {
		if last, err = l.Append(t.Context(), make([]byte, 4<<10), OS); err != nil {
			t.Fatal(err)
		}
	}
	ready := func() int {
		l.spares.mu.Lock()
		defer l.spares.mu.Unlock()
		return len(l.spares.ready)
	}
	for deadline := time.Now().Add(20 * time.Second); ready() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no spare is made")
		}
	}
	if err := l.TruncateBefore(last); err != nil {
		t.Fatal(err)
	}
	if n := ready(); n != 2 {
		t.Errorf("%d files are ready, one that was filled with zeros and one that was used were to be", n)
	}
}
