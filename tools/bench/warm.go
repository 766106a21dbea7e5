package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/aof"
)

const warmBytes = 128 << 20

// readWarm reads records at random from a log whose segments are as they were written and from one that keeps them
// compressed. A batch is checked as a whole, so its length counts.
func readWarm(ctx context.Context, o options) (string, error) {
	var table strings.Builder
	for _, batch := range []int{1, 32, 256} {
		if err := warmCell(ctx, o, &table, batch); err != nil {
			return "", err
		}
	}
	return table.String(), nil
}

func warmCell(ctx context.Context, o options, table *strings.Builder, batch int) (err error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tiers := []struct {
		name string
		o    aof.Options
	}{
		{"hot", aof.Options{}},
		{"warm (zstd)", aof.Options{Tiers: aof.Tiers{Hot: aof.Keep{Bytes: -1}}}},
	}
	logs := make([]*aof.Log, len(tiers))
	var last aof.Position // of those that are compressed in the one
	for i, t := range tiers {
		t.o.Logger = slog.New(slog.DiscardHandler)
		l, err := aof.Open(filepath.Join(dir, t.name[:3]), t.o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		if err := fillLog(unsynced{l}, warmBytes, batch, func(n int) []byte { return record(1<<10, n) }); err != nil {
			return err
		}
		if err := l.Seal(ctx); err != nil {
			return err
		}
		_, next := l.Bounds()
		logs[i], last = l, next-1
	}
	if err := packed(ctx, logs[1]); err != nil {
		return err
	}
	waits := make([][]time.Duration, len(tiers))
	for n := range 2*o.rounds + 1 {
		for i, l := range logs {
			for end := time.Now().Add(o.duration / 12); time.Now().Before(end); {
				p := 1 + aof.Position(rand.Uint64N(uint64(last)))
				started := time.Now()
				rec, err := l.ReadAt(ctx, p)
				took := time.Since(started)
				if err != nil {
					return err
				}
				if !bytes.Equal(rec, record(1<<10, int(p-1))) {
					return fmt.Errorf("record %d of the %s log isn't what was appended", p, tiers[i].name)
				}
				if n > 0 {
					waits[i] = append(waits[i], took)
				}
			}
		}
	}
	if table.Len() == 0 {
		fmt.Fprintf(table, "%d MiB of records of 1 KiB in the page cache; `ReadAt` of one at random. The target is a p50 under 200 µs.\n\n"+
			"| records in a batch | segments | size | per second | p50 | p99 | ratio |\n|---|---|---|---|---|---|---|\n", warmBytes>>20)
	}
	base := 0.0
	for i, t := range tiers {
		var sum time.Duration
		for _, w := range waits[i] {
			sum += w
		}
		rate := float64(len(waits[i])) / sum.Seconds()
		if i == 0 {
			base = rate
		}
		p50, p99 := percentiles(waits[i])
		size := "1"
		if i > 0 {
			size = fmt.Sprintf("%.2f", float64(logs[i].Stats().Tier[aof.Warm])/warmBytes)
		}
		fmt.Fprintf(table, "| %d | %s | %s | %.0f | %v | %v | %.2f |\n", batch, t.name, size, rate, p50, p99, rate/base)
	}
	return nil
}

// unsynced appends without waiting for the disk.
type unsynced struct{ *aof.Log }

func (l unsynced) append(recs [][]byte) error {
	_, err := l.AppendBatch(context.Background(), recs, aof.OS)
	return err
}
func (l unsynced) trim() error  { return nil }
func (l unsynced) close() error { return l.Close() }

// packed waits until all sealed segments are compressed and nothing else is kept of them.
func packed(ctx context.Context, l *aof.Log) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		for _, s := range l.Segments() {
			if s.Sealed && (len(s.Copies) != 1 || s.Copies[0].Tier != aof.Warm) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d segments aren't compressed: %w", left, ctx.Err())
		}
	}
}
