package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/ncruces/go-sqlite3/driver"
)

const row100 = "hello world, this is a value of one hundred bytes ................................................end"

// sample is what one side of a comparison has done.
type sample struct {
	rate     float64 // per second
	p50, p99 time.Duration
}

func (s sample) String() string {
	return fmt.Sprintf("%8.0f/s  p50 %-9v p99 %v", s.rate, s.p50.Round(time.Microsecond), s.p99.Round(time.Microsecond))
}

// measure runs op in n goroutines for d.
func measure(b *testing.B, n int, d time.Duration, op func(worker, i int) error) sample {
	b.Helper()
	var wg sync.WaitGroup
	var count atomic.Int64
	lats := make([][]time.Duration, n)
	start := time.Now()
	for w := range n {
		wg.Go(func() {
			for i := 0; time.Since(start) < d; i++ {
				t := time.Now()
				if err := op(w, i); err != nil {
					b.Error(err)
					return
				}
				lats[w] = append(lats[w], time.Since(t))
				count.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	all := slices.Concat(lats...)
	slices.Sort(all)
	if len(all) == 0 {
		return sample{}
	}
	return sample{float64(count.Load()) / took.Seconds(), all[len(all)/2], all[len(all)*99/100]}
}

// peer is plain ncruces/go-sqlite3 in WAL mode with synchronous=FULL.
func peer(b *testing.B, dir string) *sql.DB {
	b.Helper()
	db, err := driver.Open("file:" + filepath.Join(dir, "plain.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(60000)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

func ours(b *testing.B, dir string) (*sqlite.Host, *sqlite.DB, *sql.DB) {
	b.Helper()
	ctx := context.Background()
	h, err := sqlite.Open(ctx, sqlite.Options{Dir: filepath.Join(dir, "bop")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close(ctx) })
	d, err := h.Create(ctx, "bench", sqlite.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	p := sql.OpenDB(d.Connector())
	b.Cleanup(func() { p.Close() })
	return h, d, p
}

// rounds is how often each side is measured, in turns, so that a noisy neighbour hits both. The medians count.
const rounds = 3

// compare measures both sides, prints them, and reports their ratio.
func compare(b *testing.B, bop, plain func() sample) {
	b.Helper()
	var mine, theirs sample
	for range b.N {
		var m, t []sample
		for range rounds {
			m, t = append(m, bop()), append(t, plain())
		}
		mine, theirs = median(m), median(t)
	}
	b.Logf("bop   %v", mine)
	b.Logf("plain %v", theirs)
	b.ReportMetric(mine.rate/theirs.rate, "x")
	b.ReportMetric(mine.rate, "ops/s")
	b.ReportMetric(float64(mine.p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(mine.p99.Microseconds()), "p99-µs")
}

// BenchmarkCompare measures against plain ncruces/go-sqlite3 (WAL, synchronous=FULL) in the same run on the same disk.
func BenchmarkCompare(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("durable inserts, %d writers", writers), func(b *testing.B) {
			dir := b.TempDir()
			h, d, p := ours(b, dir)
			q := peer(b, dir)
			used, txid := logUsed(h), d.Heads().Committed
			var logged int64
			compare(b, func() sample {
				s := inserts(b, p, writers)
				logged = logUsed(h)
				return s
			}, func() sample { return inserts(b, q, writers) })
			perCommit := float64(logged-used) / float64(d.Heads().Committed-txid)
			b.Logf("%.0f bytes of log per commit", perCommit)
			b.ReportMetric(perCommit, "logbytes/op")
		})
	}
	reads := map[string]func(p *sql.DB) func(worker, i int) error{
		"point selects": func(p *sql.DB) func(int, int) error {
			st, err := p.Prepare(`SELECT v FROM k WHERE id = ?`)
			if err != nil {
				b.Fatal(err)
			}
			return func(w, i int) error {
				var v string
				return st.QueryRow((w*7919+i*104729)%readRows + 1).Scan(&v)
			}
		},
		"scans of 100000 rows": func(p *sql.DB) func(int, int) error {
			return func(int, int) error {
				var n int
				return p.QueryRow(`SELECT sum(length(v)) FROM k`).Scan(&n)
			}
		},
	}
	for name, op := range reads {
		for _, readers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s, %d readers", name, readers), func(b *testing.B) {
				dir := b.TempDir()
				_, d, p := ours(b, dir)
				q := peer(b, dir)
				for _, db := range []*sql.DB{p, q} {
					db.SetMaxOpenConns(readers)
					db.SetMaxIdleConns(readers)
					if _, err := db.Exec(fmt.Sprintf(`CREATE TABLE k (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO k (v) SELECT '%s' FROM `+series, row100, readRows)); err != nil {
						b.Fatal(err)
					}
				}
				if err := d.Checkpoint(context.Background()); err != nil {
					b.Fatal(err)
				}
				mine, theirs := op(p), op(q)
				compare(b, func() sample { return measure(b, readers, 500*time.Millisecond, mine) },
					func() sample { return measure(b, readers, 500*time.Millisecond, theirs) })
			})
		}
	}
}

const readRows = 100_000

// logUsed is the number of bytes that were appended to the log.
func logUsed(h *sqlite.Host) (n int64) {
	for _, s := range h.Log().(*sqlite.AOFLog).AOF().Segments() {
		n += s.Used
	}
	return n
}

func median(s []sample) sample {
	slices.SortFunc(s, func(a, b sample) int { return int(a.rate - b.rate) })
	return s[len(s)/2]
}

func inserts(b *testing.B, p *sql.DB, writers int) sample {
	b.Helper()
	p.SetMaxOpenConns(writers)
	p.SetMaxIdleConns(writers)
	if _, err := p.Exec(`CREATE TABLE IF NOT EXISTS k (id INTEGER PRIMARY KEY, v TEXT)`); err != nil {
		b.Fatal(err)
	}
	st, err := p.Prepare(`INSERT INTO k (v) VALUES (?)`)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	return measure(b, writers, 700*time.Millisecond, func(int, int) error {
		_, err := st.Exec(row100)
		return err
	})
}
