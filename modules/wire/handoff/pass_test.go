package handoff_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/wire/handoff"
)

// passage is a client that is passed on over loopback TCP: its own end, the session's end, and what Pass returned.
type passage struct {
	client, session *net.TCPConn
	stop            chan struct{}
	done            chan error
}

func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	for _, c := range []net.Conn{dialed, accepted} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

func pass(t *testing.T) *passage {
	t.Helper()
	client, accepted := pair(t)
	dialed, session := pair(t)
	p := &passage{client, session, make(chan struct{}), make(chan error, 1)}
	go func() { p.done <- handoff.Pass(accepted, dialed, frame(), p.stop) }()
	if _, err := handoff.Read(session); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *passage) read(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q and the end", got, err, want)
	}
}

func (p *passage) write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func (p *passage) ended(t *testing.T) {
	t.Helper()
	if err := <-p.done; err != nil {
		t.Fatal(err)
	}
}

func TestAClientThatSaysNothingMoreGetsItsAnswer(t *testing.T) {
	p := pass(t)
	p.write(t, p.client, "question")
	p.client.CloseWrite()
	p.read(t, p.session, "question")
	p.write(t, p.session, "answer")
	p.session.Close()
	p.read(t, p.client, "answer")
	p.client.Close()
	p.ended(t)
}

func TestASessionsLastWordsArrive(t *testing.T) {
	p := pass(t)
	p.write(t, p.session, "last words")
	p.session.Close()
	p.read(t, p.client, "last words")
	p.client.Close()
	p.ended(t)
}

func TestAStopWaitsForTheAnswer(t *testing.T) {
	p := pass(t)
	p.write(t, p.client, "question")
	got := make([]byte, len("question"))
	if _, err := io.ReadFull(p.session, got); err != nil {
		t.Fatal(err)
	}
	close(p.stop)
	p.read(t, p.session, "") // the session learns that nothing more comes
	p.write(t, p.session, "answer")
	p.session.Close()
	p.read(t, p.client, "answer")
	p.client.Close()
	p.ended(t)
}

func TestAClientThatBreaksOffTakesTheSessionAlong(t *testing.T) {
	p := pass(t)
	p.client.SetLinger(0) // it resets
	p.client.Close()
	if _, err := io.ReadAll(p.session); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the session was not told")
	}
	p.session.Close()
	p.ended(t)
}

func TestAClientThatCannotBePassedOnCanBeTold(t *testing.T) {
	client, accepted := pair(t)
	dialed, _ := pair(t)
	dialed.Close()
	if err := handoff.Pass(accepted, dialed, frame(), nil); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := io.WriteString(accepted, "sorry"); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "sorry" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestFramesThatNoServerWritesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*handoff.Frame){
		"a short nonce":   func(f *handoff.Frame) { f.Nonce = f.Nonce[:19] },
		"no nonce":        func(f *handoff.Frame) { f.Nonce = nil },
		"other protocols": func(f *handoff.Frame) { f.Protocol = 3 },
	} {
		f := frame()
		change(f)
		if err := f.Write(io.Discard); !errors.Is(err, handoff.ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
