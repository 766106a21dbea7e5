package aof_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/fsys"
)

// BenchmarkCompare measures durable appends against a bare loop that writes into zero-filled space and calls fdatasync,
// with the same group commit, in turns on the same disk. ratio is the log's rate in the loop's.
func BenchmarkCompare(b *testing.B) {
	for _, appenders := range []int{1, 64} {
		for _, size := range []int{128, 1 << 10, 4 << 10} {
			b.Run(fmt.Sprintf("appenders=%d/bytes=%d", appenders, size), func(b *testing.B) {
				dir := b.TempDir()
				bare := newBareLoop(b, dir)
				log := newBenchLog(b, filepath.Join(dir, "log"))
				rec := make([]byte, size)
				for i := range rec {
					rec[i] = byte(i * 7)
				}
				alone := func() error { return bare.writeAlone(rec) }
				grouped := func() error { return bare.append(rec) }
				toLog := func() error {
					_, err := log.Append(b.Context(), rec, aof.Fsync)
					return err
				}
				peer := alone
				if appenders > 1 {
					peer = grouped
				}
				var rates [2][]float64
				var waits [2][]time.Duration
				for b.Loop() { // each a round of both
					for i, do := range []func() error{peer, toLog} {
						rate, wait := round(b, appenders, do)
						rates[i] = append(rates[i], rate)
						waits[i] = append(waits[i], wait...)
					}
					if err := log.TruncateBefore(log.Durable()); err != nil {
						b.Fatal(err)
					}
				}
				ratios := make([]float64, len(rates[0]))
				for i := range ratios {
					ratios[i] = rates[1][i] / rates[0][i]
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(median(ratios), "ratio")
				for i, who := range []string{"bare", "aof"} {
					slices.Sort(waits[i])
					b.ReportMetric(median(rates[i]), who+"/s")
					b.ReportMetric(float64(waits[i][len(waits[i])/2].Microseconds()), who+"-p50-µs")
					b.ReportMetric(float64(waits[i][len(waits[i])*99/100].Microseconds()), who+"-p99-µs")
				}
			})
		}
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// round lets appenders append for a while and returns how many did per second, and how long each waited.
func round(b *testing.B, appenders int, do func() error) (rate float64, waits []time.Duration) {
	b.Helper()
	const length = 40 * time.Millisecond
	var mu sync.Mutex
	var wg sync.WaitGroup
	started := time.Now()
	for range appenders {
		wg.Go(func() {
			mine := make([]time.Duration, 0, 4096)
			for at := time.Now(); at.Sub(started) < length; {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				now := time.Now()
				mine, at = append(mine, now.Sub(at)), now
			}
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, mine...)
		})
	}
	wg.Wait()
	return float64(len(waits)) / time.Since(started).Seconds(), waits
}

// newBenchLog opens a log whose segments come from its spares, as in one that has run for a while.
func newBenchLog(b *testing.B, dir string) *aof.Log {
	b.Helper()
	l, err := aof.Open(dir, aof.Options{Spare: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	for range 2 { // the segment after the first is begun before there is a spare
		if _, err := l.Append(b.Context(), []byte("early"), aof.Fsync); err != nil {
			b.Fatal(err)
		}
		if err := l.Seal(b.Context()); err != nil {
			b.Fatal(err)
		}
		for l.Stats().Spare < 2 {
			time.Sleep(time.Millisecond)
		}
	}
	return l
}

// bareLoop is the least that group commit can do: frames with a checksum, one write and one fdatasync for all who wait.
type bareLoop struct {
	f    fsys.File
	size int64
	off  int64
	buf  []byte

	mu      sync.Mutex
	waiting []bareAppend
	work    chan struct{}
}

type bareAppend struct {
	rec  []byte
	done chan error
}

var answers = sync.Pool{New: func() any { return make(chan error, 1) }}

func newBareLoop(b *testing.B, dir string) *bareLoop {
	b.Helper()
	f, err := fsys.OS.OpenFile(filepath.Join(dir, "bare"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	w := &bareLoop{f: f, size: 64 << 20, work: make(chan struct{}, 1)}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < w.size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run()
	}()
	b.Cleanup(func() {
		close(w.work)
		<-ended
		f.Close()
	})
	return w
}

func (w *bareLoop) frame(rec []byte) {
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(rec)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(rec, crc32c))
	w.buf = append(w.buf, rec...)
}

var crc32c = crc32.MakeTable(crc32.Castagnoli)

func (w *bareLoop) flush() error {
	if w.off+int64(len(w.buf)) > w.size {
		w.off = 0
	}
	_, err := w.f.WriteAt(w.buf, w.off)
	if err == nil {
		err = w.f.Sync()
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	return err
}

func (w *bareLoop) writeAlone(rec []byte) error {
	w.frame(rec)
	return w.flush()
}

func (w *bareLoop) append(rec []byte) error {
	done := answers.Get().(chan error)
	w.mu.Lock()
	w.waiting = append(w.waiting, bareAppend{rec, done})
	first := len(w.waiting) == 1
	w.mu.Unlock()
	if first {
		w.work <- struct{}{}
	}
	err := <-done
	answers.Put(done)
	return err
}

func (w *bareLoop) run() {
	var batch []bareAppend
	for range w.work {
		w.mu.Lock()
		batch, w.waiting = w.waiting, batch[:0]
		w.mu.Unlock()
		for _, a := range batch {
			w.frame(a.rec)
		}
		err := w.flush()
		for _, a := range batch {
			a.done <- err
		}
	}
}
