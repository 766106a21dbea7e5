package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

const (
	// ObjectHeaderBytes is the length of the header of a sealed object.
	ObjectHeaderBytes = 64
	// ObjectChunk is how many bytes of plain text are sealed as one: a range of an object costs whole chunks.
	ObjectChunk = 64 << 10

	objectMagic   = "BOPSEALD"
	objectVersion = 1
	sealedChunk   = ObjectChunk + tagBytes
	maxObject     = math.MaxInt64 / sealedChunk * ObjectChunk // bytes of plain text
)

// SealedSize is the size of a sealed object with plain bytes of content; the greatest number if there can't be such an
// object.
func SealedSize(plain int64) int64 {
	if plain < 0 || plain > maxObject-ObjectChunk {
		return math.MaxInt64
	}
	return ObjectHeaderBytes + plain + chunks(plain)*tagBytes
}

// chunks is at least 1: an empty object has one empty chunk, so that its emptiness is sealed too.
func chunks(plain int64) int64 { return max(1, (plain+ObjectChunk-1)/ObjectChunk) }

// objectAEAD derives the cipher of the object with that header.
func (k *Keyring) objectAEAD(d *dataKey, lineage uint64, header []byte) cipher.AEAD {
	return newGCM(subkey(&d.secret, header[20:20+saltBytes], "bop object v1", k.database, lineage))
}

// objectNonce is that of a chunk: its number and whether it is the last.
func objectNonce(nonce *[nonceBytes]byte, chunk int64, last bool) {
	*nonce = [nonceBytes]byte{}
	binary.BigEndian.PutUint64(nonce[:], uint64(chunk))
	if last {
		nonce[8] = 1
	}
}

// ObjectWriter seals an object from beginning to end. It is for one goroutine.
type ObjectWriter struct {
	w          io.Writer
	aead       cipher.AEAD
	header     []byte
	associated []byte // header and name
	nonce      [nonceBytes]byte
	chunk      int64  // number of the next one
	plain      []byte // of the chunk under construction
	sealed     []byte
	closed     bool
	err        error // what ended it
}

// SealObject writes a header to w and returns what seals an object's content, which is bound to the object's name, to
// the lineage and to the database.
func (k *Keyring) SealObject(w io.Writer, lineage uint64, name string) (*ObjectWriter, error) {
	h := make([]byte, ObjectHeaderBytes, ObjectHeaderBytes+len(name))
	copy(h, objectMagic)
	binary.LittleEndian.PutUint32(h[8:], objectVersion)
	binary.LittleEndian.PutUint32(h[12:], k.Current())
	binary.LittleEndian.PutUint32(h[16:], ObjectChunk)
	k.draw(h[20 : 20+saltBytes])
	binary.LittleEndian.PutUint32(h[60:], crc32.Checksum(h[:60], castagnoli))
	if err := writeAll(w, h); err != nil {
		return nil, fmt.Errorf("writing sealed object %q: %w", name, err)
	}
	return &ObjectWriter{w: w, aead: k.objectAEAD(k.last(), lineage, h), header: h, associated: append(h, name...),
		plain: make([]byte, 0, ObjectChunk), sealed: make([]byte, 0, sealedChunk)}, nil
}

func writeAll(w io.Writer, b []byte) error {
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}

// Header is what was written to begin with. It must not be changed.
func (w *ObjectWriter) Header() []byte { return w.header }

// Write seals p. After an error there is no going on.
func (w *ObjectWriter) Write(p []byte) (int, error) {
	if w.closed && w.err == nil {
		return 0, fmt.Errorf("writing sealed object %q: it is closed", w.name())
	}
	done := 0
	for w.err == nil && done < len(p) {
		// A full chunk waits until more comes: it might be the last.
		switch rest := p[done:]; {
		case len(w.plain) == ObjectChunk:
			w.flush(w.plain, false)
			w.plain = w.plain[:0]
		case len(w.plain) == 0 && len(rest) > ObjectChunk:
			w.flush(rest[:ObjectChunk], false)
			done += ObjectChunk
		default:
			n := min(len(rest), ObjectChunk-len(w.plain))
			w.plain = append(w.plain, rest[:n]...)
			done += n
		}
	}
	return done, w.err
}

// Close writes the last chunk. It doesn't close the writer below. Without it, there is no object.
func (w *ObjectWriter) Close() error {
	if !w.closed && w.err == nil {
		w.flush(w.plain, true)
	}
	w.closed = true
	return w.err
}

func (w *ObjectWriter) name() string { return string(w.associated[ObjectHeaderBytes:]) }

func (w *ObjectWriter) flush(plain []byte, last bool) {
	if w.chunk >= maxObject/ObjectChunk {
		w.err = fmt.Errorf("writing sealed object %q: it is too large", w.name())
		return
	}
	objectNonce(&w.nonce, w.chunk, last)
	w.sealed = w.aead.Seal(w.sealed[:0], w.nonce[:], plain, w.associated)
	w.chunk++
	if err := writeAll(w.w, w.sealed); err != nil {
		w.err = fmt.Errorf("writing sealed object %q: %w", w.name(), err)
	}
}

// objectKey checks the header of an object and returns the key that it names.
func (k *Keyring) objectKey(b []byte) (*dataKey, error) {
	if len(b) != ObjectHeaderBytes || string(b[:len(objectMagic)]) != objectMagic {
		return nil, fmt.Errorf("%w: it doesn't begin like a sealed object", ErrDamaged)
	}
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return nil, fmt.Errorf("%w: its header's checksum is wrong", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > objectVersion {
		return nil, fmt.Errorf("version %d of its format: %w", v, ErrNewer)
	} else if v != objectVersion {
		return nil, fmt.Errorf("%w: there is no version %d of its format", ErrDamaged, v)
	}
	if n := binary.LittleEndian.Uint32(b[16:]); n != ObjectChunk {
		return nil, fmt.Errorf("%w: it has chunks of %d bytes", ErrDamaged, n)
	}
	for _, c := range b[36:60] {
		if c != 0 {
			return nil, fmt.Errorf("%w: something is where its header has nothing", ErrDamaged)
		}
	}
	id := binary.LittleEndian.Uint32(b[12:])
	if id == 0 {
		return nil, fmt.Errorf("%w: it names no key", ErrDamaged)
	}
	d := k.key(id)
	if d == nil {
		return nil, fmt.Errorf("data key %d of database %x: %w", id, k.database, ErrNoKey)
	}
	return d, nil
}

var errLength = errors.New("its length isn't one that a sealed object can have")

// plainSize is the other direction of SealedSize.
func plainSize(sealed int64) (int64, error) {
	body := sealed - ObjectHeaderBytes
	if body < tagBytes || sealed > math.MaxInt64-sealedChunk {
		return 0, errLength
	}
	n := (body + sealedChunk - 1) / sealedChunk
	plain := body - n*tagBytes
	if chunks(plain) != n || plain > maxObject-ObjectChunk {
		return 0, errLength // the last chunk is less than a tag, or empty though not the first
	}
	return plain, nil
}
