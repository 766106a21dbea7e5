// Package page holds the words that the layers of the storage share: transaction numbers, database ids, and what is
// known of one version of a database besides its pages.
package page

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/cespare/xxhash/v2"
)

// Sizes that SQLite allows for a page, and the one that new databases get.
const (
	MinSize     = 512
	MaxSize     = 65536
	DefaultSize = 4096
)

// TXID numbers the transactions of one database, from 1. 0 is the empty database before the first.
type TXID uint64

// ID is the random name that a database keeps for life, whatever it is called.
type ID [16]byte

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// State is one version of a database apart from its pages.
type State struct {
	TXID     TXID
	Epoch    uint64 // leadership that the transaction was accepted under
	Size     uint32 // bytes per page, 0 as long as the database is empty
	Pages    uint32 // pages in the database
	Checksum uint64 // XOR of Sum over all pages
	Time     int64  // leader time, microseconds since 1970
}

// ValidSize tells whether n is a page size that SQLite knows.
func ValidSize(n uint32) bool { return n >= MinSize && n <= MaxSize && n&(n-1) == 0 }

// Sum is the contribution of one page to the checksum of its database. A page of zeros contributes nothing, so that
// a page that was never written and one that was written as zeros are the same.
func Sum(no uint32, data []byte) uint64 {
	if Zero(data) {
		return 0
	}
	var d xxhash.Digest
	d.ResetWithSeed(uint64(no))
	_, _ = d.Write(data)
	return d.Sum64()
}

// Zero tells whether b holds nothing but zeros.
func Zero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// zeros backs Zeros.
var zeros [MaxSize]byte

// Zeros returns n ≤ MaxSize zero bytes, which must not be written to.
func Zeros(n uint32) []byte { return zeros[:n:n] }
