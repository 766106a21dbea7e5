// Package seal encrypts what a log writes: it is a ready aof.Sealer with AES-256.
//
// The cipher is XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM under a key that is derived anew for each batch from
// the first half of a random nonce of 24 bytes, so that one key serves for any number of batches.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
)

// KeyBytes is the length of a key, NonceBytes that of the nonce before each sealed text.
const (
	KeyBytes   = 32
	NonceBytes = 24
)

// ErrNoKey: a batch was sealed by a key that isn't there; see the number in the error.
var ErrNoKey = errors.New("seal: key isn't known")

// Keys are the keys of a log by number. New batches are sealed by the current one; the others open old batches.
type Keys struct {
	current uint32
	keys    map[uint32]*key
}

// New makes Keys. Each key has 32 bytes. Number 0 is not used.
func New(current uint32, keys map[uint32][]byte) (*Keys, error) {
	k := &Keys{current: current, keys: map[uint32]*key{}}
	for id, b := range keys {
		if id == 0 || len(b) != KeyBytes {
			return nil, fmt.Errorf("seal: key %d has %d bytes: keys have numbers from 1 and %d bytes", id, len(b), KeyBytes)
		}
		made, err := newKey(b)
		if err != nil {
			return nil, err
		}
		k.keys[id] = made
	}
	if k.keys[current] == nil {
		return nil, fmt.Errorf("%w: the current one, %d", ErrNoKey, current)
	}
	return k, nil
}

// Seal appends nonce, ciphertext and tag to dst and returns the number of the key.
func (k *Keys) Seal(dst, plain, associated []byte) (sealed []byte, id uint32, err error) {
	var nonce [NonceBytes]byte
	rand.Read(nonce[:]) // never fails
	dst, err = k.keys[k.current].seal(dst, nonce, plain, associated)
	return dst, k.current, err
}

// Open appends the plain text to dst.
func (k *Keys) Open(dst, sealed, associated []byte, id uint32) ([]byte, error) {
	key := k.keys[id]
	if key == nil {
		return nil, fmt.Errorf("%w: number %d", ErrNoKey, id)
	}
	if len(sealed) < NonceBytes {
		return nil, errors.New("seal: too short")
	}
	a, err := key.derive([12]byte(sealed[:12]))
	if err != nil {
		return nil, err
	}
	return a.Open(dst, sealed[12:NonceBytes], sealed[NonceBytes:], associated)
}

// key is one key with what its derivation needs.
type key struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // the subkey of CMAC (NIST SP 800-38B) for whole blocks
}

func newKey(b []byte) (*key, error) {
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, err
	}
	k := &key{block: block}
	block.Encrypt(k.k1[:], k.k1[:])
	carry := byte(0)
	for i := len(k.k1) - 1; i >= 0; i-- {
		next := k.k1[i] >> 7
		k.k1[i] = k.k1[i]<<1 | carry
		carry = next
	}
	k.k1[len(k.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return k, nil
}

// derive makes the cipher for the nonces that begin with half.
func (k *key) derive(half [12]byte) (cipher.AEAD, error) {
	var derived [KeyBytes]byte
	for i := range 2 {
		m := derived[aes.BlockSize*i:][:aes.BlockSize]
		m[0], m[1], m[2], m[3] = 0, byte(i+1), 'X', 0
		copy(m[4:], half[:])
		subtle.XORBytes(m, m, k.k1[:])
		k.block.Encrypt(m, m)
	}
	block, err := aes.NewCipher(derived[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (k *key) seal(dst []byte, nonce [NonceBytes]byte, plain, associated []byte) ([]byte, error) {
	a, err := k.derive([12]byte(nonce[:12]))
	if err != nil {
		return nil, err
	}
	dst = append(dst, nonce[:]...)
	return a.Seal(dst, nonce[12:], plain, associated), nil
}
