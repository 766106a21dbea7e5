package pgwire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bop-platform/bop/modules/wire/auth"
	"github.com/bop-platform/bop/modules/wire/pgwire"
)

// users is a Store in memory.
type users map[string]auth.Entry

func (u users) Lookup(name string) (auth.Entry, bool) {
	e, ok := u[name]
	return e, ok
}

func testUsers() users {
	md5 := auth.NewEntry("old", "secret")
	md5.SCRAM = auth.SCRAM{}
	return users{"ada": auth.NewEntry("ada", "secret"), "old": md5}
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestAuthentication(t *testing.T) {
	conf, pool := certificate(t)
	k := start(t, pgwire.Options{Auth: testUsers(), TLS: conf})
	try := func(user, password string, useTLS bool) error {
		c, err := pgx.ParseConfig("postgres://" + user + ":" + password + "@" + k.addr + "/db?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		if useTLS {
			c.TLSConfig = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
		}
		conn, err := pgx.ConnectConfig(context.Background(), c)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		return conn.Ping(context.Background())
	}
	for _, secure := range []bool{false, true} {
		name := map[bool]string{false: "in the clear", true: "inside TLS"}[secure]
		t.Run("the right password is let in, "+name, func(t *testing.T) {
			for _, user := range []string{"ada", "old"} {
				if err := try(user, "secret", secure); err != nil {
					t.Error(user, err)
				}
			}
		})
		t.Run("a wrong password and an unknown user are told the same, "+name, func(t *testing.T) {
			for _, user := range []string{"ada", "old", "nobody"} {
				err := try(user, "wrong", secure)
				e := wantState(t, err, "28P01")
				if want := `password authentication failed for user "` + user + `"`; e.Message != want || e.Severity != "FATAL" {
					t.Errorf("%+v", e)
				}
			}
		})
	}
	t.Run("SCRAM is bound to the TLS connection where the client can", func(t *testing.T) {
		r := k.dial()
		r.send(&pgproto3.SSLRequest{})
		var b [1]byte
		if _, err := r.Read(b[:]); err != nil || b[0] != 'S' {
			t.Fatal(b, err)
		}
		conn := tls.Client(r.Conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
		f := pgproto3.NewFrontend(conn, conn)
		f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "ada", "database": "db"}})
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		m, err := f.Receive()
		if sasl, ok := m.(*pgproto3.AuthenticationSASL); err != nil || !ok || strings.Join(sasl.AuthMechanisms, " ") != "SCRAM-SHA-256-PLUS SCRAM-SHA-256" {
			t.Fatal(m, err)
		}
	})
	t.Run("TLS without asking first is understood", func(t *testing.T) {
		conn, err := tls.Dial("tcp", k.addr, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{"postgresql"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		f := pgproto3.NewFrontend(conn, conn)
		f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "ada", "database": "db"}})
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		if m, err := f.Receive(); err != nil {
			t.Fatal(m, err)
		}
	})
	t.Run("data that somebody slipped in before TLS is not taken", func(t *testing.T) {
		r := k.dial()
		request, _ := (&pgproto3.SSLRequest{}).Encode(nil)
		r.Write(append(request, "SELECT"...))
		var b [1]byte
		if _, err := r.Read(b[:]); err != nil || b[0] != 'S' {
			t.Fatal(b, err)
		}
		r.want("E(FATAL 08P01)", "end(unexpected EOF)")
	})
	t.Run("garbage in place of a password is refused", func(t *testing.T) {
		for _, m := range []pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT 1"}, &pgproto3.PasswordMessage{Password: "x"},
			&pgproto3.SASLInitialResponse{AuthMechanism: "PLAIN", Data: []byte("x")}, &pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("x")},
			&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256-PLUS", Data: []byte("p=tls-server-end-point,,n=,r=x")}} {
			r := k.dial()
			r.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "ada", "database": "db"}})
			r.next()
			r.send(m)
			r.want("E(FATAL 08P01)", "end(unexpected EOF)")
		}
	})
	t.Run("TLS can be required", func(t *testing.T) {
		k := start(t, pgwire.Options{TLS: conf, RequireTLS: true})
		_, err := pgx.Connect(context.Background(), k.url(""))
		wantState(t, err, "28000")
	})
}
