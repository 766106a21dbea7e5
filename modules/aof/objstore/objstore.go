// Package objstore is the part of an object store that a log needs: objects that are written once, a few that are
// replaced under a condition, ranges of them, and lists. Package s3store has S3; Memory and Dir are here.
//
// # Metrics
//
// Instrument makes these, in Prometheus's spelling:
//
//	bop_objstore_request_seconds{op,outcome}  histogram; its _count is the number of requests
//	bop_objstore_sent_bytes_total{op}         bytes of objects that were put, counted when they are there
//	bop_objstore_received_bytes_total{op}     bytes of bodies that were read, also of those that broke off
//
// op is put, get, head, list, delete or upload. In S3 an upload consists of put, or of upload_create, upload_part,
// upload_complete and upload_abort, which then have the bytes; Written's look at the object is not among them.
// outcome is ok, one of the conditions not_found, exists, changed, or a fault: canceled, range, denied, checksum, key,
// metadata, unavailable, error. An s3 bucket that bucketurl opens counts each attempt.
package objstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strings"
	"time"
)

// Bucket is a flat space of objects. Its methods may be called concurrently.
//
// Keys are UTF-8, of at most 1,024 bytes, elements separated by slashes; none is empty, "." or "..".
type Bucket interface {
	// Put writes an object of size bytes. Errors: ErrExists, ErrChanged, ErrChecksum.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (Info, error)
	// Get reads n bytes from off on; n < 0: to the end. A body that ends before that is ErrUnavailable, never just short.
	// Errors: ErrNotFound, ErrRange.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error)
	// Head describes an object. Errors: ErrNotFound.
	Head(ctx context.Context, key string) (Info, error)
	// List goes through the objects whose keys begin with prefix and come after after, in the order of their bytes.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes objects. It is no error if one isn't there.
	Delete(ctx context.Context, keys ...string) error
	// String is the bucket's URL, without secrets.
	String() string
}

// PutOptions are conditions of a Put, and what is kept with the object.
type PutOptions struct {
	IfAbsent bool    // there must be no such object
	IfMatch  string  // the object must be the one with this ETag
	CRC32C   *uint32 // of the body: the store refuses other bytes
	// Created becomes the object's Modified in Dir and Memory, if it isn't zero. S3 has no place for it.
	Created time.Time
	// Metadata is kept by S3 and Memory, not by Dir. Names are of a-z, 0-9 and -, values of printable ASCII; together at
	// most 2,048 bytes.
	Metadata map[string]string
}

// Info describes an object.
type Info struct {
	Key      string
	Size     int64
	ETag     string // changes with the object
	Modified time.Time
	CRC32C   *uint32           // nil: the store doesn't tell
	Metadata map[string]string // of Get and Head: what was put; lists don't tell. Not to be changed
}

// What can go wrong. Errors are *Error around one of these, or around what else the store says.
var (
	ErrNotFound    = errors.New("no such object")
	ErrExists      = errors.New("the object exists already")
	ErrChanged     = errors.New("the object was changed by another writer")
	ErrRange       = errors.New("the range begins behind the object's end")
	ErrDenied      = errors.New("access denied: check the credentials and what they may do")
	ErrChecksum    = errors.New("checksum mismatch")
	ErrKey         = errors.New("not a valid key")
	ErrMetadata    = errors.New("not valid metadata")
	ErrUnavailable = errors.New("the store doesn't answer as it should") // worth another try
)

// Error tells what was being done.
type Error struct {
	Op, Bucket, Key string
	Err             error
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("objstore: %s in %s: %v", e.Op, e.Bucket, e.Err)
	}
	return fmt.Sprintf("objstore: %s %s in %s: %v", e.Op, e.Key, e.Bucket, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// CheckKey refuses keys that not every store has.
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > 1024 {
		return fmt.Errorf("%w: it has %d bytes", ErrKey, len(key))
	}
	for e := range strings.SplitSeq(key, "/") {
		if e == "" || e == "." || e == ".." || strings.ContainsAny(e, "\x00\\") {
			return fmt.Errorf("%w: %q", ErrKey, key)
		}
	}
	return nil
}

// CheckMetadata refuses metadata that not every store has.
func CheckMetadata(m map[string]string) error {
	size := 0
	for name, value := range m {
		size += len(name) + len(value)
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("%w: names are of a-z, 0-9 and -, not %q", ErrMetadata, name)
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) || value != strings.TrimSpace(value) {
			return fmt.Errorf("%w: %s is %q: values are of printable ASCII, without spaces around them", ErrMetadata, name, value)
		}
	}
	if size > 2048 {
		return fmt.Errorf("%w: it has %d bytes, more than 2,048", ErrMetadata, size)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum reads an object and returns its CRC32C.
func Checksum(ctx context.Context, b Bucket, key string, size int64) (uint32, error) {
	body, _, err := b.Get(ctx, key, 0, size)
	if err != nil {
		return 0, err
	}
	h := crc32.New(castagnoli)
	n, err := io.Copy(h, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return 0, err
	}
	if n != size {
		return 0, &Error{"read", b.String(), key, fmt.Errorf("%w: %d of %d bytes came", ErrUnavailable, n, size)}
	}
	return h.Sum32(), nil
}

// Verify checks that the bucket has an object of that size and CRC32C: by what the store says of it, or, where it says
// no checksum, by reading it.
func Verify(ctx context.Context, b Bucket, key string, size int64, crc uint32) error {
	info, err := b.Head(ctx, key)
	if err != nil {
		return err
	}
	if info.Size != size {
		return &Error{"verify", b.String(), key, fmt.Errorf("%w: it has %d bytes instead of %d", ErrChecksum, info.Size, size)}
	}
	if info.CRC32C == nil && size > 0 {
		sum, err := Checksum(ctx, b, key, size)
		if err != nil {
			return err
		}
		info.CRC32C = &sum
	}
	if info.CRC32C != nil && *info.CRC32C != crc {
		return &Error{"verify", b.String(), key, fmt.Errorf("%w: it is %08x instead of %08x", ErrChecksum, *info.CRC32C, crc)}
	}
	return nil
}

// Prefix is the part of a bucket whose keys begin with prefix and a slash; its own keys go without.
func Prefix(b Bucket, prefix string) Bucket {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return b
	}
	return &prefixed{b, prefix + "/"}
}

type prefixed struct {
	b      Bucket
	prefix string
}

func (p *prefixed) strip(i Info, err error) (Info, error) {
	i.Key = strings.TrimPrefix(i.Key, p.prefix)
	return i, err
}

func (p *prefixed) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (Info, error) {
	return p.strip(p.b.Put(ctx, p.prefix+key, body, size, o))
}

func (p *prefixed) Upload(ctx context.Context, key string, r io.Reader, o PutOptions) (Info, error) {
	return p.strip(Upload(ctx, p.b, p.prefix+key, r, o))
}

func (p *prefixed) uploads() bool { return uploads(p.b) }

func (p *prefixed) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	body, info, err := p.b.Get(ctx, p.prefix+key, off, n)
	info, err = p.strip(info, err)
	return body, info, err
}

func (p *prefixed) Head(ctx context.Context, key string) (Info, error) {
	return p.strip(p.b.Head(ctx, p.prefix+key))
}

func (p *prefixed) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	if after != "" {
		after = p.prefix + after
	}
	return func(yield func(Info, error) bool) {
		for i, err := range p.b.List(ctx, p.prefix+prefix, after) {
			if !yield(p.strip(i, err)) {
				return
			}
		}
	}
}

func (p *prefixed) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, k := range keys {
		full[i] = p.prefix + k
	}
	return p.b.Delete(ctx, full...)
}

func (p *prefixed) String() string {
	base, query, found := strings.Cut(p.b.String(), "?")
	base = strings.TrimSuffix(base, "/") + "/" + strings.TrimSuffix(p.prefix, "/")
	if found {
		return base + "?" + query
	}
	return base
}

// bounds checks the range of a Get.
func bounds(size, off, n int64) (int64, error) {
	if off < 0 || off > size || off == size && size > 0 && n != 0 {
		return 0, fmt.Errorf("%w: %d of %d", ErrRange, off, size)
	}
	if n < 0 || n > size-off {
		return size - off, nil
	}
	return n, nil
}
