package backup

import (
	"context"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// An upload at full speed takes all cores of a small machine, and of its disk if the bucket is on it.
const (
	politePause = 6                     // times as long as the work before it is a pause
	politeRate  = 8 << 20               // bytes of the bucket per second that pauses leave it in any case
	politeLook  = 10 * time.Millisecond // of work between two looks
	politeQuiet = time.Second           // without a commit: nobody is held up
)

// Polite makes a PageUpload.Limit that leaves most of the time to those who commit beside the upload: as long as newest,
// which tells the newest transaction, goes on telling newer ones. When nobody commits it holds nothing up.
func Polite(newest func() page.TXID) func(ctx context.Context, n int) error {
	p := polite{newest: newest, last: newest(), began: time.Now()}
	return p.limit
}

type polite struct {
	newest func() page.TXID
	last   page.TXID
	moved  time.Time // when last became it, as far as that was seen

	began time.Time // of the work since the last look
	bytes int64     // that it brought
}

func (p *polite) limit(ctx context.Context, n int) error {
	p.bytes += int64(n)
	now := time.Now()
	if now.Sub(p.began) < politeLook {
		return nil
	}
	pause := p.pause(now)
	p.bytes = 0
	defer func() { p.began = time.Now() }()
	if pause <= 0 {
		return nil
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pause says how long one is due.
func (p *polite) pause(now time.Time) time.Duration {
	if at := p.newest(); at != p.last {
		p.last, p.moved = at, now
	}
	if now.Sub(p.moved) > politeQuiet {
		return 0
	}
	work := now.Sub(p.began)
	return min(politePause*work, time.Duration(float64(p.bytes)/politeRate*float64(time.Second))-work)
}
