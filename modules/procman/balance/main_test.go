package balance

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// eventually waits for a condition. It fails only long after any sane time.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// leavesNothing checks at the end of the test that goroutines and descriptors are as they were. Call it first.
func leavesNothing(t *testing.T) {
	t.Helper()
	goroutines, files := mine(), descriptors(t)
	t.Cleanup(func() {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for mine() > goroutines || descriptors(t) > files {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Fatalf("left: goroutines %d -> %d, descriptors %d -> %d\n%s", goroutines, mine(), files, descriptors(t),
					buf[:runtime.Stack(buf, true)])
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func mine() int { return runtime.NumGoroutine() }

// descriptors counts sockets and files; pipes are left out, as the net package keeps those of splice in a cache.
func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// backend is a replica that counts its connections and serves each by a function.
type backend struct {
	ln    net.Listener
	count atomic.Int64
	wg    sync.WaitGroup
}

func newBackend(t testing.TB, serve func(net.Conn)) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{ln: ln}
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.count.Add(1)
			b.wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(b.stop)
	return b
}

func (b *backend) stop() {
	b.ln.Close()
	b.wg.Wait()
}

func (b *backend) target(id string) Target { return Target{ID: id, Address: b.ln.Addr().String()} }

func echo(c net.Conn) { io.Copy(c, c) }

// hello says who it is and ends.
func hello(name string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, name) } }

// deadAddress is one that refuses.
func deadAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func newPool(t testing.TB, o PoolOptions, targets ...Target) *Pool {
	t.Helper()
	p := NewPool(o)
	p.Set(targets)
	t.Cleanup(p.Close)
	return p
}

func listen(t testing.TB, p *Pool, o Options) *Listener {
	t.Helper()
	l, err := Listen("tcp", "127.0.0.1:0", p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(ended()) })
	return l
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func dial(t testing.TB, l *Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

// ask reads all that a new connection gives.
func ask(l *Listener) (string, error) {
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

// pingPong checks that an echo answers on c.
func pingPong(t testing.TB, c net.Conn) {
	t.Helper()
	b := make([]byte, 4)
	if _, err := io.WriteString(c, "ping"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
		t.Fatalf("echo: %q, %v", b, err)
	}
}

func targetStats(p *Pool, id string) TargetStats {
	for _, s := range p.Stats().Targets {
		if s.ID == id {
			return s
		}
	}
	return TargetStats{}
}

// clock is one that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// picks tells who is picked in a row, each given back at once.
func picks(t *testing.T, p *Pool, policy Policy, n int) string {
	t.Helper()
	var b strings.Builder
	for range n {
		l, err := p.Pick(policy)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&b, l.Target().ID)
		l.Done()
	}
	return b.String()
}
