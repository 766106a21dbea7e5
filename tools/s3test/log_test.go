package s3test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
)

func init() {
	withServer = append(withServer,
		test{"a log lives in the bucket", logInTheBucket},
		test{"the server is killed again and again while a log uploads", logAndKills},
		test{"of two owners the one with the higher epoch stays", logAndOwners})
}

// bucket opens the server's as an operator would.
func (g *gateway) bucket(prefix string) objstore.Bucket {
	g.Helper()
	g.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	g.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	b, err := bucketurl.Open(g.Context(), "s3://bucket/"+prefix+"?endpoint="+g.url)
	if err != nil {
		g.Fatal(err)
	}
	return b
}

// openLog opens a log of which nothing stays on disk that the bucket has.
func openLog(t *testing.T, dir string, b objstore.Bucket, change func(*aof.Options)) *aof.Log {
	t.Helper()
	o := aof.Options{SegmentBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler),
		Tiers: aof.Tiers{Bucket: b, Hot: aof.Keep{Segments: -1}, Warm: aof.Keep{Segments: -1}, Retry: 10 * time.Millisecond}}
	if change != nil {
		change(&o)
	}
	l, err := aof.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func record(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("record %d ", i), 100)) }

func appendTo(t *testing.T, l *aof.Log, n int) {
	t.Helper()
	_, next := l.Bounds()
	for i := int(next); i <= n; i++ {
		if _, err := l.Append(t.Context(), record(i), aof.OS); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, l *aof.Log, from, to int) {
	t.Helper()
	r, err := l.Reader(aof.Position(from))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := from; i <= to; i++ {
		rec, err := r.Next(t.Context())
		if err != nil || int(rec.Position) != i || string(rec.Data) != string(record(i)) {
			t.Fatalf("record %d: %.20q, %v", i, rec.Data, err)
		}
	}
}

func until(t *testing.T, l *aof.Log, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s doesn't come: %+v", what, l.Stats())
		}
	}
}

// allCold tells whether all segments but the last are in the bucket alone.
func allCold(l *aof.Log) func() bool {
	return func() bool {
		for _, s := range l.Segments() {
			if s.Sealed && (len(s.Copies) != 1 || s.Copies[0].Tier != aof.Cold) {
				return false
			}
		}
		return true
	}
}

func logInTheBucket(t *testing.T) {
	g := start(t)
	dir, b := t.TempDir(), g.bucket("log")
	l := openLog(t, dir, b, nil)
	appendTo(t, l, 2000)
	until(t, l, "all cold", allCold(l))
	readAll(t, l, 1, 2000)
	for _, p := range []int{1, 777, 1999} {
		if got, err := l.ReadAt(t.Context(), aof.Position(p)); err != nil || string(got) != string(record(p)) {
			t.Fatal(p, err)
		}
	}
	if err := l.Hydrate(t.Context(), 700, 800); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateBefore(900); err != nil {
		t.Fatal(err)
	}
	first, _ := l.Bounds()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir, b, nil)
	readAll(t, l, int(first), 2000)
	l.Close()
	// The machine is gone: another one goes on where the bucket ends.
	l = openLog(t, t.TempDir(), b, func(o *aof.Options) { o.Tiers.Adopt, o.Tiers.Epoch = true, 1 })
	readAll(t, l, int(first), 2000)
	appendTo(t, l, 2500)
	until(t, l, "all cold", allCold(l))
	readAll(t, l, int(first), 2500)
}

func logAndKills(t *testing.T) {
	g := start(t)
	l := openLog(t, t.TempDir(), g.bucket("kills"), nil)
	for kill := range 5 {
		appendTo(t, l, (kill+1)*1500)
		uploads := l.Stats().Tier[aof.Cold]
		until(t, l, "an upload", func() bool { return l.Stats().Tier[aof.Cold] > uploads })
		g.kill()
		appendTo(t, l, (kill+1)*1500+200) // meanwhile the log goes on
		g.run()
	}
	until(t, l, "all cold", allCold(l))
	readAll(t, l, 1, 4*1500+200)
	for _, s := range l.Segments() {
		for _, c := range s.Copies {
			if c.Tier == aof.Cold {
				if _, err := g.bucket("kills").Head(context.Background(), c.Name); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func logAndOwners(t *testing.T) {
	g := start(t)
	b := g.bucket("owners")
	first := openLog(t, t.TempDir(), b, func(o *aof.Options) { o.Tiers.Epoch = 1 })
	appendTo(t, first, 600)
	until(t, first, "all cold", allCold(first))
	second := openLog(t, t.TempDir(), b, func(o *aof.Options) { o.Tiers.Adopt, o.Tiers.Epoch = true, 2 })
	appendTo(t, second, 900)
	until(t, second, "all cold", allCold(second))
	appendTo(t, first, 1200)
	until(t, first, "the first one is fenced off", func() bool { return first.Stats().Bucket != nil })
	readAll(t, second, 1, 900)
}
