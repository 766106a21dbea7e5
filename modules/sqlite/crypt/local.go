package crypt

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	maxKeyText = 1 << 20 // bytes of a key file
	maxName    = 64      // characters of a name in it
)

// Local is a KeyProvider that has its keys in memory. It wraps by AES-256-GCM with a random nonce.
type Local struct {
	current string
	keys    map[string]cipher.AEAD
	draw    func([]byte)
}

var _ KeyProvider = (*Local)(nil)

// ParseKeys reads keys, one a line: a name, spaces, and 32 bytes in base64 or hex. Names have 1 to 64 characters of
// A-Z, a-z, 0-9, '.', '_' and '-'. What follows a '#' is a comment. The first key is current; the others open what
// they wrapped earlier.
//
// An error names the line and never what is on it, because what is misplaced there may be a key.
func ParseKeys(text []byte) (*Local, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("keys: more than %d bytes", maxKeyText)
	}
	l := &Local{keys: map[string]cipher.AEAD{}, draw: draw}
	line := 0
	for s := range bytes.Lines(text) {
		line++
		s, _, _ = bytes.Cut(s, []byte("#"))
		fields := strings.Fields(string(s))
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("keys, line %d: %d words where a name and a key in base64 or hex belong", line, len(fields))
		}
		if err := CheckName(fields[0]); err != nil {
			return nil, fmt.Errorf("keys, line %d: %w", line, err)
		}
		key := decodeKey(fields[1])
		if key == nil {
			return nil, fmt.Errorf("keys, line %d: the second word isn't %d bytes in base64 or hex", line, KeyBytes)
		}
		if l.keys[fields[0]] != nil {
			return nil, fmt.Errorf("keys, line %d: its name was used before: names are for ever, take a new one", line)
		}
		if l.current == "" {
			l.current = fields[0]
		}
		l.keys[fields[0]] = newGCM(key)
	}
	if l.current == "" {
		return nil, errors.New("keys: there is none: a line has a name and a key in base64 or hex")
	}
	return l, nil
}

// decodeKey returns nil if s isn't a key.
func decodeKey(s string) []byte {
	if len(s) == hex.EncodedLen(KeyBytes) {
		b, err := hex.DecodeString(s)
		if err != nil {
			return nil
		}
		return b
	}
	s = strings.TrimSuffix(s, "=")
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if len(s) != e.EncodedLen(KeyBytes) {
			return nil
		}
		if b, err := e.Strict().DecodeString(s); err == nil && len(b) == KeyBytes {
			return b
		}
	}
	return nil
}

// CheckName says what is wrong with a name for a key, nil if nothing. The error doesn't show the name.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > maxName {
		return fmt.Errorf("the key's name has %d characters, not 1 to %d", len(name), maxName)
	}
	for _, r := range name {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		default:
			return errors.New("the key's name has other characters than A-Z a-z 0-9 . _ -")
		}
	}
	if decodeKey(name) != nil {
		return errors.New("the key's name looks like a key itself: the name comes first, and it isn't secret")
	}
	return nil
}

// GenerateKey returns a line for a key file, with its line end: the name and a new random key in base64. The name has
// to be one that CheckName takes, otherwise GenerateKey panics.
func GenerateKey(name string) string {
	if err := CheckName(name); err != nil {
		panic("crypt: " + err.Error())
	}
	var key [KeyBytes]byte
	draw(key[:])
	return name + " " + base64.StdEncoding.EncodeToString(key[:]) + "\n"
}

// Current names the first key.
func (l *Local) Current(context.Context) (string, error) { return l.current, nil }

// Wrap returns nonce, ciphertext and tag.
func (l *Local) Wrap(_ context.Context, dataKey, associated []byte) (wrapped []byte, by string, err error) {
	wrapped = make([]byte, nonceBytes, nonceBytes+len(dataKey)+tagBytes)
	l.draw(wrapped)
	return l.keys[l.current].Seal(wrapped, wrapped, dataKey, localAssociated(l.current, associated)), l.current, nil
}

// Unwrap is the other direction of Wrap.
func (l *Local) Unwrap(_ context.Context, wrapped, associated []byte, by string) ([]byte, error) {
	a := l.keys[by]
	if a == nil {
		return nil, fmt.Errorf("wrapping key %q: %w", by, ErrNoKey)
	}
	if len(wrapped) < nonceBytes+tagBytes {
		return nil, fmt.Errorf("wrapping key %q: %w: what it wrapped has only %d bytes", by, ErrDamaged, len(wrapped))
	}
	b, err := a.Open(nil, wrapped[:nonceBytes], wrapped[nonceBytes:], localAssociated(by, associated))
	if err != nil {
		return nil, fmt.Errorf("wrapping key %q: %w", by, ErrWrongKey)
	}
	return b, nil
}

func localAssociated(name string, associated []byte) []byte {
	b := append([]byte("bop local v1"), byte(len(name)))
	b = append(b, name...)
	return append(b, associated...)
}

// String counts the keys.
func (l *Local) String() string {
	return fmt.Sprintf("%d keys in memory, current %q", len(l.keys), l.current)
}

// GoString is String, so that no way of printing shows a key.
func (l *Local) GoString() string { return l.String() }
