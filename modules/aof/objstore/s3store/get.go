package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// endless is more than any object has. Servers add to the end of a range, and some overflow.
const endless = 1 << 50

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	err := objstore.CheckKey(key)
	if err == nil && off < 0 {
		err = fmt.Errorf("%w: %d", objstore.ErrRange, off)
	}
	if err != nil {
		return nil, objstore.Info{}, b.fail("get", key, err)
	}
	if n == 0 {
		return b.nothing(ctx, key, off)
	}
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	switch {
	case n > 0 && n < endless:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	out, err := b.s3.GetObject(ctx, in)
	if err != nil {
		if err = classify(err); errors.Is(err, objstore.ErrRange) && off == 0 {
			return b.nothing(ctx, key, 0) // an empty object has no range at all
		}
		return nil, objstore.Info{}, b.fail("get", key, err)
	}
	info := objstore.Info{Key: key, ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified), Metadata: out.Metadata}
	length, err := extent(in, out, off, n, &info)
	if err != nil {
		out.Body.Close()
		return nil, objstore.Info{}, b.fail("get", key, fmt.Errorf("%w: %w", objstore.ErrUnavailable, err))
	}
	return b.whole(key, out.Body, length), info, nil
}

// nothing is the empty range at off.
func (b *Bucket) nothing(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	info, err := b.Head(ctx, key)
	if err == nil && off > info.Size {
		err = b.fail("get", key, objstore.ErrRange)
	}
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return io.NopCloser(bytes.NewReader(nil)), info, nil
}

// extent checks that an answer has the range that was asked for, and tells its length and the object's.
func extent(in *s3.GetObjectInput, out *s3.GetObjectOutput, off, n int64, info *objstore.Info) (int64, error) {
	if out.ContentLength == nil || *out.ContentLength < 0 {
		return 0, errors.New("the answer doesn't tell the body's length")
	}
	length := *out.ContentLength
	if in.Range == nil {
		info.Size = length
		return length, nil
	}
	if out.ContentRange == nil {
		return 0, errors.New("a range was asked for, the whole object came")
	}
	var first, last, size int64
	if _, err := fmt.Sscanf(*out.ContentRange, "bytes %d-%d/%d", &first, &last, &size); err != nil {
		return 0, fmt.Errorf("the range in the answer is %q", *out.ContentRange)
	}
	want := size - off
	if n > 0 {
		want = min(n, want)
	}
	if first != off || last-first+1 != want || length != want {
		return 0, fmt.Errorf("%s was asked for, %q with %d bytes came", *in.Range, *out.ContentRange, length)
	}
	info.Size = size
	return length, nil
}

// whole is a body that is an error if it ends early or stalls.
type whole struct {
	io.ReadCloser
	b       *Bucket
	key     string
	left    int64
	timer   *time.Timer
	stalled atomic.Bool
}

func (b *Bucket) whole(key string, body io.ReadCloser, length int64) *whole {
	w := &whole{ReadCloser: body, b: b, key: key, left: length}
	w.timer = time.AfterFunc(b.stall, func() {
		w.stalled.Store(true)
		body.Close() // ends a Read that waits
	})
	w.timer.Stop() // it runs while somebody reads
	return w
}

func (w *whole) Read(p []byte) (int, error) {
	w.timer.Reset(w.b.stall)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	w.left -= int64(n)
	switch {
	case err == io.EOF && w.left == 0:
		return n, err
	case w.stalled.Load():
		err = fmt.Errorf("%w: no byte came for %v: %w", objstore.ErrUnavailable, w.b.stall, io.ErrUnexpectedEOF)
	case err == io.EOF:
		err = fmt.Errorf("%w: %d bytes are missing: %w", objstore.ErrUnavailable, w.left, io.ErrUnexpectedEOF)
	case err != nil:
		err = classify(err)
	default:
		return n, nil
	}
	return n, w.b.fail("get", w.key, err)
}

func (w *whole) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
