package objtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// long is a length that needs more than one part.
func (k *kit) long() int { return k.o.Part + k.o.Part/4 }

var created = time.Date(2024, 5, 6, 7, 8, 9, 123_000_000, time.UTC)

// stream hides that a body's length could be known, and reads it in odd pieces.
func stream(b []byte) io.Reader { return &pieces{b: b} }

type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	p.n = (p.n*7 + 3) % 100_003
	n := copy(to[:min(len(to), 1+p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}

func (k *kit) up(key string, b []byte, o objstore.PutOptions) (objstore.Info, error) {
	return objstore.Upload(k.Context(), k.b, key, stream(b), o)
}

func (k *kit) head(key string) objstore.Info {
	k.Helper()
	info, err := k.b.Head(k.Context(), key)
	if err != nil {
		k.Fatal(err)
	}
	return info
}

func (k *kit) extras() {
	o := objstore.PutOptions{Created: created, Metadata: map[string]string{"written-at": "2024-05-06T07:08:09.123Z", "n": "a = b; c"}}
	check := func(what string, info objstore.Info) {
		k.Helper()
		if !k.o.OwnTime && !info.Modified.Equal(created) {
			k.Errorf("%s: modified %v", what, info.Modified)
		}
	}
	if _, err := k.try("put", []byte("content"), o); err != nil {
		k.Fatal(err)
	}
	for _, size := range []int{7, k.long()} {
		uploaded := fmt.Sprint("uploaded-", size)
		if _, err := k.up(uploaded, content(size), o); err != nil {
			k.Fatal(err)
		}
		for _, key := range []string{"put", uploaded} {
			body, got, err := k.b.Get(k.Context(), key, 0, 1)
			if err != nil {
				k.Fatal(err)
			}
			body.Close()
			for what, info := range map[string]objstore.Info{"get": got, "head": k.head(key)} {
				check(what, info)
				for name, value := range o.Metadata {
					if info.Metadata[name] != value && !k.o.NoMetadata {
						k.Errorf("%s %s: metadata %v", what, key, info.Metadata)
					}
				}
			}
		}
		for info, err := range k.b.List(k.Context(), "", "") {
			if err != nil {
				k.Fatal(err)
			}
			check("list", info)
		}
	}
	before := time.Now().Add(-time.Hour)
	k.put("put", []byte("other")) // what the former one had is gone with it
	if info := k.head("put"); len(info.Metadata) != 0 && !k.o.Lax || info.Modified.Before(before) {
		k.Errorf("%+v", info)
	}
}

func (k *kit) badMetadata() {
	for _, m := range []map[string]string{
		{"": "x"}, {"Upper": "x"}, {"a b": "x"}, {"a": "ü"}, {"a": "x\ny"}, {"a": " x"}, {"a": strings.Repeat("x", 2048)},
	} {
		_, err := k.try("x", nil, objstore.PutOptions{Metadata: m})
		k.want(err, objstore.ErrMetadata)
		_, err = k.up("x", nil, objstore.PutOptions{Metadata: m})
		k.want(err, objstore.ErrMetadata)
	}
}

func (k *kit) upload() {
	part := k.o.Part
	for _, size := range []int{0, 1, 1000, part - 1, part, part + 1, 2 * part, 3*part + 12345} {
		b, key := content(size), fmt.Sprint("a/", size)
		info, err := k.up(key, b, objstore.PutOptions{CRC32C: sum(b)})
		if err != nil {
			k.Fatal(size, err)
		}
		if info.Key != key || info.Size != int64(size) || info.CRC32C == nil || *info.CRC32C != *sum(b) {
			k.Errorf("%d: %+v", size, info)
		}
		if head := k.head(key); head.Size != int64(size) || head.ETag != info.ETag && !k.o.Lax || head.ETag == "" {
			k.Errorf("%d: head says %+v, upload said %+v", size, head, info)
		}
		if got := k.get(key, 0, -1); !bytes.Equal(got, b) {
			k.Errorf("%d: other bytes came back", size)
		}
		if err := objstore.Verify(k.Context(), k.b, key, int64(size), *sum(b)); err != nil {
			k.Error(size, err)
		}
	}
	for _, key := range []string{"", "/a", "a/../b"} {
		_, err := k.up(key, nil, objstore.PutOptions{})
		k.want(err, objstore.ErrKey)
	}
}

// broken tries readers that fail and contexts that end, within the first part and in a later one.
func (k *kit) broken() {
	mine := errors.New("the disk is gone")
	for _, size := range []int{0, 1000, k.long()} {
		_, err := objstore.Upload(k.Context(), k.b, "x", io.MultiReader(stream(content(size)), iotest.ErrReader(mine)), objstore.PutOptions{})
		k.want(err, mine)
		// What it fails with isn't taken for the store's own.
		_, err = objstore.Upload(k.Context(), k.b, "x", io.MultiReader(stream(content(size)), iotest.ErrReader(objstore.ErrUnavailable)), objstore.PutOptions{})
		k.want(err, objstore.ErrUnavailable)
		ctx, cancel := context.WithCancel(k.Context())
		_, err = objstore.Upload(ctx, k.b, "x", io.MultiReader(stream(content(size)), canceler(cancel), stream([]byte("more"))), objstore.PutOptions{})
		k.want(err, context.Canceled)
	}
	if got := k.keys("", ""); len(got) != 0 {
		k.Error(got)
	}
}

// canceler is an empty body whose reading has an effect.
type canceler func()

func (c canceler) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

func (k *kit) wrongUpload() {
	for _, size := range []int{7, k.long()} {
		_, err := k.up("x", content(size), objstore.PutOptions{CRC32C: sum([]byte("other"))})
		k.want(err, objstore.ErrChecksum)
		_, err = k.b.Head(k.Context(), "x")
		k.want(err, objstore.ErrNotFound)
	}
}

// partly are the lengths for which conditions hold.
func (k *kit) partly() []int {
	if k.o.Lax {
		return []int{1000}
	}
	return []int{1000, k.long()}
}

func (k *kit) uploadConditions() {
	for _, size := range k.partly() {
		if err := k.b.Delete(k.Context(), "x"); err != nil {
			k.Fatal(err)
		}
		a, b := content(size), content(size+1)
		_, err := k.up("x", a, objstore.PutOptions{IfMatch: `"0123456789abcdef0123456789abcdef"`})
		k.want(err, objstore.ErrChanged)
		first, err := k.up("x", a, objstore.PutOptions{IfAbsent: true})
		if err != nil {
			k.Fatal(err)
		}
		_, err = k.up("x", b, objstore.PutOptions{IfAbsent: true})
		k.want(err, objstore.ErrExists)
		second, err := k.up("x", b, objstore.PutOptions{IfMatch: first.ETag})
		if err != nil || second.ETag == first.ETag {
			k.Fatal(second, err)
		}
		_, err = k.up("x", a, objstore.PutOptions{IfMatch: first.ETag})
		k.want(err, objstore.ErrChanged)
		if got := k.get("x", 0, -1); !bytes.Equal(got, b) {
			k.Errorf("%d bytes: an upload whose condition doesn't hold was written", size)
		}
	}
}

func (k *kit) uploadRace() {
	for _, size := range k.partly() {
		if err := k.b.Delete(k.Context(), "only"); err != nil {
			k.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []int
		for i := range 4 {
			wg.Go(func() {
				b := content(size + i)
				_, err := k.up("only", b, objstore.PutOptions{IfAbsent: true})
				for errors.Is(err, objstore.ErrUnavailable) {
					_, err = k.up("only", b, objstore.PutOptions{IfAbsent: true})
				}
				if err != nil {
					k.want(err, objstore.ErrExists)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, i)
			})
		}
		wg.Wait()
		if len(won) != 1 || !bytes.Equal(k.get("only", 0, -1), content(size+won[0])) {
			k.Errorf("%v won", won)
		}
	}
}
