// Package faulty is a bucket that fails as the caller says, for tests.
package faulty

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// Call is a request.
type Call struct {
	Op  string // "put", "upload", "get", "head", "list" or "delete"
	Key string // of a list: its prefix; of a delete: its keys, with spaces between them
	N   int    // how many requests of that Op there were before
}

// Fault is what happens to a request. The zero value is nothing.
type Fault struct {
	Before error           // it fails and has no effect
	After  error           // it has its effect, and the answer is lost
	Wait   <-chan struct{} // it waits until this is closed, or its context ends
	Cut    int64           // a body ends after so many bytes, if not 0; negative: at once
	Flip   int64           // the bit that is flipped in a body: its number plus one
	Stale  bool            // a list shows what was there at the time of the list before
}

// Bucket wraps one.
type Bucket struct {
	objstore.Bucket
	fault func(Call) Fault

	mu    sync.Mutex
	count map[string]int
	lists map[string][]objstore.Info // what each prefix's last list showed
}

// New makes one of which fault decides what happens to each request.
func New(b objstore.Bucket, fault func(Call) Fault) *Bucket {
	return &Bucket{Bucket: b, fault: fault, count: map[string]int{}, lists: map[string][]objstore.Info{}}
}

// Count is how many requests of an operation there were.
func (b *Bucket) Count(op string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count[op]
}

func (b *Bucket) begin(ctx context.Context, op, key string) (Fault, error) {
	b.mu.Lock()
	c := Call{op, key, b.count[op]}
	b.count[op]++
	b.mu.Unlock()
	f := b.fault(c)
	if f.Wait != nil {
		select {
		case <-f.Wait:
		case <-ctx.Done():
			return f, context.Cause(ctx)
		}
	}
	return f, f.Before
}

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o objstore.PutOptions) (objstore.Info, error) {
	f, err := b.begin(ctx, "put", key)
	if err != nil {
		return objstore.Info{}, err
	}
	info, err := b.Bucket.Put(ctx, key, body, size, o)
	return info, errors.Join(err, f.After)
}

// Upload implements objstore.Uploader.
func (b *Bucket) Upload(ctx context.Context, key string, r io.Reader, o objstore.PutOptions) (objstore.Info, error) {
	f, err := b.begin(ctx, "upload", key)
	if err != nil {
		return objstore.Info{}, err
	}
	info, err := objstore.Upload(ctx, b.Bucket, key, r, o)
	return info, errors.Join(err, f.After)
}

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	f, err := b.begin(ctx, "get", key)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	body, info, err := b.Bucket.Get(ctx, key, off, n)
	if err != nil || f.Cut == 0 && f.Flip == 0 {
		return body, info, err
	}
	return &bad{ReadCloser: body, f: f}, info, nil
}

// bad is a body with a fault.
type bad struct {
	io.ReadCloser
	f   Fault
	off int64
}

func (b *bad) Read(p []byte) (int, error) {
	if cut := max(b.f.Cut, 0); b.f.Cut != 0 {
		if b.off >= cut {
			return 0, errors.Join(objstore.ErrUnavailable, io.ErrUnexpectedEOF)
		}
		p = p[:min(int64(len(p)), cut-b.off)]
	}
	n, err := b.ReadCloser.Read(p)
	if at := (b.f.Flip - 1) / 8; b.f.Flip > 0 && b.off <= at && at < b.off+int64(n) {
		p[at-b.off] ^= 1 << ((b.f.Flip - 1) % 8)
	}
	b.off += int64(n)
	return n, err
}

// Head implements objstore.Bucket.
func (b *Bucket) Head(ctx context.Context, key string) (objstore.Info, error) {
	if _, err := b.begin(ctx, "head", key); err != nil {
		return objstore.Info{}, err
	}
	return b.Bucket.Head(ctx, key)
}

// List implements objstore.Bucket.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		f, err := b.begin(ctx, "list", prefix)
		if err != nil {
			yield(objstore.Info{}, err)
			return
		}
		var now []objstore.Info
		for info, err := range b.Bucket.List(ctx, prefix, after) {
			if err != nil {
				yield(objstore.Info{}, err)
				return
			}
			now = append(now, info)
		}
		b.mu.Lock()
		show := now
		if f.Stale {
			show = b.lists[prefix]
		}
		b.lists[prefix] = now
		b.mu.Unlock()
		for _, info := range show {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete implements objstore.Bucket.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	f, err := b.begin(ctx, "delete", strings.Join(keys, " "))
	if err != nil {
		return err
	}
	return errors.Join(b.Bucket.Delete(ctx, keys...), f.After)
}
