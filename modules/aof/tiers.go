package aof

import (
	"cmp"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// Tiers say where segments live as they grow old. The zero value leaves all of them where they were written.
type Tiers struct {
	// Hot is what stays in segment files; the rest is compressed.
	Hot Keep
	// Warm is what stays on disk compressed. The rest is in the bucket alone; without a bucket it stays.
	Warm Keep
	// Bucket takes a copy of every segment soon after it was sealed. What the log puts there begins with Prefix, which
	// belongs to one log.
	Bucket objstore.Bucket
	Prefix string
	// Epoch fences off earlier owners of the bucket: once an owner with a higher epoch has opened the log, one with a
	// lower epoch can't change what the bucket holds.
	Epoch uint64
	// Adopt lets a log be opened in an empty folder that goes on where the bucket's ends. Without it a bucket that knows
	// more than the folder is an error, since the folder may have lost what wasn't uploaded.
	Adopt bool

	// LocalBytes bounds the log's files on this disk, at least 6 segments; 0: no bound. Near it copies leave early, and
	// appends wait when nothing can leave. It is kept but for batches longer than a segment.
	LocalBytes int64
	// Budget is a bound that several logs share.
	Budget *Budget
	// Cache holds parts of cold objects in memory. Default: one of this log's own, of 32 MiB.
	Cache *Cache
	// Retry is how long the movers wait after a failure before they try again, doubled each time up to a minute. Default
	// 100 ms.
	Retry time.Duration
	// Clock is the time by which segments grow old and movers wait. Default: the machine's.
	Clock Clock
}

// Keep bounds what stays in a tier, the newest first. A limit of zero doesn't count; a negative one lets nothing stay.
type Keep struct {
	Bytes    int64
	Segments int
	Age      time.Duration // since the segment was sealed or hydrated
}

// Clock tells the time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once, in a goroutine of its own, unless stop comes before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type machineClock struct{}

func (machineClock) Now() time.Time { return time.Now() }
func (machineClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

func (t *Tiers) defaults(segment int64) {
	if t.LocalBytes > 0 {
		t.LocalBytes = max(t.LocalBytes, 6*segment)
	}
	if t.Cache == nil {
		t.Cache = NewCache(32 << 20)
	}
	if t.Retry <= 0 {
		t.Retry = 100 * time.Millisecond
	}
	if t.Clock == nil {
		t.Clock = machineClock{}
	}
	if t.Bucket != nil && t.Prefix != "" {
		t.Bucket = objstore.Prefix(t.Bucket, t.Prefix)
	}
}

// moves tells whether anything ever leaves its tier.
func (t *Tiers) moves() bool {
	return t.Hot != (Keep{}) || t.Bucket != nil || t.LocalBytes > 0 || t.Budget != nil
}

// resident is a segment in a tier, as policies see it.
type resident struct {
	s     *segment
	bytes int64
	since time.Time
}

// leaving returns those that a policy lets go, the oldest first.
func (k Keep) leaving(all []resident, now time.Time) []*segment {
	slices.SortStableFunc(all, func(a, b resident) int {
		return cmp.Or(b.since.Compare(a.since), cmp.Compare(b.s.header.sequence, a.s.header.sequence))
	})
	var bytes int64
	var gone []*segment
	for i, r := range all {
		bytes += r.bytes
		over := func(limit, have int64) bool { return limit < 0 || limit > 0 && have > limit }
		if over(k.Bytes, bytes) || over(int64(k.Segments), int64(i)+1) || over(int64(k.Age), int64(now.Sub(r.since))) {
			gone = append(gone, r.s)
		}
	}
	slices.Reverse(gone)
	return gone
}

// nextAge is when the next of those that stay grows too old; zero: none does.
func (k Keep) nextAge(all []resident) (at time.Time) {
	if k.Age <= 0 {
		return at
	}
	for _, r := range all {
		if t := r.since.Add(k.Age); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// residents are the sealed segments whose best copy is in a tier. mu is held.
func (l *Log) residents(t Tier) (all []resident) {
	for _, s := range l.segments {
		if f := s.forms[t]; f != nil && s.sealed && f == s.best() {
			all = append(all, resident{s, f.bytes, s.closed})
		}
	}
	return all
}

// toPack is the segment to be compressed next, nil if none is. mu is held.
func (l *Log) toPack() *segment {
	t := &l.o.Tiers
	packable := func(s *segment) bool { return s.sealed && !s.bad && s.forms[Hot] != nil && s.forms[Warm] == nil }
	wanted := func(s *segment) bool { return packable(s) && s.forms[Cold] == nil }
	for _, s := range t.Hot.leaving(l.residents(Hot), t.Clock.Now()) {
		if wanted(s) || packable(s) && l.staysWarm(s) {
			return s
		}
	}
	if t.Bucket == nil && !l.crowded() {
		return nil
	}
	for _, s := range l.segments {
		if wanted(s) {
			return s
		}
	}
	return nil
}

// toEvict are the copies that aren't needed any more. mu is held.
func (l *Log) toEvict() (forms []evicted) {
	t := &l.o.Tiers
	now := t.Clock.Now()
	gone := map[*form]bool{}
	evict := func(s *segment, tier Tier) {
		if f := s.forms[tier]; f != nil && !gone[f] {
			gone[f] = true
			forms = append(forms, evicted{s, f})
		}
	}
	for _, s := range t.Hot.leaving(l.residents(Hot), now) {
		if s.forms[Warm] != nil || s.forms[Cold] != nil && s.pins == 0 && (s.bad || !l.staysWarm(s)) {
			evict(s, Hot)
		}
	}
	for _, s := range t.Warm.leaving(l.residents(Warm), now) {
		if s.forms[Cold] != nil && s.pins == 0 {
			evict(s, Warm)
		}
	}
	for _, s := range l.segments {
		// A compressed copy beside the segment file was only made to be uploaded.
		if s.forms[Hot] != nil && s.forms[Warm] != nil && s.forms[Cold] != nil && !gone[s.forms[Hot]] {
			evict(s, Warm)
		}
	}
	left := l.localBytes()
	for _, e := range forms {
		left -= e.f.bytes
	}
	for tier := Hot; tier <= Warm; tier++ {
		for _, s := range l.segments {
			if !l.tooMuch(left) {
				return forms
			}
			f := s.forms[tier]
			colder := s.forms[Cold] != nil && s.pins == 0 || tier == Hot && s.forms[Warm] != nil && !gone[s.forms[Warm]]
			if f == nil || !s.sealed || gone[f] || !colder {
				continue
			}
			evict(s, tier)
			left -= f.bytes
		}
	}
	return forms
}

// staysWarm tells whether a segment that has no compressed copy here, and leaves its file, would keep one. mu is held.
func (l *Log) staysWarm(s *segment) bool {
	if l.crowded() {
		return false
	}
	k := l.o.Tiers.Warm
	bytes := s.end
	if f := s.forms[Cold]; f != nil {
		bytes = f.bytes
	}
	return !slices.Contains(k.leaving(append(l.residents(Warm), resident{s, bytes, s.closed}), l.o.Tiers.Clock.Now()), s)
}

// evicted is a copy that is to go.
type evicted struct {
	s *segment
	f *form
}

// toUpload is the segment to be uploaded next, nil if none is. mu is held.
func (l *Log) toUpload() *segment {
	for _, s := range l.segments {
		if s.sealed && s.forms[Warm] != nil && s.forms[Cold] == nil && !s.bad {
			return s
		}
	}
	return nil
}
