package crypt

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// maxKeys is how many data keys a keyring has at most.
const maxKeys = 1024

// Keyring has the data keys of one database. It is immutable and safe for concurrent use.
type Keyring struct {
	database   [16]byte
	generation uint64
	keys       []*dataKey // ascending by number; never empty; the last is the current one
	draw       func([]byte)
	logs       *cache[logCipher]

	mu     sync.Mutex
	blocks map[blocksOf]*Blocks
}

// dataKey is immutable.
type dataKey struct {
	id      uint32
	created int64 // microseconds since 1970
	by      string
	wrapped []byte
	secret  [KeyBytes]byte
}

// KeyInfo is what may be known of a data key.
type KeyInfo struct {
	ID        uint32
	Created   time.Time
	WrappedBy string // name of the wrapping key
	Current   bool   // it is the one that seals
}

// NewKeyring makes the keyring of a new database: one random data key, number 1.
func NewKeyring(ctx context.Context, p KeyProvider, database [16]byte) (*Keyring, error) {
	return newKeyring(database, 0, nil).grow(ctx, p)
}

func newKeyring(database [16]byte, generation uint64, keys []*dataKey) *Keyring {
	return &Keyring{database: database, generation: generation, keys: keys, draw: draw,
		logs: newCache[logCipher](logCache), blocks: map[blocksOf]*Blocks{}}
}

// DecodeKeyring reads what Encode wrote and has the provider unwrap all data keys.
//
// It fails with ErrNoProvider if p is nil, with ErrNoKey or ErrWrongKey if the provider hasn't a wrapping key or has
// another one of that name, with ErrDamaged if b is damaged, forged or of another database, and with ErrNewer. Each
// error names the database; those of the provider also name the wrapping key.
func DecodeKeyring(ctx context.Context, p KeyProvider, database [16]byte, b []byte) (*Keyring, error) {
	f, err := parseKeyring(b)
	if err != nil {
		return nil, fmt.Errorf("keyring of database %x: %w", database, err)
	}
	if f.database != database {
		return nil, fmt.Errorf("keyring of database %x: %w: it is that of database %x", database, ErrDamaged, f.database)
	}
	if p == nil {
		return nil, fmt.Errorf("keyring of database %x, wrapped by %q: %w", database, f.keys[len(f.keys)-1].by, ErrNoProvider)
	}
	for _, d := range f.keys {
		err := d.unwrap(ctx, p, database)
		if err != nil {
			return nil, err
		}
	}
	k := newKeyring(database, f.generation, f.keys)
	if code := k.code(f.signed); subtle.ConstantTimeCompare(code[:], f.code) != 1 {
		return nil, fmt.Errorf("keyring of database %x: %w: it isn't as it was when its newest key was added", database, ErrDamaged)
	}
	return k, nil
}

// wrapping is what binds a data key to its place.
func wrapping(database [16]byte, id uint32) []byte {
	b := append([]byte("bop data key v1"), database[:]...)
	return binary.LittleEndian.AppendUint32(b, id)
}

func (d *dataKey) unwrap(ctx context.Context, p KeyProvider, database [16]byte) error {
	secret, err := p.Unwrap(ctx, d.wrapped, wrapping(database, d.id), d.by)
	if err != nil {
		return fmt.Errorf("unwrapping data key %d of database %x, wrapped by %q, with the keys of %s: %w", d.id, database, d.by, p, err)
	}
	if len(secret) != KeyBytes {
		return fmt.Errorf("unwrapping data key %d of database %x, wrapped by %q: %w: it has %d bytes, not %d", d.id, database, d.by, ErrDamaged, len(secret), KeyBytes)
	}
	d.secret = [KeyBytes]byte(secret)
	return nil
}

// wrap returns d wrapped by p's current key, after a look whether p can undo it: otherwise all would be lost.
func (d *dataKey) wrap(ctx context.Context, p KeyProvider, database [16]byte) (*dataKey, error) {
	wrapped, by, err := p.Wrap(ctx, d.secret[:], wrapping(database, d.id))
	if err != nil {
		return nil, fmt.Errorf("wrapping data key %d of database %x with the keys of %s: %w", d.id, database, p, err)
	}
	if err := checkWrapped(by, wrapped); err != nil {
		return nil, fmt.Errorf("wrapping data key %d of database %x with the keys of %s: %w", d.id, database, p, err)
	}
	made := &dataKey{id: d.id, created: d.created, by: by, wrapped: slices.Clone(wrapped)}
	if err := made.unwrap(ctx, p, database); err != nil {
		return nil, fmt.Errorf("trying what was wrapped: %w", err)
	}
	if subtle.ConstantTimeCompare(made.secret[:], d.secret[:]) != 1 {
		return nil, fmt.Errorf("wrapping data key %d of database %x with the keys of %s: key %q unwraps it to another key", d.id, database, p, by)
	}
	return made, nil
}

// Rotate returns a keyring with one more data key, which is current. It has to be durable before the key is used: two
// that were made from the same keyring have different keys of the same number.
func (k *Keyring) Rotate(ctx context.Context, p KeyProvider) (*Keyring, error) { return k.grow(ctx, p) }

func (k *Keyring) grow(ctx context.Context, p KeyProvider) (*Keyring, error) {
	if p == nil {
		return nil, fmt.Errorf("new data key for database %x: %w", k.database, ErrNoProvider)
	}
	d := &dataKey{id: 1, created: time.Now().UnixMicro()}
	if len(k.keys) > 0 {
		if len(k.keys) >= maxKeys || k.Current() == math.MaxUint32 {
			return nil, fmt.Errorf("new data key for database %x: it has %d, the newest is number %d: remove those that aren't used any more",
				k.database, len(k.keys), k.Current())
		}
		d.id = k.Current() + 1
	}
	k.draw(d.secret[:])
	d, err := d.wrap(ctx, p, k.database)
	if err != nil {
		return nil, err
	}
	return k.with(append(slices.Clone(k.keys), d)), nil
}

// Rewrap returns a keyring with the same data keys, all wrapped by the provider's current key.
func (k *Keyring) Rewrap(ctx context.Context, p KeyProvider) (*Keyring, error) {
	if p == nil {
		return nil, fmt.Errorf("wrapping the data keys of database %x: %w", k.database, ErrNoProvider)
	}
	keys := make([]*dataKey, len(k.keys))
	for i, d := range k.keys {
		var err error
		if keys[i], err = d.wrap(ctx, p, k.database); err != nil {
			return nil, err
		}
	}
	return k.with(keys), nil
}

// Without returns a keyring that hasn't data key id any more. What that key sealed is lost wherever no other copy of
// the keyring has it. The current key can't be removed.
func (k *Keyring) Without(id uint32) (*Keyring, error) {
	if id == k.Current() {
		return nil, fmt.Errorf("removing data key %d of database %x: it is the current one: rotate first", id, k.database)
	}
	if !k.Has(id) {
		return nil, fmt.Errorf("removing data key %d of database %x: %w", id, k.database, ErrNoKey)
	}
	return k.with(slices.DeleteFunc(slices.Clone(k.keys), func(d *dataKey) bool { return d.id == id })), nil
}

func (k *Keyring) with(keys []*dataKey) *Keyring {
	n := newKeyring(k.database, k.generation+1, keys)
	n.draw = k.draw
	return n
}

// Generation is one more with each Rotate, Rewrap and Without: of two keyrings of a database, the one with the higher
// is the newer.
func (k *Keyring) Generation() uint64 { return k.generation }

// Current is the number of the data key that seals.
func (k *Keyring) Current() uint32 { return k.last().id }

func (k *Keyring) last() *dataKey { return k.keys[len(k.keys)-1] }

// Has says whether data key id is there.
func (k *Keyring) Has(id uint32) bool { return k.key(id) != nil }

func (k *Keyring) key(id uint32) *dataKey {
	i, ok := slices.BinarySearchFunc(k.keys, id, func(d *dataKey, id uint32) int { return int(int64(d.id) - int64(id)) })
	if !ok {
		return nil
	}
	return k.keys[i]
}

// Keys lists the data keys by number.
func (k *Keyring) Keys() []KeyInfo { return infos(k.keys) }

func infos(keys []*dataKey) []KeyInfo {
	list := make([]KeyInfo, len(keys))
	for i, d := range keys {
		list[i] = KeyInfo{d.id, time.UnixMicro(d.created).UTC(), d.by, i == len(keys)-1}
	}
	return list
}

// String says what there is, without secrets.
func (k *Keyring) String() string {
	return fmt.Sprintf("keyring of database %x, generation %d, %d data keys, current %d", k.database, k.generation, len(k.keys), k.Current())
}

// GoString is String, so that no way of printing shows a key.
func (k *Keyring) GoString() string { return k.String() }

// PeekKeyring reads what an encoded keyring says without unwrapping anything. It isn't authentic: only DecodeKeyring
// finds that out.
func PeekKeyring(b []byte) (keys []KeyInfo, generation uint64, err error) {
	f, err := parseKeyring(b)
	if err != nil {
		return nil, 0, fmt.Errorf("keyring: %w", err)
	}
	return infos(f.keys), f.generation, nil
}

func checkWrapped(by string, wrapped []byte) error {
	if !validName(by, maxProviderName) {
		return errors.New("the wrapping key's name isn't 1 to 1024 printable characters of ASCII")
	}
	if len(wrapped) == 0 || len(wrapped) > maxWrapped {
		return fmt.Errorf("the wrapped key has %d bytes, which isn't 1 to %d", len(wrapped), maxWrapped)
	}
	return nil
}
