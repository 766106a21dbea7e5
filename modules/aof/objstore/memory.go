package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a bucket in memory.
type Memory struct {
	mu      sync.Mutex
	objects map[string]*memObject
	version uint64
}

type memObject struct {
	info Info
	b    []byte
}

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{objects: map[string]*memObject{}} }

func (m *Memory) String() string { return "mem:" }

func (m *Memory) fail(op, key string, err error) error {
	return &Error{op, m.String(), key, err}
}

// Put implements Bucket.
func (m *Memory) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (Info, error) {
	err := errors.Join(CheckKey(key), CheckMetadata(o.Metadata))
	var b []byte
	if err == nil {
		b = make([]byte, size)
		_, err = io.ReadFull(io.NewSectionReader(body, 0, size), b)
	}
	if err == nil {
		err = ctx.Err()
	}
	sum := crc32.Checksum(b, castagnoli)
	if err == nil && o.CRC32C != nil && *o.CRC32C != sum {
		err = fmt.Errorf("%w: the body has %08x instead of %08x", ErrChecksum, sum, *o.CRC32C)
	}
	if err != nil {
		return Info{}, m.fail("put", key, err)
	}
	return m.set("put", key, b, sum, o)
}

// Upload implements Uploader.
func (m *Memory) Upload(ctx context.Context, key string, r io.Reader, o PutOptions) (Info, error) {
	if err := errors.Join(CheckKey(key), CheckMetadata(o.Metadata)); err != nil {
		return Info{}, m.fail("upload", key, err)
	}
	src := &source{ctx: ctx, r: r}
	b, err := io.ReadAll(src)
	if err == nil {
		err = errors.Join(src.check(o), ctx.Err())
	}
	if err != nil {
		return Info{}, m.fail("upload", key, err)
	}
	return m.set("upload", key, b, src.sum, o)
}

// set makes b an object, which must not be changed any more.
func (m *Memory) set(op, key string, b []byte, sum uint32, o PutOptions) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.objects[key]
	switch {
	case o.IfAbsent && old != nil:
		return Info{}, m.fail(op, key, ErrExists)
	case o.IfMatch != "" && (old == nil || old.info.ETag != o.IfMatch):
		return Info{}, m.fail(op, key, ErrChanged)
	}
	m.version++
	info := Info{Key: key, Size: int64(len(b)), ETag: fmt.Sprint(m.version), Modified: o.Created, CRC32C: &sum, Metadata: maps.Clone(o.Metadata)}
	if o.Created.IsZero() {
		info.Modified = time.Now()
	}
	m.objects[key] = &memObject{info, b}
	return info, nil
}

func (m *Memory) find(op, key string) (*memObject, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.objects[key]; o != nil {
		return o, nil
	}
	return nil, m.fail(op, key, ErrNotFound)
}

// Get implements Bucket.
func (m *Memory) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return nil, Info{}, m.fail("get", key, err)
	}
	o, err := m.find("get", key)
	if err != nil {
		return nil, Info{}, err
	}
	if n, err = bounds(o.info.Size, off, n); err != nil {
		return nil, Info{}, m.fail("get", key, err)
	}
	return io.NopCloser(bytes.NewReader(o.b[off : off+n])), o.info, nil
}

// Head implements Bucket.
func (m *Memory) Head(ctx context.Context, key string) (Info, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return Info{}, m.fail("head", key, err)
	}
	o, err := m.find("head", key)
	if err != nil {
		return Info{}, err
	}
	return o.info, nil
}

// List implements Bucket.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		m.mu.Lock()
		var list []Info
		for k, o := range m.objects {
			if strings.HasPrefix(k, prefix) && k > after {
				info := o.info
				info.Metadata = nil
				list = append(list, info)
			}
		}
		m.mu.Unlock()
		slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
		for _, i := range list {
			if err := ctx.Err(); err != nil {
				yield(Info{}, m.fail("list", prefix, err))
				return
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

// Delete implements Bucket.
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return m.fail("delete", "", err)
	}
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return m.fail("delete", k, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.objects, k)
	}
	return nil
}
