package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// LogOverhead is how much longer a sealed record is: salt, counter and tag.
const LogOverhead = saltBytes + 8 + tagBytes

const (
	logText  = saltBytes + 8 // where the ciphertext begins
	logSeals = 1 << 32       // by one salt
	logCache = 256           // derived ciphers for opening
)

// LogSealer seals the records of one opening or leadership. It is safe for concurrent use. The number of its key is not
// in what it seals: the record has to name it.
type LogSealer struct {
	ring    *Keyring
	lineage uint64

	run   atomic.Pointer[logRun]
	renew sync.Mutex // held while the run is replaced
}

// logRun is the seals by one salt.
type logRun struct {
	salt  [saltBytes]byte
	aead  cipher.AEAD
	count atomic.Uint64
}

// logCipher names a derived cipher.
type logCipher struct {
	key     uint32
	lineage uint64
	salt    [saltBytes]byte
}

func (c *logCipher) hash() uint64 {
	return binary.LittleEndian.Uint64(c.salt[:]) ^ c.lineage ^ uint64(c.key)
}

// LogSealer begins sealing by the current data key with a salt of its own.
func (k *Keyring) LogSealer(lineage uint64) *LogSealer {
	s := &LogSealer{ring: k, lineage: lineage}
	s.begin()
	return s
}

func (s *LogSealer) begin() {
	r := &logRun{}
	s.ring.draw(r.salt[:])
	key := s.ring.last()
	r.aead = s.ring.logAEAD(key, s.lineage, r.salt)
	c := logCipher{key.id, s.lineage, r.salt}
	s.ring.logs.put(c.hash(), c, r.aead)
	s.run.Store(r)
}

func (k *Keyring) logAEAD(key *dataKey, lineage uint64, salt [saltBytes]byte) cipher.AEAD {
	return newGCM(subkey(&key.secret, salt[:], "bop log v1", k.database, lineage))
}

// Key is the number of the data key, which OpenLog has to be given.
func (s *LogSealer) Key() uint32 { return s.ring.Current() }

func (s *LogSealer) turn() (*logRun, uint64) {
	for {
		r := s.run.Load()
		if n := r.count.Add(1) - 1; n < logSeals {
			return r, n
		}
		s.renew.Lock()
		if s.run.Load() == r {
			s.begin()
		}
		s.renew.Unlock()
	}
}

// Seal appends salt, counter, ciphertext and tag to dst: LogOverhead more bytes than plain has. It doesn't allocate if
// dst has room for them.
func (s *LogSealer) Seal(dst, plain, associated []byte) []byte {
	r, n := s.turn()
	at := len(dst)
	dst = slices.Grow(dst, LogOverhead+len(plain))[:at+logText]
	head := dst[at:]
	// The nonce is made where it needs no memory of its own: its zeros lie in the salt's last bytes until it was used.
	clear(head[12:16])
	binary.LittleEndian.PutUint64(head[16:], n)
	dst = r.aead.Seal(dst, head[12:logText], plain, associated)
	copy(dst[at:], r.salt[:])
	return dst
}

// nonces are those of opening, which can't be on the stack.
var nonces = sync.Pool{New: func() any { return new([nonceBytes]byte) }}

// OpenLog appends the plain text of a record to dst. key is the number that the record names. It fails with ErrNoKey if
// the keyring hasn't that key, and with ErrForged if the record isn't what a LogSealer made of that plain text for
// that key, lineage and those associated data.
func (k *Keyring) OpenLog(dst, sealed, associated []byte, key uint32, lineage uint64) ([]byte, error) {
	if len(sealed) < LogOverhead {
		return nil, fmt.Errorf("log record of %d bytes, less than the %d of an empty one: %w", len(sealed), LogOverhead, ErrForged)
	}
	c := logCipher{key, lineage, [saltBytes]byte(sealed)}
	a := k.logs.get(c.hash(), c)
	known := a != nil
	if !known {
		d := k.key(key)
		if d == nil {
			return nil, fmt.Errorf("log record sealed by data key %d of database %x: %w", key, k.database, ErrNoKey)
		}
		a = k.logAEAD(d, lineage, c.salt)
	}
	nonce := nonces.Get().(*[nonceBytes]byte)
	defer nonces.Put(nonce)
	clear(nonce[:4])
	copy(nonce[4:], sealed[saltBytes:logText])
	out, err := a.Open(dst, nonce[:], sealed[logText:], associated)
	if err != nil {
		return nil, fmt.Errorf("log record sealed by data key %d of database %x: %w", key, k.database, ErrForged)
	}
	if !known {
		k.logs.put(c.hash(), c, a)
	}
	return out, nil
}
