package crypt

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Object opens ranges of a sealed object. It is safe for concurrent use.
type Object struct {
	aead       cipher.AEAD
	associated []byte // header and name
	size       int64  // of the plain text
	chunks     int64
}

// OpenObject opens the object of that name, whose first ObjectHeaderBytes bytes are header and which has sealedSize
// bytes. It fails with ErrDamaged, ErrNewer, ErrNoKey, or, if no object can have that size, ErrForged. Whether header,
// name, lineage, size and database belong together shows when something of its content is opened.
func (k *Keyring) OpenObject(header []byte, lineage uint64, name string, sealedSize int64) (*Object, error) {
	d, err := k.objectKey(header)
	if err != nil {
		return nil, fmt.Errorf("sealed object %q: %w", name, err)
	}
	size, err := plainSize(sealedSize)
	if err != nil {
		return nil, fmt.Errorf("sealed object %q: %d bytes: %w: %w", name, sealedSize, err, ErrForged)
	}
	associated := append(make([]byte, 0, len(header)+len(name)), header...)
	return &Object{aead: k.objectAEAD(d, lineage, header), associated: append(associated, name...),
		size: size, chunks: chunks(size)}, nil
}

// Size is how many bytes of plain text there are. It follows from the sealed size that OpenObject was given, and is
// true if the last chunk opens.
func (o *Object) Size() int64 { return o.size }

func (o *Object) name() string { return string(o.associated[ObjectHeaderBytes:]) }

// span returns which chunks hold [off, off+n), up to but not including end. Past the end that is the last chunk, and
// so it is in an empty object: that there is nothing has to be proved as well.
func (o *Object) span(off, n int64) (first, end int64) {
	switch {
	case off < 0 || n < 0 || n == 0 && o.size > 0:
		return 0, 0
	case off >= o.size:
		return o.chunks - 1, o.chunks
	}
	return off / ObjectChunk, (off+min(n, o.size-off)-1)/ObjectChunk + 1
}

// Range says which bytes of the sealed object hold the plain text [off, off+n), as far as there is any: whole chunks.
// length is 0 if n is. Past the end, and in an empty object, it names the last chunk, by which Open finds out whether
// that is truly the end.
func (o *Object) Range(off, n int64) (from, length int64) {
	first, end := o.span(off, n)
	from = ObjectHeaderBytes + first*sealedChunk
	if end == o.chunks {
		return from, ObjectHeaderBytes + o.size + o.chunks*tagBytes - from
	}
	return from, (end - first) * sealedChunk
}

// chunkBuffers hold the plain text of chunks of which only a part is wanted.
var chunkBuffers = sync.Pool{New: func() any { return new([ObjectChunk]byte) }}

// Open appends the plain text [off, off+n), as far as there is any, to dst. sealed is exactly what Range names for the
// same off and n. It fails with ErrForged.
func (o *Object) Open(dst, sealed []byte, off, n int64) ([]byte, error) {
	if _, length := o.Range(off, n); int64(len(sealed)) != length {
		return nil, fmt.Errorf("sealed object %q, %d bytes at %d: %d sealed bytes in place of %d: %w", o.name(), n, off, len(sealed), length, ErrForged)
	}
	first, end := o.span(off, n)
	dst = slices.Grow(dst, int(max(min(n, o.size-off), 0)))
	for i := first; i < end; i++ {
		part := sealed[:min(sealedChunk, len(sealed))]
		sealed = sealed[len(part):]
		var err error
		if dst, err = o.openPart(dst, part, i, off, n); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// openPart appends what of chunk i is in [off, off+n).
func (o *Object) openPart(dst, sealed []byte, i, off, n int64) ([]byte, error) {
	start, length := i*ObjectChunk, int64(len(sealed)-tagBytes)
	from := min(max(off-start, 0), length)
	to := length
	if n < start+length-off {
		to = max(off+n-start, from)
	}
	if from == 0 && to == length {
		return o.openChunk(dst, sealed, i)
	}
	buf := chunkBuffers.Get().(*[ObjectChunk]byte)
	defer chunkBuffers.Put(buf)
	plain, err := o.openChunk(buf[:0], sealed, i)
	if err != nil {
		return nil, err
	}
	return append(dst, plain[from:to]...), nil
}

func (o *Object) openChunk(dst, sealed []byte, i int64) ([]byte, error) {
	nonce := nonces.Get().(*[nonceBytes]byte)
	defer nonces.Put(nonce)
	objectNonce(nonce, i, i == o.chunks-1)
	out, err := o.aead.Open(dst, nonce[:], sealed, o.associated)
	if err != nil {
		return nil, fmt.Errorf("sealed object %q, chunk %d of %d: %w", o.name(), i, o.chunks, ErrForged)
	}
	return out, nil
}

// Reader returns the whole plain text. r is what comes after the header, up to the object's end: fewer bytes are
// io.ErrUnexpectedEOF, more are ErrForged.
func (o *Object) Reader(r io.Reader) io.Reader {
	return &objectReader{o: o, r: r, sealed: make([]byte, min(sealedChunk, o.size+tagBytes))}
}

type objectReader struct {
	o      *Object
	r      io.Reader
	next   int64  // number of the next chunk
	sealed []byte // room for one
	buf    []byte // room for its plain text
	plain  []byte // what wasn't read of it yet
	err    error
}

func (r *objectReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(b, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// fill opens the next chunk or says why there is none.
func (r *objectReader) fill() {
	if r.next == r.o.chunks {
		r.err = r.end()
		return
	}
	_, length := r.o.Range(r.next*ObjectChunk, ObjectChunk)
	n, err := io.ReadFull(r.r, r.sealed[:length])
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = fmt.Errorf("sealed object %q, chunk %d of %d: %d bytes of %d: %w", r.o.name(), r.next, r.o.chunks, n, length, err)
		return
	}
	if r.buf, r.err = r.o.openChunk(r.buf[:0], r.sealed[:length], r.next); r.err != nil {
		return
	}
	r.plain = r.buf
	r.next++
}

// end is io.EOF if r really ends.
func (r *objectReader) end() error {
	n, err := io.ReadFull(r.r, r.sealed[:1])
	switch {
	case n > 0:
		return fmt.Errorf("sealed object %q: more bytes than its size says: %w", r.o.name(), ErrForged)
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return fmt.Errorf("sealed object %q, after its last chunk: %w", r.o.name(), err)
}
