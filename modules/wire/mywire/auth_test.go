package mywire_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/bop-platform/bop/modules/wire/auth"
	"github.com/bop-platform/bop/modules/wire/mywire"
)

// users is a store with ada, whose password is secret.
func users(t testing.TB) auth.Store {
	t.Helper()
	f, err := auth.OpenFile(filepath.Join(t.TempDir(), "users"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add("ada", "secret"); err != nil {
		t.Fatal(err)
	}
	return f
}

// certificate makes a TLS configuration for a server on loopback, and one that trusts it.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
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
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// native is the answer of mysql_native_password.
func native(password string, nonce []byte) string {
	one := sha1.Sum([]byte(password))
	two := sha1.Sum(one[:])
	three := sha1.Sum(append(append([]byte(nil), nonce...), two[:]...))
	for i := range three {
		three[i] ^= one[i]
	}
	return string(three[:])
}

// nonce is that of a greeting.
func nonce(greeting []byte) []byte {
	_, rest, _ := bytes.Cut(greeting[1:], []byte{0})
	return append(append([]byte(nil), rest[4:12]...), rest[31:51]...)[:20]
}

func TestAuthentication(t *testing.T) {
	server, trusts := certificate(t)
	k := start(t, mywire.Options{Auth: users(t), TLS: server})
	secured := func(c *mysql.Config) { c.TLS = trusts }
	password := func(p string) func(*mysql.Config) { return func(c *mysql.Config) { c.Passwd = p } }

	t.Run("with a key of the server's, and then by what it remembers", func(t *testing.T) {
		for range 2 {
			if got := one[string](t, k.open(), "SELECT substring_index(current_user(), '@', 1)"); got != "ada" {
				t.Error(got)
			}
		}
	})
	t.Run("under TLS", func(t *testing.T) {
		if got := one[int](t, k.open(secured), "SELECT 1"); got != 1 {
			t.Error(got)
		}
	})
	t.Run("a wrong password and an unknown user look alike", func(t *testing.T) {
		for _, how := range []func(*mysql.Config){secured, func(*mysql.Config) {}} {
			_, wrong := k.try(password("wrong"), how)
			_, nobody := k.try(func(c *mysql.Config) { c.User = "bob" }, how)
			a, b := wantNumber(t, wrong, 1045), wantNumber(t, nobody, 1045)
			if a.Message != "Access denied for user 'ada'@'127.0.0.1' (using password: YES)" || b.Message != "Access denied for user 'bob'@'127.0.0.1' (using password: YES)" {
				t.Error(a, b)
			}
			_, empty := k.try(password(""), how)
			wantNumber(t, empty, 1045)
		}
	})
	t.Run("an unknown database is told to those who were let in", func(t *testing.T) {
		nope := func(c *mysql.Config) { c.DBName = "nope" }
		_, err := k.try(nope)
		wantNumber(t, err, 1049)
		_, err = k.try(nope, password("wrong"))
		wantNumber(t, err, 1045)
	})
	t.Run("mysql_native_password", func(t *testing.T) {
		for password, want := range map[string]string{"secret": "ok 0 0 0x2", "wrong": "err 1045"} {
			r := k.dial(t)
			r.login(plain, "ada", native(password, nonce(r.greeting)), "db")
			r.want(want)
		}
	})
	t.Run("a client without a method of ours is asked to change it", func(t *testing.T) {
		r := k.dial(t)
		caps := uint32(plain &^ connectWithDB)
		p := join(le32(caps), le32(1<<24), []byte{45}, make([]byte, 23), []byte("ada\x00\x00some_other_plugin\x00"))
		r.write(p)
		if p := r.packet(); p[0] != 0xfe || !bytes.HasPrefix(p[1:], []byte("caching_sha2_password\x00")) {
			t.Fatalf("%q", p)
		}
		r.write(make([]byte, 32))
		r.want(`"\x01\x04"`)
		r.write([]byte("secret\x00")) // in the clear, from this machine
		r.want("ok 0 0 0x2")
	})
	t.Run("change of user", func(t *testing.T) {
		r := k.dial(t)
		r.login(plain, "ada", native("secret", nonce(r.greeting)), "db")
		r.want("ok 0 0 0x2")
		for password, want := range map[string]string{"secret": "ok 0 0 0x2"} {
			r.command(0x11, []byte("ada\x00\x00db\x00\x2d\x00mysql_native_password\x00")...)
			p := r.packet()
			if p[0] != 0xfe {
				t.Fatalf("%q", p)
			}
			_, rest, _ := bytes.Cut(p, []byte{0})
			r.write([]byte(native(password, rest[:20])))
			r.want(want)
		}
		r.command(0x11, []byte("ada\x00\x00db\x00\x2d\x00mysql_native_password\x00")...)
		r.packet()
		r.write(make([]byte, 20))
		r.want("err 1045")
		if _, err := r.read(); err == nil {
			t.Error("the connection lives")
		}
	})
	t.Run("a used nonce isn't good for another connection", func(t *testing.T) {
		a, b := k.dial(t), k.dial(t)
		answer := native("secret", nonce(a.greeting))
		b.login(plain, "ada", answer, "db")
		b.want("err 1045")
		a.login(plain, "ada", answer, "db")
		a.want("ok 0 0 0x2")
	})
	t.Run("bad handshakes", func(t *testing.T) {
		for _, p := range [][]byte{nil, {1}, le32(0), join(le32(plain), make([]byte, 10)), join(le32(plain), make([]byte, 28), []byte("no end")),
			join(le32(plain), make([]byte, 28), []byte("u\x00\xff"))} {
			r := k.dial(t)
			r.write(p)
			r.want("err 1043")
		}
	})
}

func TestRequireTLS(t *testing.T) {
	server, trusts := certificate(t)
	k := start(t, mywire.Options{Auth: users(t), TLS: server, RequireTLS: true})
	_, err := k.try()
	wantNumber(t, err, 3159)
	if got := one[int](t, k.open(func(c *mysql.Config) { c.TLS = trusts }), "SELECT 1"); got != 1 {
		t.Error(got)
	}
}

func TestWithoutUsers(t *testing.T) {
	k := start(t, mywire.Options{})
	t.Run("anybody is let in", func(t *testing.T) {
		for _, name := range []string{"ada", "bob"} {
			c := k.open(func(c *mysql.Config) { c.User, c.Passwd = name, "anything" })
			if err := c.PingContext(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a client that begins with another method comes to its end", func(t *testing.T) {
		r := k.dial(t)
		caps := uint32(plain &^ connectWithDB)
		r.write(join(le32(caps), le32(1<<24), []byte{45}, make([]byte, 23), []byte("ada\x00\x00dummy_fallback_auth\x00")))
		if p := r.packet(); p[0] != 0xfe || !bytes.HasPrefix(p[1:], []byte("mysql_native_password\x00")) {
			t.Fatalf("%q", p)
		}
		r.write(nil)
		r.want("ok 0 0 0x2")
	})
	t.Run("the number that the greeting tells is the session's", func(t *testing.T) {
		r := k.raw(t, plain)
		_, rest, _ := bytes.Cut(r.greeting[1:], []byte{0})
		id := int64(rest[0]) | int64(rest[1])<<8
		r.query("SELECT connection_id()")
		r.columns("eof 0x2")
		if p := r.packet(); string(p[1:]) != itoa(id) {
			t.Errorf("%q, want %d", p, id)
		}
	})
}
