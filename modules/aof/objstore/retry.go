package objstore

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"math/rand/v2"
	"time"
)

// RetryOptions say how often and how long. The zero value is good.
type RetryOptions struct {
	Attempts int           // of one request; default 5
	First    time.Duration // the longest wait before the second attempt, doubled each time; default 50 ms
	Most     time.Duration // the longest wait; default 5 s
	Elapsed  time.Duration // no attempt begins later than this after the first; default: no limit but Attempts
	Now      func() time.Time
	// Sleep waits, or returns ctx's error. Default: by the machine's clock.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Retry repeats requests that fail with ErrUnavailable, after a random wait that grows. A put of an object that must be
// absent and whose answer was lost finds its own object at the next attempt, and knows it by length and checksum. A put
// with IfMatch then gets ErrChanged: another writer may have written the same bytes, so the caller has to look.
func Retry(b Bucket, o RetryOptions) Bucket { return &retrying{b, o.withDefaults()} }

func (o RetryOptions) withDefaults() RetryOptions {
	if o.Attempts <= 0 {
		o.Attempts = 5
	}
	if o.First <= 0 {
		o.First = 50 * time.Millisecond
	}
	if o.Most <= 0 {
		o.Most = 5 * time.Second
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Do calls f until it does not fail with ErrUnavailable, or the attempts or the time are used up; attempt counts from 1.
func (o RetryOptions) Do(ctx context.Context, f func(attempt int) error) error {
	o = o.withDefaults()
	began := o.Now()
	for attempt := 1; ; attempt++ {
		err := f(attempt)
		if !errors.Is(err, ErrUnavailable) || attempt == o.Attempts {
			return err
		}
		most := min(o.First<<min(attempt-1, 20), o.Most)
		wait := time.Duration(rand.Int64N(int64(most) + 1))
		if o.Elapsed > 0 && o.Now().Sub(began)+wait > o.Elapsed {
			return err
		}
		if stop := o.Sleep(ctx, wait); stop != nil {
			return errors.Join(err, stop)
		}
	}
}

type retrying struct {
	Bucket
	o RetryOptions
}

func (r *retrying) do(ctx context.Context, f func(attempt int) error) error { return r.o.Do(ctx, f) }

func (r *retrying) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (info Info, err error) {
	err = r.do(ctx, func(attempt int) error {
		info, err = r.Bucket.Put(ctx, key, body, size, o)
		if attempt > 1 && errors.Is(err, ErrExists) {
			if own, ok := r.own(ctx, key, body, size, o); ok {
				info, err = own, nil
			}
		}
		return err
	})
	return info, err
}

// own tells whether the object is the one that an earlier attempt put.
func (r *retrying) own(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (Info, bool) {
	sum := o.CRC32C
	if sum == nil {
		h := crc32.New(castagnoli)
		if _, err := io.Copy(h, io.NewSectionReader(body, 0, size)); err != nil {
			return Info{}, false
		}
		n := h.Sum32()
		sum = &n
	}
	if Verify(ctx, r, key, size, *sum) != nil {
		return Info{}, false
	}
	info, err := r.Head(ctx, key)
	return info, err == nil
}

// Upload repeats what fails before the body's first byte is read. After its last one an answer may have been lost, which
// Written finds out.
func (r *retrying) Upload(ctx context.Context, key string, body io.Reader, o PutOptions) (info Info, err error) {
	if !r.uploads() {
		return spool(ctx, r, key, body, o) // its Put can be repeated
	}
	src := &source{ctx: ctx, r: body}
	var failed error
	err = r.do(ctx, func(int) error {
		info, failed = Upload(ctx, r.Bucket, key, src, o)
		if src.n > 0 || src.done || src.err != nil {
			return nil
		}
		return failed
	})
	if err == nil {
		err = failed
	}
	if src.done && src.err == nil && errors.Is(err, ErrUnavailable) {
		return Written(ctx, r, key, src.n, src.sum, o, err)
	}
	return info, err
}

func (r *retrying) uploads() bool { return uploads(r.Bucket) }

func (r *retrying) Get(ctx context.Context, key string, off, n int64) (body io.ReadCloser, info Info, err error) {
	err = r.do(ctx, func(int) error {
		body, info, err = r.Bucket.Get(ctx, key, off, n)
		return err
	})
	if err != nil {
		return nil, info, err
	}
	if n < 0 || n > info.Size-off {
		n = info.Size - off
	}
	return &resuming{r: r, ctx: ctx, key: key, etag: info.ETag, off: off, left: n, body: body}, info, nil
}

// resuming is a body that goes on where it broke off.
type resuming struct {
	r         *retrying
	ctx       context.Context
	key, etag string
	off, left int64
	body      io.ReadCloser
}

func (b *resuming) Read(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	err = b.r.do(b.ctx, func(attempt int) error {
		if attempt > 1 {
			b.body.Close()
			body, info, err := b.r.Bucket.Get(b.ctx, b.key, b.off, b.left)
			if err != nil {
				return err
			}
			b.body = body
			if info.ETag != b.etag {
				return &Error{"get", b.r.String(), b.key, ErrChanged}
			}
		}
		n, err = b.body.Read(p[:min(int64(len(p)), b.left)])
		if n > 0 || err == nil {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return &Error{"get", b.r.String(), b.key, errShort}
		}
		return err
	})
	b.off += int64(n)
	b.left -= int64(n)
	return n, err
}

func (b *resuming) Close() error { return b.body.Close() }

// errShort is a body that ends before its length.
var errShort = errors.Join(ErrUnavailable, io.ErrUnexpectedEOF)

func (r *retrying) Head(ctx context.Context, key string) (info Info, err error) {
	err = r.do(ctx, func(int) error {
		info, err = r.Bucket.Head(ctx, key)
		return err
	})
	return info, err
}

func (r *retrying) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		stopped := false
		err := r.do(ctx, func(int) error {
			for info, err := range r.Bucket.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				after = info.Key // the next attempt goes on behind it
				if stopped = !yield(info, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Info{}, err)
		}
	}
}

func (r *retrying) Delete(ctx context.Context, keys ...string) error {
	return r.do(ctx, func(int) error { return r.Bucket.Delete(ctx, keys...) })
}
