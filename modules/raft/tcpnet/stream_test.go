package tcpnet_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
)

// indifferent is a handler to which nothing matters.
type indifferent struct{ raft.Handler }

func (indifferent) Unreachable(raft.NodeID) {}

// echo answers a stream with its own bytes, behind a word.
func echo(word string) func(net.Conn, raft.NodeID) {
	return func(c net.Conn, _ raft.NodeID) {
		b, err := io.ReadAll(c)
		if err != nil {
			word = err.Error()
		}
		c.Write(append([]byte(word), b...))
	}
}

// ask sends bytes, ends its direction, and reads the answer.
func ask(t *testing.T, c net.Conn, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "bytes"); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStreams(t *testing.T) {
	start := func(o tcpnet.Options) *tcpnet.Transport {
		o.Cluster = [16]byte{7}
		x, err := tcpnet.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Start(indifferent{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		return x
	}
	one := start(tcpnet.Options{Node: 1, Accept: echo("member "), AcceptJoin: echo("joins ")})
	two := start(tcpnet.Options{Node: 2})
	two.SetPeer(1, one.Addr().String())
	one.SetPeer(2, two.Addr().String())

	t.Run("bytes go both ways and each way ends by itself", func(t *testing.T) {
		c, err := two.Dial(t.Context(), 1)
		if got := ask(t, c, err); got != "member bytes" {
			t.Errorf("%q", got)
		}
	})
	t.Run("a host that isn't a member is told whom it has found", func(t *testing.T) {
		c, remote, err := tcpnet.Dial(t.Context(), tcpnet.DialOptions{Node: 9}, one.Addr().String())
		if got := ask(t, c, err); got != "joins bytes" || remote.Node != 1 || remote.Cluster != [16]byte{7} {
			t.Errorf("%q, %+v", got, remote)
		}
	})
	t.Run("a host that takes none says so", func(t *testing.T) {
		if _, err := one.Dial(t.Context(), 2); !errors.Is(err, tcpnet.ErrNoStreams) {
			t.Error(err)
		}
		if _, _, err := tcpnet.Dial(t.Context(), tcpnet.DialOptions{Node: 9}, two.Addr().String()); err == nil {
			t.Error("it was taken")
		}
	})
	t.Run("their bytes are counted on both sides", func(t *testing.T) {
		before, other := two.Stats(), one.Stats()
		c, err := two.Dial(t.Context(), 1)
		if got := ask(t, c, err); got != "member bytes" {
			t.Fatalf("%q", got)
		}
		after := two.Stats()
		if n := after.Sent[tcpnet.Streams].Bytes - before.Sent[tcpnet.Streams].Bytes; n != uint64(len("bytes")) {
			t.Errorf("%d bytes were sent", n)
		}
		if n := after.Received[tcpnet.Streams].Bytes - before.Received[tcpnet.Streams].Bytes; n != uint64(len("member bytes")) {
			t.Errorf("%d bytes were received", n)
		}
		if n := one.Stats().Received[tcpnet.Streams].Bytes - other.Received[tcpnet.Streams].Bytes; n != uint64(len("bytes")) {
			t.Errorf("the other side received %d bytes", n)
		}
	})
	t.Run("closing the transport ends them", func(t *testing.T) {
		c, err := two.Dial(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		two.Close()
		if _, err := io.ReadAll(c); err == nil {
			t.Error("it is still open")
		}
	})
}
