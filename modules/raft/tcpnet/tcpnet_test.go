package tcpnet_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/raft/transporttest"
)

// TestMain also checks that closed transports leave no goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 4<<20)
	for deadline := time.Now().Add(30 * time.Second); code == 0; time.Sleep(time.Millisecond) {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "tcpnet.(*") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "goroutines are left:", stacks)
			code = 1
		}
	}
	os.Exit(code)
}

// authority signs certificates of hosts.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// config is the configuration of a host: its certificate has the name host-<id>.
func (a *authority) config(t *testing.T, id raft.NodeID) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(id) + 1), Subject: pkix.Name{CommonName: name(id)}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name(id)}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func name(id raft.NodeID) string { return fmt.Sprintf("host-%d", id) }

func byName(id raft.NodeID, peer tls.ConnectionState) error {
	return peer.PeerCertificates[0].VerifyHostname(name(id))
}

func TestTheContractOfTransportsWithTLS(t *testing.T) {
	a := newAuthority(t)
	configs := map[raft.NodeID]*tls.Config{1: a.config(t, 1), 2: a.config(t, 2), 3: a.config(t, 3)}
	transporttest.Run(t, func(t *testing.T) transporttest.Network {
		return newNetwork(t, func(id raft.NodeID) tcpnet.Options {
			o := quick(id)
			o.TLS, o.Verify = configs[id], byName
			return o
		})
	})
}

// sink is a handler that takes everything.
type sink struct {
	unreachable chan raft.NodeID
	received    chan raft.Message
	install     func(body io.Reader) error
}

func newSink() *sink {
	return &sink{unreachable: make(chan raft.NodeID, 1000), received: make(chan raft.Message, 1000)}
}

func (s *sink) Receive(_ raft.NodeID, list []raft.Message) {
	for _, m := range list {
		s.received <- m
	}
}

func (s *sink) ReceiveSnapshot(_ context.Context, _ raft.NodeID, _ raft.Message, body io.Reader) error {
	if s.install != nil {
		return s.install(body)
	}
	_, err := io.Copy(io.Discard, body)
	return err
}

func (s *sink) Unreachable(to raft.NodeID) {
	select {
	case s.unreachable <- to:
	default:
	}
}

func start(t *testing.T, o tcpnet.Options) (*tcpnet.Transport, *sink) {
	t.Helper()
	tr, err := tcpnet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := newSink()
	if err := tr.Start(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr, s
}

func snapshot(index uint64) raft.Message {
	return raft.Message{Group: 1, Message: &pb.Message{Type: pb.MsgSnap.Enum(),
		Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: proto.Uint64(index), Term: proto.Uint64(1)}}}}
}

func one() []raft.Message {
	return []raft.Message{{Group: 1, Message: &pb.Message{Type: pb.MsgAppResp.Enum(), Index: proto.Uint64(1)}}}
}

func TestHostsThatShouldNotTalkDoNot(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		name   string
		change func(a, b *tcpnet.Options)
		peer   raft.NodeID
		want   error // nil: any
	}{
		{"a host of another cluster", func(a, _ *tcpnet.Options) { a.Cluster[3] = 1 }, 2, tcpnet.ErrWrongCluster},
		{"another host than the expected one", func(_, _ *tcpnet.Options) {}, 3, tcpnet.ErrWrongNode},
		{"a host with one's own number", func(_, b *tcpnet.Options) { b.Node = 1 }, 2, tcpnet.ErrWrongNode},
		{"a certificate that the dialling side doesn't allow", func(a, b *tcpnet.Options) {
			a.TLS, b.TLS, a.Verify = ours.config(t, 1), ours.config(t, 3), byName
		}, 2, tcpnet.ErrNotAllowed},
		{"a certificate that the accepting side doesn't allow", func(a, b *tcpnet.Options) {
			a.TLS, b.TLS, b.Verify = ours.config(t, 3), ours.config(t, 2), byName
		}, 2, tcpnet.ErrNotAllowed},
		{"a certificate of another authority", func(a, b *tcpnet.Options) {
			a.TLS, b.TLS = ours.config(t, 1), theirs.config(t, 2)
			b.TLS.RootCAs = a.TLS.RootCAs
		}, 2, nil},
		{"a client with a certificate of another authority", func(a, b *tcpnet.Options) {
			a.TLS, b.TLS = theirs.config(t, 1), ours.config(t, 2)
			a.TLS.RootCAs = b.TLS.RootCAs
		}, 2, nil},
		{"plaintext to TLS", func(_, b *tcpnet.Options) { b.TLS = ours.config(t, 2) }, 2, nil},
		{"TLS to plaintext", func(a, _ *tcpnet.Options) { a.TLS = ours.config(t, 1) }, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			oa, ob := quick(1), quick(2)
			oa.SnapshotAttempts = 1
			c.change(&oa, &ob)
			a, sa := start(t, oa)
			b, sb := start(t, ob)
			a.SetPeer(c.peer, b.Addr().String())
			err := a.SendSnapshot(t.Context(), c.peer, snapshot(1), strings.NewReader("secret"))
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("sending a snapshot: %v, want %v", err, c.want)
			}
			a.Send(c.peer, one())
			if to := <-sa.unreachable; to != c.peer {
				t.Errorf("host %d is unreachable, want %d", to, c.peer)
			}
			if got := b.Stats(); len(sb.received) > 0 || got.SnapshotsReceived.Bytes > 0 {
				t.Errorf("%d messages and %d bytes of a snapshot arrived", len(sb.received), got.SnapshotsReceived.Bytes)
			}
		})
	}
}

func TestPlaintextStaysOnLoopback(t *testing.T) {
	o := quick(1)
	o.Listen = "0.0.0.0:0"
	tr, err := tcpnet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(newSink()); !errors.Is(err, tcpnet.ErrPlaintext) {
		t.Errorf("listening everywhere in plaintext: %v", err)
	}
	tr.Close()
	o.Insecure = true
	tr, _ = start(t, o)
	if tr.Addr() == nil {
		t.Error("with Insecure it isn't allowed either")
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	if _, err := tcpnet.New(tcpnet.Options{}); err == nil {
		t.Error("a host without a number was made")
	}
	if _, err := tcpnet.New(tcpnet.Options{Node: 1, TLS: &tls.Config{}}); err == nil {
		t.Error("TLS without a certificate was taken")
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: it didn't happen", what)
		}
	}
}

// silent is a host that says hello to nobody and takes nothing.
func silent(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestAPeerThatSaysNothingIsUnreachable(t *testing.T) {
	o := quick(1)
	o.DialTimeout = 30 * time.Millisecond
	a, sink := start(t, o)
	a.SetPeer(2, silent(t).Addr().String())
	a.Send(2, one())
	<-sink.unreachable
	if lost := a.Stats().Dropped[tcpnet.Broken]; lost != 1 {
		t.Errorf("%d messages were lost, want 1", lost)
	}
}

// frozen passes a connection on to a host until it is told to stop: then it takes and gives nothing any more.
func frozen(t *testing.T, to string, freeze <-chan struct{}) string {
	l := silent(t)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			pass := func(dst, src net.Conn) {
				buf := make([]byte, 4096)
				for {
					n, err := src.Read(buf)
					select {
					case <-freeze:
						return
					default:
					}
					if err != nil {
						dst.Close()
						return
					}
					dst.Write(buf[:n])
				}
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return l.Addr().String()
}

func TestADeadPeerIsNoticedByBothSides(t *testing.T) {
	patient := func(id raft.NodeID) tcpnet.Options {
		o := quick(id)
		o.PingEvery, o.DeadAfter, o.DialTimeout = 20*time.Millisecond, 300*time.Millisecond, time.Second
		return o
	}
	a, sa := start(t, patient(1))
	b, sb := start(t, patient(2))
	freeze := make(chan struct{})
	a.SetPeer(2, frozen(t, b.Addr().String(), freeze))
	a.Send(2, one())
	<-sb.received
	if b.Incoming() != 1 {
		t.Error("there isn't one connection")
	}
	close(freeze)
	<-sa.unreachable
	eventually(t, "the accepting side drops the connection", func() bool { return b.Incoming() == 0 })
}

func TestAnIdleConnectionLivesOn(t *testing.T) {
	o := quick(1)
	o.PingEvery, o.DeadAfter = 5*time.Millisecond, 10*time.Second
	a, _ := start(t, o)
	o.Node = 2
	b, sb := start(t, o)
	a.SetPeer(2, b.Addr().String())
	a.Send(2, one())
	<-sb.received
	// Pongs are what a receives on a connection on which it sends.
	eventually(t, "pongs come", func() bool { return a.Stats().Received[tcpnet.Messages].Bytes >= 100*12 })
	if n := a.Stats().Connects[tcpnet.Messages]; n != 1 {
		t.Errorf("%d connections were made, want 1", n)
	}
}

func TestAMessageThatIsTooLongIsLostAlone(t *testing.T) {
	o := quick(1)
	o.MaxMessageBytes = 64 << 10
	a, _ := start(t, o)
	o.Node = 2
	b, sb := start(t, o)
	a.SetPeer(2, b.Addr().String())
	long := one()[0]
	long.Context = make([]byte, 65<<10)
	short := one()[0]
	short.Context = make([]byte, 60<<10)
	a.Send(2, []raft.Message{long, short, short, short}) // more than one may have, together
	for range 3 {
		if m := <-sb.received; len(m.Context) != len(short.Context) {
			t.Error("the long message came")
		}
	}
	if err := a.SendSnapshot(t.Context(), 2, snapshot(1), bytes.NewReader(make([]byte, 300<<10))); err != nil {
		t.Errorf("a body that is longer than a message may be: %v", err)
	}
	if lost := a.Stats().Dropped[tcpnet.TooLarge]; lost != 1 {
		t.Errorf("%d messages were too long, want 1", lost)
	}
}

func TestFiguresSayWhatWent(t *testing.T) {
	a, _ := start(t, quick(1))
	b, sb := start(t, quick(2))
	a.Send(2, one())
	a.SetPeer(2, b.Addr().String())
	beat := one()[0]
	beat.Type = pb.MsgHeartbeat.Enum()
	a.Send(2, append(one(), beat))
	<-sb.received
	<-sb.received
	if err := a.SendSnapshot(t.Context(), 2, snapshot(1), strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	sa, got := a.Stats(), b.Stats()
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"messages lost for want of an address", sa.Dropped[tcpnet.UnknownPeer], 1},
		{"messages received", got.Received[tcpnet.Messages].Messages, 1},
		{"heartbeats received", got.Received[tcpnet.Heartbeats].Messages, 1},
		{"bytes sent with messages", sa.Sent[tcpnet.Messages].Bytes, 12 + 4},
		{"bytes received with messages", got.Received[tcpnet.Messages].Bytes, 12 + 4},
		{"connections for heartbeats", sa.Connects[tcpnet.Heartbeats], 1},
		{"connections for snapshots", sa.Connects[tcpnet.Snapshots], 1},
		{"bytes of a snapshot sent", sa.SnapshotsSent.Bytes, 10},
		{"bytes of a snapshot received", got.SnapshotsReceived.Bytes, 10},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
}

func TestGarbageEndsTheConnection(t *testing.T) {
	b, sb := start(t, quick(2))
	for name, bytes := range map[string][]byte{
		"HTTP":                []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" + strings.Repeat("x", 64)),
		"zeros":               make([]byte, 64),
		"a hello and garbage": append(tcpnet.Hello(1, 2), bytes.Repeat([]byte{0xff}, 100)...),
	} {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		conn.Write(bytes)
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection is kept", name)
		}
		conn.Close()
	}
	if len(sb.received) > 0 {
		t.Errorf("garbage became %v", <-sb.received)
	}
}

func TestThePartialFileOfACrashIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	a, _ := start(t, quick(1))
	o := quick(2)
	o.SpoolDir = dir
	b, sb := start(t, o)
	a.SetPeer(2, b.Addr().String())
	content := bytes.Repeat([]byte("abcdefgh"), 100<<10)
	torn := append(bytes.Clone(content[:300<<10]), make([]byte, 4096)...)
	for file, what := range map[string][]byte{
		"0000000000000001-0000000000000007-0000000000000001.part": torn,
		"0000000000000001-0000000000000003-0000000000000001.part": []byte("an earlier snapshot of the group"),
		"0000000000000002-0000000000000003-0000000000000001.part": []byte("one of another group"),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), what, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sb.install = func(body io.Reader) error {
		got, err := io.ReadAll(body)
		if !bytes.Equal(got, content) {
			t.Errorf("%d bytes arrived, and not those that were sent", len(got))
		}
		return err
	}
	if err := a.SendSnapshot(t.Context(), 2, snapshot(7), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if n := b.Stats().SnapshotsReceived.Bytes; n != uint64(len(content)) {
		t.Errorf("%d bytes were received of a body of %d", n, len(content))
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0].Name(), "0000000000000002") {
		t.Errorf("in the folder is %v, %v: want only what belongs to the other group", left, err)
	}
}

func TestSnapshotsAreBounded(t *testing.T) {
	oa, ob := quick(1), quick(2)
	oa.SnapshotAttempts = 2
	ob.MaxSnapshots, ob.MaxSnapshotBytes = 1, 100
	a, _ := start(t, oa)
	b, sb := start(t, ob)
	a.SetPeer(2, b.Addr().String())
	var remote *tcpnet.RemoteError
	if err := a.SendSnapshot(t.Context(), 2, snapshot(1), strings.NewReader(strings.Repeat("x", 101))); !errors.As(err, &remote) {
		t.Errorf("a body that is too long: %v", err)
	}
	inside, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	sb.install = func(io.Reader) error {
		close(inside)
		<-gate
		return nil
	}
	go func() { done <- a.SendSnapshot(t.Context(), 2, snapshot(2), strings.NewReader("first")) }()
	<-inside
	if err := a.SendSnapshot(t.Context(), 2, snapshot(3), strings.NewReader("second")); !errors.Is(err, tcpnet.ErrBusy) {
		t.Errorf("a second snapshot: %v, want ErrBusy", err)
	}
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("the first snapshot: %v", err)
	}
}

func TestWhoAsksAgainDuringAnInstallationGetsItsOutcome(t *testing.T) {
	a, _ := start(t, quick(1))
	b, sb := start(t, quick(2))
	a.SetPeer(2, b.Addr().String())
	inside, gate := make(chan struct{}, 2), make(chan struct{})
	sb.install = func(io.Reader) error {
		inside <- struct{}{}
		<-gate
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- a.SendSnapshot(ctx, 2, snapshot(2), strings.NewReader("body")) }()
	<-inside
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first attempt: %v", err)
	}
	connects := a.Stats().Connects[tcpnet.Snapshots]
	go func() { done <- a.SendSnapshot(t.Context(), 2, snapshot(2), strings.NewReader("body")) }()
	eventually(t, "the second attempt waits", func() bool { return b.Claims() == 1 && a.Stats().Connects[tcpnet.Snapshots] > connects })
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("the second attempt: %v", err)
	}
	if len(inside) > 0 {
		t.Error("it was installed twice")
	}
}

// broken is a body that can't be read.
type broken struct{ *strings.Reader }

func (broken) Read([]byte) (int, error) { return 0, errors.New("bad sector") }

func TestABodyThatCannotBeReadIsAnErrorAtOnce(t *testing.T) {
	a, _ := start(t, quick(1))
	b, _ := start(t, quick(2))
	a.SetPeer(2, b.Addr().String())
	err := a.SendSnapshot(t.Context(), 2, snapshot(1), broken{strings.NewReader("0123")})
	if err == nil || !strings.Contains(err.Error(), "bad sector") {
		t.Errorf("the sender got %v", err)
	}
	if err := a.SendSnapshot(t.Context(), 2, one()[0], strings.NewReader("")); err == nil {
		t.Error("a message without a snapshot was sent as one")
	}
}
