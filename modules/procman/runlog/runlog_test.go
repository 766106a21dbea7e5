package runlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// fakeClock moves only by hand.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *fakeClock { return &fakeClock{t: time.Unix(1_800_000_000, 0)} }

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func open(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(w, s); err != nil || n != len(s) {
		t.Fatalf("wrote %d of %d: %v", n, len(s), err)
	}
}

// settle waits until rotated files are finished.
func settle(l *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy {
		l.idle.Wait()
	}
}

// all reads to the end.
func all(t testing.TB, c *Cursor) (records []Record) {
	t.Helper()
	for {
		r, err := c.Next(t.Context())
		if err == io.EOF {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Data = bytes.Clone(r.Data)
		records = append(records, r)
	}
}

// text puts records into words: "line", "line+" if it is partial, "line-" without newline, "[1-2 reason]".
func text(records []Record) string {
	var s []string
	for _, r := range records {
		switch {
		case r.Gap != nil:
			s = append(s, fmt.Sprintf("[%d-%d %s]", r.Gap.From, r.Gap.To, r.Gap.Reason))
		case r.Flags&Partial != 0:
			s = append(s, string(r.Data)+"+")
		case r.Flags&NoNewline != 0:
			s = append(s, string(r.Data)+"-")
		default:
			s = append(s, string(r.Data))
		}
	}
	return strings.Join(s, " ")
}

func expect(t testing.TB, c *Cursor, want string) {
	t.Helper()
	if got := text(all(t, c)); got != want {
		t.Fatalf("read %q, want %q", got, want)
	}
}

func TestWriting(t *testing.T) {
	for _, c := range []struct {
		name   string
		chunks []string
		want   string
		join   string
	}{
		{"lines are cut at newlines", []string{"a\nb\n"}, "a b", "a b"},
		{"a line may come in many chunks", []string{"a", "", "b", "c\nd", "\n"}, "abc d", "abc d"},
		{"a carriage return before the newline is cut off", []string{"a\r\nb\r", "\nc\rd\n"}, "a b c\rd", "a b c\rd"},
		{"an unfinished line is kept at Close", []string{"a\nbc"}, "a bc-", "a bc-"},
		{"a long line becomes parts", []string{"123456789abcdefgh\nx\n"}, "12345678+ 9abcdefg+ h x", "123456789abcdefgh x"},
		{"a line of just the limit is one record", []string{"12345678\n", "12345678\r\n", "12345678\r", "\n"},
			"12345678 12345678 12345678", "12345678 12345678 12345678"},
		{"a long line without end is kept at Close", []string{"123456789"}, "12345678+ 9-", "123456789-"},
		{"empty lines are lines", []string{"\n\n", "\n"}, "  ", "  "},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t, t.TempDir(), Options{LineBytes: 8})
			w := l.Writer("r1", Out)
			for _, chunk := range c.chunks {
				write(t, w, chunk)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			expect(t, l.Read(Query{}), c.want)
			expect(t, l.Read(Query{Join: true}), c.join)
			expect(t, ReadDir(l.dir, Query{}), c.want)
		})
	}
	t.Run("a wrong run or stream is an error", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{})
		for _, run := range []Run{"", "a b", "ä", Run(strings.Repeat("x", 65))} {
			if _, err := l.Writer(run, Out).Write([]byte("x\n")); !errors.Is(err, ErrBadRun) {
				t.Errorf("run %q: %v", run, err)
			}
		}
		if _, err := l.Writer("a", 7).Write([]byte("x\n")); !errors.Is(err, ErrBadStream) {
			t.Error(err)
		}
	})
	t.Run("closing the log ends its writers and keeps what they have", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir, Options{})
		w := l.Writer("r1", Out)
		write(t, w, "half")
		closeLog(t, l)
		if _, err := w.Write([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		expect(t, ReadDir(dir, Query{}), "half-")
	})
	t.Run("a folder has one writer", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{})
		if _, err := Open(l.dir, Options{}); !errors.Is(err, ErrLocked) {
			t.Fatal(err)
		}
	})
	t.Run("files are readable by the owner only", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "log")
		l := open(t, dir, Options{MaxBytes: 1, Compress: true})
		w := l.Writer("r1", Out)
		write(t, w, "a\n")
		write(t, w, "b\n")
		settle(l)
		for _, name := range []string{"", "0000000000000001.log.zst", "0000000000000002.log"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%q: %v %v", name, info, err)
			}
		}
	})
}

// TestRoundTrip writes random bytes in random chunks and compares with what cutting them as a whole gives.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(16) {
		rng := rand.New(rand.NewPCG(seed, 1))
		o := Options{LineBytes: 1 + rng.IntN(40), MaxBytes: int64(1000 + rng.IntN(20000)), MaxFiles: 1 << 20, Compress: seed%2 == 0}
		dir := t.TempDir()
		l := open(t, dir, o)
		want := map[source][]byte{}
		writers := map[source]io.WriteCloser{}
		for range 300 {
			if rng.IntN(50) == 0 {
				closeLog(t, l)
				l = open(t, dir, o)
				clear(writers)
			}
			key := source{Run(fmt.Sprint("r", rng.IntN(3))), Stream(1 + rng.IntN(3))}
			w := writers[key]
			if w == nil {
				w = l.Writer(key.run, key.stream)
				writers[key] = w
			}
			chunk := make([]byte, rng.IntN(100))
			for i := range chunk {
				chunk[i] = "abc\r\n\x00"[rng.IntN(6)]
			}
			if rng.IntN(100) == 0 {
				chunk = bytes.Repeat(append(chunk, '\n'), 2000)
			}
			write(t, w, string(chunk))
			want[key] = append(want[key], chunk...)
		}
		closeLog(t, l)
		got := map[source][]byte{}
		next := uint64(1)
		for _, r := range all(t, ReadDir(dir, Query{})) {
			if r.Gap != nil || r.Sequence != next || len(r.Data) > o.LineBytes+1 {
				t.Fatalf("seed %d: %+v, want sequence %d", seed, r, next)
			}
			next++
			key := source{r.Run, r.Stream}
			got[key] = append(got[key], r.Data...)
			if r.Flags&CR != 0 {
				got[key] = append(got[key], '\r')
			}
			if r.Flags&(Partial|NoNewline) == 0 {
				got[key] = append(got[key], '\n')
			}
		}
		for key := range want {
			if !bytes.Equal(got[key], want[key]) {
				t.Fatalf("seed %d: %v differs", seed, key)
			}
		}
	}
}

func TestQueries(t *testing.T) {
	clock := newClock()
	l := open(t, t.TempDir(), Options{Clock: clock.now, MaxBytes: 300, MaxFiles: 100, Compress: true, LineBytes: 4})
	begin := clock.now()
	a, b := l.Writer("a", Out), l.Writer("b", Err)
	for i := range 10 {
		clock.add(time.Second)
		write(t, a, fmt.Sprintf("a%d\n", i))
		write(t, b, fmt.Sprintf("b%d\n", i))
	}
	write(t, a, "long")
	write(t, a, "er")
	write(t, b, "bx\n")
	write(t, a, "!!\n")
	settle(l)
	all20 := "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4 a5 b5 a6 b6 a7 b7 a8 b8 a9 b9 "
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"everything", Query{}, all20 + "long+ bx er!!"},
		{"joined lines come where they end", Query{Join: true}, all20 + "bx longer!!"},
		{"from a number", Query{From: 20}, "b9 long+ bx er!!"},
		{"from a number that isn't there yet", Query{From: 100}, ""},
		{"one run", Query{Run: "b"}, "b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 bx"},
		{"one stream", Query{Streams: []Stream{Err, Sys}, From: 17}, "b8 b9 bx"},
		{"a span of time", Query{Since: begin.Add(2 * time.Second), Until: begin.Add(3 * time.Second)}, "a1 b1 a2 b2"},
		{"bytes", Query{Contains: []byte("7")}, "a7 b7"},
		{"an expression", Query{Grep: regexp.MustCompile(`^a[35]$`)}, "a3 a5"},
		{"an expression over a joined line", Query{Grep: regexp.MustCompile(`longer`), Join: true}, "longer!!"},
		{"the last", Query{Tail: 3}, "long+ bx er!!"},
		{"the last that match", Query{Tail: 3, Contains: []byte("a")}, "a7 a8 a9"},
		{"the last of joined lines", Query{Tail: 1, Join: true}, "longer!!"},
		{"the last two of joined lines", Query{Tail: 2, Join: true}, "bx longer!!"},
		{"the last, more than there are", Query{Tail: 3, Contains: []byte("7")}, "a7 b7"},
		{"the last behind a number", Query{Tail: 30, From: 20}, "b9 long+ bx er!!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, l.Read(c.q), c.want)
			expect(t, ReadDir(l.dir, c.q), c.want)
		})
	}
}

func TestFollow(t *testing.T) {
	t.Run("lines of several writers come in order, over rotation and compression", func(t *testing.T) {
		const writers, lines = 4, 500
		l := open(t, t.TempDir(), Options{MaxBytes: 4000, MaxFiles: 1 << 20, Compress: true})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { followAll(t, l.Read(Query{Follow: true}), writers*lines) })
		}
		wg.Go(func() { followAll(t, ReadDir(l.dir, Query{Follow: true}), writers*lines) })
		for i := range writers {
			w := l.Writer(Run(fmt.Sprint("r", i)), Out)
			wg.Go(func() {
				for k := range lines {
					fmt.Fprintf(w, "%d %d\n", i, k)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a follower ends with its context, and with the log", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{})
		w := l.Writer("r", Out)
		ctx, cancel := context.WithCancel(t.Context())
		c := l.Read(Query{Follow: true})
		got := make(chan error)
		go func() {
			_, err := c.Next(ctx)
			got <- err
		}()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c = l.Read(Query{Follow: true, Tail: 5})
		done := make(chan []Record)
		go func() { done <- all(t, c) }()
		write(t, w, "a\nb")
		closeLog(t, l)
		if got := text(<-done); got != "a b-" {
			t.Fatal(got)
		}
	})
}

func followAll(t *testing.T, c *Cursor, n int) {
	defer c.Close()
	last := map[Run]int{}
	for seq := uint64(1); seq <= uint64(n); seq++ {
		r, err := c.Next(t.Context())
		if err != nil || r.Gap != nil || r.Sequence != seq {
			t.Errorf("at %d: %+v %v", seq, r, err)
			return
		}
		var i, k int
		fmt.Sscanf(string(r.Data), "%d %d", &i, &k)
		if k != last[r.Run] || r.Run != Run(fmt.Sprint("r", i)) {
			t.Errorf("at %d: %s of %s, want %d", seq, r.Data, r.Run, last[r.Run])
			return
		}
		last[r.Run]++
	}
}
