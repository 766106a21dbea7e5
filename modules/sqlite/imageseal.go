package sqlite

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// sealedImage is an image in the clear as an object that is sealed by the database's keys, behind a head that has them. Each
// chunk is made when it is read, and becomes the same bytes each time.
type sealedImage struct {
	plain Image
	seal  *crypt.ObjectWriter
	head  []byte // up to and with the object's header
	at    int64
	chunk int64 // that is in buf, -1: none
	buf   []byte
	in    []byte
}

func sealImage(plain Image, id pagefile.Identity, k *crypt.Keyring) (Image, error) {
	ring := k.Encode()
	b := make([]byte, imageHeader, imageHeader+len(ring)+crypt.ObjectHeaderBytes)
	copy(b, imageMagic)
	binary.LittleEndian.PutUint32(b[8:], imageSealed)
	copy(b[16:], id.Database[:])
	binary.LittleEndian.PutUint64(b[32:], id.Lineage)
	binary.LittleEndian.PutUint64(b[40:], uint64(plain.Size()))
	binary.LittleEndian.PutUint32(b[88:], uint32(len(ring)))
	binary.LittleEndian.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
	s := &sealedImage{plain: plain, chunk: -1, in: make([]byte, crypt.ObjectChunk)}
	var err error
	if s.seal, err = k.SealObject(io.Discard, id.Lineage, imageName); err != nil {
		return nil, err
	}
	s.head = append(append(b, ring...), s.seal.Header()...)
	return s, nil
}

// Size implements Image.
func (s *sealedImage) Size() int64 {
	return int64(len(s.head)) - crypt.ObjectHeaderBytes + crypt.SealedSize(s.plain.Size())
}

// Seek implements io.Seeker.
func (s *sealedImage) Seek(offset int64, whence int) (int64, error) {
	return seek(&s.at, s.Size(), offset, whence)
}

// Read implements io.Reader.
func (s *sealedImage) Read(b []byte) (int, error) {
	if s.at < int64(len(s.head)) {
		n := copy(b, s.head[s.at:])
		s.at += int64(n)
		return n, nil
	}
	if s.at >= s.Size() {
		return 0, io.EOF
	}
	const whole = crypt.ObjectChunk + 16
	i := (s.at - int64(len(s.head))) / whole
	if i != s.chunk {
		if err := s.load(i); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.buf[(s.at-int64(len(s.head)))%whole:])
	s.at += int64(n)
	return n, nil
}

func (s *sealedImage) load(i int64) error {
	s.chunk = -1
	from := i * crypt.ObjectChunk
	if _, err := s.plain.Seek(from, io.SeekStart); err != nil {
		return err
	}
	n := min(crypt.ObjectChunk, s.plain.Size()-from)
	if _, err := io.ReadFull(s.plain, s.in[:n]); err != nil {
		return err
	}
	s.buf = s.seal.AppendChunk(s.buf[:0], s.in[:n], i, from+n == s.plain.Size())
	s.chunk = i
	return nil
}

// Close implements io.Closer.
func (s *sealedImage) Close() error { return s.plain.Close() }

// openImage returns an image in the clear, and the keys that it comes with, if it was sealed.
func (h *Host) openImage(r io.Reader) (io.Reader, *crypt.Keyring, error) {
	br := bufio.NewReaderSize(r, 1<<20)
	head, err := br.Peek(imageHeader)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the image: %w", err)
	}
	le := binary.LittleEndian
	if string(head[:8]) != imageMagic || le.Uint32(head[8:]) != imageSealed {
		return br, nil, nil // decodeImage says what it is
	}
	if crc32.Checksum(head[:92], castagnoli) != le.Uint32(head[92:]) {
		return nil, nil, fmt.Errorf("%w: checksum of an image's header", ErrDamaged)
	}
	id := pagefile.Identity{Database: ID(head[16:32]), Lineage: le.Uint64(head[32:])}
	n := le.Uint32(head[88:])
	if n > maxKeys {
		return nil, nil, fmt.Errorf("%w: an image with a keyring of %d bytes", ErrDamaged, n)
	}
	rest := make([]byte, imageHeader+int(n)+crypt.ObjectHeaderBytes)
	if _, err := io.ReadFull(br, rest); err != nil {
		return nil, nil, fmt.Errorf("reading the image: %w", err)
	}
	keys, err := h.openKeyring(id, rest[imageHeader:][:n])
	if err != nil {
		return nil, nil, fmt.Errorf("the image's keys: %w", err)
	}
	size := int64(le.Uint64(rest[40:]))
	if size < imageHeader {
		return nil, nil, fmt.Errorf("%w: an image of %d bytes", ErrDamaged, size)
	}
	o, err := keys.OpenObject(rest[imageHeader+n:], id.Lineage, imageName, crypt.SealedSize(size))
	if err != nil {
		return nil, nil, fmt.Errorf("the image: %w", err)
	}
	return o.Reader(br), keys, nil
}
