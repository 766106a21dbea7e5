package aof

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// TestACopyThatIsGivenUpCanStillBeReadByThoseWhoFoundIt: a reader finds a copy, and opens it a moment later.
func TestACopyThatIsGivenUpCanStillBeReadByThoseWhoFoundIt(t *testing.T) {
	disk := crashfs.New()
	o := Options{
		FS: disk, SegmentBytes: 64 << 10, Spare: -1, Logger: slog.New(slog.DiscardHandler),
		Tiers: Tiers{Retry: time.Millisecond, Hot: Keep{Segments: 2}},
	}
	l, err := Open("/log", o)
	if err != nil {
		t.Fatal(err)
	}
	record := []byte(strings.Repeat("record ", 1000))
	for range 60 {
		if _, err := l.Append(t.Context(), record, OS); err != nil {
			t.Fatal(err)
		}
	}
	defer l.Close()
	for l.Stats().Tier[Warm] == 0 {
		if err := l.evict(); err != nil {
			t.Fatal(err)
		}
	}
	l.arranging.Lock()
	defer l.arranging.Unlock()
	seen := map[Tier]bool{}
	for _, s := range l.segments {
		for tier, had := range s.forms {
			if had == nil || !s.sealed || seen[had.tier] {
				continue
			}
			seen[had.tier] = true
			f := newForm(had.tier, had.name, had.bytes) // as after opening by the catalog: its file isn't open yet
			f.refs.Add(1)
			l.mu.Lock()
			s.forms[tier] = nil
			l.mu.Unlock()
			defer had.release()
			if err := l.dropForm(s, f); err != nil {
				t.Fatal(err)
			}
			if _, err := l.open(t.Context(), s, f); err != nil {
				t.Errorf("%s: %v", f.tier, err)
			} else if _, err := l.plain(t.Context(), f).ReadAt(make([]byte, 100), 0); err != nil && err != io.EOF {
				t.Errorf("%s: %v", f.tier, err)
			}
			f.release()
		}
	}
	if !seen[Hot] || !seen[Warm] {
		t.Errorf("there were copies of %v alone", seen)
	}
}
