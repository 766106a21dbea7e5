package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// xaes is a key of XAES-256-GCM (c2sp.org/XAES-256-GCM) with what its derivation needs.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // the subkey of CMAC (NIST SP 800-38B) for whole blocks
}

func newXAES(key []byte) *xaes {
	x := &xaes{block: newAES(key)}
	x.block.Encrypt(x.k1[:], x.k1[:])
	carry := byte(0)
	for i := len(x.k1) - 1; i >= 0; i-- {
		next := x.k1[i] >> 7
		x.k1[i] = x.k1[i]<<1 | carry
		carry = next
	}
	x.k1[len(x.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return x
}

// derive makes the cipher for the nonces that begin with half.
func (x *xaes) derive(half [12]byte) cipher.AEAD {
	var derived [KeyBytes]byte
	for i := range 2 {
		m := derived[aes.BlockSize*i:][:aes.BlockSize]
		m[0], m[1], m[2], m[3] = 0, byte(i+1), 'X', 0
		copy(m[4:], half[:])
		subtle.XORBytes(m, m, x.k1[:])
		x.block.Encrypt(m, m)
	}
	return newGCM(derived[:])
}
