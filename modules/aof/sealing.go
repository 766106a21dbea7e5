package aof

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sealer encrypts and authenticates what the log writes, a batch at a time. Package seal has one. Its methods may be
// called concurrently.
type Sealer interface {
	// Seal appends the sealed form of plain to dst. key is the number that Open will be given, not 0.
	Seal(dst, plain, associated []byte) (sealed []byte, key uint32, err error)
	// Open appends the plain text of what Seal made, with the same associated data, to dst.
	Open(dst, sealed, associated []byte, key uint32) ([]byte, error)
}

// ErrSealed: the record is encrypted and can't be opened; see SealedError.
var ErrSealed = errors.New("aof: record is sealed")

// SealedError tells by which key a batch is sealed that couldn't be opened.
type SealedError struct {
	File   string
	Offset int64
	Key    uint32
	Err    error // of the Sealer; nil if there is none
}

func (e *SealedError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("aof: %s is sealed by key %d at offset %d: open the log with Options.Sealer", e.File, e.Key, e.Offset)
	}
	return fmt.Sprintf("aof: %s is sealed by key %d at offset %d: %v", e.File, e.Key, e.Offset, e.Err)
}

// Is makes errors.Is(err, ErrSealed) hold.
func (e *SealedError) Is(target error) bool { return target == ErrSealed }

func (e *SealedError) Unwrap() error { return e.Err }

// associated ties a sealed batch to its place in the log.
func (h *batchHeader) associated(s *segment) []byte {
	b := make([]byte, 0, 28)
	b = binary.LittleEndian.AppendUint64(b, s.header.salt)
	b = binary.LittleEndian.AppendUint64(b, s.header.sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	return binary.LittleEndian.AppendUint32(b, uint32(h.count))
}

// seal puts the sealed form of plain, a batch with the header's place before it, into b, if the log has a Sealer.
func (c *committer) seal(b *batch, plain []byte, tail *segment, h *batchHeader) error {
	sealer := c.l.o.Sealer
	if sealer == nil {
		return nil
	}
	out := append(c.sealed[:0], plain[:batchBytes]...)
	out, key, err := sealer.Seal(out, plain[batchBytes:], h.associated(tail))
	if err != nil || key == 0 {
		return fmt.Errorf("%w: sealing a batch by key %d: %w", errRefused, key, err)
	}
	c.sealed = out
	b.buf, h.payload, h.key = out, len(out)-batchBytes, key
	return nil
}

// unseal opens the payload of a batch.
func (r *Reader) unseal(h *batchHeader, off int64, payload []byte) ([]byte, error) {
	if h.key == 0 {
		return payload, nil
	}
	fail := &SealedError{File: r.seg.name, Offset: off, Key: h.key}
	sealer := r.l.o.Sealer
	if sealer == nil {
		return nil, fail
	}
	plain, err := sealer.Open(r.plain[:0], payload, h.associated(r.seg), h.key)
	if err != nil {
		fail.Err = err
		return nil, fail
	}
	r.plain = plain
	return plain, nil
}
