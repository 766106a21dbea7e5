package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Use says what blocks are for, such as "page" or "manifest". Blocks of one use don't open as those of another.
type Use string

// BlockOverhead is how much longer a sealed block is: key number, nonce and tag.
const BlockOverhead = 4 + 24 + 16

const (
	blockText  = 4 + 24  // where the ciphertext begins
	blockSeals = 1 << 28 // by one derived key
	blockCache = 1024    // derived ciphers for opening
)

// Blocks seals and opens blocks of one use of one database. It is safe for concurrent use.
type Blocks struct {
	use     Use
	current uint32
	keys    map[uint32]*xaes
	draw    func([]byte)
	opened  *cache[blockCipher]

	run   atomic.Pointer[blockRun]
	renew sync.Mutex // held while the run is replaced
}

// blockCipher names a derived cipher: by data key and first half of the nonce.
type blockCipher struct {
	key  uint32
	half [12]byte
}

func (c *blockCipher) hash() uint64 {
	return binary.LittleEndian.Uint64(c.half[:]) ^ uint64(c.key)
}

// blockRun is the seals by one derived key.
type blockRun struct {
	half  [12]byte
	aead  cipher.AEAD
	count atomic.Uint64
}

type blocksOf struct {
	use     Use
	lineage uint64
}

// keptBlocks is how many Blocks a keyring keeps; more than uses and lineages of a database usually are.
const keptBlocks = 64

// Blocks returns what seals and opens blocks of a use in a lineage of the database. It is the same one for the same
// arguments, so that asking often costs no new derived keys.
func (k *Keyring) Blocks(use Use, lineage uint64) *Blocks {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := blocksOf{use, lineage}
	if b := k.blocks[of]; b != nil {
		return b
	}
	b := &Blocks{use: use, current: k.Current(), keys: make(map[uint32]*xaes, len(k.keys)), draw: k.draw,
		opened: newCache[blockCipher](blockCache)}
	for _, key := range k.keys {
		b.keys[key.id] = newXAES(subkey(&key.secret, nil, "bop "+string(use)+" v1", k.database, lineage))
	}
	b.begin()
	if len(k.blocks) < keptBlocks {
		k.blocks[of] = b
	}
	return b
}

func (b *Blocks) begin() {
	r := &blockRun{}
	b.draw(r.half[:])
	r.aead = b.keys[b.current].derive(r.half)
	c := blockCipher{b.current, r.half}
	b.opened.put(c.hash(), c, r.aead)
	b.run.Store(r)
}

// turn returns the run to seal by and a count that nobody else gets.
func (b *Blocks) turn() (*blockRun, uint64) {
	for {
		r := b.run.Load()
		if n := r.count.Add(1) - 1; n < blockSeals {
			return r, n
		}
		b.renew.Lock()
		if b.run.Load() == r {
			b.begin()
		}
		b.renew.Unlock()
	}
}

// Seal appends key number, nonce, ciphertext and tag to dst: BlockOverhead more bytes than plain has. It doesn't
// allocate if dst has room for them.
func (b *Blocks) Seal(dst, plain, associated []byte) []byte {
	r, n := b.turn()
	at := len(dst)
	dst = slices.Grow(dst, BlockOverhead+len(plain))[:at+blockText]
	head := dst[at:]
	binary.LittleEndian.PutUint32(head, b.current)
	copy(head[4:], r.half[:])
	clear(head[16:20])
	binary.LittleEndian.PutUint64(head[20:], n)
	return r.aead.Seal(dst, head[16:blockText], plain, associated)
}

// Open appends the plain text to dst. It fails with ErrNoKey if the keyring hasn't the key that the block names, and
// with ErrForged if the block isn't what Seal made of that plain text for those associated data.
func (b *Blocks) Open(dst, sealed, associated []byte) ([]byte, error) {
	if len(sealed) < BlockOverhead {
		return nil, fmt.Errorf("%s block of %d bytes, less than the %d of an empty one: %w", b.use, len(sealed), BlockOverhead, ErrForged)
	}
	c := blockCipher{key: SealedKey(sealed), half: [12]byte(sealed[4:16])}
	if c.key == 0 {
		return nil, fmt.Errorf("%s block that names no key: %w", b.use, ErrForged)
	}
	a := b.opened.get(c.hash(), c)
	known := a != nil
	if !known {
		key := b.keys[c.key]
		if key == nil {
			return nil, fmt.Errorf("%s block sealed by data key %d: %w", b.use, c.key, ErrNoKey)
		}
		a = key.derive(c.half)
	}
	out, err := a.Open(dst, sealed[16:blockText], sealed[blockText:], associated)
	if err != nil {
		return nil, fmt.Errorf("%s block sealed by data key %d: %w", b.use, c.key, ErrForged)
	}
	if !known {
		b.opened.put(c.hash(), c, a) // not before: what is forged shall not push out what isn't
	}
	return out, nil
}

// SealedKey is the number of the data key in front of a sealed block, 0 if that is too short.
func SealedKey(sealed []byte) uint32 {
	if len(sealed) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(sealed)
}
