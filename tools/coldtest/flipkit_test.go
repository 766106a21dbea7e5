package coldtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// unwritten keeps a shared bucket from being changed: what is written goes into a bucket of its own.
type unwritten struct {
	objstore.Bucket
	once sync.Once
	own  objstore.Bucket
}

func (u *unwritten) mine() objstore.Bucket {
	u.once.Do(func() { u.own = objstore.NewMemory() })
	return u.own
}

func (u *unwritten) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o objstore.PutOptions) (objstore.Info, error) {
	if o.IfMatch != "" {
		if _, err := u.mine().Head(ctx, key); err != nil { // it is the shared one's
			info, err := u.Bucket.Head(ctx, key)
			if err != nil || info.ETag != o.IfMatch {
				return info, errors.Join(objstore.ErrChanged, err)
			}
			o.IfMatch = ""
		}
	}
	return u.mine().Put(ctx, key, body, size, o)
}

func (u *unwritten) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if body, info, err := u.mine().Get(ctx, key, off, n); !errors.Is(err, objstore.ErrNotFound) {
		return body, info, err
	}
	return u.Bucket.Get(ctx, key, off, n)
}

func (u *unwritten) Head(ctx context.Context, key string) (objstore.Info, error) {
	if info, err := u.mine().Head(ctx, key); err == nil {
		return info, nil
	}
	return u.Bucket.Head(ctx, key)
}

func (u *unwritten) Delete(context.Context, ...string) error { return nil }

// inParallel calls fn for numbers below n, as many as there is time for.
func inParallel(t *testing.T, n int, fn func(i int)) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next, end := 0, time.Now().Add(*flips)
	for range runtime.GOMAXPROCS(0) * 2 {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				if i >= n || time.Now().After(end) || t.Failed() {
					mu.Unlock()
					return
				}
				next++
				mu.Unlock()
				fn(i)
			}
		})
	}
	wg.Wait()
	return next
}

// tally counts by the kinds of files.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) add(name string) {
	kind := filepath.Ext(name)
	for _, k := range []string{"manifest", "pages", "keys", "ltx/", "sealed/", "idx/", "/log/", "format", "pins/", "log/"} {
		if strings.Contains(name, k) {
			kind = strings.Trim(k, "/")
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[kind]++
}

func (c *tally) String() string { return strings.TrimPrefix(fmt.Sprint(c.n), "map") }
