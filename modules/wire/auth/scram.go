package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SCRAM is a verifier of SCRAM-SHA-256 (RFC 5802, RFC 7677).
type SCRAM struct {
	Iterations           int
	Salt                 []byte
	StoredKey, ServerKey []byte
}

const scramIterations = 4096

// newSCRAM makes a verifier. The password is used as it is: SASLprep changes nothing in ASCII, and PostgreSQL too falls
// back to the bytes themselves.
func newSCRAM(password string) SCRAM {
	salt := make([]byte, 16)
	rand.Read(salt)
	return deriveSCRAM(password, salt, scramIterations)
}

func deriveSCRAM(password string, salt []byte, iterations int) SCRAM {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		panic(err) // the parameters are fixed and good
	}
	stored := sha256.Sum256(mac(salted, []byte("Client Key")))
	return SCRAM{iterations, salt, stored[:], mac(salted, []byte("Server Key"))}
}

// String is PostgreSQL's form: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
func (s SCRAM) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", s.Iterations, b64(s.Salt), b64(s.StoredKey), b64(s.ServerKey))
}

// ParseSCRAM reads PostgreSQL's form.
func ParseSCRAM(text string) (s SCRAM, err error) {
	bad := errors.New("not a SCRAM-SHA-256 verifier")
	parts := strings.Split(text, "$")
	if len(parts) != 3 || parts[0] != "SCRAM-SHA-256" {
		return s, bad
	}
	iterations, salt, ok1 := strings.Cut(parts[1], ":")
	stored, server, ok2 := strings.Cut(parts[2], ":")
	if s.Iterations, err = strconv.Atoi(iterations); err != nil || s.Iterations < 1 || s.Iterations > 10_000_000 || !ok1 || !ok2 {
		return s, bad
	}
	for _, f := range []struct {
		to   *[]byte
		text string
		size int
	}{{&s.Salt, salt, 0}, {&s.StoredKey, stored, sha256.Size}, {&s.ServerKey, server, sha256.Size}} {
		if *f.to, err = base64.StdEncoding.DecodeString(f.text); err != nil || f.size != 0 && len(*f.to) != f.size {
			return s, bad
		}
	}
	return s, nil
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// SCRAMServer is the server's side of one exchange.
type SCRAMServer struct {
	verifier SCRAM
	known    bool
	binding  []byte // tls-server-end-point data; nil: the connection has none
	nonce    string
	first    string // client-first-message-bare
	header   string // GS2 header
	sent     string // server-first-message
}

// mockKey makes the salts of users who aren't there, the same for a name as long as the process lives.
var mockKey = func() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}()

// NewSCRAMServer begins an exchange. binding is the hash of the server's certificate as RFC 5929 says for
// tls-server-end-point, nil on a connection without TLS.
func NewSCRAMServer(store Store, user string, binding []byte) *SCRAMServer {
	s := &SCRAMServer{binding: binding}
	if e, ok := store.Lookup(user); ok && e.SCRAM.Iterations > 0 {
		s.verifier, s.known = e.SCRAM, true
		return s
	}
	s.verifier = SCRAM{Iterations: scramIterations, Salt: mac(mockKey, []byte(user))[:16],
		StoredKey: make([]byte, sha256.Size), ServerKey: make([]byte, sha256.Size)}
	return s
}

// First answers the client's first message. plus tells that the client chose SCRAM-SHA-256-PLUS.
func (s *SCRAMServer) First(message []byte, plus bool) ([]byte, error) {
	text := string(message)
	parts := strings.SplitN(text, ",", 3)
	if len(parts) != 3 {
		return nil, errors.New("malformed SCRAM message: no GS2 header")
	}
	flag, authzid, bare := parts[0], parts[1], parts[2]
	switch {
	case authzid != "" && !strings.HasPrefix(authzid, "a="):
		return nil, errors.New("malformed SCRAM message: bad GS2 header")
	case plus && flag != "p=tls-server-end-point":
		return nil, errors.New("SCRAM channel binding of this type is not supported")
	case !plus && strings.HasPrefix(flag, "p="):
		return nil, errors.New("SCRAM channel binding without SCRAM-SHA-256-PLUS")
	case flag == "y" && s.binding != nil:
		// The client could have bound and thinks that the server can't: somebody took the offer out.
		return nil, errors.New("SCRAM channel binding negotiation error")
	case !plus && flag != "n" && flag != "y":
		return nil, errors.New("malformed SCRAM message: bad GS2 header")
	case strings.HasPrefix(bare, "m="):
		return nil, errors.New("SCRAM extensions are not supported")
	}
	_, nonce, ok := strings.Cut(bare, ",r=")
	if !ok || nonce == "" || strings.ContainsAny(nonce, ",\x00") || len(nonce) > 256 || !strings.HasPrefix(bare, "n=") {
		return nil, errors.New("malformed SCRAM message: no nonce")
	}
	random := make([]byte, 18)
	rand.Read(random)
	s.first, s.header = bare, flag+","+authzid+","
	s.nonce = nonce + base64.StdEncoding.EncodeToString(random)
	s.sent = fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.verifier.Salt), s.verifier.Iterations)
	return []byte(s.sent), nil
}

// Final checks the client's proof and returns the server's signature. ErrDenied if the proof is wrong.
func (s *SCRAMServer) Final(message []byte) ([]byte, error) {
	text := string(message)
	without, proof64, ok := strings.Cut(text, ",p=")
	fields := strings.Split(without, ",")
	if !ok || len(fields) < 2 || !strings.HasPrefix(fields[0], "c=") || !strings.HasPrefix(fields[1], "r=") {
		return nil, errors.New("malformed SCRAM message")
	}
	want := []byte(s.header)
	if strings.HasPrefix(s.header, "p=") {
		want = append(want, s.binding...)
	}
	bound, err := base64.StdEncoding.DecodeString(fields[0][2:])
	if err != nil || !bytes.Equal(bound, want) {
		return nil, errors.New("SCRAM channel binding check failed")
	}
	proof, err := base64.StdEncoding.DecodeString(proof64)
	if err != nil || len(proof) != sha256.Size {
		return nil, errors.New("malformed SCRAM message: bad proof")
	}
	authMessage := []byte(s.first + "," + s.sent + "," + without)
	key := mac(s.verifier.StoredKey, authMessage)
	subtle.XORBytes(key, key, proof)
	got := sha256.Sum256(key)
	right := subtle.ConstantTimeCompare(got[:], s.verifier.StoredKey) == 1
	if fields[1][2:] != s.nonce || !right || !s.known {
		return nil, ErrDenied
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(s.verifier.ServerKey, authMessage))), nil
}
