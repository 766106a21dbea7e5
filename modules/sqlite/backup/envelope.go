package backup

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// The manifest is JSON, compressed, sealed if the database is encrypted, in an envelope that says without any key who
// may write. docs/formats/bucket.md has the bytes.
const (
	envelopeMagic   = "BOPMANIF"
	envelopeVersion = 1
	envelopeBytes   = 80
	flagSealed      = 1 << 0

	maxManifest = 64 << 20  // bytes in the bucket
	maxBody     = 512 << 20 // bytes of JSON
	maxKeyring  = 32 << 20  // more than any has
)

// useManifest separates the keys that seal manifests from the others.
const useManifest crypt.Use = "manifest"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// envelope is what stands before the body.
type envelope struct {
	sealed          bool
	database        page.ID
	lineage         uint64
	epoch, sequence uint64
	writer          [16]byte
	keyring, body   int // bytes of each
}

func (e *envelope) append(b []byte) []byte {
	var flags uint32
	if e.sealed {
		flags |= flagSealed
	}
	b = append(b, envelopeMagic...)
	b = binary.LittleEndian.AppendUint32(b, envelopeVersion)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, e.database[:]...)
	b = binary.LittleEndian.AppendUint64(b, e.lineage)
	b = binary.LittleEndian.AppendUint64(b, e.epoch)
	b = binary.LittleEndian.AppendUint64(b, e.sequence)
	b = append(b, e.writer[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.keyring))
	return binary.LittleEndian.AppendUint32(b, uint32(e.body))
}

func parseEnvelope(b []byte) (*envelope, error) {
	if len(b) < envelopeBytes || string(b[:8]) != envelopeMagic {
		return nil, damaged("it is no manifest")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > envelopeVersion {
		return nil, fmt.Errorf("%w (manifest version %d)", ErrNewer, v)
	} else if v == 0 {
		return nil, damaged("manifest version 0")
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	if flags&^flagSealed != 0 {
		return nil, fmt.Errorf("%w (manifest flags %x)", ErrNewer, flags)
	}
	e := &envelope{
		sealed:   flags&flagSealed != 0,
		database: page.ID(b[16:32]),
		lineage:  binary.LittleEndian.Uint64(b[32:]),
		epoch:    binary.LittleEndian.Uint64(b[40:]),
		sequence: binary.LittleEndian.Uint64(b[48:]),
		writer:   [16]byte(b[56:72]),
	}
	keyring, body := binary.LittleEndian.Uint32(b[72:]), binary.LittleEndian.Uint32(b[76:])
	if keyring > maxKeyring || body > maxManifest || e.sealed && keyring == 0 {
		return nil, damaged("impossible lengths in the manifest")
	}
	e.keyring, e.body = int(keyring), int(body)
	return e, nil
}

// split checks a whole manifest and returns its parts; head is what a sealed body is bound to.
func split(b []byte) (e *envelope, head, body []byte, err error) {
	if e, err = parseEnvelope(b); err != nil {
		return nil, nil, nil, err
	}
	at := envelopeBytes + e.keyring
	end := at + e.body
	if len(b) != end+4 {
		return nil, nil, nil, damaged("the manifest has %d bytes instead of %d", len(b), end+4)
	}
	if checksum(b[:end]) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, nil, nil, damaged("checksum mismatch in the manifest")
	}
	return e, b[:at], b[at:end], nil
}

// Encode returns the bytes of a manifest as they are in the bucket, for a local copy.
func (s *Space) Encode(ctx context.Context, m *Manifest) ([]byte, error) {
	ring, err := s.Keyring(ctx, m.Keyring)
	if err != nil {
		return nil, err
	}
	return encode(m, ring)
}

func encode(m *Manifest, ring *crypt.Keyring) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	if len(text) > maxBody {
		return nil, fmt.Errorf("the manifest has %d bytes, more than the %d that are allowed: let retention drop some of it", len(text), maxBody)
	}
	z, err := compressor()
	if err != nil {
		return nil, err
	}
	body := z.EncodeAll(text, nil)
	e := envelope{
		sealed: ring != nil, database: m.Database, lineage: m.Lineage, epoch: m.Epoch, sequence: m.Sequence, writer: m.writer,
		body: len(body),
	}
	var keyring []byte
	if ring != nil {
		keyring = ring.Encode()
		e.keyring = len(keyring)
		e.body += crypt.BlockOverhead
	}
	if len(keyring) > maxKeyring || envelopeBytes+e.keyring+e.body+4 > maxManifest {
		return nil, fmt.Errorf("the manifest has %d bytes, more than the %d that are allowed: let retention drop some of it", e.keyring+e.body, maxManifest)
	}
	b := e.append(make([]byte, 0, envelopeBytes+e.keyring+e.body+4))
	b = append(b, keyring...)
	if ring != nil {
		b = ring.Blocks(useManifest, m.Lineage).Seal(b, body, b[:len(b):len(b)])
	} else {
		b = append(b, body...)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b)), nil
}

// Decode reads the bytes of a manifest, those of a local copy too. Errors: ErrDamaged, ErrNewer, and those of the keys.
func (s *Space) Decode(ctx context.Context, b []byte) (*Manifest, error) {
	e, head, body, err := split(b)
	if err != nil {
		return nil, err
	}
	if e.database != s.o.Database || e.lineage != s.o.Lineage {
		return nil, damaged("it is the manifest of database %s, lineage %016x", e.database, e.lineage)
	}
	m := &Manifest{Sequence: e.sequence, Epoch: e.epoch, Database: e.database, Lineage: e.lineage, writer: e.writer}
	if e.keyring > 0 {
		m.Keyring = append([]byte(nil), head[envelopeBytes:]...)
	}
	if e.sealed {
		ring, err := s.Keyring(ctx, m.Keyring)
		if err != nil {
			return nil, fmt.Errorf("opening the manifest: %w", err)
		}
		if body, err = ring.Blocks(useManifest, e.lineage).Open(nil, body, head); err != nil {
			return nil, fmt.Errorf("opening the manifest: %w", err)
		}
	}
	if err := m.decodeBody(body); err != nil {
		return nil, err
	}
	return m, nil
}

// Both are for everyone: what they do at once has no state.
var (
	compressor = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true))
	})
	decompressor = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxBody))
	})
)

func (m *Manifest) decodeBody(body []byte) error {
	z, err := decompressor()
	if err != nil {
		return err
	}
	text, err := z.DecodeAll(body, nil)
	if err != nil {
		return damaged("decompressing the manifest: %w", err)
	}
	if err := json.Unmarshal(text, m); err != nil {
		return damaged("the manifest's JSON: %w", err)
	}
	return m.check()
}

func parseID(s string) (page.ID, error) {
	var id page.ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return id, fmt.Errorf("%q is no database id", s)
	}
	return page.ID(b), nil
}
