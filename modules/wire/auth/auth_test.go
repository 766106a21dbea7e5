package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type oneUser Entry

func (u oneUser) Lookup(name string) (Entry, bool) { return Entry(u), name == u.Name }

// scramClient does the client's part of an exchange, as RFC 5802 says.
func scramClient(t *testing.T, s *SCRAMServer, password, header string, binding []byte, plus bool) error {
	t.Helper()
	bare := "n=,r=clientnonce"
	first, err := s.First([]byte(header+bare), plus)
	if err != nil {
		return err
	}
	var nonce, salt64 string
	for f := range strings.SplitSeq(string(first), ",") {
		if v, ok := strings.CutPrefix(f, "r="); ok {
			nonce = v
		}
		if v, ok := strings.CutPrefix(f, "s="); ok {
			salt64 = v
		}
	}
	salt, _ := base64.StdEncoding.DecodeString(salt64)
	without := "c=" + base64.StdEncoding.EncodeToString(append([]byte(header), binding...)) + ",r=" + nonce
	message := []byte(bare + "," + string(first) + "," + without)
	salted := saltedPassword(password, salt, 4096)
	clientKey := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], message)
	subtle.XORBytes(proof, proof, clientKey)
	final, err := s.Final([]byte(without + ",p=" + base64.StdEncoding.EncodeToString(proof)))
	if err != nil {
		return err
	}
	want := "v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, []byte("Server Key")), message))
	if string(final) != want {
		t.Errorf("the server's signature is %s, want %s", final, want)
	}
	return nil
}

func saltedPassword(password string, salt []byte, n int) []byte {
	u := mac([]byte(password), salt, []byte{0, 0, 0, 1})
	out := bytes.Clone(u)
	for range n - 1 {
		u = mac([]byte(password), u)
		subtle.XORBytes(out, out, u)
	}
	return out
}

func TestSCRAM(t *testing.T) {
	store := oneUser(NewEntry("ada", "pencil"))
	binding := []byte("certificate hash")
	for _, c := range []struct {
		name, user, password, header string
		server, client               []byte
		plus                         bool
		ok                           bool
	}{
		{"the right password is let in", "ada", "pencil", "n,,", nil, nil, false, true},
		{"a wrong password is not", "ada", "pen", "n,,", nil, nil, false, false},
		{"a user who isn't there is not, after the same steps", "bob", "pencil", "n,,", nil, nil, false, false},
		{"channel binding with the right certificate", "ada", "pencil", "p=tls-server-end-point,,", binding, binding, true, true},
		{"channel binding with another certificate", "ada", "pencil", "p=tls-server-end-point,,", binding, []byte("other"), true, false},
		{"a client that was made to believe that binding isn't offered", "ada", "pencil", "y,,", binding, nil, false, false},
		{"a client that can't bind", "ada", "pencil", "n,,", binding, nil, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := scramClient(t, NewSCRAMServer(store, c.user, c.server), c.password, c.header, c.client, c.plus)
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
		})
	}
	t.Run("the vector of RFC 7677", func(t *testing.T) {
		salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
		v := deriveSCRAM("pencil", salt, 4096)
		s := &SCRAMServer{verifier: v, known: true, header: "n,,", first: "n=user,r=rOprNGfwEbeRWgbNEkqO",
			nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
			sent:  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"}
		final, err := s.Final([]byte("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
		if err != nil || string(final) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
			t.Fatalf("%s, %v", final, err)
		}
	})
	t.Run("a verifier survives being written", func(t *testing.T) {
		v, err := ParseSCRAM(store.SCRAM.String())
		if err != nil || v.String() != store.SCRAM.String() {
			t.Fatal(err)
		}
	})
}

func TestMD5(t *testing.T) {
	store := oneUser(NewEntry("ada", "pencil"))
	answer := func(m *MD5, user, password string) string {
		// The client hashes the verifier with the salt.
		c := &MD5{Salt: m.Salt, verifier: md5Verifier(user, password)}
		return c.want()
	}
	m := NewMD5(store, "ada")
	if err := m.Check(answer(m, "ada", "pencil")); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(answer(m, "ada", "pen")); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	m = NewMD5(store, "bob")
	if err := m.Check(answer(m, "bob", "pencil")); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	if got := md5Verifier("postgres", "secret"); got != "md5"+"53f48b7c4b76a86ce72276c5755f217d" {
		t.Fatal(got)
	}
}

func TestMySQL(t *testing.T) {
	store := oneUser(NewEntry("ada", "pencil"))
	nonce := NewNonce()
	t.Run("native: SHA1 of the password XOR SHA1 of nonce and verifier", func(t *testing.T) {
		scramble := func(password string) []byte {
			one := sha1.Sum([]byte(password))
			two := sha1.Sum(one[:])
			h := sha1.New()
			h.Write(nonce)
			h.Write(two[:])
			out := h.Sum(nil)
			subtle.XORBytes(out, out, one[:])
			return out
		}
		if err := CheckNative(store, "ada", nonce, scramble("pencil")); err != nil {
			t.Fatal(err)
		}
		for user, answer := range map[string][]byte{"ada": scramble("pen"), "bob": scramble("pencil"), "": nil} {
			if err := CheckNative(store, user, nonce, answer); !errors.Is(err, ErrDenied) {
				t.Fatalf("%s: %v", user, err)
			}
		}
		// SELECT PASSWORD('mypass') of MySQL 5.7.
		if got := nativeVerifier("mypass"); got != "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4" {
			t.Fatal(got)
		}
	})
	t.Run("SHA-crypt as its specification's example", func(t *testing.T) {
		if got := sha256Crypt([]byte("Hello world!"), []byte("saltstring"), 5000); got != "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5" {
			t.Fatal(got)
		}
	})
	t.Run("caching: the full way first, then the memory", func(t *testing.T) {
		c := NewCaching(store)
		scramble := func(password string) []byte {
			one := sha256.Sum256([]byte(password))
			two := sha256.Sum256(one[:])
			h := sha256.New()
			h.Write(two[:])
			h.Write(nonce)
			out := h.Sum(nil)
			subtle.XORBytes(out, out, one[:])
			return out
		}
		if known, _ := c.Fast("ada", nonce, scramble("pencil")); known {
			t.Fatal("known before the full exchange")
		}
		if err := c.Full("ada", []byte("pen\x00")); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
		if err := c.Full("bob", []byte("pencil\x00")); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
		if err := c.Full("ada", []byte("pencil\x00")); err != nil {
			t.Fatal(err)
		}
		if known, err := c.Fast("ada", nonce, scramble("pencil")); !known || err != nil {
			t.Fatal("not remembered")
		}
		if known, _ := c.Fast("ada", nonce, scramble("pen")); known {
			t.Fatal("a wrong password is known")
		}
		pemKey, err := c.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(pemKey)
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		clear := []byte("pencil\x00")
		for i := range clear {
			clear[i] ^= nonce[i%len(nonce)]
		}
		data, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key.(*rsa.PublicKey), clear, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Encrypted("ada", nonce, data); err != nil {
			t.Fatal(err)
		}
		if err := c.Encrypted("ada", nonce, data[:10]); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	})
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	open := func(t *testing.T) *File {
		f, err := OpenFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("users are there after reopening, passwords are not", func(t *testing.T) {
		f := open(t)
		for _, u := range []string{"grace", "ada lovelace"} {
			if err := f.Add(u, "pencil "+u); err != nil {
				t.Fatal(err)
			}
		}
		e, ok := open(t).Lookup("ada lovelace")
		if !ok || e.SCRAM.Iterations == 0 || e.MD5 == "" || e.Native == "" || !checkCaching(e.Caching, "pencil ada lovelace") {
			t.Fatalf("%+v", e)
		}
		text, _ := os.ReadFile(name)
		if strings.Contains(string(text), "pencil") {
			t.Fatal("the file holds a password")
		}
		if st, _ := os.Stat(name); st.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v", st.Mode())
		}
	})
	t.Run("a running server sees what another process changed", func(t *testing.T) {
		running := open(t)
		if _, ok := running.Lookup("grace"); !ok {
			t.Fatal("not there")
		}
		if err := open(t).Remove("grace"); err != nil {
			t.Fatal(err)
		}
		if names := running.Names(); len(names) != 1 || names[0] != "ada lovelace" {
			t.Fatalf("still %v", names)
		}
		if err := running.Remove("grace"); err == nil {
			t.Fatal("removed twice")
		}
	})
	for text, want := range map[string]string{
		"":                                      "first line",
		"# bop users, format 2\n":               "newer format",
		fileHeader + "\nada\tplain:pencil\n":    "line 2",
		fileHeader + "\nada\nada\n":             "twice",
		fileHeader + "\n\nad\x01a\tmd5\n":       "line 3",
		fileHeader + "\na\tSCRAM-SHA-256$x$y\n": "SCRAM",
	} {
		t.Run("a bad file is refused: "+want, func(t *testing.T) {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenFile(name); err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v", err)
			}
		})
	}
	t.Run("a file that others can read is refused with what to do", func(t *testing.T) {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(name); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Fatalf("got %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(fileHeader + "\nada\t" + NewEntry("ada", "p").SCRAM.String() + "\n")
	f.Fuzz(func(t *testing.T, text string) { parse(text) })
}

func FuzzSCRAM(f *testing.F) {
	f.Add([]byte("n,,n=,r=x"), []byte("c=biws,r=x,p=AAAA"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		s := NewSCRAMServer(oneUser(Entry{Name: "a"}), "a", nil)
		if _, err := s.First(first, false); err == nil {
			if _, err := s.Final(final); err == nil {
				t.Fatal("let in")
			}
		}
	})
}
