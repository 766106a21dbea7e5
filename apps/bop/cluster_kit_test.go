package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bop-platform/bop/apps/bop/internal/cluster"
	"github.com/bop-platform/bop/apps/bop/internal/server"
)

// patience is how long tests wait for what has to happen.
const patience = 30 * time.Second

// member is a server of a cluster. It keeps its name, its folder and its address for the others when it is started again.
type member struct {
	t    *testing.T
	name string
	dir  string
	raft string
	log  journal
	*serving
}

// serving is one run of bop serve in this process.
type serving struct {
	server.Addresses
	stop  context.CancelFunc
	line  announcement
	ended chan struct{}
	code  int // once ended is closed
}

// announcement gets the line that tells the addresses.
type announcement chan []byte

// Write implements io.Writer.
func (a announcement) Write(b []byte) (int, error) {
	a <- bytes.Clone(b)
	return len(b), nil
}

func newMember(t *testing.T, name string) *member {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := &member{t: t, name: name, dir: t.TempDir(), raft: l.Addr().String()}
	t.Cleanup(func() {
		if m.serving != nil {
			m.end()
		}
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, m.log.text())
		}
	})
	return m
}

// begin starts the server; it needn't come to serve.
func (m *member) begin(args ...string) {
	m.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &serving{stop: stop, line: make(announcement, 1), ended: make(chan struct{})}
	m.serving = s
	m.log.forget()
	args = append([]string{"serve", "--node", m.name, "--data-dir", m.dir, "--raft", m.raft, "--pg", "127.0.0.1:0", "--mysql", "127.0.0.1:0",
		"--http", "127.0.0.1:0", "--log-level", "info"}, args...)
	go func() {
		defer close(s.ended)
		s.code = run(ctx, func() {}, args, &env{out: s.line, err: &m.log})
	}()
}

// serves waits until clients are served.
func (m *member) serves() {
	m.t.Helper()
	select {
	case line := <-m.line:
		if err := json.Unmarshal(line, &m.Addresses); err != nil {
			m.t.Fatalf("%s: %q: %v", m.name, line, err)
		}
	case <-m.ended:
		m.t.Fatalf("%s doesn't serve", m.name)
	case <-time.After(patience):
		m.t.Fatalf("%s doesn't come to serve", m.name)
	}
}

// end stops the server and returns its exit status.
func (m *member) end() int {
	m.t.Helper()
	m.stop()
	return m.gone()
}

// gone waits for the server's end and returns its exit status.
func (m *member) gone() int {
	m.t.Helper()
	s := m.serving
	m.serving = nil
	select {
	case <-s.ended:
		s.stop()
		return s.code
	case <-time.After(patience):
		m.t.Fatalf("%s didn't end", m.name)
		return 0
	}
}

// connect opens a PostgreSQL connection.
func (m *member) connect(more string) *pgx.Conn {
	m.t.Helper()
	return connect(m.t, []*member{m}, more)
}

// connect opens a PostgreSQL connection to the first of several servers that suits.
func connect(t *testing.T, to []*member, more string) *pgx.Conn {
	t.Helper()
	var hosts []string
	for _, m := range to {
		hosts = append(hosts, m.PG)
	}
	c, err := pgx.Connect(t.Context(), "postgres://ada@"+strings.Join(hosts, ",")+"/bop?sslmode=disable"+more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// does runs statements.
func does(t *testing.T, c *pgx.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// ids are the rows of table t.
func ids(t *testing.T, c *pgx.Conn) []int {
	t.Helper()
	rows, err := c.Query(t.Context(), "SELECT id FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// status is what a server answers to bop cluster status --json.
func (m *member) status() (s cluster.Status) {
	m.t.Helper()
	code, out, errs := command(m.t, "cluster", "status", "--http", m.HTTP, "--json")
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil {
		m.t.Fatalf("%d %q %q", code, out, errs)
	}
	return s
}

// whole waits until a server sees so many nodes, all of them reached, with everything that is committed, and a leader.
func (m *member) whole(nodes int) (s cluster.Status) {
	m.t.Helper()
	eventually(m.t, m.name+" sees the cluster whole", func() bool {
		s = m.status()
		return len(s.Nodes) == nodes && s.Settled(s.Commit) == nil
	})
	return s
}

// role is what a node is in a status, "" nothing.
func role(s cluster.Status, name string) string {
	for _, n := range s.Nodes {
		if n.ID == name {
			return n.Role
		}
	}
	return ""
}

// missing tells whether a node is a member that can't be reached.
func missing(s cluster.Status, name string) bool {
	return slices.ContainsFunc(s.Nodes, func(n cluster.Member) bool { return n.ID == name && !n.Reachable })
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// journal is what a server has logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.b.Reset()
}

// says waits until the log has a line with all of the words.
func (m *member) says(words ...string) {
	m.t.Helper()
	eventually(m.t, "the log of "+m.name+" says "+strings.Join(words, " … "), func() bool {
		for line := range strings.Lines(m.log.text()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return true
			}
		}
		return false
	})
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	a.cert = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.key, a.key)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// sign writes a certificate, and its key, into files named by it.
func (a *authority) sign(name string, c *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// peer are the flags of a server with a certificate of this authority.
func (a *authority) peer(name string) []string {
	a.t.Helper()
	a.sign(name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a.newKey(), a.key)
	file := func(name string) string { return filepath.Join(a.dir, name) }
	return []string{"--peer-ca", file("ca.pem"), "--peer-cert", file(name + ".pem"), "--peer-key", file(name + ".key")}
}
