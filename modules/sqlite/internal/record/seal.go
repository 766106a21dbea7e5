package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// A sealed record has in the clear, and authenticated, what it takes to know its place: database, lineage, epoch, TXID and
// part. Everything else, the time and the sizes of pages included, is sealed.

// Place is what a record says of its place, sealed or not.
type Place struct {
	Database page.ID
	Lineage  uint64
	Epoch    uint64
	TXID     page.TXID
	Part     uint32
	Last     bool
	Key      uint32 // number of the data key that seals it, 0: it is in the clear
}

const clearLen = 3 + 16 + 8 // magic, version, flags, database, lineage: the same in all versions

// PlaceOf reads the place of a record without opening it. Of a sealed one nothing has been authenticated.
func PlaceOf(b []byte) (p Place, err error) {
	if len(b) < 2 || b[0] != magic {
		return p, fmt.Errorf("%w: it does not begin with the magic byte", ErrCorrupt)
	}
	if b[1] > Version {
		return p, fmt.Errorf("%w: %d, and this program reads up to %d", ErrNewerVersion, b[1], Version)
	}
	at := fixedLen
	if b[1] == sealed {
		at = clearLen
	}
	if b[1] == 0 || len(b) < at {
		return p, fmt.Errorf("%w: short header", ErrCorrupt)
	}
	p.Last = b[2]&flagLast != 0
	copy(p.Database[:], b[3:])
	p.Lineage = binary.LittleEndian.Uint64(b[19:])
	in := reader{b: b[at:]}
	if b[1] == sealed {
		p.Key = uint32(min(in.uvarint(), 1<<32-1))
	}
	p.Epoch, p.TXID = in.uvarint(), page.TXID(in.uvarint())
	if b[1] != sealed {
		in.uvarint()
	}
	part := in.uvarint()
	if in.bad || p.TXID == 0 || part == 0 || part > 1<<31 {
		return p, fmt.Errorf("%w: impossible header", ErrCorrupt)
	}
	p.Part = uint32(part)
	return p, nil
}

// Keyed tells whether a record brings a keyring. It is in the clear.
func Keyed(b []byte) bool { return len(b) > 1 && b[0] == magic && b[1] == keyed }

// Seal seals a part that a Writer has made.
func Seal(b []byte, s *crypt.LogSealer) ([]byte, error) {
	if len(b) < fixedLen+crcLen || b[1] != plain {
		return nil, errors.New("sealing a log record that is none, or sealed already")
	}
	in := reader{b: b[fixedLen : len(b)-crcLen]}
	epoch, txid, step, part := in.uvarint(), in.uvarint(), in.uvarint(), in.uvarint()
	if in.bad {
		return nil, errors.New("sealing a log record that is none")
	}
	out := make([]byte, 0, len(b)+crypt.LogOverhead+16)
	out = append(out, magic, sealed, b[2])
	out = append(out, b[3:clearLen]...)
	for _, v := range []uint64{uint64(s.Key()), epoch, txid, part} {
		out = binary.AppendUvarint(out, v)
	}
	body := make([]byte, 0, len(in.b)+20)
	body = append(body, b[clearLen:fixedLen]...)
	body = append(binary.AppendUvarint(body, step), in.b...)
	return s.Seal(out, body, out), nil
}

// Open returns what a Writer had made of a sealed part, and a part in the clear as it is. Errors: crypt.ErrNoKey,
// crypt.ErrForged, ErrCorrupt.
func Open(b []byte, k *crypt.Keyring) ([]byte, error) {
	if len(b) < 2 || b[0] != magic || b[1] != sealed {
		return b, nil // Decode says what is wrong with it
	}
	p, err := PlaceOf(b)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, fmt.Errorf("log record of transaction %d: %w", p.TXID, crypt.ErrNoKey)
	}
	in := reader{b: b[clearLen:]}
	for range 4 {
		in.uvarint()
	}
	clear := b[:len(b)-len(in.b)]
	body, err := k.OpenLog(nil, in.b, clear, p.Key, p.Lineage)
	if err != nil {
		return nil, fmt.Errorf("log record of transaction %d: %w", p.TXID, err)
	}
	if len(body) < fixedLen-clearLen {
		return nil, fmt.Errorf("%w: short body", ErrCorrupt)
	}
	rest := reader{b: body[fixedLen-clearLen:]}
	step := rest.uvarint()
	out := make([]byte, 0, len(b)+16)
	out = append(out, magic, plain, b[2])
	out = append(out, b[3:clearLen]...)
	out = append(out, body[:fixedLen-clearLen]...)
	for _, v := range []uint64{p.Epoch, uint64(p.TXID), step, uint64(p.Part)} {
		out = binary.AppendUvarint(out, v)
	}
	out = append(out, rest.b...)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

// DecodeSealed is Decode of what Open returns.
func DecodeSealed(b []byte, k *crypt.Keyring) (*Record, error) {
	open, err := Open(b, k)
	if err != nil {
		return nil, err
	}
	return Decode(open)
}
