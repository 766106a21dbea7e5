package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

const (
	firstPart = 8 << 20
	growAfter = 1000
	maxParts  = 10_000
	// partsAtOnce are in memory, of which one is being read and the others are on their way.
	partsAtOnce = 3
	// abortTime is how long giving up may take.
	abortTime = 30 * time.Second
)

// partSize is the length of the nth part, from 1 on. All 10,000 together are 8 TiB, more than an object may have.
func (b *Bucket) partSize(n int) int64 { return b.part << ((n - 1) / b.grow) }

// Upload implements objstore.Uploader. What fits into one part is an ordinary Put; each part, and what is before and after
// them, is repeated by itself. An upload that fails is aborted, so that its parts cost nothing; if the store doesn't
// answer to that either, the error tells.
func (b *Bucket) Upload(ctx context.Context, key string, r io.Reader, o objstore.PutOptions) (objstore.Info, error) {
	if err := errors.Join(objstore.CheckKey(key), objstore.CheckMetadata(o.Metadata)); err != nil {
		return objstore.Info{}, b.fail("upload", key, err)
	}
	src := &body{ctx: ctx, r: r}
	first, err := src.part(nil, b.partSize(1))
	if err != nil {
		return objstore.Info{}, b.fail("upload", key, err)
	}
	second, err := src.part(nil, b.partSize(2))
	if err != nil {
		return objstore.Info{}, b.fail("upload", key, err)
	}
	if len(second) == 0 {
		return objstore.Retry(observed{b}, b.retry).Put(ctx, key, bytes.NewReader(first), int64(len(first)), o)
	}
	u := &multipart{b: b, key: key, o: o, src: src}
	if err := u.create(ctx); err != nil {
		return objstore.Info{}, b.fail("upload", key, err)
	}
	info, err := u.send(ctx, first, second)
	if err != nil {
		return objstore.Info{}, b.fail("upload", key, errors.Join(err, u.abort(ctx)))
	}
	return info, nil
}

// observed tells of a Put as a request of an Upload.
type observed struct{ *Bucket }

func (b observed) Put(ctx context.Context, key string, r io.ReaderAt, size int64, o objstore.PutOptions) (info objstore.Info, err error) {
	ctx, end := objstore.Observe(ctx, "put")
	defer func() { end(size, err) }()
	return b.Bucket.Put(ctx, key, r, size, o)
}

// body is an object that comes in parts.
type body struct {
	ctx  context.Context
	r    io.Reader
	size int64
	sum  uint32
	done bool
}

// part reads the next size bytes, fewer only at the end, into buf if that is large enough. The buffer of a short body
// doesn't become much longer than the body.
func (s *body) part(buf []byte, size int64) ([]byte, error) {
	if s.done {
		return nil, nil
	}
	n := 0
	if int64(cap(buf)) < size {
		first := size
		if s.size == 0 {
			first = min(size, 256<<10)
		}
		buf = make([]byte, first)
	}
	buf = buf[:min(int64(cap(buf)), size)]
	for !s.done && int64(n) < size {
		if n == len(buf) {
			longer := make([]byte, min(int64(4*n), size))
			copy(longer, buf)
			buf = longer
		}
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		m, err := s.r.Read(buf[n:])
		n += m
		if err == io.EOF {
			s.done = true
		} else if err != nil {
			return nil, fmt.Errorf("reading the body: %w", err)
		}
	}
	buf = buf[:n]
	s.size += int64(n)
	s.sum = crc32.Update(s.sum, castagnoli, buf)
	return buf, nil
}

// multipart is an upload in parts.
type multipart struct {
	b     *Bucket
	key   string
	o     objstore.PutOptions
	src   *body
	id    string
	whole bool // the store keeps the checksum of the whole object, not one of its parts' checksums

	mu    sync.Mutex
	parts []types.CompletedPart
}

// request does f as often as it takes; size is what it brings.
func (u *multipart) request(ctx context.Context, op string, size int64, f func(context.Context) error) error {
	return u.b.retry.Do(ctx, func(int) error {
		ctx, end := objstore.Observe(ctx, op)
		err := f(ctx)
		end(size, err)
		return err
	})
}

func (u *multipart) create(ctx context.Context) error {
	in := &s3.CreateMultipartUploadInput{
		Bucket: &u.b.name, Key: &u.key, Metadata: u.o.Metadata,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject,
	}
	err := u.request(ctx, "upload_create", 0, func(ctx context.Context) error {
		out, err := u.b.s3.CreateMultipartUpload(ctx, in)
		if err != nil && in.ChecksumType != "" && isCode(err, "InvalidRequest", "InvalidArgument", "NotImplemented") {
			in.ChecksumType = "" // some stores have checksums of parts alone
			out, err = u.b.s3.CreateMultipartUpload(ctx, in)
		}
		if err != nil {
			return classify(err)
		}
		if u.id = aws.ToString(out.UploadId); u.id == "" {
			return fmt.Errorf("%w: the upload got no number", objstore.ErrUnavailable)
		}
		u.whole = out.ChecksumType == types.ChecksumTypeFullObject
		return nil
	})
	if err != nil {
		return fmt.Errorf("beginning an upload in parts: %w", err)
	}
	return nil
}

// send brings the parts, of which the first two have been read, and completes the upload. When it returns, no part is on
// its way any more.
func (u *multipart) send(ctx context.Context, first, second []byte) (objstore.Info, error) {
	group, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	free := make(chan []byte, partsAtOnce)
	for range partsAtOnce - 2 {
		free <- nil
	}
	sendPart := func(n int, buf []byte) {
		wg.Go(func() {
			if err := u.part(group, n, buf); err != nil {
				cancel(err)
			}
			free <- buf
		})
	}
	sendPart(1, first)
	sendPart(2, second)
	err := u.rest(group, free, sendPart)
	if err != nil {
		cancel(err)
	}
	wg.Wait()
	if group.Err() != nil {
		return objstore.Info{}, context.Cause(group) // the first error, not those that followed from it
	}
	if u.o.CRC32C != nil && *u.o.CRC32C != u.src.sum {
		return objstore.Info{}, fmt.Errorf("%w: the body has %08x instead of %08x", objstore.ErrChecksum, u.src.sum, *u.o.CRC32C)
	}
	return u.complete(ctx)
}

// rest reads and sends the parts from the third on.
func (u *multipart) rest(ctx context.Context, free <-chan []byte, send func(int, []byte)) error {
	for n := 3; ; n++ {
		var buf []byte
		select {
		case buf = <-free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		buf, err := u.src.part(buf, u.b.partSize(n))
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case len(buf) == 0:
			return nil
		case n > u.b.most:
			return fmt.Errorf("the object is longer than the %d bytes that %d parts can bring: split it", u.src.size-int64(len(buf)), u.b.most)
		}
		send(n, buf)
	}
}

// lasting is a context that ends so long after ctx. A part that is on its way when its upload is aborted may stay in the
// store for ever, so it may come to its end first.
func lasting(ctx context.Context, grace time.Duration) (_ context.Context, stop func()) {
	long, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(long, func() { t.Stop() })
	})
	return long, func() { unwatch(); cancel(nil) }
}

func (u *multipart) part(ctx context.Context, n int, buf []byte) error {
	sum := aws.String(encodeSum(crc32.Checksum(buf, castagnoli)))
	number, size := int32(n), int64(len(buf))
	var etag *string
	err := u.request(ctx, "upload_part", size, func(ctx context.Context) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		ctx, stop := lasting(ctx, u.b.partGrace)
		defer stop()
		out, err := u.b.s3.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &u.b.name, Key: &u.key, UploadId: &u.id, PartNumber: &number,
			Body: bytes.NewReader(buf), ContentLength: &size, ChecksumCRC32C: sum,
		})
		if err != nil {
			return classify(err)
		}
		if etag = out.ETag; aws.ToString(etag) == "" {
			return fmt.Errorf("%w: the answer has no ETag", objstore.ErrUnavailable)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("part %d of %d bytes: %w", n, size, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.parts) < n {
		u.parts = append(u.parts, types.CompletedPart{})
	}
	u.parts[n-1] = types.CompletedPart{PartNumber: &number, ETag: etag, ChecksumCRC32C: sum}
	return nil
}

// complete makes the parts an object. Once an answer was lost, what the next ones say of conditions, or that there is no
// such upload, may be this upload's own effect.
func (u *multipart) complete(ctx context.Context) (objstore.Info, error) {
	sum, size := u.src.sum, u.src.size
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.b.name, Key: &u.key, UploadId: &u.id, MpuObjectSize: &size,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	if u.whole {
		in.ChecksumType, in.ChecksumCRC32C = types.ChecksumTypeFullObject, aws.String(encodeSum(sum))
	}
	if u.o.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	if u.o.IfMatch != "" {
		in.IfMatch = &u.o.IfMatch
	}
	info := objstore.Info{Key: u.key, Size: size, CRC32C: &sum}
	var lost error
	err := u.request(ctx, "upload_complete", 0, func(ctx context.Context) error {
		out, err := u.b.s3.CompleteMultipartUpload(ctx, in)
		if err != nil {
			if err = conditional(classify(err), u.o); errors.Is(err, objstore.ErrUnavailable) {
				lost = err
			}
			return err
		}
		info.ETag, info.Modified = aws.ToString(out.ETag), time.Now()
		return nil
	})
	switch {
	case err == nil:
		return info, nil
	case ctx.Err() != nil:
		return objstore.Info{}, err
	case lost != nil:
		return objstore.Written(ctx, objstore.Retry(u.b, u.b.retry), u.key, size, sum, u.o, err)
	}
	return objstore.Info{}, fmt.Errorf("completing the upload: %w", err)
}

// abort lets go of the parts, also after the context's end. The error tells that they may have stayed.
func (u *multipart) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	err := u.request(ctx, "upload_abort", 0, func(ctx context.Context) error {
		_, err := u.b.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.b.name, Key: &u.key, UploadId: &u.id})
		if err != nil {
			return classify(err)
		}
		return nil
	})
	if err == nil || errors.Is(err, errNoUpload) || errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("the upload couldn't be aborted, so its parts stay until a lifecycle rule of the bucket removes them: %w", err)
}
