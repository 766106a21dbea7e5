package pageobj

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// blob is an object in the bucket of which ranges are read. Offsets are those of its plaintext.
type blob struct {
	bucket  objstore.Bucket
	keys    func() *crypt.Keyring
	key     string
	size    int64 // in the bucket
	header  []byte
	lineage uint64
	metrics *Metrics

	mu     sync.Mutex
	sealed *crypt.Object // nil until it is needed
}

// object opens the object's seal. It is nil if there is none.
func (b *blob) object() (*crypt.Object, error) {
	if b.header == nil {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed == nil {
		var k *crypt.Keyring
		if b.keys != nil {
			k = b.keys()
		}
		if k == nil {
			return nil, fmt.Errorf("opening %s: %w", b.key, crypt.ErrNoProvider)
		}
		o, err := k.OpenObject(b.header, b.lineage, b.key, b.size)
		if err != nil {
			return nil, sealing(b.key, 0, err)
		}
		b.sealed = o
	}
	return b.sealed, nil
}

// plain is the number of bytes of the plaintext.
func (b *blob) plain() (int64, error) {
	o, err := b.object()
	if err != nil || o == nil {
		return b.size, err
	}
	return o.Size(), nil
}

// read returns n bytes from off on, in memory of their own.
func (b *blob) read(ctx context.Context, off, n int64) ([]byte, error) {
	o, err := b.check(off, n)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	if o == nil {
		return buf, b.get(ctx, off, buf)
	}
	return b.open(ctx, o, off, n, buf)
}

// borrow gives n bytes from off on to fn, which must not keep them.
func (b *blob) borrow(ctx context.Context, off, n int64, fn func([]byte)) error {
	o, err := b.check(off, n)
	if err != nil {
		return err
	}
	buf := buffer(n)
	defer release(buf)
	plain := (*buf)[:n]
	if o == nil {
		err = b.get(ctx, off, plain)
	} else {
		plain, err = b.open(ctx, o, off, n, plain)
	}
	if err != nil {
		return err
	}
	fn(plain)
	return nil
}

// check refuses ranges that the object doesn't have.
func (b *blob) check(off, n int64) (*crypt.Object, error) {
	o, err := b.object()
	if err != nil {
		return nil, err
	}
	size := b.size
	if o != nil {
		size = o.Size()
	}
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, &DamageError{Key: b.key, Offset: off, Reason: fmt.Sprintf("%d bytes are said to be here, and the object has %d", n, size)}
	}
	return o, nil
}

// open reads a range and opens it into buf.
func (b *blob) open(ctx context.Context, o *crypt.Object, off, n int64, buf []byte) ([]byte, error) {
	from, length := o.Range(off, n)
	sealed := buffer(length)
	defer release(sealed)
	if err := b.get(ctx, from, (*sealed)[:length]); err != nil {
		return nil, err
	}
	plain, err := o.Open(buf[:0], (*sealed)[:length], off, n)
	if err != nil {
		return nil, sealing(b.key, off, err)
	}
	if int64(len(plain)) != n {
		return nil, &DamageError{Key: b.key, Offset: off, Reason: fmt.Sprintf("%d bytes came out of the seal instead of %d", len(plain), n)}
	}
	return plain, nil
}

// bufferBytes is room for what one request brings, and for the chunks that it is sealed in.
const bufferBytes = maxRequest + 3*crypt.ObjectChunk

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}

// buffer lends n bytes or more.
func buffer(n int64) *[]byte {
	if n < minPart || n > bufferBytes {
		b := make([]byte, n)
		return &b
	}
	return buffers.Get().(*[]byte)
}

func release(b *[]byte) {
	if len(*b) == bufferBytes {
		buffers.Put(b)
	}
}

// get fills buf from the object as it is in the bucket.
func (b *blob) get(ctx context.Context, off int64, buf []byte) error {
	b.metrics.request(int64(len(buf)))
	body, info, err := b.bucket.Get(ctx, b.key, off, int64(len(buf)))
	if err != nil {
		return request(b.key, err)
	}
	got, err := io.ReadFull(body, buf)
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	switch {
	case err == nil:
		return nil
	case info.Size != b.size: // an object that is shorter than it was ends in the middle without the bucket's noticing
		return &DamageError{Key: b.key, Offset: off, Reason: fmt.Sprintf("the object has %d bytes instead of %d", info.Size, b.size), Err: err}
	}
	return fmt.Errorf("reading %s: %d of %d bytes from %d came: %w", b.key, got, len(buf), off, unavailable(err))
}

// unavailable makes an end before its time what it is: something to try again.
func unavailable(err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return fmt.Errorf("%w: %w", objstore.ErrUnavailable, err)
	}
	return err
}
