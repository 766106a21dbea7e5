package floor

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func BenchmarkCommit(b *testing.B) {
	for _, proposers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("proposers=%d", proposers), func(b *testing.B) {
			g, _, _ := open(b, Options{})
			rec := make([]byte, 128)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range proposers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := g.Commit(rec); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
