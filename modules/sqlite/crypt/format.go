package crypt

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	keyringMagic   = "BOPKEYRG"
	keyringVersion = 1
	keyringHead    = 40
	keyringTail    = sha256.Size + 4
	keyHead        = 4 + 8 + 2 + 2

	maxProviderName = 1024
	maxWrapped      = 4096
	maxKeyring      = keyringHead + maxKeys*(keyHead+maxProviderName+maxWrapped) + keyringTail
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyringFile is an encoded keyring in parts.
type keyringFile struct {
	database   [16]byte
	generation uint64
	keys       []*dataKey // without their secrets
	signed     []byte     // what the code is over
	code       []byte
}

// Encode returns the keyring with its keys wrapped: nobody needs to be kept from seeing it.
func (k *Keyring) Encode() []byte {
	b := []byte(keyringMagic)
	b = binary.LittleEndian.AppendUint32(b, keyringVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.keys)))
	b = binary.LittleEndian.AppendUint64(b, k.generation)
	b = append(b, k.database[:]...)
	for _, d := range k.keys {
		b = binary.LittleEndian.AppendUint32(b, d.id)
		b = binary.LittleEndian.AppendUint64(b, uint64(d.created))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(d.by)))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(d.wrapped)))
		b = append(b, d.by...)
		b = append(b, d.wrapped...)
	}
	code := k.code(b)
	b = append(b, code[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// code authenticates an encoded keyring under its current key: without it, one could be put together from parts of
// others, or an old one be given a higher generation.
func (k *Keyring) code(signed []byte) (code [sha256.Size]byte) {
	h := hmac.New(sha256.New, expand(&k.last().secret, nil, append([]byte("bop keyring v1"), k.database[:]...)))
	h.Write(signed)
	return [sha256.Size]byte(h.Sum(nil))
}

func parseKeyring(b []byte) (*keyringFile, error) {
	if len(b) > maxKeyring {
		return nil, fmt.Errorf("%w: it has %d bytes, more than the most of %d", ErrDamaged, len(b), maxKeyring)
	}
	if len(b) < len(keyringMagic)+4+4 || string(b[:len(keyringMagic)]) != keyringMagic {
		return nil, fmt.Errorf("%w: it doesn't begin like a keyring", ErrDamaged)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > keyringVersion {
		return nil, fmt.Errorf("version %d of its format: %w", v, ErrNewer)
	} else if v != keyringVersion {
		return nil, fmt.Errorf("%w: there is no version %d of its format", ErrDamaged, v)
	}
	if len(b) < keyringHead+keyringTail {
		return nil, fmt.Errorf("%w: it has only %d bytes", ErrDamaged, len(b))
	}
	n := binary.LittleEndian.Uint32(b[12:])
	f := &keyringFile{
		database: [16]byte(b[24:]), generation: binary.LittleEndian.Uint64(b[16:]),
		signed: b[:len(b)-keyringTail], code: b[len(b)-keyringTail : len(b)-4],
	}
	if n == 0 || n > maxKeys {
		return nil, fmt.Errorf("%w: it says that it has %d keys", ErrDamaged, n)
	}
	rest := f.signed[keyringHead:]
	for range n {
		var d *dataKey
		var err error
		if d, rest, err = parseKey(rest); err != nil {
			return nil, err
		}
		if d.id == 0 || len(f.keys) > 0 && d.id <= f.keys[len(f.keys)-1].id {
			return nil, fmt.Errorf("%w: its keys aren't numbered upwards from 1", ErrDamaged)
		}
		f.keys = append(f.keys, d)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after its last key", ErrDamaged, len(rest))
	}
	return f, nil
}

func parseKey(b []byte) (d *dataKey, rest []byte, err error) {
	if len(b) < keyHead {
		return nil, nil, fmt.Errorf("%w: it ends within a key", ErrDamaged)
	}
	d = &dataKey{id: binary.LittleEndian.Uint32(b), created: int64(binary.LittleEndian.Uint64(b[4:]))}
	name, wrapped := int(binary.LittleEndian.Uint16(b[12:])), int(binary.LittleEndian.Uint16(b[14:]))
	b = b[keyHead:]
	if len(b) < name+wrapped {
		return nil, nil, fmt.Errorf("%w: it ends within key %d", ErrDamaged, d.id)
	}
	d.by, d.wrapped = string(b[:name]), bytes.Clone(b[name:name+wrapped])
	if err := checkWrapped(d.by, d.wrapped); err != nil {
		return nil, nil, fmt.Errorf("%w: key %d: %w", ErrDamaged, d.id, err)
	}
	return d, b[name+wrapped:], nil
}

func validName(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= most
}
