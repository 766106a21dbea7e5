package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// caching_sha2_password keeps SHA-crypt of the password, which is slow to compute on purpose. Once a password was right, the
// server remembers SHA256(SHA256(password)) in memory, and checks the client's scramble against that.

const (
	cryptRounds = 5000
	cryptSalt   = 20
	crypt64     = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func newCryptSalt() string {
	b := make([]byte, cryptSalt)
	rand.Read(b)
	for i := range b {
		b[i] = crypt64[b[i]%64]
	}
	return string(b)
}

// cachingVerifier is "$A$005$", the salt and the digest, 70 bytes.
func cachingVerifier(password, salt string) string {
	return fmt.Sprintf("$A$%03X$%s%s", cryptRounds/1000, salt, sha256Crypt([]byte(password), []byte(salt), cryptRounds))
}

// checkCaching tells whether a password fits a verifier.
func checkCaching(verifier, password string) bool {
	parts := strings.SplitN(verifier, "$", 4)
	if len(parts) != 4 || parts[1] != "A" || len(parts[3]) != cryptSalt+43 {
		return false
	}
	thousands, err := strconv.ParseUint(parts[2], 16, 16)
	if err != nil || thousands == 0 || thousands > 1000 {
		return false
	}
	salt, digest := parts[3][:cryptSalt], parts[3][cryptSalt:]
	got := sha256Crypt([]byte(password), []byte(salt), int(thousands)*1000)
	return subtle.ConstantTimeCompare([]byte(got), []byte(digest)) == 1
}

// sha256Crypt is the digest of Ulrich Drepper's "Unix crypt using SHA-256", in its base 64, without the prefix.
func sha256Crypt(password, salt []byte, rounds int) string {
	h := sha256.New()
	h.Write(password)
	h.Write(salt)
	h.Write(password)
	b := h.Sum(nil)

	h.Reset()
	h.Write(password)
	h.Write(salt)
	h.Write(repeat(b, len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(b)
		} else {
			h.Write(password)
		}
	}
	a := h.Sum(nil)

	h.Reset()
	for range len(password) {
		h.Write(password)
	}
	p := repeat(h.Sum(nil), len(password))

	h.Reset()
	for range 16 + int(a[0]) {
		h.Write(salt)
	}
	s := repeat(h.Sum(nil), len(salt))

	for i := range rounds {
		h.Reset()
		if i&1 != 0 {
			h.Write(p)
		} else {
			h.Write(a)
		}
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		if i&1 != 0 {
			h.Write(a)
		} else {
			h.Write(p)
		}
		a = h.Sum(a[:0])
	}
	out := make([]byte, 0, 43)
	encode := func(x, y, z byte, n int) {
		for w := uint(x)<<16 | uint(y)<<8 | uint(z); n > 0; n-- {
			out = append(out, crypt64[w&63])
			w >>= 6
		}
	}
	for i, j, k := 0, 10, 20; i != 30; i, j, k = k+1, i+1, j+1 {
		encode(a[i], a[j], a[k], 4)
	}
	encode(0, a[31], a[30], 3)
	return string(out)
}

// repeat returns n bytes of b over and over.
func repeat(b []byte, n int) []byte {
	return bytes.Repeat(b, n/len(b)+1)[:n]
}

// Caching is what caching_sha2_password shares between the connections of a server.
type Caching struct {
	store Store
	key   func() (*rsa.PrivateKey, error)
	mu    sync.Mutex
	right map[string]remembered
}

// remembered is what a password hashed to, as long as the verifier is the one it was right for.
type remembered struct {
	verifier string
	stage2   [sha256.Size]byte
}

// NewCaching makes the shared part. The RSA key for clients without TLS is made when the first one asks.
func NewCaching(store Store) *Caching {
	return &Caching{store: store, right: map[string]remembered{}, key: sync.OnceValues(func() (*rsa.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, 2048)
	})}
}

// Fast checks a client's scramble against the memory: SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
// known is false when the full exchange has to decide.
func (c *Caching) Fast(user string, nonce, scramble []byte) (known bool, err error) {
	e, ok := c.store.Lookup(user)
	if !ok || len(scramble) != sha256.Size {
		return false, nil
	}
	c.mu.Lock()
	m, ok := c.right[user]
	c.mu.Unlock()
	if !ok || m.verifier != e.Caching {
		return false, nil
	}
	h := sha256.New()
	h.Write(m.stage2[:])
	h.Write(nonce)
	key := h.Sum(nil)
	subtle.XORBytes(key, key, scramble)
	got := sha256.Sum256(key)
	if subtle.ConstantTimeCompare(got[:], m.stage2[:]) != 1 {
		return false, nil // a wrong password takes the slow way, as one that isn't remembered does
	}
	return true, nil
}

// Full checks a password that the client sent in clear, over TLS. The final zero byte is optional.
func (c *Caching) Full(user string, password []byte) error {
	password = bytes.TrimSuffix(password, []byte{0})
	e, ok := c.store.Lookup(user)
	verifier := e.Caching
	if !ok || verifier == "" {
		verifier, ok = mockCaching(), false
	}
	if !checkCaching(verifier, string(password)) || !ok {
		return ErrDenied
	}
	one := sha256.Sum256(password)
	c.mu.Lock()
	c.right[user] = remembered{verifier, sha256.Sum256(one[:])}
	c.mu.Unlock()
	return nil
}

// mockCaching is a verifier for users who aren't there, so that they take as long.
var mockCaching = sync.OnceValue(func() string { return cachingVerifier(string(mockKey), newCryptSalt()) })

// PublicKey is the key in PEM that clients without TLS encrypt with.
func (c *Caching) PublicKey() ([]byte, error) {
	key, err := c.key()
	if err != nil {
		return nil, fmt.Errorf("making the RSA key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Encrypted is Full for a password that was XORed with the nonce and encrypted with the public key (RSA-OAEP, SHA-1).
func (c *Caching) Encrypted(user string, nonce, data []byte) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	clear, err := rsa.DecryptOAEP(sha1.New(), nil, key, data, nil)
	if err != nil {
		return errors.Join(ErrDenied, err)
	}
	for i := range clear {
		clear[i] ^= nonce[i%len(nonce)]
	}
	return c.Full(user, clear)
}
