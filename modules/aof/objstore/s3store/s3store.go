// Package s3store is a bucket in S3, or in what speaks its protocol.
//
// Credentials, region and endpoint come from where AWS's own tools take them: AWS_ACCESS_KEY_ID and the like, AWS_REGION,
// AWS_ENDPOINT_URL, AWS_PROFILE, the shared files, the machine's role. Options override them.
package s3store

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// maxPut is the most that one PutObject takes.
const maxPut = 5 << 30

// deletesAtOnce is the most keys that one DeleteObjects takes.
const deletesAtOnce = 1000

// Options say which bucket. Only Bucket has to be set.
type Options struct {
	Bucket      string
	Endpoint    string                  // URL of another server than Amazon's
	Region      string                  // default: from the environment, else us-east-1
	Profile     string                  // of the shared files
	PathStyle   *bool                   // bucket in the path, not in the host's name; default: with an Endpoint
	Credentials aws.CredentialsProvider // default: where AWS's tools look
	// HTTP sends the requests. Default: one with limits for connecting and for the first byte of an answer.
	HTTP config.HTTPClient
	// Retry is for the parts of an Upload, which a Retry around the bucket can't repeat. Without Attempts and Elapsed each is
	// tried for two minutes: what came before it would be lost.
	Retry objstore.RetryOptions
}

// Bucket is an objstore.Bucket in S3.
type Bucket struct {
	name string
	url  string
	s3   *s3.Client
	// stall is how long a body may bring nothing. The transport has no such limit.
	stall time.Duration
	retry objstore.RetryOptions
	// partGrace is how long a part may go on when its upload is given up.
	partGrace time.Duration
	part      int64 // length of an upload's first part
	grow      int   // after so many parts they are twice as long
	most      int   // parts of an upload
}

// Open makes a Bucket. It sends no request.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	if o.Bucket == "" {
		return nil, errors.New("objstore: the bucket has no name")
	}
	if err := checkEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	if o.HTTP == nil {
		o.HTTP = client()
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(o.HTTP),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), // objstore.Retry knows better what may be repeated
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithLogger(logging.Nop{}), // it tells of bodies that break off, which are errors anyway
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	} else {
		load = append(load, config.WithDefaultRegion("us-east-1"))
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(o.Credentials))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("objstore: reading AWS's configuration: %w", err)
	}
	if o.Retry.Attempts == 0 && o.Retry.Elapsed == 0 {
		o.Retry.Attempts, o.Retry.Elapsed = math.MaxInt, 2*time.Minute
	}
	b := &Bucket{name: o.Bucket, url: "s3://" + o.Bucket, stall: 60 * time.Second, partGrace: 5 * time.Second, retry: o.Retry, part: firstPart, grow: growAfter, most: maxParts}
	b.s3 = s3.NewFromConfig(c, func(s *s3.Options) {
		if o.Endpoint != "" {
			s.BaseEndpoint = &o.Endpoint
		}
		s.UsePathStyle = s.BaseEndpoint != nil
		if o.PathStyle != nil {
			s.UsePathStyle = *o.PathStyle
		}
	})
	if o.Endpoint != "" {
		b.url += "?endpoint=" + url.QueryEscape(o.Endpoint)
	}
	return b, nil
}

// checkEndpoint refuses what would show up in logs, without repeating it.
func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("objstore: the endpoint can't be read: it is http://host:port or https://host")
	}
	if u.User != nil || u.RawQuery != "" {
		return errors.New("objstore: credentials and parameters don't belong into the endpoint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile")
	}
	return nil
}

func client() config.HTTPClient {
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
		d.Timeout, d.KeepAlive = 10*time.Second, 30*time.Second
	}).WithTransportOptions(func(t *http.Transport) {
		t.TLSHandshakeTimeout = 10 * time.Second
		t.ResponseHeaderTimeout = 60 * time.Second
		t.IdleConnTimeout = 90 * time.Second
		t.MaxIdleConnsPerHost = 16
	})
}

func (b *Bucket) String() string { return b.url }

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o objstore.PutOptions) (objstore.Info, error) {
	if err := errors.Join(objstore.CheckKey(key), objstore.CheckMetadata(o.Metadata)); err != nil {
		return objstore.Info{}, b.fail("put", key, err)
	}
	if size > maxPut {
		return objstore.Info{}, b.fail("put", key, fmt.Errorf("%d bytes are more than the 5 GiB that one request can bring: use smaller segments, or Upload", size))
	}
	sum, err := checksum(io.NewSectionReader(body, 0, size))
	if err == nil && o.CRC32C != nil && *o.CRC32C != sum {
		err = fmt.Errorf("%w: the body has %08x instead of %08x", objstore.ErrChecksum, sum, *o.CRC32C)
	}
	if err != nil {
		return objstore.Info{}, b.fail("put", key, err)
	}
	in := &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: io.NewSectionReader(body, 0, size), ContentLength: &size, ChecksumCRC32C: aws.String(encodeSum(sum)),
		Metadata: o.Metadata,
	}
	if o.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	if o.IfMatch != "" {
		in.IfMatch = &o.IfMatch
	}
	out, err := b.s3.PutObject(ctx, in)
	if err != nil {
		return objstore.Info{}, b.fail("put", key, conditional(classify(err), o))
	}
	return objstore.Info{Key: key, Size: size, ETag: aws.ToString(out.ETag), Modified: time.Now(), CRC32C: &sum}, nil
}

// Head implements objstore.Bucket.
func (b *Bucket) Head(ctx context.Context, key string) (objstore.Info, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Info{}, b.fail("head", key, err)
	}
	out, err := b.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return objstore.Info{}, b.fail("head", key, classify(err))
	}
	return objstore.Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		CRC32C: decodeSum(aws.ToString(out.ChecksumCRC32C)), Metadata: out.Metadata,
	}, nil
}

// List implements objstore.Bucket.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
		if after != "" {
			in.StartAfter = &after
		}
		pages := s3.NewListObjectsV2Paginator(b.s3, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(objstore.Info{}, b.fail("list", prefix, classify(err)))
				return
			}
			for _, o := range page.Contents {
				info := objstore.Info{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// Delete implements objstore.Bucket.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := objstore.CheckKey(key); err != nil {
			return b.fail("delete", key, err)
		}
	}
	for len(keys) > 0 {
		n := min(len(keys), deletesAtOnce)
		ids := make([]types.ObjectIdentifier, n)
		for i, key := range keys[:n] {
			ids[i].Key = aws.String(key)
		}
		out, err := b.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}})
		if err != nil {
			return b.fail("delete", keys[0], classify(err))
		}
		for _, e := range out.Errors {
			if code := aws.ToString(e.Code); code != "NoSuchKey" {
				return b.fail("delete", aws.ToString(e.Key), byCode(code, fmt.Errorf("%s: %s", code, aws.ToString(e.Message))))
			}
		}
		keys = keys[n:]
	}
	return nil
}

func (b *Bucket) fail(op, key string, err error) error {
	return &objstore.Error{Op: op, Bucket: b.url, Key: key, Err: err}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(r io.Reader) (uint32, error) {
	h := crc32.New(castagnoli)
	_, err := io.Copy(h, r)
	return h.Sum32(), err
}

func encodeSum(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// decodeSum reads the checksum of a whole object; those of objects in parts ("…-3") are something else.
func decodeSum(s string) *uint32 {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != 4 {
		return nil
	}
	sum := binary.BigEndian.Uint32(b)
	return &sum
}
