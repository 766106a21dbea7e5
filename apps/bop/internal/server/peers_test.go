package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
	a.cert, a.key = a.sign("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign writes NAME.pem and NAME.key. The first certificate signs itself.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for ending, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(a.file(name+ending), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// peer gives a server a certificate for the others.
func (a *authority) peer(o *Options) {
	a.t.Helper()
	a.sign(o.Node, &x509.Certificate{
		Subject: pkix.Name{CommonName: o.Node}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
	o.PeerCA, o.PeerCert, o.PeerKey = a.file("ca.pem"), a.file(o.Node+".pem"), a.file(o.Node+".key")
}

func TestPeersKnowEachOtherByCertificates(t *testing.T) {
	own, strange := newAuthority(t), newAuthority(t)
	f := newFleet(t, 2, own.peer)
	exec(t, f.nodes["n1"].connect(), "CREATE TABLE t (id int PRIMARY KEY)")
	f.join("n3", "n2")
	for name, c := range map[string]struct {
		tune func(*Options)
		want string
	}{
		"one of another authority": {strange.peer, "certificate"},
		"one without any":          {func(*Options) {}, "joining the cluster"},
	} {
		t.Run(name+" is not let in", func(t *testing.T) {
			o := settings(t.TempDir())
			o.Node, o.Join, o.MySQL = "n4", f.raft["n1"], "off"
			c.tune(&o)
			ctx, cancel := shortly(t)
			defer cancel()
			if err := Run(ctx, o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("its end: %v", err)
			}
		})
	}
	if s := f.settled(); len(s.Nodes) != 3 {
		t.Errorf("%+v", s)
	}
}
