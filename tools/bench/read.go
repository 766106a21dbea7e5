package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/aof"
)

const (
	readBytes  = 128 << 20
	readBuffer = 256 << 10 // what a reader of the log reads at once
)

// readSequential reads a log whose segments are in the page cache, and its files as a program without any format would.
func readSequential(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var table strings.Builder
	fmt.Fprintf(&table, `%d MiB of records in the page cache, appended 256 at a time, read by one goroutine through a Reader, which checks every checksum; `+
		"`read` is read(2) of the same files into a buffer of %d KiB, alone and with CRC32C over what was read. The times are those of a whole pass.\n\n"+
		"| bytes | way | GB/s | p50 | p99 | ratio to `read` | to `read` with CRC32C |\n|---|---|---|---|---|---|---|\n", readBytes>>20, readBuffer>>10)
	for _, size := range []int{128, 1 << 10, 4 << 10} {
		at := filepath.Join(dir, fmt.Sprint(size))
		if err := readCell(ctx, o, &table, at, size); err != nil {
			return "", err
		}
		if err := os.RemoveAll(at); err != nil {
			return "", err
		}
	}
	return table.String(), nil
}

func readCell(ctx context.Context, o options, table *strings.Builder, dir string, size int) (err error) {
	lib, err := openAOF(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lib.close()) }()
	count := readBytes / size
	recs := make([][]byte, 256)
	for n := 0; n < count; n += len(recs) {
		for i := range recs {
			recs[i] = record(size, n+i)
		}
		if err := lib.append(recs); err != nil {
			return err
		}
	}
	log := lib.(aofLog).Log
	var files []string
	var bytes int64
	for _, s := range log.Segments() {
		files = append(files, s.File)
		bytes += s.Used
	}
	buf := make([]byte, readBuffer)
	ways := []struct {
		name string
		pass func() error
	}{
		{"`read`", func() error { return readFiles(files, bytes, buf, false) }},
		{"`read` with CRC32C", func() error { return readFiles(files, bytes, buf, true) }},
		{"aof", func() error { return readLog(log, count, size) }},
	}
	took := make([][]time.Duration, len(ways))
	for n := range 6*o.rounds + 1 {
		for i := range ways {
			i = (i + n) % len(ways)
			if err := ctx.Err(); err != nil {
				return err
			}
			runtime.GC()
			started := time.Now()
			if err := ways[i].pass(); err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
			if n > 0 {
				took[i] = append(took[i], time.Since(started))
			}
		}
	}
	for i, w := range ways {
		var ratios [2][]float64
		for n, d := range took[i] {
			ratios[0] = append(ratios[0], took[0][n].Seconds()/d.Seconds())
			ratios[1] = append(ratios[1], took[1][n].Seconds()/d.Seconds())
		}
		p50, p99 := percentiles(slices.Clone(took[i]))
		fmt.Fprintf(table, "| %d | %s | %.2f | %v | %v | %.2f | %.2f |\n", size, w.name, float64(bytes)/p50.Seconds()/1e9,
			p50.Round(time.Microsecond), p99.Round(time.Microsecond), middle(ratios[0]), middle(ratios[1]))
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readFiles reads so many bytes of files, one after the other.
func readFiles(files []string, bytes int64, buf []byte, check bool) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		for err == nil && bytes > 0 {
			var n int
			n, err = f.Read(buf[:min(int64(len(buf)), bytes)])
			bytes -= int64(n)
			if check {
				crc32.Checksum(buf[:n], castagnoli)
			}
		}
		f.Close()
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

func readLog(log *aof.Log, count, size int) error {
	r, err := log.Reader(1)
	if err != nil {
		return err
	}
	defer r.Close()
	for n := range count {
		rec, err := r.TryNext()
		if err != nil {
			return err
		}
		if len(rec.Data) != size {
			return fmt.Errorf("record %d has %d bytes, not %d", n+1, len(rec.Data), size)
		}
	}
	return nil
}
