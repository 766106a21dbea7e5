// Package objtest has the tests that every bucket has to pass.
package objtest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// Options say what a bucket can't be asked for.
type Options struct {
	Many       int  // objects in the test of long lists; default 2,500
	Part       int  // bytes of the first part of an upload, where it is one in parts; default 64 KiB
	NoMetadata bool // it keeps none
	OwnTime    bool // Modified is the store's own time, never Created
	// Lax: a server that ignores conditions of what is uploaded in parts, tells another ETag of it at once than later, and
	// adds the metadata of an object that is replaced to the new one's.
	Lax bool
}

// Run tests buckets that open makes, each of which is empty.
func Run(t *testing.T, open func(*testing.T) objstore.Bucket, o Options) {
	if o.Many == 0 {
		o.Many = 2500
	}
	if o.Part == 0 {
		o.Part = 64 << 10
	}
	k := func(t *testing.T) *kit { return &kit{t, open(t), o} }
	t.Run("what is put is got", func(t *testing.T) { k(t).putGet() })
	t.Run("a range is part of it", func(t *testing.T) { k(t).ranges() })
	t.Run("a missing object is ErrNotFound", func(t *testing.T) { k(t).missing() })
	t.Run("bad keys are refused", func(t *testing.T) { k(t).badKeys() })
	t.Run("a wrong checksum is refused", func(t *testing.T) { k(t).wrongChecksum() })
	t.Run("one of many creators wins", func(t *testing.T) { k(t).race() })
	t.Run("a counter that many replace conditionally loses nothing", func(t *testing.T) { k(t).counter() })
	t.Run("a condition on another version fails", func(t *testing.T) { k(t).conditions() })
	t.Run("lists are complete and in order", func(t *testing.T) { k(t).list(o.Many) })
	t.Run("deleting is idempotent", func(t *testing.T) { k(t).deleting() })
	t.Run("verifying finds another size and another content", func(t *testing.T) { k(t).verify() })
	t.Run("what is put with an object is told of it", func(t *testing.T) { k(t).extras() })
	t.Run("bad metadata is refused", func(t *testing.T) { k(t).badMetadata() })
	t.Run("what is uploaded is got", func(t *testing.T) { k(t).upload() })
	t.Run("an upload that breaks off leaves nothing", func(t *testing.T) { k(t).broken() })
	t.Run("a wrong checksum of an upload is refused", func(t *testing.T) { k(t).wrongUpload() })
	t.Run("an upload under a condition", func(t *testing.T) { k(t).uploadConditions() })
	t.Run("one of many uploads of a new object wins", func(t *testing.T) { k(t).uploadRace() })
}

type kit struct {
	*testing.T
	b objstore.Bucket
	o Options
}

func content(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(b)
	return b
}

func sum(b []byte) *uint32 {
	n := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return &n
}

func (k *kit) try(key string, b []byte, o objstore.PutOptions) (objstore.Info, error) {
	return k.b.Put(k.Context(), key, bytes.NewReader(b), int64(len(b)), o)
}

func (k *kit) put(key string, b []byte) objstore.Info {
	k.Helper()
	info, err := k.try(key, b, objstore.PutOptions{CRC32C: sum(b)})
	if err != nil {
		k.Fatal(err)
	}
	return info
}

func (k *kit) get(key string, off, n int64) []byte {
	k.Helper()
	body, _, err := k.b.Get(k.Context(), key, off, n)
	if err != nil {
		k.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		k.Fatal(err)
	}
	return b
}

func (k *kit) want(err, target error) {
	k.Helper()
	if !errors.Is(err, target) {
		k.Errorf("got %v, want %v", err, target)
	}
}

func (k *kit) putGet() {
	for _, key := range []string{"a", "b/c/d", "with space", "ümlaut/ß", "a+b&c=d?e#f%20"} {
		for _, size := range []int{0, 1, 100_000} {
			b := content(size)
			info := k.put(key, b)
			if got := k.get(key, 0, -1); !bytes.Equal(got, b) {
				k.Errorf("%s: %d of %d bytes", key, len(got), size)
			}
			head, err := k.b.Head(k.Context(), key)
			if err != nil || head.Size != int64(size) || head.ETag != info.ETag || head.ETag == "" {
				k.Errorf("%s: %+v, put said %+v, %v", key, head, info, err)
			}
			if head.CRC32C != nil && *head.CRC32C != *sum(b) {
				k.Errorf("%s: checksum %08x", key, *head.CRC32C)
			}
		}
	}
	big := content(20 << 20)
	k.put("big", big)
	if got := k.get("big", 0, -1); !bytes.Equal(got, big) {
		k.Error("20 MiB came back otherwise")
	}
}

func (k *kit) ranges() {
	b := content(10_000)
	k.put("x", b)
	for _, r := range [][2]int64{{0, 1}, {0, 10_000}, {9_999, 1}, {5_000, 100}, {5_000, -1}, {9_000, 5_000}, {0, 0}, {100, 0}, {1, math.MaxInt64}} {
		end := int64(10_000)
		if r[1] >= 0 && r[1] < end-r[0] {
			end = r[0] + r[1]
		}
		if got := k.get("x", r[0], r[1]); !bytes.Equal(got, b[r[0]:end]) {
			k.Errorf("%v: %d bytes", r, len(got))
		}
	}
	for _, r := range [][2]int64{{10_001, 1}, {10_001, 0}, {10_000, 1}, {-1, 1}, {-1, -1}} {
		_, _, err := k.b.Get(k.Context(), "x", r[0], r[1])
		k.want(err, objstore.ErrRange)
	}
	k.put("empty", nil)
	if got := k.get("empty", 0, 10); len(got) != 0 {
		k.Errorf("an empty object has %d bytes", len(got))
	}
}

func (k *kit) missing() {
	_, _, err := k.b.Get(k.Context(), "nothing", 0, -1)
	k.want(err, objstore.ErrNotFound)
	_, err = k.b.Head(k.Context(), "nothing")
	k.want(err, objstore.ErrNotFound)
	var e *objstore.Error
	if !errors.As(err, &e) || !strings.HasSuffix(e.Key, "nothing") {
		k.Errorf("%v doesn't name the object", err)
	}
}

func (k *kit) badKeys() {
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\x00b", string(bytes.Repeat([]byte("k"), 1025))} {
		_, err := k.try(key, nil, objstore.PutOptions{})
		k.want(err, objstore.ErrKey)
		_, _, err = k.b.Get(k.Context(), key, 0, -1)
		k.want(err, objstore.ErrKey)
		_, err = k.b.Head(k.Context(), key)
		k.want(err, objstore.ErrKey)
		k.want(k.b.Delete(k.Context(), "fine", key), objstore.ErrKey)
	}
}

func (k *kit) wrongChecksum() {
	_, err := k.try("x", []byte("content"), objstore.PutOptions{CRC32C: sum([]byte("other"))})
	k.want(err, objstore.ErrChecksum)
	_, err = k.b.Head(k.Context(), "x")
	k.want(err, objstore.ErrNotFound)
}

func (k *kit) race() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []int
	for i := range 16 {
		wg.Go(func() {
			_, err := k.try("only", fmt.Append(nil, i), objstore.PutOptions{IfAbsent: true})
			for errors.Is(err, objstore.ErrUnavailable) {
				_, err = k.try("only", fmt.Append(nil, i), objstore.PutOptions{IfAbsent: true})
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
	if len(won) != 1 || string(k.get("only", 0, -1)) != fmt.Sprint(won[0]) {
		k.Errorf("%v won", won)
	}
}

func (k *kit) counter() {
	k.put("n", []byte("0"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for done := 0; done < 10; {
				body, info, err := k.b.Get(k.Context(), "n", 0, -1)
				if err != nil {
					k.Error(err)
					return
				}
				b, err := io.ReadAll(body)
				body.Close()
				n, e := strconv.Atoi(string(b))
				if err != nil || e != nil {
					k.Errorf("%q: %v", b, err)
					return
				}
				_, err = k.try("n", fmt.Append(nil, n+1), objstore.PutOptions{IfMatch: info.ETag})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, objstore.ErrChanged) && !errors.Is(err, objstore.ErrUnavailable):
					k.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := string(k.get("n", 0, -1)); got != "80" {
		k.Error(got)
	}
}

func (k *kit) conditions() {
	_, err := k.try("x", []byte("a"), objstore.PutOptions{IfMatch: `"0123456789abcdef0123456789abcdef"`})
	if !errors.Is(err, objstore.ErrChanged) && !errors.Is(err, objstore.ErrNotFound) {
		k.Errorf("a condition on a missing object: %v", err)
	}
	first := k.put("x", []byte("a"))
	_, err = k.try("x", []byte("b"), objstore.PutOptions{IfAbsent: true})
	k.want(err, objstore.ErrExists)
	second, err := k.try("x", []byte("b"), objstore.PutOptions{IfMatch: first.ETag})
	if err != nil || second.ETag == first.ETag {
		k.Fatal(second, err)
	}
	_, err = k.try("x", []byte("c"), objstore.PutOptions{IfMatch: first.ETag})
	k.want(err, objstore.ErrChanged)
	if got := string(k.get("x", 0, -1)); got != "b" {
		k.Error(got)
	}
}

func (k *kit) keys(prefix, after string) (keys []string) {
	for info, err := range k.b.List(k.Context(), prefix, after) {
		if err != nil {
			k.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func (k *kit) list(many int) {
	var want []string
	for i := range many {
		want = append(want, fmt.Sprintf("l/%05d", i))
	}
	var wg sync.WaitGroup
	for part := range slices.Chunk(want, max(1, many/8)) {
		wg.Go(func() {
			for _, key := range part {
				if _, err := k.try(key, []byte(key), objstore.PutOptions{}); err != nil {
					k.Error(err)
				}
			}
		})
	}
	wg.Wait()
	k.put("k", nil)
	k.put("m/1", nil)
	if got := k.keys("l/", ""); !slices.Equal(got, want) {
		k.Errorf("%d keys instead of %d", len(got), len(want))
	}
	if got := k.keys("l/", want[many/2]); !slices.Equal(got, want[many/2+1:]) {
		k.Errorf("behind the middle: %d keys", len(got))
	}
	if got := k.keys("", "l/99999"); !slices.Equal(got, []string{"m/1"}) {
		k.Errorf("%v", got)
	}
	for info, err := range k.b.List(k.Context(), "l/", "") {
		if err != nil || info.Size != 7 || info.ETag == "" {
			k.Errorf("%+v, %v", info, err)
		}
		break // a list needn't be read to its end
	}
}

func (k *kit) deleting() {
	k.put("a", nil)
	k.put("b", nil)
	for range 2 {
		if err := k.b.Delete(k.Context(), "a", "b", "c"); err != nil {
			k.Error(err)
		}
	}
	if got := k.keys("", ""); len(got) != 0 {
		k.Error(got)
	}
}

func (k *kit) verify() {
	b := content(1000)
	k.put("x", b)
	if err := objstore.Verify(k.Context(), k.b, "x", 1000, *sum(b)); err != nil {
		k.Error(err)
	}
	k.want(objstore.Verify(k.Context(), k.b, "x", 999, *sum(b)), objstore.ErrChecksum)
	k.want(objstore.Verify(k.Context(), k.b, "x", 1000, 1), objstore.ErrChecksum)
	k.want(objstore.Verify(k.Context(), k.b, "y", 1000, 1), objstore.ErrNotFound)
}
