package tcpnet_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
)

func TestAFullHostRefusesInWords(t *testing.T) {
	inside, gate := make(chan struct{}, 10), make(chan struct{})
	hold := func(c net.Conn, _ raft.NodeID) {
		inside <- struct{}{}
		<-gate
	}
	o := quick(1)
	o.MaxStreams, o.MaxConnections, o.Accept, o.AcceptJoin = 1, 1, hold, hold
	host, got := start(t, o)
	two, _ := start(t, quick(2))
	two.SetPeer(1, host.Addr().String())
	held, err := two.Dial(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	<-inside
	if n := host.Stats().Streams; n != 1 {
		t.Errorf("%d streams are open", n)
	}
	t.Run("a member's stream", func(t *testing.T) {
		if _, err := two.Dial(t.Context(), 1); !errors.Is(err, tcpnet.ErrFull) {
			t.Error(err)
		}
	})
	t.Run("a joiner's stream", func(t *testing.T) {
		if _, _, err := tcpnet.Dial(t.Context(), tcpnet.DialOptions{Node: 9}, host.Addr().String()); !errors.Is(err, tcpnet.ErrFull) {
			t.Error(err)
		}
	})
	t.Run("streams leave room for messages, and these for streams", func(t *testing.T) {
		two.Send(1, one())
		<-got.received
	})
	t.Run("a connection for snapshots beside one for messages", func(t *testing.T) {
		err := two.SendSnapshot(t.Context(), 1, snapshot(1), strings.NewReader("body"))
		if !errors.Is(err, tcpnet.ErrFull) {
			t.Error(err)
		}
	})
	t.Run("it takes a stream when another has ended", func(t *testing.T) {
		close(gate)
		eventually(t, "there is room", func() bool { return host.Stats().Streams == 0 })
		c, err := two.Dial(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

// answering listens and gives each hello one answer.
func answering(t *testing.T, answer []byte) string {
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
			io.ReadFull(c, make([]byte, len(answer)))
			c.Write(answer)
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestAJoinerChecksWhoAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
		want   error
	}{
		{"a version of the future", tcpnet.Answer(2, 2, 1, 9, tcpnet.Streams), tcpnet.ErrVersion},
		{"no version", tcpnet.Answer(0, 0, 1, 9, tcpnet.Streams), tcpnet.ErrVersion},
		{"two versions in place of one", tcpnet.Answer(1, 2, 1, 9, tcpnet.Streams), tcpnet.ErrVersion},
		{"an answer to somebody else", tcpnet.Answer(1, 1, 1, 8, tcpnet.Streams), tcpnet.ErrWrongNode},
		{"the joiner's own number", tcpnet.Answer(1, 1, 9, 9, tcpnet.Streams), tcpnet.ErrWrongNode},
		{"no number", tcpnet.Answer(1, 1, 0, 9, tcpnet.Streams), tcpnet.ErrWrongNode},
		{"another class", tcpnet.Answer(1, 1, 1, 9, tcpnet.Messages), tcpnet.ErrWrongNode},
		{"a right answer", tcpnet.Answer(1, 1, 1, 9, tcpnet.Streams), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, remote, err := tcpnet.Dial(t.Context(), tcpnet.DialOptions{Node: 9}, answering(t, c.answer))
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || remote.Node != 1) {
				t.Errorf("%+v, %v, want %v", remote, err, c.want)
			}
			if err == nil {
				conn.Close()
			}
		})
	}
}

func TestStreamsOverTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	reached := make(chan raft.NodeID, 10)
	told := func(word string) func(net.Conn, raft.NodeID) {
		return func(c net.Conn, from raft.NodeID) {
			reached <- from
			echo(word)(c, from)
		}
	}
	o := quick(1)
	o.TLS, o.Verify, o.Accept, o.AcceptJoin = ours.config(t, 1), byName, told("member "), told("joins ")
	one, _ := start(t, o)
	address := one.Addr().String()
	member := func(t *testing.T, id raft.NodeID, config *tls.Config) (net.Conn, error) {
		o := quick(id)
		o.TLS = config
		two, _ := start(t, o)
		two.SetPeer(1, address)
		return two.Dial(t.Context(), 1)
	}
	join := func(t *testing.T, id raft.NodeID, config *tls.Config) (net.Conn, error) {
		c, _, err := tcpnet.Dial(t.Context(), tcpnet.DialOptions{Node: id, TLS: config, Verify: byName}, address)
		return c, err
	}
	// A host that trusts the right authority and has its certificate from another.
	foreign := theirs.config(t, 2)
	foreign.RootCAs = ours.config(t, 2).RootCAs
	var unknown x509.UnknownAuthorityError
	for _, dial := range []struct {
		name string
		f    func(*testing.T, raft.NodeID, *tls.Config) (net.Conn, error)
		want string
	}{{"a member", member, "member bytes"}, {"a joiner", join, "joins bytes"}} {
		t.Run(dial.name+" with a certificate of the authority gets through, each way ends by itself", func(t *testing.T) {
			c, err := dial.f(t, 2, ours.config(t, 2))
			if got := ask(t, c, err); got != dial.want {
				t.Errorf("%q", got)
			}
			if from := <-reached; from != 2 {
				t.Errorf("host %d came", from)
			}
		})
		t.Run(dial.name+" that trusts another authority doesn't speak", func(t *testing.T) {
			if _, err := dial.f(t, 2, theirs.config(t, 2)); !errors.As(err, &unknown) {
				t.Error(err)
			}
		})
		t.Run(dial.name+" with a certificate of another authority is refused", func(t *testing.T) {
			if _, err := dial.f(t, 2, foreign); err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
				t.Error(err)
			}
		})
		t.Run(dial.name+" with the certificate of another host is refused", func(t *testing.T) {
			if _, err := dial.f(t, 2, ours.config(t, 3)); !errors.Is(err, tcpnet.ErrNotAllowed) {
				t.Error(err)
			}
		})
		t.Run(dial.name+" without a certificate doesn't begin", func(t *testing.T) {
			bare := &tls.Config{RootCAs: foreign.RootCAs}
			_, err := tcpnet.New(tcpnet.Options{Node: 2, TLS: bare})
			if dial.name == "a joiner" {
				_, err = join(t, 2, bare)
			}
			if err == nil || !strings.Contains(err.Error(), "no certificate") {
				t.Error(err)
			}
		})
		t.Run(dial.name+" in plaintext is refused", func(t *testing.T) {
			if _, err := dial.f(t, 2, nil); err == nil {
				t.Error("it got through")
			}
		})
	}
	t.Run("whoever shows no certificate isn't listened to", func(t *testing.T) {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(30 * time.Second))
		c := tls.Client(raw, &tls.Config{RootCAs: foreign.RootCAs, ServerName: "host-1", NextProtos: []string{"bop-raft"}})
		c.Write(tcpnet.Joining(9)) // with TLS 1.3 the client is done before the server has looked
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Error(err)
		}
	})
	t.Run("a joiner doesn't take a member for another", func(t *testing.T) {
		_, _, err := tcpnet.Dial(t.Context(), tcpnet.DialOptions{Node: 2, TLS: ours.config(t, 2),
			Verify: func(id raft.NodeID, s tls.ConnectionState) error { return byName(id+1, s) }}, address)
		if !errors.Is(err, tcpnet.ErrNotAllowed) {
			t.Error(err)
		}
	})
}
