package main

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func through(t *testing.T) (*link, net.Conn) {
	t.Helper()
	k, err := newLink("n1→n2", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.close)
	return k, dialed(t, k)
}

func dialed(t *testing.T, k *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", k.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("received %q, %v; want %q", got, err, want)
	}
}

func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a cut link let %d bytes pass, %v", n, err)
	}
}

func broken(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read %d bytes, %v; want a reset", n, err)
	}
}

// brokenAtOnce dials a link that resets, which may be seen by the dial or by what follows.
func brokenAtOnce(t *testing.T, k *link) {
	t.Helper()
	c, err := net.Dial("tcp", k.addr())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	broken(t, c)
}

func TestLink(t *testing.T) {
	t.Run("bytes pass, and so does the end of a direction", func(t *testing.T) {
		_, c := through(t)
		send(t, c, "hello")
		c.(*net.TCPConn).CloseWrite()
		receive(t, c, "hello")
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("got %v, want the end", err)
		}
	})
	t.Run("what was held arrives in order once the link is healed", func(t *testing.T) {
		k, c := through(t)
		send(t, c, "a")
		receive(t, c, "a")
		k.set(weather{cut: holding})
		send(t, c, "b")
		silent(t, c)
		send(t, c, "c")
		k.set(weather{})
		receive(t, c, "bc")
	})
	t.Run("a connection that lost bytes is silent during the cut and reset after it", func(t *testing.T) {
		k, c := through(t)
		send(t, c, "a")
		receive(t, c, "a")
		k.set(weather{cut: swallowing})
		send(t, c, "b")
		silent(t, c)
		k.set(weather{})
		broken(t, c)
		c = dialed(t, k)
		send(t, c, "d")
		receive(t, c, "d")
	})
	t.Run("a connection that lost nothing during a cut lives on", func(t *testing.T) {
		k, c := through(t)
		send(t, c, "a")
		receive(t, c, "a")
		k.set(weather{cut: swallowing})
		k.set(weather{})
		send(t, c, "b")
		receive(t, c, "b")
	})
	t.Run("a resetting link breaks its connections and new ones", func(t *testing.T) {
		k, c := through(t)
		send(t, c, "a")
		receive(t, c, "a")
		k.set(weather{cut: resetting})
		broken(t, c)
		brokenAtOnce(t, k)
		k.set(weather{})
		c = dialed(t, k)
		send(t, c, "b")
		receive(t, c, "b")
	})
	t.Run("a connection that is made during a cut gets its answer after it", func(t *testing.T) {
		k, _ := through(t)
		k.set(weather{cut: swallowing})
		c := dialed(t, k)
		send(t, c, "a")
		silent(t, c)
		k.set(weather{})
		receive(t, c, "a")
	})
	t.Run("a slow link delays both ways", func(t *testing.T) {
		k, c := through(t)
		k.set(weather{delay: 20 * time.Millisecond})
		began := time.Now()
		send(t, c, "a")
		receive(t, c, "a")
		if took := time.Since(began); took < 40*time.Millisecond {
			t.Fatalf("a way and back took %v", took)
		}
	})
	t.Run("cutting one way leaves the other", func(t *testing.T) {
		k, c := through(t)
		back, other := through(t)
		k.set(weather{cut: holding})
		send(t, c, "a")
		send(t, other, "b")
		receive(t, other, "b")
		silent(t, c)
		back.set(weather{cut: resetting})
		k.set(weather{})
		receive(t, c, "a")
	})
	t.Run("a target that is down is a broken connection", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		k, err := newLink("n1→n2", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.close)
		brokenAtOnce(t, k)
	})
}
