package tcpnet

import (
	"testing"
	"time"
)

func TestTheLimiterSpreadsBytesOverTime(t *testing.T) {
	now := time.Now()
	l := newLimiter(1000)
	for i, c := range []struct {
		after time.Duration // since the step before
		bytes int
		wait  time.Duration
	}{
		{0, 100, 0}, // a tenth of a second's worth is free
		{0, 500, 0},
		{0, 500, 500 * time.Millisecond},
		{500 * time.Millisecond, 1000, 500 * time.Millisecond},
		{time.Hour, 100, 0},
		{0, 1, 0},
		{0, 1, time.Millisecond},
	} {
		now = now.Add(c.after)
		if wait := l.reserve(c.bytes, now); wait.Round(time.Microsecond) != c.wait {
			t.Errorf("step %d: %d bytes wait %v, want %v", i, c.bytes, wait, c.wait)
		}
	}
	if wait := newLimiter(0).reserve(1<<40, now); wait != 0 {
		t.Errorf("without a limit bytes wait %v", wait)
	}
}

func TestPausesBetweenDialsGrowAndDiffer(t *testing.T) {
	l := &lane{t: &Transport{o: Options{MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond}}}
	for _, want := range []time.Duration{10, 20, 40, 80, 100, 100} {
		want *= time.Millisecond
		if l.rest(); l.backoff != want {
			t.Errorf("the pause is %v, want %v", l.backoff, want)
		}
		if j := jittered(want); j < want/2 || j > want {
			t.Errorf("a pause of %v became %v", want, j)
		}
	}
}
