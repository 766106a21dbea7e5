package auth

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// NonceBytes is the length of the random bytes that a MySQL server greets with.
const NonceBytes = 20

// NewNonce draws the bytes of a greeting: none of them is zero or a dollar sign, which some clients stop at.
func NewNonce() []byte {
	b := make([]byte, NonceBytes)
	rand.Read(b)
	for i := range b {
		b[i] &= 0x7f
		if b[i] == 0 || b[i] == '$' {
			b[i]++
		}
	}
	return b
}

// nativeVerifier is MySQL's: "*" and SHA1(SHA1(password)).
func nativeVerifier(password string) string {
	one := sha1.Sum([]byte(password))
	two := sha1.Sum(one[:])
	return "*" + strings.ToUpper(hex.EncodeToString(two[:]))
}

// CheckNative checks a client's answer of mysql_native_password: SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
func CheckNative(store Store, user string, nonce, answer []byte) error {
	e, ok := store.Lookup(user)
	verifier, err := hex.DecodeString(strings.TrimPrefix(e.Native, "*"))
	if !ok || err != nil || len(verifier) != sha1.Size || len(answer) != sha1.Size {
		return ErrDenied
	}
	h := sha1.New()
	h.Write(nonce)
	h.Write(verifier)
	key := h.Sum(nil)
	subtle.XORBytes(key, key, answer)
	got := sha1.Sum(key)
	if subtle.ConstantTimeCompare(got[:], verifier) != 1 {
		return ErrDenied
	}
	return nil
}
