package balance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTenThousandConnectionsAreSpreadEvenly(t *testing.T) {
	leavesNothing(t)
	const clients, each, replicas = 20, 500, 4
	var backends []*backend
	var targets []Target
	for i := range replicas {
		b := newBackend(t, hello("x"))
		backends = append(backends, b)
		targets = append(targets, b.target(string(rune('a'+i))))
	}
	p := newPool(t, PoolOptions{}, targets...)
	l := listen(t, p, Options{})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if got, err := ask(l); got != "x" || err != nil {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i, b := range backends {
		if n := b.count.Load(); n != clients*each/replicas {
			t.Errorf("replica %d got %d of %d", i, n, clients*each)
		}
	}
	eventually(t, "all are counted", func() bool {
		s := p.Stats()
		return s.Active == 0 && s.Accepted == clients*each && s.BytesOut == clients*each
	})
}

func TestLeastConnectionsGivesNewConnectionsToTheIdleReplica(t *testing.T) {
	busy, idle := newBackend(t, echo), newBackend(t, echo)
	p := newPool(t, PoolOptions{}, busy.target("busy"))
	l := listen(t, p, Options{Policy: LeastConnections})
	for range 3 {
		pingPong(t, dial(t, l))
	}
	p.Set([]Target{busy.target("busy"), idle.target("idle")})
	for range 3 {
		pingPong(t, dial(t, l))
	}
	if b, i := busy.count.Load(), idle.count.Load(); b != 3 || i != 3 {
		t.Errorf("busy %d, idle %d", b, i)
	}
}

func TestADeadTargetGetsNothingUntilItsTimeHasPassed(t *testing.T) {
	now := newClock()
	alive := newBackend(t, hello("alive"))
	address := deadAddress(t)
	p := newPool(t, PoolOptions{Now: now.Now}, Target{ID: "dead", Address: address}, alive.target("alive"))
	l := listen(t, p, Options{})
	serve := func(n int) {
		t.Helper()
		for range n {
			if got, err := ask(l); got == "" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	serve(20)
	if s := targetStats(p, "dead"); s.Failures != 3 || s.Total != 3 || !s.Ejected {
		t.Fatalf("after the threshold: %+v", s)
	}
	ln, err := net.Listen("tcp", address) // it is back
	if err != nil {
		t.Skip("the port was taken by another program")
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("back"))
			c.Close()
		}
	}()
	serve(10)
	if s := targetStats(p, "dead"); s.Total != 3 {
		t.Fatalf("got connections before its time: %+v", s)
	}
	now.add(time.Second)
	serve(10)
	if s := targetStats(p, "dead"); s.Total != 8 || s.Ejected {
		t.Errorf("is not back: %+v", s)
	}
}

// A replica that is removed while it sends must not lose a byte of what it sends.
func TestARemovedReplicaFinishesItsConnectionsAndGetsNoNewOne(t *testing.T) {
	leavesNothing(t)
	data := make([]byte, 8<<20)
	rand.Read(data)
	release := make(chan struct{})
	old := newBackend(t, func(c net.Conn) {
		c.Write(data[:1<<20])
		<-release
		c.Write(data[1<<20:])
	})
	other := newBackend(t, hello("new"))
	p := newPool(t, PoolOptions{}, old.target("old"))
	l := listen(t, p, Options{})
	const n = 8
	var wg sync.WaitGroup
	for range n {
		c := dial(t, l)
		wg.Go(func() {
			got, err := io.ReadAll(c)
			c.Close()
			if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	eventually(t, "all are served by the old one", func() bool { return old.count.Load() == n })
	p.Set([]Target{other.target("new")})
	if s := targetStats(p, "old"); !s.Draining || s.Active != n {
		t.Errorf("%+v", s)
	}
	drained := make(chan error)
	go func() { drained <- p.Drain(context.Background(), "old") }()
	for range 20 {
		if got, err := ask(l); got != "new" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	close(release)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	wg.Wait()
	if old.count.Load() != n {
		t.Error("the old one got a new connection")
	}
}

func TestTheDrainDeadlineCutsAndCounts(t *testing.T) {
	leavesNothing(t)
	b := newBackend(t, echo)
	p := newPool(t, PoolOptions{}, b.target("a"))
	l := listen(t, p, Options{})
	c1, c2 := dial(t, l), dial(t, l)
	pingPong(t, c1)
	pingPong(t, c2)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	var cut *CutError
	if err := p.Drain(ctx, "a"); !errors.As(err, &cut) || cut.Cut != 2 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c1, c2} {
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client wasn't told of the cut: %v", err)
		}
	}
	eventually(t, "nothing is active", func() bool { return p.Stats().Active == 0 })
	if n := p.Stats().Cut; n != 2 {
		t.Errorf("%d are counted as cut", n)
	}
}

func TestHalfClose(t *testing.T) {
	for name, o := range map[string]Options{"spliced": {}, "with an idle timeout": {IdleTimeout: time.Minute}} {
		t.Run("the answer comes after the client has closed its way, "+name, func(t *testing.T) {
			leavesNothing(t)
			b := newBackend(t, func(c net.Conn) {
				all, _ := io.ReadAll(c) // ends only when the end is passed on
				c.Write(bytes.ToUpper(all))
			})
			l := listen(t, newPool(t, PoolOptions{}, b.target("a")), o)
			c := dial(t, l)
			sent := bytes.Repeat([]byte("x"), 3<<20)
			go func() {
				c.Write(sent)
				c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, bytes.ToUpper(sent)) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	t.Run("the target's end is passed on while the client still sends", func(t *testing.T) {
		got := make(chan []byte, 1)
		b := newBackend(t, func(c net.Conn) {
			c.(*net.TCPConn).CloseWrite()
			all, _ := io.ReadAll(c)
			got <- all
		})
		c := dial(t, listen(t, newPool(t, PoolOptions{}, b.target("a")), Options{}))
		if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
			t.Fatal(rest, err)
		}
		io.WriteString(c, "still here")
		c.Close()
		if s := string(<-got); s != "still here" {
			t.Errorf("got %q", s)
		}
	})
}

func TestABrokenAnswerIsAResetAndNotAnEnd(t *testing.T) {
	leavesNothing(t)
	b := newBackend(t, func(c net.Conn) {
		io.WriteString(c, "half")
		io.ReadFull(c, make([]byte, 4))
		reset(c)
	})
	c := dial(t, listen(t, newPool(t, PoolOptions{}, b.target("a")), Options{}))
	io.ReadFull(c, make([]byte, 4))
	io.WriteString(c, "more")
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client takes half an answer for a whole one: %v", err)
	}
}

func TestIdleTimeout(t *testing.T) {
	leavesNothing(t)
	b := newBackend(t, echo)
	p := newPool(t, PoolOptions{}, b.target("a"))
	const idle = time.Second
	l := listen(t, p, Options{IdleTimeout: idle})
	t.Run("a connection on which nothing moves is closed", func(t *testing.T) {
		c := dial(t, l)
		began := time.Now()
		if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
			t.Error(b, err)
		}
		if took := time.Since(began); took < idle {
			t.Errorf("closed after %v", took)
		}
		if n := p.Stats().Idle; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("a slow one is not", func(t *testing.T) {
		c := dial(t, l)
		for began := time.Now(); time.Since(began) < 2*idle; time.Sleep(idle / 20) {
			pingPong(t, c)
		}
	})
}

func TestAnIdleWayDoesNotEndABusyOne(t *testing.T) {
	const idle = time.Second
	b := newBackend(t, func(c net.Conn) {
		for began := time.Now(); time.Since(began) < 2*idle; time.Sleep(idle / 20) {
			io.WriteString(c, ".")
		}
		io.WriteString(c, "!")
	})
	l := listen(t, newPool(t, PoolOptions{}, b.target("a")), Options{IdleTimeout: idle})
	if got, err := ask(l); err != nil || got == "" || got[len(got)-1] != '!' {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAConnectionIsHeldUntilATargetIsReady(t *testing.T) {
	leavesNothing(t)
	b := newBackend(t, hello("ready"))
	p := newPool(t, PoolOptions{})
	l := listen(t, p, Options{Wait: 20 * time.Second})
	got := make(chan string)
	go func() {
		s, _ := ask(l)
		got <- s
	}()
	eventually(t, "it is held", func() bool { return p.Stats().Active == 1 })
	p.Set([]Target{b.target("a")})
	if s := <-got; s != "ready" {
		t.Errorf("got %q", s)
	}
}

func TestAConnectionIsClosedWhenNoTargetBecomesReadyInTime(t *testing.T) {
	for name, wait := range map[string]time.Duration{"after Wait": 10 * time.Millisecond, "at once without Wait": -1} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, PoolOptions{})
			l := listen(t, p, Options{Wait: wait})
			if got, err := ask(l); got != "" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			eventually(t, "it is counted", func() bool { return p.Stats().Unserved == 1 })
		})
	}
}

func TestAConnectionThatAllTargetsRefuseIsClosedAndCounted(t *testing.T) {
	p := newPool(t, PoolOptions{}, Target{ID: "a", Address: deadAddress(t)}, Target{ID: "b", Address: deadAddress(t)})
	if got, err := ask(listen(t, p, Options{})); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	eventually(t, "it is counted", func() bool { return p.Stats().Failed == 1 })
	if a, b := targetStats(p, "a"), targetStats(p, "b"); a.Total != 1 || b.Total != 1 {
		t.Errorf("each is to be tried once: %+v %+v", a, b)
	}
}

func TestMaxConnsRefusesWhatIsAboveIt(t *testing.T) {
	b := newBackend(t, echo)
	p := newPool(t, PoolOptions{}, b.target("a"))
	l := listen(t, p, Options{MaxConns: 2})
	c1, c2 := dial(t, l), dial(t, l)
	pingPong(t, c1)
	pingPong(t, c2)
	if got, err := ask(l); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if s := p.Stats(); s.Refused != 1 || s.Active != 2 {
		t.Errorf("%+v", s)
	}
	c1.Close()
	eventually(t, "a place is free", func() bool { return p.Stats().Active == 1 })
	pingPong(t, dial(t, l))
}

func TestCloseWaitsAndThenCuts(t *testing.T) {
	leavesNothing(t)
	b := newBackend(t, echo)
	p := newPool(t, PoolOptions{}, b.target("a"))
	l := listen(t, p, Options{})
	c := dial(t, l)
	pingPong(t, c)
	closed := make(chan error)
	go func() { closed <- l.Close(context.Background()) }()
	eventually(t, "it refuses", func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	pingPong(t, c) // still served
	var cut *CutError
	if err := l.Close(ended()); !errors.As(err, &cut) || cut.Cut != 1 {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

func TestAConnectionThatIsHeldIsCutByClose(t *testing.T) {
	leavesNothing(t)
	p := newPool(t, PoolOptions{})
	l := listen(t, p, Options{Wait: time.Hour})
	dial(t, l)
	eventually(t, "it is held", func() bool { return p.Stats().Active == 1 })
	var cut *CutError
	if err := l.Close(ended()); !errors.As(err, &cut) || cut.Cut != 1 {
		t.Error(err)
	}
}

func TestServeErrors(t *testing.T) {
	p := newPool(t, PoolOptions{Name: "web"})
	if _, err := Listen("tcp", "256.0.0.1:1", p, Options{}); err == nil {
		t.Error("a wrong address is no error")
	}
	l := Serve(&pipeListener{closed: make(chan struct{})}, p, Options{})
	if _, err := l.File(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// pipeListener has no descriptor.
type pipeListener struct{ closed chan struct{} }

func (l *pipeListener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l *pipeListener) Close() error              { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr            { return &net.UnixAddr{Name: "pipe"} }
