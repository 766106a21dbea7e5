// Package auth checks passwords without keeping them: verifiers in a file, and the server's side of the methods that
// PostgreSQL and MySQL clients use.
//
//	users, err := auth.OpenFile("users")
//	err = users.Add("ada", "secret")
//	entry, ok := users.Lookup("ada")
//
// The methods are state machines of bytes in and bytes out; the protocol packages frame them. For a user who isn't there
// they go through the same steps with a verifier that fits no password, so that a client can't find out who exists.
//
// A nil Store means no authentication: every user is let in with any password, or none. That is for loopback.
//
// The file's format is specified in docs/formats/auth-file.md of the repository.
package auth

import "errors"

// ErrDenied: the password is wrong, or there is no such user.
var ErrDenied = errors.New("access denied")

// Store knows the users.
type Store interface {
	Lookup(user string) (Entry, bool)
}

// Entry holds a user's verifiers. Which of them are there decides which methods can be offered.
type Entry struct {
	Name    string
	SCRAM   SCRAM  // SCRAM-SHA-256
	MD5     string // "md5" and 32 hexadecimal digits
	Caching string // "$A$005$…", caching_sha2_password
	Native  string // "*" and 40 hexadecimal digits, mysql_native_password
}

// NewEntry makes all verifiers of a password, with fresh salts.
func NewEntry(user, password string) Entry {
	return Entry{Name: user, SCRAM: newSCRAM(password), MD5: md5Verifier(user, password),
		Caching: cachingVerifier(password, newCryptSalt()), Native: nativeVerifier(password)}
}
