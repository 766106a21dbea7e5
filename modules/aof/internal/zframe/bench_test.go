package zframe

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func BenchmarkRandomRead(b *testing.B) {
	plain := sample(8<<20, 2)
	for _, size := range []int{16, 32, 64, 128} {
		b.Run(fmt.Sprintf("frames=%dKiB", size), func(b *testing.B) {
			file, s := write(b, plain, Options{FrameBytes: size << 10})
			buf := make([]byte, 1<<10)
			var took []time.Duration
			for b.Loop() {
				t := time.Now()
				r := NewReader(bytes.NewReader(file), s)
				if _, err := r.ReadAt(buf, rand.Int64N(int64(len(plain)-len(buf)))); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(t))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
			b.ReportMetric(float64(len(plain))/float64(len(file)), "ratio")
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	plain := sample(8<<20, 2)
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
		b.Run(level.String(), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			var s *Summary
			for b.Loop() {
				var err error
				if s, err = Write(io.Discard, bytes.NewReader(plain), int64(len(plain)), Options{Level: level}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(plain))/float64(s.File), "ratio")
		})
	}
}
