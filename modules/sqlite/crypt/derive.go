package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// KeyBytes is the length of every key.
const KeyBytes = 32

const (
	nonceBytes = 12
	tagBytes   = 16
	saltBytes  = 16
)

// draw fills b with random bytes. It never fails: the runtime ends the program if the system has none.
func draw(b []byte) { rand.Read(b) }

// subkey derives the key for one purpose from a data key. Purpose is something like "bop log v1".
func subkey(key *[KeyBytes]byte, salt []byte, purpose string, database [16]byte, lineage uint64) []byte {
	info := append([]byte(purpose), database[:]...)
	info = binary.LittleEndian.AppendUint64(info, lineage)
	return expand(key, salt, info)
}

func expand(key *[KeyBytes]byte, salt, info []byte) []byte {
	b, err := hkdf.Key(sha256.New, key[:], salt, string(info), KeyBytes)
	if err != nil {
		panic("crypt: " + err.Error()) // only for lengths that no HKDF has
	}
	return b
}

func newAES(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic("crypt: " + err.Error()) // only for other lengths
	}
	return b
}

func newGCM(key []byte) cipher.AEAD {
	a, err := cipher.NewGCM(newAES(key))
	if err != nil {
		panic("crypt: " + err.Error()) // only for other block sizes than that of AES
	}
	return a
}
