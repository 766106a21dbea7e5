package balance

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// As a program does that replaces itself: the next one takes the socket over, and no client is refused in between.
func TestAListenerIsHandedOnWithoutARefusedConnection(t *testing.T) {
	leavesNothing(t)
	b := newBackend(t, hello("x"))
	p := newPool(t, PoolOptions{}, b.target("a"))
	first := listen(t, p, Options{})
	l := first
	var stop atomic.Bool
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if got, err := ask(first); got != "x" || err != nil {
					t.Errorf("%q, %v", got, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for range 10 {
		from := asked.Load()
		eventually(t, "some are served", func() bool { return asked.Load() > from+10 || t.Failed() })
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		f.Fd() // as exec does; it may not make the socket that still accepts a blocking one
		next, err := FromFile(f, p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		l = next
	}
	from := asked.Load()
	eventually(t, "the next one serves", func() bool { return asked.Load() > from+50 || t.Failed() })
	stop.Store(true)
	wg.Wait()
	l.Close(context.Background())
}

func TestAUnixSocketIsServedAndItsFileStaysForTheNext(t *testing.T) {
	b := newBackend(t, echo)
	p := newPool(t, PoolOptions{}, b.target("a"))
	path := t.TempDir() + "/s"
	l, err := Listen("unix", path, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close(context.Background())
	next, err := FromFile(f, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close(ended())
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pingPong(t, c)
}
