package pageobj

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// endless is a source of a database as large as one likes: a few pages again and again.
type endless struct {
	pages [][]byte
	size  uint32
}

func newEndless(size uint32) *endless {
	r := rand.New(rand.NewPCG(1, 2))
	e := &endless{size: size}
	for range 61 {
		e.pages = append(e.pages, text(r, size))
	}
	return e
}

func (e *endless) Page(no uint32, buf []byte) ([]byte, uint64, error) {
	data := e.pages[no%61]
	return data, page.Sum(no, data), nil
}

const benchPages = 32768 // 128 MiB

func benchObject(b testing.TB, bucket objstore.Bucket, k *crypt.Keyring) Ref {
	s := page.State{TXID: 1, Size: 4096, Pages: benchPages, Time: 1e15}
	return mustWrite(b, newEndless(4096), nil, 0, options(bucket, k, 1, s))
}

func eachSealing(b *testing.B, fn func(*testing.B, *crypt.Keyring)) {
	b.Run("clear", func(b *testing.B) { fn(b, nil) })
	b.Run("sealed", func(b *testing.B) { fn(b, keyring(b)) })
}

func BenchmarkWrite(b *testing.B) {
	for name, open := range map[string]func() objstore.Bucket{
		"memory": func() objstore.Bucket { return objstore.NewMemory() },
		"dir": func() objstore.Bucket {
			d, err := objstore.OpenDir(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			return d
		},
	} {
		b.Run(name, func(b *testing.B) {
			eachSealing(b, func(b *testing.B, k *crypt.Keyring) {
				b.SetBytes(benchPages * 4096)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for b.Loop() {
					benchObject(b, open(), k)
				}
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MiB-alloc/op")
			})
		})
	}
}

// plain reads an object by range requests of 1 MiB, so many at a time: what there is to be reached.
func plain(b testing.TB, bucket objstore.Bucket, key string, size int64, atATime int) {
	var wg sync.WaitGroup
	offs := make(chan int64)
	for range atATime {
		wg.Go(func() {
			buf := make([]byte, scanRequest)
			for off := range offs {
				n := min(scanRequest, size-off)
				body, _, err := bucket.Get(context.Background(), key, off, n)
				if err == nil {
					_, err = io.ReadFull(body, buf[:n])
					body.Close()
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for off := int64(0); off < size; off += scanRequest {
		offs <- off
	}
	close(offs)
	wg.Wait()
}

// BenchmarkScan compares reading everything with plain range requests: plain4 has as many bytes under way as a reader
// page by page, plain8 as many as a scan.
func BenchmarkScan(b *testing.B) {
	for _, wait := range []time.Duration{0, 10 * time.Millisecond} {
		b.Run(fmt.Sprint("latency=", wait), func(b *testing.B) {
			eachSealing(b, func(b *testing.B, k *crypt.Keyring) {
				mem := objstore.NewMemory()
				ref := benchObject(b, mem, k)
				bucket := &slow{Bucket: mem, wait: wait}
				run := func(name string, fn func(v *View) error) {
					b.Run(name, func(b *testing.B) {
						b.SetBytes(benchPages * 4096)
						b.ReportAllocs()
						for b.Loop() {
							v := mustOpen(b, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: []Ref{ref}})
							if err := fn(v); err != nil {
								b.Fatal(err)
							}
							v.Close()
						}
					})
				}
				run("plain8", func(*View) error { plain(b, bucket, ref.Key, ref.Size, 8); return nil })
				run("plain4", func(*View) error { plain(b, bucket, ref.Key, ref.Size, 4); return nil })
				run("scan", func(v *View) error {
					return v.Scan(context.Background(), 1, func(uint32, []byte, uint64) error { return nil })
				})
				run("page", func(v *View) error {
					for no := range uint32(benchPages) {
						if _, _, err := v.Page(context.Background(), no+1); err != nil {
							return err
						}
					}
					return nil
				})
			})
		})
	}
}

func BenchmarkPage(b *testing.B) {
	eachSealing(b, func(b *testing.B, k *crypt.Keyring) {
		mem := objstore.NewMemory()
		ref := benchObject(b, mem, k)
		v := mustOpen(b, ViewOptions{Bucket: mem, Keys: keysOf(k), Refs: []Ref{ref}})
		r := rand.New(rand.NewPCG(1, 1))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := v.Page(context.Background(), 1+r.Uint32N(benchPages)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
