package auth

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// md5Verifier is PostgreSQL's: "md5" and the digest of password and user.
func md5Verifier(user, password string) string {
	sum := md5.Sum([]byte(password + user))
	return "md5" + hex.EncodeToString(sum[:])
}

// MD5 is the server's side of PostgreSQL's md5 method.
type MD5 struct {
	Salt     [4]byte // to be sent to the client
	verifier string
	known    bool
}

// NewMD5 begins an exchange.
func NewMD5(store Store, user string) *MD5 {
	m := &MD5{verifier: md5Verifier(user, string(mockKey))}
	rand.Read(m.Salt[:])
	if e, ok := store.Lookup(user); ok && e.MD5 != "" {
		m.verifier, m.known = e.MD5, true
	}
	return m
}

// Check checks the client's answer.
func (m *MD5) Check(answer string) error {
	if subtle.ConstantTimeCompare([]byte(answer), []byte(m.want())) != 1 || !m.known {
		return ErrDenied
	}
	return nil
}

func (m *MD5) want() string {
	sum := md5.Sum(append([]byte(strings.TrimPrefix(m.verifier, "md5")), m.Salt[:]...))
	return "md5" + hex.EncodeToString(sum[:])
}
