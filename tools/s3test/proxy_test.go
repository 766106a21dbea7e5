package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/objtest"
	"github.com/bop-platform/bop/modules/aof/objstore/s3store"
	"github.com/bop-platform/bop/tools/internal/s3proxy"
)

func init() {
	withServer = append(withServer,
		test{"the bucket's contract over a bad network", contractOverABadNetwork},
		test{"uploads over a bad network", uploadsOverABadNetwork},
		test{"an upload that fails leaves no parts", uploadsLeaveNoParts},
		test{"what is uploaded in parts has one checksum", uploadsHaveChecksums})
}

// soon repeats often and without long waits.
var soon = objstore.RetryOptions{Attempts: 200, First: time.Millisecond, Most: 5 * time.Millisecond}

// behind starts a proxy in front of the server and opens the bucket through it.
func (g *gateway) behind() (*s3proxy.Proxy, *s3store.Bucket) {
	g.Helper()
	p := s3proxy.New(g.url)
	g.Cleanup(p.Close)
	b, err := s3store.Open(g.Context(), s3store.Options{Bucket: "bucket", Endpoint: p.URL(), Retry: soon,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	if err != nil {
		g.Fatal(err)
	}
	return p, b
}

func contractOverABadNetwork(t *testing.T) {
	g := start(t)
	p, b := g.behind()
	p.Add(s3proxy.Fault{SlowDown: true, Chance: 0.1})
	p.Add(s3proxy.Fault{Outage: true, Chance: 0.1})
	p.Add(s3proxy.Fault{Cut: 300, Chance: 0.1})
	p.Add(s3proxy.Fault{Latency: 3 * time.Millisecond, Chance: 0.1})
	p.Add(s3proxy.Fault{Flip: -1, Chance: 0.1, When: func(method, _ string) bool { return method == http.MethodPut }}) // which the server refuses
	// Of a replacement whose answer is lost nobody knows, so not of the counter's and the like.
	p.Add(s3proxy.Fault{Lose: true, Chance: 0.1, When: func(method, key string) bool {
		return !strings.HasSuffix(key, "/n") && !strings.HasSuffix(key, "/x")
	}})
	var n atomic.Int32
	objtest.Run(t, func(t *testing.T) objstore.Bucket {
		return objstore.Prefix(objstore.Retry(b, soon), fmt.Sprint("run-", n.Add(1)))
	}, objtest.Options{Part: 8 << 20, OwnTime: true, Many: 500})
}

// random is a body that doesn't repeat itself.
func random(seed byte, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func upload(ctx context.Context, b objstore.Bucket, key string, body []byte, o objstore.PutOptions) (objstore.Info, error) {
	return objstore.Upload(ctx, b, key, struct{ io.Reader }{bytes.NewReader(body)}, o)
}

// uploadsOverABadNetwork loses the answer to each kind of request in turn, and sends storms.
func uploadsOverABadNetwork(t *testing.T) {
	g := start(t)
	p, b := g.behind()
	body := random(1, 30<<20)
	for i, f := range []s3proxy.Fault{
		{Op: "create", Lose: true, Times: 1}, {Op: "part", Lose: true, Times: 3}, {Op: "part", Cut: 5 << 20, Times: 3},
		{Op: "part", Flip: -1, Times: 3}, {Op: "complete", Lose: true, Times: 1}, {Op: "complete", Outage: true, Times: 1},
		{SlowDown: true, Chance: 0.6}, {Outage: true, Chance: 0.4},
	} {
		for _, o := range []objstore.PutOptions{{}, {IfAbsent: true}} {
			h, key := p.Add(f), fmt.Sprint("bad/", i, o.IfAbsent)
			info, err := upload(t.Context(), objstore.Retry(b, soon), key, body, o)
			if err != nil || h.Met() == 0 {
				t.Fatalf("%+v: %v, met %d", f, err, h.Met())
			}
			h.Remove()
			sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
			if err := objstore.Verify(t.Context(), b, key, int64(len(body)), sum); err != nil {
				t.Error(err)
			}
			if head, err := b.Head(t.Context(), key); err != nil || head.ETag != info.ETag {
				t.Errorf("%+v, upload said %+v, %v", head, info, err)
			}
		}
	}
}

// parts counts the files that the server keeps for uploads that aren't complete.
func (g *gateway) parts() (n int) {
	g.Helper()
	err := filepath.WalkDir(filepath.Join(g.dir, "bucket"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(path, ".sgwtmp") {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server removes them meanwhile
		}
		return err
	})
	if err != nil {
		g.Fatal(err)
	}
	return n
}

func uploadsLeaveNoParts(t *testing.T) {
	g := start(t)
	p, b := g.behind()
	body := random(2, 40<<20)
	first, err := upload(t.Context(), b, "x", body, objstore.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = upload(t.Context(), b, "x", body, objstore.PutOptions{IfAbsent: true})
	if !errors.Is(err, objstore.ErrExists) {
		t.Error(err)
	}
	_, err = upload(t.Context(), b, "x", body, objstore.PutOptions{IfMatch: first.ETag + "0"})
	if !errors.Is(err, objstore.ErrChanged) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h := p.Add(s3proxy.Fault{Op: "part", When: func(_, key string) bool {
		if strings.HasSuffix(key, "y") && g.parts() > 0 { // some are there already
			cancel()
		}
		return false
	}})
	_, err = upload(ctx, b, "y", body, objstore.PutOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	h.Remove()
	p.Add(s3proxy.Fault{Op: "complete", SlowDown: true})
	_, err = upload(t.Context(), b, "y", body, objstore.PutOptions{})
	if !errors.Is(err, objstore.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := b.Head(t.Context(), "y"); !errors.Is(err, objstore.ErrNotFound) {
		t.Error(err)
	}
	// A part that was on its way when its upload was given up may still be written, and is then removed.
	n := g.parts()
	for began := time.Now(); n != 0 && time.Since(began) < 20*time.Second; n = g.parts() {
		time.Sleep(10 * time.Millisecond)
	}
	if n != 0 {
		t.Errorf("%d parts are left", n)
	}
}

func uploadsHaveChecksums(t *testing.T) {
	g := start(t)
	p, b := g.behind()
	body := random(3, 20<<20)
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	stamp := map[string]string{"litestream-timestamp": "2026-01-02T03:04:05.678Z"}
	if _, err := upload(t.Context(), b, "x", body, objstore.PutOptions{Metadata: stamp}); err != nil {
		t.Fatal(err)
	}
	p.Reset()
	if err := objstore.Verify(t.Context(), b, "x", int64(len(body)), sum); err != nil {
		t.Error(err)
	}
	if c := p.Count(http.MethodGet); c.Requests != 0 {
		t.Errorf("the store doesn't tell the checksum: %+v", c)
	}
	if info, err := b.Head(t.Context(), "x"); err != nil || info.Metadata["litestream-timestamp"] != stamp["litestream-timestamp"] {
		t.Error(info, err)
	}
}
