package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/aof"
)

// contestant is a way to append durably that many goroutines use at once.
type contestant struct {
	name   string
	append func(rec []byte) error
	lib    library
	stop   func()
}

// appendPeers measures durable appends to each log in turns on the same disk.
func appendPeers(ctx context.Context, o options) (string, error) {
	var table strings.Builder
	table.WriteString(`Durable appends, each log with its defaults; all sync before they answer. With 64 appenders one committer in front of
each log takes what waits and makes one call of it; "aof, its own group commit" is 64 goroutines that call Append. The
ratio is aof's rate, behind the same committer, in the other's. The last column counts what the whole process allocates
on the heap.

| appenders | bytes | log | per second | p50 | p99 | aof is × | allocations per append |
|---|---|---|---|---|---|---|---|
`)
	for _, appenders := range []int{1, 64} {
		for _, size := range []int{128, 1 << 10, 4 << 10} {
			if err := appendCell(ctx, o, &table, appenders, size); err != nil {
				return "", err
			}
		}
	}
	return table.String(), nil
}

// appendCell fills in the rows for so many appenders of records of one size.
func appendCell(ctx context.Context, o options, table *strings.Builder, appenders, size int) (err error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var all []contestant
	defer func() {
		for _, c := range all {
			c.stop()
			err = errors.Join(err, c.lib.close())
		}
	}()
	for _, k := range kinds {
		lib, err := k.open(filepath.Join(dir, folder(k.name)))
		if err != nil {
			return fmt.Errorf("opening %s: %w", k.name, err)
		}
		all = append(all, contend(k.name, lib, appenders))
	}
	if appenders > 1 {
		lib, err := openAOF(filepath.Join(dir, "own"))
		if err != nil {
			return err
		}
		all = append(all, contestant{"aof, its own group commit", func(rec []byte) error {
			_, err := lib.(aofLog).Append(context.Background(), rec, aof.Fsync)
			return err
		}, lib, func() {}})
	}
	length := o.duration / 30 // short rounds, many of them: what else the machine does hits all alike
	rec := record(size, 1)
	rounds := make([][]appendRound, len(all))
	for n := range 5*o.rounds + 1 {
		for i := range all {
			i = (i + n) % len(all) // nobody is always behind the same one
			r, err := appendFor(ctx, length, appenders, func(int) error { return all[i].append(rec) })
			if err == nil {
				err = all[i].lib.trim()
			}
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			if n > 0 { // the first round warms up
				rounds[i] = append(rounds[i], r)
			}
		}
	}
	for i, c := range all {
		var ratios, allocs []float64
		var waits []time.Duration
		var rates []float64
		for n, r := range rounds[i] {
			ratios = append(ratios, rounds[0][n].rate/r.rate)
			allocs, rates = append(allocs, r.allocs), append(rates, r.rate)
			waits = append(waits, r.waits...)
		}
		p50, p99 := percentiles(waits)
		fmt.Fprintf(table, "| %d | %d | %s | %.0f | %v | %v | %.2f | %.2f |\n", appenders, size, c.name, middle(rates), p50, p99, middle(ratios), middle(allocs))
	}
	return nil
}

// contend puts a committer before a library when there are several appenders.
func contend(name string, lib library, appenders int) contestant {
	if appenders == 1 {
		one := make([][]byte, 1)
		return contestant{name, func(rec []byte) error {
			one[0] = rec
			return lib.append(one)
		}, lib, func() {}}
	}
	g := &group{lib: lib, work: make(chan struct{}, 1), ended: make(chan struct{})}
	go g.run()
	return contestant{name, g.append, lib, func() {
		close(g.work)
		<-g.ended
	}}
}

type appendRound struct {
	rate    float64
	elapsed time.Duration
	waits   []time.Duration
	allocs  float64 // on the heap, for each append
}

// appendFor lets appenders append for a while.
func appendFor(ctx context.Context, length time.Duration, appenders int, do func(appender int) error) (r appendRound, err error) {
	waits := make([][]time.Duration, appenders)
	errs := make([]error, appenders)
	for i := range waits {
		waits[i] = make([]time.Duration, 0, 1<<16/min(appenders, 8))
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	started := time.Now()
	for i := range appenders {
		wg.Go(func() {
			for at := time.Now(); at.Sub(started) < length && errs[i] == nil; {
				errs[i] = do(i)
				now := time.Now()
				waits[i], at = append(waits[i], now.Sub(at)), now
			}
		})
	}
	wg.Wait()
	r.elapsed = time.Since(started)
	runtime.ReadMemStats(&after)
	r.waits = slices.Concat(waits...)
	r.rate = float64(len(r.waits)) / r.elapsed.Seconds()
	r.allocs = math.Max(0, float64(after.Mallocs-before.Mallocs)-3*float64(appenders)) / float64(len(r.waits)) // without those of starting
	return r, errors.Join(append(errs, ctx.Err())...)
}

// group is the same group commit for every library: one goroutine takes what waits and makes one call of it.
type group struct {
	lib   library
	work  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	waiting []waiter
}

type waiter struct {
	rec  []byte
	done chan error
}

var answers = sync.Pool{New: func() any { return make(chan error, 1) }}

func (g *group) append(rec []byte) error {
	done := answers.Get().(chan error)
	g.mu.Lock()
	g.waiting = append(g.waiting, waiter{rec, done})
	first := len(g.waiting) == 1
	g.mu.Unlock()
	if first {
		g.work <- struct{}{}
	}
	err := <-done
	answers.Put(done)
	return err
}

func (g *group) run() {
	defer close(g.ended)
	var batch []waiter
	var recs [][]byte
	for range g.work {
		g.mu.Lock()
		batch, g.waiting = g.waiting, batch[:0]
		g.mu.Unlock()
		recs = recs[:0]
		for _, w := range batch {
			recs = append(recs, w.rec)
		}
		err := g.lib.append(recs)
		for _, w := range batch {
			w.done <- err
		}
	}
}

// record is the n-th one, about as compressible as rows are.
func record(size, n int) []byte {
	b := make([]byte, 0, size+64)
	for field := 0; len(b) < size; field++ {
		h := uint32(n*31+field) * 2654435761
		b = fmt.Appendf(b, `{"id":%d,"name":"customer %08x","balance":%d,"city":"%s"},`, n+field, h, h%100_000, cities[h>>8%8])
	}
	return b[:size]
}

var cities = [...]string{"Utrecht", "Lyon", "Porto", "Graz", "Gdańsk", "Bergen", "Tartu", "Brno"}

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func percentiles(waits []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(waits)
	return waits[len(waits)/2].Round(100 * time.Nanosecond), waits[len(waits)*99/100].Round(100 * time.Nanosecond)
}
