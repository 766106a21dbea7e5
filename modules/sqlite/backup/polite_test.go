package backup

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

func TestAnUploadPausesOnlyWhileSomebodyCommits(t *testing.T) {
	const work, much = 20 * time.Millisecond, politeRate
	began := time.Now()
	for name, c := range map[string]struct {
		commits bool          // since the last look
		moved   time.Duration // before began
		bytes   int64
		want    time.Duration
	}{
		"nobody commits":             {false, time.Hour, much, 0},
		"somebody commits":           {true, time.Hour, much, politePause * work},
		"the last commit was just":   {false, politeQuiet / 2, much, politePause * work},
		"it is slow anyway":          {true, 0, politeRate / 128, time.Second/128 - work},
		"it is slow, and must go on": {true, 0, politeRate / 32, time.Second/32 - work},
	} {
		t.Run(name, func(t *testing.T) {
			p := polite{newest: func() page.TXID { return 2 }, last: 2, moved: began.Add(-c.moved), began: began, bytes: c.bytes}
			if c.commits {
				p.last = 1
			}
			if got := p.pause(began.Add(work)); got != c.want {
				t.Errorf("it pauses for %v instead of %v", got, c.want)
			}
		})
	}
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	p := polite{newest: func() page.TXID { return 2 }, last: 1, began: time.Now().Add(-time.Hour)}
	if err := p.limit(ctx, 1<<40); !errors.Is(err, gone) {
		t.Fatalf("it ended with %v", err)
	}
}
