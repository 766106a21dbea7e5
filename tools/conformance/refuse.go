package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// authentication runs a server with users and TLS and lets each client in and out.
func authentication(ctx context.Context, b *bench) error {
	users := filepath.Join(b.dir, "users")
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if _, err := command(ctx, "correct horse\n", nil, b.binary, "user", "add", "--auth-file", users, "--password-stdin", "bop"); err != nil {
		return err
	}
	out, err := command(ctx, "", nil, b.binary, "user", "list", "--auth-file", users)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "bop") {
		return fmt.Errorf("bop user list: %q", out)
	}
	text, err := os.ReadFile(users)
	if err != nil {
		return err
	}
	if strings.Contains(string(text), "correct horse") {
		return errors.New("the authentication file holds a password in clear")
	}
	cert, key, err := selfSigned(b.dir)
	if err != nil {
		return err
	}
	return b.with(ctx, []string{"--auth-file", users, "--tls-cert", cert, "--tls-key", key, "--insecure"}, func(s *server) error {
		for _, mode := range []string{"disable", "require"} {
			if out, err := psqlAs(ctx, s, mode, "correct horse", "SELECT 1"); err != nil {
				return fmt.Errorf("sslmode=%s: %w", mode, err)
			} else if err := expect("psql", out, "1"); err != nil {
				return err
			}
			_, err := psqlAs(ctx, s, mode, "wrong", "SELECT 1")
			if err := refused("a wrong password", err, "password authentication failed"); err != nil {
				return err
			}
		}
		if out, err := mysql(ctx, s.MySQL, "bop", "SELECT 1", "-pcorrect horse", "--ssl"); err != nil {
			return err
		} else if err := expect("mysql", out, "1"); err != nil {
			return err
		}
		_, err := mysql(ctx, s.MySQL, "bop", "SELECT 1", "-pwrong", "--ssl")
		return refused("a wrong password", err, "1045", "Access denied")
	})
}

func psqlAs(ctx context.Context, s *server, mode, password, query string) (string, error) {
	host, port, err := net.SplitHostPort(s.PG)
	if err != nil {
		return "", err
	}
	return command(ctx, "", []string{"PGPASSWORD=" + password, "PGSSLMODE=" + mode}, "psql", "-X", "-A", "-t", "-w", "-h", host, "-p", port, "-U", "bop", "-d", "bop", "-c", query)
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(dir string) (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bop"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return cert, key, errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// badInput does to the server what clients do by mistake, and looks whether others are still served.
func badInput(ctx context.Context, b *bench) error {
	return b.with(ctx, nil, func(s *server) error {
		if _, err := psql(ctx, s.PG, "bop", "CREATE TABLE kept (x int); INSERT INTO kept VALUES (1);"); err != nil {
			return err
		}
		steps := []struct {
			name string
			do   func() error
		}{
			{"a syntax error in psql", func() error {
				_, err := psql(ctx, s.PG, "bop", "SELEC 1;")
				return refused("SELEC", err, "syntax error at or near")
			}},
			{"a syntax error in mysql", func() error {
				_, err := mysql(ctx, s.MySQL, "bop", "SELEC 1")
				return refused("SELEC", err, "1064", "42000")
			}},
			{"a 64 MB statement to PostgreSQL's port", func() error {
				out, err := psql(ctx, s.PG, "bop", "SELECT length('"+strings.Repeat("x", 64<<20)+"');")
				return answeredOrRefused(out, err, "67108864")
			}},
			{"a 64 MB statement to MySQL's port", func() error {
				out, err := mysql(ctx, s.MySQL, "bop", "SELECT LENGTH('"+strings.Repeat("x", 64<<20)+"')", "--max-allowed-packet=128M")
				return answeredOrRefused(out, err, "67108864")
			}},
			{"half a message to PostgreSQL's port", func() error { return halfMessage(s.PG, "\x00\x00\x00\x50\x00\x03\x00\x00us") }},
			{"garbage to PostgreSQL's port", func() error { return halfMessage(s.PG, strings.Repeat("\xff", 4096)) }},
			{"garbage to MySQL's port", func() error { return halfMessage(s.MySQL, strings.Repeat("\xff", 4096)) }},
			{"an empty packet to MySQL's port", func() error { return halfMessage(s.MySQL, "\x00\x00\x00\x01") }},
			{"a client that vanishes in a transaction", func() error {
				short, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				psql(short, s.PG, "bop", "BEGIN; UPDATE kept SET x = 99; SELECT pg_sleep(600);") // killed by the time limit
				return nil
			}},
		}
		for _, step := range steps {
			if err := step.do(); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			if !s.Alive() {
				return fmt.Errorf("%s: the server is gone", step.name)
			}
			out, err := psql(ctx, s.PG, "bop", "UPDATE kept SET x = x; SELECT x FROM kept;")
			if err != nil {
				return fmt.Errorf("after %s: %w", step.name, err)
			}
			if err := expect("after "+step.name, out, "1"); err != nil {
				return err
			}
		}
		second, err := b.server(ctx)
		if err == nil {
			second.Kill()
			return errors.New("a second server opened a data folder in use")
		}
		if !strings.Contains(err.Error(), "in use") {
			return fmt.Errorf("a data folder in use: the error doesn't say so: %w", err)
		}
		return nil
	})
}

// answeredOrRefused accepts the right answer, or an error in the protocol's own form.
func answeredOrRefused(out string, err error, answer string) error {
	var c *clientError
	if errors.As(err, &c) {
		if strings.Contains(c.stderr, "ERROR") {
			return nil
		}
		return err
	}
	return expect("the answer", out, answer)
}

// halfMessage writes bytes and leaves.
func halfMessage(addr, bytes string) error {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	io.Copy(io.Discard, c)
	return nil
}
