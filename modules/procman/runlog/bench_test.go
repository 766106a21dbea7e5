package runlog

import (
	"bytes"
	"io"
	"testing"
)

// chunks is what a child prints that writes lines of 196 bytes, as it is read from a pipe.
func chunks(lines int) [][]byte {
	b := bytes.Repeat(append(bytes.Repeat([]byte("x"), 195), '\n'), lines)
	var c [][]byte
	for len(b) > 0 {
		n := min(len(b), 64<<10)
		c = append(c, b[:n])
		b = b[n:]
	}
	return c
}

func benchmarkWrite(b *testing.B, o Options) {
	const lines = 1_000_000
	c := chunks(lines)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		l := open(b, b.TempDir(), o)
		w := l.Writer("018f2a3b-0000-7000-8000-000000000000", Out)
		b.StartTimer()
		for _, p := range c {
			if _, err := w.Write(p); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if l.Next() != lines+1 || l.Dropped() > 0 {
			b.Fatal(l.Next(), l.Dropped())
		}
		l.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkWrite is a million lines of 196 bytes through one Writer.
func BenchmarkWrite(b *testing.B) { benchmarkWrite(b, Options{MaxFiles: 100}) }
func BenchmarkWriteCompressed(b *testing.B) {
	benchmarkWrite(b, Options{MaxFiles: 100, Compress: true})
}

func benchmarkRead(b *testing.B, o Options, q Query) {
	const lines = 1_000_000
	o.MaxFiles = 100
	l := open(b, b.TempDir(), o)
	w := l.Writer("r", Out)
	for _, p := range chunks(lines) {
		w.Write(p)
	}
	settle(l)
	for b.Loop() {
		c := l.Read(q)
		n := 0
		for {
			if _, err := c.Next(b.Context()); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if want := q.Tail; n != want && !(want == 0 && n == lines) {
			b.Fatal(n)
		}
	}
}

func BenchmarkRead(b *testing.B)           { benchmarkRead(b, Options{}, Query{}) }
func BenchmarkReadCompressed(b *testing.B) { benchmarkRead(b, Options{Compress: true}, Query{}) }
func BenchmarkTail(b *testing.B)           { benchmarkRead(b, Options{}, Query{Tail: 100}) }

func BenchmarkParseLine(b *testing.B) {
	line := []byte(`{"time":"2026-11-22T10:00:00.5Z","level":"WARN","msg":"request failed","trace_id":"0af7651916cd43dd8448eb211c80319c","n":1}`)
	b.ReportAllocs()
	for b.Loop() {
		ParseLine(line)
	}
}
