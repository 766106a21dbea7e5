package objstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// Uploader is what a bucket implements that can do Upload by itself.
type Uploader interface {
	Upload(ctx context.Context, key string, r io.Reader, o PutOptions) (Info, error)
}

// Upload writes an object whose length isn't known before its end. It appears only when it is whole: if r fails or ctx
// ends, nothing does. Errors: those of Put, and r's own.
//
// r is read once, so a Retry around b repeats only what begins before the first byte; stores that are reached through a
// network repeat the parts themselves. A bucket that is no Uploader gets the object from a temporary file.
func Upload(ctx context.Context, b Bucket, key string, r io.Reader, o PutOptions) (Info, error) {
	if u, ok := b.(Uploader); ok {
		return u.Upload(ctx, key, r, o)
	}
	return spool(ctx, b, key, r, o)
}

// uploads tells whether a bucket does uploads by itself, also one in a wrapper of this package, which always can.
func uploads(b Bucket) bool {
	if w, ok := b.(interface{ uploads() bool }); ok {
		return w.uploads()
	}
	_, ok := b.(Uploader)
	return ok
}

// spool puts an object from a temporary file without a name.
func spool(ctx context.Context, b Bucket, key string, r io.Reader, o PutOptions) (info Info, err error) {
	fail := func(err error) (Info, error) { return Info{}, &Error{"upload", b.String(), key, err} }
	f, err := os.CreateTemp("", "bop-upload-*")
	if err != nil {
		return fail(fmt.Errorf("making a temporary file: %w", err))
	}
	named := os.Remove(f.Name()) != nil // some systems don't let go of a name before the file is closed
	defer func() {
		f.Close()
		if named {
			os.Remove(f.Name())
		}
	}()
	src := &source{ctx: ctx, r: r}
	if _, err := io.Copy(f, src); err != nil {
		return fail(err)
	}
	if err := src.check(o); err != nil {
		return fail(err)
	}
	o.CRC32C = &src.sum
	return b.Put(ctx, key, f, src.n, o)
}

// source is the body of an upload: it ends with its context, sums up what it reads, and keeps what the reader fails with,
// so that it isn't taken for an error of the store.
type source struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	sum  uint32
	done bool  // r came to its end
	err  error // of r or ctx
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	switch {
	case err == io.EOF:
		s.done = true
	case err != nil:
		s.err = fmt.Errorf("reading the body: %w", err)
		err = s.err
	}
	return n, err
}

// check compares what was read with what the caller said of it.
func (s *source) check(o PutOptions) error {
	if o.CRC32C != nil && *o.CRC32C != s.sum {
		return fmt.Errorf("%w: the body has %08x instead of %08x", ErrChecksum, s.sum, *o.CRC32C)
	}
	return nil
}

// Written finds out whether a write whose answer was lost has had its effect: lost is the error that it ended with, which
// comes back if it hasn't. An object of that size and checksum is taken for the one that was written. With IfMatch that
// isn't told: another writer may have written the same bytes, so an object that was replaced is ErrChanged, and the
// caller has to look.
func Written(ctx context.Context, b Bucket, key string, size int64, crc uint32, o PutOptions, lost error) (Info, error) {
	info, err := b.Head(ctx, key)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return Info{}, errors.Join(lost, err)
	case o.IfMatch != "" && (err != nil || info.ETag != o.IfMatch):
		return Info{}, &Error{"upload", b.String(), key, ErrChanged}
	case o.IfMatch != "" || err != nil:
		return Info{}, lost
	}
	err = Verify(ctx, b, key, size, crc)
	switch {
	case err == nil:
		info.CRC32C = &crc
		return info, nil
	case errors.Is(err, ErrChecksum) && o.IfAbsent:
		return Info{}, &Error{"upload", b.String(), key, ErrExists}
	case errors.Is(err, ErrChecksum), errors.Is(err, ErrNotFound):
		return Info{}, lost
	}
	return Info{}, errors.Join(lost, err)
}
